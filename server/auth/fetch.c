/* Owns: our use of libcurl, and which URLs are let through.
 * Refuses to know: what is fetched, and why. */
#include <config.h>

#include "auth/fetch.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <string.h>

enum { URL_MAX_BYTES = 2000 };

/* ---- URLs ------------------------------------------------------------------------------------ */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

static bool has_part(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool found = curl_url_get(u, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return found;
}

enum fetch_scheme fetch_scheme_of(const char *url)
{
    enum fetch_scheme kind = FETCH_REFUSED;
    char *scheme = NULL, *host = NULL;
    if (strlen(url) > URL_MAX_BYTES)
        return FETCH_REFUSED;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '\\' || *c == '#')
            return FETCH_REFUSED;
    CURLU *u = curl_url();
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && !has_part(u, CURLUPART_USER) &&
        !has_part(u, CURLUPART_PASSWORD) &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host) {
        if (strcmp(scheme, "https") == 0)
            kind = FETCH_HTTPS;
        else if (strcmp(scheme, "http") == 0 && is_loopback(host))
            kind = FETCH_LOOPBACK_HTTP;
    }
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return kind;
}

bool fetch_escape(struct buf *out, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (plain || strchr("-._~", c))
            buf_putc(out, (char)c);
        else
            buf_append(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
    return !out->failed;
}

/* ---- exchanges ------------------------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode once_result;

static void start_curl(void)
{
    once_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Anything but `size * n` ends the transfer. */
static size_t take_body(char *bytes, size_t size, size_t n, void *ctx)
{
    return buf_append(ctx, bytes, size * n) ? size * n : 0;
}

static bool set_options(CURL *c, const struct fetch *f, struct buf *body, char *why,
                        struct curl_slist *headers)
{
    bool https = fetch_scheme_of(f->url) == FETCH_HTTPS;
    bool ok = curl_easy_setopt(c, CURLOPT_URL, f->url) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, https ? "https" : "http") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)f->timeout_ms) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEDATA, body) == CURLE_OK;
    if (ok && f->ca_file && *f->ca_file)
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, f->ca_file) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
    if (ok && f->form)
        ok = curl_easy_setopt(c, CURLOPT_POSTFIELDS, f->form) == CURLE_OK;
    if (ok && f->user)
        ok = curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_USERNAME, f->user) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_PASSWORD, f->password) == CURLE_OK;
    return ok;
}

bool fetch_run(const struct fetch *f, struct buf *body, long *status, struct err *e)
{
    char why[CURL_ERROR_SIZE] = "";
    *status = 0;
    if (fetch_scheme_of(f->url) == FETCH_REFUSED)
        FAIL(e, ERR_ARG, "only https URLs, and http to this machine, may be fetched");
    if (pthread_once(&once, start_curl) != 0 || once_result != CURLE_OK)
        FAIL(e, ERR_INTERNAL, "libcurl does not start");
    CURL *c = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    CURLcode rc = CURLE_FAILED_INIT;
    if (c && headers && set_options(c, f, body, why, headers))
        rc = curl_easy_perform(c);
    if (rc == CURLE_OK)
        rc = curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    if (rc == CURLE_WRITE_ERROR && body->failed)
        FAIL(e, ERR_LIMIT, "the answer of %.100s is larger than %zu bytes", f->url,
             body->max_bytes);
    if (rc != CURLE_OK)
        FAIL(e, ERR_IO, "%.100s cannot be reached: %.120s", f->url,
             why[0] ? why : curl_easy_strerror(rc));
    return true;
}
