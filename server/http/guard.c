/* Owns: the rules for request heads. Refuses to know: routes, keys, how an error is sent. */
#include <config.h>

#include "http/guard.h"

#include <microhttpd.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* ---- collecting ------------------------------------------------------------------------------- */

static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool value_is_clean(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

void guard_add(struct guard_head *h, const char *name, size_t name_len, const char *value,
               size_t value_len)
{
    const struct {
        const char *name;
        struct guard_field *field;
    } known[] = {
        {"host", &h->host},
        {"content-length", &h->content_length},
        {"transfer-encoding", &h->transfer_encoding},
        {"content-type", &h->content_type},
        {"content-encoding", &h->content_encoding},
        {"authorization", &h->authorization},
        {"x-api-key", &h->x_api_key},
        {"expect", &h->expect},
        {"x-csrf-token", &h->csrf_token},
        {"if-match", &h->if_match},
        {"x-reason", &h->reason},
        {"cookie", &h->cookie},
        {"user-agent", &h->user_agent},
        {"origin", &h->origin},
        {"sec-fetch-site", &h->sec_fetch_site},
    };
    h->n_fields++;
    h->bad_name |= name_len == 0;
    for (size_t i = 0; i < name_len; i++)
        h->bad_name |= !is_token_char((unsigned char)name[i]);
    h->bad_value |= !value_is_clean(value, value_len);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) != name_len || strncasecmp(known[i].name, name, name_len))
            continue;
        if (!known[i].field->count++)
            known[i].field->value = value;
    }
}

struct walk {
    struct guard_head *head;
    uintptr_t next; /* where the next field's name must stand */
};

static enum MHD_Result add_header(void *user, enum MHD_ValueKind kind, const char *name,
                                  size_t name_len, const char *value, size_t value_len)
{
    struct walk *w = user;
    (void)kind;
    guard_add(w->head, name, name_len, value ? value : "", value ? value_len : 0);
    w->head->bad_lines |= (uintptr_t)name != w->next;
    w->next = (uintptr_t)value + value_len + 2;
    return MHD_YES;
}

/* Microhttpd 0.9 cuts lines in place: a line end is two bytes that it overwrites, a lone LF one. It
 * hands out strings, so what follows a NUL in a line is lost, and continued lines are moved. All
 * of this shows as a gap between the end of one field and the beginning of the next. Version 1
 * lays strings out otherwise and refuses such heads itself. */
static bool lines_can_be_checked(void)
{
    return !strncmp(MHD_get_version(), "0.9.", 4);
}

void guard_read(struct MHD_Connection *mhd, const char *method, const char *version,
                struct guard_head *out)
{
    *out = (struct guard_head){0};
    struct walk w = {.head = out, .next = (uintptr_t)version + strlen(version) + 2};
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, add_header, &w);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (info)
        out->bad_lines |= (uintptr_t)method + info->header_size != w.next + 2;
    out->bad_lines &= lines_can_be_checked();
    if (out->authorization.count && !strncasecmp(out->authorization.value, "Basic ", 6))
        MHD_free(MHD_basic_auth_get_username_password(mhd, &out->basic_password));
}

void guard_release(struct guard_head *h)
{
    MHD_free(h->basic_password);
    h->basic_password = NULL;
}

/* ---- framing ---------------------------------------------------------------------------------- */

static bool bad(struct api_error *e, const char *what)
{
    return api_fail(e, API_BAD_HTTP, NULL, "%s", what);
}

