// two_cubics.c -- what two CUBIC flows do to each other, whoever implements them: a model to hold ours against.
//
//   two_cubics                                        as the scenario `fairness`: fails when a share leaves 60:40
//   two_cubics --seconds 60 --queue 312000 --noise 0  any other link; prints the shares of each seed
//
// Written from RFC 9438 alone, in floating point, and shares no line with lib/quic: one bottleneck with a queue that drops at its tail,
// two senders with slow start, pacing, an acknowledgement for every second packet, loss after three later ones, one
// congestion event per round trip, a probe when nothing is heard. Noise is where the links of drivers/sim have it: behind the queue and on
// the way of the acknowledgements, up to so many microseconds. What is late holds up what follows, so packets arrive together; a
// receiver answers once to what came together, neither receiver first as a rule, and a sender hears all of it before it sends. That
// matters: with the same noise, but an answer to each packet in the order of arrival, shares vary half as much again. --spread delays
// each packet by itself in front of the queue, without keeping the order.
//
// It exists because shares of two flows depend on the link as much as on the senders. On a link without noise the packet that finds the
// queue full is that of whoever grows just then, again and again (phase effects); with few congestion events chance rules.
// Which conditions are fair ground was decided with this, not with our own sender.

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define RATE   12.5e6 // octets per second
#define RTT    0.05   // seconds, both ways, without the queue
#define PACKET 1452.0
#define WARM   16.0      // seconds before counting
#define TICK   65.536e-6 // of the timers
#define SILENT 0.5       // seconds without an acknowledgement: something is sent whatever the window says

enum { PACKETS_MAX = 1 << 22, EVENTS_MAX = 1 << 16 };
enum what { ARRIVE, RECEIVED, ACKED, PACED, BEGIN, PROBE };
enum state { NEVER_SENT, OUT, THERE, LOST, DONE };

struct event {
    double at;
    enum what what;
    unsigned flow;
    uint32_t pn;
};

struct flow {
    double cwnd, ssthresh, w_max, origin, k, epoch, w_est, prior; // packets and seconds; epoch < 0: none
    double recovery, srtt, tokens, filled, heard;
    uint32_t next, lowest, in_flight, unacked, last_received, received;
    bool is_waiting, has_gap;
    double *sent;
    uint8_t *state;
};

static struct {
    struct event heap[EVENTS_MAX];
    unsigned count;
    double now, queue_empty, queue, noise, spread;
    double last[2]; // arrival, there and back: nobody overtakes
    uint64_t random;
    struct flow flow[2];
} sim;

