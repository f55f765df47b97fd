// way.h -- one way of shaking hands, and how its server's time is told from its client's.
//
// A way does handshakes one batch after another. Whatever it does for the server, from the first octet that comes in to the last object
// that is freed, it does through shake_server(): that counts its cycles and allocations, and valgrind counts what happens inside of it.

#ifndef PLX_BENCH_SHAKE_WAY_H
#define PLX_BENCH_SHAKE_WAY_H

#include <stdbool.h>
#include <stdint.h>

struct shake_cfg {
    const char *cert_file, *key_file; // of the server; the client does not look at it
    const char *groups;               // of the client
    bool is_resumed;
};

struct shake_count {
    uint64_t handshakes, cycles, allocations;
    uint64_t datagrams_rx, datagrams_tx, bytes_rx, bytes_tx; // of the server, where there are any
};

struct shake_way {
    const char *name, *what;
    void *(*open)(const struct shake_cfg
                      *cfg); // and does what must come before the first one, such as getting a session
    void (*run)(void *state, unsigned handshakes, struct shake_count *count);
    void (*close)(void *state);
};

extern const struct shake_way shake_alone, shake_pump, shake_engine;

// NULL count: not counted.
void shake_server(struct shake_count *count, void (*work)(void *arg), void *arg);

#endif
