// queue.c -- requests answered on a thread of the program's own:  queue CERT.pem KEY.pem [ADDRESS:PORT]
//
// GET /N is answered with N octets, POST with its own body. Whatever cannot be written now waits for WRITABLE; body
// blocks that cannot be echoed yet are kept, and so the peer is held back.

#include <plx/plx.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_MAX = 64 }; // ahead_max of the queues

struct work {
    uint64_t left;                         // GET
    struct plx_queue_event kept[KEPT_MAX]; // POST: blocks in order
    unsigned first, count;
    size_t used; // octets of the first that are echoed
    bool is_echo, has_ended, is_done;
};

static struct plx_engine *engine;

static void go_on(struct plx_queue_req *req, struct work *w)
{
    uint8_t *p;
    size_t room;

    while (!w->is_done && (w->is_echo ? w->count > 0 : w->left > 0) &&
           (p = plx_queue_reserve(req, &room)) != NULL) {
        struct plx_queue_event *b = &w->kept[w->first];
        uint64_t have = w->is_echo ? b->len - w->used : w->left;
        size_t n = have < room ? (size_t)have : room;
        if (w->is_echo)
            memcpy(p, b->data + w->used, n);
        else
            memset(p, 'x', n), w->left -= n;
        if (w->is_echo && (w->used += n) == b->len) {
            plx_queue_consumed(req, b->block);
            w->first = (w->first + 1) % KEPT_MAX, w->count--, w->used = 0;
        }
        w->is_done = !w->is_echo && w->left == 0;
        if (plx_queue_commit(req, n, w->is_done) != PLX_OK)
            w->is_done = true; // CLOSED follows, or was polled
    }
    if (!w->is_done && w->is_echo && w->has_ended && w->count == 0)
        w->is_done = plx_queue_commit(req, 0, true) == PLX_OK;
}

static void begin(const struct plx_queue_event *e)
{
    struct work *w = calloc(1, sizeof *w);

    plx_queue_set_user(e->req, w);
    if (w == NULL) {
        plx_queue_cancel(e->req, PLX_H3_INTERNAL_ERROR);
        return;
    }
    char path[24] = {0};
    size_t len = e->head->path.len < sizeof path ? e->head->path.len : sizeof path - 1;
    if (len > 1)
        memcpy(path, e->head->path.p + 1, len - 1);
    w->is_echo = e->has_body;
    w->left = strtoull(path, NULL, 10);
    w->is_done = !w->is_echo && w->left == 0;
    if (plx_queue_respond(e->req, 200, NULL, 0, w->is_done) != PLX_OK)
        w->is_done = true;
    go_on(e->req, w);
}

static void end(const struct plx_queue_event *e, struct work *w)
{
    for (; w != NULL && w->count > 0; w->count--, w->first = (w->first + 1) % KEPT_MAX)
        plx_queue_consumed(e->req, w->kept[w->first].block);
    free(w);
    plx_queue_release(e->req);
}

// False: nothing follows.
static bool on_event(const struct plx_queue_event *e)
{
    struct work *w = e->what == PLX_QUEUE_OVER ? NULL : plx_queue_user(e->req);

    switch (e->what) {
    case PLX_QUEUE_REQUEST:
        begin(e);
        break;
    case PLX_QUEUE_BODY:
        if (w == NULL || w->is_done) {
            plx_queue_consumed(e->req, e->block);
            break;
        }
        w->kept[(w->first + w->count++) % KEPT_MAX] = *e;
        go_on(e->req, w);
        break;
    case PLX_QUEUE_END:
        if (w != NULL)
            w->has_ended = true, go_on(e->req, w);
        break;
    case PLX_QUEUE_WRITABLE:
        if (w != NULL)
            go_on(e->req, w);
        break;
    case PLX_QUEUE_CLOSED:
        end(e, w);
        break;
    case PLX_QUEUE_OVER:
        return false;
    }
    return true;
}

static void *answer(void *arg)
{
    struct plx_queue_event ev[64];

    for (;;) {
        unsigned n = plx_queue_poll(arg, ev, 64);
        for (unsigned i = 0; i < n; i++)
            if (!on_event(&ev[i]))
                return NULL;
        if (n == 0)
            plx_queue_wait(arg, -1);
    }
}

static void on_signal(int sig)
{
    (void)sig;
    plx_engine_stop(engine, PLX_SEC(0));
}

int main(int argc, char **argv)
{
    struct plx_queues_cfg qcfg;
    struct plx_engine_cfg cfg;
    struct plx_addr listen;
    pthread_t thread;
    char err[256];

    if (argc < 3 || !plx_addr_parse(argc > 3 ? argv[3] : "127.0.0.1:4435", &listen)) {
        fprintf(stderr, "usage: %s CERT.pem KEY.pem [ADDRESS:PORT]\n", argv[0]);
        return 2;
    }
    struct plx_cert cert = {argv[1], argv[2]};
    plx_queues_cfg_init(&qcfg);
    struct plx_queues *qs = plx_queues_new(&qcfg);
    plx_engine_cfg_init(&cfg);
    cfg.port = plx_port_udp();
    cfg.listen = &listen, cfg.listen_count = 1;
    cfg.certs = &cert, cfg.cert_count = 1;
    if (qs == NULL) {
        fprintf(stderr, "queue: not enough memory\n");
        return 1;
    }
    plx_queues_attach(qs, &cfg);
    engine = plx_engine_new(&cfg, err, sizeof err);
    if (engine == NULL || pthread_create(&thread, NULL, answer, plx_queues_thread(qs, 0)) != 0) {
        fprintf(stderr, "queue: %s\n", engine == NULL ? err : "no thread");
        return 1;
    }
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    enum plx_err r = plx_engine_run(engine);
    plx_queues_end(qs);
    pthread_join(thread, NULL);
    plx_engine_free(engine);
    plx_queues_free(qs);
    return r == PLX_OK ? 0 : 1;
}
