/* Owns: backup files, their checks, and databases made from them. Refuses to know: the running
 * store.
 *
 * Restoring never opens a file by name through SQLite: the bytes are checked first (digest or
 * seal), then mapped and examined as a database in memory. */
#include <config.h>

#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/schema.h"
#include "store/seal.h"
#include "store/snapshot.h"
#include "store/store.h"

enum { SUM_BYTES = 512 }; /* longest content of a digest file */

/* ---- small things about files ---------------------------------------------------------------- */

static bool name_with(const char *path, const char *suffix, char out[PATH_MAX], struct err *e)
{
    int len = snprintf(out, PATH_MAX, "%s%s", path, suffix);
    if (len < 0 || len >= PATH_MAX)
        FAIL(e, ERR_ARG, "the path is too long");
    return true;
}

static int open_to_read(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, __FILE__, __LINE__,
                "cannot open %s: %s", path, strerrordesc_np(errno));
    return fd;
}

/* An own file in place of whatever a broken attempt left behind. */
static int create_anew(const char *path, struct err *e)
{
    int fd = -1;
    if (unlink(path) == 0 || errno == ENOENT)
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        err_set_os(e, __FILE__, __LINE__, "cannot create %s", path);
    return fd;
}

static bool flush(int fd, const char *path, struct err *e)
{
    if (fsync(fd) != 0)
        FAIL_OS(e, "cannot flush %s", path);
    return true;
}

static bool put_in_place(const char *part, const char *path, struct err *e)
{
    if (rename(part, path) != 0)
        FAIL_OS(e, "cannot name the file %s", path);
    return snapshot_sync_folder(path, e);
}

/* ---- plain backups and their digest files ---------------------------------------------------- */

/* Reads `in` to its end; copies to `out` unless that is -1. */
static bool copy_and_digest(int in, int out, uint8_t digest[HASH_SHA256_BYTES], struct err *e)
{
    uint8_t *buf = mem_alloc(SEAL_CHUNK_BYTES);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned len = 0;
    size_t got;
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    if (!ok)
        err_set(e, ERR_INTERNAL, 0, __FILE__, __LINE__, "OpenSSL cannot compute SHA-256");
    do {
        ok = ok && seal_read(in, buf, SEAL_CHUNK_BYTES, &got, e) &&
             EVP_DigestUpdate(md, buf, got) == 1 && (out < 0 || seal_write(out, buf, got, e));
    } while (ok && got == SEAL_CHUNK_BYTES);
    ok = ok && EVP_DigestFinal_ex(md, digest, &len) == 1;
    EVP_MD_CTX_free(md);
    free(buf);
    return ok;
}

/* What the digest file of a backup says: the form of sha256sum. */
static bool sum_text(const char *path, const uint8_t digest[HASH_SHA256_BYTES],
                     char text[SUM_BYTES], struct err *e)
{
    char hex[HASH_SHA256_HEX], *copy = mem_strdup(path);
    hash_hex(digest, hex);
    int len = snprintf(text, SUM_BYTES, "%s  %s\n", hex, basename(copy));
    free(copy);
    if (len < 0 || len >= SUM_BYTES)
        FAIL(e, ERR_ARG, "the name of the backup is too long");
    return true;
}

static bool write_sum(const char *path, const uint8_t digest[HASH_SHA256_BYTES], struct err *e)
{
    char text[SUM_BYTES], name[PATH_MAX], part[PATH_MAX];
    if (!sum_text(path, digest, text, e) || !name_with(path, ".sha256", name, e) ||
        !name_with(name, ".part", part, e))
        return false;
    int fd = create_anew(part, e);
    bool ok = fd >= 0 && seal_write(fd, text, strlen(text), e) && flush(fd, part, e);
    if (fd >= 0)
        close(fd);
    return ok && put_in_place(part, name, e);
}

