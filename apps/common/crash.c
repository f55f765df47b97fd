// crash.c -- see crash.h.
//
// Whoever reports it should be able to say where it was.

#include "crash.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static const char *program;
static uint8_t stack[32768]; // what is broken may be the stack

static void on_signal(int number, siginfo_t *info, void *context)
{
    const ucontext_t *u = context;
    uintptr_t at = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
    char line[1024];
    Dl_info where;

    if (dladdr((const void *)at, &where) == 0 || where.dli_fname == NULL)
        where = (Dl_info){.dli_fname = "?"};
    int len = snprintf(line, sizeof line, "%s: %s in %s at %#zx%s\n", program,
                       number == SIGBUS ? "bus error" : "segmentation fault", where.dli_fname,
                       (size_t)(at - (uintptr_t)where.dli_fbase),
                       info->si_code > 0 ? "" : ", sent by another process");
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
        _exit(128 + number); // nobody listens
    if (info->si_code <= 0)
        raise(
            number); // one that was sent does not come again by itself; SA_RESETHAND has put the default back
}

void crash_explain(const char *name)
{
    static const int numbers[] = {SIGSEGV, SIGBUS};
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction old,
        sa = {.sa_sigaction = on_signal, .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND)};

    program = name;
    sigaltstack(&own, NULL);
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
            old.sa_handler == SIG_DFL)
            sigaction(numbers[i], &sa, NULL);
}
