// stream_pair.h -- two containers of streams that talk through a pipe which loses, reorders and repeats packets.
//
// Everything is decided by choose(): numbers from a fuzzer's bytes as long as there are any, then from a seed. The
// model is stupid: octet i of a direction is pattern(stream, direction, i); a sender knows how many it queued, a
// receiver how many it saw, and at the end both must agree. Every borrowed piece is a malloc() that its owner frees
// upon release, so that releasing twice, never, or too early is found by the count or by AddressSanitizer.

#ifndef PLX_TESTS_UNIT_QUIC_STREAM_PAIR_H
#define PLX_TESTS_UNIT_QUIC_STREAM_PAIR_H

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/prng.h"
#include "base/slab.h"
#include "quic/stream/streams.h"
#include "quic/stream/streams_image.h"

enum {
    PAIR_PACKETS = 64,
    PAIR_PACKET_MAX = 1400,
    PAIR_STREAMS = 64,
    PAIR_OBJECTS = 64,
    PAIR_QUEUED_MAX = 60000,
    PAIR_REFUSED = 0x10b
};

struct pair_half { // one direction of one stream, seen by both ends
    uint64_t queued, seen;
    bool is_fin_queued, is_fin_seen; // by the sender; by the receiver
    bool is_cut;                     // reset, or stopped, by anybody: the ends need not agree on octets
};

struct pair_stream {          // indexed by kind and number
    struct pair_half half[2]; // [0]: octets of the client
    struct plx_stream *at[2]; // the object at the client, at the server
    unsigned opened[2], closed[2];
};

struct pair_packet {
    bool is_used;
    unsigned from;
    size_t len;
    uint8_t bytes[PAIR_PACKET_MAX];
    struct plx_refs refs;
};

struct pair_away { // what is left of streams that are put away
    uint64_t count;
    uint8_t text[PLX_SQUEEZE_MAX(sizeof(struct plx_streams_image) / 8)];
    void *user[PLX_IMAGE_STREAMS_MAX];
};

struct pair_side {
    struct pair *pair;
    unsigned idx; // 0 client, 1 server
    struct plx_streams ss;
    struct plx_pool pool;
    struct plx_slab slab;
    bool is_unkind; // the application takes less, stops, resets
    uint64_t wakes;
    bool is_away;
    struct pair_away away;
    unsigned recalls; // that somebody's doing made necessary
};

struct pair {
    const uint8_t *data, *data_end; // decisions
    struct plx_prng prng;
    struct pair_side side[2];
    struct pair_packet packet[PAIR_PACKETS];
    struct pair_stream stream[4][PAIR_STREAMS];
    plx_time now;
    uint64_t pieces_out; // borrowed pieces not released
    uint32_t numbers_max;
    bool is_calm; // requests are one message and its answer, with pauses in which streams may be put away
};

struct pair_piece {
    struct plx_owner owner;
    struct pair *pair;
    uint8_t bytes[];
};

static inline uint32_t choose(struct pair *p, uint32_t n)
{
    if (p->data == p->data_end)
        return (uint32_t)plx_prng_below(&p->prng, n);
    uint32_t v = *p->data++;
    if (n > 256 && p->data < p->data_end)
        v = v << 8 | *p->data++;
    return v % n;
}

static inline bool chance(struct pair *p, uint32_t percent)
{
    return choose(p, 100) < percent;
}

static inline uint8_t pair_pattern(uint64_t id, unsigned dir, uint64_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + id * 13 + dir * 101);
}

static inline struct pair_stream *pair_find(struct pair *p, uint64_t id)
{
    plx_check(id >> 2 < PAIR_STREAMS);
    return &p->stream[id & 3][id >> 2];
}

// --- the application -------------------------------------------------------------------------------------

static inline void pair_released(struct plx_owner *o, const void *data, size_t len)
{
    struct pair_piece *piece = PLX_CONTAINER(o, struct pair_piece, owner);
    (void)len;
    plx_check(len == 0 || data == piece->bytes);
    piece->pair->pieces_out--;
    free(piece);
}

static inline void pair_fill(uint8_t *to, uint64_t id, unsigned dir, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = pair_pattern(id, dir, at + i);
}

