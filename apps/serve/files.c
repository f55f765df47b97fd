// files.c -- files below the root, and what a worker keeps of them.
//
// A file is looked at on the disk at most once a second while it is asked for: if it has changed, whoever is being served
// keeps the old one, and the next gets the new one. Small files are kept in memory, the least recently used go first.

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve.h"

static const plx_dur check_every = PLX_SEC(1);

bool site_init(struct site *s, const struct serve_opts *opts, struct plx_core *core, char *err,
               size_t err_len)
{
    memset(s, 0, sizeof *s);
    s->opts = opts;
    s->core = core;
    s->newest.newer = s->newest.older = &s->newest;
    s->root = open(opts->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->root >= 0)
        return true;
    snprintf(err, err_len, "--root %s: %s", opts->root, strerror(errno));
    return false;
}

// --- one file -----------------------------------------------------------------------------------------------

static void file_free(struct file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->body);
    free(f->name);
    free(f);
}

void file_release(struct file *f)
{
    if (--f->users == 0)
        file_free(f);
}

static void on_owner_release(struct plx_owner *owner, const void *data, size_t len)
{
    (void)data, (void)len;
    file_release((struct file *)owner);
}

// openat2: no name and no link may lead outside of the root. ENOSYS on kernels before 5.6.
static int open_beneath(int root, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root, name[0] != '\0' ? name : ".", &how, sizeof how);
}

static bool read_body(struct file *f, int fd)
{
    f->body = malloc(f->size + 1);
    if (f->body == NULL)
        return false;
    for (uint64_t got = 0; got < f->size;) {
        ssize_t n = pread(fd, f->body + got, f->size - got, (off_t)got);
        if (n <= 0)
            return false; // it shrank under our hands: as if it could not be read
        got += (uint64_t)n;
    }
    return true;
}

static void describe(struct file *f, const struct stat *st)
{
    struct tm tm;

    f->size = (uint64_t)st->st_size;
    f->mtime = st->st_mtim;
    f->inode = st->st_ino;
    f->device = st->st_dev;
    gmtime_r(&st->st_mtim.tv_sec, &tm);
    strftime(f->modified, sizeof f->modified, "%a, %d %b %Y %H:%M:%S GMT", &tm); // RFC 9110 section 5.6.7
    snprintf(f->etag, sizeof f->etag, "\"%llx-%llx-%llx\"", (unsigned long long)st->st_ino,
             (unsigned long long)f->size,
             (unsigned long long)st->st_mtim.tv_sec * 1000000000ull +
                 (unsigned long long)st->st_mtim.tv_nsec);
}

static uint16_t status_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return 404;
    case EACCES:
    case EPERM:
    case EXDEV: // leads out of the root
    case ELOOP:
        return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return 503;
    default:
        return 500;
    }
}

// What the cache would count it as, with so many octets of body.
static uint64_t weight_with(const struct file *f, uint64_t body)
{
    return sizeof *f + strlen(f->name) + body + 512;
}

// Small files are, even for one response; larger ones when the cache can keep them, or each response would read, and hold, all of it.
static bool is_whole(const struct file *f, const struct serve_opts *o)
{
    return f->size <= o->cache_file_max &&
           (f->size <= WHOLE_MAX || weight_with(f, f->size) <= o->cache_memory);
}

static struct file *file_new(struct site *s, const char *name, int fd, const struct stat *st,
                             uint16_t *status)
{
    struct file *f = calloc(1, sizeof *f);

    *status = 503;
    if (f == NULL)
        return NULL;
    f->owner.release = on_owner_release;
    f->site = s;
    f->fd = -1;
    f->users = 1; // the caller
    f->name = strdup(name);
    f->checked = plx_core_now(s->core);
    f->type = media_type(name);
    describe(f, st);
    bool ok = f->name != NULL;
    if (ok && is_whole(f, s->opts))
        ok = read_body(f, fd);
    else if (ok)
        f->fd = dup(fd), ok = f->fd >= 0;
    if (ok)
        return f;
    file_free(f);
    return NULL;
}

// --- the cache ----------------------------------------------------------------------------------------------

static uint32_t bucket_of(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return (h ^ h >> 15) % CACHE_BUCKETS;
}

static uint64_t weight(const struct file *f)
{
    return weight_with(f, f->body != NULL ? f->size : 0);
}

static void ring_remove(struct file *f)
{
    f->newer->older = f->older;
    f->older->newer = f->newer;
}

static void ring_front(struct site *s, struct file *f)
{
    f->newer = &s->newest;
    f->older = s->newest.older;
    f->older->newer = f;
    s->newest.older = f;
}

static void routes_forget(struct site *s, const struct file *f)
{
    for (unsigned i = 0; i < ROUTES; i++)
        if (s->routes[i].file == f)
            s->routes[i].file = NULL;
}

static void cache_remove(struct site *s, struct file *f)
{
    struct file **at = &s->bucket[bucket_of(f->name)];

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    ring_remove(f);
    s->cached_bytes -= weight(f);
    f->is_cached = false;
    routes_forget(s, f);
    if (f->block != NULL)
        plx_h3_block_free(f->block);
    f->block = NULL;
    file_release(f);
}

