// test_queue.c -- stream queues against a transport that is a few lines: what fails at the start, the rules of each call, and a fuzzer
// whose model knows of each request only how many octets went which way.
//
// Only the queues' own files are linked; plx_h3_* are ours here, and so are memory and descriptors when they are to run out. An octet is
// told by the number of its request and its place, so one that is lost, doubled, or in another request's answer shows at once.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/prng.h"
#include "engine/queue.h"

enum { WORKERS = 2, THREADS = 2, SLOTS = 4, BLOCKS = 6, LEN = 32, AHEAD = 3, REQS = 24, PENDING = 2 };

// --- the transport ------------------------------------------------------------------------------------------

struct plx_h3_req {
    void *user;
    uint32_t id;
    uint16_t core, status;
    bool is_open, is_cancelled, has_fin, was_full, is_held, has_ended;
    struct plx_buf pending[PENDING];
    unsigned pending_count;
    uint64_t sent, offered, taken, code;
};
static struct plx_h3_req reqs[REQS];
static struct plx_queues *queues;
static uint16_t cores[WORKERS];
static bool is_rung[WORKERS];
static int allocations_left = -1, descriptors_left = -1;

static uint8_t octet(uint32_t id, uint64_t at)
{
    return (uint8_t)(id * 37 + at * 11 + (at >> 8));
}

void *__real_aligned_alloc(size_t align, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);

void *__wrap_aligned_alloc(size_t align, size_t len)
{
    if (len > (size_t)1 << 32)
        return NULL;
    return allocations_left >= 0 && allocations_left-- == 0 ? NULL : __real_aligned_alloc(align, len);
}

int __wrap_eventfd(unsigned count, int flags)
{
    return descriptors_left >= 0 && descriptors_left-- == 0 ? -1 : __real_eventfd(count, flags);
}

void *plx_h3_req_user(const struct plx_h3_req *r)
{
    return r->user;
}
void plx_h3_req_set_user(struct plx_h3_req *r, void *user)
{
    r->user = user;
}
void *plx_h3_req_ctx(const struct plx_h3_req *r)
{
    (void)r;
    return queues;
}
bool plx_h3_req_is_early(const struct plx_h3_req *r)
{
    return r->id % 3 == 0; // two in three are not
}
struct plx_h3_conn *plx_h3_req_conn(const struct plx_h3_req *r)
{
    return (struct plx_h3_conn *)r;
}
struct plx_conn *plx_h3_conn_transport(const struct plx_h3_conn *c)
{
    return (struct plx_conn *)c;
}
struct plx_core *plx_conn_core(const struct plx_conn *c)
{
    return (struct plx_core *)&cores[((const struct plx_h3_req *)c)->core];
}
uint16_t plx_core_index(const struct plx_core *core)
{
    return (uint16_t)((const uint16_t *)core - cores);
}
void plx_core_ring(struct plx_core *core)
{
    is_rung[plx_core_index(core)] = true;
}

static void released(struct plx_buf b)
{
    if (b.owner != NULL)
        b.owner->release(b.owner, b.data, b.len);
}

enum plx_err plx_h3_respond(struct plx_h3_req *r, uint16_t status, const struct plx_field *f, uint16_t count,
                            struct plx_buf body, bool fin)
{
    assert_true(r->is_open && body.len == 0);
    if (r->is_cancelled)
        return PLX_ERR_CLOSED;
    if (r->status != 0 || status < 200)
        return PLX_ERR_INVALID;
    for (uint16_t i = 0; i < count; i++)
        assert_true(f[i].name_len == 1 && f[i].name[0] == 'n' && f[i].value_len == i);
    r->status = status;
    r->has_fin = fin;
    return PLX_OK;
}

