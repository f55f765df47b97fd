// place.h -- where a worker stands: its CPU, and that CPU's NUMA node beside the port's.

#ifndef PLX_ENGINE_PLACE_H
#define PLX_ENGINE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plx_core;
struct plx_engine;

// The node of a CPU, -1 where the system has no NUMA or no such CPU. Any thread; reads what libnuma learned at start.
int plx_place_node_of_cpu(int cpu);

// Both nodes are known, and they differ: every packet crosses from one to the other.
static inline bool plx_place_is_far(int port_node, int cpu_node)
{
    return port_node >= 0 && cpu_node >= 0 && port_node != cpu_node;
}

// Where the workers will stand, for the line at start: ", CPUs 0-3 of NUMA node 0, port and memory on node 0". Empty for a worker that
// is not pinned beside a port on no node. node_of: plx_place_node_of_cpu, or a test's. A list that is too long ends early.
void plx_place_describe(const int *cpus, uint16_t workers, int port_node, int (*node_of)(int cpu), char *out,
                        size_t out_len);

// Pins the calling thread, which is k's, as the configuration asks, and warns when it cannot, or when the CPU lies on
// another node than the port. Start of a worker, once.
void plx_place_worker(struct plx_core *k);

// A line for the program's log, or standard error where it has none. level as in plx_engine_cfg.log. Not on the packet path.
void plx_engine_log(const struct plx_engine *e, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
