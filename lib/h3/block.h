// block.h -- a prepared response or request: HEADERS frame, DATA frame header and, when it is small, the body, in one piece.

#ifndef PLX_H3_BLOCK_H
#define PLX_H3_BLOCK_H

#include <plx/h3.h>

enum { PLX_H3_BLOCK_COPY_MAX = 16 << 10 }; // bodies up to this size are copied into the block

// What to send: one buffer, or two when the body is borrowed. Returns how many. is_head: the head alone.
uint16_t plx_h3_block_bufs(struct plx_h3_block *b, bool is_head, struct plx_buf bufs[2]);

// count buffers of it are about to be handed to a transport, which will release each once; or were not taken after all.
void plx_h3_block_use(struct plx_h3_block *b, uint16_t count);
void plx_h3_block_unuse(struct plx_h3_block *b, uint16_t count);

// What a request needs to know about the block that it is made of.
struct plx_h3_block_info {
    bool is_request, is_head_method, is_safe; // is_safe: the method is
    uint64_t section_size;                    // as the peer's limit counts it, RFC 9114 section 4.2.2
};
const struct plx_h3_block_info *plx_h3_block_info(const struct plx_h3_block *b);

#endif
