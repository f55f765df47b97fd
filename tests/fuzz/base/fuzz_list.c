// fuzz_list.c -- two lists against two arrays of numbers.

#include <string.h>

#include "base/list.h"
#include "ops.h"

enum { NODES = 16 };

struct model {
    int node[NODES], count;
};

static void model_remove(struct model *m, int node)
{
    for (int i = 0; i < m->count; i++) {
        if (m->node[i] != node)
            continue;
        memmove(&m->node[i], &m->node[i + 1], (size_t)(m->count - i - 1) * sizeof m->node[0]);
        m->count--;
        return;
    }
}

static void compare(const struct plx_list *head, const struct plx_list *nodes, const struct model *m)
{
    int i = 0;

    plx_list_verify(head);
    plx_check(plx_list_is_empty(head) == (m->count == 0));
    plx_check(plx_list_first(head) == (m->count > 0 ? &nodes[m->node[0]] : NULL));
    plx_check(plx_list_last(head) == (m->count > 0 ? &nodes[m->node[m->count - 1]] : NULL));
    plx_list_foreach(link, head) {
        plx_check(i < m->count);
        plx_check(link == &nodes[m->node[i++]]);
        plx_check(plx_list_is_linked(link));
    }
    plx_check(i == m->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    struct plx_list head[2], nodes[NODES];
    struct model m[2] = {0};

    for (int i = 0; i < 2; i++)
        plx_list_init(&head[i]);
    for (int i = 0; i < NODES; i++)
        plx_list_init(&nodes[i]);
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        int which = op >> 7, node = op & 15;
        struct model *mine = &m[which], *other = &m[!which];
        bool is_free = !plx_list_is_linked(&nodes[node]);
        switch (op >> 4 & 7) {
        case 0:
        case 1:
            if (!is_free)
                break;
            plx_list_add_tail(&head[which], &nodes[node]);
            mine->node[mine->count++] = node;
            break;
        case 2:
            if (!is_free)
                break;
            plx_list_add_head(&head[which], &nodes[node]);
            memmove(&mine->node[1], &mine->node[0], (size_t)mine->count++ * sizeof mine->node[0]);
            mine->node[0] = node;
            break;
        case 3:
        case 4:
            plx_list_remove(&nodes[node]);
            model_remove(mine, node);
            model_remove(other, node);
            break;
        case 5: {
            struct plx_list *first = plx_list_take_first(&head[which]);
            plx_check(first == (mine->count > 0 ? &nodes[mine->node[0]] : NULL));
            if (first != NULL)
                model_remove(mine, mine->node[0]);
            break;
        }
        default:
            plx_list_move_all(&head[which], &head[!which]);
            memcpy(&mine->node[mine->count], other->node, (size_t)other->count * sizeof other->node[0]);
            mine->count += other->count;
            other->count = 0;
        }
        compare(&head[0], nodes, &m[0]);
        compare(&head[1], nodes, &m[1]);
    }
    return 0;
}