static inline void pair_send(struct pair_side *e, struct plx_stream *s, size_t len, bool fin)
{
    struct pair *p = e->pair;
    struct pair_half *h = &pair_find(p, s->id)->half[e->idx];
    enum plx_err err;

    if (h->queued + len > PAIR_QUEUED_MAX)
        len = 0;
    if (chance(p, 30)) {
        uint8_t *copy = malloc(len + 1);
        pair_fill(copy, s->id, e->idx, h->queued, len);
        err = plx_streams_send_copy(&e->ss, s, copy, len, fin);
        free(copy);
    } else {
        uint16_t count = (uint16_t)(1 + choose(p, 3));
        struct plx_buf bufs[3];
        uint64_t at = h->queued;
        for (uint16_t i = 0; i < count; i++) {
            size_t part = i + 1 == count ? len - (size_t)(at - h->queued) : (len / count);
            struct pair_piece *piece = malloc(sizeof *piece + part + 1);
            *piece = (struct pair_piece){.owner.release = pair_released, .pair = p};
            pair_fill(piece->bytes, s->id, e->idx, at, part);
            bufs[i] = (struct plx_buf){piece->bytes, part, &piece->owner};
            at += part;
        }
        p->pieces_out += count;
        err = plx_streams_send(&e->ss, s, bufs, count, fin);
        if (err != PLX_OK)
            for (uint16_t i = 0; i < count; i++)
                bufs[i].owner->release(bufs[i].owner, bufs[i].data, bufs[i].len);
    }
    if (err != PLX_OK)
        return;
    h->queued += len;
    h->is_fin_queued = h->is_fin_queued || fin;
}

static inline void pair_on_stream(void *arg, struct plx_stream *s)
{
    struct pair_side *e = arg;
    struct pair_stream *m = pair_find(e->pair, s->id);

    plx_check(m->opened[e->idx] == 0);
    m->opened[e->idx]++;
    m->at[e->idx] = s;
    if (e->is_unkind && chance(e->pair, 4)) {
        m->half[0].is_cut = m->half[1].is_cut = true;
        plx_streams_refuse(&e->ss, s, 77);
    }
}

static inline size_t pair_on_data(void *arg, struct plx_stream *s, const uint8_t *data, size_t len, bool fin)
{
    struct pair_side *e = arg;
    struct pair *p = e->pair;
    struct pair_half *h = &pair_find(p, s->id)->half[!e->idx];

    plx_check(!h->is_fin_seen);
    plx_check(len > 0 || fin);
    plx_check(h->seen + len <= h->queued || h->is_cut);
    for (size_t i = 0; i < len; i++)
        plx_check(data[i] == pair_pattern(s->id, !e->idx, h->seen + i));
    size_t taken = len;
    if (e->is_unkind) {
        if (chance(p, 20))
            taken = choose(p, (uint32_t)len + 1);
        if (chance(p, 10))
            plx_streams_resume(&e->ss, s);
        if (chance(p, 2)) {
            h->is_cut = true;
            plx_streams_stop_sending(&e->ss, s, 5);
            plx_check(data == data + 0 * data[len > 0 ? len - 1 : 0]); // what is being looked at stays
        }
        if (chance(p, 10) && s->send_state != PLX_SEND_NONE)
            pair_send(e, s, choose(p, 300), fin);
        if (chance(p, 2))
            plx_streams_reset(&e->ss, s, 9), pair_find(p, s->id)->half[e->idx].is_cut = true;
    }
    h->seen += taken;
    if (fin && taken == len)
        h->is_fin_seen = true;
    return taken;
}

// The other end had no object for it.
static inline void pair_note_refused(struct pair_stream *m, uint64_t code)
{
    if (code == PAIR_REFUSED)
        m->half[0].is_cut = m->half[1].is_cut = true;
}

static inline void pair_on_reset(void *arg, struct plx_stream *s, uint64_t code)
{
    struct pair_side *e = arg;
    pair_note_refused(pair_find(e->pair, s->id), code);
    plx_check(pair_find(e->pair, s->id)->half[!e->idx].is_cut);
}

static inline void pair_on_stop(void *arg, struct plx_stream *s, uint64_t code)
{
    struct pair_side *e = arg;
    pair_note_refused(pair_find(e->pair, s->id), code);
    plx_check(pair_find(e->pair, s->id)->half[e->idx].is_cut);
}

static inline void pair_on_writable(void *arg, struct plx_stream *s)
{
    pair_send(arg, s, choose(((struct pair_side *)arg)->pair, 500), false);
}

