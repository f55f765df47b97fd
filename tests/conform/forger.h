// forger.h -- what the parts of the forger share: the tally of codes, and the verdict over a row.

#ifndef PLX_TESTS_CONFORM_FORGER_H
#define PLX_TESTS_CONFORM_FORGER_H

#include "tests/conform/stand.h"

enum forger_space { QUIC, H3 };

// The server has sent this code; counted for the completeness of codes.def.
void forger_saw(enum forger_space space, uint64_t code);
// One row is over. ok false: what says what went wrong.
void forger_row(const char *part, const char *name, bool ok, const char *what, ...)
    __attribute__((format(printf, 4, 5)));
// The client heard CONNECTION_CLOSE with that code; ends the stand and counts the row.
void forger_expect_close(struct stand *s, const char *part, const char *name, enum forger_space space,
                         uint64_t code);
// Nothing happened to the connection: it still answers.
void forger_expect_fine(struct stand *s, const char *part, const char *name);

bool forger_wants(const char *name); // chosen on the command line

void forger_frames(void);    // frames.c: frames in packets
void forger_tls(void);       // tls.c: the handshake
void forger_admission(void); // admission.c: refusals, tokens, versions, stateless resets, limits of keys
void forger_http(void);      // http.c: HTTP/3 and QPACK

#endif
