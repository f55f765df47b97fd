// array.h -- a transport that is an array: two HTTP/3 connections back to back in memory, or one and a forger.
//
// Every direction of a stream is a growing array of octets with a mark up to which the receiver has taken them. One
// step delivers the next piece of one direction, of a size that the world's generator chooses, to whichever side is
// real; what a receiver leaves waits for resume. So a seed decides every cut and every order, and the same
// exchange can be run with a thousand of them. A side that is not real only records; a test forges its octets.

#ifndef PLX_TESTS_H3_ARRAY_H
#define PLX_TESTS_H3_ARRAY_H

#include "base/pool.h"
#include "base/slab.h"
#include "h3/conn.h"
#include "h3/memo.h"

// Of a literal; also where it must be constant.
#define SPAN(s)                             \
    {                                       \
        (const uint8_t *)(s), sizeof(s) - 1 \
    }

// Random numbers that a seed other than 0 decides.
static inline uint64_t xorshift(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

enum { WORLD_STREAMS = 64, CLIENT = 0, SERVER = 1 };

struct dir { // octets from one side to the other
    uint8_t *p;
    size_t len, cap, taken;
    uint64_t acked; // octets whose owners have been released
    bool has_fin, is_fin_seen, is_stalled, was_offered;
    bool is_reset, is_reset_seen;
    bool is_refused, is_refused_seen; // STOP_SENDING by the receiver
    uint64_t reset_code, refused_code;
    struct {
        struct plx_owner *owner;
        const void *data;
        size_t len;
        uint64_t end;
    } held[64];
    unsigned held_count;
};

struct wstream {
    bool is_used, is_uni, is_over[2];
    uint8_t opener;
    uint64_t id;
    struct plx_h3_stream *hs[2];
    struct dir dir[2]; // by sender
};

struct side {
    struct world *world;
    struct plx_h3_conn *conn; // NULL: not real
    struct plx_h3_env env;
    struct plx_pool conns, streams;
    struct plx_slab slab;
    bool is_closed;
    uint64_t close_code;
    char close_why[128];
    uint64_t next_uni, next_bidi, bidi_max;
    size_t room;             // octets that may be unsent on a stream; 0: any
    bool is_short_of_copies; // send_copy says NOMEM
    unsigned asked;          // how often ask was called
    // While unidirectional streams are put away: what is left of them, and the names of their users.
    uint8_t *parked;
    uint8_t name[WORLD_STREAMS];
    unsigned wakes; // how often HTTP/3 asked for them
};

struct world {
    struct side side[2];
    struct wstream stream[WORLD_STREAMS];
    uint64_t seed;
    size_t piece_max; // greatest piece; 1: octet by octet; 0: everything at once
};

// cfg may be NULL. A NULL handler: that side is not real.
void world_init(struct world *w, uint64_t seed, size_t piece_max, const struct plx_h3_cfg *cfg,
                const struct plx_h3_handler *client, const struct plx_h3_handler *server);
// Frees the connections with that code, checks that nothing is left behind, frees everything.
void world_fini(struct world *w, uint64_t code);

// Puts the unidirectional streams of a side away, as a transport does whose connection rests, until a frame comes for one of them or HTTP/3 asks.
// False: something is under way.
bool world_park(struct world *w, unsigned side);

// Delivers until nothing moves; at most steps of them.
void world_run(struct world *w, unsigned steps);

// A forged stream of the side that is not real; its number in w->stream.
unsigned world_forge_open(struct world *w, unsigned from, bool is_uni);
void world_forge(struct world *w, unsigned stream, unsigned from, const void *p, size_t len, bool fin);
void world_forge_reset(struct world *w, unsigned stream, unsigned from, uint64_t code);
void world_forge_refuse(struct world *w, unsigned stream, unsigned by, uint64_t code);

uint64_t world_random(struct world *w);

#endif
