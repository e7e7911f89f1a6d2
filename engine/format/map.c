/* Owns: the system calls that map a file. Refuses to know what is in it. */
#include <config.h>

#include "format/map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool map_open(const char *path, struct map *out, struct err *e)
{
    *out = (struct map){0};
    bool ok = false;
    /* O_NONBLOCK: opening a FIFO by mistake must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        FAIL_OS(e, "cannot open the file");

    struct stat st;
    if (fstat(fd, &st) != 0) {
        err_set_os(e, __FILE__, __LINE__, "cannot read the file's size");
    } else if (S_ISDIR(st.st_mode)) {
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "this is a directory, not a file");
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "this is not a regular file");
    } else if (st.st_size <= 0) {
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "the file is empty");
    } else if ((uint64_t)st.st_size > SIZE_MAX / 2) {
        err_set(e, ERR_LIMIT, 0, __FILE__, __LINE__, "the file is too large to be mapped");
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            err_set_os(e, __FILE__, __LINE__, "cannot map the file");
        } else {
            *out = (struct map){.data = p, .bytes = (uint64_t)st.st_size};
            ok = true;
        }
    }
    close(fd);
    return ok;
}

void map_close(struct map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, (size_t)m->bytes);
    *m = (struct map){0};
}

void map_prefetch(const void *data, uint64_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)data & ~(page - 1);
    uintptr_t end = (uintptr_t)data + bytes;
    if (bytes)
        (void)madvise((void *)start, end - start, MADV_WILLNEED);
}

void map_release_pages(const void *data, uint64_t bytes)
{
    /* Whole pages only: the first and last may hold bytes of neighbours still in use. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)data + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)data + bytes) & ~(page - 1);
    if (end > start)
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
}
