// fuzz_wheel.c -- the wheel against an array of deadlines that is searched from one end to the other.

#include "base/time.h"
#include "base/wheel.h"
#include "ops.h"

enum { TIMERS = 24 };

static struct plx_wheel wheel;

// A distance of any magnitude: a few bits of mantissa, shifted.
static uint64_t distance(struct ops *o)
{
    uint64_t mantissa = ops_u8(o);
    return mantissa << ops_u8(o) % 52;
}

// Everything that is due comes out once, nothing that is not.
static void expire(struct plx_timer *timer, uint64_t *at, uint64_t now, uint32_t max)
{
    uint64_t tick = plx_wheel_tick(&wheel).ns;
    struct plx_timer *out[TIMERS];
    uint32_t n;

    do {
        n = plx_wheel_expire(&wheel, (plx_time){now}, out, max);
        for (uint32_t i = 0; i < n; i++) {
            size_t which = (size_t)(out[i] - timer);
            plx_check(which < TIMERS);
            plx_check(at[which] != UINT64_MAX);
            plx_check(at[which] <= now); // never early
            plx_check(!plx_timer_is_armed(out[i]));
            at[which] = UINT64_MAX;
        }
        plx_wheel_verify(&wheel);
    } while (n == max);
    for (unsigned i = 0; i < TIMERS; i++)
        plx_check(at[i] == UINT64_MAX || at[i] > now || now - at[i] < tick); // at most a tick late
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    struct plx_timer timer[TIMERS];
    uint64_t at[TIMERS], now = distance(&o);

    plx_wheel_init(&wheel, (plx_time){now}, (plx_dur){UINT64_C(1) << (9 + ops_u8(&o) % 24)});
    uint64_t end_of_time = UINT64_MAX / plx_wheel_tick(&wheel).ns * plx_wheel_tick(&wheel).ns;
    for (unsigned i = 0; i < TIMERS; i++) {
        plx_timer_init(&timer[i]);
        at[i] = UINT64_MAX;
    }
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        unsigned i = ops_u8(&o) % TIMERS;
        switch (op % 8) {
        case 0:
            plx_wheel_cancel(&wheel, &timer[i]);
            at[i] = UINT64_MAX;
            break;
        case 1:
            plx_wheel_set(&wheel, &timer[i], PLX_NEVER);
            at[i] = UINT64_MAX;
            break;
        case 2: // before or after what it was
            at[i] = op & 8 ? plx_time_after((plx_time){at[i]}, PLX_NS(distance(&o))).ns
                           : plx_time_before((plx_time){at[i]}, PLX_NS(distance(&o))).ns;
            plx_wheel_set(&wheel, &timer[i], (plx_time){at[i]});
            break;
        case 3: // in the past
            at[i] = now - now % (1 + distance(&o));
            plx_wheel_set(&wheel, &timer[i], (plx_time){at[i]});
            break;
        case 4:
        case 5:
            at[i] = plx_time_after((plx_time){now}, PLX_NS(distance(&o))).ns;
            plx_wheel_set(&wheel, &timer[i], (plx_time){at[i]});
            break;
        case 6:
            now = plx_time_after((plx_time){now}, PLX_NS(distance(&o))).ns;
            expire(timer, at, now, 1 + i);
            break;
        default: { // as a loop would: sleep until the wheel says
            uint64_t next = plx_wheel_next(&wheel).ns;
            for (unsigned j = 0; j < TIMERS; j++) // never later than the first one's tick
                plx_check(at[j] == UINT64_MAX || at[j] > end_of_time || next <= at[j] ||
                          next - at[j] < plx_wheel_tick(&wheel).ns || next <= now);
            if (next == UINT64_MAX)
                break;
            now = next > now ? next : now;
            expire(timer, at, now, 1 + i);
        }
        }
        if (at[i] > end_of_time) // the last tick is never
            at[i] = UINT64_MAX;
        plx_wheel_verify(&wheel);
    }
    return 0;
}
