// fuzz_cid.c -- two ends of a connection exchange IDs over a wire that loses, repeats and delays, and move between paths.
//
// One end is plx_cids_local and knows which ID is whose; the other is plx_cids_peer with plx_paths on top. As long as both keep the rules no
// error may come out (but for one, see deliver_new()), an ID in use is one the issuer still knows (but for a RETIRE that is on its way), and nothing leaks: when
// everything has been delivered, the issuer has no more IDs than the limit. Frames that a hostile peer makes up follow at the end.

#include <string.h>

#include "../base/ops.h"
#include "quic/path/path.h"

enum { WIRE_MAX = 64 };

static struct plx_cids_local local;
static struct plx_cids_peer peer;
static struct plx_paths paths;
static struct plx_frame wire[WIRE_MAX]; // in flight, in both directions
static unsigned wire_count;
static uint64_t made; // IDs, ever
static const uint8_t key[32];

static struct plx_cid new_cid(void)
{
    struct plx_cid cid = {.len = 8};
    made++;
    memcpy(cid.bytes, &made, 8);
    return cid;
}

static struct plx_addr addr_of(uint8_t n)
{
    return (struct plx_addr){.af = PLX_AF_IP4, .port = n, .ip = {10, 0, 0, n & 3}};
}

static void issue(void)
{
    while (plx_cids_local_room(&local) > 0) {
        struct plx_cid cid = new_cid();
        plx_check(plx_cids_local_add(&local, &cid));
    }
}

static void send_both(size_t cap)
{
    uint8_t buf[600];
    struct plx_wr w = plx_wr_init(buf, cap < sizeof buf ? cap : sizeof buf);
    struct plx_refs refs = {.count = 0};

    if (wire_count + 50 > WIRE_MAX)
        return;
    plx_cids_local_write(&local, &w, &refs, key);
    plx_cids_peer_write(&peer, &w, &refs);
    struct plx_rd r = plx_rd_init(buf, (size_t)(w.p - buf));
    for (unsigned i = 0; plx_rd_left(&r) > 0; i++) {
        plx_check(plx_frame_read(&r, &wire[wire_count]) == PLX_FRAME_OK);
        bool is_new = wire[wire_count].type == PLX_FRAME_NEW_CONNECTION_ID;
        plx_check(refs.v[i].kind == (is_new ? PLX_REF_NEW_CID : PLX_REF_RETIRE_CID));
        wire_count++;
    }
}

// How many RETIRE_CONNECTION_IDs a frame causes at once.
static unsigned retirements(const struct plx_frame_new_connection_id *f)
{
    bool is_old = f->seq < peer.retire_prior_to && plx_cids_peer_get(&peer, f->seq) == NULL;
    unsigned n = is_old;

    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++)
        n += peer.v[i].is_taken && !peer.v[i].is_in_use && peer.v[i].seq < f->retire_prior_to;
    return n;
}

// False: the connection is over, which may be only when more retirements than we remember wait for their ACKs. An issuer that keeps the
// rules gets there by asking back three times while those ACKs are lost (RFC 9000 section 5.1.2 permits the error).
static bool deliver_new(const struct plx_frame_new_connection_id *f)
{
    unsigned want = retirements(f), room = PLX_CIDS_RETIRED_MAX - peer.retired_count - peer.in_use;
    uint64_t err = plx_cids_peer_on_new(&peer, f);

    if (err != 0) {
        plx_check(err == PLX_QUIC_CONNECTION_ID_LIMIT_ERROR && want > room);
        return false;
    }
    plx_paths_refresh_cids(&paths, &peer);
    return true;
}

static void deliver_retire(uint64_t seq)
{
    struct plx_cid retired, elsewhere = {.len = 8, .bytes = {0xff, 0xff}};
    bool has;

    plx_check(plx_cids_local_on_retire(&local, seq, &elsewhere, &retired, &has) == 0);
    if (has)
        plx_check(plx_cids_local_find(&local, retired.bytes, retired.len) == PLX_CID_SEQ_NONE);
}

