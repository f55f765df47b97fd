// forge.c -- packets that no honest client would send, with its own keys. See stand.h.

#include "tests/conform/stand.h"

#include <string.h>

#include "base/check.h"
#include "tests/lib/forged.h"

enum { DGRAM_MIN = 1200, DGRAM_MAX = 1400 };

void stand_send(struct stand *s, const void *data, size_t len)
{
    struct plx_core *k = s->client;
    struct plx_pkt *pkt;

    plx_check(k->ops->take(k->port, 0, &pkt, 1) == 1);
    plx_check(len <= pkt->cap);
    memcpy(pkt->data, data, len);
    pkt->len = (uint16_t)len;
    pkt->ecn = PLX_ECN_NOT_ECT;
    pkt->flags = 0;
    pkt->peer = s->w.server_addr;
    pkt->local = (struct plx_addr){.af = PLX_AF_NONE};
    k->ops->tx(k->port, 0, &pkt, 1);
    stand_run(s, PLX_MS(2));
}

// The client remembers the packet as one of its own without content: the server may acknowledge it.
static void remember(struct stand *s, struct plx_space *sp, enum plx_space_id space, uint64_t pn, size_t len)
{
    static const struct plx_refs none;

    sp->next_pn = pn;
    plx_check(plx_recovery_can_remember(sp));
    plx_check(plx_recovery_on_sent(&s->conn->recovery, sp, space, pn, (uint16_t)len, true, true,
                                   PLX_ECN_NOT_ECT, &none, s->w.now));
    sp->next_pn = pn + 1;
}

void stand_forge(struct stand *s, enum plx_space_id space, const void *payload, size_t len,
                 struct stand_opt opt)
{
    struct plx_conn *c = s->conn;
    plx_check(c != NULL);
    struct plx_space *sp = conn_space(c, space);
    plx_check(sp != NULL && conn_keys_can_seal(c, space));
    uint8_t out[DGRAM_MAX];
    const struct forged how = {.space = space,
                               .pn = sp->next_pn + opt.pn_skip,
                               .first_xor = opt.first_xor,
                               .use_next_keys = opt.use_next_keys,
                               .is_spoilt = opt.is_spoilt,
                               .padded_to = space == PLX_SPACE_INITIAL ? DGRAM_MIN - PLX_AEAD_TAG_LEN : 0};
    size_t total = forged_write(c, &how, payload, len, out, sizeof out);
    remember(s, sp, space, how.pn, total);
    stand_send(s, out, total);
}

// --- a ClientHello ------------------------------------------------------------------------------------------

static uint8_t *extension_begin(struct plx_wr *w, uint16_t type)
{
    plx_wr_u16(w, type);
    return plx_wr_skip(w, 2);
}

static void patch(const struct plx_wr *w, uint8_t *at)
{
    size_t len = (size_t)(w->p - at - 2);
    at[0] = (uint8_t)(len >> 8);
    at[1] = (uint8_t)len;
}

static void extension(struct plx_wr *w, uint16_t type, const char *data, size_t len)
{
    uint8_t *at = extension_begin(w, type);
    plx_wr_bytes(w, data, len);
    patch(w, at);
}

static void transport_parameters(const struct stand *s, const struct stand_hello *h, struct plx_wr *w)
{
    const struct plx_cid *scid = &s->conn->cids.v[0].cid;
    uint8_t *at = extension_begin(w, 0x39);

    if (!h->no_scid) {
        plx_wr_u8(w, 0x0f);
        plx_wr_u8(w, scid->len);
        plx_wr_bytes(w, scid->bytes, scid->len);
    }
    if (h->params_len > 0)
        plx_wr_bytes(w, h->params, h->params_len);
    patch(w, at);
}

static void key_share(const struct stand_hello *h, struct plx_wr *w)
{
    uint8_t *at = extension_begin(w, 0x33);
    uint8_t share[32] = {9}; // a point on the curve
    uint8_t *list = plx_wr_skip(w, 2);

    plx_wr_u16(w, h->no_shared_group ? 0x0100 : 0x001d);
    plx_wr_u16(w, h->has_bad_share ? 5 : sizeof share);
    plx_wr_bytes(w, share, h->has_bad_share ? 5 : sizeof share);
    patch(w, list);
    patch(w, at);
}

size_t stand_hello_write(const struct stand *s, const struct stand_hello *h, uint8_t *out, size_t cap)
{
    static const uint8_t random[32] = {1, 2, 3};
    struct plx_wr w = plx_wr_init(out, cap);
    const char *alpn = h->alpn != NULL ? h->alpn : "h3";

    plx_wr_u8(&w, 1); // client_hello
    plx_wr_u8(&w, 0);
    uint8_t *whole = plx_wr_skip(&w, 2);
    plx_wr_u16(&w, 0x0303);
    plx_wr_bytes(&w, random, sizeof random);
    plx_wr_u8(&w, h->has_session_id ? 4 : 0);
    if (h->has_session_id)
        plx_wr_bytes(&w, random, 4);
    plx_wr_u16(&w, 2);
    plx_wr_u16(&w, h->no_shared_cipher ? 0x1304 : 0x1301);
    plx_wr_u16(&w, 0x0100); // compression: none
    uint8_t *extensions = plx_wr_skip(&w, 2);
    extension(&w, 0x2b, h->no_tls13 ? "\x02\x03\x03" : "\x02\x03\x04", 3);
    if (!h->no_groups)
        extension(&w, 0x0a, h->no_shared_group ? "\x00\x02\x01\x00" : "\x00\x02\x00\x1d", 4);
    if (!h->no_key_share)
        key_share(h, &w);
    if (!h->no_signatures)
        extension(&w, 0x0d, "\x00\x02\x08\x07", 4);
    if (!h->no_alpn) {
        uint8_t *at = extension_begin(&w, 0x10), *list = plx_wr_skip(&w, 2);
        plx_wr_u8(&w, (uint8_t)strlen(alpn));
        plx_wr_bytes(&w, alpn, strlen(alpn));
        patch(&w, list);
        patch(&w, at);
    }
    if (!h->no_params)
        transport_parameters(s, h, &w);
    patch(&w, extensions);
    if (h->is_cut) // the extensions claim to be longer than the message is
        extensions[1]++;
    patch(&w, whole);
    plx_check(!w.is_full);
    return (size_t)(w.p - out);
}
