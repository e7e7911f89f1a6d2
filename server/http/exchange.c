/* Owns: the course of one request through guard, route, key check, handler and reply.
 * Refuses to know: JSON, models, how events are made. */
#include <config.h>

#include "http/exchange.h"

#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "api/api.h"
#include "api/generation.h"
#include "app.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "http/gate.h"
#include "http/guard.h"
#include "http/identify.h"
#include "http/internal.h"
#include "http/route.h"
#include "http/watch.h"
#include "http/workers.h"
#include "service/service.h"

enum exchange_phase {
    EXCHANGE_HEAD,
    EXCHANGE_BODY,
    EXCHANGE_WORKING,
    EXCHANGE_READY,
    EXCHANGE_WHOLE,
    EXCHANGE_STREAMING,
    EXCHANGE_ANSWERED
};

enum { ID_TEXT = 24 + 1, DISCARD_MAX = 1 << 20, WHOLE_MAX = 128 << 20, SSE_MAX = 128 << 20,
       SSE_BLOCK = 4096, ADDRESS_TEXT = 64, REASON_BYTES = 1000 };

/* What a handler may want to know of the head; copies, because the connection's memory is reused. */
struct head_facts {
    char address[ADDRESS_TEXT];
    char *agent, *session, *cookies, *if_match, *reason; /* owned or NULL */
    struct api_query query[API_QUERY];                   /* both strings owned */
    size_t n_query;
    bool bad_query, bad_reason;
};

struct exchange {
    struct job job; /* first: a job is its exchange */
    struct http_server *server;
    struct conn *conn;
    struct MHD_Connection *mhd;
    struct gate gate;
    enum exchange_phase phase; /* written under gate.mu; see set_phase */
    bool gone;                 /* the client hung up; guarded by gate.mu */
    bool watched, counted;
    atomic_bool ping_due;
    atomic_uint_least64_t last_sent_us;

    char id[ID_TEXT];
    char label[IDENTIFY_LABEL]; /* names the key in the log */
    struct key_grant grant;
    struct head_facts head;
    bool target_ok;
    struct api_error target_error;
    char target[256]; /* as sent, cut; for the log */
    const struct route *route; /* NULL until it was found */
    struct route_match match;
    char method[12]; /* for the log; "" when it is none that HTTP knows */

    struct buf body;
    size_t body_reserved, body_received, body_limit;
    uint64_t body_start_us;
    bool too_large;

    struct api_answer answer;
    struct buf out; /* stream: what was pulled and not yet given to microhttpd, from out_at on */
    size_t out_at;
    bool ended;

    unsigned status;
    uint64_t start_us, sent_bytes;
};

/* ---- facts of the head ------------------------------------------------------------------------ */

static void head_facts_release(struct head_facts *f)
{
    free(f->agent);
    free(f->session);
    free(f->cookies);
    free(f->if_match);
    free(f->reason);
    for (size_t i = 0; i < f->n_query; i++) {
        free((void *)(uintptr_t)f->query[i].name);
        free((void *)(uintptr_t)f->query[i].value);
    }
    *f = (struct head_facts){.n_query = 0};
}

static enum MHD_Result add_query(void *user, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct head_facts *f = user;
    (void)kind;
    if (f->n_query == API_QUERY) {
        f->bad_query = true;
        return MHD_NO;
    }
    char *n = mem_strdup(name), *v = mem_strdup(value ? value : "");
    f->bad_query |= !route_decode(n, true) || !route_decode(v, true) ||
                    !utf8_valid(n, strlen(n)) || !utf8_valid(v, strlen(v));
    for (size_t i = 0; i < f->n_query; i++)
        f->bad_query |= !strcmp(f->query[i].name, n);
    f->query[f->n_query++] = (struct api_query){.name = n, .value = v};
    return MHD_YES;
}

struct cookies {
    const char *name, *value; /* of the one that is looked for */
    unsigned n;
};

