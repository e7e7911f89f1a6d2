/* Owns: HTTP over the local socket and to a URL, and the key that goes with it.
 * Refuses to know: any endpoint. */
#include <config.h>

#include "ctl/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/fetch.h"
#include "base/mem.h"
#include "lang.h"

enum { CONNECT_S = 5, ANSWER_MAX_BYTES = 256 << 20, KEY_TEXT = 1024, TOKEN_TEXT = 256, URL_TEXT = 2048 };
#define SYSTEM_SOCKET "/run/seekd/seekd.sock"
#define SYSTEM_SERVER "http://127.0.0.1:8080"

struct client {
    CURL *curl;
    char *socket;          /* NULL: `url` and `key` say where and who */
    char url[URL_TEXT];    /* without a slash at its end */
    char key[KEY_TEXT];    /* "" in a session */
    char csrf[TOKEN_TEXT]; /* "" before the login of a session */
    char cookie[TOKEN_TEXT]; /* NAME=VALUE; the same */
    bool session;
    const char *ca_file;   /* NULL = the system's */
};

/* ---- where ------------------------------------------------------------------------------------ */

/* The first of the two that says something; NULL when neither does. */
static const char *given(const char *option, const char *variable)
{
    const char *v = option ? option : getenv(variable);
    return v && *v ? v : NULL;
}

char *client_socket(const struct client_where *w)
{
    const char *path = w->socket ? w->socket : w->data_dir ? NULL : given(NULL, "SEEKD_SOCKET");
    if (path)
        return mem_strdup(path);
    if (!w->data_dir)
        return mem_strdup(SYSTEM_SOCKET);
    size_t len = strlen(w->data_dir) + sizeof "/seekd.sock";
    char *in_folder = mem_zalloc(len);
    snprintf(in_folder, len, "%s/seekd.sock", w->data_dir);
    return in_folder;
}

/* The server prints its URL with /v1 behind it; administration is elsewhere. */
static bool take_url(struct client *c, const char *url, struct err *e)
{
    size_t len = strlen(url);
    if (len >= sizeof c->url || fetch_scheme_of(url) == FETCH_REFUSED)
        FAIL(e, ERR_ARG, lang_pick("--server takes an https URL, or http to this machine such as "
                                   SYSTEM_SERVER ", not \"%.200s\": a key must not cross the network "
                                   "in the clear",
                                   "--server 须为 https 地址，或本机的 http 地址（如 " SYSTEM_SERVER
                                   "），不能是 \"%.200s\"：密钥不得在网络上明文传输"),
             url);
    while (len && url[len - 1] == '/')
        len--;
    if (len > 3 && !memcmp(url + len - 3, "/v1", 3))
        len -= 3;
    snprintf(c->url, sizeof c->url, "%.*s", (int)len, url);
    return true;
}

static bool take_key(struct client *c, const char *key, const char *from, struct err *e)
{
    size_t len = strcspn(key, "\r\n");
    bool fits = len && len < sizeof c->key;
    for (size_t i = 0; i < len && fits; i++)
        fits = key[i] > ' ' && key[i] < 0x7f;
    if (!fits)
        FAIL(e, ERR_ARG, lang_pick("%s must hold one API key (sk-...) in its first line",
                                   "%s 的第一行须为一个 API 密钥（sk-...）"), from);
    snprintf(c->key, sizeof c->key, "%.*s", (int)len, key);
    return true;
}

static bool read_key(struct client *c, const char *path, struct err *e)
{
    char line[KEY_TEXT] = "";
    struct stat st;
    FILE *in = fopen(path, "re");
    if (!in)
        FAIL_OS(e, lang_pick("cannot read the key in %s", "无法读取密钥文件 %s"), path);
    bool closed = !fstat(fileno(in), &st) && (!S_ISREG(st.st_mode) || !(st.st_mode & 077));
    bool read = closed && fgets(line, sizeof line, in);
    fclose(in);
    if (!closed)
        FAIL(e, ERR_DENIED, lang_pick("others may read the key in %s: chmod go= %s",
                                      "其他用户可读取密钥文件 %s：请执行 chmod go= %s"), path, path);
    bool ok = take_key(c, read ? line : "", path, e);
    explicit_bzero(line, sizeof line);
    return ok;
}