static void cache_add(struct site *s, struct file *f)
{
    uint64_t w = weight(f);

    if (w > s->opts->cache_memory)
        return;
    while (s->cached_bytes + w > s->opts->cache_memory)
        cache_remove(s, s->newest.newer); // the oldest
    struct file **at = &s->bucket[bucket_of(f->name)];
    f->next = *at;
    *at = f;
    ring_front(s, f);
    s->cached_bytes += w;
    f->is_cached = true;
    f->users++;
}

static bool is_same(const struct file *f, const struct stat *st)
{
    return f->inode == st->st_ino && f->device == st->st_dev && f->size == (uint64_t)st->st_size &&
           f->mtime.tv_sec == st->st_mtim.tv_sec && f->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

static struct file *cache_find(struct site *s, const char *name)
{
    for (struct file *f = s->bucket[bucket_of(name)]; f != NULL; f = f->next)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

// The disk's answer: opens name, or the index of the folder that it names.
static int open_name(struct site *s, const char *name, struct stat *st, bool *wants_slash)
{
    char index[2 * NAME_MAX_LEN];
    size_t len = strlen(name);
    int fd = open_beneath(s->root, name);

    if (fd < 0 || fstat(fd, st) != 0)
        return fd;
    if (S_ISDIR(st->st_mode)) {
        close(fd);
        *wants_slash = len > 0 && name[len - 1] != '/';
        if (*wants_slash) {
            errno = EISDIR;
            return -1;
        }
        snprintf(index, sizeof index, "%s%s", name, s->opts->index);
        fd = open_beneath(s->root, index);
        if (fd < 0 || fstat(fd, st) != 0)
            return fd;
    } else if (len > 0 && name[len - 1] == '/') {
        close(fd);
        errno = ENOTDIR;
        return -1;
    }
    if (!S_ISREG(st->st_mode)) { // pipes, sockets, devices: not ours to read
        close(fd);
        errno = EACCES;
        return -1;
    }
    return fd;
}

// It was asked for just now.
static inline void touch(struct site *s, struct file *f)
{
    if (s->newest.older != f) {
        ring_remove(f);
        ring_front(s, f);
    }
}

static struct file *use(struct site *s, struct file *f)
{
    touch(s, f);
    f->users++;
    return f;
}

// --- the short way ------------------------------------------------------------------------------------------

static struct route *route_of(struct site *s, const struct plx_span *path)
{
    uint64_t first = 0, last = 0;

    if (path->len < sizeof first || path->len > ROUTE_LEN_MAX) {
        memcpy(&last, path->p, path->len < sizeof last ? path->len : 0);
    } else {
        memcpy(&first, path->p, sizeof first);
        memcpy(&last, path->p + path->len - sizeof last, sizeof last);
    }
    return &s->routes[((first ^ last * 31 ^ path->len) * UINT64_C(0x9e3779b97f4a7c15)) >> 57];
}
_Static_assert(ROUTES == 1 << (64 - 57), "the top bits choose");

static bool leads(const struct route *r, const struct plx_span *path)
{
    return r != NULL && r->file != NULL && r->len == path->len && memcmp(r->path, path->p, path->len) == 0;
}

struct file *site_route(struct site *s, const struct plx_span *path)
{
    const struct route *r = s->last_route;

    if (!leads(r, path)) {
        r = route_of(s, path);
        if (!leads(r, path))
            return NULL;
        s->last_route = r;
    }
    if (plx_core_now(s->core).ns - r->file->checked.ns >= check_every.ns)
        return NULL;
    touch(s, r->file);
    return r->file;
}

void site_route_add(struct site *s, const struct plx_span *path, struct file *f)
{
    struct route *r = route_of(s, path);

    if (!f->is_cached || path->len > ROUTE_LEN_MAX)
        return;
    r->file = f;
    r->len = (uint32_t)path->len;
    memcpy(r->path, path->p, path->len);
}

// --- the long way -------------------------------------------------------------------------------------------

struct file *site_open(struct site *s, const char *name, uint16_t *status, bool *wants_slash)
{
    struct file *f = cache_find(s, name);
    plx_time now = plx_core_now(s->core);
    struct stat st;

    *wants_slash = false;
    if (f != NULL && now.ns - f->checked.ns < check_every.ns)
        return use(s, f);
    int fd = open_name(s, name, &st, wants_slash);
    if (fd < 0) {
        *status = *wants_slash ? 301 : status_of(errno);
        if (f != NULL)
            cache_remove(s, f);
        return NULL;
    }
    if (f != NULL && is_same(f, &st)) {
        f->checked = now;
        f->users++;
    } else {
        if (f != NULL)
            cache_remove(s, f);
        f = file_new(s, name, fd, &st, status);
        if (f != NULL && strlen(name) > 0 && name[strlen(name) - 1] == '/')
            f->type = media_type(s->opts->index);
        else if (f != NULL && name[0] == '\0')
            f->type = media_type(s->opts->index);
        if (f != NULL)
            cache_add(s, f);
    }
    close(fd);
    return f;
}

void site_fini(struct site *s)
{
    while (s->newest.older != &s->newest)
        cache_remove(s, s->newest.older);
    site_blocks_fini(s);
    if (s->root >= 0)
        close(s->root);
}
