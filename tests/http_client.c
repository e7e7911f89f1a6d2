/* Owns: sockets and reply parsing of the HTTP tests. Refuses to know: the server under test. */
#include <config.h>

#include "http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

enum { IN_MAX = 256 << 20, REPLY_MS = 20000 };

void http_client_open(struct http_client *c, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *c = (struct http_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    buf_init(&c->in, IN_MAX);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) {
        perror("http_client: connect");
        abort();
    }
}

void http_client_open_local(struct http_client *c, const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    *c = (struct http_client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    buf_init(&c->in, IN_MAX);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) {
        perror("http_client: connect");
        abort();
    }
}

void http_client_close(struct http_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_release(&c->in);
}

bool http_client_send(struct http_client *c, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len) {
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool http_client_puts(struct http_client *c, const char *text)
{
    return http_client_send(c, text, strlen(text));
}

bool http_client_fill(struct http_client *c, int ms)
{
    char chunk[65536];
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (c->eof || poll(&p, 1, ms) <= 0)
        return false;
    ssize_t n = recv(c->fd, chunk, sizeof chunk, 0);
    if (n <= 0) {
        c->eof = true;
        return false;
    }
    return buf_append(&c->in, chunk, (size_t)n);
}

static int ms_left(uint64_t until_us)
{
    uint64_t now = clock_now_us();
    return now >= until_us ? 0 : (int)((until_us - now + 999) / 1000);
}

bool http_client_closed(struct http_client *c, int ms)
{
    uint64_t until = clock_now_us() + (uint64_t)ms * 1000;
    while (!c->eof && ms_left(until))
        http_client_fill(c, ms_left(until));
    return c->eof;
}

bool http_client_wait_for(struct http_client *c, const char *text, int ms)
{
    uint64_t until = clock_now_us() + (uint64_t)ms * 1000;
    while (!memmem(buf_str(&c->in), c->in.len, text, strlen(text)))
        if (!http_client_fill(c, ms_left(until)) && (c->eof || !ms_left(until)))
            return false;
    return true;
}

/* Takes `n` bytes of input into `to`. */
static bool take(struct http_client *c, size_t n, struct buf *to, uint64_t until)
{
    while (c->in.len < n)
        if (!http_client_fill(c, ms_left(until)))
            return false;
    if (to)
        buf_append(to, c->in.data, n);
    buf_consume(&c->in, n);
    return true;
}

/* Takes a line without its end. */
static bool take_line(struct http_client *c, char *line, size_t room, uint64_t until)
{
    for (;;) {
        const char *end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
        if (end) {
            size_t len = (size_t)(end - c->in.data);
            snprintf(line, room, "%.*s", (int)len, c->in.data);
            line[strcspn(line, "\r")] = '\0';
            buf_consume(&c->in, len + 1);
            return true;
        }
        if (!http_client_fill(c, ms_left(until)))
            return false;
    }
}

static bool take_chunks(struct http_client *c, struct buf *to, uint64_t until)
{
    char line[256];
    for (;;) {
        if (!take_line(c, line, sizeof line, until))
            return false;
        size_t n = strtoul(line, NULL, 16);
        if (!take(c, n, to, until) || !take_line(c, line, sizeof line, until))
            return false;
        if (!n)
            return true;
    }
}

void http_client_read(struct http_client *c, struct http_reply *r, bool no_body, int ms)
{
    uint64_t until = clock_now_us() + (uint64_t)ms * 1000;
    char line[16384];
    *r = (struct http_reply){0};
    buf_init(&r->head, 1 << 20);
    buf_init(&r->body, IN_MAX);
    do {
        if (!take_line(c, line, sizeof line, until))
            return;
        buf_printf(&r->head, "%s\r\n", line);
    } while (line[0]);
    if (sscanf(buf_str(&r->head), "HTTP/1.1 %d", &r->status) != 1)
        return;
    if (r->status == 100) {
        http_reply_release(r);
        http_client_read(c, r, no_body, ms);
        return;
    }
    if (no_body)
        r->complete = true;
    else if (http_reply_header(r, "Content-Length", line, sizeof line))
        r->complete = take(c, strtoul(line, NULL, 10), &r->body, until);
    else if (http_reply_header(r, "Transfer-Encoding", line, sizeof line))
        r->complete = take_chunks(c, &r->body, until);
    else
        r->complete = http_client_closed(c, ms_left(until)) && take(c, c->in.len, &r->body, until);
}

void http_reply_release(struct http_reply *r)
{
    buf_release(&r->head);
    buf_release(&r->body);
}

bool http_reply_header(const struct http_reply *r, const char *name, char *out, size_t out_bytes)
{
    size_t len = strlen(name);
    out[0] = '\0';
    for (const char *p = buf_str(&r->head); (p = strstr(p, "\r\n")) && p[2];) {
        p += 2;
        if (strncasecmp(p, name, len) || p[len] != ':')
            continue;
        const char *value = p + len + 1 + strspn(p + len + 1, " ");
        snprintf(out, out_bytes, "%.*s", (int)strcspn(value, "\r"), value);
        return true;
    }
    return false;
}

void http_write_post(struct buf *out, const char *path, const char *key, const char *json)
{
    buf_printf(out, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
               path);
    if (key)
        buf_printf(out, "Authorization: Bearer %s\r\n", key);
    buf_printf(out, "Content-Length: %zu\r\n\r\n", strlen(json));
    buf_puts(out, json);
}

void http_post(int port, const char *path, const char *key, const char *json,
               struct http_reply *r)
{
    struct http_client c;
    struct buf request;
    buf_init(&request, IN_MAX);
    http_write_post(&request, path, key, json);
    http_client_open(&c, port);
    http_client_send(&c, buf_str(&request), request.len);
    http_client_read(&c, r, false, REPLY_MS);
    http_client_close(&c);
    buf_release(&request);
}

void http_get(int port, const char *path, const char *key, struct http_reply *r)
{
    struct http_client c;
    struct buf request;
    buf_init(&request, 1 << 20);
    buf_printf(&request, "GET %s HTTP/1.1\r\nHost: localhost\r\n", path);
    if (key)
        buf_printf(&request, "Authorization: Bearer %s\r\n", key);
    buf_puts(&request, "\r\n");
    http_client_open(&c, port);
    http_client_send(&c, buf_str(&request), request.len);
    http_client_read(&c, r, false, REPLY_MS);
    http_client_close(&c);
    buf_release(&request);
}
