// test_list.c -- order, removal from anywhere, and loops that remove.

#include "base/list.h"

#include <string.h>

#include "rows.h"

struct fish {
    int weight;
    struct plx_list link;
    char name;
};

// The names in order.
static const char *names(const struct plx_list *head, char buf[16])
{
    size_t len = 0;

    plx_list_foreach(link, head)
        buf[len++] = PLX_CONTAINER(link, struct fish, link)->name;
    buf[len] = '\0';
    plx_list_verify(head);
    return buf;
}

static void test_order(void **state)
{
    struct fish a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    struct plx_list head;
    char buf[16];
    (void)state;

    plx_list_init(&head);
    plx_list_init(&a.link);
    plx_list_init(&b.link);
    plx_list_init(&c.link);
    assert_true(plx_list_is_empty(&head));
    assert_null(plx_list_first(&head));
    assert_null(plx_list_last(&head));
    assert_null(plx_list_take_first(&head));
    assert_false(plx_list_is_linked(&a.link));

    plx_list_add_tail(&head, &b.link);
    plx_list_add_tail(&head, &c.link);
    plx_list_add_head(&head, &a.link);
    assert_string_equal(names(&head, buf), "abc");
    assert_ptr_equal(plx_list_first(&head), &a.link);
    assert_ptr_equal(plx_list_last(&head), &c.link);
    assert_true(plx_list_is_linked(&b.link));

    plx_list_remove(&b.link);
    assert_string_equal(names(&head, buf), "ac");
    plx_list_remove(&b.link); // harmless
    assert_string_equal(names(&head, buf), "ac");
    assert_ptr_equal(plx_list_take_first(&head), &a.link);
    plx_list_remove(&c.link);
    assert_true(plx_list_is_empty(&head));
}

static void test_loop_may_remove_the_current_one(void **state)
{
    struct fish f[6];
    struct plx_list head;
    char buf[16];
    (void)state;

    plx_list_init(&head);
    for (int i = 0; i < 6; i++) {
        f[i] = (struct fish){.weight = i, .name = (char)('a' + i)};
        plx_list_init(&f[i].link);
        plx_list_add_tail(&head, &f[i].link);
    }
    plx_list_foreach(link, &head) {
        if (PLX_CONTAINER(link, struct fish, link)->weight % 2 == 0)
            plx_list_remove(link);
    }
    assert_string_equal(names(&head, buf), "bdf");
}

static void test_move_all(void **state)
{
    struct fish f[4];
    struct plx_list one, two;
    char buf[16];
    (void)state;

    plx_list_init(&one);
    plx_list_init(&two);
    for (int i = 0; i < 4; i++) {
        f[i] = (struct fish){.name = (char)('a' + i)};
        plx_list_init(&f[i].link);
        plx_list_add_tail(i < 2 ? &one : &two, &f[i].link);
    }
    plx_list_move_all(&one, &two);
    assert_string_equal(names(&one, buf), "abcd");
    assert_string_equal(names(&two, buf), "");
    plx_list_move_all(&one, &two); // nothing
    assert_string_equal(names(&one, buf), "abcd");
    plx_list_move_all(&two, &one); // into an empty one
    assert_string_equal(names(&two, buf), "abcd");
    assert_true(plx_list_is_empty(&one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_loop_may_remove_the_current_one),
        cmocka_unit_test(test_move_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
