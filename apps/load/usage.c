// usage.c -- CPU time: our own, and that of the processes named by --server-pid.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load.h"

uint64_t load_cpu_own_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

// User and system time of the whole process, all of its threads: fields 14 and 15 of /proc/PID/stat, in clock ticks.
bool load_cpu_of_us(int pid, uint64_t *us)
{
    char path[64], text[1024];
    unsigned long long user, kernel;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *p = strrchr(text, ')'); // the name may hold blanks and parentheses
    for (int field = 2; p != NULL && field < 14; field++)
        p = strchr(p + 1, ' ');
    if (p == NULL || sscanf(p, "%llu %llu", &user, &kernel) != 2)
        return false;
    *us = (user + kernel) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    return true;
}
