// siphash.h -- SipHash-2-4: a keyed hash of short strings that nobody without the key can steer.
//
// Wherever a peer chooses what is hashed (connection IDs of its making, addresses, field names), an unkeyed hash
// would let it put everything into one bucket. Written from the description by Aumasson and Bernstein ("SipHash:
// a fast short-input PRF", 2012), whose vectors are the test. Not a MAC for the wire: 64 bits are too few there.

#ifndef PLX_BASE_SIPHASH_H
#define PLX_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

// p may be NULL when len is 0. Any thread. About 20 cycles and 1.5 per byte.
uint64_t plx_siphash(const uint8_t key[16], const void *p, size_t len);

#endif
