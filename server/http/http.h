/* The HTTP server: libmicrohttpd daemons, their connections, and an orderly end.
 *
 * Threads: `threads` microhttpd threads, which also run handlers that wait for nothing; threads for the
 * other handlers: `workers`, those of administration and those of logins (enum route_place); one watch
 * thread (hang-ups, deadlines, pings). See server/README.md for locks and order.
 */
#ifndef SEEKD_HTTP_HTTP_H
#define SEEKD_HTTP_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct app;
struct http_server;

struct http_options {
    int listen_fd; /* taken over, like the others; -1 = there is none */
    int health_fd; /* answers /health only */
    int admin_fd;  /* answers /admin/ only; without it the main port does */
    int local_fd;  /* UNIX socket: whoever connects is the machine's administrator */
    unsigned threads, workers;
    unsigned slow_workers;  /* for administration: threads that may wait */
    unsigned login_workers; /* for logins; above SERVICE_OUTSIDE, so that some never wait outside */
    unsigned max_connections; /* above this, requests get 503 */
    size_t body_bytes;        /* largest request body */
    size_t bodies_bytes;      /* of all requests together */
    unsigned header_ms;       /* from connecting to a complete request head */
    unsigned keepalive_ms;    /* idle time between requests */
    unsigned body_grace_ms;   /* a body may be slower than body_rate for this long */
    unsigned body_rate;       /* bytes per second */
    unsigned stall_s;         /* a reader that takes nothing for this long is dropped */
    unsigned ping_ms;         /* silence in a stream before a ": ping" comment */
    bool loopback_hosts_only; /* refuse Host names other than this machine's and allowed_hosts */
    const char *allowed_hosts; /* names separated by commas; borrowed; NULL = none */
    bool admin_apart;         /* there is an admin_fd; set by http_open */
};
#define HTTP_OPTIONS_DEFAULT                                                                       \
    ((struct http_options){.listen_fd = -1, .health_fd = -1, .admin_fd = -1, .local_fd = -1,       \
                           .threads = 2, .workers = 2, .slow_workers = 2, .login_workers = 8,      \
                           .max_connections = 1000, .body_bytes = (size_t)4 << 20,                 \
                           .bodies_bytes = (size_t)256 << 20, .header_ms = 10000,                  \
                           .keepalive_ms = 15000, .body_grace_ms = 10000, .body_rate = 1024,       \
                           .stall_s = 30, .ping_ms = 15000})

/* Starts serving. `app` must outlive the server. Takes the sockets also when it fails. */
bool http_open(struct app *app, const struct http_options *opt, struct http_server **out,
               struct err *e) WARN_UNUSED;

/* Stops taking connections; new requests on open ones get 503. Returns when no request is being
 * answered, after drain_ms, or once *hurry (may be NULL) is set; true when none is left.
 * Call from one thread. */
bool http_drain(struct http_server *s, unsigned drain_ms, const atomic_bool *hurry);

/* Ends what still runs (streams get an error event), stops all threads and frees. Works without
 * http_drain. False when a request could not be ended: the process must then exit. */
bool http_close(struct http_server **s);

struct http_stats {
    unsigned connections; /* open now */
    unsigned requests;    /* being answered now */
};
void http_stats(const struct http_server *s, struct http_stats *out);

#endif
