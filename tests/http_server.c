/* Owns: starting and ending the server under test. Refuses to know: what is tested. */
#include <config.h>

#include "http_server.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/prompt.h"
#include "auth/keyring.h"
#include "base/clock.h"
#include "base/log.h"
#include "fake_engine.h"
#include "http/listen.h"
#include "http_client.h"
#include "template/registry.h"
#include "testfile.h"

int test_listen(int *port)
{
    struct listen_address a;
    struct err e = ERR_INIT;
    int fd;
    struct sockaddr_in v4;
    ck_assert_msg(listen_parse("127.0.0.1:0", &a, &e), "%s", e.msg);
    ck_assert_msg(listen_open(&a, &fd, &e), "%s", e.msg);
    memcpy(&v4, &a.addr, sizeof v4);
    *port = ntohs(v4.sin_port);
    return fd;
}

struct http_options test_options(void)
{
    struct http_options opt = HTTP_OPTIONS_DEFAULT;
    opt.threads = 1;
    opt.body_bytes = 256 << 10;
    opt.bodies_bytes = 16 << 20;
    return opt;
}

/* Bytes stand in for tokens, as in the scripted engine. */
static size_t count_bytes(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    (void)text;
    return len;
}

static void open_data(struct test_server *s, struct http_options *opt)
{
    struct service_options data = SERVICE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    s->folder = testfile_make_dir();
    s->socket = testfile_join(s->folder, "seekd.sock");
    s->counter = (struct token_counter){.count = count_bytes};
    data.folder = s->folder;
    data.cost.n = 1024; /* quick hashes */
    data.cost.p = 1;
    ck_assert_msg(service_open(&data, &s->service, s->first_password, &e), "%s", e.msg);
    ck_assert_msg(listen_local(s->socket, &opt->local_fd, &e), "%s", e.msg);
    registry_set_tokens(s->service->registry, &s->counter);
    s->app.service = s->service;
}

static void close_data(struct test_server *s)
{
    if (!s->service)
        return;
    service_close(&s->service);
    testfile_remove_dir(s->folder);
    free(s->socket);
    free(s->folder);
}

void test_server_start(struct test_server *s, const struct http_options *opt, unsigned flags)
{
    struct err e = ERR_INIT;
    struct http_options o = *opt;
    *s = (struct test_server){.health_port = 0};
    log_set_level(LOG_ERROR);
    o.listen_fd = test_listen(&s->port);
    s->keys = keyring_create();
    ck_assert(keyring_add(s->keys, TEST_KEY, &e));
    s->app.keys = s->keys;
    s->engine = fake_engine_open(8192);
    fake_engine_set_thinking(s->engine, flags & TEST_THINKING);
    ck_assert_msg(prompt_maker_create(s->engine, &s->prompt, &e), "%s", e.msg);
    s->model = (struct api_model){
        .engine = s->engine, .prompt = s->prompt, .id = "fake", .created = 1};
    if (flags & TEST_DATA)
        open_data(s, &o);
    if (!(flags & TEST_LOADING))
        atomic_store(&s->app.model, &s->model);
    ck_assert_msg(http_open(&s->app, &o, &s->http, &e), "%s", e.msg);
}

void test_server_stop(struct test_server *s)
{
    ck_assert(http_close(&s->http));
    ck_assert_uint_eq(fake_engine_streams(s->engine), 0);
    close_data(s);
    prompt_maker_destroy(&s->prompt);
    fake_engine_close(&s->engine);
    keyring_destroy(&s->keys);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

bool test_wait_streams(struct test_server *s, unsigned n, int ms)
{
    for (; ms > 0 && fake_engine_streams(s->engine) != n; ms -= 5)
        sleep_ms(5);
    return fake_engine_streams(s->engine) == n;
}

bool test_wait_active(struct test_server *s, unsigned n, int ms)
{
    for (; ms > 0 && fake_engine_active(s->engine) != n; ms -= 5)
        sleep_ms(5);
    return fake_engine_active(s->engine) == n;
}

void test_good_request(struct test_server *s)
{
    struct http_reply r;
    http_post(s->port, "/v1/chat/completions", TEST_KEY,
              "{\"messages\":[{\"role\":\"user\",\"content\":\"#reply=fine#\"}]}", &r);
    ck_assert_int_eq(r.status, 200);
    ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "\"content\":\"fine\""));
    http_reply_release(&r);
}
