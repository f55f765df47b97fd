// memo.c -- see memo.h.
//
// A set holds two entries and the mark of the last section that was missed in it. An entry is laid out in the order in which a hit
// reads it: mark and length, the head, the octets; text and fields are for whoever looks at them.

#include "h3/memo.h"

#include <string.h>

#include "base/check.h"
#include "h3/message.h"

struct entry {
    uint64_t mark; // 0: empty
    uint16_t len;
    uint8_t kind; // enum plx_memo_kind
    struct plx_h3_head head;
    uint8_t octets[PLX_MEMO_OCTETS_MAX];
    uint16_t text_len;
    char text[PLX_MEMO_TEXT_MAX];
    struct plx_field fields[PLX_MEMO_FIELDS_MAX];
};

struct set {
    uint64_t seen; // mark of the last miss
    uint8_t next;  // the entry that gives way
    _Alignas(64) struct entry way[PLX_MEMO_WAYS];
};

struct like {                       // the answer that came last, but for its body
    const struct plx_h3_head *head; // in an entry; NULL: none
    size_t len, front;
    uint8_t octets[PLX_MEMO_FRONT_MAX];
};

struct plx_memo {
    uint64_t secret;
    const struct entry *last[2]; // found last, by kind: what comes in a row needs no hash; NULL: none yet
    struct like like;
    _Alignas(64) struct set sets[PLX_MEMO_SETS];
};
_Static_assert((PLX_MEMO_SETS & (PLX_MEMO_SETS - 1)) == 0, "sets are chosen by a mask");

size_t plx_memo_size(void)
{
    return sizeof(struct plx_memo);
}

struct plx_memo *plx_memo_init(void *mem, uint64_t secret)
{
    struct plx_memo *m = mem;
    m->secret = secret | 1;
    return m;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Never 0. It only has to spread: equality is decided by the octets.
static uint64_t mark_of(const struct plx_memo *m, enum plx_memo_kind kind, const uint8_t *p, size_t len)
{
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = m->secret ^ (len << 1 | kind);

    for (size_t i = 0; i + 8 < len; i += 8) {
        h = (h ^ load64(p + i)) * factor;
        h ^= h >> 32;
    }
    h = (h ^ load64(p + len - 8)) * factor;
    return (h ^ h >> 32) | 1;
}

static struct set *set_of(struct plx_memo *m, uint64_t mark)
{
    return &m->sets[mark >> 1 & (PLX_MEMO_SETS - 1)];
}

static bool is_it(const struct entry *e, enum plx_memo_kind kind, const uint8_t *p, size_t len)
{
    // The end first: there is what differs between sections that begin alike.
    return e->len == len && e->kind == kind && load64(e->octets + len - 8) == load64(p + len - 8) &&
           memcmp(e->octets, p, len - 8) == 0;
}

const struct plx_h3_head *plx_memo_find_last(const struct plx_memo *m, enum plx_memo_kind kind,
                                             const uint8_t *p, size_t len)
{
    const struct entry *e = m->last[kind];

    return e != NULL && is_it(e, kind, p, len) ? &e->head : NULL;
}

// In line, for a handful of words; at least eight octets.
static inline bool is_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint64_t differs = load64(a + len - 8) ^ load64(b + len - 8);

    for (size_t i = 0; i + 8 < len; i += 8)
        differs |= load64(a + i) ^ load64(b + i);
    return differs == 0;
}

const struct plx_h3_head *plx_memo_like(const struct plx_memo *m, const uint8_t *answer, size_t len,
                                        size_t *front)
{
    const struct like *l = &m->like;

    if (l->head == NULL || len != l->len || !is_equal(answer, l->octets, l->front))
        return NULL;
    *front = l->front;
    return l->head;
}

void plx_memo_like_set(struct plx_memo *m, const uint8_t *answer, size_t len, size_t front,
                       const struct plx_h3_head *head)
{
    plx_check(front <= len);
    if (front < PLX_MEMO_OCTETS_MIN || front > PLX_MEMO_FRONT_MAX)
        return;
    m->like.head = head;
    m->like.len = len;
    m->like.front = front;
    memcpy(m->like.octets, answer, front);
}

const struct plx_h3_head *plx_memo_find(struct plx_memo *m, enum plx_memo_kind kind, const uint8_t *p,
                                        size_t len, uint64_t *mark)
{
    *mark = 0;
    if (len < PLX_MEMO_OCTETS_MIN || len > PLX_MEMO_OCTETS_MAX)
        return NULL;
    if (m->last[kind] != NULL && is_it(m->last[kind], kind, p, len))
        return &m->last[kind]->head;
    *mark = mark_of(m, kind, p, len);
    struct set *set = set_of(m, *mark);
    for (unsigned i = 0; i < PLX_MEMO_WAYS; i++) {
        const struct entry *e = &set->way[i];
        if (e->mark == *mark && is_it(e, kind, p, len)) {
            m->last[kind] = e;
            return &e->head;
        }
    }
    return NULL;
}

