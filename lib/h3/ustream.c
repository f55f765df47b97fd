// ustream.c -- the peer's unidirectional streams (RFC 9114 section 6.2, RFC 9204 section 4.2).
//
// The first integer of a stream says what it is. Control and QPACK streams exist once each and never end; pushes we
// never asked for; everything else is refused politely and ignored.

#include "h3/conn_int.h"

#include "h3/qpack_int.h"

enum { TYPE_CONTROL = 0, TYPE_PUSH = 1, TYPE_ENCODER = 2, TYPE_DECODER = 3 };

void plx_h3_ustream_init(struct ustream *u, struct plx_h3_conn *c, void *ts, uint64_t id)
{
    *u = (struct ustream){.s = {.conn = c, .ts = ts, .id = id, .kind = STREAM_UNTYPED}};
    plx_list_init(&u->node);
    plx_list_add_tail(&c->ustreams, &u->node);
}

void plx_h3_ustream_free(struct ustream *u)
{
    struct plx_h3_env *env = u->s.conn->env;

    plx_list_remove(&u->node);
    plx_stash_drop(&u->stash, env->slab);
    plx_pool_give(env->streams, u);
}

// Reads an integer that may be cut; what there is of it waits in the frame header's place.
static bool type_read(struct ustream *u, struct plx_rd *r, uint64_t *type)
{
    struct plx_framing *f = &u->framing;

    while (plx_rd_left(r) > 0) {
        f->head[f->head_len++] = plx_rd_u8(r);
        struct plx_rd whole = plx_rd_init(f->head, f->head_len);
        *type = plx_rd_varint(&whole);
        if (!whole.is_short) {
            f->head_len = 0;
            return true;
        }
    }
    return false;
}

//= rfc9114 6.2.1 "Only one control stream per peer is permitted"
//= rfc9204 4.2 "Receipt of a second instance of either stream type MUST be treated as a connection error"
static void become(struct ustream *u, enum stream_kind kind, bool *has_one)
{
    if (*has_one)
        plx_h3_conn_fail(u->s.conn, PLX_H3_STREAM_CREATION_ERROR,
                         "a second stream of a type that exists once");
    *has_one = true;
    u->s.kind = (uint8_t)kind;
}

static void type_on(struct ustream *u, uint64_t type)
{
    struct plx_h3_conn *c = u->s.conn;

    switch (type) {
    case TYPE_CONTROL:
        become(u, STREAM_CONTROL, &c->has_control);
        return;
    case TYPE_ENCODER:
        become(u, STREAM_ENCODER, &c->has_encoder);
        return;
    case TYPE_DECODER:
        become(u, STREAM_DECODER, &c->has_decoder);
        return;
    case TYPE_PUSH:
        //= rfc9114 6.2.2 "if a server receives a client-initiated push stream, this MUST be treated as a connection error"
        //= rfc9114 4.6 "A client MUST treat receipt of a push stream as a connection error of type H3_ID_ERROR"
        plx_h3_conn_fail(c, c->is_server ? PLX_H3_STREAM_CREATION_ERROR : PLX_H3_ID_ERROR,
                         "a push that was not allowed");
        return;
    default:
        u->s.kind = STREAM_DISCARDED;
        if (plx_h3_conn_junk(c, 1))
            c->io->stop_sending(c->io_arg, u->s.ts, PLX_H3_STREAM_CREATION_ERROR);
    }
}

static void encoder_on_data(struct ustream *u, struct plx_rd *r)
{
    struct plx_h3_conn *c = u->s.conn;
    size_t len = plx_rd_left(r);
    const char *why = NULL;

    enum plx_qpack_err err = plx_qpack_table_on_data(&c->table, plx_rd_bytes(r, len), len, &why);
    plx_h3_request_unblock(c); // also what came before an error has come
    if (err == PLX_QPACK_NOMEM)
        plx_h3_conn_fail(c, PLX_H3_INTERNAL_ERROR, "no memory for the QPACK table; raise the slab");
    else if (err != PLX_QPACK_OK)
        plx_h3_conn_fail(c, PLX_QPACK_ENCODER_STREAM_ERROR, why);
}

// One instruction of the peer's decoder. Our encoder has no dynamic table, so there is nothing to acknowledge.
static void decoder_on_instruction(struct plx_h3_conn *c, uint8_t first)
{
    //= rfc9204 4.4.1 "every encoded field section with a non-zero Required Insert Count has already been acknowledged"
    if (first & 0x80)
        plx_h3_conn_fail(c, PLX_QPACK_DECODER_STREAM_ERROR, "acknowledgment of a section that needs none");
    //= rfc9204 4.4.3 "one that increases the Known Received Count beyond what the encoder has sent"
    else if (!(first & 0x40))
        plx_h3_conn_fail(c, PLX_QPACK_DECODER_STREAM_ERROR, "increment beyond what was inserted");
}

static void decoder_on_data(struct ustream *u, struct plx_rd *r)
{
    struct plx_h3_conn *c = u->s.conn;
    struct plx_framing *f = &u->framing;

    while (plx_rd_left(r) > 0 && plx_h3_conn_is_open(c)) {
        bool is_bad = false;
        f->head[f->head_len++] = plx_rd_u8(r);
        struct plx_rd whole = plx_rd_init(f->head + 1, f->head_len - 1u);
        (void)plx_qpack_rd_int(&whole, f->head[0], f->head[0] & 0x80 ? 7 : 6, &is_bad);
        if (is_bad) {
            plx_h3_conn_fail(c, PLX_QPACK_DECODER_STREAM_ERROR, "an integer is too large");
        } else if (!whole.is_short) {
            f->head_len = 0;
            decoder_on_instruction(c, f->head[0]);
        }
    }
}

void plx_h3_ustream_on_data(struct ustream *u, const uint8_t *data, size_t len, bool fin)
{
    struct plx_h3_conn *c = u->s.conn;
    struct plx_rd r = plx_rd_init(data, len);
    uint64_t type;

    if (u->s.kind == STREAM_UNTYPED && type_read(u, &r, &type))
        type_on(u, type);
    if (!plx_h3_conn_is_open(c))
        return;
    if (u->s.kind == STREAM_CONTROL)
        plx_h3_control_on_data(u, &r);
    else if (u->s.kind == STREAM_ENCODER)
        encoder_on_data(u, &r);
    else if (u->s.kind == STREAM_DECODER)
        decoder_on_data(u, &r);
    //= rfc9114 6.2 "A receiver MUST tolerate unidirectional streams being closed or reset prior to the reception"
    if (fin && (u->s.kind == STREAM_CONTROL || u->s.kind == STREAM_ENCODER || u->s.kind == STREAM_DECODER))
        plx_h3_conn_fail(c, PLX_H3_CLOSED_CRITICAL_STREAM, "the peer closed a critical stream");
}
