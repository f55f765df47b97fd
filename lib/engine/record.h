// record.h -- the text of a sleeper in berths (hibernate.h): a chain of them that grows and shrinks with it.
//
// What is usual is five berths side by side, in the order of memory: nothing leads from one to the next faster than a guess.

#ifndef PLX_ENGINE_RECORD_H
#define PLX_ENGINE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "engine/hibernate.h"

enum { PLX_RECORD_SLACK = PLX_BERTH_LEN - 8 }; // octets behind the text that plx_record_read() may write

// How many a text needs. No more than b->left may be taken.
uint32_t plx_record_berths(size_t len);
uint32_t plx_record_len(const struct plx_berths *b, uint32_t head); // berths of a chain
// A chain of one, without content.
uint32_t plx_record_new(struct plx_berths *b);
// The text of b->text goes into the chain, which is as long then as it must be.
void plx_record_make(struct plx_berths *b, uint32_t head, size_t len);
// The other way round.
void plx_record_read(struct plx_berths *b, uint32_t head);
// There are secrets in it. The chain stays.
void plx_record_wipe(struct plx_berths *b, uint32_t head);
// A chain that was wiped, or never had content.
void plx_record_give(struct plx_berths *b, uint32_t head);
// Nobody has touched it for long.
void plx_record_prefetch(const struct plx_berths *b, uint32_t head);

#endif
