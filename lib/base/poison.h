// poison.h -- tells AddressSanitizer which bytes of our own memory nobody may touch; nothing in ordinary builds.
//
// Pools and slabs hand out pieces of one large mapping, which looks alive to the sanitizer all the time. Marking
// what is free brings its use-after-free reports back.

#ifndef PLX_BASE_POISON_H
#define PLX_BASE_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define PLX_IS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLX_IS_ASAN 1
#endif
#endif
#ifndef PLX_IS_ASAN
#define PLX_IS_ASAN 0
#endif

#if PLX_IS_ASAN
#include <sanitizer/asan_interface.h>
static inline void plx_poison(const void *p, size_t len)
{
    __asan_poison_memory_region(p, len);
}
static inline void plx_unpoison(const void *p, size_t len)
{
    __asan_unpoison_memory_region(p, len);
}
#else
static inline void plx_poison(const void *p, size_t len)
{
    (void)p, (void)len;
}
static inline void plx_unpoison(const void *p, size_t len)
{
    (void)p, (void)len;
}
#endif

#endif
