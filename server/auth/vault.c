/* Owns AES-256-GCM for texts in the database, and the key file.
 * Refuses to know what the texts are. */
#include <config.h>

#include "auth/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/hex.h"

enum { FILE_BYTES = 2 * VAULT_KEY_BYTES + 1 };

void vault_wipe(void *p, size_t bytes)
{
    OPENSSL_cleanse(p, bytes);
}

bool vault_close(const uint8_t key[VAULT_KEY_BYTES], const char *name, const void *plain, size_t bytes,
                uint8_t nonce[VAULT_NONCE_BYTES], uint8_t *sealed, struct err *e)
{
    if (bytes > INT_MAX - VAULT_TAG_BYTES || strlen(name) > INT_MAX)
        FAIL(e, ERR_LIMIT, "a text is too large to be sealed");
    if (!hash_random(nonce, VAULT_NONCE_BYTES, e))
        return false;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
              EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1 &&
              EVP_EncryptUpdate(c, sealed, &n, plain, (int)bytes) == 1 &&
              EVP_EncryptFinal_ex(c, sealed + bytes, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, VAULT_TAG_BYTES, sealed + bytes) == 1;
    EVP_CIPHER_CTX_free(c);
    if (!ok)
        FAIL(e, ERR_INTERNAL, "AES-256-GCM failed");
    return true;
}

bool vault_open(const uint8_t key[VAULT_KEY_BYTES], const char *name,
               const uint8_t nonce[VAULT_NONCE_BYTES], const uint8_t *sealed, size_t bytes, void *plain,
               struct err *e)
{
    if (bytes < VAULT_TAG_BYTES || bytes > INT_MAX || strlen(name) > INT_MAX)
        FAIL(e, ERR_DAMAGED, "a sealed text has an impossible length");
    size_t plain_bytes = bytes - VAULT_TAG_BYTES;
    uint8_t tag[VAULT_TAG_BYTES];
    memcpy(tag, sealed + plain_bytes, sizeof tag);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    bool ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
              EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1 &&
              EVP_DecryptUpdate(c, plain, &n, sealed, (int)plain_bytes) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, VAULT_TAG_BYTES, tag) == 1 &&
              EVP_DecryptFinal_ex(c, (uint8_t *)plain + plain_bytes, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    if (ok)
        return true;
    vault_wipe(plain, plain_bytes);
    FAIL(e, ERR_DAMAGED, "a sealed text does not open: another key, or it was changed");
}

static bool key_read(int fd, const char *path, uint8_t key[VAULT_KEY_BYTES], struct err *e)
{
    struct stat st;
    char text[FILE_BYTES + 1];
    if (fstat(fd, &st) != 0)
        FAIL_OS(e, "%s", path);
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        FAIL(e, ERR_ARG, "%s may be read by others: chmod 600", path);
    ssize_t got = read(fd, text, sizeof text);
    if (got < 0)
        FAIL_OS(e, "%s", path);
    bool ok = got == FILE_BYTES && text[FILE_BYTES - 1] == '\n' &&
              hex_read(text, key, VAULT_KEY_BYTES);
    vault_wipe(text, sizeof text);
    if (!ok)
        FAIL(e, ERR_FORMAT, "%s is not a key file: 64 hexadecimal digits and a line feed", path);
    return true;
}

static bool key_create(const char *path, uint8_t key[VAULT_KEY_BYTES], struct err *e)
{
    char text[HASH_SHA256_HEX + 1];
    if (!hash_random(key, VAULT_KEY_BYTES, e))
        return false;
    hash_hex(key, text);
    text[FILE_BYTES - 1] = '\n';
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        FAIL_OS(e, "%s cannot be created", path);
    bool ok = write(fd, text, FILE_BYTES) == FILE_BYTES && fsync(fd) == 0;
    int os = errno;
    close(fd);
    vault_wipe(text, sizeof text);
    if (ok)
        return true;
    unlink(path);
    errno = os;
    FAIL_OS(e, "%s cannot be written", path);
}

bool vault_key_file(const char *path, uint8_t key[VAULT_KEY_BYTES], struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return key_create(path, key, e);
    if (fd < 0)
        FAIL_OS(e, "%s", path);
    bool ok = key_read(fd, path, key, e);
    close(fd);
    return ok;
}
