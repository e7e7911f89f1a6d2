/* Owns: reading certificates and keys from PEM files (OpenSSL).
 * Refuses to know: which of them is used for what, and when one is old. */
#include <config.h>

#include "auth/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

/* ---- files ------------------------------------------------------------------------------------- */

static BIO *open_pem(const char *path, struct err *e)
{
    FILE *in = fopen(path, "re");
    BIO *bio = in ? BIO_new_fp(in, BIO_CLOSE) : NULL;
    if (!in)
        err_set_os(e, __FILE__, __LINE__, "cannot read %s", path);
    else if (!bio) {
        fclose(in);
        err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "out of memory");
    }
    return bio;
}

/* The next certificate (owned); NULL at the end, or with *damaged. */
static X509 *next_certificate(BIO *bio, bool *damaged)
{
    ERR_clear_error();
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    *damaged = !x && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    ERR_clear_error();
    return x;
}

static X509 *first_certificate(const char *path, struct err *e)
{
    bool damaged;
    BIO *bio = open_pem(path, e);
    X509 *x = bio ? next_certificate(bio, &damaged) : NULL;
    if (bio && !x)
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "%s holds no certificate in PEM form", path);
    BIO_free(bio);
    return x;
}

/* ---- what they say ------------------------------------------------------------------------------ */

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static struct certificate describe(const X509 *x)
{
    struct certificate c = {.from_s = seconds_of(X509_get0_notBefore(x)),
                            .until_s = seconds_of(X509_get0_notAfter(x))};
    X509_NAME *subject = X509_get_subject_name(x);
    if (X509_NAME_get_text_by_NID(subject, NID_commonName, c.name, sizeof c.name) <= 0)
        X509_NAME_oneline(subject, c.name, sizeof c.name);
    for (char *p = c.name; *p; p++) /* it goes to a terminal */
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    return c;
}

bool certificate_each(const char *path, certificate_fn *fn, void *ctx, size_t *n, struct err *e)
{
    bool damaged = false, go_on = true;
    BIO *bio = open_pem(path, e);
    X509 *x;
    *n = 0;
    if (!bio)
        return false;
    while (go_on && (x = next_certificate(bio, &damaged))) {
        struct certificate c = describe(x);
        X509_free(x);
        ++*n;
        go_on = fn(ctx, &c);
    }
    BIO_free(bio);
    if (damaged || !*n)
        FAIL(e, ERR_FORMAT, "%s holds %s certificate in PEM form", path, damaged ? "a damaged" : "no");
    return true;
}

/* An encrypted key would make OpenSSL ask on the terminal. */
static int no_password(char *buf, int size, int writing, void *user)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

bool certificate_check_key(const char *path, const char *key_path, struct err *e)
{
    X509 *x = first_certificate(path, e);
    BIO *bio = x ? open_pem(key_path, e) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    bool ok = false;
    if (bio && !key)
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                "%s holds no private key in PEM form, or an encrypted one", key_path);
    else if (key && X509_check_private_key(x, key) != 1)
        err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__, "%s is not the key of %s", key_path, path);
    else
        ok = key != NULL;
    ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(bio);
    X509_free(x);
    return ok;
}

bool certificate_check_host(const char *path, const char *host, struct err *e)
{
    X509 *x = first_certificate(path, e);
    if (!x)
        return false;
    bool holds = X509_check_ip_asc(x, host, 0) == 1 || X509_check_host(x, host, 0, 0, NULL) == 1;
    ERR_clear_error();
    X509_free(x);
    if (!holds)
        FAIL(e, ERR_CONFLICT, "%s does not name %.200s", path, host);
    return true;
}
