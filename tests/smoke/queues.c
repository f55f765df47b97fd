// queues.c -- stream queues under a randomised schedule: two workers, two application threads, and everything that can end. For
// ThreadSanitizer, and for the other sanitizers too.
//
// Each round is drawn from its seed. A client asks a server over kernel sockets for pages and echoes of random sizes, gives some of them up
// half-way, and sends some heads that are too large; the application threads read with random appetite, keep blocks, sleep and give up
// requests of their own. The queues are so small that all of it runs short: requests are refused, blocks run out, both
// directions are held back. In some rounds one thread, or both, stop in the middle; in some the engine is told to stop with requests open.
//
// In the end: every answer that came whole is right; every request that was begun got exactly one end, on both sides; and
// every slot and every block of octets is at home, or is known to be with a thread that stopped.
//
// Here: the engines, and a round from its seed to its end. queues_answer.c: the application threads; queues_ask.c: the client;
// queues_census.c: where everything is in the end.
//
//   queues [FIRST-SEED [ROUNDS]]      exit status 0 when all of that is so

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/sim/world.h"
#include "tests/smoke/queues.h"

struct queues_round drawn;
const uint8_t *octets;
static unsigned failures, sum_stopped, sum_503, sum_431;

bool expect(bool ok, const char *what)
{
    if (!ok)
        fprintf(stderr, "queues: seed %llu: %s\n", (unsigned long long)drawn.seed, what);
    failures += !ok;
    return ok;
}

// --- the engines --------------------------------------------------------------------------------------------

static struct plx_engine *engine_make(struct plx_engine_cfg *cfg)
{
    char err[512];

    cfg->port = plx_port_udp();
    cfg->conns_max = cfg->handshakes_max = 4 * CONNS;
    cfg->streams_max = 1024;
    cfg->buffer_memory = 64 << 20;
    cfg->tick = PLX_MS(5);
    cfg->handshake_timeout = PLX_SEC(60); // sanitizers are slow
    struct plx_engine *e = plx_engine_new(cfg, err, sizeof err);
    if (e == NULL)
        fprintf(stderr, "queues: %s\n", err);
    plx_check(e != NULL);
    return e;
}

static struct plx_engine *server_new(void)
{
    static struct plx_addr listen;
    struct plx_cert cert = {world_cert(), world_key()};
    struct plx_engine_cfg cfg;

    plx_engine_cfg_init(&cfg);
    plx_check(plx_addr_parse("127.0.0.1:0", &listen));
    cfg.listen = &listen;
    cfg.listen_count = 1;
    cfg.workers = WORKERS;
    cfg.certs = &cert;
    cfg.cert_count = 1;
    plx_queues_attach(drawn.queues, &cfg);
    return engine_make(&cfg);
}

static struct plx_engine *client_new(void)
{
    struct plx_engine_cfg cfg;

    plx_engine_cfg_init(&cfg);
    askers_attach(&cfg);
    return engine_make(&cfg);
}

static void *run(void *arg)
{
    plx_check(plx_engine_run(arg) == PLX_OK);
    return NULL;
}

// --- a round ------------------------------------------------------------------------------------------------

static void round_init(uint64_t seed)
{
    const struct plx_queues_cfg cfg = {WORKERS, THREADS, SLOTS, BLOCKS, BLOCK_LEN, AHEAD, HEAD_MAX};

    drawn = (struct queues_round){.seed = seed,
                                  .one_stops = seed % 4 == 1,
                                  .engine_stops = seed % 4 == 2,
                                  .all_stop = seed % 4 == 3,
                                  .queues = plx_queues_new(&cfg)};
    plx_check(drawn.queues != NULL);
    askers_init();
    answerers_init();
}

static void play(uint64_t seed)
{
    pthread_t serving, asking;

    round_init(seed);
    struct plx_engine *server = server_new();
    plx_check(plx_addr_parse("127.0.0.1:1", &drawn.server));
    drawn.server.port = plx_engine_caps(server)->bound.port;
    struct plx_engine *client = client_new();
    for (unsigned t = 0; t < THREADS; t++)
        plx_check(pthread_create(&answerers[t].thread, NULL, answer, &answerers[t]) == 0);
    plx_check(pthread_create(&serving, NULL, run, server) == 0);
    plx_check(pthread_create(&asking, NULL, run, client) == 0);
    while (drawn.engine_stops && asked.ended < CONNS * PER_CONN / 3)
        usleep(500);
    if (drawn.engine_stops)
        plx_engine_stop(server, PLX_MS(seed % 8 == 2 ? 0 : 20));
    pthread_join(asking, NULL);
    if (!drawn.engine_stops)
        plx_engine_stop(server, PLX_SEC(0));
    pthread_join(serving, NULL);
    plx_queues_end(drawn.queues);
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(answerers[t].thread, NULL);
    plx_engine_free(client);
    plx_engine_free(server);
    census();
    printf(
        "queues: seed %llu: %u asked, %u whole, %u given up, 503 for %u, 431 for %u, threads cancelled %llu, "
        "%llu refused%s%s%s\n",
        (unsigned long long)seed, asked.begun, asked.whole, asked.given_up, asked.refused_503,
        asked.refused_431, (unsigned long long)(answerers[0].cancelled + answerers[1].cancelled),
        (unsigned long long)plx_queues_refused(drawn.queues), drawn.one_stops ? ", a thread stopped" : "",
        drawn.all_stop ? ", both threads stopped" : "", drawn.engine_stops ? ", the engine stopped" : "");
    fflush(stdout);
    expect(drawn.all_stop || asked.whole > 0, "no answer came whole");
    sum_503 += asked.refused_503;
    sum_431 += asked.refused_431;
    sum_stopped += answerers[0].has_stopped + answerers[1].has_stopped;
    plx_queues_free(drawn.queues);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0,
             rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 8;

    octets = world_body(); // before there are threads
    for (uint64_t seed = first; seed < first + rounds; seed++)
        play(seed);
    expect(rounds < 4 || (sum_503 > 0 && sum_431 > 0), "nothing was refused");
    expect(rounds < 8 || sum_stopped > 2, "hardly a thread stopped in the middle"); // six are told to
    printf("queues: %llu rounds: %s\n", (unsigned long long)rounds, failures == 0 ? "ok" : "FAILED");
    return failures == 0 ? 0 : 1;
}
