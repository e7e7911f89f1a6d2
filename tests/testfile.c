/* Owns: the environment variables and paths that tests use. Refuses to know any file format. */
#include <config.h>

#include "testfile.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

char *testfile_join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = mem_alloc(n);
    snprintf(path, n, "%s/%s", dir, name);
    return path;
}

static const char *source_root(void)
{
    const char *root = getenv("SEEKD_SRCDIR");
    if (!root)
        root = getenv("srcdir");
    return root ? root : ".";
}

char *testfile_source(const char *relative)
{
    return testfile_join(source_root(), relative);
}

char *testfile_fixture(const char *relative)
{
    const char *root = getenv("SEEKD_FIXTURES");
    char *beside = testfile_source("../shared/fixtures");
    char *path = testfile_join(root ? root : beside, relative);
    free(beside);
    if (access(path, R_OK) != 0) {
        printf("SKIP: %s is not there (set SEEKD_FIXTURES)\n", path);
        free(path);
        return NULL;
    }
    return path;
}

uint8_t *testfile_read(const char *path, size_t *n_bytes)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long size = -1;
    if (!f)
        return NULL;
    if (fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    if (size >= 0 && fseek(f, 0, SEEK_SET) == 0) {
        bytes = mem_alloc((size_t)size);
        *n_bytes = (size_t)size;
        if (fread(bytes, 1, *n_bytes, f) != *n_bytes) {
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(f);
    return bytes;
}

bool testfile_write(const char *path, const void *bytes, size_t n_bytes)
{
    unlink(path);
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    bool ok = fwrite(bytes, 1, n_bytes, f) == n_bytes;
    return fclose(f) == 0 && ok;
}

char *testfile_make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = testfile_join(tmp && *tmp ? tmp : P_tmpdir, "seekd-test-XXXXXX");
    if (!mkdtemp(path)) {
        perror(path);
        abort();
    }
    return path;
}

void testfile_remove_dir(const char *path)
{
    DIR *d = opendir(path);
    if (d) {
        for (struct dirent *entry; (entry = readdir(d));) {
            char *file = testfile_join(path, entry->d_name);
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                unlink(file);
            free(file);
        }
        closedir(d);
    }
    rmdir(path);
}
