// tparam.c -- reading, writing and remembering transport parameters.
//
// The integers are rows of a table (identifier, where it lives, its default, its range, whether 0-RTT relies on it), so reading,
// writing and remembering one is a loop and not a case. The others (connection IDs, tokens, flags, the preferred address) are few
// and each a function.
//
// Duplicates are found with one bit per parameter that we know; an unknown one twice is not noticed, which the RFC leaves to us
// ("SHOULD"). The list comes from an authenticated handshake but from a peer we do not trust, so every length is checked against the
// parameter it stands in: a value that ends before its Length does is as wrong as one that ends behind it.

#include "quic/wire/tparam.h"

enum {
    ID_ORIGINAL_DCID = 0x00,
    ID_RESET_TOKEN = 0x02,
    ID_PREFERRED_ADDR = 0x0d,
    ID_DISABLE_MIGRATION = 0x0c,
    ID_INITIAL_SCID = 0x0f,
    ID_RETRY_SCID = 0x10,
    ID_GREASE_QUIC_BIT = 0x2ab2, // RFC 9287 section 3
};

#define NO_MAX      PLX_VARINT_MAX
#define STREAMS_MAX (UINT64_C(1) << 60)

// FORGET: not remembered. REMEMBER: 0-RTT uses the old value, the server may choose another. KEEP: the server must not go below it.
enum zero_rtt { FORGET, REMEMBER, KEEP };

struct row {
    uint16_t id, offset;
    uint64_t initial, min, max;
    enum zero_rtt zero_rtt;
    const char *wrong;
};

#define FIELD(name) offsetof(struct plx_tparams, name)

// Section 18.2, and section 7.4.1 for what is remembered. RFC 9221 section 3 for datagrams.
static const struct row rows[] = {
    {0x01, FIELD(max_idle_timeout_ms), 0, 0, NO_MAX, REMEMBER, "max_idle_timeout"},
    {0x03, FIELD(max_udp_payload_size), 65527, 1200, NO_MAX, REMEMBER, "max_udp_payload_size below 1200"},
    {0x04, FIELD(initial_max_data), 0, 0, NO_MAX, KEEP, "initial_max_data"},
    {0x05, FIELD(initial_max_stream_data_bidi_local), 0, 0, NO_MAX, KEEP,
     "initial_max_stream_data_bidi_local"},
    {0x06, FIELD(initial_max_stream_data_bidi_remote), 0, 0, NO_MAX, KEEP,
     "initial_max_stream_data_bidi_remote"},
    {0x07, FIELD(initial_max_stream_data_uni), 0, 0, NO_MAX, KEEP, "initial_max_stream_data_uni"},
    {0x08, FIELD(initial_max_streams_bidi), 0, 0, STREAMS_MAX, KEEP, "initial_max_streams_bidi above 2^60"},
    {0x09, FIELD(initial_max_streams_uni), 0, 0, STREAMS_MAX, KEEP, "initial_max_streams_uni above 2^60"},
    {0x0a, FIELD(ack_delay_exponent), 3, 0, 20, FORGET, "ack_delay_exponent above 20"},
    {0x0b, FIELD(max_ack_delay_ms), 25, 0, (1 << 14) - 1, FORGET, "max_ack_delay of 2^14 or more"},
    {0x0e, FIELD(active_connection_id_limit), 2, 2, NO_MAX, KEEP, "active_connection_id_limit below 2"},
    {0x20, FIELD(max_datagram_frame_size), 0, 0, NO_MAX, KEEP, "max_datagram_frame_size"},
};
enum { ROWS = sizeof rows / sizeof *rows };

static uint64_t *value_at(struct plx_tparams *t, const struct row *row)
{
    return (uint64_t *)(void *)((char *)t + row->offset);
}

static uint64_t value_of(const struct plx_tparams *t, const struct row *row)
{
    uint64_t v;
    memcpy(&v, (const char *)t + row->offset, sizeof v);
    return v;
}

void plx_tparams_init(struct plx_tparams *t)
{
    *t = (struct plx_tparams){0};
    for (unsigned i = 0; i < ROWS; i++)
        *value_at(t, &rows[i]) = rows[i].initial;
}

// --- reading -----------------------------------------------------------------------------------------------

// Each gets a cursor over the value alone and must use it up. NULL, or what is wrong.

static const char *row_read(struct plx_rd *v, const struct row *row, struct plx_tparams *out)
{
    uint64_t value = plx_rd_varint(v);

    if (v->is_short || plx_rd_left(v) != 0)
        return "an integer parameter that is not one integer";
    if (value < row->min || value > row->max)
        return row->wrong;
    *value_at(out, row) = value;
    return NULL;
}