static enum MHD_Result add_cookie(void *user, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct cookies *c = user;
    (void)kind;
    if (!strcmp(name, c->name)) {
        c->value = value;
        c->n++;
    }
    return MHD_YES;
}

static char *copy_field(const struct guard_field *f)
{
    return f->count ? mem_strdup(f->value) : NULL;
}

static void read_address(struct exchange *x)
{
    char *to = x->head.address;
    if (x->conn->port == PORT_LOCAL) {
        struct ucred peer = {.uid = (uid_t)-1};
        socklen_t bytes = sizeof peer;
        getsockopt(x->conn->fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes);
        snprintf(to, ADDRESS_TEXT, "local, uid %u", peer.uid);
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *sa = info ? info->client_addr : NULL;
    socklen_t len = sa && sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                    : sizeof(struct sockaddr_in);
    if (!sa || getnameinfo(sa, len, to, ADDRESS_TEXT, NULL, 0, NI_NUMERICHOST))
        snprintf(to, ADDRESS_TEXT, "unknown");
}

/* UTF-8 without control characters: what the audit log takes. */
static bool is_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return utf8_valid(text, strlen(text));
}

static bool has_secure_cookies(const struct app *app)
{
    return app->service && app->service->secure_cookies;
}

static void head_facts_read(struct exchange *x, const struct guard_head *h)
{
    struct head_facts *f = &x->head;
    struct cookies sessions = {.name = has_secure_cookies(x->server->app) ? API_SESSION_COOKIE_SECURE
                                                                          : API_SESSION_COOKIE};
    read_address(x);
    MHD_get_connection_values(x->mhd, MHD_COOKIE_KIND, add_cookie, &sessions);
    /* Of two, one was planted by somebody who could not read the browser's own: neither counts. */
    f->session = sessions.n == 1 && sessions.value ? mem_strdup(sessions.value) : NULL;
    f->agent = copy_field(&h->user_agent);
    f->cookies = copy_field(&h->cookie);
    f->if_match = copy_field(&h->if_match);
    f->reason = copy_field(&h->reason);
    f->bad_reason = f->reason && (!route_decode(f->reason, false) || !is_plain(f->reason) ||
                                  strlen(f->reason) > REASON_BYTES);
    MHD_get_connection_values(x->mhd, MHD_GET_ARGUMENT_KIND, add_query, f);
}

/* Whether `word` is one of `words`, which are separated by blanks. */
static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = words ? words : ""; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && !memcmp(p, word, n))
            return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

/* ---- life ------------------------------------------------------------------------------------- */

/* The connection's thread and the worker write the phase, one after the other; the watch thread
 * reads it at any time, therefore the lock. */
static void set_phase(struct exchange *x, enum exchange_phase phase)
{
    pthread_mutex_lock(&x->gate.mu);
    x->phase = phase;
    pthread_mutex_unlock(&x->gate.mu);
}

static void make_id(char id[ID_TEXT])
{
    static atomic_uint_least64_t counter;
    uint8_t random[12];
    if (!hash_random(random, sizeof random, NULL)) {
        uint64_t n = atomic_fetch_add(&counter, 1), now = clock_now_us();
        memcpy(random, &now, 8);
        memcpy(random + 8, &n, 4);
    }
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(id + 2 * i, 3, "%02x", random[i]);
}

static struct conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void *exchange_on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_server *s = cls;
    struct exchange *x = mem_zalloc(sizeof *x);
    x->server = s;
    x->mhd = mhd;
    x->conn = conn_of(mhd);
    x->start_us = clock_now_us();
    atomic_init(&x->last_sent_us, x->start_us);
    make_id(x->id);
    gate_init(&x->gate, mhd);
    buf_init(&x->body, s->opt.body_bytes);
    buf_init(&x->out, SSE_MAX);
    api_answer_init(&x->answer);
    x->target_ok = guard_check_target(target, &x->target_error);
    snprintf(x->target, sizeof x->target, "%s", target ? target : "");
    return x;
}