enum plx_err plx_h3_send_body(struct plx_h3_req *r, struct plx_buf body, bool fin)
{
    assert_true(r->is_open);
    if (r->is_cancelled) {
        released(body);
        return PLX_ERR_CLOSED;
    }
    if (r->status == 0 || r->has_fin)
        return PLX_ERR_INVALID;
    if (r->pending_count == PENDING) {
        r->was_full = true;
        return PLX_ERR_AGAIN;
    }
    for (size_t i = 0; i < body.len; i++)
        assert_int_equal(((const uint8_t *)body.data)[i], octet(r->id, r->sent + i));
    r->sent += body.len;
    r->has_fin = fin;
    if (body.len < 8)
        released(body); // as if it had been copied
    else
        r->pending[r->pending_count++] = body;
    return PLX_OK;
}

static void pending_drop(struct plx_h3_req *r)
{
    for (unsigned i = 0; i < r->pending_count; i++)
        released(r->pending[i]);
    r->pending_count = 0;
}

void plx_h3_cancel(struct plx_h3_req *r, uint64_t code)
{
    assert_true(r->is_open);
    if (!r->is_cancelled)
        r->code = code;
    r->is_cancelled = true;
    pending_drop(r);
}

static void offer(struct plx_h3_req *r)
{
    uint8_t data[200];
    size_t len = r->offered - r->taken;

    for (size_t i = 0; i < len; i++)
        data[i] = octet(r->id, r->taken + i);
    size_t n = len == 0 ? 0 : plx_queue_handler.on_body(r, data, len);
    assert_true(n <= len);
    r->taken += n;
    r->is_held = n < len;
}

void plx_h3_resume(struct plx_h3_req *r)
{
    assert_true(r->is_open);
    if (!r->is_cancelled && r->is_held)
        offer(r);
}

static uint32_t next_id;

static struct plx_h3_req *request(uint16_t core, bool has_body)
{
    struct plx_h3_req *r = reqs;
    const struct plx_h3_head head = {.method = {(const uint8_t *)"GET", 3},
                                     .path = {(const uint8_t *)"/", 1}};

    while (r < reqs + REQS && r->is_open)
        r++;
    if (r == reqs + REQS)
        return NULL;
    *r = (struct plx_h3_req){.id = next_id++, .core = core, .is_open = true, .has_ended = !has_body};
    plx_queue_handler.on_request(r, &head, has_body);
    if (!has_body)
        plx_queue_handler.on_end(r, NULL, 0);
    return r;
}

static struct plx_buf late[64]; // what the transport lets go of only after the request's end
static unsigned late_count;

static void late_drop(void)
{
    while (late_count > 0)
        released(late[--late_count]);
}

static void close_req(struct plx_h3_req *r, uint64_t code, bool is_peer)
{
    while (late_count < 64 && r->id % 2 == 0 && r->pending_count > 0)
        late[late_count++] = r->pending[--r->pending_count];
    pending_drop(r);
    plx_queue_handler.on_closed(r, code, is_peer);
    r->is_open = false;
}

static void rings(void)
{
    for (uint16_t w = 0; w < WORKERS; w++) {
        if (!is_rung[w])
            continue;
        is_rung[w] = false;
        plx_queue_on_ring(queues, (struct plx_core *)&cores[w]);
    }
}

static void make(uint16_t workers, uint16_t threads)
{
    const struct plx_queues_cfg cfg = {workers, threads, SLOTS, BLOCKS, LEN, AHEAD, 256};

    memset(reqs, 0, sizeof reqs);
    memset(is_rung, 0, sizeof is_rung);
    next_id = 1;
    queues = plx_queues_new(&cfg);
    assert_non_null(queues);
}

// --- the start ----------------------------------------------------------------------------------------------

static void test_new_fails_whole(void **state)
{
    const struct plx_queues_cfg cfg = {2, 3, 4, 5, 64, 2, 128};
    int *left[] = {&allocations_left, &descriptors_left};

    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        int i = 0;
        struct plx_queues *qs = NULL;
        for (; qs == NULL; i++) { // the sanitizer's leak check sees what a failure leaves behind
            *left[k] = i;
            qs = plx_queues_new(&cfg);
        }
        assert_int_equal(i - 1, k == 0 ? 4 + 2 * 3 * 7 : 3);
        *left[k] = -1;
        plx_queues_free(qs);
    }
    plx_queues_free(NULL);
}

