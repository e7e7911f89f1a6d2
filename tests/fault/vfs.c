/* Owns: the fault VFS: what fails when, the space that is left, the recording and the images made
 * of it. Refuses to know: what the databases hold.
 *
 * Each file wraps one of the system's VFS, which does the work. */
#include <config.h>

#include "fault/vfs.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "testfile.h"

enum file_kind { FILE_DB, FILE_WAL, FILE_JOURNAL, FILE_KINDS, FILE_OTHER = FILE_KINDS };
enum { SECTOR_BYTES = 512 };

const char *const vfs_fault_names[VFS_FAULT_COUNT] = {"IOERR", "FULL", "short write", "BUSY",
                                                      "fsync"};

/* One recorded step. */
struct op {
    enum { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_DELETE } what;
    enum file_kind file;
    bool folder; /* OP_SYNC, OP_DELETE: the folder is synced with it */
    int64_t at;  /* offset or new length */
    size_t n_bytes;
    uint8_t *bytes; /* owned */
};

struct file {
    sqlite3_file base;
    enum file_kind kind;
    bool fresh; /* its first sync also syncs the folder, as the system's VFS does for these kinds */
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* guards everything below */
static enum vfs_fault armed;
static unsigned countdown; /* 0 = nothing armed */
static bool good, failed;
static int64_t space = -1;
static bool recording;
static struct op *ops;
static size_t n_ops, cap_ops;

/* ---- faults
 * -------------------------------------------------------------------------------------- */

/* Is it the turn of this step to fail so? */
static bool turn(enum vfs_fault fault)
{
    pthread_mutex_lock(&mu);
    bool now = countdown > 0 && armed == fault && (countdown == 1 || --countdown == 0);
    if (now) {
        failed = true;
        countdown = good ? 1 : 0;
    }
    pthread_mutex_unlock(&mu);
    return now;
}

void vfs_fail(enum vfs_fault fault, unsigned nth, bool for_good)
{
    pthread_mutex_lock(&mu);
    armed = fault;
    countdown = nth;
    good = for_good;
    failed = false;
    pthread_mutex_unlock(&mu);
}

bool vfs_failed(void)
{
    pthread_mutex_lock(&mu);
    bool any = failed;
    pthread_mutex_unlock(&mu);
    return any;
}

bool vfs_calm(void)
{
    pthread_mutex_lock(&mu);
    countdown = 0;
    bool any = failed;
    pthread_mutex_unlock(&mu);
    return any;
}

void vfs_limit_space(int64_t bytes)
{
    pthread_mutex_lock(&mu);
    space = bytes;
    pthread_mutex_unlock(&mu);
}

/* ---- recording
 * ----------------------------------------------------------------------------------- */

static void record(struct op op, const void *bytes)
{
    pthread_mutex_lock(&mu);
    if (recording && op.file < FILE_KINDS) {
        if (n_ops == cap_ops) {
            cap_ops = cap_ops ? 2 * cap_ops : 1024;
            ops = mem_realloc(ops, cap_ops * sizeof *ops);
        }
        if (bytes) {
            op.bytes = mem_alloc(op.n_bytes);
            memcpy(op.bytes, bytes, op.n_bytes);
        }
        ops[n_ops++] = op;
    }
    pthread_mutex_unlock(&mu);
}

static void forget(bool again)
{
    pthread_mutex_lock(&mu);
    for (size_t i = 0; i < n_ops; i++)
        free(ops[i].bytes);
    free(ops);
    ops = NULL;
    n_ops = cap_ops = 0;
    recording = again;
    pthread_mutex_unlock(&mu);
}

void vfs_record(void)
{
    forget(true);
}

void vfs_record_stop(void)
{
    pthread_mutex_lock(&mu);
    recording = false;
    pthread_mutex_unlock(&mu);
}

void vfs_record_free(void)
{
    forget(false);
}

size_t vfs_position(void)
{
    pthread_mutex_lock(&mu);
    size_t n = n_ops;
    pthread_mutex_unlock(&mu);
    return n;
}

/* ---- files
 * --------------------------------------------------------------------------------------- */

static struct file *of(sqlite3_file *f)
{
    return (struct file *)f;
}

static sqlite3_file *real(sqlite3_file *f)
{
    return of(f)->real;
}

static int file_close(sqlite3_file *f)
{
    return real(f)->pMethods->xClose(real(f));
}

static int file_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    return turn(VFS_IOERR) ? SQLITE_IOERR_READ : real(f)->pMethods->xRead(real(f), out, n, at);
}

/* Takes from the space what the file grows by. */
static bool fits(sqlite3_file *f, sqlite3_int64 end)
{
    sqlite3_int64 size = 0;
    real(f)->pMethods->xFileSize(real(f), &size);
    int64_t growth = end > size ? end - size : 0;
    pthread_mutex_lock(&mu);
    bool ok = space < 0 || growth <= space;
    if (ok && space >= 0)
        space -= growth;
    pthread_mutex_unlock(&mu);
    return ok;
}

