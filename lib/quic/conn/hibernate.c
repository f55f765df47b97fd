// hibernate.c -- see hibernate.h.

#include "quic/conn/hibernate.h"

#include "quic/conn/conn_impl.h"
#include "quic/stream/streams_image.h"

_Static_assert((int)PLX_CONN_IMAGE_STREAMS == (int)PLX_IMAGE_STREAMS_MAX, "one number with two names");
_Static_assert((int)PLX_CONN_IMAGE_CIDS >= (int)PLX_CIDS_LOCAL_MAX, "room for every ID of ours");

size_t plx_conn_image_size(void)
{
    return sizeof(struct plx_conn);
}

plx_time plx_conn_quiet_since(const struct plx_conn *c)
{
    return c->has_spoken ? plx_time_max(c->heard_at, c->spoke_at) : c->heard_at;
}

static bool path_is_quiet(const struct plx_paths *ps)
{
    const struct plx_path *p = &ps->v[ps->active];

    return ps->candidate == PLX_PATH_NONE && !ps->is_moving && p->state == PLX_PATH_VALIDATED &&
           plx_time_is_never(plx_paths_deadline(ps));
}

bool plx_conn_can_sleep(const struct plx_conn *c)
{
    return c->state == PLX_CONN_CONFIRMED && !c->is_inside && c->hs == NULL &&
           (c->keys == NULL || conn_keys_can_rest(c)) && plx_time_is_never(c->old_keys_until) &&
           c->recovery.bytes_in_flight == 0 && !plx_space_has_eliciting_in_flight(&c->space) &&
           c->space.bytes_in_flight == 0 && c->space.probes_wanted == 0 && c->want == 0 &&
           c->hold == CONN_HOLD_NONE && plx_time_is_never(plx_acks_deadline(&c->space.acks)) &&
           path_is_quiet(&c->paths) && c->tokens_told == c->peer_cids.tokens_changed &&
           !plx_conn_wants_tx(c) && plx_streams_can_sleep(&c->streams);
}

// Moments that are mostly the same, or near: as a difference, that is little. Twice, it is what was.
static void fold_times(struct plx_conn *c)
{
    plx_time *near[] = {&c->spoke_at, &c->space.last_eliciting_at, &c->space.acks.largest_at,
                        &c->recovery.last_at, &c->opened_at};

    for (size_t i = 0; i < sizeof near / sizeof *near; i++)
        near[i]->ns ^= c->heard_at.ns;
    c->opened_at.ns ^= c->heard_at.ns ^ c->completed_at.ns;
}

void plx_conn_save(struct plx_conn *c, void *image)
{
    struct plx_conn *copy = image;

    plx_check(plx_conn_can_sleep(c));
    plx_check(plx_conn_is_bare(c));
    if (c->keys != NULL)
        conn_keys_rest(c);
    plx_space_shrink(&c->space);
    memcpy(copy, c, sizeof *c);
    copy->recovery.arg = NULL;
    copy->now = (plx_time){0}; // whoever wakes it says what it is
    fold_times(copy);
    plx_streams_blank(&copy->streams);
}

void plx_conn_release(struct plx_conn *c)
{
    plx_streams_release(&c->streams);
    plx_space_fini(&c->space);
    conn_keys_release(c);
}

void plx_conn_restore(struct plx_conn *c, struct plx_unsqueeze *image)
{
    plx_unsqueeze(image, c, sizeof *c / 8);
    fold_times(c);
    c->recovery.arg = c;
    plx_streams_revive(&c->streams, c);
}

bool plx_conn_rests(const struct plx_conn *c)
{
    return c->state == PLX_CONN_CONFIRMED && c->keys == NULL && c->hs == NULL;
}

bool plx_conn_is_bare(const struct plx_conn *c)
{
    return plx_streams_is_bare(&c->streams);
}

bool plx_conn_can_park(const struct plx_conn *c)
{
    return !c->is_parked && c->state == PLX_CONN_CONFIRMED && c->hs == NULL && !c->is_inside &&
           c->recovery.bytes_in_flight == 0 && !plx_streams_is_bare(&c->streams) &&
           plx_streams_can_sleep(&c->streams);
}

size_t plx_conn_park_size(void)
{
    return sizeof(struct plx_streams_image);
}

unsigned plx_conn_park_save(const struct plx_conn *c, void *image, void *users[PLX_CONN_IMAGE_STREAMS])
{
    struct plx_streams_image *img = image;

    memset(img, 0, sizeof *img);
    plx_streams_save(&c->streams, img, users);
    return (unsigned)img->head.count;
}

void plx_conn_park(struct plx_conn *c)
{
    plx_streams_park(&c->streams);
    c->is_parked = true;
}

bool plx_conn_unpark(struct plx_conn *c, struct plx_unsqueeze *image,
                     struct plx_stream *streams[PLX_CONN_IMAGE_STREAMS])
{
    if (!c->is_parked || !plx_streams_recall(&c->streams, image, streams))
        return false;
    c->is_parked = false;
    return true;
}

void plx_conn_image_blank(void *image)
{
    struct plx_conn *c = image;
    struct plx_secret *secrets[] = {&c->rx_secret, &c->tx_secret};
    struct plx_material *raw[] = {&c->rx_raw, &c->tx_raw};

    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        plx_bytes_wipe(secrets[i]->bytes, sizeof secrets[i]->bytes);
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        plx_bytes_wipe(raw[i]->key, sizeof raw[i]->key);
        plx_bytes_wipe(raw[i]->hp, sizeof raw[i]->hp);
        plx_bytes_wipe(raw[i]->iv, sizeof raw[i]->iv);
    }
    for (size_t i = 0; i < PLX_CIDS_PEER_SLOTS; i++)
        plx_bytes_wipe(c->peer_cids.v[i].token, sizeof c->peer_cids.v[i].token);
}

size_t plx_conn_keys_waking(void)
{
    return offsetof(struct conn_keys, rx[1]);
}

unsigned plx_conn_cids(const struct plx_conn *c, struct plx_cid out[PLX_CONN_IMAGE_CIDS])
{
    unsigned count = 0;

    for (size_t i = 0; i < PLX_CIDS_LOCAL_MAX; i++)
        if (c->cids.v[i].state != PLX_CID_FREE)
            out[count++] = c->cids.v[i].cid;
    return count;
}