static const char *cid_read(struct plx_rd *v, struct plx_cid *cid, bool *has)
{
    size_t len = plx_rd_left(v);
    const uint8_t *p = plx_rd_bytes(v, len);

    if (len > PLX_CID_MAX)
        return "a connection ID longer than 20";
    cid->len = (uint8_t)len;
    memcpy(cid->bytes, p, len);
    *has = true;
    return NULL;
}

static const char *reset_token_read(struct plx_rd *v, struct plx_tparams *out)
{
    if (plx_rd_left(v) != PLX_RESET_TOKEN_LEN)
        return "stateless_reset_token of a length other than 16";
    memcpy(out->reset_token, plx_rd_bytes(v, PLX_RESET_TOKEN_LEN), PLX_RESET_TOKEN_LEN);
    out->has_reset_token = true;
    return NULL;
}

static const char *flag_read(struct plx_rd *v, bool *flag)
{
    if (plx_rd_left(v) != 0)
        return "a flag with a value";
    *flag = true;
    return NULL;
}

static void addr_read(struct plx_rd *v, enum plx_af af, size_t ip_len, struct plx_addr *out)
{
    static const uint8_t zero[16];
    const uint8_t *ip = plx_rd_bytes(v, ip_len);
    uint16_t port = plx_rd_u16(v);

    //= rfc9000 18.2 "an all-zero address and port (0.0.0.0:0 or [::]:0) for the other family"
    if (ip == NULL || (port == 0 && memcmp(ip, zero, ip_len) == 0))
        return;
    out->af = (uint8_t)af;
    out->port = port;
    memcpy(out->ip, ip, ip_len);
}

static const char *preferred_addr_read(struct plx_rd *v, struct plx_tparams *out)
{
    struct plx_preferred_addr *a = &out->preferred_addr;

    addr_read(v, PLX_AF_IP4, 4, &a->ip4);
    addr_read(v, PLX_AF_IP6, 16, &a->ip6);
    uint8_t len = plx_rd_u8(v);
    const uint8_t *cid = plx_rd_bytes(v, len);
    const uint8_t *token = plx_rd_bytes(v, PLX_RESET_TOKEN_LEN);
    if (v->is_short || plx_rd_left(v) != 0)
        return "preferred_address of a wrong length";
    //= rfc9000 18.2 "A server that chooses a zero-length connection ID MUST NOT provide a preferred address"
    if (len < 1 || len > PLX_CID_MAX)
        return "preferred_address with an impossible connection ID";
    a->cid.len = len;
    memcpy(a->cid.bytes, cid, len);
    memcpy(a->token, token, PLX_RESET_TOKEN_LEN);
    out->has_preferred_addr = true;
    return NULL;
}

static bool is_server_only(uint64_t id)
{
    return id == ID_ORIGINAL_DCID || id == ID_RESET_TOKEN || id == ID_PREFERRED_ADDR || id == ID_RETRY_SCID;
}

static const char *param_read(uint64_t id, struct plx_rd *v, struct plx_tparams *out)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (rows[i].id == id)
            return row_read(v, &rows[i], out);
    switch (id) {
    case ID_ORIGINAL_DCID:
        return cid_read(v, &out->original_dcid, &out->has_original_dcid);
    case ID_INITIAL_SCID:
        return cid_read(v, &out->initial_scid, &out->has_initial_scid);
    case ID_RETRY_SCID:
        return cid_read(v, &out->retry_scid, &out->has_retry_scid);
    case ID_RESET_TOKEN:
        return reset_token_read(v, out);
    case ID_PREFERRED_ADDR:
        return preferred_addr_read(v, out);
    case ID_DISABLE_MIGRATION:
        return flag_read(v, &out->disable_active_migration);
    case ID_GREASE_QUIC_BIT:
        return flag_read(v, &out->grease_quic_bit);
    default:
        //= rfc9000 7.4.2 "An endpoint MUST ignore transport parameters that it does not support"
        return NULL;
    }
}

// One bit for each parameter that we know; 0 for others.
static uint64_t seen_bit(uint64_t id)
{
    if (id <= 0x20)
        return UINT64_C(1) << id;
    return id == ID_GREASE_QUIC_BIT ? UINT64_C(1) << 63 : 0;
}