static void test_new_refuses_zero(void **state)
{
    struct plx_queues_cfg cfg;

    (void)state;
    plx_queues_cfg_init(&cfg);
    uint16_t *small[] = {&cfg.workers, &cfg.threads};
    uint32_t *large[] = {&cfg.requests_max, &cfg.blocks, &cfg.block_len, &cfg.ahead_max, &cfg.head_max};
    for (unsigned i = 0; i < 7; i++) {
        plx_queues_cfg_init(&cfg);
        if (i < 2)
            *small[i] = 0;
        else
            *large[i - 2] = 0;
        assert_null(plx_queues_new(&cfg));
    }
    plx_queues_cfg_init(&cfg);
    cfg.blocks = UINT32_MAX; // and no overflow
    cfg.block_len = UINT32_MAX;
    assert_null(plx_queues_new(&cfg));
}

// --- the rules ----------------------------------------------------------------------------------------------

static struct plx_queue_event only(struct plx_queue *q, enum plx_queue_what what)
{
    struct plx_queue_event ev = {0};

    assert_int_equal(plx_queue_poll(q, &ev, 1), 1);
    assert_int_equal(ev.what, what);
    return ev;
}

static void test_rules(void **state)
{
    struct plx_queue_event ev;
    struct plx_field f[3] = {{.name = "n", .name_len = 1},
                             {.name = "n", .name_len = 1, .value = "v", .value_len = 1}};
    char large[300] = {0};
    size_t room;

    (void)state;
    make(1, 1);
    struct plx_queue *q = plx_queues_thread(queues, 0);
    assert_int_equal(plx_queue_poll(q, &ev, 1), 0);
    struct plx_h3_req *r = request(0, false);
    struct plx_queue_req *s = only(q, PLX_QUEUE_REQUEST).req;
    only(q, PLX_QUEUE_END);
    uint8_t *p = plx_queue_reserve(s, &room);
    assert_true(p != NULL && room == LEN && plx_queue_reserve(s, &room) == p);
    assert_int_equal(plx_queue_commit(s, 1, false), PLX_ERR_INVALID); // no head
    f[2] = (struct plx_field){.name = large, .name_len = 200, .value = large, .value_len = 100};
    assert_int_equal(plx_queue_respond(s, 200, f, 3, false), PLX_ERR_INVALID); // too large
    assert_int_equal(plx_queue_respond(s, 200, f, 2, false), PLX_OK);          // an empty value is NULL
    assert_int_equal(plx_queue_respond(s, 200, f, 0, false), PLX_ERR_INVALID); // a second
    assert_int_equal(plx_queue_commit(s, 0, false), PLX_ERR_INVALID);
    assert_int_equal(plx_queue_commit(s, LEN + 1, false), PLX_ERR_INVALID);
    p[0] = octet(r->id, 0);
    assert_int_equal(plx_queue_commit(s, 1, false), PLX_OK);
    assert_int_equal(plx_queue_commit(s, 1, false), PLX_ERR_INVALID); // nothing reserved
    assert_int_equal(plx_queue_commit(s, 0, true), PLX_OK);
    assert_int_equal(plx_queue_commit(s, 0, true), PLX_ERR_INVALID); // after fin
    assert_null(plx_queue_reserve(s, &room));
    rings();
    assert_true(r->status == 200 && r->sent == 1 && r->has_fin);
    close_req(r, 0, false);
    ev = only(q, PLX_QUEUE_CLOSED);
    assert_int_equal(plx_queue_commit(s, 0, true), PLX_ERR_CLOSED);
    plx_queue_cancel(s, 1);
    plx_queue_release(s);
    assert_false(r->is_cancelled);

    r = request(0, true); // one that the program gives up
    s = only(q, PLX_QUEUE_REQUEST).req;
    plx_queue_cancel(s, 0x10c);
    plx_queue_cancel(s, 0x10d);
    assert_int_equal(plx_queue_respond(s, 200, NULL, 0, true), PLX_ERR_CLOSED);
    assert_int_equal(plx_queue_commit(s, 0, true), PLX_ERR_CLOSED);
    rings();
    assert_true(r->is_cancelled && r->code == 0x10c);
    close_req(r, 0x10c, false);
    only(q, PLX_QUEUE_CLOSED);
    plx_queue_release(s);

    r = request(0, true); // a status that HTTP does not have
    s = only(q, PLX_QUEUE_REQUEST).req;
    assert_int_equal(plx_queue_respond(s, 99, NULL, 0, true), PLX_OK);
    rings();
    assert_true(r->is_cancelled && r->code == PLX_H3_INTERNAL_ERROR);
    r = request(0, true); // one that nobody has begun when the thread stops
    plx_queue_stop(q);
    rings();
    assert_true(r->status == 503 && r->has_fin && r->user == NULL);
    r = request(0, false);
    assert_true(r->status == 503 && plx_queues_refused(queues) == 1);
    plx_queues_end(queues);
    plx_queues_free(queues);
}