static bool check_sum(const char *path, const uint8_t digest[HASH_SHA256_BYTES], struct err *e)
{
    char want[SUM_BYTES], found[SUM_BYTES], name[PATH_MAX];
    size_t got = 0;
    if (!sum_text(path, digest, want, e) || !name_with(path, ".sha256", name, e))
        return false;
    int fd = open_to_read(name, e);
    bool ok = fd >= 0 && seal_read(fd, found, sizeof found, &got, e);
    if (fd >= 0)
        close(fd);
    if (!ok)
        return false;
    if (got != strlen(want) || memcmp(found, want, got) != 0)
        FAIL(e, ERR_FORMAT, "%s does not fit the backup: one of the two was changed or renamed",
             name);
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Reads back what was written. */
static bool verify(int fd, const uint8_t *key, const uint8_t digest[HASH_SHA256_BYTES],
                   struct err *e)
{
    uint8_t again[HASH_SHA256_BYTES];
    if (lseek(fd, 0, SEEK_SET) != 0)
        FAIL_OS(e, "cannot read the backup again");
    if (key)
        return seal_open(fd, -1, key, e);
    if (!copy_and_digest(fd, -1, again, e))
        return false;
    if (!hash_equal(again, digest))
        FAIL(e, ERR_IO, "the backup reads back differently from what was written: check that disk");
    return true;
}

bool backup_write(const char *plain, const char *to, const uint8_t *key, struct err *e)
{
    char part[PATH_MAX];
    uint8_t digest[HASH_SHA256_BYTES] = {0};
    if (!name_with(to, ".part", part, e))
        return false;
    int in = open_to_read(plain, e);
    int out = in >= 0 ? create_anew(part, e) : -1;
    bool ok = out >= 0 &&
              (key ? seal_file(in, out, key, e) : copy_and_digest(in, out, digest, e)) &&
              flush(out, part, e) && verify(out, key, digest, e);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    ok = ok && (key || write_sum(to, digest, e)) && put_in_place(part, to, e);
    if (!ok && out >= 0 && unlink(part) != 0 && errno != ENOENT)
        LOG_W("store", "cannot remove %s", part);
    return ok;
}

/* ---- restoring ------------------------------------------------------------------------------- */

static bool examine_image(struct store_db *db, struct err *e)
{
    size_t version;
    unsigned findings;
    if (!migrate_look(db, SCHEMA_VERSION, &version, e) ||
        !db_examine(db, false, NULL, NULL, &findings, e))
        return false;
    if (version == 0)
        FAIL(e, ERR_FORMAT, "the backup holds no database of seekd");
    if (findings > 0)
        FAIL(e, ERR_FORMAT, "the database in the backup has %u errors", findings);
    return true;
}

static bool examine_file(int fd, struct err *e)
{
    struct stat st;
    struct store_db *db = NULL;
    if (fstat(fd, &st) != 0)
        FAIL_OS(e, "cannot look at the restored file");
    if (st.st_size <= 0)
        FAIL(e, ERR_FORMAT, "the backup is empty");
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
        FAIL_OS(e, "cannot map the restored file");
    bool ok = db_open_image(bytes, (size_t)st.st_size, &db, e) && examine_image(db, e);
    db_close(&db);
    munmap(bytes, (size_t)st.st_size);
    return ok;
}

/* A file of some other kind is refused here, before its digest file is looked for. */
static bool is_sealed(int fd, const char *path, bool *sealed, struct err *e)
{
    static const char database[] = "SQLite format 3"; /* the first 16 bytes of one, with the zero */
    uint8_t head[SEAL_HEAD_BYTES];
    size_t got;
    _Static_assert(sizeof database <= sizeof head, "the head holds what a database begins with");
    if (!seal_read(fd, head, sizeof head, &got, e))
        return false;
    if (lseek(fd, 0, SEEK_SET) != 0)
        FAIL_OS(e, "the backup must be a file");
    *sealed = seal_recognize(head, got);
    if (!*sealed && (got < sizeof database || memcmp(head, database, sizeof database)))
        FAIL(e, ERR_FORMAT, "%s is not a backup of seekd", path);
    return true;
}

/* The backup `in`, checked byte by byte, as a database file `out` that is examined as well. `out`
 * -1: a plain backup is examined where it lies. */
static bool unpack(const char *backup, int in, int out, const uint8_t *key, struct err *e)
{
    uint8_t digest[HASH_SHA256_BYTES];
    if (key)
        return seal_open(in, out, key, e) && examine_file(out, e);
    return copy_and_digest(in, out, digest, e) && check_sum(backup, digest, e) &&
           examine_file(out >= 0 ? out : in, e);
}

static bool check_only(const char *backup, int in, const uint8_t *key, struct err *e)
{
    int out = -1;
    if (key && (out = memfd_create("seekd-restore", MFD_CLOEXEC)) < 0)
        FAIL_OS(e, "no memory to open the backup in");
    bool ok = unpack(backup, in, out, key, e);
    if (out >= 0)
        close(out);
    return ok;
}

static bool restore_to(const char *backup, int in, const char *to, const uint8_t *key,
                       struct err *e)
{
    char part[PATH_MAX];
    if (!name_with(to, ".part", part, e))
        return false;
    if (access(to, F_OK) == 0)
        FAIL(e, ERR_CONFLICT, "%s exists: restore to another name", to);
    int out = create_anew(part, e);
    if (out < 0)
        return false;
    bool ok = unpack(backup, in, out, key, e) && flush(out, part, e);
    close(out);
    if (ok && renameat2(AT_FDCWD, part, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        ok = err_set_os(e, __FILE__, __LINE__, "cannot name the file %s", to);
    if (ok)
        return snapshot_sync_folder(to, e);
    unlink(part);
    return false;
}

bool store_restore(const char *backup, const uint8_t *key, const char *to, struct err *e)
{
    int in = open_to_read(backup, e);
    if (in < 0)
        return false;
    bool sealed = false;
    bool ok = is_sealed(in, backup, &sealed, e);
    if (ok && sealed && !key)
        ok = err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "%s is encrypted: give its key", backup);
    else if (ok && !sealed && key)
        ok = err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "%s is not encrypted: give no key", backup);
    ok = ok && (to ? restore_to(backup, in, to, key, e) : check_only(backup, in, key, e));
    close(in);
    return ok;
}
