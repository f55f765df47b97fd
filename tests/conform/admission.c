// admission.c -- what a server says to those whom it does not let in, or no longer knows: refusals, Retry and its tokens, Version
// Negotiation, stateless resets; and the limits of keys, lowered here to where a test can reach them.

#include "tests/conform/forger.h"

#include <string.h>

#include "quic/wire/reset.h"

static const char part[] = "admission";

// --- no room ------------------------------------------------------------------------------------------------

// Everything of a pool is taken while the client tries.
static void without(const char *name, size_t pool_offset, uint64_t code)
{
    struct stand s;
    void *taken[64];
    unsigned count = 0;

    if (!forger_wants(name))
        return;
    stand_init(&s, true, NULL);
    struct plx_pool *pool = (struct plx_pool *)((uint8_t *)s.server + pool_offset);
    while (plx_pool_left(pool) > 0)
        taken[count++] = plx_pool_take(pool);
    stand_connect(&s);
    stand_run_closed(&s);
    while (count > 0)
        plx_pool_give(pool, taken[--count]);
    forger_expect_close(&s, part, name, QUIC, code);
}

static void stopping(void)
{
    struct stand s;

    if (forger_wants("a server that is shutting down")) {
        stand_init(&s, true, NULL);
        plx_core_stop(s.server, s.w.now);
        stand_connect(&s);
        forger_expect_close(&s, part, "a server that is shutting down", QUIC, PLX_QUIC_CONNECTION_REFUSED);
    }
    // The application's close, before the handshake is complete: RFC 9000 section 10.2.3.
    if (forger_wants("the end of the server within a handshake")) {
        stand_init(&s, true, NULL);
        stand_reach(&s, STAND_HANDSHAKE);
        plx_core_stop(s.server, s.w.now);
        forger_expect_close(&s, part, "the end of the server within a handshake", QUIC,
                            PLX_QUIC_APPLICATION_ERROR);
    }
}

// --- Retry --------------------------------------------------------------------------------------------------

static void always_retry(struct plx_engine_cfg *cfg, bool is_server)
{
    if (is_server)
        cfg->retry = PLX_RETRY_ALWAYS;
    cfg->handshake_timeout = PLX_SEC(60);
}

static bool has_retried(struct world *w)
{
    return w->server->cores[0]->n.retries > 0;
}

static void tokens(void)
{
    struct stand s;

    if (forger_wants("a Retry, and its token in time")) {
        stand_init(&s, true, always_retry);
        stand_reach(&s, STAND_CONFIRMED);
        forger_row(part, "a Retry, and its token in time", s.is_open && s.server->n.retries >= 1,
                   "no connection, or no Retry");
        forger_expect_fine(&s, part, "a Retry, and its token in time");
    }
    if (forger_wants("a token that has expired")) {
        stand_init(&s, true, always_retry);
        stand_connect(&s);
        plx_check(world_run(&s.w, plx_time_after(s.w.now, PLX_SEC(1)), has_retried));
        // What the client says to the Retry takes eleven seconds to arrive.
        plx_sim_link_set(s.w.sim, s.w.up, &(struct plx_sim_link_cfg){.delay = PLX_SEC(11)});
        stand_run(&s, PLX_SEC(12));
        forger_expect_close(&s, part, "a token that has expired", QUIC, PLX_QUIC_INVALID_TOKEN);
    }
}

// --- limits of keys, RFC 9001 section 6.6 --------------------------------------------------------------------