static int file_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    int keep = n, rc = SQLITE_OK;
    if (turn(VFS_IOERR))
        return SQLITE_IOERR_WRITE;
    if (turn(VFS_FULL) || !fits(f, at + n))
        return SQLITE_FULL;
    if (turn(VFS_SHORT)) {
        keep = n / 2;
        rc = SQLITE_FULL;
    }
    int written = keep > 0 ? real(f)->pMethods->xWrite(real(f), bytes, keep, at) : SQLITE_OK;
    if (written != SQLITE_OK)
        return written;
    record((struct op){.what = OP_WRITE, .file = of(f)->kind, .at = at, .n_bytes = (size_t)keep},
           bytes);
    return rc;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    if (turn(VFS_IOERR))
        return SQLITE_IOERR_TRUNCATE;
    int rc = real(f)->pMethods->xTruncate(real(f), size);
    if (rc == SQLITE_OK)
        record((struct op){.what = OP_TRUNCATE, .file = of(f)->kind, .at = size}, NULL);
    return rc;
}

static int file_sync(sqlite3_file *f, int flags)
{
    (void)flags;
    if (turn(VFS_FSYNC))
        return SQLITE_IOERR_FSYNC;
    record((struct op){.what = OP_SYNC, .file = of(f)->kind, .folder = of(f)->fresh}, NULL);
    of(f)->fresh = false;
    return SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return turn(VFS_IOERR) ? SQLITE_IOERR_FSTAT : real(f)->pMethods->xFileSize(real(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
    return turn(VFS_BUSY) ? SQLITE_BUSY : real(f)->pMethods->xLock(real(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int file_is_reserved(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int file_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int file_traits(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int file_shm_map(sqlite3_file *f, int page, int bytes, int extend, void volatile **out)
{
    return turn(VFS_IOERR) ? SQLITE_IOERR_SHMMAP
                           : real(f)->pMethods->xShmMap(real(f), page, bytes, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    if ((flags & SQLITE_SHM_LOCK) && turn(VFS_BUSY))
        return SQLITE_BUSY;
    return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
    return real(f)->pMethods->xShmUnmap(real(f), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* no memory mapping */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_is_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the VFS
 * ------------------------------------------------------------------------------------- */

static enum file_kind kind_of(int flags)
{
    return flags & SQLITE_OPEN_MAIN_DB        ? FILE_DB
           : flags & SQLITE_OPEN_WAL          ? FILE_WAL
           : flags & SQLITE_OPEN_MAIN_JOURNAL ? FILE_JOURNAL
                                              : FILE_OTHER;
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
                      int *out_flags)
{
    struct file *file = of(f);
    (void)vfs;
    memset(file, 0, sizeof *file);
    if (turn(VFS_IOERR))
        return SQLITE_CANTOPEN;
    file->kind = kind_of(flags);
    file->fresh = (flags & SQLITE_OPEN_CREATE) &&
                  (file->kind == FILE_WAL || file->kind == FILE_JOURNAL);
    file->real = (sqlite3_file *)(file + 1);
    int rc = real_vfs->xOpen(real_vfs, name, file->real, flags, out_flags);
    if (file->real->pMethods)
        file->base.pMethods = &methods;
    return rc;
}

static int fault_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs;
    if (turn(VFS_IOERR))
        return SQLITE_IOERR_DELETE;
    size_t len = strlen(name);
    enum file_kind kind = len > 4 && strcmp(name + len - 4, "-wal") == 0       ? FILE_WAL
                          : len > 8 && strcmp(name + len - 8, "-journal") == 0 ? FILE_JOURNAL
                                                                               : FILE_OTHER;
    int rc = real_vfs->xDelete(real_vfs, name, 0);
    if (rc == SQLITE_OK)
        record((struct op){.what = OP_DELETE, .file = kind, .folder = sync_folder != 0}, NULL);
    return rc;
}

static int fault_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    (void)vfs;
    return real_vfs->xAccess(real_vfs, name, flags, out);
}

static int fault_full_path(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
    (void)vfs;
    return real_vfs->xFullPathname(real_vfs, name, n, out);
}

static int fault_random(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    return real_vfs->xRandomness(real_vfs, n, out);
}

static int fault_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int fault_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    return real_vfs->xCurrentTimeInt64(real_vfs, out);
}

static int fault_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    return vfs_failed() ? EIO : real_vfs->xGetLastError(real_vfs, n, out);
}

void vfs_register(void)
{
    static sqlite3_vfs vfs;
    if (real_vfs)
        return;
    real_vfs = sqlite3_vfs_find("unix");
    vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile,
        .mxPathname = real_vfs->mxPathname,
        .zName = VFS_NAME,
        .xOpen = fault_open,
        .xDelete = fault_delete,
        .xAccess = fault_access,
        .xFullPathname = fault_full_path,
        .xRandomness = fault_random,
        .xSleep = fault_sleep,
        .xGetLastError = fault_last_error,
        .xCurrentTimeInt64 = fault_time,
    };
    sqlite3_vfs_register(&vfs, 0);
}

/* ---- images
 * -------------------------------------------------------------------------------------- */

/* What a disk holds of one file. */
struct content {
    bool there;
    uint8_t *bytes;
    size_t n_bytes, cap_bytes;
};

static void resize(struct content *c, size_t n)
{
    if (n > c->cap_bytes) {
        c->cap_bytes = 2 * n;
        c->bytes = mem_realloc(c->bytes, c->cap_bytes);
    }
    if (n > c->n_bytes) {
        memset(c->bytes + c->n_bytes, 0, n - c->n_bytes);
    }
    c->n_bytes = n;
}

/* `sectors`: which of the write's sectors arrive (bit i % 64). */
static void apply(struct content *c, const struct op *op, uint64_t sectors)
{
    if (op->what == OP_DELETE) {
        c->there = false;
        c->n_bytes = 0;
        return;
    }
    c->there = true;
    if (op->what == OP_TRUNCATE) {
        resize(c, (size_t)op->at);
        return;
    }
    size_t at = (size_t)op->at;
    for (size_t done = 0, i = 0; done < op->n_bytes; i++) {
        size_t n = SECTOR_BYTES - (at + done) % SECTOR_BYTES;
        n = n < op->n_bytes - done ? n : op->n_bytes - done;
        if (sectors >> (i % 64) & 1) {
            if (at + done + n > c->n_bytes)
                resize(c, at + done + n);
            memcpy(c->bytes + at + done, op->bytes + done, n);
        }
        done += n;
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Applies what arrived of the unsynced steps list[0..n). */
static void apply_some(struct content *c, const struct op **list, size_t n, uint64_t *state)
{
    unsigned how = (unsigned)(next_random(state) % 4); /* none, all, whole steps, torn */
    for (size_t i = n; how >= 2 && i > 1; i--) {       /* in any order */
        size_t j = next_random(state) % i;
        const struct op *swap = list[i - 1];
        list[i - 1] = list[j];
        list[j] = swap;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t r = next_random(state);
        uint64_t sectors = how == 0 ? 0 : how == 1 ? ~UINT64_C(0) : how == 2 ? -(r & 1) : r;
        if (list[i]->what == OP_WRITE ? sectors != 0 : (sectors & 1) != 0)
            apply(c, list[i], sectors);
    }
}

/* How many of the waiting steps this one makes last. */
static size_t settled_by(const struct op *op, enum file_kind kind, const struct op **waiting,
                         size_t n)
{
    if (op->file == kind && (op->what == OP_SYNC || (op->what == OP_DELETE && op->folder)))
        return n;
    size_t last = n; /* behind the last removal: the folder knows of it now */
    while (last > 0 && waiting[last - 1]->what != OP_DELETE)
        last--;
    return op->folder ? last : 0;
}

/* The file of one kind: lasting steps in order, then some of the others. */
static void build(struct content *c, enum file_kind kind, size_t upto, uint64_t *state)
{
    const struct op **waiting = mem_calloc(upto + 1, sizeof(struct op *));
    size_t n = 0;
    for (size_t i = 0; i < upto; i++) {
        if (ops[i].file == kind && ops[i].what != OP_SYNC)
            waiting[n++] = &ops[i];
        size_t settled = settled_by(&ops[i], kind, waiting, n);
        for (size_t k = 0; k < settled; k++)
            apply(c, waiting[k], ~UINT64_C(0));
        n -= settled;
        memmove(waiting, waiting + settled, n * sizeof *waiting);
    }
    apply_some(c, waiting, n, state);
    free(waiting);
}

bool vfs_image(size_t upto, uint64_t seed, const char *path)
{
    static const char *const suffixes[FILE_KINDS] = {"", "-wal", "-journal"};
    bool ok = true;
    pthread_mutex_lock(&mu);
    for (int kind = 0; kind < FILE_KINDS; kind++) {
        struct content c = {0};
        char name[4096];
        build(&c, (enum file_kind)kind, upto < n_ops ? upto : n_ops, &seed);
        snprintf(name, sizeof name, "%s%s", path, suffixes[kind]);
        unlink(name);
        ok = ok &&
             (!c.there || testfile_write(name, c.bytes ? (const void *)c.bytes : "", c.n_bytes));
        free(c.bytes);
    }
    pthread_mutex_unlock(&mu);
    return ok;
}
