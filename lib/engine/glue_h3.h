// glue_h3.h -- where QUIC and HTTP/3 meet: nowhere else do they know of each other.

#ifndef PLX_ENGINE_GLUE_H3_H
#define PLX_ENGINE_GLUE_H3_H

#include "engine/core.h"

bool plx_glue_h3_open(struct plx_core *k, struct plx_conn *c); // false: no object left
// The same before the handshake is complete; then plx_glue_h3_complete() follows. app: what a client remembered.
bool plx_glue_h3_early(struct plx_core *k, struct plx_conn *c, const uint8_t *app, size_t len);
void plx_glue_h3_complete(struct plx_core *k, struct plx_conn *c, bool was_accepted);
size_t plx_glue_h3_remember(struct plx_core *k, struct plx_conn *c, uint8_t *out, size_t cap);
void plx_glue_h3_stream(struct plx_core *k, struct plx_conn *c, struct plx_stream *s);
size_t plx_glue_h3_message(struct plx_core *k, struct plx_h3_conn *h3, struct plx_stream *s,
                           const uint8_t *data, size_t len);
size_t plx_glue_h3_answer(struct plx_conn *c, struct plx_h3_conn *h3, struct plx_stream *s,
                          const uint8_t *data, size_t len);
size_t plx_glue_h3_data(struct plx_conn *c, struct plx_h3_conn *h3, struct plx_stream *s, const uint8_t *data,
                        size_t len, bool fin);
void plx_glue_h3_closed(struct plx_conn *c, struct plx_h3_conn *h3, struct plx_stream *s);
// GOAWAY, and the end at once where nothing is open
void plx_glue_h3_shutdown(struct plx_conn *c, struct plx_h3_conn *h3);
// While stopping, every tick: a server's connection that is done and has been silent for three seconds is closed.
void plx_glue_h3_linger(struct plx_core *k, struct plx_econn *e);
void plx_glue_h3_dead(struct plx_core *k, struct plx_conn *c);

#endif