static inline void pair_on_closed(void *arg, struct plx_stream *s)
{
    struct pair_side *e = arg;
    struct pair_stream *m = pair_find(e->pair, s->id);

    plx_check(m->opened[e->idx] == 1);
    plx_check(m->closed[e->idx] == 0);
    m->closed[e->idx]++;
    m->at[e->idx] = NULL;
}

static inline void pair_on_available(void *arg, bool is_uni)
{
    (void)arg, (void)is_uni;
}
static inline void pair_on_wake(void *arg)
{
    ((struct pair_side *)arg)->wakes++;
}

static inline size_t pair_on_message(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    pair_on_stream(arg, s);
    return pair_on_data(arg, s, data, len, true);
}

static inline size_t pair_on_answer(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    return pair_on_data(arg, s, data, len, true);
}

// --- away, and back ----------------------------------------------------------------------------------------

static const struct plx_streams_image pair_nothing;

static inline void pair_put_away(struct plx_streams *ss, struct pair_away *a,
                                 uint64_t id[PLX_IMAGE_STREAMS_MAX])
{
    static struct plx_streams_image image;

    memset(&image, 0, sizeof image);
    plx_streams_save(ss, &image, a->user);
    a->count = image.head.count;
    for (uint64_t i = 0; i < a->count; i++)
        id[i] = image.v[i].id;
    (void)plx_squeeze((const uint64_t *)&image, (const uint64_t *)&pair_nothing, sizeof image / 8, a->text);
    plx_streams_park(ss);
    plx_streams_verify(ss);
}

// False: there are no objects for them.
static inline bool pair_have_back(struct plx_streams *ss, const struct pair_away *a,
                                  struct plx_stream *made[PLX_IMAGE_STREAMS_MAX])
{
    struct plx_unsqueeze text;

    plx_unsqueeze_begin(&text, (const uint64_t *)&pair_nothing, a->text);
    if (!plx_streams_recall(ss, &text, made))
        return false;
    for (uint64_t i = 0; i < a->count; i++)
        made[i]->user = a->user[i];
    return true;
}

// As a connection does that rests: nothing of this side is under way. (With few objects others may have taken them when they are needed.)
static inline void pair_park(struct pair *p, unsigned side)
{
    struct pair_side *e = &p->side[side];
    uint64_t id[PLX_IMAGE_STREAMS_MAX];

    for (unsigned i = 0; i < PAIR_PACKETS; i++)
        if (p->packet[i].is_used && p->packet[i].from == side)
            return;
    if (e->is_away || e->pool.count < PAIR_OBJECTS || plx_streams_is_bare(&e->ss) ||
        !plx_streams_can_sleep(&e->ss))
        return;
    pair_put_away(&e->ss, &e->away, id);
    for (uint64_t i = 0; i < e->away.count; i++)
        pair_find(p, id[i])->at[side] = NULL;
    e->is_away = true;
}

static inline void pair_recall(struct pair_side *e)
{
    struct plx_stream *made[PLX_IMAGE_STREAMS_MAX];

    plx_check(e->is_away);
    plx_check(pair_have_back(&e->ss, &e->away, made));
    for (uint64_t i = 0; i < e->away.count; i++)
        pair_find(e->pair, made[i]->id)->at[e->idx] = made[i];
    e->is_away = false;
}

static inline bool pair_on_recall(void *arg)
{
    struct pair_side *e = arg;

    e->recalls++;
    pair_recall(e);
    return true;
}

static const struct plx_streams_events pair_events = {
    pair_on_stream,    pair_on_data, pair_on_reset,   pair_on_stop,   pair_on_writable, pair_on_closed,
    pair_on_available, pair_on_wake, pair_on_message, pair_on_answer, pair_on_recall,
};

// --- the pipe --------------------------------------------------------------------------------------------