// OVER that finds no place among the events is neither lost nor slept through.
static void test_over(void **state)
{
    struct plx_queue_event ev[2];

    (void)state;
    make(2, 1);
    struct plx_queue *q = plx_queues_thread(queues, 0);
    request(1, true);
    plx_queues_end(queues);
    assert_int_equal(plx_queue_poll(q, ev, 2), 2);
    assert_true(ev[0].what == PLX_QUEUE_REQUEST && ev[1].what == PLX_QUEUE_CLOSED);
    assert_true(ev[1].code == PLX_H3_INTERNAL_ERROR && !ev[1].is_peer);
    plx_queue_release(ev[1].req);
    plx_queue_wait(q, -1);
    only(q, PLX_QUEUE_OVER);
    assert_int_equal(plx_queue_poll(q, ev, 2), 0);
    plx_queue_wait(q, 0);
    plx_queues_free(queues);
}

// --- the fuzzer ---------------------------------------------------------------------------------------------

struct model {
    struct plx_queue_req *req; // NULL: unused
    uint32_t id;
    uint64_t read, written;
    struct plx_queue_event kept[AHEAD];
    unsigned kept_count;
    bool is_answered, is_fin, has_ended, waits, is_cancelled;
};
static struct model models[THREADS][WORKERS * SLOTS];
static bool has_stopped[THREADS];
static struct plx_prng rng;

static bool chance(unsigned one_in)
{
    return plx_prng_below(&rng, one_in) == 0;
}

static uint32_t id_of(const struct plx_queue_req *s)
{
    for (unsigned i = 0; i < REQS; i++)
        if (reqs[i].is_open && reqs[i].user == s)
            return reqs[i].id;
    return 0; // closed before it was polled
}

static void on_event(unsigned t, const struct plx_queue_event *e)
{
    struct model *m = plx_queue_user(e->req);

    switch (e->what) {
    case PLX_QUEUE_REQUEST:
        assert_null(m);
        for (m = models[t]; m->req != NULL; m++)
            assert_true(m < models[t] + WORKERS * SLOTS);
        *m = (struct model){.req = e->req, .id = id_of(e->req)};
        assert_memory_equal(e->head->method.p, "GET", 3);
        assert_true(m->id == 0 || e->is_early == (m->id % 3 == 0));
        plx_queue_set_user(e->req, m);
        return;
    case PLX_QUEUE_BODY:
        assert_true(m->req == e->req && m->kept_count < AHEAD && !m->has_ended && e->len > 0);
        for (size_t i = 0; m->id != 0 && i < e->len; i++)
            assert_int_equal(e->data[i], octet(m->id, m->read + i));
        m->read += e->len;
        m->kept[m->kept_count++] = *e;
        return;
    case PLX_QUEUE_END:
        assert_true(m->req == e->req && !m->has_ended);
        m->has_ended = true;
        return;
    case PLX_QUEUE_WRITABLE:
        assert_true(m->req == e->req && m->waits);
        m->waits = false;
        return;
    default:
        assert_int_equal(e->what, PLX_QUEUE_CLOSED);
        assert_ptr_equal(m->req, e->req);
        while (m->kept_count > 0)
            plx_queue_consumed(e->req, m->kept[--m->kept_count].block);
        plx_queue_release(e->req);
        m->req = NULL;
    }
}

