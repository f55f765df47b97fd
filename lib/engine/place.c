// place.c -- see place.h. A worker that is not pinned is where the system puts it, and nothing is said about that.

#include "engine/place.h"

#include <numa.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/core.h"
#include "engine/engine.h"

// libnuma fills a table of its own at the first question, and looks after no lock: workers ask one after the other.
int plx_place_node_of_cpu(int cpu)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int node = -1;

    pthread_mutex_lock(&lock);
    if (cpu >= 0 && numa_available() >= 0 && cpu < numa_num_configured_cpus())
        node = numa_node_of_cpu(cpu);
    pthread_mutex_unlock(&lock);
    return node;
}

void plx_engine_log(const struct plx_engine *e, int level, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (e->cfg.log != NULL)
        e->cfg.log(e->cfg.ctx, level, line);
    else if (level <= 1)
        fprintf(stderr, "pollux: %s\n", line);
}

static int cpu_of(const int *cpus, uint16_t worker)
{
    return cpus != NULL ? cpus[worker] : worker;
}

void plx_place_describe(const int *cpus, uint16_t workers, int port_node, int (*node_of)(int cpu), char *out,
                        size_t out_len)
{
    size_t at = 0;

    out[0] = '\0';
    for (uint16_t i = 0, n; i < workers && at < out_len && (cpus != NULL || workers > 1);
         i = (uint16_t)(i + n)) {
        int first = cpu_of(cpus, i), node = node_of(first);
        for (n = 1;
             i + n < workers && cpu_of(cpus, (uint16_t)(i + n)) == first + n && node_of(first + n) == node;)
            n++;
        at += (size_t)snprintf(out + at, out_len - at, "%s%d", i == 0 ? ", CPUs " : ", ", first);
        if (n > 1 && at < out_len)
            at += (size_t)snprintf(out + at, out_len - at, "-%d", first + n - 1);
        if (node >= 0 && at < out_len)
            at += (size_t)snprintf(out + at, out_len - at, " of NUMA node %d", node);
    }
    if (port_node >= 0 && at < out_len)
        snprintf(out + at, out_len - at, ", port and memory on node %d", port_node);
}

void plx_place_worker(struct plx_core *k)
{
    const struct plx_engine *e = k->engine;
    cpu_set_t set;

    if (e->cfg.cpus == NULL && e->core_count == 1)
        return;
    int cpu = cpu_of(e->cfg.cpus, k->index);
    CPU_ZERO(&set);
    if (cpu >= 0 && cpu < CPU_SETSIZE)
        CPU_SET(cpu, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
        plx_engine_log(e, 1, "worker %u could not be pinned to CPU %d: it runs where the system puts it",
                       k->index, cpu);
        return;
    }
    int node = plx_place_node_of_cpu(cpu);
    if (plx_place_is_far(k->caps.numa_node, node))
        plx_engine_log(e, 1,
                       "worker %u runs on CPU %d of NUMA node %d, but the port is on node %d: every packet "
                       "crosses between them; choose CPUs of node %d",
                       k->index, cpu, node, k->caps.numa_node, k->caps.numa_node);
}
