/* Owns: the microhttpd daemons, and the order in which everything starts and ends.
 * Refuses to know: requests. */
#include <config.h>

#include "http/http.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "admin/runner.h"
#include "app.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/exchange.h"
#include "http/internal.h"
#include "http/watch.h"
#include "http/workers.h"

enum {
    HEAD_BYTES = 64 << 10,  /* memory of one connection: head, and buffers for body and answer */
    SEND_BYTES = 64 << 10,  /* kernel's send buffer: what a stalled reader can hold of an answer */
    SPARE_CONNECTIONS = 64, /* beyond max_connections, so that there is room to say 503 */
    CLOSE_CANCEL_MS = 2000, /* how long ended generations may take to report so */
    CLOSE_FORCE_MS = 10000
};

/* ---- callbacks -------------------------------------------------------------------------------- */

static void set_socket_options(int fd, const struct http_options *opt)
{
    int one = 1, send_bytes = SEND_BYTES;
    unsigned user_timeout_ms = opt->stall_s * 1000u;
    /* None of these is needed for a right answer; a refusal changes only how soon trouble shows. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    const struct listener *l = cls;
    struct http_server *s = l->server;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        if (l->port != PORT_LOCAL)
            set_socket_options(fd, &s->opt);
        struct conn *c = watch_add(s->watch, fd);
        c->port = l->port;
        conn_expect(c, CONN_FIRST_HEAD, s->opt.header_ms);
        *context = c;
        atomic_fetch_add(&s->connections, 1);
    } else if (*context) {
        watch_remove(s->watch, *context);
        *context = NULL;
        atomic_fetch_sub(&s->connections, 1);
    }
}

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list ap)
{
    char text[256], quoted[300];
    (void)cls;
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    LOG_D("http", "microhttpd says %s", log_quote(quoted, sizeof quoted, text));
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    LOG_E("http", "microhttpd panics at %s:%u: %s", file, line, reason ? reason : "no reason");
    abort();
}

/* ---- start ------------------------------------------------------------------------------------ */

/* Paths and queries are decoded segment by segment in route.c: '%2F' in a name is no separator. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

static bool start_daemon(struct listener *l, unsigned threads, unsigned connections, struct err *e)
{
    struct http_server *s = l->server;
    if (l->fd < 0)
        return true;
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        exchange_on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        l->fd, MHD_OPTION_URI_LOG_CALLBACK, exchange_on_target, s, MHD_OPTION_NOTIFY_COMPLETED,
        exchange_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEAD_BYTES, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_TIMEOUT, s->opt.stall_s, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (!l->daemon)
        FAIL(e, ERR_IO, "cannot start the HTTP server");
    l->fd = -1;
    return true;
}

static void take_sockets(struct http_server *s)
{
    const struct http_options *opt = &s->opt;
    const int fd[PORT_COUNT] = {[PORT_MAIN] = opt->listen_fd, [PORT_HEALTH] = opt->health_fd,
                                [PORT_ADMIN] = opt->admin_fd, [PORT_LOCAL] = opt->local_fd};
    for (int i = 0; i < PORT_COUNT; i++)
        s->listener[i] = (struct listener){.server = s, .port = (enum conn_port)i, .fd = fd[i]};
    s->opt.admin_apart = opt->admin_fd >= 0;
}

static bool start_daemons(struct http_server *s, struct err *e)
{
    const struct http_options *opt = &s->opt;
    unsigned threads = opt->threads ? opt->threads : 1;
    /* microhttpd shares the limit out among its threads evenly, the kernel does not share out the
     * connections so: each thread must be able to take them all. */
    unsigned limit = threads * (opt->max_connections + SPARE_CONNECTIONS);
    return start_daemon(&s->listener[PORT_MAIN], threads, limit, e) &&
           start_daemon(&s->listener[PORT_HEALTH], 1, SPARE_CONNECTIONS, e) &&
           start_daemon(&s->listener[PORT_ADMIN], 1, opt->max_connections, e) &&
           start_daemon(&s->listener[PORT_LOCAL], 1, SPARE_CONNECTIONS, e);
}

