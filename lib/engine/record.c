// record.c -- see record.h.

#include "engine/record.h"

#include <string.h>

#include "base/check.h"
#include "crypto/keys.h"

enum {
    HEAD_TEXT = sizeof((struct plx_berth *)NULL)->text,
    MORE_TEXT = PLX_BERTH_LEN - 8, // in berths without a timer
    BERTHS_USUAL = 5,
    NONE = PLX_BERTH_NONE,
};
_Static_assert((int)PLX_RECORD_SLACK >= (int)MORE_TEXT, "of the last berth all is read");

uint32_t plx_record_berths(size_t len)
{
    return len <= HEAD_TEXT ? 1 : 1 + (uint32_t)((len - HEAD_TEXT + MORE_TEXT - 1) / MORE_TEXT);
}

uint32_t plx_record_len(const struct plx_berths *b, uint32_t head)
{
    uint32_t count = 0;

    for (uint32_t at = head; at != NONE; at = b->v[at].next)
        count++;
    return count;
}

uint32_t plx_record_new(struct plx_berths *b)
{
    uint32_t i = b->free;

    plx_check(b->left > 0);
    b->left--;
    if (i == NONE)
        i = b->fresh++;
    else
        b->free = b->v[i].next;
    b->v[i].next = NONE;
    return i;
}

// They are taken again in the order that they have, which is mostly that of memory.
void plx_record_give(struct plx_berths *b, uint32_t head)
{
    uint32_t last = head;

    for (b->left++; b->v[last].next != NONE; b->left++)
        last = b->v[last].next;
    b->v[last].next = b->free;
    b->free = head;
}

void plx_record_make(struct plx_berths *b, uint32_t head, size_t len)
{
    uint32_t at = head;
    struct plx_berth *h = &b->v[head];
    size_t done = len < HEAD_TEXT ? len : HEAD_TEXT;

    h->len = (uint16_t)len;
    plx_timer_init(&h->timer);
    h->timer.kind = PLX_TIMER_SLEEPER;
    memcpy(h->text, b->text, done);
    while (done < len) {
        size_t n = len - done < MORE_TEXT ? len - done : MORE_TEXT;
        if (b->v[at].next == NONE)
            b->v[at].next = plx_record_new(b);
        at = b->v[at].next;
        b->v[at].len = 0;
        memcpy((uint8_t *)&b->v[at] + 8, b->text + done, n);
        done += n;
    }
    if (b->v[at].next != NONE)
        plx_record_give(b, b->v[at].next);
    b->v[at].next = NONE;
}

// Of the last berth all that it has room for: a copy whose length is known takes a few instructions.
void plx_record_read(struct plx_berths *b, uint32_t head)
{
    uint8_t *to = b->text;

    memcpy(to, b->v[head].text, HEAD_TEXT);
    to += HEAD_TEXT;
    for (uint32_t at = b->v[head].next; at != NONE; at = b->v[at].next, to += MORE_TEXT)
        memcpy(to, (const uint8_t *)&b->v[at] + 8, MORE_TEXT);
}

void plx_record_wipe(struct plx_berths *b, uint32_t head)
{
    for (uint32_t at = head; at != NONE;) {
        uint32_t next = b->v[at].next;
        plx_bytes_wipe(&b->v[at], sizeof b->v[at]);
        b->v[at].next = next;
        at = next;
    }
}

// A guess, since each would be waited for before the next is known. It is wrong where something longer or shorter came between.
void plx_record_prefetch(const struct plx_berths *b, uint32_t head)
{
    const uint8_t *p = (const uint8_t *)&b->v[head];

    for (size_t at = 0; at < BERTHS_USUAL * sizeof *b->v; at += 64)
        __builtin_prefetch(p + at);
}