static inline uint64_t pair_dispatch(struct plx_streams *ss, const struct plx_frame *f, plx_time now)
{
    switch (f->type) {
    case 0x04:
        return plx_streams_on_reset_stream(ss, &f->reset_stream);
    case 0x05:
        return plx_streams_on_stop_sending(ss, &f->stop_sending);
    case 0x08 ... 0x0f:
        return plx_streams_on_stream(ss, &f->stream, now);
    case 0x10:
        return plx_streams_on_max_data(ss, f->max_data.maximum);
    case 0x11:
        return plx_streams_on_max_stream_data(ss, f->max_stream_data.id, f->max_stream_data.maximum);
    case 0x12:
    case 0x13:
        return plx_streams_on_max_streams(ss, f->max_streams.is_uni, f->max_streams.maximum);
    case 0x14:
        return plx_streams_on_data_blocked(ss, f->data_blocked.limit);
    case 0x15:
        return plx_streams_on_stream_data_blocked(ss, f->stream_data_blocked.id,
                                                  f->stream_data_blocked.limit);
    case 0x16:
    case 0x17:
        return plx_streams_on_streams_blocked(ss, f->streams_blocked.is_uni, f->streams_blocked.limit);
    default:
        return PLX_QUIC_PROTOCOL_VIOLATION;
    }
}

static inline bool pair_write(struct pair *p, unsigned from, size_t cap)
{
    struct pair_side *e = &p->side[from];
    for (unsigned i = 0; i < PAIR_PACKETS; i++) {
        struct pair_packet *k = &p->packet[i];
        if (k->is_used)
            continue;
        struct plx_wr w = plx_wr_init(k->bytes, cap);
        bool wanted = plx_streams_wants_write(&e->ss);
        bool was_over = !plx_list_is_empty(&e->ss.over);
        k->refs.count = 0;
        plx_streams_write(&e->ss, &w, &k->refs, p->now, PLX_MS(10));
        k->len = (size_t)(w.p - k->bytes);
        plx_check(k->len == 0 || k->refs.count > 0);
        plx_check(wanted || k->len == 0); // nothing is written that was not announced
        if (wanted && cap >= 200 && !was_over &&
            e->ss.ctl == 0) // and what was announced is written, or it was void
            plx_check(k->len > 0 || !plx_streams_wants_write(&e->ss));
        k->from = from;
        k->is_used = k->len > 0;
        return k->is_used;
    }
    return false;
}

static inline void pair_deliver(struct pair *p, struct pair_packet *k)
{
    struct pair_side *to = &p->side[!k->from];
    uint8_t *copy = malloc(k->len); // gone afterwards: nobody may keep a pointer into it
    memcpy(copy, k->bytes, k->len);
    struct plx_rd r = plx_rd_init(copy, k->len);
    struct plx_frame f;
    while (plx_rd_left(&r) > 0) {
        plx_check(plx_frame_read(&r, &f) == PLX_FRAME_OK);
        plx_check(pair_dispatch(&to->ss, &f, p->now) == PLX_QUIC_NO_ERROR);
    }
    free(copy);
    plx_streams_run_resumed(&to->ss, p->now);
    plx_streams_verify(&to->ss);
}

static inline void pair_report(struct pair *p, struct pair_packet *k, bool is_acked)
{
    struct plx_streams *ss = &p->side[k->from].ss;
    for (unsigned i = 0; i < k->refs.count; i++)
        (is_acked ? plx_streams_on_acked : plx_streams_on_lost)(ss, &k->refs.v[i]);
    plx_streams_verify(ss);
}

// One packet of those under way meets its fate.
static inline bool pair_pump(struct pair *p, unsigned loss)
{
    unsigned used = 0, pick;
    for (unsigned i = 0; i < PAIR_PACKETS; i++)
        used += p->packet[i].is_used;
    if (used == 0)
        return false;
    pick = choose(p, used);
    for (unsigned i = 0; i < PAIR_PACKETS; i++) {
        struct pair_packet *k = &p->packet[i];
        if (!k->is_used || pick-- != 0)
            continue;
        p->now.ns += 100000;
        uint32_t fate = choose(p, 100);
        if (fate < loss) {
            pair_report(p, k, false);
        } else if (fate <
                   loss + loss / 4) { // arrives, though it was given up: and may be acknowledged after all
            pair_report(p, k, false);
            pair_deliver(p, k);
            if (chance(p, 50))
                pair_report(p, k, true);
        } else {
            pair_deliver(p, k);
            if (loss > 0 && fate > 95)
                return true; // comes again
            pair_report(p, k, true);
        }
        k->is_used = false;
        return true;
    }
    return false;
}

// --- a life ----------------------------------------------------------------------------------------------

