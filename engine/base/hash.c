/* Owns: our use of OpenSSL's digest, random and constant-time comparison. */
#include <config.h>

#include "base/hash.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { PIECE_BYTES = 4 << 20 };

bool hash_sha256(const void *data, size_t len, uint8_t out[HASH_SHA256_BYTES], struct err *e)
{
    unsigned int n = 0;
    if (EVP_Digest(data, len, out, &n, EVP_sha256(), NULL) != 1 || n != HASH_SHA256_BYTES)
        FAIL(e, ERR_INTERNAL, "OpenSSL cannot compute SHA-256");
    return true;
}

static bool digest_file(int fd, EVP_MD_CTX *md, uint64_t all, hash_progress_fn *progress, void *ctx)
{
    uint8_t *piece = mem_alloc(PIECE_BYTES);
    uint64_t done = 0;
    ssize_t got = 0;
    bool ok = true;
    while (ok && (got = read(fd, piece, PIECE_BYTES)) > 0) {
        ok = EVP_DigestUpdate(md, piece, (size_t)got) == 1;
        done += (uint64_t)got;
        if (progress)
            progress(ctx, done, all);
    }
    free(piece);
    return ok && !got;
}

bool hash_file(const char *path, hash_progress_fn *progress, void *ctx,
               uint8_t out[HASH_SHA256_BYTES], struct err *e)
{
    struct stat st;
    unsigned int n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        FAIL_OS(e, "cannot read %s", path);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && !fstat(fd, &st) && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              digest_file(fd, md, (uint64_t)st.st_size, progress, ctx) &&
              EVP_DigestFinal_ex(md, out, &n) == 1 && n == HASH_SHA256_BYTES;
    if (!ok)
        err_set_os(e, __FILE__, __LINE__, "cannot read %s to its end", path);
    EVP_MD_CTX_free(md);
    close(fd);
    return ok;
}

void hash_hex(const uint8_t digest[HASH_SHA256_BYTES], char out[HASH_SHA256_HEX])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < HASH_SHA256_BYTES; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[HASH_SHA256_HEX - 1] = '\0';
}

bool hash_equal(const uint8_t a[HASH_SHA256_BYTES], const uint8_t b[HASH_SHA256_BYTES])
{
    return CRYPTO_memcmp(a, b, HASH_SHA256_BYTES) == 0;
}

bool hash_random(void *out, size_t len, struct err *e)
{
    if (len > INT_MAX || RAND_bytes(out, (int)len) != 1)
        FAIL(e, ERR_INTERNAL, "OpenSSL has no random numbers to give");
    return true;
}
