// frame.h -- the frames of RFC 9000 section 19, read from and written into packets.
//
// Reading never copies: data, tokens and reasons point into the packet, and the ranges of an ACK stay where they are, as a cursor
// (struct plx_ack_iter walks them). Everything a frame alone can tell about its own validity is checked here: truncation, lengths,
// values beyond 2^60 streams or 2^62 octets, ACK ranges below zero. Whether it is allowed in its packet is plx_frame_is_permitted();
// whether it fits the connection's state is the business of the module it belongs to.
//
// Writing is all or nothing: each writer returns false and leaves *w as it was when the frame does not fit, so that a packet
// builder simply tries one after another.
//
// The type of a frame must be encoded in the fewest octets; a longer encoding is answered with PROTOCOL_VIOLATION, which RFC 9000
// section 12.4 allows and which keeps "unknown frame" and "known frame in disguise" apart.

#ifndef PLX_QUIC_FRAME_H
#define PLX_QUIC_FRAME_H

#include "base/cursor.h"
#include "base/range.h"
#include "quic/wire/error.h"
#include "quic/wire/packet.h"

enum plx_frame_type { // the first of each row of frame.def
#define X(first, last, name, NAME, pkts, spec, help) PLX_FRAME_##NAME = first,
#include "quic/wire/frame.def"
#undef X
    PLX_FRAME_ACK_ECN = 0x03,
    PLX_FRAME_MAX_STREAMS_UNI = 0x13,
    PLX_FRAME_STREAMS_BLOCKED_UNI = 0x17,
    PLX_FRAME_TYPE_COUNT = 0x1f,
};

enum { PLX_RESET_TOKEN_LEN = 16, PLX_PATH_DATA_LEN = 8 };

// --- the table of section 12.4 ---------------------------------------------------------------------------------

enum plx_frame_spec {
    PLX_FRAME_NOT_ELICITING = 1,   // N
    PLX_FRAME_NOT_IN_FLIGHT = 2,   // C
    PLX_FRAME_PROBING = 4,         // P
    PLX_FRAME_FLOW_CONTROLLED = 8, // F
};

struct plx_frame_info {
    const char *name; // "max_streams"
    uint8_t pkts;     // bit 1 << enum plx_pkt_type
    uint8_t spec;     // enum plx_frame_spec
};
extern const struct plx_frame_info plx_frame_info[PLX_FRAME_TYPE_COUNT]; // index: type as on the wire

static inline bool plx_frame_is_permitted(uint64_t type, enum plx_pkt_type pkt)
{
    return type < PLX_FRAME_TYPE_COUNT && (plx_frame_info[type].pkts >> pkt & 1) != 0;
}
static inline bool plx_frame_is_eliciting(uint64_t type)
{
    return type < PLX_FRAME_TYPE_COUNT && !(plx_frame_info[type].spec & PLX_FRAME_NOT_ELICITING);
}
static inline bool plx_frame_is_probing(uint64_t type)
{
    return type < PLX_FRAME_TYPE_COUNT && (plx_frame_info[type].spec & PLX_FRAME_PROBING);
}

// --- one struct per frame --------------------------------------------------------------------------------------

struct plx_frame_padding {
    size_t count;
}; // a whole run of PADDING frames

struct plx_ecn_counts {
    uint64_t ect0, ect1, ce;
};

struct plx_frame_ack {
    uint64_t largest;
    uint64_t delay;            // as on the wire: microseconds >> ack_delay_exponent
    uint64_t first_range;      // [largest - first_range, largest]
    uint64_t range_count;      // further ranges
    struct plx_rd ranges;      // they lie here, validated: walk them with plx_ack_iter
    struct plx_ecn_counts ecn; // valid with has_ecn
    bool has_ecn;
};
struct plx_frame_reset_stream {
    uint64_t id, code, final_size;
};
struct plx_frame_stop_sending {
    uint64_t id, code;
};
struct plx_frame_crypto {
    uint64_t offset;
    const uint8_t *data;
    uint64_t len;
};
struct plx_frame_new_token {
    const uint8_t *token;
    uint64_t len;
};
struct plx_frame_stream {
    uint64_t id, offset;
    const uint8_t *data;
    uint64_t len;
    bool fin;
};
struct plx_frame_max_data {
    uint64_t maximum;
};
struct plx_frame_max_stream_data {
    uint64_t id, maximum;
};
struct plx_frame_max_streams {
    uint64_t maximum;
    bool is_uni;
};
struct plx_frame_data_blocked {
    uint64_t limit;
};
struct plx_frame_stream_data_blocked {
    uint64_t id, limit;
};
struct plx_frame_streams_blocked {
    uint64_t limit;
    bool is_uni;
};
struct plx_frame_new_connection_id {
    uint64_t seq, retire_prior_to;
    struct plx_cid cid;
    uint8_t token[PLX_RESET_TOKEN_LEN];
};
struct plx_frame_retire_connection_id {
    uint64_t seq;
};
struct plx_frame_path {
    uint8_t data[PLX_PATH_DATA_LEN];
};                       // PATH_CHALLENGE and PATH_RESPONSE
struct plx_frame_close { // both CONNECTION_CLOSEs
    uint64_t code;
    uint64_t frame_type; // transport only: the frame that raised it, 0 when unknown
    const uint8_t *reason;
    uint64_t reason_len;
    bool is_application;
};

