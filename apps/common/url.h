// url.h -- https URLs, and the addresses behind their hosts, for programs that connect.

#ifndef PLX_APPS_URL_H
#define PLX_APPS_URL_H

#include <plx/plx.h>

struct url {
    char host[256];      // as in the URL, without brackets
    char authority[280]; // host and port as they go into :authority
    uint16_t port;
    const char *path; // with query; into the URL's own text, or "/"
};

bool url_parse(const char *text, struct url *out);

// The host's address. connect_to "ADDRESS:PORT" stands in for it unless it is NULL. False: *why is a static sentence.
bool url_resolve(const struct url *url, const char *connect_to, struct plx_addr *out, const char **why);

#endif