// --- keeping -----------------------------------------------------------------------------------------------

static bool is_secret(const struct plx_field *f)
{
    static const char *const names[] = {"cookie", "set-cookie", "authorization", "proxy-authorization"};
    const struct plx_span name = {(const uint8_t *)f->name, f->name_len};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (plx_span_is(name, names[i]))
            return true;
    return f->never_index;
}

static bool fits(const struct plx_qpack_section *s, const struct plx_h3_head *head)
{
    size_t text = 0;

    if (s->required > 0 || head->field_count > PLX_MEMO_FIELDS_MAX)
        return false;
    for (uint16_t i = 0; i < s->count; i++) {
        text += s->fields[i].name_len + s->fields[i].value_len;
        if (is_secret(&s->fields[i]))
            return false;
    }
    return text <= PLX_MEMO_TEXT_MAX; // names of pseudo-fields are counted and not kept
}

static const char *text_add(struct entry *e, const void *p, size_t len)
{
    char *to = e->text + e->text_len;

    plx_check(e->text_len + len <= PLX_MEMO_TEXT_MAX);
    if (len > 0)
        memcpy(to, p, len);
    e->text_len = (uint16_t)(e->text_len + len);
    return to;
}

static void own_span(struct entry *e, struct plx_span *s)
{
    if (s->p != NULL) // present and empty is not the same as absent
        s->p = (const uint8_t *)text_add(e, s->p, s->len);
}

void plx_memo_keep(struct plx_memo *m, enum plx_memo_kind kind, const uint8_t *p, size_t len, uint64_t mark,
                   const struct plx_qpack_section *s, const struct plx_h3_head *head)
{
    if (mark == 0 || !fits(s, head))
        return;
    struct set *set = set_of(m, mark);
    if (set->seen != mark) {
        set->seen = mark;
        return;
    }
    set->seen = 0;
    struct entry *e = &set->way[set->next];
    set->next = (uint8_t)((set->next + 1) % PLX_MEMO_WAYS);
    if (m->like.head == &e->head)
        m->like.head = NULL;
    e->mark = mark;
    e->len = (uint16_t)len;
    e->kind = (uint8_t)kind;
    memcpy(e->octets, p, len);
    e->text_len = 0;
    e->head = *head;
    own_span(e, &e->head.method);
    own_span(e, &e->head.scheme);
    own_span(e, &e->head.authority);
    own_span(e, &e->head.path);
    own_span(e, &e->head.protocol);
    e->head.fields = e->fields;
    for (uint16_t i = 0; i < head->field_count; i++) {
        const struct plx_field *f = &head->fields[i];
        e->fields[i] = *f;
        e->fields[i].name = text_add(e, f->name, f->name_len);
        e->fields[i].value = text_add(e, f->value, f->value_len);
    }
}

static bool is_of(const struct plx_memo *m, const struct plx_h3_head *head)
{
    for (unsigned i = 0; i < PLX_MEMO_SETS; i++)
        for (unsigned w = 0; w < PLX_MEMO_WAYS; w++)
            if (head == &m->sets[i].way[w].head)
                return m->sets[i].way[w].mark != 0 && m->sets[i].way[w].kind == PLX_MEMO_RESPONSE;
    return false;
}

void plx_memo_verify(const struct plx_memo *m)
{
    if (m->like.head != NULL) {
        plx_check(m->like.front >= PLX_MEMO_OCTETS_MIN && m->like.front <= PLX_MEMO_FRONT_MAX);
        plx_check(m->like.front <= m->like.len && is_of(m, m->like.head));
    }
    for (unsigned i = 0; i < PLX_MEMO_SETS; i++) {
        for (unsigned w = 0; w < PLX_MEMO_WAYS; w++) {
            const struct entry *e = &m->sets[i].way[w];
            if (e->mark == 0)
                continue;
            plx_check(e->len >= PLX_MEMO_OCTETS_MIN && e->len <= PLX_MEMO_OCTETS_MAX);
            plx_check(e->mark == mark_of(m, (enum plx_memo_kind)e->kind, e->octets, e->len));
            plx_check((e->mark >> 1 & (PLX_MEMO_SETS - 1)) == i);
            plx_check(e->text_len <= PLX_MEMO_TEXT_MAX);
            plx_check(e->head.fields == e->fields && e->head.field_count <= PLX_MEMO_FIELDS_MAX);
        }
    }
}
