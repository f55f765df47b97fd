// test_token.c -- tokens: whose they are, how long they live, which keys open them, and what is told apart.

#include "quic/wire/token.h"

#include "../base/rows.h"
#include "base/time.h"

#include <pthread.h>
#include <stdatomic.h>

#define LIFE ((struct plx_token_life){PLX_SEC(10), PLX_SEC(86400)})
#define NOON ((plx_time){UINT64_C(1700000000) * 1000000000})

static struct plx_token_keys keys;
static const struct plx_cid odcid = {.len = 8, .bytes = "original"}, rscid = {.len = 8, .bytes = "retryscd"};

static int setup(void **state)
{
    char describe[128];
    (void)state;
    plx_token_keys_init(&keys, plx_aead_pick(NULL, describe, sizeof describe));
    return 0;
}

static void rotate(uint8_t n)
{
    uint8_t secret[PLX_TOKEN_SECRET_LEN];
    memset(secret, n, sizeof secret);
    plx_token_keys_rotate(&keys, secret);
}

static struct plx_addr addr_of(const char *text)
{
    struct plx_addr a;
    assert_true(plx_addr_parse(text, &a));
    return a;
}

static size_t seal(enum plx_token_kind kind, const char *peer, uint8_t n, uint8_t out[PLX_TOKEN_LEN_MAX])
{
    struct plx_addr a = addr_of(peer);
    uint8_t nonce[PLX_TOKEN_NONCE_LEN];
    for (unsigned i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)(n * 37 + i * 11);
    return kind == PLX_TOKEN_RETRY ? plx_token_seal_retry(&keys, &odcid, &rscid, &a, NOON, nonce, out)
                                   : plx_token_seal_new(&keys, &a, NOON, nonce, out);
}

static void test_told_apart(void **state)
{
    static const struct {
        enum plx_token_kind kind;
        const char *made_for, *used_by;
        int64_t seconds; // later
        const char *dcid;
        enum plx_token_result result;
    } row[] = {
        {PLX_TOKEN_RETRY, "192.0.2.1:5000", "192.0.2.1:5000", 1, "retryscd", PLX_TOKEN_OK},
        {PLX_TOKEN_RETRY, "192.0.2.1:5000", "192.0.2.1:5000", 10, "retryscd", PLX_TOKEN_OK},
        {PLX_TOKEN_RETRY, "192.0.2.1:5000", "192.0.2.1:5000", 11, "retryscd", PLX_TOKEN_EXPIRED},
        {PLX_TOKEN_RETRY, "192.0.2.1:5000", "192.0.2.1:5001", 1, "retryscd",
         PLX_TOKEN_FOREIGN}, // the port counts
        {PLX_TOKEN_RETRY, "192.0.2.1:5000", "192.0.2.2:5000", 1, "retryscd", PLX_TOKEN_FOREIGN},
        {PLX_TOKEN_RETRY, "192.0.2.1:5000", "192.0.2.1:5000", 1, "anything", PLX_TOKEN_FOREIGN}, // and the ID
        {PLX_TOKEN_RETRY, "[2001:db8::1]:5000", "[2001:db8::1]:5000", 1, "retryscd", PLX_TOKEN_OK},
        {PLX_TOKEN_RETRY, "[2001:db8::1]:5000", "[2001:db8::2]:5000", 1, "retryscd", PLX_TOKEN_FOREIGN},
        {PLX_TOKEN_NEW, "192.0.2.1:5000", "192.0.2.1:5000", 1, "anything", PLX_TOKEN_OK},
        {PLX_TOKEN_NEW, "192.0.2.1:5000", "192.0.2.1:777", 3600, "anything", PLX_TOKEN_OK}, // any port
        {PLX_TOKEN_NEW, "192.0.2.1:5000", "192.0.2.9:5000", 1, "anything", PLX_TOKEN_FOREIGN},
        {PLX_TOKEN_NEW, "192.0.2.1:5000", "192.0.2.1:5000", 86401, "anything", PLX_TOKEN_EXPIRED},
        {PLX_TOKEN_NEW, "192.0.2.1:5000", "192.0.2.1:5000", -10, "anything",
         PLX_TOKEN_OK}, // another server's clock
        {PLX_TOKEN_NEW, "192.0.2.1:5000", "192.0.2.1:5000", -11, "anything", PLX_TOKEN_EXPIRED},
        {PLX_TOKEN_NEW, "[2001:db8::1]:1", "[2001:db8::1]:2", 1, "anything", PLX_TOKEN_OK},
    };
    (void)state;
    rotate(1);
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t token[PLX_TOKEN_LEN_MAX];
        size_t len = seal(row[i].kind, row[i].made_for, (uint8_t)i, token);
        struct plx_addr peer = addr_of(row[i].used_by);
        struct plx_cid dcid = {.len = 8};
        struct plx_token_info info;
        plx_time now = {(uint64_t)((int64_t)NOON.ns + row[i].seconds * 1000000000)};
        memcpy(dcid.bytes, row[i].dcid, 8);
        EXPECT_ROW(i, len > 0 && len <= PLX_TOKEN_LEN_MAX);
        EXPECT_ROW(i, plx_token_kind(token, len) == row[i].kind);
        EXPECT_ROW(i,
                   plx_token_open(&keys, token, len, &peer, &dcid, now, &LIFE, NULL, &info) == row[i].result);
        EXPECT_ROW(i, info.made.ns == NOON.ns && info.kind == row[i].kind);
        EXPECT_ROW(i, row[i].kind == PLX_TOKEN_NEW || plx_cid_eq(&info.odcid, &odcid));
    }
}

