/* What the parts of http/ share. Not for use outside this folder. */
#ifndef SEEKD_HTTP_INTERNAL_H
#define SEEKD_HTTP_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "http/http.h"
#include "http/watch.h"

struct MHD_Daemon;
struct runner;
struct workers;

/* One listening socket and its daemon. */
struct listener {
    struct http_server *server;
    struct MHD_Daemon *daemon; /* NULL = there is none */
    enum conn_port port;
    int fd; /* -1 = it belongs to the daemon, or there is none */
};

struct http_server {
    struct app *app;
    struct http_options opt;
    struct listener listener[PORT_COUNT];
    struct watch *watch;
    struct workers *workers, *slow_workers, *login_workers;
    struct runner *runner; /* NULL without a database */
    atomic_uint connections;
    atomic_uint busy; /* requests handed to a handler and not yet completed */
    atomic_size_t bodies_bytes; /* reserved for request bodies */
    atomic_bool draining;       /* new requests get 503 */
    atomic_bool closing;        /* no request may suspend any more that does not yet */
    atomic_bool forced;         /* answers end now, without waiting for the engine */
};

#endif
