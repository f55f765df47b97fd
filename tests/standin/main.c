// main.c -- the stand-in as a program: plx-standin PORT CERT KEY STALL_AFTER_MS STALL_MS DELAY_MS...
//
// Serves on 127.0.0.1 until SIGTERM, then prints a line for every answer: the how manieth request it was, when it came and when
// it was answered, in nanoseconds of the monotonic clock.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "standin.h"

static struct plx_engine *engine;

static void on_signal(int sig)
{
    (void)sig;
    plx_engine_stop(engine, PLX_NS(0));
}

static void block(plx_dur d)
{
    struct timespec t = {.tv_sec = (time_t)(d.ns / 1000000000), .tv_nsec = (long)(d.ns % 1000000000)};
    while (nanosleep(&t, &t) != 0)
        ;
}

int main(int argc, char **argv)
{
    static struct standin s;
    struct plx_cert cert;
    struct plx_engine_cfg cfg;
    struct plx_addr listen;
    struct sigaction sa = {.sa_handler = on_signal};
    char err[512], text[32];

    if (argc < 7 || argc > 6 + STANDIN_DELAYS_MAX) {
        fprintf(stderr, "usage: plx-standin PORT CERT KEY STALL_AFTER_MS STALL_MS DELAY_MS...\n");
        return 2;
    }
    snprintf(text, sizeof text, "127.0.0.1:%s", argv[1]);
    if (!plx_addr_parse(text, &listen))
        return 2;
    cert = (struct plx_cert){argv[2], argv[3]};
    s.stall_after = PLX_MS(strtoull(argv[4], NULL, 10));
    s.stall = PLX_MS(strtoull(argv[5], NULL, 10));
    for (int i = 6; i < argc; i++)
        s.delays[s.delay_count++] = PLX_MS(strtoull(argv[i], NULL, 10));
    s.block = block;
    plx_engine_cfg_init(&cfg);
    cfg.port = plx_port_udp();
    cfg.listen = &listen;
    cfg.listen_count = 1;
    cfg.certs = &cert;
    cfg.cert_count = 1;
    standin_init(&s, &cfg);
    if ((engine = plx_engine_new(&cfg, err, sizeof err)) == NULL) {
        fprintf(stderr, "plx-standin: %s\n", err);
        return 1;
    }
    sigaction(SIGTERM, &sa, NULL);
    prctl(PR_SET_TIMERSLACK, 1);
    enum plx_err r = plx_engine_run(engine);
    for (uint64_t i = 0; i < s.record_count; i++)
        printf("%llu %llu %llu\n", (unsigned long long)s.records[i].number,
               (unsigned long long)s.records[i].came_ns, (unsigned long long)s.records[i].answered_ns);
    plx_engine_free(engine);
    standin_fini(&s);
    return r == PLX_OK ? 0 : 1;
}
