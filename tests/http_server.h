/* The HTTP server in the test's own process, on a free port, over the scripted engine. */
#ifndef SEEKD_TESTS_HTTP_SERVER_H
#define SEEKD_TESTS_HTTP_SERVER_H

#include "api/api.h"
#include "app.h"
#include "http/http.h"
#include "service/service.h"

#define TEST_KEY "sk-test-0123456789abcdef"

struct keyring;

struct test_server {
    struct app app;
    struct engine *engine;
    struct prompt_maker *prompt;
    struct api_model model;
    struct keyring *keys;
    struct http_server *http;
    int port, health_port;
    /* With TEST_DATA: */
    struct service *service;
    char *folder, *socket; /* temporary; the local socket in it */
    struct token_counter counter;
    char first_password[PASSWORD_ONE_TIME_TEXT]; /* of `admin` */
};

/* Limits for tests: short times, one network thread; change what a test needs. */
struct http_options test_options(void);

enum test_flags {
    TEST_LOADING = 1, /* the model does not get ready */
    TEST_THINKING = 2, /* its chat template opens <think> */
    TEST_DATA = 4      /* with a database and a local socket; TEST_KEY is one of a key file beside */
};
void test_server_start(struct test_server *s, const struct http_options *opt, unsigned flags);
/* Ends everything and checks that no stream of the engine is left. */
void test_server_stop(struct test_server *s);
/* Takes a listening socket on a free port. */
int test_listen(int *port);

/* True when the engine works on `n` streams (released ones do not count) within ms. */
bool test_wait_streams(struct test_server *s, unsigned n, int ms);
bool test_wait_active(struct test_server *s, unsigned n, int ms);
/* A chat request that must succeed. */
void test_good_request(struct test_server *s);

#endif
