// check.h -- three strengths of assertion, chosen on purpose.
//
//   _Static_assert  what the compiler can know
//   plx_check       always on, one predictable branch: an invariant whose breach would corrupt memory or state
//   plx_debug       on with PLX_DEBUG only (tests, fuzzers, simulation): anything that costs O(n)
//
// All three state what the *program* promises itself. What a peer, a device or a busy minute can cause is never
// asserted: it is an error that is returned or a drop that is counted.

#ifndef PLX_BASE_CHECK_H
#define PLX_BASE_CHECK_H

// Prints the broken promise to standard error and aborts: going on would make it worse. Any thread.
_Noreturn void plx_check_failed(const char *expr, const char *file, int line) __attribute__((cold));

#define plx_check(x) (__builtin_expect(!!(x), 1) ? (void)0 : plx_check_failed(#x, __FILE__, __LINE__))

#ifdef PLX_DEBUG
#define PLX_IS_DEBUG 1
#define plx_debug(x) plx_check(x)
#else
#define PLX_IS_DEBUG 0
#define plx_debug(x) ((void)sizeof(!!(x))) // not evaluated, yet still compiled: it cannot rot
#endif

#endif
