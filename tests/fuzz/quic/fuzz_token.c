// fuzz_token.c -- tokens from arbitrary octets, and our own ones damaged: nothing that we did not seal is ever believed.
//
// The first octet chooses: an arbitrary token, or (when odd) a token of ours with the rest of the input laid over it by XOR.

#include <string.h>

#include "../base/ops.h"
#include "quic/wire/token.h"

static struct plx_token_keys keys;

static void prepare(void)
{
    static bool is_ready;
    char describe[128];
    uint8_t secret[PLX_TOKEN_SECRET_LEN] = {1, 2, 3};

    if (is_ready)
        return;
    plx_token_keys_init(&keys, plx_aead_pick(NULL, describe, sizeof describe));
    plx_token_keys_rotate(&keys, secret);
    secret[0]++;
    plx_token_keys_rotate(&keys, secret);
    is_ready = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct plx_addr peer = {.af = PLX_AF_IP4, .port = 443, .ip = {10, 0, 0, 1}};
    struct plx_cid odcid = {.len = 8, .bytes = "original"}, rscid = {.len = 8, .bytes = "retryscd"};
    struct plx_token_life life = {PLX_SEC(10), PLX_SEC(3600)};
    uint8_t nonce[PLX_TOKEN_NONCE_LEN] = {9}, token[PLX_TOKEN_LEN_MAX];
    struct plx_token_info info;
    plx_time now = {PLX_SEC(100).ns};
    bool is_changed = false;

    prepare();
    if (len == 0)
        return 0;
    if (!(data[0] & 1)) {
        plx_check(plx_token_open(&keys, data + 1, len - 1, &peer, &rscid, now, &life, NULL, &info) ==
                  PLX_TOKEN_INVALID);
        return 0;
    }
    size_t token_len = data[0] & 2 ? plx_token_seal_retry(&keys, &odcid, &rscid, &peer, now, nonce, token)
                                   : plx_token_seal_new(&keys, &peer, now, nonce, token);
    for (size_t i = 1; i < len && i <= token_len; i++) {
        token[i - 1] ^= data[i];
        is_changed |= data[i] != 0;
    }
    enum plx_token_result result =
        plx_token_open(&keys, token, token_len, &peer, &rscid, now, &life, NULL, &info);
    plx_check(result == (is_changed ? PLX_TOKEN_INVALID : PLX_TOKEN_OK));
    return 0;
}
