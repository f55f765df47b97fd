// arena.c -- see arena.h. One mmap, one mbind, one addition per allocation.
//
// mbind is called directly: libnuma's own helpers print to standard error where a container forbids the call, and
// a preference that cannot be had is not worth a message.

#include "base/arena.h"

#include <numaif.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/check.h"

enum { PAGE_BYTES = 4096, HUGE_BYTES = 2 << 20, NODES_MAX = 1024 };

static uint8_t *map(size_t size, int flags)
{
    void *p =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

// Reserved huge pages without MAP_NORESERVE: they are set aside now, or the mapping fails now, and never with a
// signal in the middle of a packet.
static uint8_t *map_huge(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool prefer_node(void *p, size_t size, int node)
{
    unsigned long mask[NODES_MAX / (8 * sizeof(unsigned long))] = {0};
    const unsigned bits = 8 * sizeof mask[0];

    if (node < 0 || node >= NODES_MAX)
        return false;
    mask[(unsigned)node / bits] |= 1ul << ((unsigned)node % bits);
    return mbind(p, size, MPOL_PREFERRED, mask, NODES_MAX + 1, 0) == 0; // the kernel takes one off
}

void plx_arena_advise_huge(struct plx_arena *a)
{
    (void)madvise(a->base, a->size, MADV_HUGEPAGE); // advice: EINVAL from a kernel without them
}

bool plx_arena_init(struct plx_arena *a, size_t size, int node, bool want_huge)
{
    *a = (struct plx_arena){0};
    if (size == 0 || size > SIZE_MAX / 2)
        return false;

    if (want_huge) {
        a->size = plx_align_up(size, HUGE_BYTES);
        a->base = map_huge(a->size);
        a->is_huge = a->base != NULL;
    }
    if (a->base == NULL) {
        a->size = plx_align_up(size, PAGE_BYTES);
        a->base = map(a->size, 0);
    }
    if (a->base == NULL) {
        a->size = 0;
        return false;
    }
    if (want_huge && !a->is_huge)
        plx_arena_advise_huge(a);
    a->is_on_node = prefer_node(a->base, a->size, node);
    return true;
}

void *plx_arena_alloc(struct plx_arena *a, size_t size, size_t align)
{
    plx_check(!a->is_frozen);
    plx_check(plx_is_pow2(align));
    plx_check(align <= PAGE_BYTES);

    size_t at = plx_align_up(a->used, align);
    if (at > a->size - a->used_far || size > a->size - a->used_far - at)
        return NULL;
    a->used = at + size;
    return a->base + at;
}

void *plx_arena_alloc_far(struct plx_arena *a, size_t size, size_t align)
{
    plx_check(!a->is_frozen);
    plx_check(plx_is_pow2(align));
    plx_check(align <= HUGE_BYTES);

    if (size > plx_arena_left(a))
        return NULL;
    uintptr_t end = (uintptr_t)a->base + a->size, at = (end - a->used_far - size) & ~(uintptr_t)(align - 1);
    if (at < (uintptr_t)a->base + a->used)
        return NULL;
    a->used_far = end - at;
    return a->base + (at - (uintptr_t)a->base);
}

void plx_arena_fini(struct plx_arena *a)
{
    if (a->base != NULL)
        plx_check(munmap(a->base, a->size) == 0);
    *a = (struct plx_arena){0};
}