static void poll_thread(unsigned t)
{
    struct plx_queue_event ev[8];
    unsigned n =
        plx_queue_poll(plx_queues_thread(queues, (uint16_t)t), ev, 1 + (unsigned)plx_prng_below(&rng, 8));

    for (unsigned i = 0; i < n; i++)
        on_event(t, &ev[i]);
}

static void write_piece(struct model *m)
{
    size_t room;
    uint8_t *p = plx_queue_reserve(m->req, &room);

    if (p == NULL) {
        m->waits = true;
        return;
    }
    size_t len = 1 + plx_prng_below(&rng, room);
    for (size_t i = 0; i < len; i++)
        p[i] = octet(m->id, m->written + i);
    bool fin = chance(6);
    if (m->is_answered && plx_queue_commit(m->req, len, fin) == PLX_OK) {
        m->written += len;
        m->is_fin = fin;
    }
}

static void thread_acts(struct model *m)
{
    static const struct plx_field f = {.name = "n", .name_len = 1};

    if (m->req == NULL)
        return;
    switch (plx_prng_below(&rng, 8)) {
    case 0:
        m->is_answered |= plx_queue_respond(m->req, 200, &f, 1, false) == PLX_OK;
        return;
    case 1:
        if (!chance(8))
            return;
        plx_queue_cancel(m->req, PLX_H3_REQUEST_CANCELLED);
        m->is_cancelled = true;
        return;
    case 2:
        if (chance(4) && m->is_answered && !m->is_fin)
            m->is_fin = plx_queue_commit(m->req, 0, true) == PLX_OK;
        return;
    case 3:
    case 4:
        if (m->kept_count > 0) { // any of them
            struct plx_queue_event *e = &m->kept[plx_prng_below(&rng, m->kept_count)];
            plx_queue_consumed(m->req, e->block);
            *e = m->kept[--m->kept_count];
        }
        return;
    default:
        if (!m->is_fin)
            write_piece(m);
    }
}

static void transport_acts(struct plx_h3_req *r)
{
    if (!r->is_open)
        return;
    switch (plx_prng_below(&rng, 5)) {
    case 0:
        if (r->has_ended || r->is_cancelled || r->is_held)
            return;
        r->offered += 1 + plx_prng_below(&rng, 100);
        offer(r);
        return;
    case 1:
        if (r->has_ended || r->is_held || r->is_cancelled || !chance(4))
            return;
        r->has_ended = true;
        plx_queue_handler.on_end(r, NULL, 0);
        return;
    case 2:
        if ((r->has_fin && r->has_ended && r->pending_count == 0) || r->is_cancelled)
            close_req(r, r->code, false);
        else if (chance(20))
            close_req(r, PLX_H3_REQUEST_CANCELLED, true);
        return;
    default:
        if (r->pending_count > 0) {
            released(r->pending[0]);
            memmove(r->pending, r->pending + 1, --r->pending_count * sizeof r->pending[0]);
        }
        if (r->was_full && !r->is_cancelled) {
            r->was_full = false;
            plx_queue_handler.on_writable(r);
        }
    }
}

static unsigned list_len(const struct plx_qblock *b)
{
    unsigned n = 0;
    for (; b != NULL; b = b->next)
        n++;
    return n;
}

