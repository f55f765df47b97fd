// gate.c -- see gate.h.

#include "gate.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ALLOW_EXPERIMENTAL_API // 22.11 has no other way to make an interrupt handle; what it calls so is unchanged in later ones
#include <rte_interrupts.h>

enum { TURN_MS = 10 /* between turns of the others when DPDK's epoll was not found */ };

struct ethdev_gate ethdev_gate = {.is_shut = true}; // until there is a keeper
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// --- the gate ----------------------------------------------------------------------------------------------

static void rest_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

void ethdev_gate_shut(void)
{
    atomic_store_explicit(&ethdev_gate.is_shut, true, memory_order_seq_cst); // G3
    pthread_mutex_lock(&lock);
    for (struct ethdev_pass *p = ethdev_gate.passes; p != NULL; p = p->next)
        while (atomic_load_explicit(&p->is_in, memory_order_seq_cst)) // G4
            rest_us(20); // asleep, so that a worker whose processor this thread has taken can go on
    pthread_mutex_unlock(&lock);
}

void ethdev_gate_open(void)
{
    atomic_store_explicit(&ethdev_gate.is_shut, false, memory_order_seq_cst);
}

void ethdev_gate_add(struct ethdev_pass *p)
{
    pthread_mutex_lock(&lock);
    atomic_store_explicit(&p->is_in, false, memory_order_relaxed);
    p->next = ethdev_gate.passes;
    ethdev_gate.passes = p;
    pthread_mutex_unlock(&lock);
}

void ethdev_gate_remove(struct ethdev_pass *p)
{
    pthread_mutex_lock(&lock);
    for (struct ethdev_pass **at = &ethdev_gate.passes; *at != NULL; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    pthread_mutex_unlock(&lock);
}

// --- its keeper --------------------------------------------------------------------------------------------

static struct {
    unsigned ports;                 // that need it; the starting thread's
    struct rte_intr_handle *handle; // of `bell`
    int bell; // ready whenever the others have had their turn: brings DPDK back to the handler
    int end;  // ready when the handler shall return for good
} keeper = {.bell = -1, .end = -1};

static bool has_descriptor(const char *epoll, int fd)
{
    char path[64], line[128];
    bool is_found = false;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%.16s", epoll);
    FILE *f = fopen(path, "r");
    while (f != NULL && !is_found && fgets(line, sizeof line, f) != NULL) {
        int in;
        is_found = sscanf(line, "tfd: %d", &in) == 1 && in == fd;
    }
    if (f != NULL)
        fclose(f);
    return is_found;
}

// DPDK makes its epoll anew whenever somebody comes or goes, so it is looked for each time. -1: not found.
static int epoll_find(int fd)
{
    DIR *dir = opendir("/proc/self/fdinfo");
    int found = -1;

    for (struct dirent *e; dir != NULL && found < 0 && (e = readdir(dir)) != NULL;)
        if (has_descriptor(e->d_name, fd))
            found = (int)strtol(e->d_name, NULL, 10);
    if (dir != NULL)
        closedir(dir);
    return found;
}

// Rings the bell, or takes what was rung. The lock is for who puts the keeper away behind it: DPDK's own order of things is not told.
static void bell_ring(bool is_rung)
{
    uint64_t one = 1;

    pthread_mutex_lock(&lock);
    if ((is_rung ? write(keeper.bell, &one, sizeof one) : read(keeper.bell, &one, sizeof one)) < 0)
        one = 0; // it was rung already, or by nobody: both will do
    pthread_mutex_unlock(&lock);
}

static void keep(void *arg)
{
    (void)arg;
    ethdev_gate_open();
    bell_ring(false); // so that DPDK's epoll is ready for others only
    struct pollfd fds[2] = {{.fd = keeper.end, .events = POLLIN},
                            {.fd = epoll_find(keeper.bell), .events = POLLIN}};
    while (poll(fds, 2, fds[1].fd < 0 ? TURN_MS : -1) < 0 && errno == EINTR)
        ;
    ethdev_gate_shut();
    if (fds[0].revents == 0)
        bell_ring(true);
}

static void keeper_clear(void)
{
    pthread_mutex_lock(&lock);
    if (keeper.handle != NULL)
        rte_intr_instance_free(keeper.handle);
    if (keeper.bell >= 0)
        close(keeper.bell);
    if (keeper.end >= 0)
        close(keeper.end);
    keeper.handle = NULL;
    keeper.bell = keeper.end = -1;
    pthread_mutex_unlock(&lock);
}

static bool keeper_make(void)
{
    pthread_mutex_lock(&lock);
    keeper.bell = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    keeper.end = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    keeper.handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
    bool is_made = keeper.bell >= 0 && keeper.end >= 0 && keeper.handle != NULL &&
                   rte_intr_fd_set(keeper.handle, keeper.bell) == 0 &&
                   rte_intr_type_set(keeper.handle, RTE_INTR_HANDLE_EXT) == 0;
    pthread_mutex_unlock(&lock);
    return is_made;
}

bool ethdev_gate_hire(void)
{
    if (keeper.ports++ > 0)
        return true;
    if (keeper_make() && rte_intr_callback_register(keeper.handle, keep, NULL) == 0)
        return true;
    keeper_clear();
    keeper.ports--;
    return false;
}

void ethdev_gate_dismiss(void)
{
    uint64_t one = 1;

    if (--keeper.ports > 0)
        return;
    if (write(keeper.end, &one, sizeof one) < 0)
        return; // an eventfd of ours that takes no 1: it cannot be; DPDK keeps its handler
    while (rte_intr_callback_unregister(keeper.handle, keep, NULL) == -EAGAIN)
        rest_us(100); // it is just returning
    keeper_clear();
}