static void key_limits(void)
{
    struct stand s;

    if (forger_wants("too many packets that do not open")) {
        stand_init(&s, true, NULL);
        stand_reach(&s, STAND_CONFIRMED);
        struct plx_conn *c = stand_server_conn(&s);
        c->rx_failed = plx_aead_open_limit(c->keys->rx[0].alg);
        stand_forge(&s, PLX_SPACE_APP, "\x01", 1, (struct stand_opt){.is_spoilt = true});
        forger_expect_close(&s, part, "too many packets that do not open", QUIC, PLX_QUIC_AEAD_LIMIT_REACHED);
    }
    if (forger_wants("too many packets under one key")) {
        stand_init(&s, true, NULL);
        stand_reach(&s, STAND_CONFIRMED);
        struct plx_conn *c = stand_server_conn(&s);
        c->old_keys_until =
            plx_time_after(s.w.now, PLX_SEC(3600)); // the last update is not over: no new one may begin
        c->tx_sealed = plx_aead_seal_limit(c->keys->tx.alg) - CONN_SEAL_RESERVE;
        stand_forge(&s, PLX_SPACE_APP, "\x01", 1, (struct stand_opt){0});
        forger_expect_close(&s, part, "too many packets under one key", QUIC, PLX_QUIC_AEAD_LIMIT_REACHED);
    }
}

// --- a stranger: an address without any connection -----------------------------------------------------------

static struct plx_port *stranger_new(struct stand *s)
{
    struct plx_addr ip;
    struct plx_port_caps caps;
    char err[256];

    plx_check(plx_addr_parse("10.0.9.9:9999", &ip));
    struct plx_port *port = plx_sim_port_add(s->w.sim, &ip, s->w.up);
    plx_check(port != NULL);
    plx_check(port->ops->open(port, &(struct plx_port_cfg){.queues = 1}, &caps, err, sizeof err) == PLX_OK);
    return port;
}

static void stranger_free(struct plx_port *port)
{
    port->ops->close(port);
    plx_port_free(port);
}

static void stranger_says(struct stand *s, struct plx_port *port, const uint8_t *data, uint16_t len)
{
    struct plx_pkt *pkt;

    plx_check(port->ops->take(port, 0, &pkt, 1) == 1 && len <= pkt->cap);
    memcpy(pkt->data, data, len);
    pkt->len = len;
    pkt->ecn = PLX_ECN_NOT_ECT;
    pkt->flags = 0;
    pkt->peer = s->w.server_addr;
    pkt->local = (struct plx_addr){.af = PLX_AF_NONE};
    port->ops->tx(port, 0, &pkt, 1);
}

// One answer, copied; 0: none.
static uint16_t stranger_hears(struct plx_port *port, uint8_t *out)
{
    struct plx_pkt *pkt;

    if (port->ops->rx(port, 0, &pkt, 1) == 0)
        return 0;
    uint16_t len = pkt->len;
    memcpy(out, pkt->data, len);
    port->ops->give(port, 0, &pkt, 1);
    return len;
}

static void versions(void)
{
    static const char name[] = "an unknown version";
    // first octet, version, destination and source connection IDs of 5 and 3 octets
    uint8_t says[1200] = "\xc0\x5a\x6a\x7a\x8a\x05"
                         "DEST!"
                         "\x03"
                         "SRC",
            hears[2048];
    struct stand s;

    if (!forger_wants(name))
        return;
    stand_init(&s, true, NULL);
    struct plx_port *port = stranger_new(&s);
    stranger_says(&s, port, says, 1200);
    stand_run(&s, PLX_MS(5));
    uint16_t len = stranger_hears(port, hears);
    bool ok = len >= 15 + 4 && (len - 15) % 4 == 0 && (hears[0] & 0x80) &&
              memcmp(hears + 1,
                     "\0\0\0\0\x03SRC\x05"
                     "DEST!",
                     14) == 0;
    bool has_v1 = false;
    for (uint16_t at = 15; ok && at < len; at += 4)
        has_v1 |= memcmp(hears + at, "\0\0\0\1", 4) == 0;
    forger_row(part, name, ok && has_v1 && s.server->n.vnegs == 1, "no proper Version Negotiation, %u octets",
               len);
    forger_row(part, name, stranger_hears(port, hears) == 0, "more than one answer");
    stranger_says(&s, port, says, 1199);
    stand_run(&s, PLX_MS(5));
    forger_row(part, name, stranger_hears(port, hears) == 0, "a datagram that is too small was answered");
    says[1] = says[2] = says[3] = says[4] = 0; // Version Negotiation itself is never answered
    stranger_says(&s, port, says, 1200);
    stand_run(&s, PLX_MS(5));
    forger_row(part, name, stranger_hears(port, hears) == 0, "Version Negotiation was answered");
    stranger_free(port);
    forger_row(part, name, stand_fini(&s), "something was not given back");
}

