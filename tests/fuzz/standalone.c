// standalone.c -- runs a fuzz target over files, so that the kept corpus is a test with every compiler.
//
// Usage: fuzz_NAME [FILE|FOLDER]...   Each file is one input. Without arguments the empty input is run.
// Besides the files themselves, every prefix of files up to 256 bytes is run: truncation is the most
// common fault of a parser and costs nothing to try.

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned inputs;

static void run_bytes(const uint8_t *data, size_t len)
{
    uint8_t *copy = calloc(1, len ? len : 1); // exactly as long as the input, so that ASan sees an overrun
    if (copy == NULL)
        abort();
    memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    inputs++;
}

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    static uint8_t buf[1 << 20];
    size_t len = fread(buf, 1, sizeof buf, f);
    fclose(f);
    for (size_t n = 0; n < len && len <= 256; n++)
        run_bytes(buf, n);
    run_bytes(buf, len);
}

static void run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        exit(2);
    }
    if (!S_ISDIR(st.st_mode)) {
        run_file(path);
        return;
    }
    DIR *dir = opendir(path);
    if (dir == NULL) {
        perror(path);
        exit(2);
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        char child[4096];
        snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        run_path(child);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        run_bytes((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%u inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
