// squeeze.h -- a block of words that is nearly like another one, as the difference to it.
//
// What two objects of a kind do not have in common is little: a few counters, times, keys. Of each word that differs the distance to the one before is
// kept, and its octets from the lowest to the highest that differ.
// Nothing is lost, whatever the blocks hold: what was put in comes out.

#ifndef PLX_BASE_SQUEEZE_H
#define PLX_BASE_SQUEEZE_H

#include <stddef.h>
#include <stdint.h>

enum { PLX_SQUEEZE_SLACK = 8 }; // octets behind the text that may be written, and must be readable

// The longest text for so many words, slack included.
#define PLX_SQUEEZE_MAX(words) (2 + (words)*9 + PLX_SQUEEZE_SLACK)

// words: up to 65,535. out has room for PLX_SQUEEZE_MAX(words). Returns the octets used, without the slack.
size_t plx_squeeze(const uint64_t *v, const uint64_t *pattern, size_t words, uint8_t *out);

// The same pattern gives v again, piece by piece from the beginning: each where it shall stand, with nothing between pattern and there.
struct plx_unsqueeze {
    const uint64_t *pattern;
    size_t at;                                 // words that were read or skipped
    size_t next;                               // words up to the last one that differed
    const uint8_t *shape, *shape_end, *octets; // of the text: what is left of it
};
void plx_unsqueeze_begin(struct plx_unsqueeze *u, const uint64_t *pattern, const uint8_t *in);
// The next words. out has the alignment of words.
void plx_unsqueeze(struct plx_unsqueeze *u, void *out, size_t words);
// Not wanted.
void plx_unsqueeze_skip(struct plx_unsqueeze *u, size_t words);

#endif
