// plx/types.h -- the small types that every part of Pollux, and every program on it, shares.
//
// Units are types: a point in time cannot be added to another, nor milliseconds be passed for nanoseconds,
// because the compiler says so. Addresses are values without a family's worth of casts. Errors are the few
// things a caller must react to; what is told to the peer is a separate space (62-bit wire codes).

#ifndef PLX_TYPES_H
#define PLX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PLX_API      __attribute__((visibility("default")))
#define PLX_MUST_USE __attribute__((warn_unused_result))
#else
#define PLX_API
#define PLX_MUST_USE
#endif

// --- time --------------------------------------------------------------------------------------------------

// clang-format off
typedef struct { uint64_t ns; } plx_time; // a point on the engine's monotonic clock
typedef struct { uint64_t ns; } plx_dur;  // the length of an interval

#define PLX_NS(x)  ((plx_dur){(uint64_t)(x)})
#define PLX_US(x)  ((plx_dur){(uint64_t)(x) * UINT64_C(1000)})
#define PLX_MS(x)  ((plx_dur){(uint64_t)(x) * UINT64_C(1000000)})
#define PLX_SEC(x) ((plx_dur){(uint64_t)(x) * UINT64_C(1000000000)})
#define PLX_NEVER  ((plx_time){UINT64_MAX})
// clang-format on

// --- errors ------------------------------------------------------------------------------------------------

// What a caller must react to. Each function's comment says which of them it returns and what to do then.
enum plx_err {
    PLX_OK = 0,
    PLX_ERR_AGAIN,   // nothing was done, a resource is full for now; the comment says which event to wait for
    PLX_ERR_CLOSED,  // the stream or connection is over; drop what you wanted to send
    PLX_ERR_INVALID, // the arguments make no sense together; a programming error that is worth reporting
    PLX_ERR_NOMEM,  // a pool that was sized by configuration is empty; raise the limit that the message names
    PLX_ERR_SYSTEM, // the operating system or a device refused; the message says what and the remedy
};

// A sentence for people, never NULL. Any thread.
PLX_API const char *plx_err_str(enum plx_err err);

// --- addresses ---------------------------------------------------------------------------------------------

enum plx_af { PLX_AF_NONE = 0, PLX_AF_IP4 = 4, PLX_AF_IP6 = 6 };

// An IP address and a UDP port. Compare with plx_addr_eq(): bytes that the family does not use are zero.
struct plx_addr {
    uint8_t ip[16];   // network order; IPv4 uses the first four octets, the rest are zero
    uint16_t port;    // host order
    uint8_t af;       // enum plx_af
    uint8_t reserved; // zero
    uint32_t scope;   // interface index of a link-local IPv6 address, else 0
};

// The same address, port and scope. Any thread.
static inline bool plx_addr_eq(const struct plx_addr *a, const struct plx_addr *b)
{
    return __builtin_memcmp(a, b, sizeof *a) == 0;
}

// The same address and scope, whatever the ports. Any thread.
static inline bool plx_addr_ip_eq(const struct plx_addr *a, const struct plx_addr *b)
{
    return a->af == b->af && a->scope == b->scope && __builtin_memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

// Room for "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535" and its NUL.
#define PLX_ADDR_STRLEN 72

// "192.0.2.1:443", "[2001:db8::1]:443". Returns buf. Any thread.
PLX_API const char *plx_addr_str(const struct plx_addr *a, char buf[PLX_ADDR_STRLEN]);

// The reverse: a numeric address with a port; no name is looked up. False when the text is anything
// else; out is then not to be used. Any thread.
PLX_API PLX_MUST_USE bool plx_addr_parse(const char *text, struct plx_addr *out);

// --- spans -------------------------------------------------------------------------------------------------

struct plx_span { // borrowed bytes, not NUL-terminated
    const uint8_t *p;
    size_t len;
};

// Somebody who keeps bytes alive. release() is called exactly once for every buffer handed over with this
// owner, on the core that owns the stream, when the bytes are no longer needed (acknowledged, reset, or the
// connection is gone). The implementer counts.
struct plx_owner {
    void (*release)(struct plx_owner *owner, const void *data, size_t len);
};

// Bytes on their way out, borrowed until owner->release. owner NULL: they outlive the engine (constants,
// prepared blocks).
struct plx_buf {
    const void *data;
    size_t len;
    struct plx_owner *owner;
};

// An HTTP field (or pseudo-field, whose name starts with ':'): borrowed bytes.
struct plx_field {
    const char *name; // lower case
    const char *value;
    uint32_t name_len, value_len;
    bool never_index; // sensitive: never enters a compression table, RFC 9204 section 7.1.3
};

#ifdef __cplusplus
}
#endif
#endif
