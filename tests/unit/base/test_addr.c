// test_addr.c -- addresses as people write them, and texts that are none.

#include <string.h>

#include "plx/types.h"
#include "rows.h"

static void test_texts_that_are_addresses(void **state)
{
    static const struct {
        const char *text, *again; // again: how we write it, when that differs
    } row[] = {
        {"192.0.2.1:443", NULL},
        {"0.0.0.0:0", NULL},
        {"255.255.255.255:65535", NULL},
        {"192.0.2.1:0443", "192.0.2.1:443"},
        {"[::]:0", NULL},
        {"[::1]:4433", NULL},
        {"[2001:db8::1]:443", NULL},
        {"[2001:0db8:0:0:0:0:0:1]:443", "[2001:db8::1]:443"},
        {"[2001:DB8::A]:443", "[2001:db8::a]:443"},
        {"[::ffff:192.0.2.1]:1", NULL},
        {"[fe80::1%2]:443", NULL},
        {"[fe80::1%4294967295]:65535", NULL},
        {"[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535", NULL},
    };
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_addr a, b;
        char buf[PLX_ADDR_STRLEN];
        EXPECT_ROW(i, plx_addr_parse(row[i].text, &a));
        const char *want = row[i].again != NULL ? row[i].again : row[i].text;
        EXPECT_ROW(i, plx_addr_str(&a, buf) == buf);
        if (strcmp(buf, want) != 0)
            fail_msg("row %u: %s instead of %s", i, buf, want);
        EXPECT_ROW(i, plx_addr_parse(buf, &b));
        EXPECT_ROW(i, plx_addr_eq(&a, &b));
        EXPECT_ROW(i, plx_addr_ip_eq(&a, &b));
    }
}

static void test_texts_that_are_not(void **state)
{
    static const char *const row[] = {
        "",
        ":",
        ":443",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1:+1",
        "192.0.2.1:0x50",
        "192.0.2.1: 80",
        "192.0.2.1:80 ",
        " 192.0.2.1:80",
        "192.0.2:80",
        "192.0.2.256:80",
        "192.0.2.1.5:80",
        "localhost:80",
        "2001:db8::1:443",
        "[2001:db8::1]",
        "[2001:db8::1]443",
        "[2001:db8::1:443",
        "[]:1",
        "[:1",
        "[",
        "]:1",
        "[::1]]:1",
        "[[::1]:1",
        "[192.0.2.1]:1",
        "[::1%]:1",
        "[::1%0]:1",
        "[::1%eth0]:1",
        "[::1%4294967296]:1",
        "[::1%-1]:1",
        "[::1%2%3]:1",
        "[::1]:99999999999999999999",
        "192.0.2.1%2:80",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333:4444:5555:6666:7777]:443",
    };
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_addr a = {.port = 77};
        if (plx_addr_parse(row[i], &a))
            fail_msg("row %u: \"%s\" was taken for an address", i, row[i]);
        EXPECT_ROW(i, a.port == 77); // untouched
    }
}

static void test_unused_bytes_are_zero(void **state)
{
    struct plx_addr a, want = {.ip = {127, 0, 0, 1}, .port = 80, .af = PLX_AF_IP4};
    (void)state;

    memset(&a, 0xff, sizeof a);
    assert_true(plx_addr_parse("127.0.0.1:80", &a));
    assert_memory_equal(&a, &want, sizeof a); // or comparing as bytes would fail
}

static void test_no_address(void **state)
{
    struct plx_addr a = {0};
    char buf[PLX_ADDR_STRLEN];
    (void)state;

    assert_string_equal(plx_addr_str(&a, buf), "(none)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_that_are_addresses),
        cmocka_unit_test(test_texts_that_are_not),
        cmocka_unit_test(test_unused_bytes_are_zero),
        cmocka_unit_test(test_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
