// list.h -- a doubly linked list whose links live inside the objects that it holds.
//
// For the places where a list is the honest answer: things that wait (connections with something to send, timers
// of a slot), with removal from the middle in O(1) and no allocation. The head is a node like the others and the
// list is a ring, so nothing has a special case; a node that is in no list points at itself, so taking a node out
// twice is harmless and plx_list_is_linked() can be asked. Nothing on the request path walks a list.

#ifndef PLX_BASE_LIST_H
#define PLX_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct plx_list {
    struct plx_list *next, *prev;
};

// The object of which ptr is the named member.
#define PLX_CONTAINER(ptr, type, member) \
    ((type *)((char *)(ptr)-offsetof(type, member) + 0 * sizeof((ptr) == &((type *)0)->member)))

// For a head (the list is empty) and for a node (it is in no list).
static inline void plx_list_init(struct plx_list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool plx_list_is_empty(const struct plx_list *head)
{
    return head->next == head;
}
static inline bool plx_list_is_linked(const struct plx_list *node)
{
    return node->next != node;
}

static inline void plx_list_link_between(struct plx_list *node, struct plx_list *prev, struct plx_list *next)
{
    plx_debug(!plx_list_is_linked(node));
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

// The node must be initialised and in no list.
static inline void plx_list_add_tail(struct plx_list *head, struct plx_list *node)
{
    plx_list_link_between(node, head->prev, head);
}

static inline void plx_list_add_head(struct plx_list *head, struct plx_list *node)
{
    plx_list_link_between(node, head, head->next);
}

// Out of whatever list it is in; nothing happens when it is in none.
static inline void plx_list_remove(struct plx_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    plx_list_init(node);
}

// NULL when the list is empty.
static inline struct plx_list *plx_list_first(const struct plx_list *head)
{
    return plx_list_is_empty(head) ? NULL : head->next;
}

static inline struct plx_list *plx_list_last(const struct plx_list *head)
{
    return plx_list_is_empty(head) ? NULL : head->prev;
}

// Takes the first node out and returns it; NULL when the list is empty.
static inline struct plx_list *plx_list_take_first(struct plx_list *head)
{
    struct plx_list *node = plx_list_first(head);
    if (node != NULL)
        plx_list_remove(node);
    return node;
}

// Moves everything in `from` behind what is in `to`; `from` is empty afterwards.
static inline void plx_list_move_all(struct plx_list *to, struct plx_list *from)
{
    if (plx_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    plx_list_init(from);
}

// The nodes in order. The current one may be removed (or moved elsewhere) inside the loop, others may not.
#define plx_list_foreach(node, head)                                                      \
    for (struct plx_list *node = (head)->next, *node##_next = node->next; node != (head); \
         node = node##_next, node##_next = node->next)

// Checks both directions; O(n). For tests and fuzzers.
static inline void plx_list_verify(const struct plx_list *head)
{
    const struct plx_list *l = head;
    do {
        plx_check(l->next->prev == l);
        plx_check(l->prev->next == l);
        l = l->next;
    } while (l != head);
}

#endif