static void log_end(const struct exchange *x, enum MHD_RequestTerminationCode why)
{
    char path[300], work[200] = "", plain[sizeof x->target];
    /* Queries may hold what callers would not like to see in a log; odd bytes nobody wants there. */
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(x->target, "?"),
             x->target_ok ? x->target : "(malformed)");
    if (x->answer.run) {
        struct generation_summary g;
        generation_summarise(x->answer.run, &g);
        snprintf(work, sizeof work, " prompt_tokens=%u completion_tokens=%u finish=%s ttft_ms=%llu",
                 g.prompt_tokens, g.completion_tokens, g.finish,
                 (unsigned long long)(g.first_token_us / 1000u));
    }
    bool cut_off = x->gone || why != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    LOG_I("http", "request id=req_%s method=%s path=%s status=%u end=%s ms=%llu in=%zu out=%llu%s%s%s",
          x->id, x->method[0] ? x->method : "-", log_quote(path, sizeof path, plain), x->status,
          cut_off ? "cut" : "complete",
          (unsigned long long)((clock_now_us() - x->start_us) / 1000u), x->body_received,
          (unsigned long long)x->sent_bytes, work, x->label[0] ? " key=" : "", x->label);
}

static void release_body(struct exchange *x)
{
    buf_release(&x->body);
    atomic_fetch_sub(&x->server->bodies_bytes, x->body_reserved);
    x->body_reserved = 0;
}

void exchange_on_completed(void *cls, struct MHD_Connection *mhd, void **request,
                           enum MHD_RequestTerminationCode why)
{
    struct http_server *s = cls;
    struct exchange *x = *request;
    (void)mhd;
    if (!x)
        return;
    if (x->watched)
        watch_end(s->watch, x->conn);
    conn_expect(x->conn, CONN_NEXT_HEAD, s->opt.keepalive_ms + s->opt.header_ms);
    log_end(x, why);
    api_answer_release(&x->answer); /* after this the engine does not notify any more */
    key_grant_release(&x->grant);
    head_facts_release(&x->head);
    release_body(x);
    buf_release(&x->out);
    gate_release(&x->gate);
    if (x->counted)
        atomic_fetch_sub(&s->busy, 1);
    free(x);
    *request = NULL;
}

/* ---- replies ---------------------------------------------------------------------------------- */

static void add_common_headers(const struct exchange *x, struct MHD_Response *r, const char *type)
{
    char id[ID_TEXT + 4];
    snprintf(id, sizeof id, "req_%s", x->id);
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "X-Request-Id", id);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Content-Security-Policy",
                            "default-src 'none'; frame-ancestors 'none'");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    if (atomic_load(&x->server->draining))
        MHD_add_response_header(r, "Connection", "close");
}