// Fate of one frame on the wire: delivered and acknowledged, delivered twice, delivered with its ACK lost, lost. False: it ended the connection.
static bool fate(unsigned i, uint8_t how)
{
    struct plx_frame f = wire[i];
    bool is_new = f.type == PLX_FRAME_NEW_CONNECTION_ID, is_delivered = how % 4 != 3;
    uint64_t seq = is_new ? f.new_connection_id.seq : f.retire_connection_id.seq;

    wire[i] = wire[--wire_count];
    for (unsigned n = 0; is_delivered && n < (how % 4 == 1 ? 2u : 1u); n++) {
        if (!is_new)
            deliver_retire(seq);
        else if (!deliver_new(&f.new_connection_id))
            return false;
    }
    bool is_acked = how % 4 < 2;
    if (is_new)
        (is_acked ? plx_cids_local_on_acked : plx_cids_local_on_lost)(&local, seq);
    else
        (is_acked ? plx_cids_peer_on_acked : plx_cids_peer_on_lost)(&peer, seq);
    return true;
}

static void move(struct ops *o, plx_time now)
{
    struct plx_addr from = addr_of(ops_u8(o)), to = {.af = PLX_AF_IP4, .port = 443};
    uint8_t how = ops_u8(o);
    uint8_t idx = plx_paths_on_datagram(&paths, &peer, &from, &to, 1200);
    if (idx != PLX_PATH_NONE)
        (void)plx_paths_on_packet(&paths, &peer, idx, how & 1, how & 2, now, PLX_MS(100));
    uint8_t buf[200], random[8] = {how, 1};
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_refs refs = {.count = 0};
    idx = plx_paths_next_probe(&paths, now);
    if (idx != PLX_PATH_NONE) {
        (void)plx_path_write(&paths.v[idx], &w, &refs, random, now);
        plx_path_on_sent(&paths.v[idx], 1200);
        if (how & 4)
            (void)plx_paths_on_response(&paths, &peer, random);
    }
    if (how & 8)
        (void)plx_paths_on_timeout(&paths, &peer, plx_time_after(now, PLX_SEC(3)));
}

static void verify(void)
{
    plx_cids_local_verify(&local);
    plx_cids_peer_verify(&peer);
    plx_paths_verify(&paths);
    for (unsigned i = 0; i < PLX_PATHS_MAX; i++) {
        const struct plx_path *p = &paths.v[i];
        if (p->state == PLX_PATH_FREE || p->dcid_seq == PLX_CID_SEQ_NONE)
            continue;
        const struct plx_cid_peer *c = plx_cids_peer_get(&peer, p->dcid_seq);
        plx_check(c != NULL && c->is_in_use);
        plx_check(plx_cids_local_find(&local, c->cid.bytes, c->cid.len) == c->seq);
    }
}

static void hostile(struct ops *o)
{
    while (ops_left(o)) {
        struct plx_frame_new_connection_id f = {.seq = ops_u8(o) % 64,
                                                .cid = {.len = (uint8_t)(1 + ops_u8(o) % 20)}};
        f.retire_prior_to = ops_u8(o) % 64;
        f.cid.bytes[0] = ops_u8(o) % 64;
        if (plx_cids_peer_on_new(&peer, &f) != 0)
            return;
        plx_paths_refresh_cids(&paths, &peer);
        plx_cids_peer_verify(&peer);
        plx_paths_verify(&paths);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    struct plx_cid first;
    struct plx_addr a = addr_of(0), to = {.af = PLX_AF_IP4, .port = 443};

    made = 0;
    wire_count = 0;
    first = new_cid();
    uint8_t limit = (uint8_t)(2 + ops_u8(&o) % (PLX_CIDS_PEER_MAX - 1));
    plx_cids_local_init(&local, &first);
    plx_cids_local_set_limit(&local, limit);
    plx_cids_peer_init(&peer, &first, limit);
    plx_paths_init(&paths, true, &a, &to, true, 1200);
    plx_paths_allow_migration(&paths, true);
    for (uint64_t n = 0; ops_left(&o) && n < 500; n++) {
        uint8_t op = ops_u8(&o);
        if (op < 40)
            issue();
        else if (op < 90)
            send_both(ops_u8(&o) * 3u);
        else if (op < 190 && wire_count > 0) {
            if (!fate(ops_u8(&o) % wire_count, op))
                return 0;
        } else if (op < 230)
            move(&o, (plx_time){PLX_MS(n * 50).ns});
        else if (op < 250)
            (void)plx_cids_local_rotate(&local);
        else
            break;
        verify();
    }
    for (unsigned n = 0; n < 100; n++) { // the wire becomes a good one
        send_both(600);
        while (wire_count > 0)
            if (!fate(0, 0))
                return 0;
        issue();
        verify();
    }
    plx_check(peer.retired_count == 0);
    plx_check(local.count <= (limit < PLX_CIDS_LOCAL_MAX ? limit : PLX_CIDS_LOCAL_MAX));
    hostile(&o);
    return 0;
}