static inline void pair_init(struct pair *p, uint64_t seed, const uint8_t *data, size_t len)
{
    memset(p, 0, sizeof *p);
    p->data = data;
    p->data_end = data + len;
    p->now = (plx_time){1000000000};
    plx_prng_init(&p->prng, seed);
    uint64_t window[2], conn[2];
    uint32_t bidi[2], uni[2];
    for (unsigned i = 0; i < 2; i++) {
        window[i] = 200 + choose(p, 20000);
        conn[i] = 300 + choose(p, 30000);
        bidi[i] = 1 + choose(p, 12);
        uni[i] = 1 + choose(p, 6);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct pair_side *e = &p->side[i];
        struct plx_streams_cfg cfg = {.is_server = i,
                                      .conn_window = conn[i],
                                      .conn_window_max = conn[i] * 4,
                                      .stream_window = window[i],
                                      .stream_window_max = window[i] * 4,
                                      .streams_bidi = bidi[i],
                                      .streams_uni = uni[i],
                                      .refuse_code = PAIR_REFUSED};
        struct plx_streams_peer peer = {conn[!i], window[!i], window[!i], window[!i], bidi[!i], uni[!i]};
        e->pair = p;
        e->idx = i;
        e->is_unkind = true;
        uint32_t objects =
            chance(p, 25) ? 2 + choose(p, 6) : PAIR_OBJECTS; // now and then fewer than the peer may open
        plx_check(plx_pool_init(&e->pool, "streams", sizeof(struct plx_stream), objects, NULL));
        plx_check(plx_slab_init(&e->slab, 2 << 20, PLX_NODE_ANY));
        plx_streams_init(&e->ss, &cfg, &e->pool, &e->slab, &pair_events, e);
        plx_streams_set_peer(&e->ss, &peer);
        e->ss.wants_messages = i && chance(p, 50);
        e->ss.wants_answers = !i && chance(p, 50);
    }
    p->numbers_max = 8 + choose(p, PAIR_STREAMS - 8);
    p->is_calm = chance(p, 30);
}

static inline struct plx_stream *pair_any(struct pair *p, unsigned side)
{
    unsigned begin = choose(p, 4 * PAIR_STREAMS);
    for (unsigned i = 0; i < 4 * PAIR_STREAMS; i++) {
        unsigned at = (begin + i) % (4 * PAIR_STREAMS);
        struct plx_stream *s = p->stream[at % 4][at / 4].at[side];
        if (s != NULL)
            return s;
    }
    return NULL;
}

// The client asks in one go, if it can be done.
static inline void pair_ask(struct pair *p)
{
    struct pair_side *e = &p->side[0];
    uint64_t id = e->ss.window[0].next << 2;
    struct pair_stream *m = pair_find(p, id);
    size_t len = choose(p, 300);
    struct pair_piece *piece = malloc(sizeof *piece + len + 1);

    *piece = (struct pair_piece){.owner.release = pair_released, .pair = p};
    pair_fill(piece->bytes, id, 0, 0, len);
    struct plx_stream *s = plx_streams_ask(&e->ss, &(struct plx_buf){piece->bytes, len, &piece->owner}, m);
    if (s == NULL) {
        free(piece);
        return;
    }
    plx_check(s->id == id && s->user == m);
    p->pieces_out++;
    m->opened[0]++;
    m->at[0] = s;
    m->half[0].queued = len;
    m->half[0].is_fin_queued = true;
}

static inline void pair_open(struct pair *p, unsigned side)
{
    struct pair_side *e = &p->side[side];
    bool is_uni = chance(p, 30);
    struct plx_stream *s;

    if (e->ss.window[side | (is_uni ? 2u : 0u)].next >= p->numbers_max)
        return;
    if (side == 0 && !is_uni && chance(p, 30)) {
        pair_ask(p);
        return;
    }
    if (plx_streams_open(&e->ss, is_uni, &s) != PLX_OK)
        return;
    struct pair_stream *m = pair_find(p, s->id);
    m->opened[side]++;
    m->at[side] = s;
    pair_send(e, s, choose(p, 3000), p->is_calm ? !is_uni : chance(p, 50));
}

