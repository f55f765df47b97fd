// args.c -- the words of cfg->args: those of DPDK's net_memif that mean something here, and what they mean when they are missing.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "memif.h"

static bool number_read(const char *at, size_t len, uint32_t least, uint32_t most, uint32_t *out)
{
    char text[16], *end;

    if (len == 0 || len >= sizeof text || at[0] < '0' || at[0] > '9')
        return false;
    memcpy(text, at, len);
    text[len] = '\0';
    unsigned long long v = strtoull(text, &end, 10);
    *out = (uint32_t)v;
    return *end == '\0' && v >= least && v <= most;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// Six octets with colons between, of one station.
static bool mac_read(const char *at, size_t len, uint8_t mac[6])
{
    static const uint8_t none[6];

    if (len != 17)
        return false;
    for (unsigned i = 0; i < 6; i++, at += 3) {
        int high = hex(at[0]), low = hex(at[1]);
        if (high < 0 || low < 0 || (i < 5 && at[2] != ':'))
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return (mac[0] & 1) == 0 && memcmp(mac, none, 6) != 0;
}

static bool text_read(const char *at, size_t len, char *out, size_t room)
{
    if (len == 0 || len >= room)
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

static bool role_read(const char *at, size_t len, bool *is_server)
{
    *is_server = len == 6 && memcmp(at, "server", 6) == 0;
    return *is_server || (len == 6 && memcmp(at, "client", 6) == 0);
}

static bool ring_read(const char *at, size_t len, unsigned *log2)
{
    uint32_t v;
    if (!number_read(at, len, 3, MEMIF_RING_LOG2_MAX, &v))
        return false;
    *log2 = v;
    return true;
}

// One "KEY=VALUE". NULL, or what the value has to be; "" for a key that there is not.
static const char *word_read(struct memif_args *a, const char *at, size_t len)
{
    const char *equals = memchr(at, '=', len);
    if (equals == NULL)
        return "";
    size_t key = (size_t)(equals - at), value = len - key - 1;
    const char *v = equals + 1;
#define KEY_IS(name) (key == sizeof(name) - 1 && memcmp(at, name, sizeof(name) - 1) == 0)
    if (KEY_IS("role"))
        return role_read(v, value, &a->is_server) ? NULL : "client or server";
    if (KEY_IS("socket"))
        return text_read(v, value, a->path, sizeof a->path) ? NULL
                                                            : "the path of a socket, at most 107 characters";
    if (KEY_IS("id"))
        return number_read(v, value, 0, UINT32_MAX, &a->id) ? NULL : "a number, the same on both sides";
    if (KEY_IS("rsize"))
        return ring_read(v, value, &a->ring_log2) ? NULL
                                                  : "from 3 to 14: the power of two of places in a ring";
    if (KEY_IS("bsize"))
        return number_read(v, value, 256, MEMIF_BUFFER_MAX, &a->buffer) ? NULL : "from 256 to 16384 octets";
    if (KEY_IS("secret"))
        return text_read(v, value, a->secret, sizeof a->secret) ? NULL : "1 to 23 characters";
    if (KEY_IS("mac"))
        return mac_read(v, value, a->mac) ? NULL : "the address of one station, as 02:00:00:00:00:01";
    if (KEY_IS("wait"))
        return number_read(v, value, 0, 60000, &a->wait_ms) ? NULL : "from 0 to 60000 milliseconds";
#undef KEY_IS
    return "";
}

enum plx_err memif_args_read(const char *args, struct memif_args *out, char *err, size_t err_len)
{
    const char *at = args == NULL ? "" : args;

    *out = (struct memif_args){
        .path = "/run/memif.sock", .ring_log2 = MEMIF_RING_LOG2, .wait_ms = MEMIF_WAIT_MS};
    while (*at != '\0') {
        size_t len = strcspn(at, ",");
        const char *wants = word_read(out, at, len);
        if (wants != NULL && wants[0] != '\0') {
            snprintf(err, err_len, "memif: \"%.*s\": want %s", (int)len, at, wants);
            return PLX_ERR_INVALID;
        }
        if (wants != NULL) {
            snprintf(
                err, err_len,
                "memif: unknown driver argument \"%.*s\"; there are role=client|server, socket=PATH, id=N, "
                "rsize=LOG2, bsize=N, secret=TEXT, mac=MAC and wait=MS",
                (int)len, at);
            return PLX_ERR_INVALID;
        }
        at += len;
        at += *at == ',';
    }
    return PLX_OK;
}
