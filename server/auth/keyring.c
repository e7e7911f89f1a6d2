/* Owns: the hashes of the API keys, and the form of the key file.
 * Refuses to know: HTTP headers, what a key may do. */
#include <config.h>

#include "auth/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"

enum { MAX_KEYS = 1024, LINE_BYTES = 512 };
static const char HASH_PREFIX[] = "sha256:";

struct keyring {
    size_t n;
    uint8_t digest[MAX_KEYS][HASH_SHA256_BYTES];
};

struct keyring *keyring_create(void)
{
    return mem_zalloc(sizeof(struct keyring));
}

void keyring_destroy(struct keyring **k)
{
    free(*k);
    *k = NULL;
}

size_t keyring_count(const struct keyring *k)
{
    return k->n;
}

static bool well_formed(const char *key, size_t len)
{
    if (len < KEYRING_MIN_KEY || len > KEYRING_MAX_KEY)
        return false;
    for (size_t i = 0; i < len; i++)
        if (key[i] <= ' ' || key[i] > '~')
            return false;
    return true;
}

static bool add_digest(struct keyring *k, const uint8_t digest[HASH_SHA256_BYTES], struct err *e)
{
    if (k->n == MAX_KEYS)
        FAIL(e, ERR_LIMIT, "more than %d API keys", MAX_KEYS);
    memcpy(k->digest[k->n++], digest, HASH_SHA256_BYTES);
    return true;
}

bool keyring_add(struct keyring *k, const char *key, struct err *e)
{
    uint8_t digest[HASH_SHA256_BYTES];
    if (!well_formed(key, strlen(key)))
        FAIL(e, ERR_ARG, "an API key must have %d to %d printable characters and no spaces",
             KEYRING_MIN_KEY, KEYRING_MAX_KEY);
    return hash_sha256(key, strlen(key), digest, e) && add_digest(k, digest, e);
}

static bool parse_digest(const char *hex, uint8_t digest[HASH_SHA256_BYTES])
{
    return strlen(hex) == 2 * HASH_SHA256_BYTES && hex_read(hex, digest, HASH_SHA256_BYTES);
}

static bool add_line(struct keyring *k, char *line, struct err *e)
{
    char *text = line + strspn(line, " \t");
    size_t len = strcspn(text, " \t\r\n");
    if (text[len + strspn(text + len, " \t\r\n")])
        FAIL(e, ERR_FORMAT, "more than one word");
    text[len] = '\0';
    if (!*text || *text == '#')
        return true;
    size_t prefix = sizeof HASH_PREFIX - 1;
    if (strncmp(text, HASH_PREFIX, prefix))
        return keyring_add(k, text, e);
    uint8_t digest[HASH_SHA256_BYTES];
    if (!parse_digest(text + prefix, digest))
        FAIL(e, ERR_FORMAT, "'sha256:' must be followed by 64 hexadecimal digits");
    return add_digest(k, digest, e);
}

static void warn_when_readable_by_others(FILE *f, const char *path)
{
    struct stat st;
    char quoted[512];
    if (!fstat(fileno(f), &st) && (st.st_mode & (S_IRGRP | S_IROTH)))
        LOG_W("auth", "key file can be read by other users path=%s",
              log_quote(quoted, sizeof quoted, path));
}

bool keyring_load(struct keyring *k, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f)
        FAIL_OS(e, "cannot read the key file %s", path);
    warn_when_readable_by_others(f, path);
    char line[LINE_BYTES];
    size_t before = k->n, number = 0;
    bool ok = true;
    while (ok && fgets(line, sizeof line, f)) {
        number++;
        if (!strchr(line, '\n') && !feof(f))
            ok = err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "line too long");
        else if (line[0] != '#')
            ok = add_line(k, line, e);
        if (!ok)
            err_prefix(e, "key file %s, line %zu", path, number);
    }
    explicit_bzero(line, sizeof line);
    if (ok && ferror(f))
        ok = err_set(e, ERR_IO, 0, __FILE__, __LINE__, "cannot read the key file %s", path);
    fclose(f);
    if (ok && k->n == before)
        FAIL(e, ERR_ARG, "the key file %s has no key", path);
    return ok;
}

bool keyring_generate(char key[KEYRING_KEY_TEXT], struct err *e)
{
    uint8_t secret[HASH_SHA256_BYTES];
    if (!hash_random(secret, sizeof secret, e))
        return false;
    memcpy(key, "sk-", 3);
    hash_hex(secret, key + 3);
    explicit_bzero(secret, sizeof secret);
    return true;
}

bool keyring_store(const char *path, const char *key, struct err *e)
{
    uint8_t digest[HASH_SHA256_BYTES];
    char hex[HASH_SHA256_HEX];
    if (!hash_sha256(key, strlen(key), digest, e))
        return false;
    hash_hex(digest, hex);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        FAIL_OS(e, "cannot create the key file %s", path);
    char text[256];
    int len = snprintf(text, sizeof text,
                       "# API keys of seekd: one per line, the key itself or its SHA-256.\n%s%s\n",
                       HASH_PREFIX, hex);
    bool ok = write(fd, text, (size_t)len) == len && !fsync(fd);
    if (!ok)
        err_set_os(e, __FILE__, __LINE__, "cannot write the key file %s", path);
    close(fd);
    if (!ok)
        unlink(path);
    return ok;
}

bool keyring_check(const struct keyring *k, const char *key, size_t len, char id[KEYRING_ID_TEXT])
{
    uint8_t digest[HASH_SHA256_BYTES];
    char hex[HASH_SHA256_HEX];
    if (len > KEYRING_MAX_KEY || !hash_sha256(key, len, digest, NULL)) {
        id[0] = '\0';
        return false;
    }
    hash_hex(digest, hex);
    memcpy(id, hex, KEYRING_ID_TEXT - 1);
    id[KEYRING_ID_TEXT - 1] = '\0';
    bool found = false;
    for (size_t i = 0; i < k->n; i++)
        found |= hash_equal(digest, k->digest[i]);
    return found;
}
