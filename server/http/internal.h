/* What the parts of http/ share. Not for use outside this folder. */
#ifndef SEEKD_HTTP_INTERNAL_H
#define SEEKD_HTTP_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "http/http.h"

struct MHD_Daemon;
struct watch;
struct workers;

/* What on_connection gets: which of the two ports a connection came in by. */
struct listener {
    struct http_server *server;
    bool health_only;
};

struct http_server {
    struct app *app;
    struct http_options opt;
    struct MHD_Daemon *daemon, *health_daemon;
    struct listener main_listener, health_listener;
    struct watch *watch;
    struct workers *workers;
    atomic_uint connections;
    atomic_uint busy; /* requests handed to a handler and not yet completed */
    atomic_size_t bodies_bytes; /* reserved for request bodies */
    atomic_bool draining;       /* new requests get 503 */
    atomic_bool closing;        /* no request may suspend any more that does not yet */
    atomic_bool forced;         /* answers end now, without waiting for the engine */
};

#endif
