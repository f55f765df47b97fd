// why.c -- what may be behind a virtual device that did not come up.
//
// A device of --vdev that cannot be made is no failure to EAL: it says a line and goes on without. And what a device
// answers when it refuses a queue is often only "invalid argument". The causes that people meet can be looked for:
// the interface is not in this network namespace, rights are missing, the folder of a socket is not there, or the other
// side of a memif does not run yet. Called when something has failed already; never near a packet.

#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ethdev.h"

enum { VDEVS_MAX = 16, CAP_NET_ADMIN_BIT = 12, CAP_NET_RAW_BIT = 13 };

static const char *vdevs[VDEVS_MAX]; // as given; argv lives as long as the process
static unsigned vdev_count;

void ethdev_why_note(int argc, char **argv)
{
    static const char option[] = "--vdev";

    for (int i = 0; i < argc && vdev_count < VDEVS_MAX; i++) {
        if (strncmp(argv[i], "--vdev=", sizeof option) == 0)
            vdevs[vdev_count++] = argv[i] + sizeof option;
        else if (strcmp(argv[i], option) == 0 && i + 1 < argc)
            vdevs[vdev_count++] = argv[++i];
    }
}

// The value of one of a device's arguments: "net_af_xdp0,iface=veth0" has iface.
static bool value_of(const char *vdev, const char *key, char *out, size_t out_len)
{
    size_t key_len = strlen(key);

    for (const char *at = strchr(vdev, ','); at != NULL; at = strchr(at, ',')) {
        at++;
        if (strncmp(at, key, key_len) != 0 || at[key_len] != '=')
            continue;
        size_t len = strcspn(at + key_len + 1, ",");
        if (len >= out_len)
            return false;
        memcpy(out, at + key_len + 1, len);
        out[len] = '\0';
        return true;
    }
    return false;
}

static bool has_rights(void)
{
    unsigned long long caps = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "CapEff: %llx", &caps) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return (caps >> CAP_NET_ADMIN_BIT & 1) != 0 && (caps >> CAP_NET_RAW_BIT & 1) != 0;
}

static bool why_memif(const char *vdev, char *out, size_t out_len)
{
    char path[PATH_MAX], role[16] = "server";
    struct stat st;

    (void)value_of(vdev, "role", role, sizeof role);
    if (!value_of(vdev, "socket", path, sizeof path))
        return false;
    bool is_there = stat(path, &st) == 0;
    char *slash = strrchr(path, '/');
    if (slash != NULL && slash != path) {
        *slash = '\0';
        if (stat(path, &st) != 0) {
            snprintf(out, out_len, "make the folder %.200s first: --vdev %.200s wants its socket there", path,
                     vdev);
            return true;
        }
    }
    if (is_there || strcmp(role, "client") != 0)
        return false;
    snprintf(out, out_len,
             "start the other side first, the one with role=server: nobody listens for --vdev %.200s", vdev);
    return true;
}

static bool why_interface(const char *vdev, char *out, size_t out_len)
{
    char name[64];

    if (!value_of(vdev, "iface", name, sizeof name)) {
        snprintf(out, out_len, "--vdev %.200s names no interface; add one: ,iface=INTERFACE", vdev);
        return true;
    }
    if (if_nametoindex(name) != 0)
        return false;
    snprintf(
        out, out_len,
        "this network namespace has no interface \"%s\" (--vdev %.200s); \"ip link\" lists those there are",
        name, vdev);
    return true;
}

static bool why_vdev(const char *vdev, char *out, size_t out_len)
{
    bool is_tap = strncmp(vdev, "net_tap", 7) == 0;
    bool is_on_interface = strncmp(vdev, "net_af_xdp", 10) == 0 || strncmp(vdev, "net_af_packet", 13) == 0;

    if (strncmp(vdev, "net_memif", 9) == 0)
        return why_memif(vdev, out, out_len);
    if (is_on_interface && why_interface(vdev, out, out_len))
        return true;
    if ((!is_tap && !is_on_interface) || has_rights())
        return false;
    snprintf(
        out, out_len,
        "--vdev %.200s needs rights; run it as root, or grant CAP_NET_ADMIN, CAP_NET_RAW (and CAP_BPF for AF_XDP)",
        vdev);
    return true;
}

void ethdev_why(const char *otherwise, char *out, size_t out_len)
{
    for (unsigned i = 0; i < vdev_count; i++)
        if (why_vdev(vdevs[i], out, out_len))
            return;
    snprintf(out, out_len, "%s", otherwise);
}

bool ethdev_why_has_vdev(void)
{
    return vdev_count > 0;
}
