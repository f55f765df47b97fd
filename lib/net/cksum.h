// cksum.h -- the Internet checksum, RFC 1071: the 16-bit one's complement of the one's complement sum.
//
// The sum may be taken in any byte order and any width, as long as carries come round in the end (RFC 1071 section 2),
// so the fast form adds words in the machine's order into a 64-bit sum, which cannot overflow before 2^32 of 32-bit
// words, and leaves the folding to the end. A partial sum is a uint64_t that starts at 0 and takes pieces in any order;
// every piece but the last has an even length. Values go in and out in host order: plx_store_be16() puts them on the
// wire. plx_cksum_plain() is the definition, kept as the second opinion for tests.

#ifndef PLX_NET_CKSUM_H
#define PLX_NET_CKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Adds a piece. Cost: about 64 octets per 3 cycles once the loop runs (vectors of 64 octets).
uint64_t plx_cksum_add(uint64_t sum, const void *p, size_t len);

// A few 32-bit words, in line: addresses, and a header without options.
static inline uint64_t plx_cksum_add_words(uint64_t sum, const void *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, (const uint8_t *)p + 4 * (size_t)i, sizeof word);
        sum += word;
    }
    return sum;
}

// Adds one 16-bit field given in host order.
static inline uint64_t plx_cksum_add16(uint64_t sum, uint16_t v)
{
    return sum + __builtin_bswap16(v);
}

// The sum itself, not complemented: what hardware wants to find in the field when it finishes the work.
static inline uint16_t plx_cksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return __builtin_bswap16((uint16_t)sum);
}

// The checksum of what was added. Over data that contains its own right checksum it is 0.
static inline uint16_t plx_cksum_end(uint64_t sum)
{
    return (uint16_t)~plx_cksum_fold(sum);
}

// The checksum after one 16-bit field has changed: HC' = ~(~HC + ~m + m'), RFC 1624 section 3, equation 3.
// Over data that has become all zeros the result is 0 where 0xffff is right; everywhere else the two mean the same.
static inline uint16_t plx_cksum_update(uint16_t check, uint16_t from, uint16_t to)
{
    uint32_t sum = (uint32_t)(uint16_t)~check + (uint16_t)~from + to;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

// The definition, octet by octet.
uint16_t plx_cksum_plain(const void *p, size_t len);

#endif
