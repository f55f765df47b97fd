// eal.c -- DPDK's environment: started once per process, and told apart when it cannot be.
//
// rte_eal_init() answers most failures with one number and lines on standard error. The causes that people meet are few,
// so they are looked for here: no huge pages, no rights, memory that is too small. EAL also pins the calling thread to
// its first core and starts a thread per core; the engine has threads of its own, so EAL gets one core unless the caller
// chose, and the thread's affinity is put back.

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "ethdev.h"

enum { ARGS_MAX = 128 };

static pthread_mutex_t eal_lock = PTHREAD_MUTEX_INITIALIZER; // starting thread only; never near a packet
static bool eal_is_up, eal_has_failed;

// --- what is missing ---------------------------------------------------------------------------------------

static bool has_arg(int argc, char **argv, const char *name)
{
    size_t len = strlen(name);
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], name, len) == 0 &&
            (argv[i][len] == '\0' || argv[i][len] == '=' || name[1] != '-'))
            return true;
    return false;
}

// Huge pages of any size that the kernel has set aside.
static unsigned long huge_pages(void)
{
    static const char folder[] = "/sys/kernel/mm/hugepages";
    DIR *dir = opendir(folder);
    unsigned long sum = 0, n;

    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char path[sizeof folder + 300];
        snprintf(path, sizeof path, "%s/%s/nr_hugepages", folder, e->d_name);
        FILE *f = fopen(path, "r");
        if (f == NULL)
            continue;
        if (fscanf(f, "%lu", &n) == 1)
            sum += n;
        fclose(f);
    }
    if (dir != NULL)
        closedir(dir);
    return sum;
}

static enum plx_err say_failed(int why, bool is_huge, char *err, size_t err_len)
{
    const char *remedy =
        why == EACCES || why == EPERM ? "run it as root, or grant CAP_NET_ADMIN, CAP_NET_RAW and CAP_IPC_LOCK"
        : why == ENOMEM && is_huge    ? "free or add huge pages (sysctl vm.nr_hugepages=512)"
        : why == ENOMEM               ? "give it more memory (-m MEGABYTES)"
        : why == ENODEV
            ? "there is no driver of that name; a --vdev begins with net_af_xdp, net_af_packet, net_memif or net_tap"
        : why == EINVAL ? "the lines above say which argument it does not know"
        : why == EBUSY || why == EAGAIN
            ? "another DPDK program may be running: give each its own --file-prefix, or use --in-memory"
            : "the lines above say what it was doing";
    snprintf(err, err_len, "ethdev: DPDK did not start: %s; %s", rte_strerror(why), remedy);
    return PLX_ERR_SYSTEM;
}

// --- starting ----------------------------------------------------------------------------------------------

static void eal_end(void)
{
    rte_eal_cleanup();
}

static int first_cpu(const cpu_set_t *set)
{
    int cpu = 0;
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, set))
        cpu++;
    return cpu;
}

static enum plx_err eal_start(int argc, char **argv, char *err, size_t err_len)
{
    char *args[ARGS_MAX + 4] = {"pollux"}, cpu[16];
    bool is_huge = !has_arg(argc, argv, "--no-huge");
    cpu_set_t before;
    int count = 1;

    if (argc > ARGS_MAX) {
        snprintf(err, err_len, "ethdev: more than %d EAL arguments; leave some out", ARGS_MAX);
        return PLX_ERR_INVALID;
    }
    if (is_huge && huge_pages() == 0) {
        snprintf(err, err_len,
                 "ethdev: this machine has no huge pages; set some aside (sysctl vm.nr_hugepages=512), or do "
                 "without: -- --no-huge -m 512");
        return PLX_ERR_SYSTEM;
    }
    ethdev_why_note(argc, argv);
    memcpy(args + count, argv, (size_t)argc * sizeof *argv);
    count += argc;
    pthread_getaffinity_np(pthread_self(), sizeof before, &before);
    if (!has_arg(argc, argv, "-l") && !has_arg(argc, argv, "-c") && !has_arg(argc, argv, "--lcores")) {
        snprintf(cpu, sizeof cpu, "%d", first_cpu(&before));
        args[count++] = "-l";
        args[count++] = cpu;
    }
    int r = rte_eal_init(count, args);
    pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    if (r < 0) {
        eal_has_failed = true; // EAL cannot be started a second time
        return say_failed(rte_errno, is_huge, err, err_len);
    }
    atexit(eal_end);
    eal_is_up = true;
    return PLX_OK;
}

enum plx_err plx_eal_init(int argc, char **argv, char *err, size_t err_len)
{
    enum plx_err e = PLX_ERR_INVALID;

    pthread_mutex_lock(&eal_lock);
    if (eal_has_failed)
        snprintf(err, err_len,
                 "ethdev: DPDK did not start, and can be started only once; correct the cause and run again");
    else if (eal_is_up)
        snprintf(err, err_len,
                 "ethdev: DPDK is running already; hand it its arguments once, before the first port opens");
    else
        e = eal_start(argc, argv, err, err_len);
    pthread_mutex_unlock(&eal_lock);
    return e;
}

enum plx_err ethdev_eal_ensure(char *err, size_t err_len)
{
    pthread_mutex_lock(&eal_lock);
    bool is_up = eal_is_up;
    pthread_mutex_unlock(&eal_lock);
    return is_up ? PLX_OK : plx_eal_init(0, NULL, err, err_len);
}
