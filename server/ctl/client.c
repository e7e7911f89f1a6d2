/* Owns: HTTP over the local socket. Refuses to know: any endpoint. */
#include <config.h>

#include "ctl/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

enum { CONNECT_S = 5, ANSWER_MAX_BYTES = 256 << 20 };
#define SYSTEM_SOCKET "/run/seekd/seekd.sock"

struct client {
    CURL *curl;
    char *socket;
};

/* ---- where ------------------------------------------------------------------------------------ */

char *client_socket(const char *socket, const char *data_dir)
{
    const char *from_environment = getenv("SEEKD_SOCKET");
    if (socket)
        return mem_strdup(socket);
    if (!data_dir)
        return mem_strdup(from_environment && *from_environment ? from_environment
                                                                : SYSTEM_SOCKET);
    size_t len = strlen(data_dir) + sizeof "/seekd.sock";
    char *path = mem_zalloc(len);
    snprintf(path, len, "%s/seekd.sock", data_dir);
    return path;
}

/* curl's own message would not say which file it is about. */
static bool try_socket(const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        FAIL(e, ERR_ARG, "the path of the socket is too long: %.80s", path);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        FAIL_OS(e, "cannot open a socket");
    int rc = connect(fd, (const struct sockaddr *)&a, sizeof a), os = errno;
    close(fd);
    if (!rc)
        return true;
    if (os == EACCES || os == EPERM)
        FAIL(e, ERR_DENIED, "%s belongs to somebody else: run this as the user of seekd, or root",
             path);
    FAIL(e, ERR_NOT_FOUND,
         "no server answers on %s: is seekd running with data_dir? (--socket FILE, --data-dir DIR)",
         path);
}

bool client_open(const char *socket, struct client **out, struct err *e)
{
    *out = NULL;
    if (!try_socket(socket, e))
        return false;
    CURL *curl = curl_global_init(CURL_GLOBAL_NOTHING) ? NULL : curl_easy_init();
    if (!curl)
        FAIL(e, ERR_NOMEM, "libcurl cannot start");
    struct client *c = mem_zalloc(sizeof *c);
    c->curl = curl;
    c->socket = mem_strdup(socket);
    *out = c;
    return true;
}

void client_close(struct client **out)
{
    struct client *c = *out;
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    curl_global_cleanup();
    free(c->socket);
    free(c);
    *out = NULL;
}

/* ---- one request ------------------------------------------------------------------------------ */

void client_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (isalnum((unsigned char)*text) || strchr("-_.~", *text))
            buf_putc(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

struct receiver {
    CURL *curl;
    struct client_reply *reply;
    FILE *to;
};

static size_t on_body(char *bytes, size_t size, size_t n, void *user)
{
    struct receiver *r = user;
    long status = 0;
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    if (r->to && status < 300)
        return fwrite(bytes, size, n, r->to);
    return buf_append(&r->reply->text, bytes, size * n) ? n : 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *user)
{
    struct receiver *r = user;
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), line);
    if (!strncasecmp(text, "etag: \"", 7))
        r->reply->revision = strtoll(text + 7, NULL, 10);
    return size * n;
}

static struct curl_slist *headers_of(const struct client_call *call)
{
    struct buf line;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    buf_init(&line, 1 << 20);
    list = curl_slist_append(list, call->body ? "Content-Type: application/json" : "Content-Type:");
    if (call->revision) {
        buf_printf(&line, "If-Match: \"%lld\"", (long long)call->revision);
        list = curl_slist_append(list, buf_str(&line));
    }
    if (call->reason && *call->reason) {
        buf_clear(&line);
        buf_puts(&line, "X-Reason: ");
        client_escape(&line, call->reason);
        list = curl_slist_append(list, buf_str(&line));
    }
    buf_release(&line);
    return list;
}

static bool perform(struct client *c, const struct client_call *call, struct receiver *r,
                    struct err *e)
{
    char *body = call->body ? json_dumps(call->body, JSON_COMPACT) : NULL, url[16384];
    struct curl_slist *headers = headers_of(call);
    bool fits = snprintf(url, sizeof url, "http://localhost%s", call->path) < (int)sizeof url;
    curl_easy_reset(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, r);
    if (strcmp(call->method, "GET") && (body || strcmp(call->method, "DELETE")))
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body ? body : "");
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, call->method);
    CURLcode rc = fits ? curl_easy_perform(c->curl) : CURLE_URL_MALFORMAT;
    curl_slist_free_all(headers);
    free(body);
    if (rc == CURLE_WRITE_ERROR)
        FAIL(e, ERR_IO, "the answer cannot be written");
    if (rc)
        FAIL(e, ERR_IO, "the server broke off: %s", curl_easy_strerror(rc));
    return true;
}

static enum err_code code_of(int status)
{
    switch (status) {
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 412:
        return ERR_STALE;
    case 429:
    case 503:
        return ERR_BUSY;
    default:
        return status >= 500 ? ERR_INTERNAL : ERR_ARG;
    }
}

bool client_send(struct client *c, const struct client_call *call, struct client_reply *out,
                 struct err *e)
{
    struct receiver r = {c->curl, out, call->to};
    *out = (struct client_reply){.status = 0};
    buf_init(&out->text, ANSWER_MAX_BYTES);
    if (!perform(c, call, &r, e))
        return false;
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    out->status = (int)status;
    if (out->text.len)
        out->json = json_loadb(out->text.data, out->text.len, 0, NULL);
    if (status >= 200 && status < 300)
        return true;
    const char *said = json_string_value(
        json_object_get(json_object_get(out->json, "error"), "message"));
    FAIL(e, code_of(out->status), "%s", said ? said : "the server answered without saying why");
}

void client_reply_release(struct client_reply *r)
{
    json_decref(r->json);
    r->json = NULL;
    buf_release(&r->text);
}