bool guard_check_target(const char *target, struct api_error *e)
{
    if (!target || target[0] != '/')
        return bad(e, "The request target must be a path that begins with '/'.");
    for (const char *p = target; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return bad(e, "The request target has characters that must be percent-encoded.");
    if (strstr(target, "%00"))
        return bad(e, "The request target has an encoded NUL.");
    return true;
}

static bool check_host(const struct guard_head *h, bool http11, struct api_error *e)
{
    if (h->host.count > 1 || (http11 && !h->host.count))
        return bad(e, "The request must have exactly one Host header.");
    if (!h->host.count)
        return true;
    for (const char *p = h->host.value; *p; p++)
        if (!is_token_char((unsigned char)*p) && !strchr(":[]", *p))
            return bad(e, "The Host header is malformed.");
    return *h->host.value || bad(e, "The Host header is empty.");
}

static bool all_digits(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == '\0';
}

static bool check_length(const struct guard_head *h, bool http11, struct api_error *e)
{
    if (h->content_length.count > 1)
        return bad(e, "The request has more than one Content-Length header.");
    if (h->content_length.count && h->transfer_encoding.count)
        return bad(e, "The request has both Content-Length and Transfer-Encoding.");
    if (h->transfer_encoding.count > 1 ||
        (h->transfer_encoding.count && strcasecmp(h->transfer_encoding.value, "chunked")))
        return bad(e, "The only Transfer-Encoding taken is a single 'chunked'.");
    if (h->transfer_encoding.count && !http11)
        return bad(e, "Transfer-Encoding needs HTTP/1.1.");
    if (h->content_length.count && !all_digits(h->content_length.value))
        return bad(e, "The Content-Length header must be a plain number.");
    return true;
}

bool guard_check(const struct guard_head *h, const char *version, struct api_error *e)
{
    bool http11 = !strcmp(version, "HTTP/1.1");
    if (!http11 && strcmp(version, "HTTP/1.0"))
        return bad(e, "The request must be HTTP/1.1 or HTTP/1.0.");
    if (h->n_fields > GUARD_MAX_FIELDS)
        return api_fail(e, API_HEADERS_TOO_LARGE, NULL, "The request has more than %d headers.",
                        GUARD_MAX_FIELDS);
    if (h->bad_lines)
        return bad(e, "Every header must be one line without NUL, ended by CR LF.");
    if (h->bad_name)
        return bad(e, "A header name has characters that are not allowed there.");
    if (h->bad_value)
        return bad(e, "A header value has control characters.");
    if (!check_host(h, http11, e) || !check_length(h, http11, e))
        return false;
    if (h->content_type.count > 1 || h->content_encoding.count > 1 || h->expect.count > 1)
        return bad(e, "Content-Type, Content-Encoding and Expect may be given once.");
    if (h->csrf_token.count > 1 || h->if_match.count > 1 || h->reason.count > 1 ||
        h->cookie.count > 1)
        return bad(e, "X-CSRF-Token, If-Match, X-Reason and Cookie may be given once.");
    if (h->origin.count > 1 || h->sec_fetch_site.count > 1)
        return bad(e, "Origin and Sec-Fetch-Site may be given once.");
    if (h->expect.count && strcasecmp(h->expect.value, "100-continue"))
        return bad(e, "The only Expect taken is '100-continue'.");
    return true;
}

/* ---- body ------------------------------------------------------------------------------------- */

static bool is_json_type(const char *type)
{
    static const char JSON[] = "application/json";
    size_t len = strcspn(type, "; \t");
    return len == sizeof JSON - 1 && !strncasecmp(type, JSON, len);
}

bool guard_has_body(const struct guard_head *h)
{
    return h->transfer_encoding.count ||
           (h->content_length.count && strspn(h->content_length.value, "0") !=
                                           strlen(h->content_length.value));
}

/* Decimal text to a number, cut at limit + 1: more digits change nothing for us. */
static size_t length_up_to(const char *digits, size_t limit)
{
    size_t n = 0;
    for (; *digits && n <= limit; digits++)
        n = n * 10 + (size_t)(*digits - '0');
    return n;
}

bool guard_check_body(const struct guard_head *h, size_t limit, size_t *length,
                      struct api_error *e)
{
    if (h->content_encoding.count && strcasecmp(h->content_encoding.value, "identity"))
        return api_fail(e, API_MEDIA_TYPE, NULL, "Request bodies must not be compressed.");
    if (guard_has_body(h) && (!h->content_type.count || !is_json_type(h->content_type.value)))
        return api_fail(e, API_MEDIA_TYPE, NULL,
                        "The Content-Type header must be application/json.");
    *length = limit;
    if (h->transfer_encoding.count)
        return true;
    *length = h->content_length.count ? length_up_to(h->content_length.value, limit) : 0;
    if (*length > limit)
        return api_fail(e, API_BODY_TOO_LARGE, NULL,
                        "The request body is larger than the %zu bytes taken here.", limit);
    return true;
}

/* ---- host and credentials --------------------------------------------------------------------- */

static bool same_name(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && !strncasecmp(a, b, a_len);
}

static bool is_loopback_v4(const char *host, size_t len)
{
    return len > 4 && !strncmp(host, "127.", 4) && strspn(host, "0123456789.") >= len;
}

bool guard_host_allowed(const char *host, const char *allowed)
{
    size_t len;
    if (host[0] == '[') {
        len = strcspn(host, "]");
        len += host[len] == ']';
    } else {
        len = strcspn(host, ":");
    }
    if (same_name(host, len, "localhost", 9) || same_name(host, len, "[::1]", 5) ||
        is_loopback_v4(host, len))
        return true;
    for (const char *p = allowed; p && *p;) {
        size_t n = strcspn(p, ", \t");
        if (n && same_name(host, len, p, n))
            return true;
        p += n;
        p += strspn(p, ", \t");
    }
    return false;
}

/* Length of an authority without the port that its scheme has anyway. */
static size_t without_port(const char *authority, const char *port)
{
    size_t len = strlen(authority), n = strlen(port);
    return len > n && !strcmp(authority + len - n, port) ? len - n : len;
}

static bool names_host(const char *origin, const char *host, bool https)
{
    static const struct {
        const char *scheme, *port;
        bool secure;
    } schemes[] = {{"https://", ":443", true}, {"http://", ":80", false}};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        const char *port = schemes[i].port;
        size_t n = strlen(schemes[i].scheme);
        if (strncasecmp(origin, schemes[i].scheme, n) || (https && !schemes[i].secure))
            continue;
        return same_name(origin + n, without_port(origin + n, port), host,
                         without_port(host, port));
    }
    return false;
}

bool guard_same_origin(const struct guard_head *h, bool https)
{
    const char *site = h->sec_fetch_site.value, *origin = h->origin.value;
    if (site && strcmp(site, "same-origin") && strcmp(site, "none")) /* none: the user typed it */
        return false;
    return !origin || (h->host.count && names_host(origin, h->host.value, https));
}

bool guard_credential(const struct guard_head *h, const char **key, size_t *len,
                      struct api_error *e)
{
    *key = NULL;
    *len = 0;
    if (h->authorization.count + h->x_api_key.count > 1)
        return api_fail(e, API_TWO_CREDENTIALS, NULL,
                        "Send the API key once: either 'Authorization: Bearer' or 'x-api-key'.");
    if (h->x_api_key.count) {
        *key = h->x_api_key.value;
        *len = strlen(*key);
        return true;
    }
    if (!h->authorization.count)
        return true;
    if (h->basic_password) {
        *key = h->basic_password;
        *len = strlen(*key);
        return true;
    }
    if (strncasecmp(h->authorization.value, "Bearer ", 7))
        return api_fail(e, API_NO_KEY, NULL,
                        "The Authorization header must be 'Bearer' and the API key.");
    *key = h->authorization.value + 7;
    *key += strspn(*key, " ");
    *len = strlen(*key);
    return true;
}
