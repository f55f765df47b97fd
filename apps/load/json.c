// json.c -- reports as JSON, written and read: the histograms as their buckets, so that reports of many machines add up exactly.

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

enum { FORMAT = 1 };

static const char *const error_key[] = {
#define X(name, text) #name,
#include "errors.def"
#undef X
};

// --- writing ------------------------------------------------------------------------------------------------

static void put_u64(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

static json_t *hist_to_json(const struct hist *h)
{
    static const char *const key[] = {"50", "75", "90", "99", "99.9", "99.99", "99.999", "100"};
    json_t *o = json_object(), *percentiles = json_object(), *buckets = json_array();

    json_object_set_new(o, "unit", json_string("ns"));
    put_u64(o, "count", h->count);
    put_u64(o, "min", h->count > 0 ? h->min : 0);
    put_u64(o, "max", h->max);
    json_object_set_new(o, "mean", json_real(hist_mean(h)));
    json_object_set_new(o, "deviation", json_real(hist_deviation(h)));
    json_object_set_new(o, "sum", json_real(h->sum));
    json_object_set_new(o, "sum_squares", json_real(h->sum_squares));
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        put_u64(percentiles, key[i], hist_at(h, strtod(key[i], NULL)));
    json_object_set_new(o, "percentiles", percentiles);
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        if (h->bucket[i] > 0)
            json_array_append_new(buckets,
                                  json_pack("[I,I]", (json_int_t)hist_lowest(i), (json_int_t)h->bucket[i]));
    json_object_set_new(o, "buckets", buckets); // [least value of the bucket, how many]
    return o;
}

static json_t *per_request(const struct report *r)
{
    double n = r->engine_requests > 0 ? (double)r->engine_requests : 1;
    json_t *o = json_object();

    json_object_set_new(o, "datagrams_tx", json_real((double)r->datagrams_tx / n));
    json_object_set_new(o, "datagrams_rx", json_real((double)r->datagrams_rx / n));
    json_object_set_new(o, "bytes_tx", json_real((double)r->bytes_tx / n));
    json_object_set_new(o, "bytes_rx", json_real((double)r->bytes_rx / n));
    json_object_set_new(o, "client_busy_ns", json_real((double)r->busy_ns / n));
    json_object_set_new(o, "client_cpu_us", json_real((double)r->client_cpu_us / n));
    json_object_set_new(o, "server_cpu_us", json_real((double)r->server_cpu_us / n));
    return o;
}

bool report_write_json(const struct report *r, const char *path, char *err, size_t err_len)
{
    json_t *o = json_object(), *counts = json_object(), *status = json_object(), *errors = json_object(),
           *latency = json_object(), *notes = json_array();
    char key[16];

    put_u64(o, "plx_load", FORMAT);
    json_object_set_new(o, "target", json_string(r->target));
    json_object_set_new(o, "mode", json_string(r->mode));
    json_object_set_new(o, "seconds", json_real((double)r->window_ns / 1e9));
    json_object_set_new(o, "requests_per_second", json_real(report_rate(r)));
    double window = r->window_ns > 0 ? (double)r->window_ns / 1e9 : 1;
    json_object_set_new(o, "body_bytes_per_second", json_real((double)r->body_bytes / window));
    json_object_set_new(o, "handshakes_per_second", json_real((double)r->handshakes_in_window / window));
    json_object_set_new(o, "per_request", per_request(r));
#define X(name, how, text) put_u64(counts, #name, r->name);
#include "report.def"
#undef X
    json_object_set_new(o, "counts", counts);
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        if (r->status[i] > 0) {
            snprintf(key, sizeof key, "%u", i);
            put_u64(status, key, r->status[i]);
        }
    json_object_set_new(o, "status", status);
    for (unsigned i = 0; i < ERROR_COUNT; i++)
        put_u64(errors, error_key[i], r->errors[i]);
    json_object_set_new(o, "errors", errors);
    for (unsigned i = 0; i < HIST_COUNT; i++)
        json_object_set_new(latency, hist_name(i), hist_to_json(&r->hist[i]));
    json_object_set_new(o, "latency", latency);
    for (unsigned i = 0; i < r->note_count; i++)
        json_array_append_new(notes, json_string(r->notes[i]));
    json_object_set_new(o, "notes", notes);

    bool ok = strcmp(path, "-") == 0
                  ? json_dumpf(o, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER) == 0 && puts("") >= 0
                  : json_dump_file(o, path, JSON_INDENT(1) | JSON_PRESERVE_ORDER) == 0;
    if (!ok)
        snprintf(err, err_len, "--json %s: cannot write it", path);
    json_decref(o);
    return ok;
}

// --- reading ------------------------------------------------------------------------------------------------

static uint64_t get_u64(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

// False: it contradicts itself.
static bool hist_from_json(const json_t *o, struct hist *h)
{
    const json_t *buckets = json_object_get(o, "buckets");
    uint64_t sum = 0;

    if (!json_is_array(buckets))
        return false;
    h->count = get_u64(o, "count");
    h->max = get_u64(o, "max");
    h->min = h->count > 0 ? get_u64(o, "min") : UINT64_MAX;
    h->sum = json_real_value(json_object_get(o, "sum"));
    h->sum_squares = json_real_value(json_object_get(o, "sum_squares"));
    for (size_t i = 0; i < json_array_size(buckets); i++) {
        const json_t *pair = json_array_get(buckets, i);
        json_int_t value = json_integer_value(json_array_get(pair, 0)),
                   count = json_integer_value(json_array_get(pair, 1));
        if (value < 0 || count <= 0)
            return false;
        h->bucket[hist_index((uint64_t)value)] += (uint64_t)count;
        sum += (uint64_t)count;
    }
    return sum == h->count;
}

static void text_from_json(const json_t *o, const char *key, char *out, size_t len)
{
    const char *text = json_string_value(json_object_get(o, key));
    snprintf(out, len, "%s", text != NULL ? text : "");
}

static bool from_json(const json_t *o, struct report *r)
{
    const json_t *counts = json_object_get(o, "counts"), *status = json_object_get(o, "status"),
                 *errors = json_object_get(o, "errors"), *latency = json_object_get(o, "latency"),
                 *notes = json_object_get(o, "notes");
    char key[16];

    if (get_u64(o, "plx_load") != FORMAT || !json_is_object(counts) || !json_is_object(latency))
        return false;
    text_from_json(o, "target", r->target, sizeof r->target);
    text_from_json(o, "mode", r->mode, sizeof r->mode);
#define X(name, how, text) r->name = get_u64(counts, #name);
#include "report.def"
#undef X
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        snprintf(key, sizeof key, "%u", i);
        r->status[i] = get_u64(status, key);
    }
    for (unsigned i = 0; i < ERROR_COUNT; i++)
        r->errors[i] = get_u64(errors, error_key[i]);
    for (size_t i = 0; i < json_array_size(notes); i++)
        report_note(r, "%s",
                    json_string_value(json_array_get(notes, i)) != NULL
                        ? json_string_value(json_array_get(notes, i))
                        : "");
    for (unsigned i = 0; i < HIST_COUNT; i++)
        if (!hist_from_json(json_object_get(latency, hist_name(i)), &r->hist[i]))
            return false;
    return true;
}

bool report_read_json(struct report *r, const char *path, char *err, size_t err_len)
{
    json_error_t why;
    json_t *o = json_load_file(path, 0, &why);

    if (o == NULL) {
        snprintf(err, err_len, "%s: line %d: %s", path, why.line, why.text);
        return false;
    }
    bool ok = from_json(o, r);
    if (!ok)
        snprintf(err, err_len, "%s: not a report of plx-load --json", path);
    json_decref(o);
    return ok;
}
