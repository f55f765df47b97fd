// report.h -- the figures of a run, on one worker, in one process or over many machines: they add up.

#ifndef PLX_APPS_LOAD_REPORT_H
#define PLX_APPS_LOAD_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "hist.h"

enum error_kind {
#define X(name, text) ERROR_##name,
#include "errors.def"
#undef X
    ERROR_COUNT,
};

enum { STATUS_COUNT = 600, NOTES_MAX = 8, NOTE_LEN = 240 };

enum hist_kind { HIST_REQUEST, HIST_TTFB, HIST_HANDSHAKE, HIST_COUNT };

struct report {
#define X(name, how, text) uint64_t name;
#include "report.def"
#undef X
    uint64_t errors[ERROR_COUNT];
    uint64_t status[STATUS_COUNT];
    struct hist hist[HIST_COUNT];
    char target[300], mode[300]; // for people
    char notes[NOTES_MAX][NOTE_LEN];
    unsigned note_count;
};

bool report_init(struct report *r);
void report_fini(struct report *r);
void report_add(struct report *into, const struct report *from);
void report_note(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t report_errors(const struct report *r);         // all kinds together
const char *hist_name(enum hist_kind kind);             // "request", "ttfb", "handshake"
double report_rate(const struct report *r);             // requests per second
void report_judge(struct report *r, bool is_open_loop); // notes about what limited the run
void report_print(const struct report *r, FILE *out);
bool report_write_hgrm(const struct report *r, const char *prefix, char *err,
                       size_t err_len); // PREFIX.request.hgrm and so on

struct limits {      // what the exit status depends on
    uint64_t p99_ns; // 0: no limit
    bool has_errors, is_percent;
    double errors; // a number, or per cent of the requests
};
bool report_is_within(const struct report *r, const struct limits *l, FILE *out); // says what is not

// json.c
bool report_write_json(const struct report *r, const char *path, char *err, size_t err_len);
bool report_read_json(struct report *r, const char *path, char *err,
                      size_t err_len); // into an initialised one

#endif
