/* A plain HTTP client over sockets for tests: sends exactly the bytes it is given and takes replies
 * apart. Every wait is bounded; what does not come in time counts as missing.
 */
#ifndef SEEKD_TESTS_HTTP_CLIENT_H
#define SEEKD_TESTS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct http_client {
    int fd;
    struct buf in; /* received and not yet used */
    bool eof;      /* the server closed or reset */
};

struct http_reply {
    int status;      /* 0 = no reply */
    struct buf head; /* status line and headers */
    struct buf body; /* chunks put together */
    bool complete;   /* the whole body came */
};

/* To 127.0.0.1:port; aborts the test program when nobody listens. */
void http_client_open(struct http_client *c, int port);
/* To the UNIX socket at `path`. */
void http_client_open_local(struct http_client *c, const char *path);
void http_client_close(struct http_client *c);

bool http_client_send(struct http_client *c, const void *bytes, size_t len);
bool http_client_puts(struct http_client *c, const char *text);
/* Reads at least one byte more into c->in. False at the end or after ms. */
bool http_client_fill(struct http_client *c, int ms);
/* True when the server has closed within ms (what comes before is kept). */
bool http_client_closed(struct http_client *c, int ms);
/* Reads until `text` stands in c->in. */
bool http_client_wait_for(struct http_client *c, const char *text, int ms);

/* Reads one reply. `no_body`: of a HEAD request. */
void http_client_read(struct http_client *c, struct http_reply *r, bool no_body, int ms);
void http_reply_release(struct http_reply *r);
/* Value of a header into `out`, "" when there is none; true when there is. */
bool http_reply_header(const struct http_reply *r, const char *name, char *out, size_t out_bytes);

/* One request on a fresh connection. `key` NULL = no Authorization. */
void http_post(int port, const char *path, const char *key, const char *json,
               struct http_reply *r);
void http_get(int port, const char *path, const char *key, struct http_reply *r);

/* Text of a POST with its Content-Length. */
void http_write_post(struct buf *out, const char *path, const char *key, const char *json);

#endif
