// url.c -- see url.h.

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/port_opts.h"
#include "common/url.h"

static bool copy_host(struct url *u, const char *p, size_t len)
{
    if (len == 0 || len >= sizeof u->host)
        return false;
    memcpy(u->host, p, len);
    u->host[len] = '\0';
    return strpbrk(u->host, " \t@\\") == NULL;
}

bool url_parse(const char *text, struct url *u)
{
    static const char scheme[] = "https://";
    uint64_t port = 443;

    if (strncasecmp(text, scheme, sizeof scheme - 1) == 0)
        text += sizeof scheme - 1;
    else if (strstr(text, "://") != NULL)
        return false; // HTTP/3 is https only here
    size_t len = strcspn(text, "/?#");
    if (len >= sizeof u->authority)
        return false;
    memcpy(u->authority, text, len);
    u->authority[len] = '\0';
    u->path = text[len] == '/' ? text + len : "/";

    const char *host = u->authority, *end;
    if (*host == '[') {
        end = strchr(++host, ']');
        if (end == NULL || !copy_host(u, host, (size_t)(end - host)))
            return false;
        end++;
    } else {
        end = host + strcspn(host, ":");
        if (!copy_host(u, host, (size_t)(end - host)))
            return false;
    }
    if (*end == ':' && !parse_number(end + 1, 1, 65535, &port))
        return false;
    u->port = (uint16_t)port;
    return *end == ':' || *end == '\0';
}

static void from_sockaddr(const struct sockaddr *sa, struct plx_addr *out)
{
    memset(out, 0, sizeof *out);
    if (sa->sa_family == AF_INET) {
        out->af = PLX_AF_IP4;
        memcpy(out->ip, &((const struct sockaddr_in *)sa)->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        out->af = PLX_AF_IP6;
        out->scope = in6->sin6_scope_id;
        memcpy(out->ip, &in6->sin6_addr, 16);
    }
}

// connect_to "ADDRESS:PORT" stands in for the name's own address (as curl's --connect-to does).
bool url_resolve(const struct url *url, const char *connect_to, struct plx_addr *out, const char **why)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM}, *list = NULL;

    if (connect_to != NULL) {
        *why = "--connect-to: want ADDRESS:PORT";
        return plx_addr_parse(connect_to, out);
    }
    int err = getaddrinfo(url->host, NULL, &hints, &list);
    if (err != 0) {
        *why = gai_strerror(err);
        return false;
    }
    // The system's order is its preference (RFC 6724); a server on a loopback name listens on IPv4 more often than not.
    const struct addrinfo *pick = list;
    for (const struct addrinfo *a = list; a != NULL && strcmp(url->host, "localhost") == 0; a = a->ai_next)
        if (a->ai_family == AF_INET) {
            pick = a;
            break;
        }
    from_sockaddr(pick->ai_addr, out);
    out->port = url->port;
    freeaddrinfo(list);
    return true;
}
