// decoder_stream.c -- what our QPACK decoder tells the peer's encoder (RFC 9204 section 4.4).
//
// Instructions gather in the connection for the length of one event and go out together. An Insert Count Increment is
// written last, because a Section Acknowledgment often makes it unnecessary. When the transport has no room they
// wait; when even the waiting room is full the peer makes us talk more than it listens, and the connection ends.

#include "h3/conn_int.h"

#include "h3/qpack_int.h"

static void send_waiting(struct plx_h3_conn *c)
{
    if (c->decoder_out_len == 0)
        return;
    if (c->is_parked)
        c->io->wake(c->io_arg);
    if (c->decoder.ts == NULL)
        return;
    switch (c->io->send_copy(c->io_arg, c->decoder.ts, c->decoder_out, c->decoder_out_len, false)) {
    case PLX_OK:
        c->decoder_out_len = 0;
        return;
    case PLX_ERR_CLOSED:
        plx_h3_conn_fail(c, PLX_H3_CLOSED_CRITICAL_STREAM, "our decoder stream is closed");
        return;
    default:
        return; // plx_h3_on_writable, or the next event, tries again
    }
}

static void instruct(struct plx_h3_conn *c, uint8_t pattern, unsigned prefix, uint64_t v)
{
    if (c->decoder_out_len + PLX_QPACK_INT_MAX_LEN > PLX_H3_DECODER_OUT_MAX)
        send_waiting(c);
    struct plx_wr w =
        plx_wr_init(c->decoder_out + c->decoder_out_len, PLX_H3_DECODER_OUT_MAX - c->decoder_out_len);
    plx_qpack_wr_int(&w, pattern, prefix, v);
    if (w.is_full) {
        //= rfc9204 7.3 "Possible responses to an excess of unsent data might include"
        plx_h3_conn_fail(c, PLX_H3_EXCESSIVE_LOAD, "the peer does not take decoder instructions");
        return;
    }
    c->decoder_out_len = (uint8_t)(w.p - c->decoder_out);
}

void plx_h3_decoder_ack(struct plx_h3_conn *c, uint64_t id, uint64_t required)
{
    //= rfc9204 2.2.2.1 "it MUST emit a Section Acknowledgment instruction"
    instruct(c, 0x80, 7, id);
    if (required > c->table.known_received)
        c->table.known_received = required;
}

void plx_h3_decoder_cancel(struct plx_h3_conn *c, uint64_t id)
{
    //= rfc9204 2.2.2.2 "or when it abandons reading of a stream, it generates a Stream Cancellation instruction"
    instruct(c, 0x40, 6, id);
}

void plx_h3_decoder_flush(struct plx_h3_conn *c)
{
    uint64_t news = c->table.insert_count - c->table.known_received;

    if (news > 0) {
        instruct(c, 0x00, 6, news);
        c->table.known_received = c->table.insert_count;
    }
    send_waiting(c);
}
