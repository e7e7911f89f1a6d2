/* Owns: the form of sealed files and our use of AES-GCM. Refuses to know: what is inside. */
#include <config.h>

#include "store/seal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"

enum { TAG_BYTES = 16, LENGTH_BYTES = 4, AAD_BYTES = 12, NONCE_BYTES = 12 };
#define END_MARK UINT32_C(0x80000000)

static const uint8_t magic[8] = {'S', 'E', 'E', 'K', 'D', 'B', 'K', '1'};

/* One direction through one file. */
struct seal {
    EVP_CIPHER_CTX *cipher;
    uint8_t key[SEAL_KEY_BYTES];
    uint64_t number; /* of the next chunk */
    uint64_t total;  /* plain bytes so far */
    int in, out;
    uint8_t *plain;  /* SEAL_CHUNK_BYTES */
    uint8_t *record; /* length, ciphertext, tag */
};

static void put_le(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

bool seal_read(int fd, void *buf, size_t len, size_t *got, struct err *e)
{
    *got = 0;
    while (*got < len) {
        ssize_t n = read(fd, (char *)buf + *got, len - *got);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            FAIL_OS(e, "cannot read the backup");
        *got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool seal_write(int fd, const void *buf, size_t len, struct err *e)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)buf + done, len - done);
        if (n < 0 && errno != EINTR)
            FAIL_OS(e, "cannot write the backup");
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool seal_recognize(const uint8_t *head, size_t len)
{
    return len >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool derive_key(struct seal *s, const uint8_t *key, const uint8_t head[SEAL_HEAD_BYTES],
                       struct err *e)
{
    unsigned len = 0;
    if (!HMAC(EVP_sha256(), key, SEAL_KEY_BYTES, head, SEAL_HEAD_BYTES, s->key, &len) ||
        len != SEAL_KEY_BYTES)
        FAIL(e, ERR_INTERNAL, "OpenSSL cannot compute HMAC-SHA256");
    return true;
}

static bool begin(struct seal *s, int in, int out, struct err *e)
{
    *s = (struct seal){.in = in, .out = out, .cipher = EVP_CIPHER_CTX_new()};
    s->plain = mem_alloc(SEAL_CHUNK_BYTES);
    s->record = mem_alloc(LENGTH_BYTES + SEAL_CHUNK_BYTES + TAG_BYTES);
    if (!s->cipher)
        FAIL(e, ERR_NOMEM, "OpenSSL has no memory for a cipher");
    return true;
}

static void end(struct seal *s)
{
    EVP_CIPHER_CTX_free(s->cipher);
    OPENSSL_cleanse(s->key, sizeof s->key);
    OPENSSL_cleanse(s->plain, SEAL_CHUNK_BYTES);
    free(s->plain);
    free(s->record);
}

static void name_chunk(const struct seal *s, const uint8_t length[LENGTH_BYTES],
                       uint8_t nonce[NONCE_BYTES], uint8_t aad[AAD_BYTES])
{
    memset(nonce, 0, NONCE_BYTES);
    put_le(nonce, s->number, 8);
    put_le(aad, s->number, 8);
    memcpy(aad + 8, length, LENGTH_BYTES);
}

/* ---- sealing --------------------------------------------------------------------------------- */

static bool write_chunk(struct seal *s, uint32_t len, uint32_t mark, struct err *e)
{
    uint8_t nonce[NONCE_BYTES], aad[AAD_BYTES], *text = s->record + LENGTH_BYTES;
    int n = 0, n_end = 0;
    put_le(s->record, len | mark, LENGTH_BYTES);
    name_chunk(s, s->record, nonce, aad);
    if (EVP_EncryptInit_ex(s->cipher, EVP_aes_256_gcm(), NULL, s->key, nonce) != 1 ||
        EVP_EncryptUpdate(s->cipher, NULL, &n, aad, AAD_BYTES) != 1 ||
        EVP_EncryptUpdate(s->cipher, text, &n, s->plain, (int)len) != 1 ||
        EVP_EncryptFinal_ex(s->cipher, text + n, &n_end) != 1 ||
        EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + len) != 1)
        FAIL(e, ERR_INTERNAL, "OpenSSL cannot encrypt with AES-256-GCM");
    s->number++;
    s->total += len;
    return seal_write(s->out, s->record, LENGTH_BYTES + len + TAG_BYTES, e);
}

static bool write_chunks(struct seal *s, struct err *e)
{
    size_t got;
    do {
        if (!seal_read(s->in, s->plain, SEAL_CHUNK_BYTES, &got, e))
            return false;
        if (got > 0 && !write_chunk(s, (uint32_t)got, 0, e))
            return false;
    } while (got == SEAL_CHUNK_BYTES);
    put_le(s->plain, s->total, 8);
    return write_chunk(s, 8, END_MARK, e);
}

bool seal_file(int in, int out, const uint8_t key[SEAL_KEY_BYTES], struct err *e)
{
    struct seal s;
    uint8_t head[SEAL_HEAD_BYTES] = {0};
    memcpy(head, magic, sizeof magic);
    put_le(head + 8, SEAL_CHUNK_BYTES, 4);
    bool ok = begin(&s, in, out, e) && hash_random(head + 16, 16, e) &&
              derive_key(&s, key, head, e) && seal_write(out, head, sizeof head, e) &&
              write_chunks(&s, e);
    end(&s);
    return ok;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool changed(struct err *e)
{
    FAIL(e, ERR_FORMAT, "the backup was changed or cut, or the key is another one");
}

static bool decrypt(struct seal *s, uint32_t len, struct err *e)
{
    uint8_t nonce[NONCE_BYTES], aad[AAD_BYTES], *text = s->record + LENGTH_BYTES;
    int n = 0, n_end = 0;
    name_chunk(s, s->record, nonce, aad);
    if (EVP_DecryptInit_ex(s->cipher, EVP_aes_256_gcm(), NULL, s->key, nonce) != 1 ||
        EVP_DecryptUpdate(s->cipher, NULL, &n, aad, AAD_BYTES) != 1 ||
        EVP_DecryptUpdate(s->cipher, s->plain, &n, text, (int)len) != 1 ||
        EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, text + len) != 1)
        FAIL(e, ERR_INTERNAL, "OpenSSL cannot decrypt with AES-256-GCM");
    if (EVP_DecryptFinal_ex(s->cipher, s->plain + n, &n_end) != 1)
        return changed(e);
    s->number++;
    return true;
}

/* Reads and checks one chunk into s->plain. */
static bool read_chunk(struct seal *s, uint32_t *len, bool *last, struct err *e)
{
    size_t got;
    if (!seal_read(s->in, s->record, LENGTH_BYTES, &got, e))
        return false;
    uint32_t length = got == LENGTH_BYTES ? (uint32_t)get_le(s->record, LENGTH_BYTES) : 0;
    *last = (length & END_MARK) != 0;
    *len = length & ~END_MARK;
    if (*len < 1 || *len > SEAL_CHUNK_BYTES)
        return changed(e);
    size_t rest = (size_t)*len + TAG_BYTES;
    if (!seal_read(s->in, s->record + LENGTH_BYTES, rest, &got, e))
        return false;
    return got == rest ? decrypt(s, *len, e) : changed(e);
}

static bool read_chunks(struct seal *s, struct err *e)
{
    uint32_t len;
    bool last;
    for (;;) {
        if (!read_chunk(s, &len, &last, e))
            return false;
        if (last)
            break;
        s->total += len;
        if (s->out >= 0 && !seal_write(s->out, s->plain, len, e))
            return false;
    }
    uint8_t more;
    size_t got;
    if (!seal_read(s->in, &more, 1, &got, e))
        return false;
    return got == 0 && len == 8 && get_le(s->plain, 8) == s->total ? true : changed(e);
}

bool seal_open(int in, int out, const uint8_t key[SEAL_KEY_BYTES], struct err *e)
{
    struct seal s;
    uint8_t head[SEAL_HEAD_BYTES];
    size_t got;
    bool ok = begin(&s, in, out, e) && seal_read(in, head, sizeof head, &got, e);
    if (ok && (got < sizeof head || !seal_recognize(head, got) ||
               get_le(head + 8, 4) != SEAL_CHUNK_BYTES))
        ok = changed(e);
    ok = ok && derive_key(&s, key, head, e) && read_chunks(&s, e);
    end(&s);
    return ok;
}
