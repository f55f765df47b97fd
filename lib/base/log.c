// log.c -- see log.h.

#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_name[] = {
    [PLX_LOG_ERROR] = "error",
    [PLX_LOG_WARN] = "warn",
    [PLX_LOG_INFO] = "info",
    [PLX_LOG_DEBUG] = "debug",
};
enum { LEVEL_COUNT = sizeof level_name / sizeof *level_name };

static void sink_stderr(void *arg, enum plx_log_level level, const char *line)
{
    char text[PLX_LOG_LINE_MAX + 16];
    int len = snprintf(text, sizeof text, "%s: %s\n", plx_log_level_str(level), line);

    (void)arg;
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
        return; // standard error is closed or full: there is nobody else to tell
}

void plx_log_init(struct plx_log *log, enum plx_log_level level, plx_log_sink *sink, void *arg)
{
    *log = (struct plx_log){.sink = sink != NULL ? sink : sink_stderr, .arg = arg, .level = level};
}

__attribute__((format(printf, 3, 0))) static void write_line(const struct plx_log *log,
                                                             enum plx_log_level level, const char *fmt,
                                                             va_list args)
{
    char line[PLX_LOG_LINE_MAX];
    int len = vsnprintf(line, sizeof line, fmt, args);

    if (len >= (int)sizeof line)
        memcpy(line + sizeof line - 4, "...", 4);
    for (char *c = line; *c != '\0'; c++) // an outsider's bytes must not begin a line of their own
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    log->sink(log->arg, level, line);
}

void plx_log_write(const struct plx_log *log, enum plx_log_level level, const char *fmt, ...)
{
    va_list args;

    if (!plx_log_is_on(log, level))
        return;
    va_start(args, fmt);
    write_line(log, level, fmt, args);
    va_end(args);
}

const char *plx_log_level_str(enum plx_log_level level)
{
    return (unsigned)level < LEVEL_COUNT ? level_name[level] : "unknown";
}

bool plx_log_level_parse(const char *text, enum plx_log_level *out)
{
    for (unsigned i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(text, level_name[i]) != 0)
            continue;
        *out = (enum plx_log_level)i;
        return true;
    }
    return false;
}

void plx_log_limit_init(struct plx_log_limit *l, uint32_t burst, plx_dur interval)
{
    *l = (struct plx_log_limit){.burst = burst, .interval = interval};
}

bool plx_log_limit_allows(struct plx_log_limit *l, plx_time now, uint64_t *held_back)
{
    if (now.ns - l->since.ns >= l->interval.ns || now.ns < l->since.ns) {
        l->since = now;
        l->count = 0;
    }
    if (l->count >= l->burst) {
        l->held_back++;
        return false;
    }
    l->count++;
    *held_back = l->held_back;
    l->held_back = 0;
    return true;
}

void plx_log_limited(const struct plx_log *log, struct plx_log_limit *l, plx_time now,
                     enum plx_log_level level, const char *fmt, ...)
{
    uint64_t held_back;
    va_list args;

    if (!plx_log_is_on(log, level) || !plx_log_limit_allows(l, now, &held_back))
        return;
    if (held_back > 0)
        plx_log_write(log, level, "%" PRIu64 " lines like the next were held back", held_back);
    va_start(args, fmt);
    write_line(log, level, fmt, args);
    va_end(args);
}
