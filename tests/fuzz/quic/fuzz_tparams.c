// fuzz_tparams.c -- transport parameters from arbitrary octets; the first octet says who sent them. What is read is written and read again.

#include "../base/ops.h"
#include "quic/wire/tparam.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct plx_tparams t, again;
    uint8_t buf[PLX_TPARAMS_LEN_MAX];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);

    if (len == 0)
        return 0;
    bool is_from_server = data[0] & 1;
    if (plx_tparams_read(data + 1, len - 1, is_from_server, &t) != NULL)
        return 0;
    plx_check(t.max_udp_payload_size >= 1200 && t.ack_delay_exponent <= 20 && t.max_ack_delay_ms < 1 << 14);
    plx_check(t.active_connection_id_limit >= 2);
    plx_check(is_from_server ||
              !(t.has_original_dcid || t.has_retry_scid || t.has_reset_token || t.has_preferred_addr));
    plx_check(plx_tparams_write(&w, &t, data[0] * UINT64_C(0x123456789abcdef)));
    plx_check(plx_tparams_read(buf, (size_t)(w.p - buf), is_from_server, &again) == NULL);
    plx_check(memcmp(&t, &again, sizeof t) == 0);

    w = plx_wr_init(buf, sizeof buf);
    plx_check(plx_tparams_write_remembered(&w, &t));
    plx_check(plx_tparams_read(buf, (size_t)(w.p - buf), true, &again) == NULL);
    plx_check(plx_tparams_is_kept(&again, &t));
    return 0;
}