struct plx_frame {
    uint64_t type; // as on the wire (0x08..0x0f for STREAM)
    union {
        struct plx_frame_padding padding;
        struct plx_frame_ack ack;
        struct plx_frame_reset_stream reset_stream;
        struct plx_frame_stop_sending stop_sending;
        struct plx_frame_crypto crypto;
        struct plx_frame_new_token new_token;
        struct plx_frame_stream stream;
        struct plx_frame_max_data max_data;
        struct plx_frame_max_stream_data max_stream_data;
        struct plx_frame_max_streams max_streams;
        struct plx_frame_data_blocked data_blocked;
        struct plx_frame_stream_data_blocked stream_data_blocked;
        struct plx_frame_streams_blocked streams_blocked;
        struct plx_frame_new_connection_id new_connection_id;
        struct plx_frame_retire_connection_id retire_connection_id;
        struct plx_frame_path path;
        struct plx_frame_close close;
    };
};

// --- reading ---------------------------------------------------------------------------------------------------

enum plx_frame_read {
    PLX_FRAME_OK,
    PLX_FRAME_BAD,         // FRAME_ENCODING_ERROR: truncated, or a value that cannot be
    PLX_FRAME_UNKNOWN,     // FRAME_ENCODING_ERROR: a type that nobody negotiated
    PLX_FRAME_NOT_MINIMAL, // PROTOCOL_VIOLATION: a type in more octets than it needs
};

// Reads one frame; the caller loops while something is left in r. out->type is set in every case (0 when even that was cut off).
// Pointers in out are borrowed from the packet.
enum plx_frame_read plx_frame_read(struct plx_rd *r, struct plx_frame *out);
// The transport error code of a result: 0, FRAME_ENCODING_ERROR or PROTOCOL_VIOLATION.
uint64_t plx_frame_read_error(enum plx_frame_read result);

// The ranges of an ACK, from the highest down. What was read cannot fail here.
struct plx_ack_iter {
    struct plx_rd r;
    uint64_t smallest, left;
    uint64_t largest;
    bool is_first;
};
void plx_ack_iter_init(struct plx_ack_iter *it, const struct plx_frame_ack *ack);
bool plx_ack_iter_next(struct plx_ack_iter *it, uint64_t *smallest,
                       uint64_t *largest); // both inclusive; false: no more

// --- writing: true, or false and *w is unchanged -----------------------------------------------------------------

bool plx_frame_padding_write(struct plx_wr *w, size_t count);
bool plx_frame_ping_write(struct plx_wr *w);
bool plx_frame_handshake_done_write(struct plx_wr *w);
// As many ranges, from the highest down, as fit and as ranges_max says (at least the highest, or nothing is written). ranges is not
// empty. ecn NULL: without counts. *largest_written, when not NULL, gets the Largest Acknowledged.
bool plx_frame_ack_write(struct plx_wr *w, const struct plx_ranges *ranges, uint64_t delay,
                         const struct plx_ecn_counts *ecn, unsigned ranges_max);
bool plx_frame_reset_stream_write(struct plx_wr *w, const struct plx_frame_reset_stream *f);
bool plx_frame_stop_sending_write(struct plx_wr *w, const struct plx_frame_stop_sending *f);
bool plx_frame_new_token_write(struct plx_wr *w, const uint8_t *token, size_t len);
bool plx_frame_max_data_write(struct plx_wr *w, uint64_t maximum);
bool plx_frame_max_stream_data_write(struct plx_wr *w, uint64_t id, uint64_t maximum);
bool plx_frame_max_streams_write(struct plx_wr *w, bool is_uni, uint64_t maximum);
bool plx_frame_data_blocked_write(struct plx_wr *w, uint64_t limit);
bool plx_frame_stream_data_blocked_write(struct plx_wr *w, uint64_t id, uint64_t limit);
bool plx_frame_streams_blocked_write(struct plx_wr *w, bool is_uni, uint64_t limit);
bool plx_frame_new_connection_id_write(struct plx_wr *w, const struct plx_frame_new_connection_id *f);
bool plx_frame_retire_connection_id_write(struct plx_wr *w, uint64_t seq);
bool plx_frame_path_challenge_write(struct plx_wr *w, const uint8_t data[PLX_PATH_DATA_LEN]);
bool plx_frame_path_response_write(struct plx_wr *w, const uint8_t data[PLX_PATH_DATA_LEN]);
// The reason is cut (at a UTF-8 boundary) when it does not fit; the rest must.
bool plx_frame_close_write(struct plx_wr *w, const struct plx_frame_close *f);

// STREAM and CRYPTO write their header and leave room for the data, because it may lie in several pieces: the caller copies exactly
// *len octets (<= want) to the place that is returned. NULL when not even one octet fits (or, with want 0, the header); w is then
// unchanged. Take care to ask with want 0 only for an empty FIN.
//
// plx_frame_stream_begin: FIN is set when fin and *len == want. is_filling: when want is more than fits, the Length field is left out
// and the frame takes everything to the end of w: nothing may follow it in the packet, not even PADDING.
uint8_t *plx_frame_stream_begin(struct plx_wr *w, uint64_t id, uint64_t offset, uint64_t want, bool fin,
                                bool is_filling, size_t *len);
// A stream that is one frame, from its first octet to FIN: the caller knows that it fits behind a head of 17 octets. Returns where its octets go.
uint8_t *plx_frame_stream_whole(struct plx_wr *w, uint64_t id, uint64_t len);
uint8_t *plx_frame_crypto_begin(struct plx_wr *w, uint64_t offset, uint64_t want, size_t *len);
// The same for data in one piece: returns how many octets went in; SIZE_MAX: nothing was written, not even the header.
size_t plx_frame_stream_write(struct plx_wr *w, const struct plx_frame_stream *f, bool is_filling);
size_t plx_frame_crypto_write(struct plx_wr *w, const struct plx_frame_crypto *f);

#endif
