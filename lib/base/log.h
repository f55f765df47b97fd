// log.h -- sentences for the operator, through a sink that the program chooses; never on the packet path.
//
// A log belongs to whoever made it (an engine, a tool): there is no global one, so two engines in a process do not
// mix. The packet path counts; only start, stop, configuration, and the rare event that a person should
// see are logged, and what an outsider can cause goes through a limit: so many lines per interval, then one
// line that tells how many were held back. Time comes in as a parameter, as everywhere.
//
// The sink may be called from any thread that logs, also from several at once: the built-in one writes each line
// with a single system call. Level and sink are set at start.

#ifndef PLX_BASE_LOG_H
#define PLX_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "plx/types.h"

enum plx_log_level { PLX_LOG_ERROR, PLX_LOG_WARN, PLX_LOG_INFO, PLX_LOG_DEBUG };

enum { PLX_LOG_LINE_MAX = 1024 }; // longer lines are cut, visibly

// line: NUL-terminated, without a line feed, borrowed for the call.
typedef void plx_log_sink(void *arg, enum plx_log_level level, const char *line);

struct plx_log {
    plx_log_sink *sink;
    void *arg;
    enum plx_log_level level; // what is above it is not even formatted
};

// sink NULL: standard error, one line each with the level in front. arg is handed to the sink.
void plx_log_init(struct plx_log *log, enum plx_log_level level, plx_log_sink *sink, void *arg);

// Any thread. Formats and hands over one line. A NULL log is silence.
void plx_log_write(const struct plx_log *log, enum plx_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static inline bool plx_log_is_on(const struct plx_log *log, enum plx_log_level level)
{
    return log != NULL && level <= log->level;
}

// The arguments are not evaluated when the level is off.
#define plx_log(log, level, ...) \
    (plx_log_is_on((log), (level)) ? plx_log_write((log), (level), __VA_ARGS__) : (void)0)

// "error", "warn", "info", "debug".
const char *plx_log_level_str(enum plx_log_level level);
PLX_MUST_USE bool plx_log_level_parse(const char *text, enum plx_log_level *out);

// --- limits --------------------------------------------------------------------------------------------------

// One per kind of message and thread.
struct plx_log_limit {
    uint32_t burst; // lines per interval
    plx_dur interval;
    plx_time since;     // the current interval's begin
    uint32_t count;     // lines in it
    uint64_t held_back; // lines since the last one that went out
};

void plx_log_limit_init(struct plx_log_limit *l, uint32_t burst, plx_dur interval);

// Whether a line may go out now. If so, *held_back is how many were not allowed since the last one that was.
PLX_MUST_USE bool plx_log_limit_allows(struct plx_log_limit *l, plx_time now, uint64_t *held_back);

// plx_log_write() under a limit; tells what was held back in a line of its own.
void plx_log_limited(const struct plx_log *log, struct plx_log_limit *l, plx_time now,
                     enum plx_log_level level, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