/* Sends the answer's status and body. */
static enum MHD_Result reply(struct exchange *x)
{
    struct api_answer *a = &x->answer;
    if (a->body.failed) {
        struct api_error e;
        api_fail(&e, API_OVERLOADED, NULL, "The server is short of memory; try again shortly.");
        a->status = api_code_status(e.code);
        a->retry_after_s = e.retry_after_s;
        buf_release(&a->body);
        api_error_write(&a->body, &e);
    }
    size_t len = a->body.len;
    char *text = buf_take(&a->body);
    struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(text);
        return MHD_NO;
    }
    add_common_headers(x, r, a->type);
    for (unsigned i = 0; i < a->n_headers; i++)
        MHD_add_response_header(r, a->header[i].name, a->header[i].value);
    if (a->retry_after_s) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%u", a->retry_after_s);
        MHD_add_response_header(r, "Retry-After", seconds);
    }
    if (a->status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
    if (a->status == 405 && x->route)
        MHD_add_response_header(r, "Allow", x->match.methods);
    x->status = a->status;
    x->sent_bytes = len;
    set_phase(x, EXCHANGE_ANSWERED);
    enum MHD_Result ok = conn_expect(x->conn, CONN_NOTHING, 0)
                             ? MHD_queue_response(x->mhd, a->status, r)
                             : MHD_NO;
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result reply_error(struct exchange *x, const struct api_error *e)
{
    api_answer_error(&x->answer, e);
    return reply(x);
}

/* ---- the head --------------------------------------------------------------------------------- */

static bool is_reading(const char *method)
{
    return !strcmp(method, "GET") || !strcmp(method, "HEAD");
}

static bool check_caller(struct exchange *x, const struct guard_head *h, const char *method,
                         struct api_error *e)
{
    struct identify who = {.app = x->server->app, .route = x->route, .head = h,
                           .local = x->conn->port == PORT_LOCAL, .address = x->head.address,
                           .session = x->head.session, .changes = !is_reading(method)};
    return identify(&who, &x->grant, x->label, e);
}

/* Which ports answer which routes. */
static bool port_serves(const struct exchange *x, const struct route *r)
{
    switch (x->conn->port) {
    case PORT_HEALTH:
        return !r->handler;
    case PORT_ADMIN:
        return route_is_admin(r) || !r->handler;
    case PORT_LOCAL:
        return true;
    default:
        return !x->server->opt.admin_apart || !route_is_admin(r);
    }
}

static bool find_route(struct exchange *x, const char *method, const char *path,
                       struct api_error *e)
{
    enum route_result result = route_find(method, path, &x->match);
    if (result != ROUTE_NO_PATH && !port_serves(x, x->match.route))
        return api_fail(e, API_NO_ROUTE, NULL, "This port does not answer that path.");
    x->route = x->match.route;
    switch (result) {
    case ROUTE_FOUND:
        return true;
    case ROUTE_NO_METHOD:
        return api_fail(e, API_METHOD_NOT_ALLOWED, NULL, "This path takes %s.", x->match.methods);
    default:
        return api_fail(e, API_NO_ROUTE, NULL, "There is nothing at this path.");
    }
}

static bool check_serving(const struct exchange *x, struct api_error *e)
{
    struct app *app = x->server->app;
    if (!x->route->handler)
        return true;
    if (atomic_load(&x->server->draining))
        return api_fail(e, API_STOPPING, NULL, "The server is shutting down.");
    if (x->route->needs_database && !app->service)
        return api_fail(e, API_NO_DATABASE, NULL,
                        "This server runs without a database; start it with --data-dir.");
    if (!x->route->needs_model)
        return true;
    if (atomic_load(&app->load_failed))
        return api_fail(e, API_ENGINE_FAILED, NULL, "The model could not be loaded.");
    if (!atomic_load(&app->model))
        return api_fail(e, API_LOADING, NULL, "The model is still being loaded.");
    return true;
}

static bool reserve_body(struct exchange *x, size_t len, struct api_error *e)
{
    struct http_server *s = x->server;
    size_t total = atomic_fetch_add(&s->bodies_bytes, len) + len;
    x->body_reserved = len;
    if (total > s->opt.bodies_bytes)
        return api_fail(e, API_OVERLOADED, NULL,
                        "The server is receiving too many large requests; try again shortly.");
    return true;
}

static bool check_body(struct exchange *x, const struct guard_head *h, struct api_error *e)
{
    if (!x->route->body_bytes) {
        if (guard_has_body(h))
            return api_fail(e, API_BAD_HTTP, NULL, "This path takes no request body.");
        return true;
    }
    x->body_limit = x->route->body_bytes == (size_t)ROUTE_BODY_API ? x->server->opt.body_bytes
                                                                    : x->route->body_bytes;
    size_t len;
    return guard_check_body(h, x->body_limit, &len, e) && reserve_body(x, len, e);
}

static bool check_facts(const struct exchange *x, struct api_error *e)
{
    const struct head_facts *f = &x->head;
    if (f->bad_reason)
        return api_fail(e, API_BAD_HTTP, NULL,
                        "X-Reason must be percent-encoded UTF-8 without control characters, at "
                        "most %d bytes.", REASON_BYTES);
    if (f->bad_query)
        return api_fail(e, API_BAD_HTTP, NULL,
                        "The query has malformed, repeated or more than %d parameters.", API_QUERY);
    for (size_t i = 0; i < f->n_query; i++)
        if (!has_word(x->route->query, f->query[i].name) && route_is_admin(x->route))
            return api_fail(e, API_INVALID_VALUE, f->query[i].name,
                            "There is no query parameter '%.100s' here.", f->query[i].name);
    return true;
}

/* Everything that can be decided before the first byte of the body. */
static bool check_head(struct exchange *x, const struct guard_head *h, const char *path,
                       const char *method, const char *version, struct api_error *e)
{
    const struct http_options *opt = &x->server->opt;
    if (!x->target_ok) {
        *e = x->target_error;
        return false;
    }
    if (!guard_check(h, version, e))
        return false;
    if (opt->loopback_hosts_only &&
        (x->conn->port == PORT_MAIN || x->conn->port == PORT_ADMIN) &&
        !guard_host_allowed(h->host.count ? h->host.value : "", opt->allowed_hosts))
        return api_fail(e, API_HOST_NOT_ALLOWED, NULL,
                        "This server answers only to the names in its allowed_hosts.");
    if (!find_route(x, method, path, e))
        return false;
    if (x->route->handler && atomic_load(&x->server->connections) > opt->max_connections)
        return api_fail(e, API_OVERLOADED, NULL,
                        "The server has as many connections as it takes; try again shortly.");
    return check_caller(x, h, method, e) && check_facts(x, e) && check_serving(x, e) &&
           check_body(x, h, e);
}

static enum MHD_Result on_head(struct exchange *x, const char *path, const char *method,
                               const char *version)
{
    struct guard_head h;
    struct api_error e = API_ERROR_INIT;
    guard_read(x->mhd, method, version, &h);
    head_facts_read(x, &h);
    if (strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(method))
        snprintf(x->method, sizeof x->method, "%s", method);
    bool ok = check_head(x, &h, path, method, version, &e);
    guard_release(&h);
    if (!ok) {
        /* Replying now closes the connection; what was still being sent must not reset it. */
        x->conn->linger = h.transfer_encoding.count || h.content_length.count;
        return reply_error(x, &e);
    }
    set_phase(x, EXCHANGE_BODY);
    x->body_start_us = clock_now_us();
    return conn_expect(x->conn, CONN_BODY, x->server->opt.body_grace_ms) ? MHD_YES : MHD_NO;
}

/* ---- the body --------------------------------------------------------------------------------- */

/* A body must keep up with body_rate after the grace time. */
static void extend_deadline(struct exchange *x)
{
    const struct http_options *opt = &x->server->opt;
    uint64_t us = (uint64_t)opt->body_grace_ms * 1000u +
                  (uint64_t)x->body_received * 1000000u / opt->body_rate;
    atomic_store(&x->conn->deadline_us, x->body_start_us + us);
}

static enum MHD_Result on_body(struct exchange *x, const char *data, size_t *len)
{
    x->body_received += *len;
    if (x->body_received > x->body_limit) {
        /* Only a chunked body gets here. A reply is possible only after its end. */
        x->too_large = true;
        if (x->body_received > x->body_limit + DISCARD_MAX)
            return MHD_NO;
    } else {
        buf_append(&x->body, data, *len);
    }
    *len = 0;
    extend_deadline(x);
    return MHD_YES;
}

/* ---- the handler ------------------------------------------------------------------------------ */

static void notify(void *user)
{
    struct exchange *x = user;
    gate_wake(&x->gate);
}

static void health(struct exchange *x)
{
    struct app *app = x->server->app;
    const struct api_model *model = atomic_load(&app->model);
    enum api_health state = atomic_load(&x->server->draining) ? API_HEALTH_STOPPING
                            : model                           ? API_HEALTH_SERVING
                                                              : API_HEALTH_LOADING;
    api_health(state, model, atomic_load(&app->loaded_bytes), atomic_load(&app->total_bytes),
               &x->answer);
}

static void call_handler(struct exchange *x)
{
    if (!x->route->handler) {
        health(x);
        return;
    }
    struct api_call call = {
        .model = atomic_load(&x->server->app->model),
        .service = x->server->app->service,
        .runner = x->server->runner,
        .route = x->route,
        .method = x->method,
        .path = x->target,
        .body = buf_str(&x->body),
        .body_len = x->body.len,
        .id = x->id,
        .grant = &x->grant,
        .address = x->head.address,
        .agent = x->head.agent ? x->head.agent : "",
        .session = x->head.session,
        .cookies = x->head.cookies ? x->head.cookies : "",
        .if_match = x->head.if_match,
        .reason = x->head.reason ? x->head.reason : "",
        .n_query = x->head.n_query,
        .notify = notify,
        .user = x,
    };
    memcpy(call.param, x->match.param, sizeof call.param);
    memcpy(call.query, x->head.query, sizeof call.query);
    x->route->handler(&call, &x->answer);
}

/* On a worker thread. After the wake the exchange belongs to the connection's thread again. */
static void run_handler(struct job *job)
{
    struct exchange *x = (struct exchange *)job;
    call_handler(x);
    release_body(x);
    pthread_mutex_lock(&x->gate.mu);
    x->phase = EXCHANGE_READY;
    if (x->gone && x->answer.run)
        generation_cancel(x->answer.run);
    pthread_mutex_unlock(&x->gate.mu);
    gate_let_go(&x->gate);
}

static struct workers *workers_of(const struct exchange *x)
{
    switch (x->route->place) {
    case ROUTE_SLOW:
        return x->server->slow_workers;
    case ROUTE_LOGIN:
        return x->server->login_workers;
    default:
        return x->server->workers;
    }
}

static enum MHD_Result on_complete_request(struct exchange *x)
{
    if (x->too_large || x->body.failed) {
        struct api_error e;
        if (x->too_large)
            api_fail(&e, API_BODY_TOO_LARGE, NULL,
                     "The request body is larger than the %zu bytes taken here.", x->body_limit);
        else
            api_fail(&e, API_OVERLOADED, NULL, "The server is short of memory.");
        return reply_error(x, &e);
    }
    if (!conn_expect(x->conn, CONN_NOTHING, 0))
        return MHD_NO;
    if (x->route->place == ROUTE_NETWORK) {
        call_handler(x);
        return reply(x);
    }
    /* Count first, then look: http_close sets `closing` first and then looks at the count. */
    x->counted = true;
    atomic_fetch_add(&x->server->busy, 1);
    if (atomic_load(&x->server->closing))
        return MHD_NO;
    set_phase(x, EXCHANGE_WORKING);
    x->job.run = run_handler;
    gate_hold(&x->gate);
    x->watched = true;
    watch_begin(x->server->watch, x->conn, x);
    workers_add(workers_of(x), &x->job);
    return MHD_YES;
}

/* ---- the answer ------------------------------------------------------------------------------- */

static bool given_up(struct exchange *x)
{
    pthread_mutex_lock(&x->gate.mu);
    bool gone = x->gone;
    pthread_mutex_unlock(&x->gate.mu);
    return gone || atomic_load(&x->server->forced);
}

static enum MHD_Result on_whole(struct exchange *x)
{
    for (;;) {
        switch (generation_pull(x->answer.run, &x->answer.body)) {
        case GENERATION_END:
            x->answer.status = generation_status(x->answer.run, &x->answer.retry_after_s);
            return reply(x);
        case GENERATION_WAIT:
            if (given_up(x))
                return MHD_NO;
            if (gate_wait(&x->gate))
                return MHD_YES;
            break;
        default:
            break;
        }
    }
}

static ssize_t give(struct exchange *x, char *into, size_t room)
{
    size_t left = x->out.len - x->out_at;
    size_t n = left < room ? left : room;
    memcpy(into, x->out.data + x->out_at, n);
    x->out_at += n;
    x->sent_bytes += n;
    atomic_store(&x->last_sent_us, clock_now_us());
    return (ssize_t)n;
}

/* Content callback of a stream: asks the generation for as much as the socket takes. */
static ssize_t on_stream(void *user, uint64_t pos, char *into, size_t room)
{
    struct exchange *x = user;
    (void)pos;
    for (;;) {
        if (x->out_at < x->out.len)
            return give(x, into, room);
        if (x->ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (given_up(x) || x->out.failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        buf_clear(&x->out);
        x->out_at = 0;
        switch (generation_pull(x->answer.run, &x->out)) {
        case GENERATION_END:
            x->ended = true;
            break;
        case GENERATION_WAIT:
            if (atomic_exchange(&x->ping_due, false))
                buf_puts(&x->out, ": ping\n\n");
            else if (gate_wait(&x->gate))
                return 0;
            break;
        default:
            break;
        }
    }
}

static enum MHD_Result start_stream(struct exchange *x)
{
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SSE_BLOCK, on_stream, x, NULL);
    if (!r)
        return MHD_NO;
    add_common_headers(x, r, "text/event-stream");
    MHD_add_response_header(r, "X-Accel-Buffering", "no");
    x->status = 200;
    enum MHD_Result ok = MHD_queue_response(x->mhd, 200, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result on_ready(struct exchange *x)
{
    if (!x->answer.run)
        return reply(x);
    if (given_up(x))
        return MHD_NO;
    bool streamed = generation_is_stream(x->answer.run);
    set_phase(x, streamed ? EXCHANGE_STREAMING : EXCHANGE_WHOLE);
    if (streamed)
        return start_stream(x);
    buf_release(&x->answer.body);
    buf_init(&x->answer.body, WHOLE_MAX);
    return on_whole(x);
}

enum MHD_Result exchange_on_request(void *cls, struct MHD_Connection *mhd, const char *path,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_len, void **request)
{
    struct exchange *x = *request;
    (void)cls;
    (void)mhd;
    if (!x)
        return MHD_NO;
    switch (x->phase) {
    case EXCHANGE_HEAD:
        return on_head(x, path, method, version);
    case EXCHANGE_BODY:
        return *data_len ? on_body(x, data, data_len) : on_complete_request(x);
    case EXCHANGE_READY:
        return on_ready(x);
    case EXCHANGE_WHOLE:
        return on_whole(x);
    default:
        return MHD_NO;
    }
}

/* ---- from other threads ----------------------------------------------------------------------- */

static bool generates_locked(const struct exchange *x)
{
    return x->phase >= EXCHANGE_READY && x->answer.run;
}

void exchange_hangup(struct exchange *x)
{
    pthread_mutex_lock(&x->gate.mu);
    bool first = !x->gone;
    x->gone = true;
    if (first && generates_locked(x))
        generation_cancel(x->answer.run);
    pthread_mutex_unlock(&x->gate.mu);
    if (first)
        gate_wake(&x->gate);
}

void exchange_tick(struct exchange *x, uint64_t now_us)
{
    uint64_t silent = now_us - atomic_load(&x->last_sent_us);
    pthread_mutex_lock(&x->gate.mu);
    bool due = x->phase == EXCHANGE_STREAMING && x->gate.state == GATE_SUSPENDED &&
               now_us > atomic_load(&x->last_sent_us) &&
               silent >= (uint64_t)x->server->opt.ping_ms * 1000u;
    pthread_mutex_unlock(&x->gate.mu);
    if (due) {
        atomic_store(&x->ping_due, true);
        gate_wake(&x->gate);
    }
}

void exchange_cancel(struct exchange *x)
{
    pthread_mutex_lock(&x->gate.mu);
    if (generates_locked(x))
        generation_cancel(x->answer.run);
    pthread_mutex_unlock(&x->gate.mu);
}

void exchange_force(struct exchange *x)
{
    gate_open(&x->gate);
}