// With all acknowledged and all consumed nobody may still wait.
static void flow(void)
{
    for (unsigned i = 0; i < 100; i++) {
        for (struct plx_h3_req *r = reqs; r < reqs + REQS; r++) {
            pending_drop(r);
            if (r->is_open && !r->is_cancelled)
                plx_queue_handler.on_writable(r);
        }
        late_drop();
        rings();
        for (unsigned t = 0; t < THREADS; t++) {
            if (has_stopped[t])
                continue;
            poll_thread(t);
            for (struct model *m = models[t]; m < models[t] + WORKERS * SLOTS; m++)
                while (m->req != NULL && m->kept_count > 0)
                    plx_queue_consumed(m->req, m->kept[--m->kept_count].block);
        }
    }
    for (const struct plx_h3_req *r = reqs; r < reqs + REQS; r++)
        assert_false(r->is_open && !r->is_cancelled && r->is_held);
    for (unsigned t = 0; t < THREADS; t++)
        for (const struct model *m = models[t]; m < models[t] + WORKERS * SLOTS; m++)
            assert_false(!has_stopped[t] && m->req != NULL && m->waits && !m->is_cancelled);
}

// All that is open closes, all that is told is heard: then everything is at home, but for what a thread that stopped holds.
static void settle(void)
{
    for (unsigned i = 0; i < REQS; i++)
        if (reqs[i].is_open)
            close_req(&reqs[i], PLX_H3_NO_ERROR, true);
    for (unsigned i = 0; i < 200; i++) {
        late_drop();
        rings();
        for (unsigned t = 0; t < THREADS; t++)
            if (!has_stopped[t])
                poll_thread(t);
    }
    for (unsigned i = 0; i < WORKERS * THREADS; i++) {
        const struct plx_qpair *p = &queues->pair[i];
        unsigned slots = 0;
        if (has_stopped[i % THREADS])
            continue;
        for (const struct plx_queue_req *s = p->free_slots; s != NULL; s = s->next_free)
            slots++;
        for (unsigned k = 0; k < SLOTS; k++)
            assert_int_equal(p->slot[k].out_count, 0);
        assert_int_equal(slots, SLOTS);
        assert_int_equal(list_len(p->in_free), BLOCKS);
        assert_int_equal(list_len(p->out_free), BLOCKS);
        assert_int_equal(plx_spsc_count(&p->up) + plx_spsc_count(&p->down), 0);
    }
}

static void test_fuzz(void **state)
{
    unsigned answers = 0, stopped = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        plx_prng_init(&rng, seed);
        memset(models, 0, sizeof models);
        memset(has_stopped, 0, sizeof has_stopped);
        make(WORKERS, THREADS);
        for (unsigned step = 0; step < 1500; step++) {
            unsigned t = (unsigned)plx_prng_below(&rng, THREADS);
            if (chance(6))
                request((uint16_t)plx_prng_below(&rng, WORKERS), chance(2));
            transport_acts(&reqs[plx_prng_below(&rng, REQS)]);
            if (chance(30))
                late_drop();
            if (chance(2))
                rings();
            if (has_stopped[t])
                continue;
            if (chance(2))
                poll_thread(t);
            thread_acts(&models[t][plx_prng_below(&rng, WORKERS * SLOTS)]);
            if (seed % 3 == 0 && chance(1000)) {
                plx_queue_stop(plx_queues_thread(queues, (uint16_t)t));
                has_stopped[t] = true;
                stopped++;
            }
        }
        for (unsigned i = 0; i < REQS; i++)
            answers += reqs[i].has_fin;
        flow();
        settle();
        plx_queues_end(queues);
        plx_queues_free(queues);
    }
    assert_true(answers > 300 && stopped > 20); // it did not idle
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_fails_whole),
        cmocka_unit_test(test_new_refuses_zero),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_over),
        cmocka_unit_test(test_fuzz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