static double chance(void) // [0, 1), splitmix64
{
    uint64_t z = sim.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static void later(double at, enum what what, unsigned flow, uint32_t pn)
{
    plx_check(sim.count < EVENTS_MAX);
    unsigned i = sim.count++;
    for (; i > 0 && sim.heap[(i - 1) / 2].at > at; i = (i - 1) / 2)
        sim.heap[i] = sim.heap[(i - 1) / 2];
    sim.heap[i] = (struct event){at, what, flow, pn};
}

static struct event earliest(void)
{
    struct event top = sim.heap[0], last = sim.heap[--sim.count];
    unsigned i = 0;
    for (unsigned c; (c = 2 * i + 1) < sim.count; i = c) {
        c += c + 1 < sim.count && sim.heap[c + 1].at < sim.heap[c].at;
        if (sim.heap[c].at >= last.at)
            break;
        sim.heap[i] = sim.heap[c];
    }
    sim.heap[i] = last;
    return top;
}

static void congested(struct flow *f) // sections 4.6 and 4.7
{
    f->prior = f->cwnd;
    f->w_max = f->cwnd < f->w_max ? f->cwnd * 0.85 : f->cwnd;
    f->cwnd = f->ssthresh = fmax(f->cwnd * 0.7, 2);
    f->epoch = -1;
}

static void grow(struct flow *f, double packets) // sections 4.2 to 4.5
{
    if (f->cwnd < f->ssthresh) {
        f->cwnd += packets;
        return;
    }
    if (f->epoch < 0) {
        f->epoch = sim.now;
        f->w_est = f->cwnd;
        f->origin = fmax(f->w_max, f->cwnd);
        f->k = cbrt((f->origin - f->cwnd) / 0.4);
    }
    double t = sim.now - f->epoch;
    f->w_est += (f->w_est >= f->prior ? 1 : 0.9 / 1.7) * packets / f->cwnd;
    if (0.4 * pow(t - f->k, 3) + f->origin < f->w_est) {
        f->cwnd = fmax(f->cwnd, f->w_est);
        return;
    }
    double target = fmin(0.4 * pow(t + f->srtt - f->k, 3) + f->origin, 1.5 * f->cwnd);
    if (target > f->cwnd)
        f->cwnd += (target - f->cwnd) * packets / f->cwnd;
}

static bool may_send(struct flow *f, unsigned i)
{
    double rate = (f->cwnd < f->ssthresh ? 2 : 1.25) * f->cwnd / f->srtt;

    f->tokens = fmin(f->tokens + (sim.now - f->filled) * rate, fmax(10, rate / 1000));
    f->filled = sim.now;
    if (f->tokens >= 1) {
        f->tokens -= 1;
        return true;
    }
    if (!f->is_waiting)
        later(ceil((sim.now + (1 - f->tokens) / rate + 1e-9) / TICK) * TICK, PACED, i, 0);
    f->is_waiting = true;
    return false;
}

static void send_one(struct flow *f, unsigned i)
{
    plx_check(f->next < PACKETS_MAX);
    f->sent[f->next] = sim.now;
    f->state[f->next] = OUT;
    f->in_flight++;
    later(sim.now + chance() * sim.spread, ARRIVE, i, f->next++);
}

static void send_what_may(unsigned i)
{
    struct flow *f = &sim.flow[i];

    while (f->in_flight + 1 <= f->cwnd && may_send(f, i))
        send_one(f, i);
}

static void probe(unsigned i)
{
    struct flow *f = &sim.flow[i];

    if (f->in_flight > 0 && sim.now - f->heard > SILENT)
        send_one(f, i);
    later(sim.now + SILENT, PROBE, i, 0);
}

// Half a round trip and some noise from `at` on, but not before what left earlier: together with it then.
static double travelled(double at, unsigned way)
{
    return sim.last[way] = fmax(at + RTT / 2 + chance() * sim.noise, sim.last[way]);
}

static void arrive(const struct event *e)
{
    double begins = fmax(sim.queue_empty, sim.now);

    if ((begins - sim.now) * RATE + PACKET > sim.queue)
        return; // dropped
    sim.queue_empty = begins + PACKET / RATE;
    later(travelled(sim.queue_empty, 0), RECEIVED, e->flow, e->pn);
}

static void received(const struct event *e)
{
    struct flow *f = &sim.flow[e->flow];

    f->has_gap |= e->pn != f->last_received + 1;
    f->state[e->pn] = THERE;
    f->received++;
    f->unacked++;
    if (f->last_received == UINT32_MAX || e->pn > f->last_received)
        f->last_received = e->pn;
}

// One answer to all that came at one moment.
static void answer(unsigned i)
{
    struct flow *f = &sim.flow[i];

    if (f->unacked < 2 && !(f->has_gap && f->unacked > 0))
        return;
    f->unacked = 0;
    f->has_gap = false;
    later(travelled(sim.now, 1), ACKED, i, f->last_received);
}

static void acked(const struct event *e)
{
    struct flow *f = &sim.flow[e->flow];
    double sample = sim.now - f->sent[e->pn];
    unsigned count = 0;
    bool is_congested = false;

    f->heard = sim.now;
    f->srtt = f->srtt * 0.875 + sample * 0.125;
    for (uint32_t pn = f->lowest; pn <= e->pn; pn++) {
        if (f->state[pn] == THERE) {
            f->state[pn] = DONE;
            f->in_flight--;
            count += f->sent[pn] >= f->recovery;
        } else if (f->state[pn] == OUT && pn + 3 <= e->pn) {
            f->state[pn] = LOST;
            f->in_flight--;
            is_congested |= f->sent[pn] >= f->recovery;
        }
    }
    while (f->lowest < f->next && f->state[f->lowest] >= LOST)
        f->lowest++;
    if (is_congested) {
        f->recovery = sim.now;
        congested(f);
    }
    if (count > 0)
        grow(f, count);
}

// One thing that happens. True: the sender may have something to send.
static bool happens(const struct event *e)
{
    switch (e->what) {
    case ARRIVE:
        arrive(e);
        return false;
    case RECEIVED:
        received(e);
        return false;
    case ACKED:
        acked(e);
        return true;
    case PACED:
        sim.flow[e->flow].is_waiting = false;
        return true;
    case BEGIN:
        return true;
    case PROBE:
        probe(e->flow);
        return false;
    }
    return false;
}

// All that happens at one moment, and then what follows from it: receivers answer, no one first as a rule, and senders send, in the order
// in which they were given reason to.
static void moment(struct event e)
{
    unsigned order[2], count = 0, first = chance() < 0.5;

    sim.now = e.at;
    for (;; e = earliest()) {
        if (happens(&e) && (count == 0 || (count == 1 && order[0] != e.flow)))
            order[count++] = e.flow;
        if (sim.count == 0 || sim.heap[0].at > sim.now)
            break;
    }
    answer(first);
    answer(1 - first);
    for (unsigned i = 0; i < count; i++)
        send_what_may(order[i]);
}

static double share_of_first(uint64_t seed, double seconds)
{
    double before[2] = {0}, got[2];
    bool is_counting = false;

    sim.count = 0;
    sim.queue_empty = sim.last[0] = sim.last[1] = 0;
    sim.random = seed;
    for (unsigned i = 0; i < 2; i++) {
        struct flow *f = &sim.flow[i];
        memset(f->state, NEVER_SENT, PACKETS_MAX);
        *f = (struct flow){.cwnd = 10,
                           .ssthresh = 1e18,
                           .epoch = -1,
                           .recovery = -1,
                           .srtt = RTT,
                           .tokens = 10,
                           .last_received = UINT32_MAX,
                           .sent = f->sent,
                           .state = f->state};
        f->filled = i * 1.0 + chance() * 0.2;
        later(f->filled, BEGIN, i, 0);
        later(f->filled + SILENT, PROBE, i, 0);
    }
    while (sim.count > 0) {
        struct event e = earliest();
        if (!is_counting && e.at > WARM) {
            is_counting = true;
            before[0] = sim.flow[0].received, before[1] = sim.flow[1].received;
        }
        if (e.at > WARM + seconds)
            break;
        moment(e);
    }
    for (unsigned i = 0; i < 2; i++)
        got[i] = sim.flow[i].received - before[i];
    return got[0] / (got[0] + got[1]);
}

int main(int argc, char **argv)
{
    double seconds = 400, queue = 625000, noise = 500, spread = 0, sum = 0, squares = 0, widest = 0;
    unsigned seeds = 5, outside = 0;

    for (int i = 1; i < argc; i += 2) {
        char *end = NULL;
        double number = i + 1 < argc ? strtod(argv[i + 1], &end) : -1;
        bool is_number = end != NULL && *end == '\0' && number >= 0;
        if (is_number && strcmp(argv[i], "--seconds") == 0)
            seconds = number;
        else if (is_number && strcmp(argv[i], "--queue") == 0)
            queue = number;
        else if (is_number && strcmp(argv[i], "--noise") == 0)
            noise = number;
        else if (is_number && strcmp(argv[i], "--spread") == 0)
            spread = number;
        else if (is_number && strcmp(argv[i], "--seeds") == 0)
            seeds = (unsigned)number;
        else {
            fputs(
                "usage: two_cubics [--seconds S] [--queue OCTETS] [--noise MICROSECONDS] [--spread MICROSECONDS]"
                " [--seeds N]\n",
                stderr);
            return 2;
        }
    }
    sim.queue = queue;
    sim.noise = noise / 1e6;
    sim.spread = spread / 1e6;
    for (unsigned i = 0; i < 2; i++) {
        sim.flow[i].sent = calloc(PACKETS_MAX, sizeof(double));
        sim.flow[i].state = calloc(PACKETS_MAX, 1);
        plx_check(sim.flow[i].sent != NULL && sim.flow[i].state != NULL);
    }
    for (unsigned s = 1; s <= seeds; s++) {
        double share = share_of_first(s, seconds);
        bool is_fair = share >= 0.4 && share <= 0.6;
        outside += !is_fair;
        sum += share;
        squares += share * share;
        widest = fmax(widest, fabs(share - 0.5));
        printf("# seed %u: %.1f : %.1f%s\n", s, 100 * share, 100 - 100 * share, is_fair ? "" : " outside");
    }
    for (unsigned i = 0; i < 2; i++) {
        free(sim.flow[i].sent);
        free(sim.flow[i].state);
    }
    double mean = sum / seeds;
    printf("# mean %.2f, standard deviation %.2f, widest %.1f : %.1f\n", 100 * mean,
           100 * sqrt(fmax(squares / seeds - mean * mean, 0)), 50 + 100 * widest, 50 - 100 * widest);
    printf("%s two_cubics: %u of %u outside of 60:40\n", outside == 0 ? "ok" : "not ok", outside, seeds);
    return outside != 0;
}
