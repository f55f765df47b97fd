// crash.h -- when a program dies of a bad address: where, and what to do.

#ifndef PLX_APPS_COMMON_CRASH_H
#define PLX_APPS_COMMON_CRASH_H

// From now on SIGSEGV and SIGBUS first say one line on standard error: which program or library it happened in. Then all goes on as it
// would have: a core, the signal in the exit status. Who handles them already (a sanitizer) keeps them. Once, before threads are started.
void crash_explain(const char *program);

#endif
