// area.c -- the memory of the memif driver.
//
// Three kinds, of one form, because all of them hold packets and may outlive the connection that they were made for:
//
//   * a client's region: a file in memory with both rings in front and all buffers behind them. It is sealed against shrinking, so that
//     whoever maps it can rely on it. A new one for each connection that got as far as passing its descriptor: who had the old one may
//     go on writing to it, wrongly or for want of having noticed, and the next one shall not suffer from that.
//   * a server's own buffers, for what it sends: private memory.
//   * what a client shares with a server, mapped here, with nothing of ours in it but what the protocol asks for.
//
// Records and stacks of free buffers are private in all three.

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "memif.h"

static struct memif_area *area_blank(void)
{
    struct memif_area *a = calloc(1, sizeof *a);
    if (a != NULL)
        a->fd = -1;
    return a;
}

void memif_area_free(struct memif_area *a)
{
    if (a == NULL)
        return;
    for (unsigned i = 0; i < a->regions; i++)
        munmap(a->region[i].mem, a->region[i].size);
    if (a->fd >= 0)
        close(a->fd);
    if (a->arena.base != NULL)
        plx_arena_fini(&a->arena);
    free(a);
}

// --- buffers of ours ---------------------------------------------------------------------------------------

// A file in memory, mapped. MAP_FAILED with errno set.
static uint8_t *shared_map(struct memif_area *a, size_t size)
{
    a->fd = memfd_create("plx-memif", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (a->fd < 0 || ftruncate(a->fd, (off_t)size) != 0 || fcntl(a->fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
        return MAP_FAILED;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
}

// An odd number of pairs of lines: buffers that are used a few lines each then use all of a cache, not the same few sets of it.
static size_t stride_of(uint32_t size)
{
    return plx_align_up(size, 128) | 128;
}

static bool region_make(struct memif_area *a, uint32_t buffers, int ring_log2)
{
    size_t front = ring_log2 < 0 ? 0 : plx_align_up(2 * memif_ring_size((unsigned)ring_log2), 4096);
    size_t size = plx_align_up(front + buffers * a->stride, 4096);
    if (size > UINT32_MAX)
        return false; // offsets have 32 bits
    uint8_t *mem = ring_log2 >= 0
                       ? shared_map(a, size)
                       : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED)
        return false;
    (void)madvise(mem, size, MADV_HUGEPAGE); // where there are none it goes on with ordinary pages
    a->region[a->regions++] = (struct memif_region){mem, size};
    a->buffers = mem + front;
    return true;
}

static bool records_make(struct memif_area *a, uint32_t count, size_t more, int numa_node)
{
    if (!plx_arena_init(&a->arena, count * sizeof *a->recs + more + 256, numa_node, false))
        return false;
    a->recs = plx_arena_alloc(&a->arena, count * sizeof *a->recs, 64);
    a->count = count;
    return true;
}

struct memif_area *memif_area_new(uint32_t buffers, uint32_t size, int ring_log2, int numa_node)
{
    struct memif_area *a = area_blank();
    size_t ring = ring_log2 < 0 ? 0 : (size_t)1 << ring_log2;

    if (a == NULL)
        return NULL;
    a->stride = stride_of(size);
    if (!region_make(a, buffers, ring_log2) ||
        !records_make(a, buffers, (buffers + 2 * ring) * sizeof(uint32_t), numa_node)) {
        memif_area_free(a);
        return NULL;
    }
    a->free = plx_arena_alloc(&a->arena, buffers * sizeof(uint32_t), 64);
    a->sent = plx_arena_alloc(&a->arena, ring * sizeof(uint32_t), 64);
    a->offered = plx_arena_alloc(&a->arena, ring * sizeof(uint32_t), 64);
    while (a->free_count < buffers) { // the first is taken first
        a->free[a->free_count] = buffers - 1 - a->free_count;
        a->free_count++;
    }
    return a;
}

// --- what a client shares ----------------------------------------------------------------------------------

struct memif_area *memif_area_map_new(void)
{
    return area_blank();
}

const char *memif_area_map(struct memif_area *a, int fd, uint64_t size)
{
    struct stat st;

    if (a->regions == MEMIF_REGIONS_MAX)
        return "too many regions";
    if (fstat(fd, &st) != 0 || size == 0 || size > (uint64_t)st.st_size)
        return "a region is larger than its file";
    // A file that shrinks takes the memory away from under us, and the next access is a fault. Only files in memory have seals, so
    // this is no disk and no device either.
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
        return "a region's file is not sealed against shrinking";
    uint8_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED)
        return "a region cannot be mapped";
    a->region[a->regions++] = (struct memif_region){mem, size};
    return NULL;
}

bool memif_area_map_records(struct memif_area *a, uint32_t count, int numa_node)
{
    if (!records_make(a, count, count, numa_node))
        return false;
    a->done = plx_arena_alloc(&a->arena, count, 64);
    return true;
}
