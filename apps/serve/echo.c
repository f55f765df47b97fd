// echo.c -- a resource that sends back the body it is sent: for people who test clients, and for our own tests.
//
// What cannot be queued is left with the transport, which holds the client back: an upload of any size needs a few blocks.

#include <stdlib.h>
#include <string.h>

#include "serve.h"

struct echo {
    struct plx_h3_req *req;
    bool is_ended, is_fin_sent;
};

static void echo_release(struct plx_owner *owner, const void *data, size_t len)
{
    (void)data, (void)len;
    free(owner);
}

static const char octets[] = "application/octet-stream";

struct echo *echo_new(struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct echo *e = malloc(sizeof *e);
    struct plx_field fields[2] = {{"content-type", octets, 12, sizeof octets - 1, false}};
    const struct plx_field *type = plx_h3_head_find(head, "content-type");
    const struct plx_field *length = plx_h3_head_find(head, "content-length");
    uint16_t n = 1;

    if (e == NULL)
        return NULL;
    *e = (struct echo){.req = req};
    if (type != NULL)
        fields[0] = *type;
    if (length != NULL)
        fields[n++] = *length;
    if (plx_h3_respond(req, 200, fields, n, (struct plx_buf){0}, false) == PLX_OK)
        return e;
    free(e);
    return NULL;
}

size_t echo_body(struct echo *e, const uint8_t *data, size_t len)
{
    struct plx_owner *owner = malloc(sizeof *owner + len);

    if (owner == NULL)
        return 0;
    owner->release = echo_release;
    memcpy(owner + 1, data, len);
    enum plx_err err = plx_h3_send_body(e->req, (struct plx_buf){owner + 1, len, owner}, false);
    if (err == PLX_OK)
        return len;
    free(owner);
    return err == PLX_ERR_AGAIN ? 0 : len; // later, or nobody listens any more
}

static void finish(struct echo *e)
{
    if (!e->is_fin_sent && plx_h3_send_body(e->req, (struct plx_buf){0}, true) != PLX_ERR_AGAIN)
        e->is_fin_sent = true;
}

void echo_end(struct echo *e)
{
    e->is_ended = true;
    finish(e);
}

void echo_writable(struct echo *e)
{
    if (e->is_ended)
        finish(e);
    else
        plx_h3_resume(e->req);
}

void echo_free(struct echo *e)
{
    free(e);
}
