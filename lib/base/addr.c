// addr.c -- addresses as people write them: "192.0.2.1:443", "[2001:db8::1]:443", "[fe80::1%2]:443".
//
// libc knows how to print and read the address itself (RFC 5952's short form included); what is here is the port,
// the brackets and the scope, which is a number because no name is looked up. The parser is strict: what
// it accepts it accepts completely, and every text that plx_addr_str() makes comes back as the same address.

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "plx/types.h"

_Static_assert(sizeof(struct plx_addr) == 24, "no padding: addresses are compared as bytes");

const char *plx_addr_str(const struct plx_addr *a, char buf[PLX_ADDR_STRLEN])
{
    char ip[INET6_ADDRSTRLEN];

    switch (a->af) {
    case PLX_AF_IP4:
        snprintf(buf, PLX_ADDR_STRLEN, "%u.%u.%u.%u:%u", a->ip[0], a->ip[1], a->ip[2], a->ip[3], a->port);
        break;
    case PLX_AF_IP6:
        inet_ntop(AF_INET6, a->ip, ip, sizeof ip);
        if (a->scope != 0)
            snprintf(buf, PLX_ADDR_STRLEN, "[%s%%%u]:%u", ip, a->scope, a->port);
        else
            snprintf(buf, PLX_ADDR_STRLEN, "[%s]:%u", ip, a->port);
        break;
    default:
        snprintf(buf, PLX_ADDR_STRLEN, "(none)");
    }
    return buf;
}

// Decimal digits up to the end of the text, at most max. strtoul would take signs, blanks and hexadecimal.
static bool number_parse(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        v = v * 10 + (uint64_t)(*text - '0');
        if (v > max)
            return false;
    }
    *out = (uint32_t)v;
    return true;
}

// host is "addr" or "addr%scope", without brackets.
static bool ip6_parse(char *host, struct plx_addr *a)
{
    char *percent = strchr(host, '%');

    if (percent != NULL) {
        *percent = '\0';
        if (!number_parse(percent + 1, UINT32_MAX, &a->scope) || a->scope == 0)
            return false;
    }
    a->af = PLX_AF_IP6;
    return inet_pton(AF_INET6, host, a->ip) == 1;
}

bool plx_addr_parse(const char *text, struct plx_addr *out)
{
    struct plx_addr a = {0};
    char host[PLX_ADDR_STRLEN];
    uint32_t port;

    const char *colon = strrchr(text, ':');
    if (colon == NULL || !number_parse(colon + 1, UINT16_MAX, &port))
        return false;
    a.port = (uint16_t)port;

    bool is_ip6 = text[0] == '[';
    const char *first = is_ip6 ? text + 1 : text;
    const char *end = is_ip6 ? colon - 1 : colon;
    if (end < first || (is_ip6 && *end != ']') || (size_t)(end - first) >= sizeof host)
        return false;
    memcpy(host, first, (size_t)(end - first));
    host[end - first] = '\0';

    if (is_ip6) {
        if (!ip6_parse(host, &a))
            return false;
    } else {
        a.af = PLX_AF_IP4;
        if (inet_pton(AF_INET, host, a.ip) != 1)
            return false;
    }
    *out = a;
    return true;
}
