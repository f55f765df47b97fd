// stand.h -- where a server is lied to: the real engine as the server, and a client whose keys are ours, in virtual time.
//
// Both ends are engines of a world (tests/sim/world.h), joined by two links of one millisecond. The client is an ordinary
// connection as far as it is useful: it completes real handshakes and reads what the server says. Then packets are
// forged with its keys (stand_forge), or octets that no HTTP/3 client would write are put on its streams (stand_play). What
// the server makes of it is seen where it counts, on the wire: the client opens the packets and keeps the codes it finds.
//
// A script of streams is statements separated by ';'. The first character names a stream of the client: lower case a
// unidirectional one, upper case a bidirectional one, opened when it is first named. Then follow hex octets;
// [name=value|...] for a HEADERS frame; '.' for the end; '!' for a reset; '?n' stops the server's n-th unidirectional stream.

#ifndef PLX_TESTS_CONFORM_STAND_H
#define PLX_TESTS_CONFORM_STAND_H

#include "quic/conn/conn_impl.h"
#include "tests/sim/world.h"

enum stand_stage {
    STAND_NEW,       // the client has keys for Initial packets; nothing of what it sent has arrived
    STAND_FIRST,     // its first flight has arrived, nothing has come back
    STAND_HANDSHAKE, // the server's flight has come back; nothing of the client has arrived since
    STAND_CONFIRMED,
};

enum { STAND_CODES_MAX = 16, STAND_UNI_MAX = 8 };

struct stand {
    struct world w;
    struct plx_core *server, *client;
    struct plx_conn *conn; // the client's; NULL when it is over
    bool is_open, is_closed;
    struct plx_close_info why;
    uint64_t code[STAND_CODES_MAX]; // of RESET_STREAM and STOP_SENDING frames from the server
    unsigned code_count;
    struct plx_stream *uni[STAND_UNI_MAX]; // the server's unidirectional streams
    unsigned uni_count;
    bool has_pushed_back; // a stream could not be written any more: the connection is over
};

// The server speaks HTTP/3, or is a raw one that reads and forgets. tune: last changes to both configurations, or NULL.
void stand_init(struct stand *s, bool is_h3, void (*tune)(struct plx_engine_cfg *cfg, bool is_server));
bool stand_fini(struct stand *s); // false: something was not given back

void stand_connect(struct stand *s);
void stand_reach(struct stand *s, enum stand_stage stage); // connects, too
void stand_run(struct stand *s, plx_dur d);
void stand_run_closed(struct stand *s); // until the client's connection is over, half a minute at most
bool stand_has_code(const struct stand *s, uint64_t code);

struct stand_opt {
    uint8_t first_xor;  // into the first octet before protection: reserved bits, key phase
    bool use_next_keys; // 1-RTT: those of the next phase
    bool is_spoilt;     // the tag is wrong
    uint64_t pn_skip;   // leave out so many numbers
};
// A packet with that payload leaves the client, and the server has its breaths.
void stand_forge(struct stand *s, enum plx_space_id space, const void *payload, size_t len,
                 struct stand_opt opt);
// Octets as a datagram of the client's address.
void stand_send(struct stand *s, const void *data, size_t len);

void stand_play(struct stand *s, const char *script);

struct plx_conn *stand_server_conn(struct stand *s); // the server's first connection, NULL when there is none
void stand_lose(struct stand *s, bool up, bool down); // from now on

// A ClientHello, well formed but for what is asked. Returns its length.
struct stand_hello {
    bool no_tls13, no_alpn, no_params, no_key_share, no_groups, no_signatures, no_shared_cipher,
        no_shared_group, has_bad_share, has_session_id, is_cut;
    const char *alpn;      // "h3"
    const uint8_t *params; // what follows initial_source_connection_id
    size_t params_len;
    bool no_scid; // without initial_source_connection_id
};
size_t stand_hello_write(const struct stand *s, const struct stand_hello *h, uint8_t *out, size_t cap);

#endif
