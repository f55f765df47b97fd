// request_whole.c -- messages in one piece: what nearly every request is, and every short response. A HEADERS frame, behind it
// nothing or one DATA frame, and the end of the stream, all in the octets of one call.
//
// The steps are those of request_rx.c, and mostly its functions: the head is decoded and validated as any other, the length of the body is
// held against content-length, and what may not stand on the stream fails it. Only the framing is missing, which there is no
// need of: nothing is cut, so nothing is remembered between calls. There are no trailers here either: with a third frame a message
// is not one of these. Where a message stops in the middle all the same, because its head waits for the dynamic table or the
// program does not take all of its body, the request is left as the long road would leave it, which then goes on.

#include "h3/conn_int.h"

#include "base/check.h"
#include "h3/memo.h"

struct whole {
    const uint8_t *section, *body;
    size_t section_len, body_len, rest_len; // rest: the DATA frame with its header
};

static bool whole_read(struct whole *m, const uint8_t *data, size_t len)
{
    // Types in one octet, as everybody writes them.
    if (len < 2 || data[0] != PLX_FRAME_TYPE_HEADERS)
        return false;
    struct plx_rd r = plx_rd_init(data + 1, len - 1);
    uint64_t section_len = plx_rd_varint(&r);
    if (r.is_short || section_len > plx_rd_left(&r))
        return false;
    m->section_len = (size_t)section_len;
    m->section = plx_rd_bytes(&r, m->section_len);
    m->rest_len = plx_rd_left(&r);
    m->body = NULL;
    m->body_len = 0;
    if (m->rest_len == 0)
        return true;
    if (*plx_rd_bytes(&r, 1) != PLX_FRAME_TYPE_DATA)
        return false;
    uint64_t body_len = plx_rd_varint(&r);
    m->body = r.p;
    m->body_len = plx_rd_left(&r);
    return m->body_len > 0 && m->body_len == body_len;
}

// The program took so much of the body. Where that is not all, the framing is left as the long road would leave it.
static size_t body_taken(struct plx_h3_req *req, const struct whole *m, size_t taken)
{
    size_t len = m->body_len;

    plx_check(taken <= len); // the program's promise
    req->framing.left = len - taken;
    if (taken == len)
        return 0;
    req->framing.kind = PLX_FRAME_DATA;
    req->framing.is_open = true;
    if (!plx_h3_rx_is_over(req))
        req->wait = WAIT_PROGRAM;
    return len - taken;
}

// The DATA frame, if it may stand there.
static size_t whole_body(struct plx_h3_req *req, const struct whole *m)
{
    const struct plx_h3_handler *h = req->s.conn->handler;

    req->framing.left = m->body_len;
    plx_h3_rx_data_begin(req);
    if (!plx_h3_rx_can_go_on(req))
        return m->body_len;
    return body_taken(req, m, h->on_body != NULL ? h->on_body(req, m->body, m->body_len) : m->body_len);
}

static void whole_end(struct plx_h3_req *req)
{
    req->has_fin = true;
    if (!plx_h3_rx_can_go_on(req))
        return;
    if (plx_h3_rx_can(req, EVENT_FIN))
        plx_h3_rx_end(req, NULL, 0);
    else
        plx_h3_rx_incomplete(req);
}

// What follows the head. Returns the octets that were left. By value, and apart: so the roads below keep theirs in registers.
__attribute__((noinline)) static size_t whole_rest(struct plx_h3_req *req, struct whole m)
{
    size_t left = 0;

    if (m.rest_len > 0)
        left = plx_h3_rx_can_go_on(req) ? whole_body(req, &m) : m.rest_len;
    if (left == 0 && !plx_h3_rx_is_over(req))
        whole_end(req);
    return left;
}

// --- messages that are known ----------------------------------------------------------------------------------
//
// To who asks for the same things again and again, nearly every answer is final, has a head that was seen before, and the body that the head
// speaks of. To who is asked for them, nearly every request has such a head and no body. Whatever the steps above ask one after the other has one
// answer then: it is asked before the first, and between them only whether the program has put an end to it. The states are those that
// message_state.def leads through.

static const struct plx_h3_head *known_request(const struct plx_h3_req *req, const struct whole *m)
{
    const struct plx_h3_conn *c = req->s.conn;

    if (!c->is_server || c->is_early || m->rest_len > 0 || c->env->memo == NULL)
        return NULL;
    const struct plx_h3_head *head =
        plx_memo_find_last(c->env->memo, PLX_MEMO_REQUEST, m->section, m->section_len);
    // Neither HEAD nor CONNECT, by the length alone.
    if (head == NULL || head->method.len != 3 ||
        (head->content_length != 0 && head->content_length != PLX_H3_LENGTH_UNKNOWN))
        return NULL;
    return head;
}

static void known_request_on_data(struct plx_h3_req *req, const struct whole *m,
                                  const struct plx_h3_head *head)
{
    const struct plx_h3_handler *h = req->s.conn->handler;

    req->rx = MESSAGE_BODY;
    plx_h3_rx_announce(req);
    if (h->on_request != NULL)
        h->on_request(req, head, false);
    if (!plx_h3_rx_can_go_on(req)) {
        (void)whole_rest(req, *m);
        return;
    }
    req->has_fin = true;
    req->rx = MESSAGE_DONE;
    if (h->on_end != NULL)
        h->on_end(req, NULL, 0);
}