static bool find_key(struct client *c, const struct client_where *w, struct err *e)
{
    const char *key = getenv("SEEKCTL_KEY");
    if (w->key_file)
        return read_key(c, w->key_file, e);
    if (key && *key)
        return take_key(c, key, "SEEKCTL_KEY", e);
    FAIL(e, ERR_ARG, "%s",
         lang_pick("a server's URL needs a key: --key-file FILE, or SEEKCTL_KEY in the environment",
                   "使用服务器地址时需要密钥：--key-file FILE，或环境变量 SEEKCTL_KEY"));
}

/* Whether `w` asks for a URL and not for the local socket. */
static bool is_remote(const struct client_where *w)
{
    return w->session || (!w->socket && !w->data_dir &&
                          (w->key_file || w->server || given(NULL, "SEEKCTL_KEY")));
}

/* curl's own message would not say which file it is about. */
static bool try_socket(const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        FAIL(e, ERR_ARG, lang_pick("the path of the socket is too long: %.80s",
                                   "套接字路径过长：%.80s"), path);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        FAIL_OS(e, "%s", lang_pick("cannot open a socket", "无法创建套接字"));
    int rc = connect(fd, (const struct sockaddr *)&a, sizeof a), os = errno;
    close(fd);
    if (!rc)
        return true;
    if (os == EACCES || os == EPERM)
        FAIL(e, ERR_DENIED,
             lang_pick("%s belongs to somebody else: run this as the user of seekd or as root, or with "
                       "a key of your own (--key-file FILE)",
                       "%s 属于其他用户：请以运行 seekd 的账号或 root 执行，或使用自己的密钥（--key-file FILE）"),
             path);
    FAIL(e, ERR_NOT_FOUND,
         lang_pick("no server answers on %s; seekd prints its socket when it starts: "
                   "export SEEKD_SOCKET=DIR/seekd.sock or --data-dir DIR",
                   "%s 上没有服务应答；seekd 启动时显示其套接字："
                   "export SEEKD_SOCKET=DIR/seekd.sock，或 --data-dir DIR"),
         path);
}

static bool find_server(struct client *c, const struct client_where *w, struct err *e)
{
    if (is_remote(w)) {
        const char *url = given(w->server, "SEEKCTL_SERVER");
        c->ca_file = w->ca_file;
        c->session = w->session;
        return take_url(c, url ? url : SYSTEM_SERVER, e) && (w->session || find_key(c, w, e));
    }
    if (w->key_file || w->server)
        FAIL(e, ERR_ARG, "%s",
             lang_pick("--socket and --data-dir act as the machine's administrator: leave them out with "
                       "--key-file and --server",
                       "--socket 与 --data-dir 以本机管理员身份操作：不能与 --key-file、--server 同时使用"));
    c->socket = client_socket(w);
    return try_socket(c->socket, e);
}

bool client_open(const struct client_where *w, struct client **out, struct err *e)
{
    struct client *c = mem_zalloc(sizeof *c);
    *out = NULL;
    bool ok = find_server(c, w, e);
    if (ok) {
        c->curl = curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : curl_easy_init();
        ok = c->curl || err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "libcurl cannot start");
    }
    if (ok)
        *out = c;
    else
        client_close(&c);
    return ok;
}

bool client_is_local(const struct client *c)
{
    return c->socket != NULL;
}

void client_close(struct client **out)
{
    struct client *c = *out;
    if (!c)
        return;
    if (c->curl) {
        curl_easy_cleanup(c->curl);
        curl_global_cleanup();
    }
    free(c->socket);
    explicit_bzero(c->key, sizeof c->key);
    explicit_bzero(c->csrf, sizeof c->csrf);
    explicit_bzero(c->cookie, sizeof c->cookie);
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
    struct client *client;
    struct client_reply *reply;
    FILE *to;
};

