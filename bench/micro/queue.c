// queue.c -- what it costs to cross between a worker and an application thread, in nanoseconds per crossing.
//
// Usage: bench_queue [WORD]   Only the cases whose name contains WORD.
//
// The main program plays the worker: it sends blocks of a request's body down as on_body does, and takes them back as on_ring does, bell
// included. There and back are two crossings. With both ends in one thread that is what the two of them pay in instructions; with two threads
// the cache lines travel too, and with one block under way each crossing waits for the one before: that is the delay.
// Two threads need two cores of their own; where these are busy, take the figures as upper bounds.

#include <pthread.h>
#include <stdlib.h>

#include "base/list.h"
#include "engine/engine.h"
#include "engine/queue.h"
#include "measure.h"

enum { OPS = 4096, BLOCKS = 256 };

static struct {
    struct plx_queues *qs;
    struct plx_qpair *pair;
    struct plx_queue *q;
    struct plx_core *core;
    unsigned window;
    _Atomic bool is_over, sleeps;
} b;

static void must(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "queue: out of memory, or of threads\n");
    exit(1);
}

static void send_one(void)
{
    struct plx_qblock *block = b.pair->in_free;

    b.pair->in_free = block->next;
    block->len = 1;
    block->m.slot = b.pair->slot;
    plx_queue_down(b.pair, &block->m);
}

static unsigned take_back(void)
{
    struct plx_qmsg *m;
    unsigned n = 0;

    if (!plx_handoff_answer(b.core))
        return 0;
    for (; (m = plx_spsc_pop(&b.pair->up)) != NULL; n++) {
        struct plx_qblock *block = PLX_CONTAINER(m, struct plx_qblock, m);
        block->next = b.pair->in_free;
        b.pair->in_free = block;
    }
    return n;
}

static unsigned consume_all(void)
{
    struct plx_queue_event ev[64];
    unsigned n = plx_queue_poll(b.q, ev, 64);

    for (unsigned i = 0; i < n; i++)
        plx_queue_consumed(ev[i].req, ev[i].block);
    return n;
}

static void run_alone(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < OPS; i += b.window) {
        for (unsigned k = 0; k < b.window; k++)
            send_one();
        consume_all();
        measure_keep(take_back());
    }
}

static void *consumer(void *arg)
{
    (void)arg;
    while (!b.is_over)
        if (consume_all() == 0 && b.sleeps)
            plx_queue_wait(b.q, 10);
    return NULL;
}

static void run_beside(void *arg)
{
    unsigned sent = 0, back = 0;

    (void)arg;
    while (back < OPS) {
        while (sent < OPS && sent - back < b.window)
            send_one(), sent++;
        back += take_back();
    }
}

int main(int argc, char **argv)
{
    struct plx_queues_cfg cfg;
    pthread_t thread;

    if (argc > 1)
        measure_only = argv[1];
    plx_queues_cfg_init(&cfg);
    cfg.blocks = BLOCKS;
    cfg.block_len = 64;
    b.qs = plx_queues_new(&cfg);
    b.core = aligned_alloc(64, (sizeof *b.core + 63) & ~(size_t)63);
    must(b.qs != NULL && b.core != NULL);
    memset(b.core, 0, sizeof *b.core); // awake for ever: nothing but its bell is used
    b.pair = b.qs->pair;
    b.q = plx_queues_thread(b.qs, 0);
    b.pair->core = b.core;
    b.window = 1;
    measure("a crossing, both ends on one core, single", 2 * OPS, run_alone, NULL);
    b.window = 32;
    measure("a crossing, both ends on one core, by 32", 2 * OPS, run_alone, NULL);
    must(pthread_create(&thread, NULL, consumer, NULL) == 0);
    b.window = 1;
    measure("a crossing to another core, one at a time", 2 * OPS, run_beside, NULL);
    b.window = 128;
    measure("a crossing to another core, 128 under way", 2 * OPS, run_beside, NULL);
    b.sleeps = true;
    measure("a crossing to a thread that may sleep, 128", 2 * OPS, run_beside, NULL);
    b.is_over = true;
    pthread_join(thread, NULL);
    plx_queues_free(b.qs);
    free(b.core);
    return 0;
}
