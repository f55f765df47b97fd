// test_ecn.c -- whether a path carries ECN marks: timelines of section 13.4.2.1 of RFC 9000.

#include "quic/recovery/ecn.h"

#include "../base/rows.h"

enum op { SEND, LOSE, ACK, BARE_ACK };

struct step {
    enum op op;
    uint64_t n;              // packets sent, lost, or newly acknowledged
    uint64_t ect0, ect1, ce; // counts of the ACK
    enum plx_ecn_state after;
    uint64_t ce_new;
};

static void play(const char *name, const struct step *steps, unsigned count)
{
    struct plx_ecn_path e;
    struct plx_ecn_seen seen = {0};

    plx_ecn_init(&e, true);
    for (unsigned i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        struct plx_ecn_counts c = {s->ect0, s->ect1, s->ce};
        struct plx_ecn_result result = {0};
        uint8_t before = e.state;
        for (uint64_t k = 0; k < s->n && s->op == SEND; k++)
            plx_ecn_on_sent(&e, &seen, plx_ecn_mark(&e));
        for (uint64_t k = 0; k < s->n && s->op == LOSE; k++)
            plx_ecn_on_lost(&e, true);
        if (s->op == ACK)
            result = plx_ecn_on_ack(&e, &seen, s->n, &c);
        if (s->op == BARE_ACK)
            result = plx_ecn_on_ack(&e, &seen, s->n, NULL);
        if (e.state != s->after || result.ce_new != s->ce_new)
            fail_msg("%s, step %u: state %u, %u new marks", name, i, e.state, (unsigned)result.ce_new);
        if (s->op == ACK || s->op == BARE_ACK)
            EXPECT_ROW(i, result.has_failed == (before != PLX_ECN_FAILED && e.state == PLX_ECN_FAILED));
        EXPECT_ROW(i, (plx_ecn_mark(&e) != 0) == (e.state == PLX_ECN_TESTING || e.state == PLX_ECN_CAPABLE));
    }
}

#define PLAY(name, ...)                                              \
    do {                                                             \
        static const struct step steps[] = {__VA_ARGS__};            \
        play(name, steps, (unsigned)(sizeof steps / sizeof *steps)); \
    } while (0)

static void test_timelines(void **state)
{
    (void)state;
    PLAY("works", {SEND, 9, 0, 0, 0, PLX_ECN_TESTING, 0}, {SEND, 1, 0, 0, 0, PLX_ECN_UNKNOWN, 0},
         {SEND, 5, 0, 0, 0, PLX_ECN_UNKNOWN, 0}, {ACK, 4, 4, 0, 0, PLX_ECN_CAPABLE, 0},
         {ACK, 6, 9, 0, 1, PLX_ECN_CAPABLE, 1}, {SEND, 3, 0, 0, 0, PLX_ECN_CAPABLE, 0},
         {ACK, 3, 10, 0, 3, PLX_ECN_CAPABLE, 2});
    PLAY("works before testing ends", {SEND, 2, 0, 0, 0, PLX_ECN_TESTING, 0},
         {ACK, 2, 2, 0, 0, PLX_ECN_CAPABLE, 0});
    PLAY("peer says nothing", {SEND, 10, 0, 0, 0, PLX_ECN_UNKNOWN, 0},
         {BARE_ACK, 3, 0, 0, 0, PLX_ECN_FAILED, 0}, {ACK, 7, 10, 0, 0, PLX_ECN_FAILED, 0});
    PLAY("nothing marked was acknowledged yet", {BARE_ACK, 0, 0, 0, 0, PLX_ECN_TESTING, 0});
    PLAY("marks are cleared on the way", {SEND, 10, 0, 0, 0, PLX_ECN_UNKNOWN, 0},
         {ACK, 3, 2, 0, 0, PLX_ECN_FAILED, 0});
    PLAY("marks are rewritten on the way", {SEND, 10, 0, 0, 0, PLX_ECN_UNKNOWN, 0},
         {ACK, 3, 2, 1, 0, PLX_ECN_FAILED, 0});
    PLAY("more than was sent", {SEND, 10, 0, 0, 0, PLX_ECN_UNKNOWN, 0},
         {ACK, 3, 11, 0, 0, PLX_ECN_FAILED, 0});
    PLAY("counts go back", {SEND, 10, 0, 0, 0, PLX_ECN_UNKNOWN, 0}, {ACK, 3, 3, 0, 0, PLX_ECN_CAPABLE, 0},
         {ACK, 0, 2, 0, 1, PLX_ECN_FAILED, 0});
    PLAY("all are lost", {SEND, 10, 0, 0, 0, PLX_ECN_UNKNOWN, 0}, {LOSE, 9, 0, 0, 0, PLX_ECN_UNKNOWN, 0},
         {LOSE, 1, 0, 0, 0, PLX_ECN_FAILED, 0});
    PLAY("losses later mean nothing", {SEND, 10, 0, 0, 0, PLX_ECN_UNKNOWN, 0},
         {ACK, 1, 1, 0, 0, PLX_ECN_CAPABLE, 0}, {LOSE, 20, 0, 0, 0, PLX_ECN_CAPABLE, 0});
}

static void test_switched_off(void **state)
{
    struct plx_ecn_path e;
    struct plx_ecn_seen seen = {0};
    (void)state;
    plx_ecn_init(&e, false);
    assert_int_equal(plx_ecn_mark(&e), 0);
    assert_false(plx_ecn_on_ack(&e, &seen, 0, NULL).has_failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timelines),
        cmocka_unit_test(test_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
