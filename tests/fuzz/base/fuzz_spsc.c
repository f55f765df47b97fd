// fuzz_spsc.c -- ring and mailbox, driven alike by one thread, against a counter of what went in and out.

#include "base/mailbox.h"
#include "base/spsc.h"
#include "ops.h"

enum { SLOTS_MAX = 32, BURST_MAX = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    struct plx_spsc q;
    struct plx_mailbox m;
    void *slots[SLOTS_MAX], *burst[BURST_MAX], *burst2[BURST_MAX];
    uint32_t capacity = 1u << ops_u8(&o) % 6, base = ops_u32(&o);
    uintptr_t in = 1, out = 1; // numbers instead of objects

    plx_spsc_init(&q, slots, capacity);
    atomic_store(&q.head, base); // anywhere, also just before the indices wrap
    atomic_store(&q.tail, base);
    q.head_seen = q.tail_seen = base;
    plx_check(plx_mailbox_init(&m, capacity, NULL));
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        uint32_t n = op % BURST_MAX, held = (uint32_t)(in - out), done;
        if (op < 128) {
            uint32_t fits = n < capacity - held ? n : capacity - held;
            for (uint32_t i = 0; i < n; i++)
                burst[i] = (void *)(in + i);
            if (n == 1) {
                plx_check(plx_spsc_push(&q, burst[0]) == (fits == 1));
                plx_check(plx_mailbox_push(&m, burst[0]) == (fits == 1));
            } else {
                done = plx_spsc_push_burst(&q, burst, n);
                plx_check(done == fits);
                done = plx_mailbox_push_burst(&m, burst, n);
                plx_check(done == fits);
            }
            in += fits;
        } else {
            uint32_t there = n < held ? n : held;
            if (n == 1) {
                burst[0] = plx_spsc_pop(&q);
                plx_check((burst[0] != NULL) == (there == 1));
            } else {
                done = plx_spsc_pop_burst(&q, burst, n);
                plx_check(done == there);
            }
            done = plx_mailbox_pop_burst(&m, burst2, n);
            plx_check(done == there);
            for (uint32_t i = 0; i < there; i++) {
                plx_check((uintptr_t)burst[i] == out + i);
                plx_check((uintptr_t)burst2[i] == out + i);
            }
            out += there;
        }
        plx_check(plx_spsc_count(&q) == in - out);
        plx_check(plx_mailbox_count(&m) == in - out);
        plx_spsc_verify(&q);
        plx_mailbox_verify(&m);
    }
    plx_mailbox_fini(&m);
    return 0;
}
