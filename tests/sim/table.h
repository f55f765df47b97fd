// table.h -- a client of HTTP/3 by hand, over raw streams: its requests refer to QPACK's dynamic table, and it tells the table's
// contents when the scenario says so, in pieces, late or never. (The library's own client uses the static table only.)
//
// It keeps its results where the usual client keeps them, in struct world_client, so that world_all_complete() and the rest work.

#ifndef PLX_TESTS_SIM_TABLE_H
#define PLX_TESTS_SIM_TABLE_H

#include "tests/sim/world.h"

enum { TABLE_REQUESTS_MAX = 8, TABLE_TEXT_MAX = 512 };

struct table {
    struct world_client *client;
    struct plx_stream *encoder;
    uint8_t text[TABLE_TEXT_MAX]; // the encoder stream: its type and all insertions
    size_t text_len, told;
    struct table_answer { // how far the frames of an answer have been read
        struct world_request *request;
        struct plx_stream *stream;
        uint64_t left; // of the open frame's payload
        uint8_t head[16];
        uint8_t head_len, type;
    } answer[TABLE_REQUESTS_MAX];
};

// For world_cfg.tune, with the client.
void table_tune(struct plx_engine_cfg *cfg);
// Connects client 0. The first request needs nothing of the table, number i the i-th insertion.
void table_fetch(struct table *t, struct world *w, const uint64_t *sizes, unsigned count);
// Sends request i; upload > 0: with a body. Once the client is open.
void table_ask(struct table *t, unsigned i, uint64_t upload);
// Sends the encoder stream up to the octet `upto`, at most all of it.
void table_tell(struct table *t, size_t upto);

#endif