static size_t on_body(char *bytes, size_t size, size_t n, void *user)
{
    struct receiver *r = user;
    long status = 0;
    curl_easy_getinfo(r->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (r->to && status < 300)
        return fwrite(bytes, size, n, r->to);
    return buf_append(&r->reply->text, bytes, size * n) ? n : 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *user)
{
    struct receiver *r = user;
    char text[TOKEN_TEXT + 16];
    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), line);
    if (!strncasecmp(text, "etag: \"", 7))
        r->reply->revision = strtoll(text + 7, NULL, 10);
    if (r->client->session && !strncasecmp(text, "set-cookie: ", 12))
        snprintf(r->client->cookie, sizeof r->client->cookie, "%.*s",
                 (int)strcspn(text + 12, ";\r\n"), text + 12);
    return size * n;
}

static struct curl_slist *headers_of(const struct client *c, const struct client_call *call)
{
    struct buf line;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    buf_init(&line, 1 << 20);
    list = curl_slist_append(list, call->body ? "Content-Type: application/json" : "Content-Type:");
    if (*c->key || *c->csrf) {
        buf_printf(&line, *c->key ? "Authorization: Bearer %s" : "X-CSRF-Token: %s",
                   *c->key ? c->key : c->csrf);
        list = curl_slist_append(list, buf_str(&line));
        buf_clear(&line);
    }
    if (call->revision) {
        buf_printf(&line, "If-Match: \"%lld\"", (long long)call->revision);
        list = curl_slist_append(list, buf_str(&line));
        buf_clear(&line);
    }
    if (call->reason && *call->reason) {
        buf_puts(&line, "X-Reason: ");
        client_escape(&line, call->reason);
        list = curl_slist_append(list, buf_str(&line));
    }
    buf_release(&line);
    return list;
}

/* Where to: the socket, or a URL whose certificate must hold. */
static void set_target(struct client *c)
{
    if (c->socket) {
        curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
        curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http");
        return;
    }
    bool https = fetch_scheme_of(c->url) == FETCH_HTTPS;
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, https ? "https" : "http");
    curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (c->ca_file) {
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->ca_file);
        curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL);
    }
}

static bool perform(struct client *c, const struct client_call *call, struct receiver *r,
                    struct err *e)
{
    char *body = call->body ? json_dumps(call->body, JSON_COMPACT) : NULL, url[URL_TEXT + 16384];
    char why[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = headers_of(c, call);
    bool fits = snprintf(url, sizeof url, "%s%s", c->socket ? "http://localhost" : c->url,
                         call->path) < (int)sizeof url;
    curl_easy_reset(c->curl);
    set_target(c);
    if (*c->cookie)
        curl_easy_setopt(c->curl, CURLOPT_COOKIE, c->cookie);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, why);
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
        FAIL(e, ERR_IO, "%s", lang_pick("the answer cannot be written", "无法写出服务器的回答"));
    if (rc)
        FAIL(e, ERR_IO, lang_pick("%.150s does not answer: %s", "%.150s 没有应答：%s"),
             c->socket ? c->socket : c->url, *why ? why : curl_easy_strerror(rc));
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

static void keep_csrf(struct client *c, const json_t *answer)
{
    const char *token = json_string_value(json_object_get(answer, "csrf_token"));
    if (c->session && token && strlen(token) < sizeof c->csrf)
        snprintf(c->csrf, sizeof c->csrf, "%s", token);
}

bool client_send(struct client *c, const struct client_call *call, struct client_reply *out,
                 struct err *e)
{
    struct receiver r = {c, out, call->to};
    *out = (struct client_reply){.status = 0};
    buf_init(&out->text, ANSWER_MAX_BYTES);
    if (!perform(c, call, &r, e))
        return false;
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    out->status = (int)status;
    if (out->text.len)
        out->json = json_loadb(out->text.data, out->text.len, 0, NULL);
    keep_csrf(c, out->json);
    if (status >= 200 && status < 300)
        return true;
    const char *said = json_string_value(
        json_object_get(json_object_get(out->json, "error"), "message"));
    if (said)
        FAIL(e, code_of(out->status), "%s", said);
    FAIL(e, code_of(out->status), lang_pick("the server answered %d without saying why",
                                            "服务器返回 %d，未说明原因"), out->status);
}

void client_reply_release(struct client_reply *r)
{
    json_decref(r->json);
    r->json = NULL;
    buf_release(&r->text);
}