bool http_open(struct app *app, const struct http_options *opt, struct http_server **out,
               struct err *e)
{
    static const struct watch_calls calls = {.hangup = exchange_hangup, .tick = exchange_tick};
    struct http_server *s = mem_zalloc(sizeof *s);
    s->app = app;
    s->opt = *opt;
    take_sockets(s);
    MHD_set_panic_func(on_panic, NULL);
    TRY(watch_open(&calls, &s->watch, e));
    TRY(workers_open(opt->workers ? opt->workers : 1, &s->workers, e));
    TRY(workers_open(opt->slow_workers ? opt->slow_workers : 1, &s->slow_workers, e));
    TRY(workers_open(opt->login_workers ? opt->login_workers : 1, &s->login_workers, e));
    TRY(!app->service || runner_open(&s->runner, e));
    TRY(start_daemons(s, e));
    *out = s;
    return true;
fail:
    http_close(&s);
    return false;
}

/* ---- end -------------------------------------------------------------------------------------- */

static void sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

static void stop_listening(struct http_server *s)
{
    if (atomic_exchange(&s->draining, true))
        return;
    /* Refuses from here on, but stays open: microhttpd's threads may still have it in their sets.
     * The port for health checks goes on answering. */
    for (int i = 0; i < PORT_COUNT; i++) {
        struct listener *l = &s->listener[i];
        if (!l->daemon || l->port == PORT_HEALTH)
            continue;
        l->fd = MHD_quiesce_daemon(l->daemon);
        if (l->fd >= 0)
            shutdown(l->fd, SHUT_RDWR);
    }
}

bool http_drain(struct http_server *s, unsigned drain_ms, const atomic_bool *hurry)
{
    stop_listening(s);
    uint64_t until = clock_now_us() + (uint64_t)drain_ms * 1000u;
    while (atomic_load(&s->busy) && clock_now_us() < until && !(hurry && atomic_load(hurry)))
        sleep_ms(20);
    return !atomic_load(&s->busy);
}

/* Repeats `fn` on all running requests until none is left. */
static bool end_requests(struct http_server *s, void (*fn)(struct exchange *x), unsigned ms)
{
    uint64_t until = clock_now_us() + (uint64_t)ms * 1000u;
    while (atomic_load(&s->busy) && clock_now_us() < until) {
        watch_each(s->watch, fn);
        sleep_ms(20);
    }
    return !atomic_load(&s->busy);
}

/* Suspended connections make MHD_stop_daemon abort the process: all requests must have ended. */
static bool end_all_requests(struct http_server *s)
{
    if (end_requests(s, exchange_cancel, CLOSE_CANCEL_MS))
        return true;
    atomic_store(&s->forced, true);
    return end_requests(s, exchange_force, CLOSE_FORCE_MS);
}

bool http_close(struct http_server **out)
{
    struct http_server *s = *out;
    if (!s)
        return true;
    stop_listening(s);
    atomic_store(&s->closing, true);
    if (s->watch && !end_all_requests(s)) {
        LOG_E("http", "requests could not be ended n=%u", atomic_load(&s->busy));
        return false;
    }
    for (int i = PORT_COUNT - 1; i >= 0; i--) {
        if (s->listener[i].daemon)
            MHD_stop_daemon(s->listener[i].daemon);
        if (s->listener[i].fd >= 0)
            close(s->listener[i].fd);
    }
    workers_close(&s->login_workers);
    workers_close(&s->slow_workers);
    workers_close(&s->workers);
    runner_close(&s->runner);
    watch_close(&s->watch);
    free(s);
    *out = NULL;
    return true;
}

void http_stats(const struct http_server *s, struct http_stats *out)
{
    *out = (struct http_stats){.connections = atomic_load(&s->connections),
                               .requests = atomic_load(&s->busy)};
}
