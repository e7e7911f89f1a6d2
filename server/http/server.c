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
        set_socket_options(fd, &s->opt);
        struct conn *c = watch_add(s->watch, fd);
        c->health_only = l->health_only;
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

static struct MHD_Daemon *start_daemon(struct http_server *s, struct listener *l, int fd,
                                       unsigned threads, unsigned connections)
{
    l->server = s;
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        exchange_on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_URI_LOG_CALLBACK, exchange_on_target, s, MHD_OPTION_NOTIFY_COMPLETED,
        exchange_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        connections, MHD_OPTION_CONNECTION_TIMEOUT, s->opt.stall_s, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
}

static bool start_daemons(struct http_server *s, struct err *e)
{
    const struct http_options *opt = &s->opt;
    unsigned threads = opt->threads ? opt->threads : 1;
    /* microhttpd shares the limit out among its threads evenly, the kernel does not share out the
     * connections so: each thread must be able to take them all. */
    unsigned limit = threads * (opt->max_connections + SPARE_CONNECTIONS);
    s->daemon = start_daemon(s, &s->main_listener, opt->listen_fd, threads, limit);
    if (!s->daemon)
        FAIL(e, ERR_IO, "cannot start the HTTP server");
    s->opt.listen_fd = -1;
    if (opt->health_fd < 0)
        return true;
    s->health_listener.health_only = true;
    s->health_daemon = start_daemon(s, &s->health_listener, opt->health_fd, 1, SPARE_CONNECTIONS);
    if (!s->health_daemon)
        FAIL(e, ERR_IO, "cannot start the HTTP server for health checks");
    s->opt.health_fd = -1;
    return true;
}

bool http_open(struct app *app, const struct http_options *opt, struct http_server **out,
               struct err *e)
{
    static const struct watch_calls calls = {.hangup = exchange_hangup, .tick = exchange_tick};
    struct http_server *s = mem_zalloc(sizeof *s);
    s->app = app;
    s->opt = *opt;
    MHD_set_panic_func(on_panic, NULL);
    TRY(watch_open(&calls, &s->watch, e));
    TRY(workers_open(opt->workers ? opt->workers : 1, &s->workers, e));
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
    if (atomic_exchange(&s->draining, true) || !s->daemon)
        return;
    /* Refuses from here on, but stays open: microhttpd's threads may still have it in their sets. */
    int fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    s->opt.listen_fd = fd;
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
    if (s->daemon && !end_all_requests(s)) {
        LOG_E("http", "requests could not be ended n=%u", atomic_load(&s->busy));
        return false;
    }
    if (s->health_daemon)
        MHD_stop_daemon(s->health_daemon);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->opt.listen_fd >= 0)
        close(s->opt.listen_fd);
    if (s->opt.health_fd >= 0)
        close(s->opt.health_fd);
    workers_close(&s->workers);
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