static inline void pair_act(struct pair *p, unsigned side)
{
    struct pair_side *e = &p->side[side];
    struct plx_stream *s = pair_any(p, side);
    uint32_t what = choose(p, 100);

    if (s == NULL || what < 20) {
        pair_open(p, side);
        return;
    }
    struct pair_stream *m = pair_find(p, s->id);
    if (what < 60 && s->send_state != PLX_SEND_NONE)
        pair_send(e, s, choose(p, 4000), p->is_calm ? !plx_stream_id_is_uni(s->id) : chance(p, 20));
    else if (what < 64)
        m->half[side].is_cut = true, plx_streams_reset(&e->ss, s, 1);
    else if (what < 68)
        m->half[!side].is_cut = true, plx_streams_stop_sending(&e->ss, s, 2);
    else
        plx_streams_resume(&e->ss, s);
    plx_streams_verify(&e->ss);
}

static inline void pair_step(struct pair *p, unsigned loss)
{
    unsigned side = choose(p, 2);
    uint32_t what = choose(p, 100);
    if (what < 2)
        pair_park(p, side);
    else if (what < (p->is_calm ? 6 : 25))
        pair_act(p, side);
    else if (what < 60)
        (void)pair_write(p, side, 30 + choose(p, PAIR_PACKET_MAX - 30));
    else
        (void)pair_pump(p, loss);
}

static inline void pair_recall_all(struct pair *p)
{
    for (unsigned side = 0; side < 2; side++)
        if (p->side[side].is_away)
            pair_recall(&p->side[side]);
}

// Everybody finishes: all that is open gets its FIN, everything is taken, nothing is lost. Then both ends are empty.
static inline void pair_drain(struct pair *p)
{
    p->side[0].is_unkind = p->side[1].is_unkind = false;
    pair_recall_all(p);
    for (unsigned round = 0;; round++) {
        bool is_idle = true;
        plx_check(round < 20000); // a stall
        for (unsigned side = 0; side < 2; side++) {
            struct pair_side *e = &p->side[side];
            for (unsigned at = 0; at < 4 * PAIR_STREAMS; at++) {
                struct pair_stream *m = &p->stream[at % 4][at / 4];
                struct plx_stream *s = m->at[side];
                if (s == NULL)
                    continue;
                if (s->send_state != PLX_SEND_NONE && !m->half[side].is_fin_queued)
                    pair_send(e, s, 0, true);
                plx_streams_resume(&e->ss, s);
            }
            plx_streams_run_resumed(&e->ss, p->now);
            while (pair_write(p, side, PAIR_PACKET_MAX))
                is_idle = false;
        }
        while (pair_pump(p, 0))
            is_idle = false;
        if (is_idle && p->side[0].ss.count == 0 && p->side[1].ss.count == 0)
            break;
    }
}

static inline void pair_compare(const struct pair_stream *m, bool is_drained, bool has_refused)
{
    if (has_refused && m->opened[0] != m->opened[1])
        is_drained = false; // perhaps this one: the other end has not seen it
    plx_check(m->opened[0] == m->closed[0]);
    plx_check(m->opened[1] == m->closed[1]);
    for (unsigned dir = 0; is_drained && dir < 2; dir++) {
        const struct pair_half *h = &m->half[dir];
        if (h->is_cut || !h->is_fin_queued)
            continue;
        plx_check(h->is_fin_seen);
        plx_check(h->seen == h->queued);
    }
}

static inline void pair_fini(struct pair *p, bool is_drained)
{
    pair_recall_all(p);
    if (is_drained) // both ends agree on what was spent of the connection's credit
        for (unsigned i = 0; i < 2; i++)
            plx_check(p->side[i].ss.recvd == p->side[!i].ss.sent);
    bool has_refused = p->side[0].ss.refused_total + p->side[1].ss.refused_total > 0;
    for (unsigned i = 0; i < 2; i++) {
        struct pair_side *e = &p->side[i];
        plx_streams_verify(&e->ss);
        plx_check(!is_drained || e->ss.refused.count == 0);
        plx_streams_fini(&e->ss);
        plx_pool_verify(&e->pool);
        plx_slab_verify(&e->slab);
        plx_check(plx_pool_in_use(&e->pool) == 0);
        plx_check(plx_slab_bytes_in_use(&e->slab) == 0);
        plx_pool_fini(&e->pool);
        plx_slab_fini(&e->slab);
    }
    plx_check(p->pieces_out == 0);
    for (unsigned at = 0; at < 4 * PAIR_STREAMS; at++)
        pair_compare(&p->stream[at % 4][at / 4], is_drained, has_refused);
}

#endif