static enum plx_token_result open_at_home(const uint8_t *token, size_t len, struct plx_token_seen *seen,
                                          plx_time now)
{
    struct plx_addr peer = addr_of("192.0.2.1:5000");
    struct plx_token_info info;
    return plx_token_open(&keys, token, len, &peer, &rscid, now, &LIFE, seen, &info);
}

static void test_damage(void **state)
{
    uint8_t token[PLX_TOKEN_LEN_MAX];
    (void)state;
    rotate(1);
    size_t len = seal(PLX_TOKEN_RETRY, "192.0.2.1:5000", 3, token);
    for (size_t bit = 0; bit < len * 8; bit++) { // the kind too: it is authenticated
        token[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_ROW(bit, open_at_home(token, len, NULL, NOON) == PLX_TOKEN_INVALID);
        token[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        EXPECT_ROW(cut, open_at_home(token, cut, NULL, NOON) == PLX_TOKEN_INVALID);
    assert_int_equal(open_at_home(token, len, NULL, NOON), PLX_TOKEN_OK);
}

static void test_rotation(void **state)
{
    uint8_t one[PLX_TOKEN_LEN_MAX], two[PLX_TOKEN_LEN_MAX];
    (void)state;
    assert_int_equal(seal(PLX_TOKEN_NEW, "192.0.2.1:5000", 1, one), 0); // no key yet
    assert_int_equal(open_at_home(one, 50, NULL, NOON), PLX_TOKEN_INVALID);
    for (uint8_t n = 10; n < 30; n++) {
        rotate(n);
        size_t len = seal(PLX_TOKEN_RETRY, "192.0.2.1:5000", n, one);
        assert_int_equal(open_at_home(one, len, NULL, NOON), PLX_TOKEN_OK);
        rotate((uint8_t)(n + 100));
        size_t len2 = seal(PLX_TOKEN_RETRY, "192.0.2.1:5000", n, two);
        assert_int_equal(open_at_home(one, len, NULL, NOON), PLX_TOKEN_OK); // the key before still opens
        assert_int_equal(open_at_home(two, len2, NULL, NOON), PLX_TOKEN_OK);
        rotate((uint8_t)(n + 200));
        assert_int_equal(open_at_home(one, len, NULL, NOON),
                         PLX_TOKEN_INVALID); // and the one before that does not
        assert_int_equal(open_at_home(two, len2, NULL, NOON), PLX_TOKEN_OK);
    }
}

// Two servers got the same keys after different numbers of rotations.
static void test_names_come_from_keys(void **state)
{
    uint8_t token[PLX_TOKEN_LEN_MAX];
    (void)state;
    rotate(1);
    rotate(2);
    size_t len = seal(PLX_TOKEN_RETRY, "192.0.2.1:5000", 1, token);
    plx_token_keys_init(&keys, keys.aead);
    rotate(2);
    assert_int_equal(open_at_home(token, len, NULL, NOON), PLX_TOKEN_OK);
}

static void test_replay(void **state)
{
    static struct plx_token_seen seen;
    uint8_t token[PLX_TOKEN_LEN_MAX];
    (void)state;
    rotate(1);
    plx_token_seen_init(&seen, NOON);
    size_t len = seal(PLX_TOKEN_NEW, "192.0.2.1:5000", 1, token);
    assert_int_equal(open_at_home(token, len, &seen, NOON), PLX_TOKEN_OK);
    assert_int_equal(open_at_home(token, len, &seen, NOON), PLX_TOKEN_REPLAYED);
    assert_int_equal(open_at_home(token, len, &seen, plx_time_after(NOON, PLX_SEC(86400))),
                     PLX_TOKEN_REPLAYED);
    len = seal(PLX_TOKEN_NEW, "192.0.2.1:5000", 2, token);
    assert_int_equal(open_at_home(token, len, &seen, NOON), PLX_TOKEN_OK);
    len = seal(PLX_TOKEN_RETRY, "192.0.2.1:5000", 3, token); // a Retry token lives too short to care
    assert_int_equal(open_at_home(token, len, &seen, NOON), PLX_TOKEN_OK);
    assert_int_equal(open_at_home(token, len, &seen, NOON), PLX_TOKEN_OK);
}

// Far more tokens than a generation holds: all of the last 8192 are remembered, and few fresh ones are refused.
static void test_replay_many(void **state)
{
    static struct plx_token_seen seen;
    static uint8_t tokens[8000][PLX_TOKEN_LEN_MAX];
    struct plx_addr peer = addr_of("192.0.2.1:5000");
    unsigned refused = 0;
    size_t len = 0;
    (void)state;
    rotate(1);
    plx_token_seen_init(&seen, NOON);
    for (unsigned i = 0; i < 24000; i++) {
        uint8_t nonce[PLX_TOKEN_NONCE_LEN];
        uint64_t v = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        v ^= v >> 29;
        memcpy(nonce, &v, 8);
        memcpy(nonce + 8, &i, 4);
        len = plx_token_seal_new(&keys, &peer, NOON, nonce, tokens[i % 8000]);
        refused += open_at_home(tokens[i % 8000], len, &seen, NOON) == PLX_TOKEN_REPLAYED;
    }
    assert_true(refused < 24000 / 10);
    for (unsigned i = 0; i < 100; i++)
        EXPECT_ROW(i, open_at_home(tokens[7999 - i * 79], len, &seen, NOON) == PLX_TOKEN_REPLAYED);
}

// Cores seal and open while the control plane rotates, as the header says it may: not again before every reader has finished a call.
enum { READERS = 2, ROTATIONS = 200 };
static _Atomic uint64_t calls[READERS];
static _Atomic bool is_over;
static _Atomic unsigned wrong;

static void *reader(void *arg)
{
    uint64_t which = (uint64_t)(uintptr_t)arg, n = 0;
    uint8_t token[PLX_TOKEN_LEN_MAX];
    while (!atomic_load(&is_over)) {
        struct plx_addr peer = {.af = PLX_AF_IP4, .port = 5000, .ip = {192, 0, 2, 1}};
        struct plx_token_life life = LIFE;
        struct plx_token_info info;
        uint8_t nonce[PLX_TOKEN_NONCE_LEN] = {(uint8_t)which};
        memcpy(nonce + 4, &n, 8);
        size_t len = plx_token_seal_retry(&keys, &odcid, &rscid, &peer, NOON, nonce, token);
        if (plx_token_open(&keys, token, len, &peer, &rscid, NOON, &life, NULL, &info) != PLX_TOKEN_OK)
            atomic_fetch_add(&wrong, 1); // at most one rotation lies between: the key before still opens
        atomic_store(&calls[which], ++n);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t thread[READERS];
    (void)state;
    rotate(0);
    atomic_store(&is_over, false);
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, reader, (void *)i), 0);
    for (unsigned n = 1; n <= ROTATIONS; n++) {
        for (unsigned i = 0; i < READERS;
             i++) { // two more calls: one that began after the last rotation has ended
            uint64_t seen = atomic_load(&calls[i]);
            while (atomic_load(&calls[i]) < seen + 2)
                sched_yield();
        }
        rotate((uint8_t)n);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_told_apart, setup),
        cmocka_unit_test_setup(test_damage, setup),
        cmocka_unit_test_setup(test_rotation, setup),
        cmocka_unit_test_setup(test_replay, setup),
        cmocka_unit_test_setup(test_names_come_from_keys, setup),
        cmocka_unit_test_setup(test_replay_many, setup),
        cmocka_unit_test_setup(test_threads, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