const char *plx_tparams_read(const uint8_t *p, size_t len, bool is_from_server, struct plx_tparams *out)
{
    struct plx_rd r = plx_rd_init(p, len);
    uint64_t seen = 0;

    plx_tparams_init(out);
    while (plx_rd_left(&r) > 0) {
        uint64_t id = plx_rd_varint(&r);
        uint64_t value_len = plx_rd_varint(&r);
        const uint8_t *value = plx_rd_bytes(&r, value_len);
        if (r.is_short)
            return "transport parameters end within one";
        //= rfc9000 7.4 "An endpoint SHOULD treat receipt of duplicate transport parameters as a connection error of type TRANSPORT_PARAMETER_ERROR"
        if (seen & seen_bit(id))
            return "a transport parameter twice";
        seen |= seen_bit(id);
        //= rfc9000 18.2 "A server MUST treat receipt of any of these transport parameters as a connection error of type TRANSPORT_PARAMETER_ERROR"
        if (!is_from_server && is_server_only(id))
            return "a transport parameter that only servers send";
        struct plx_rd v = plx_rd_init(value, value_len);
        const char *wrong = param_read(id, &v, out);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

// --- writing -----------------------------------------------------------------------------------------------

static void bytes_write(struct plx_wr *w, uint64_t id, const uint8_t *p, size_t len)
{
    plx_wr_varint(w, id);
    plx_wr_varint(w, len);
    plx_wr_bytes(w, p, len);
}

static void row_write(struct plx_wr *w, const struct row *row, uint64_t value)
{
    plx_wr_varint(w, row->id);
    plx_wr_varint(w, plx_varint_len(value));
    plx_wr_varint(w, value);
}

static void preferred_addr_write(struct plx_wr *w, const struct plx_preferred_addr *a)
{
    plx_wr_varint(w, ID_PREFERRED_ADDR);
    plx_wr_varint(w, 4 + 2 + 16 + 2 + 1 + a->cid.len + PLX_RESET_TOKEN_LEN);
    plx_wr_bytes(w, a->ip4.ip, 4);
    plx_wr_u16(w, a->ip4.port);
    plx_wr_bytes(w, a->ip6.ip, 16);
    plx_wr_u16(w, a->ip6.port);
    plx_wr_u8(w, a->cid.len);
    plx_wr_bytes(w, a->cid.bytes, a->cid.len);
    plx_wr_bytes(w, a->token, PLX_RESET_TOKEN_LEN);
}

// Section 18.1: identifiers 31 * N + 27 mean nothing, any length and content. Of these only those below 2^16: nginx (1.26 was seen) looks at
// the low 16 bits of an identifier, and takes one that ends in 0x000e for another active_connection_id_limit. One handshake of some thousands
// failed by it.
static void grease_write(struct plx_wr *w, uint64_t grease)
{
    uint64_t n = (grease >> 32) % ((UINT16_MAX - 27) / 31 + 1);
    uint8_t value[8];

    plx_store_le64(value, grease * UINT64_C(0x9e3779b97f4a7c15));
    bytes_write(w, 31 * n + 27, value, grease % 8);
}

static bool commit(struct plx_wr *w, const struct plx_wr *t)
{
    if (t->is_full)
        return false;
    w->p = t->p;
    return true;
}

bool plx_tparams_write(struct plx_wr *w, const struct plx_tparams *t, uint64_t grease)
{
    struct plx_wr o = *w;

    for (unsigned i = 0; i < ROWS; i++)
        if (value_of(t, &rows[i]) != rows[i].initial)
            row_write(&o, &rows[i], value_of(t, &rows[i]));
    if (t->has_original_dcid)
        bytes_write(&o, ID_ORIGINAL_DCID, t->original_dcid.bytes, t->original_dcid.len);
    if (t->has_initial_scid)
        bytes_write(&o, ID_INITIAL_SCID, t->initial_scid.bytes, t->initial_scid.len);
    if (t->has_retry_scid)
        bytes_write(&o, ID_RETRY_SCID, t->retry_scid.bytes, t->retry_scid.len);
    if (t->has_reset_token)
        bytes_write(&o, ID_RESET_TOKEN, t->reset_token, PLX_RESET_TOKEN_LEN);
    if (t->has_preferred_addr)
        preferred_addr_write(&o, &t->preferred_addr);
    if (t->disable_active_migration)
        bytes_write(&o, ID_DISABLE_MIGRATION, NULL, 0);
    if (t->grease_quic_bit)
        bytes_write(&o, ID_GREASE_QUIC_BIT, NULL, 0);
    if (grease != 0)
        grease_write(&o, grease);
    return commit(w, &o);
}

// --- what 0-RTT remembers ----------------------------------------------------------------------------------

bool plx_tparams_write_remembered(struct plx_wr *w, const struct plx_tparams *t)
{
    struct plx_wr o = *w;

    for (unsigned i = 0; i < ROWS; i++)
        if (rows[i].zero_rtt != FORGET && value_of(t, &rows[i]) != rows[i].initial)
            row_write(&o, &rows[i], value_of(t, &rows[i]));
    if (t->disable_active_migration)
        bytes_write(&o, ID_DISABLE_MIGRATION, NULL, 0);
    return commit(w, &o);
}

bool plx_tparams_is_kept(const struct plx_tparams *remembered, const struct plx_tparams *now)
{
    //= rfc9000 7.4.1 "the server MUST NOT reduce any limits or alter any values that might be violated by the client with its 0-RTT data"
    for (unsigned i = 0; i < ROWS; i++)
        if (rows[i].zero_rtt == KEEP && value_of(now, &rows[i]) < value_of(remembered, &rows[i]))
            return false;
    return true;
}