static const struct plx_h3_head *known_head(const struct plx_h3_req *req, const struct whole *m)
{
    const struct plx_h3_conn *c = req->s.conn;

    if (c->is_server || req->is_head || req->is_connect || c->env->memo == NULL)
        return NULL;
    const struct plx_h3_head *head =
        plx_memo_find_last(c->env->memo, PLX_MEMO_RESPONSE, m->section, m->section_len);
    if (head == NULL || head->status < 200 || head->status == 204 || head->status == 304 ||
        (head->content_length != m->body_len && head->content_length != PLX_H3_LENGTH_UNKNOWN))
        return NULL;
    return head;
}

// Answers come in the order of the requests, as a rule. What acknowledging them touches has been asked for (streams_ref.c), and the requests stand
// in those lines; what the program keeps of one is its own, and with thousands in flight far away by now.
static inline void ahead(const struct plx_h3_conn *c, const struct plx_h3_req *req)
{
    const struct plx_list *node = req->node.next->next;

    if (node != &c->requests)
        __builtin_prefetch(PLX_CONTAINER(node, const struct plx_h3_req, node)->user, 1);
}

// To a program that takes answers whole. What it is told is the end, so the states are those, and the request goes with it. Its stream stays until
// what it said is acknowledged, as a rule not at all: nothing can come of it that would concern a program.
static inline bool known_is_taken(struct plx_h3_req *req, const uint8_t *body, size_t body_len,
                                  const struct plx_h3_head *head)
{
    struct plx_h3_conn *c = req->s.conn;

    if (c->handler->on_answer == NULL || req->tx != MESSAGE_DONE ||
        (!req->is_lean && req->pending.data != NULL))
        return false;
    req->rx = MESSAGE_DONE;
    ahead(c, req);
    if (!c->handler->on_answer(req, head, body, body_len)) {
        req->rx = MESSAGE_HEAD;
        return false;
    }
    plx_h3_rx_forgive(c);
    plx_h3_req_gone(req);
    return true;
}

static size_t known_on_data(struct plx_h3_req *req, const struct whole *m, const struct plx_h3_head *head)
{
    struct plx_h3_conn *c = req->s.conn;
    const struct plx_h3_handler *h = c->handler;

    req->rx = MESSAGE_BODY;
    req->content_length = head->content_length;
    plx_h3_rx_forgive(c);
    if (h->on_response != NULL) {
        h->on_response(req, head);
        if (!plx_h3_rx_can_go_on(req))
            return whole_rest(req, *m);
    }
    req->body_len = m->body_len;
    if (m->body_len > 0 && h->on_body != NULL) {
        size_t left = body_taken(req, m, h->on_body(req, m->body, m->body_len));
        if (left > 0 || plx_h3_rx_is_over(req))
            return left;
        if (!plx_h3_rx_can_go_on(req)) {
            req->has_fin = true;
            return 0;
        }
    }
    req->has_fin = true;
    req->rx = MESSAGE_DONE;
    if (h->on_end != NULL)
        h->on_end(req, NULL, 0);
    return 0;
}

// --------------------------------------------------------------------------------------------------------------

// No head that came last.
__attribute__((noinline)) static size_t other_on_data(struct plx_h3_req *req, struct whole m)
{
    struct plx_stash own = {NULL, 0, 0};

    plx_h3_rx_head(req, m.section, m.section_len, &own, m.rest_len == 0);
    return whole_rest(req, m);
}

enum plx_whole plx_h3_rx_whole(struct plx_h3_req *req, const uint8_t *data, size_t len, size_t *left)
{
    const struct plx_h3_head *head;
    struct whole m;

    *left = 0;

    if (!whole_read(&m, data, len) || m.section_len > req->s.conn->env->cfg.field_section_max)
        return PLX_WHOLE_NO;
    if ((head = known_request(req, &m)) != NULL) {
        known_request_on_data(req, &m, head);
    } else if ((head = known_head(req, &m)) != NULL) {
        plx_memo_like_set(req->s.conn->env->memo, data, len, len - m.body_len, head);
        if (known_is_taken(req, m.body, m.body_len, head))
            return PLX_WHOLE_GONE;
        *left = known_on_data(req, &m, head);
    } else {
        plx_h3_req_unfold(req);
        *left = other_on_data(req, m);
    }
    return PLX_WHOLE_TAKEN;
}

// Whatever known_head() asks of an answer has the same answer for one that is like it; what it asks of the request is asked again.
bool plx_h3_rx_like(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    const struct plx_memo *memo = req->s.conn->env->memo;
    const struct plx_h3_head *head;
    size_t front;

    if (req->rx != MESSAGE_HEAD || req->is_head || req->is_connect || memo == NULL ||
        (head = plx_memo_like(memo, data, len, &front)) == NULL)
        return false;
    return known_is_taken(req, data + front, len - front, head);
}
