/* Owns: the lock file beside the database. Refuses to know: SQLite. */
#include <config.h>

#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool local_disk(int fd, struct err *e)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        FAIL_OS(e, "cannot look at the file system of the database");
    unsigned long type = (unsigned long)fs.f_type & 0xffffffffUL;
    if (type == NFS_SUPER_MAGIC || type == SMB_SUPER_MAGIC || type == CIFS_SUPER_MAGIC ||
        type == SMB2_SUPER_MAGIC)
        FAIL(e, ERR_UNSUPPORTED,
             "the database is on a network file system: put it on a disk of this machine");
    return true;
}

static bool held(int fd, const char *path, struct err *e)
{
    char who[32] = "";
    ssize_t n = pread(fd, who, sizeof who - 1, 0);
    who[n > 0 ? (size_t)n : 0] = '\0';
    who[strspn(who, "0123456789")] = '\0';
    FAIL(e, ERR_BUSY, "%s is in use by process %s: stop it, or use another database", path,
         who[0] ? who : "(unknown)");
}

bool lock_take(const char *path, int *out, struct err *e)
{
    char name[PATH_MAX];
    int len = snprintf(name, sizeof name, "%s.lock", path);
    if (len < 0 || (size_t)len >= sizeof name)
        FAIL(e, ERR_ARG, "the path of the database is too long");
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        FAIL_OS(e, "cannot open %s", name);
    if (!local_disk(fd, e)) {
        close(fd);
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            held(fd, path, e);
        else
            err_set_os(e, __FILE__, __LINE__, "cannot lock %s", name);
        close(fd);
        return false;
    }
    char who[32];
    int n = snprintf(who, sizeof who, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, who, (size_t)n, 0) != n) {
        /* A full disk must not keep the server from starting; the lock holds without the number. */
    }
    *out = fd;
    return true;
}
