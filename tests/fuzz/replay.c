/* Runs a fuzz target over its stored corpus and over small deterministic changes of every file, so
 * that `make check` exercises the parsers without libFuzzer.
 *
 *   replay_<name> [FILE|FOLDER ...]
 *
 * Without arguments: the folder REPLAY_CORPUS (set per target) below $SEEKD_SRCDIR. A target that
 * misbehaves ends the program: by a signal, a sanitizer report or its own abort().
 */
#include <config.h>

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 4 << 20, CHANGES_PER_FILE = 64, MAX_PATH = 4096 };

static size_t n_inputs;

static void run_one(const uint8_t *data, size_t size)
{
    /* A copy of exactly this size, so that a sanitizer sees every byte read beyond it. */
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    n_inputs++;
}

/* xorshift64: the same changes on every machine. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void run_changed(uint8_t *data, size_t size)
{
    uint64_t state = 0x9e3779b97f4a7c15u ^ size;
    for (int i = 0; i < CHANGES_PER_FILE && size > 0; i++) {
        size_t at = next_random(&state) % size;
        uint8_t old = data[at];
        data[at] = (uint8_t)next_random(&state);
        run_one(data, i % 4 ? size : at); /* every fourth one is cut off instead */
        data[at] = old;
    }
}

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(MAX_INPUT_BYTES);
    if (!f || !data) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, MAX_INPUT_BYTES, f);
    fclose(f);
    run_one(data, size);
    run_changed(data, size);
    free(data);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void replay_folder(const char *path)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, NULL);
    if (n < 0) {
        perror(path);
        exit(1);
    }
    char **names = calloc((size_t)n + 1, sizeof *names);
    size_t n_names = 0;
    for (int i = 0; i < n; i++) {
        if (names && entries[i]->d_name[0] != '.')
            names[n_names++] = strdup(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (!names || n_names == 0) {
        fprintf(stderr, "%s holds no corpus\n", path);
        exit(1);
    }
    qsort(names, n_names, sizeof *names, by_name);
    for (size_t i = 0; i < n_names; i++) {
        char file[MAX_PATH];
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        replay_file(file);
        free(names[i]);
    }
    free(names);
}

static void replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        exit(1);
    }
    if (S_ISDIR(st.st_mode))
        replay_folder(path);
    else
        replay_file(path);
}

int main(int argc, char **argv)
{
    run_one((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (argc == 1) {
        const char *root = getenv("SEEKD_SRCDIR");
        char path[MAX_PATH];
        snprintf(path, sizeof path, "%s/%s", root ? root : ".", REPLAY_CORPUS);
        replay(path);
    }
    printf("%zu inputs\n", n_inputs);
    return 0;
}
