// stream.c -- the body of a file that is too large to keep: read in blocks as the peer takes them.
//
// At most AHEAD_MAX octets of one response wait for acknowledgement, whatever the file's size. Blocks that come back are kept
// for the next reader, a few of them.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve.h"

enum { FREE_BLOCKS_MAX = 256 };

struct stream {
    struct site *site;
    struct plx_h3_req *req; // over HTTP/3, or
    struct plx_stream *raw; // over hq-interop
    struct file *file;
    uint64_t at, end;
};

static void on_block_release(struct plx_owner *owner, const void *data, size_t len)
{
    struct block *b = (struct block *)owner;
    struct site *s = b->site;

    (void)data, (void)len;
    if (s->free_block_count == FREE_BLOCKS_MAX) {
        free(b);
        return;
    }
    b->next = s->free_blocks;
    s->free_blocks = b;
    s->free_block_count++;
}

static struct block *block_take(struct site *s)
{
    struct block *b = s->free_blocks;

    if (b != NULL) {
        s->free_blocks = b->next;
        s->free_block_count--;
        return b;
    }
    b = malloc(sizeof *b);
    if (b != NULL) {
        b->owner.release = on_block_release;
        b->site = s;
    }
    return b;
}

void site_blocks_fini(struct site *s)
{
    while (s->free_blocks != NULL) {
        struct block *b = s->free_blocks;
        s->free_blocks = b->next;
        free(b);
    }
}

// Takes over one user of f.
struct stream *stream_new(struct site *s, struct plx_h3_req *req, struct plx_stream *raw, struct file *f,
                          uint64_t first, uint64_t end)
{
    struct stream *t = malloc(sizeof *t);
    if (t != NULL)
        *t = (struct stream){s, req, raw, f, first, end};
    return t;
}

void stream_free(struct stream *t)
{
    file_release(t->file);
    free(t);
}

static bool read_block(struct stream *t, struct block *b, size_t want)
{
    if (t->file->body != NULL) {
        memcpy(b->data, t->file->body + t->at, want);
        return true;
    }
    for (size_t got = 0; got < want;) {
        ssize_t n = pread(t->file->fd, b->data + got, want - got, (off_t)(t->at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false; // an error of the disk, or the file has become shorter than we promised
        got += (size_t)n;
    }
    return true;
}

bool stream_fill(struct stream *t)
{
    while (t->at < t->end &&
           (t->req != NULL ? plx_h3_req_unsent(t->req) : plx_stream_unsent(t->raw)) < AHEAD_MAX) {
        size_t want = t->end - t->at < BLOCK_LEN ? (size_t)(t->end - t->at) : BLOCK_LEN;
        struct block *b = block_take(t->site);
        if (b == NULL)
            return false;
        if (!read_block(t, b, want)) {
            on_block_release(&b->owner, b->data, 0);
            return false;
        }
        struct plx_buf buf = {b->data, want, &b->owner};
        bool is_last = t->at + want == t->end;
        enum plx_err err =
            t->req != NULL ? plx_h3_send_body(t->req, buf, is_last) : plx_stream_send(t->raw, buf, is_last);
        if (err != PLX_OK)
            on_block_release(&b->owner, b->data, 0);
        if (err == PLX_ERR_AGAIN)
            return true; // on_writable
        if (err != PLX_OK)
            return err == PLX_ERR_CLOSED; // nobody listens any more: on_closed follows
        t->at += want;
    }
    if (t->at < t->end && t->req != NULL)
        plx_h3_req_notify(t->req, AHEAD_MAX / 2);
    else if (t->at < t->end)
        plx_stream_notify(t->raw, AHEAD_MAX / 2);
    return true;
}