static void strangers_reset(void)
{
    static const char name[] = "a packet of no connection";
    uint8_t says[1200] = "\x40"
                         "\x00"
                         "ABCDEFG"
                         "and so on",
            hears[2048], token[PLX_RESET_TOKEN_LEN];
    struct plx_cid cid = {.len = PLX_CID_LEN};
    struct stand s;

    if (!forger_wants(name))
        return;
    stand_init(&s, true, NULL);
    struct plx_port *port = stranger_new(&s);
    stand_run(&s, PLX_MS(5));
    memcpy(cid.bytes, says + 1, PLX_CID_LEN);
    plx_reset_token(s.w.server->reset_key, &cid, token);
    static const uint16_t sizes[] = {1200, 100, 43, 30, 29, 28, 22, 21, 20, 10};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        stranger_says(&s, port, says, sizes[i]);
        stand_run(&s, PLX_MS(5));
        uint16_t len = stranger_hears(port, hears);
        // Shorter than what it answers (RFC 9000 section 10.3.3), which has to be long enough for a packet with an ID of ours.
        bool is_wanted = sizes[i] >= 1 + PLX_CID_LEN + 4 + PLX_AEAD_TAG_LEN;
        bool ok = is_wanted ? len >= 21 && len < sizes[i] && (hears[0] & 0xc0) == 0x40 &&
                                  memcmp(hears + len - 16, token, 16) == 0
                            : len == 0;
        forger_row(part, name, ok, "%u octets were answered with %u", sizes[i], len);
    }
    // At most so many in a tick, RFC 9000 section 10.3.3.
    stand_run(&s, PLX_SEC(2));
    uint64_t before = s.server->n.resets;
    for (unsigned i = 0; i < 3 * PLX_RESETS_PER_TICK; i++)
        stranger_says(&s, port, says, 60);
    stand_run(&s, PLX_MS(5));
    unsigned count = 0;
    while (stranger_hears(port, hears) > 0)
        count++;
    forger_row(part, name,
               count > 0 && count <= 2 * PLX_RESETS_PER_TICK && count == s.server->n.resets - before,
               "%u resets for %u packets", count, 3 * PLX_RESETS_PER_TICK);
    stranger_free(port);
    forger_row(part, name, stand_fini(&s), "something was not given back");
}

// A server that has lost its memory of a connection: the client believes the reset.
static void lost_connection(void)
{
    static const char name[] = "a connection that the server has forgotten";
    struct stand s;

    if (!forger_wants(name))
        return;
    stand_init(&s, true, NULL);
    stand_reach(&s, STAND_CONFIRMED);
    struct plx_conn *c = stand_server_conn(&s);
    stand_lose(&s, false, true);
    conn_enter(c, s.w.now);
    conn_expire(c, PLX_CLOSE_IDLE);
    conn_leave(c);
    stand_run(&s, PLX_MS(5));
    stand_lose(&s, false, false);
    forger_row(part, name, stand_server_conn(&s) == NULL, "it has not");
    plx_conn_ping(s.conn);
    stand_run_closed(&s);
    forger_row(part, name, s.is_closed && s.why.how == PLX_CLOSE_STATELESS_RESET,
               "the client heard no reset: way %d", (int)s.why.how);
    forger_row(part, name, stand_fini(&s), "something was not given back");
}

void forger_admission(void)
{
    without("no connection object left", offsetof(struct plx_core, conns), PLX_QUIC_CONNECTION_REFUSED);
    without("no handshake object left", offsetof(struct plx_core, handshakes), PLX_QUIC_CONNECTION_REFUSED);
    without("no key object left", offsetof(struct plx_core, keys), PLX_QUIC_INTERNAL_ERROR);
    stopping();
    tokens();
    key_limits();
    versions();
    strangers_reset();
    lost_connection();
}
