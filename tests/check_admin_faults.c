/* Attacks on administration over HTTP by time and place: races, many at once, secrets in what is
 * written down, a full disk, an end in the middle, hosts of strangers. */
#include <config.h>

#include "admin_attack.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/identity.h"
#include "auth/lockout.h"
#include "base/clock.h"
#include "base/log.h"
#include "service/service.h"
#include "testfile.h"

/* ---- races ------------------------------------------------------------------------------------ */

enum { RACERS = 16 };

struct racer {
    pthread_t thread;
    enum admin_who who;
    const char *method, *path, *headers;
    char body[256];
    int status;
};

static void *race(void *user)
{
    struct racer *me = user;
    struct http_client c;
    struct http_reply reply;
    struct buf text;
    buf_init(&text, 1 << 16);
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s"
               "Connection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
               "%s",
               me->method, me->path, rig.person[me->who].key, me->headers, strlen(me->body),
               me->body);
    http_client_open(&c, rig.server.port);
    http_client_send(&c, buf_str(&text), text.len);
    http_client_read(&c, &reply, false, 20000);
    me->status = reply.status;
    http_reply_release(&reply);
    http_client_close(&c);
    buf_release(&text);
    return NULL;
}

static void race_all(struct racer racers[], int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    for (int i = 0; i < n; i++)
        pthread_join(racers[i].thread, NULL);
}

static int count(const struct racer racers[], int n, int status)
{
    int found = 0;
    for (int i = 0; i < n; i++)
        found += racers[i].status == status;
    return found;
}

START_TEST(of_changes_to_one_revision_one_wins)
{
    char path[128];
    snprintf(path, sizeof path, "/admin/v1/users/%" PRId64, rig.person[BY_OTHER].id);
    for (int round = 1; round <= 5; round++) {
        struct racer racers[RACERS] = {{.status = 0}};
        char match[64];
        snprintf(match, sizeof match, "%s", admin_if_match(round));
        for (int i = 0; i < RACERS; i++) {
            racers[i] = (struct racer){.method = "PATCH", .path = path, .headers = match};
            snprintf(racers[i].body, sizeof racers[i].body, "{\"name\":\"racer %d\"}", i);
        }
        race_all(racers, RACERS);
        ck_assert_int_eq(count(racers, RACERS, 200), 1);
        ck_assert_int_eq(count(racers, RACERS, 412), RACERS - 1);
    }
}
END_TEST

START_TEST(of_new_ones_with_one_name_one_wins)
{
    struct racer racers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.method = "POST", .path = "/admin/v1/users", .headers = ""};
        snprintf(racers[i].body, sizeof racers[i].body,
                 "{\"login\":\"twin\",\"department_id\":%" PRId64 ",\"roles\":[\"user\"]}", rig.works);
    }
    race_all(racers, RACERS);
    ck_assert_int_eq(count(racers, RACERS, 201), 1);
    ck_assert_int_eq(count(racers, RACERS, 409), RACERS - 1);
    for (int i = 0; i < RACERS; i++) {
        racers[i].path = "/admin/v1/departments";
        snprintf(racers[i].body, sizeof racers[i].body, "{\"name\":\"Twin\"}");
    }
    race_all(racers, RACERS);
    ck_assert_int_eq(count(racers, RACERS, 201), 1);
    ck_assert_int_eq(count(racers, RACERS, 409), RACERS - 1);
}
END_TEST

/* Two administrators who take each other's role at the same moment leave one. */
START_TEST(the_last_administrator_survives_a_race)
{
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/users?role=admin", NULL, NULL, 200);
    json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL);
    size_t n = json_array_size(admin_at(v, "data"));
    char paths[RACERS][64];
    struct racer racers[RACERS];
    ck_assert_uint_ge(n, 2);
    ck_assert_uint_le(n, RACERS);
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(admin_at(v, "data"), i);
        snprintf(paths[i], sizeof paths[i], "/admin/v1/users/%" PRId64, admin_number(p, "id"));
        racers[i] = (struct racer){.method = "PATCH", .path = paths[i],
                                   .headers = "If-Match: \"1\"\r\n"};
        snprintf(racers[i].body, sizeof racers[i].body, "{\"roles\":[\"admin\",\"user\"]}");
    }
    json_decref(v);
    race_all(racers, (int)n);
    ck_assert_int_eq(count(racers, (int)n, 200), (int)n);
    for (size_t i = 0; i < n; i++) {
        racers[i].headers = "If-Match: \"2\"\r\n";
        snprintf(racers[i].body, sizeof racers[i].body, "{\"disabled\":true}");
    }
    race_all(racers, (int)n);
    ck_assert_int_le(count(racers, (int)n, 200), (int)n - 1);
    v = admin_call(&rig, BY_LOCAL, "GET", "/admin/v1/users?role=admin&state=active", NULL, NULL,
                   200);
    ck_assert_uint_ge(json_array_size(admin_at(v, "data")), 1);
    const json_t *left = admin_at(v, "data/0");
    if (admin_number(left, "id") != rig.person[BY_ADMIN].id) /* the teardown asks as this one */
        admin_expect(&rig, BY_LOCAL, "PATCH",
                     admin_path("users/%" PRId64, rig.person[BY_ADMIN].id), "If-Match: \"3\"\r\n",
                     "{\"disabled\":false}", 200);
    json_decref(v);
}
END_TEST

/* What the racers say, all at the same moment, to a path. */
static void race_one(enum admin_who who, const char *method, const char *path, const char *body,
                     struct racer racers[RACERS])
{
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.who = who, .method = method, .path = path,
                                   .headers = "If-Match: \"1\"\r\n"};
        snprintf(racers[i].body, sizeof racers[i].body, "%s", body);
    }
    race_all(racers, RACERS);
}

#define WORKS "/admin/v1/templates/works"
#define HAND_IN "{\"to\":\"review\"}"
#define APPROVE "{\"to\":\"approved\",\"evidence\":{\"read\":true},\"without_run\":true}"

START_TEST(of_approvers_one_is_heard)
{
    struct racer racers[RACERS];
    race_one(BY_EDITOR, "POST", WORKS "/versions/1/review", HAND_IN, racers);
    ck_assert_int_eq(count(racers, RACERS, 200), 1);
    ck_assert_int_eq(count(racers, RACERS, 409), RACERS - 1);
    race_one(BY_APPROVER, "POST", WORKS "/versions/1/review", APPROVE, racers);
    ck_assert_int_eq(count(racers, RACERS, 200), 1);
    ck_assert_int_eq(count(racers, RACERS, 409), RACERS - 1);
}
END_TEST

/* A label that is moved while it is deleted is there afterwards or is not; nobody gets half of it. */
START_TEST(a_label_is_moved_while_it_is_deleted)
{
    struct racer racers[RACERS];
    char match[64];
    for (int round = 0; round < 3; round++) {
        admin_send(&rig, BY_EDITOR, "PUT", WORKS "/labels/test", NULL, "{\"number\":1}");
        ck_assert_msg(rig.last.status == 200 || rig.last.status == 201, "%d %s", rig.last.status,
                      buf_str(&rig.last.body));
        snprintf(match, sizeof match, "%s", admin_if_match(admin_etag(&rig)));
        for (int i = 0; i < RACERS; i++) {
            racers[i] = (struct racer){.who = BY_EDITOR, .method = i % 2 ? "DELETE" : "PUT",
                                       .path = WORKS "/labels/test", .headers = match};
            snprintf(racers[i].body, sizeof racers[i].body, "%s", i % 2 ? "" : "{\"number\":1}");
        }
        race_all(racers, RACERS);
        for (int i = 0; i < RACERS; i++)
            ck_assert_msg((racers[i].status >= 200 && racers[i].status < 300) ||
                              racers[i].status == 404 || racers[i].status == 409 ||
                              racers[i].status == 412, "%s: %d", racers[i].method,
                          racers[i].status);
        json_t *v = admin_call(&rig, BY_EDITOR, "GET", WORKS, NULL, NULL, 200);
        size_t n = json_array_size(admin_at(v, "labels"));
        if (n)
            snprintf(match, sizeof match, "%s",
                     admin_if_match(admin_number(v, "labels/0/revision")));
        ck_assert_uint_le(n, 1);
        json_decref(v);
        if (n)
            admin_send(&rig, BY_EDITOR, "DELETE", WORKS "/labels/test", match, NULL);
    }
}
END_TEST

/* Guesses that come at the same moment count like guesses in a row, and good logins do not pile up. */
START_TEST(logins_at_once_are_counted)
{
    struct racer racers[RACERS];
    struct browser b;
    char body[256];
    browser_enter(&b, &rig, BY_USER, PASSWORD);
    snprintf(body, sizeof body, "{\"login\":\"%s\",\"password\":\"guess\"}",
             rig.person[BY_ADMIN].login);
    race_one(BY_USER, "POST", "/admin/v1/login", body, racers);
    ck_assert_int_le(count(racers, RACERS, 401), LOCKOUT_FREE);
    ck_assert_int_eq(count(racers, RACERS, 401) + count(racers, RACERS, 429), RACERS);
    snprintf(body, sizeof body, "{\"login\":\"%s\",\"password\":\"%s\"}",
             rig.person[BY_USER].login, PASSWORD);
    race_one(BY_USER, "POST", "/admin/v1/login", body, racers);
    for (int i = 0; i < RACERS; i++) /* 401: others' logins have ended this session already */
        ck_assert_msg(racers[i].status == 200 || racers[i].status == 401 || racers[i].status == 429,
                      "%d", racers[i].status);
    ck_assert_int_ge(count(racers, RACERS, 200), 1);
    json_t *v = admin_call(&rig, BY_ADMIN, "GET",
                           admin_path("users/%" PRId64 "/sessions", rig.person[BY_USER].id), NULL,
                           NULL, 200);
    ck_assert_uint_le(json_array_size(admin_at(v, "data")), SESSION_MAX);
    json_decref(v);
}
END_TEST

/* What is revoked is refused from the answer on, whoever uses it meanwhile. */
START_TEST(a_key_ends_for_all_at_once)
{
    struct racer racers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.who = BY_OTHER, .method = "POST", .path = CHAT, .headers = ""};
        snprintf(racers[i].body, sizeof racers[i].body, "%s", HELLO);
        ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    admin_expect(&rig, BY_ADMIN, "DELETE",
                 admin_path("keys/%" PRId64, rig.person[BY_OTHER].key_id), NULL, NULL, 200);
    admin_expect(&rig, BY_OTHER, "POST", CHAT, NULL, HELLO, 401);
    for (int i = 0; i < RACERS; i++)
        pthread_join(racers[i].thread, NULL);
    ck_assert_int_eq(count(racers, RACERS, 200) + count(racers, RACERS, 401), RACERS);
}
END_TEST

/* Two servers on one folder would both make a first administrator. */
START_TEST(the_first_administrator_is_made_once)
{
    struct service_options opt = SERVICE_OPTIONS_DEFAULT;
    struct service *second = NULL;
    char password[PASSWORD_ONE_TIME_TEXT];
    struct err e = ERR_INIT;
    opt.folder = rig.server.folder;
    ck_assert(!service_open(&opt, &second, password, &e));
    ck_assert_ptr_null(second);
    ck_assert_str_eq(password, "");
    ck_assert(*e.msg);
}
END_TEST

/* ---- many at once ----------------------------------------------------------------------------- */

enum { CROWD = 50, STALL_MS = 10000 };

struct visitor {
    pthread_t thread;
    int number, status;
};

static void *try_login(void *user)
{
    struct visitor *me = user;
    struct http_client c;
    struct http_reply reply;
    struct buf text;
    char body[128];
    buf_init(&text, 1 << 16);
    int n = snprintf(body, sizeof body, "{\"login\":\"visitor%d\",\"password\":\"guess %d\"}",
                     me->number, me->number);
    buf_printf(&text, "POST /admin/v1/login HTTP/1.1\r\nHost: localhost\r\n"
               "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, body);
    http_client_open(&c, rig.server.port);
    http_client_send(&c, buf_str(&text), text.len);
    http_client_read(&c, &reply, false, 20000);
    me->status = reply.status;
    http_reply_release(&reply);
    http_client_close(&c);
    buf_release(&text);
    return NULL;
}

/* Everybody is answered, and those who ask the model meanwhile do not wait for them. */
START_TEST(a_crowd_at_the_door_stalls_nobody_inside)
{
    struct visitor crowd[CROWD] = {{.status = 0}};
    int refused = 0;
    for (int i = 0; i < CROWD; i++) {
        crowd[i].number = i;
        ck_assert_int_eq(pthread_create(&crowd[i].thread, NULL, try_login, &crowd[i]), 0);
    }
    for (int i = 0; i < 10; i++) {
        uint64_t begin = clock_now_us();
        admin_expect(&rig, BY_USER, "POST", CHAT, NULL, HELLO, 200);
        admin_expect(&rig, BY_NOBODY, "GET", "/health", NULL, NULL, 200);
        ck_assert_uint_lt((clock_now_us() - begin) / 1000, STALL_MS);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(crowd[i].thread, NULL);
        ck_assert_msg(crowd[i].status == 401 || crowd[i].status == 429 || crowd[i].status == 503,
                      "visitor %d: %d", i, crowd[i].status);
        refused += crowd[i].status != 401;
    }
    printf("logins at once: %d of %d told to come later\n", refused, CROWD);
}
END_TEST

/* ---- work that goes on after its request ------------------------------------------------------ */

/* Version 1 of the editor's template `name` has eight tests of 0.2 s each; they run. */
static void start_tests(const char *name, char job[512])
{
    struct buf body;
    char path[128];
    buf_init(&body, 1 << 16);
    buf_printf(&body, "{\"name\":\"%s\",\"note\":\"n\",\"content\":{\"messages\":["
               "{\"role\":\"user\",\"content\":\"#tokens=20##us=10000#\"}],\"tests\":[", name);
    for (int i = 0; i < 8; i++)
        buf_printf(&body, "%s{\"name\":\"t%d\",\"checks\":[{\"contains\":\"x\"}]}", i ? "," : "", i);
    buf_puts(&body, "]}}");
    admin_expect(&rig, BY_EDITOR, "POST", "/admin/v1/templates", NULL, buf_str(&body), 201);
    buf_release(&body);
    snprintf(path, sizeof path, "/admin/v1/templates/%s/versions/1/runs", name);
    admin_expect(&rig, BY_EDITOR, "POST", path, NULL, "{}", 202);
    ck_assert(http_reply_header(&rig.last, "Location", job, 512));
}

/* As the administrator sees the job: when so many tests are done, or it has ended. */
static json_t *watch_job(const char *job, int64_t done)
{
    for (int i = 0; i < 1000; i++) {
        json_t *v = admin_call(&rig, BY_ADMIN, "GET", job, NULL, NULL, 200);
        const char *state = admin_text(v, "state");
        if (admin_number(v, "done") >= done || !strcmp(state, "failed") || !strcmp(state, "finished"))
            return v;
        json_decref(v);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    ck_abort_msg("the job does not go on");
    return NULL;
}

static void expect_ended(const char *job)
{
    json_t *v = watch_job(job, INT64_MAX);
    ck_assert_str_eq(admin_text(v, "state"), "failed");
    ck_assert_int_lt(admin_number(v, "done"), 8);
    ck_assert_ptr_nonnull(strstr(admin_text(v, "message"), "disabled"));
    json_decref(v);
}

START_TEST(a_test_set_ends_with_its_key_and_its_person)
{
    char job[512];
    start_tests("first", job);
    json_decref(watch_job(job, 1));
    admin_expect(&rig, BY_ADMIN, "DELETE",
                 admin_path("keys/%" PRId64, rig.person[BY_EDITOR].key_id), NULL, NULL, 200);
    expect_ended(job);
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                           admin_body("{s:I, s:s, s:[s, s]}", "person_id",
                                      (json_int_t)rig.person[BY_EDITOR].id, "name", "n", "scopes",
                                      "edit", "infer"), 201);
    snprintf(rig.person[BY_EDITOR].key, KEY_TEXT, "%s", admin_text(v, "key"));
    json_decref(v);
    start_tests("second", job);
    json_decref(watch_job(job, 1));
    admin_expect(&rig, BY_ADMIN, "PATCH", admin_path("users/%" PRId64, rig.person[BY_EDITOR].id),
                 "If-Match: \"1\"\r\n", "{\"disabled\":true}", 200);
    expect_ended(job);
}
END_TEST

/* ---- the log ---------------------------------------------------------------------------------- */

struct capture {
    char *folder, *path;
    int stderr_before;
};

static void capture_begin(struct capture *c)
{
    c->folder = testfile_make_dir();
    c->path = testfile_join(c->folder, "log");
    int fd = open(c->path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    fflush(stderr);
    c->stderr_before = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
    close(fd);
    log_set_level(LOG_DEBUG);
}

/* The log, owned. */
static char *capture_end(struct capture *c)
{
    size_t bytes = 0;
    log_set_level(LOG_ERROR);
    fflush(stderr);
    ck_assert_int_ge(dup2(c->stderr_before, STDERR_FILENO), 0);
    close(c->stderr_before);
    char *text = (char *)testfile_read(c->path, &bytes);
    text = realloc(text, bytes + 1);
    ck_assert_ptr_nonnull(text);
    text[bytes] = '\0';
    testfile_remove_dir(c->folder);
    free(c->path);
    free(c->folder);
    return text;
}

/* ---- a directory that hangs ------------------------------------------------------------------- */

enum { HANG_MS = 4000, WAITING = 2 * SERVICE_OUTSIDE };

static int hanging_fd;

static void hanging_setup(void)
{
    static const char map[] =
        "{\"groups\": [{\"group\": \"cn=x\", \"department\": \"Works\", \"roles\": [\"user\"]}]}";
    struct ldap_options opt = LDAP_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    char url[64];
    int port;
    attack_setup();
    hanging_fd = test_listen(&port); /* connects, and never says a word */
    snprintf(url, sizeof url, "ldap://127.0.0.1:%d", port);
    opt.url = url;
    opt.bind_dn = "cn=seekd";
    opt.bind_password = "bind-77-secret";
    opt.base_dn = "dc=plant";
    opt.timeout_ms = HANG_MS;
    struct service *s = rig.server.service;
    ck_assert_msg(ldap_directory_create(&opt, &s->ldap, &e), "%s", e.msg);
    ck_assert_msg(identity_map_parse(map, sizeof map - 1, &s->identities, &e), "%s", e.msg);
}

static void hanging_teardown(void)
{
    attack_teardown();
    close(hanging_fd);
}

/* Those whom it knows wait for it, a bounded number at a time; whoever has a password here does not. */
START_TEST(a_directory_that_hangs_keeps_no_local_administrator_out)
{
    struct visitor waiting[WAITING] = {{.status = 0}};
    struct capture log;
    struct browser b;
    capture_begin(&log);
    browser_enter(&b, &rig, BY_ADMIN, PASSWORD);
    for (int i = 0; i < WAITING; i++) {
        waiting[i].number = i;
        ck_assert_int_eq(pthread_create(&waiting[i].thread, NULL, try_login, &waiting[i]), 0);
    }
    uint64_t begin = clock_now_us();
    while (atomic_load(&rig.server.service->outside) < SERVICE_OUTSIDE &&
           clock_now_us() - begin < 2000000u)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    ck_assert_int_ge(atomic_load(&rig.server.service->outside), SERVICE_OUTSIDE);
    begin = clock_now_us();
    browser_login(&b, &rig, rig.person[BY_ADMIN].login, PASSWORD);
    browser_expect(&b, "GET", "/admin/v1/users", NULL, NULL, 200);
    ck_assert_uint_lt((clock_now_us() - begin) / 1000, HANG_MS / 2);
    ck_assert_int_ge(atomic_load(&rig.server.service->outside), SERVICE_OUTSIDE);
    for (int i = 0; i < WAITING; i++) {
        pthread_join(waiting[i].thread, NULL);
        ck_assert_int_eq(waiting[i].status, 503);
    }
    ck_assert_int_eq(atomic_load(&rig.server.service->outside), 0);
    char *lines = capture_end(&log);
    ck_assert_ptr_nonnull(strstr(lines, "login at the directory failed"));
    ck_assert_ptr_null(strstr(lines, "bind-77-secret"));
    ck_assert_ptr_null(strstr(lines, "guess "));
    free(lines);
}
END_TEST

/* ---- secrets ---------------------------------------------------------------------------------- */

/* No answer repeats a secret that it was not asked to make, and no log line any at all. */
START_TEST(secrets_are_neither_logged_nor_repeated)
{
    struct capture log;
    struct browser b;
    struct buf answers, path;
    const struct route *r;
    char headers[256];
    buf_init(&answers, 64 << 20);
    buf_init(&path, 1 << 16);
    capture_begin(&log);
    browser_enter(&b, &rig, BY_USER, PASSWORD);
    browser_try(&rig, rig.person[BY_USER].login, PASSWORD "x");
    buf_append(&answers, rig.last.body.data, rig.last.body.len);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n", b.token,
             b.csrf);
    for (size_t i = 0; (r = route_at(i)); i++) {
        if (!route_is_admin(r) || strcmp(r->method, "GET") != 0)
            continue;
        attack_path(r, 0, NULL, &path);
        admin_send(&rig, attack_entitled(r), "GET", buf_str(&path), NULL, NULL);
        buf_append(&answers, rig.last.body.data, rig.last.body.len);
        buf_append(&answers, rig.last.head.data, rig.last.head.len);
        if (strcmp(r->path, "/admin/v1/me") != 0) {
            admin_send(&rig, BY_NOBODY, "GET", buf_str(&path), headers, NULL);
            buf_append(&answers, rig.last.body.data, rig.last.body.len);
        }
    }
    for (int who = 0; who < BY_PERSONS; who++)
        admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/users?text=sk-secret-in-the-query",
                     "Authorization: Bearer sk-wrongwrongwrongwrong\r\n", NULL, 401);
    char *lines = capture_end(&log);
    ck_assert_ptr_nonnull(strstr(lines, "/admin/v1/users"));
    const char *const secrets[] = {b.token, b.csrf, PASSWORD, rig.person[BY_USER].key,
                                   rig.person[BY_ADMIN].key, rig.person[BY_AUDITOR].key};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        ck_assert_msg(!strstr(lines, secrets[i]), "secret %zu is in the log", i);
        ck_assert_msg(!strstr(buf_str(&answers), secrets[i]), "secret %zu is in an answer", i);
    }
    static const char *const words[] = {"secret_hash", "token_hash", "csrf_hash", "\"salt\""};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        ck_assert_ptr_null(strstr(buf_str(&answers), words[i]));
    ck_assert_ptr_null(strstr(lines, "sk-wrong"));
    ck_assert_ptr_null(strstr(lines, "secret-in-the-query"));
    free(lines);
    buf_release(&path);
    buf_release(&answers);
}
END_TEST

/* Whether any file of the data folder holds it. */
static bool in_files(const char *secret)
{
    DIR *dir = opendir(rig.server.folder);
    struct dirent *d;
    bool found = false;
    ck_assert_ptr_nonnull(dir);
    while ((d = readdir(dir))) {
        size_t bytes = 0;
        struct stat st;
        char *path = testfile_join(rig.server.folder, d->d_name);
        bool regular = lstat(path, &st) == 0 && S_ISREG(st.st_mode);
        uint8_t *text = regular ? testfile_read(path, &bytes) : NULL;
        ck_assert_msg(!regular || !(st.st_mode & 077), "%s: mode %o", d->d_name,
                      (unsigned)st.st_mode);
        found |= bytes && memmem(text, bytes, secret, strlen(secret));
        free(text);
        free(path);
    }
    closedir(dir);
    return found;
}

/* Who steals the disk, a backup of it or the audit log has no way in and reads nobody's questions. */
START_TEST(secrets_are_not_in_the_files)
{
    static const char question[] = "#reply=fine# my salary of 12345 in Zwiesel";
    struct browser b, out;
    json_t *v;
    char where[1024], *path = testfile_join(rig.server.folder, "copy.db");
    snprintf(where, sizeof where, "{\"path\":\"%s\"}", path);
    admin_expect(&rig, BY_ADMIN, "PATCH", admin_path("departments/%" PRId64, rig.line3),
                 "If-Match: \"1\"\r\n", "{\"keep_prompts\":true,\"keep_days\":30}", 200);
    browser_enter(&b, &rig, BY_USER, PASSWORD);
    browser_enter(&out, &rig, BY_EDITOR, PASSWORD "2");
    browser_expect(&out, "POST", "/admin/v1/logout", NULL, NULL, 204);
    browser_try(&rig, rig.person[BY_USER].login, "guess-" PASSWORD);
    admin_expect(&rig, BY_USER, "POST", CHAT, NULL,
                 admin_body("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", question),
                 200);
    v = admin_call(&rig, BY_ADMIN, "GET", "/admin/v1/usage/requests", NULL, NULL, 200);
    ck_assert_uint_ge(json_array_size(admin_at(v, "data")), 1);
    json_decref(v);
    v = admin_call(&rig, BY_LOCAL, "POST", "/admin/v1/backup", NULL, where, 201);
    json_decref(v);
    free(path);
    const char *const secrets[] = {
        PASSWORD, b.token, b.csrf, out.token, rig.person[BY_USER].key, rig.person[BY_ADMIN].key,
        rig.person[BY_USER].key + KEY_CHARS - TOKEN_CHARS, "Zwiesel", rig.server.first_password};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        ck_assert_msg(!in_files(secrets[i]), "secret %zu is in a file", i);
    ck_assert(in_files("olga.other")); /* it looks in the right place */
    admin_expect(&rig, BY_AUDITOR, "GET", "/admin/v1/audit/export", NULL, NULL, 200);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        ck_assert_msg(!strstr(buf_str(&rig.last.body), secrets[i]), "secret %zu is audited", i);
}
END_TEST

/* ---- disks and ends --------------------------------------------------------------------------- */

/* No file of this process grows beyond `bytes` from now on: a disk that is full. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_full_disk_refuses_changes_and_recovers)
{
    const char *user = admin_path("users/%" PRId64, rig.person[BY_OTHER].id);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(4096);
    admin_refused(&rig, BY_ADMIN, "PATCH", user, "If-Match: \"1\"\r\n", "{\"name\":\"Olga\"}", 503,
                  "storage_failed");
    admin_refused(&rig, BY_ADMIN, "POST", "/admin/v1/departments", NULL, "{\"name\":\"New\"}", 503,
                  "storage_failed");
    admin_expect(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    ck_assert_int_eq(admin_etag(&rig), 1);
    admin_refused(&rig, BY_USER, "POST", CHAT, NULL, HELLO, 503, "storage_failed");
    limit_files(RLIM_INFINITY);
    admin_expect(&rig, BY_ADMIN, "PATCH", user, "If-Match: \"1\"\r\n", "{\"name\":\"Olga\"}", 200);
    admin_expect(&rig, BY_ADMIN, "POST", "/admin/v1/departments", NULL, "{\"name\":\"New\"}", 201);
}
END_TEST

/* Every page but the first, in the database and in what waits to get into it. */
static void damage(const char *database, const char *suffix)
{
    enum { PAGE = 4096 };
    char path[4096];
    uint8_t junk[PAGE];
    struct stat st;
    snprintf(path, sizeof path, "%s%s", database, suffix);
    memset(junk, 0x5a, sizeof junk);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0 && !fstat(fd, &st), "%s", path);
    for (off_t at = PAGE; at < st.st_size; at += PAGE)
        ck_assert_int_eq(pwrite(fd, junk, sizeof junk, at), PAGE);
    close(fd);
}

START_TEST(a_database_damaged_under_the_server_is_told_as_such)
{
    static const char *const paths[] = {
        "/admin/v1/usage/requests?from=2026-01-01&to=2036-01-01", "/admin/v1/calendars",
        "/admin/v1/templates", "/admin/v1/audit", "/admin/v1/users", "/admin/v1/departments"};
    unsigned refused = 0;
    struct http_options opt = test_options();
    struct test_server s;
    struct capture c;
    test_server_start(&s, &opt, TEST_DATA);
    capture_begin(&c);
    damage(s.service->database, "");
    damage(s.service->database, "-wal");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct http_client client;
        struct http_reply reply;
        char request[256];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", paths[i]);
        http_client_open_local(&client, s.socket);
        ck_assert(http_client_puts(&client, request));
        http_client_read(&client, &reply, false, 20000);
        ck_assert_msg(reply.status == 200 || reply.status == 503, "%s: %d: %s", paths[i],
                      reply.status, buf_str(&reply.body)); /* 200: from memory */
        if (reply.status == 503) {
            ck_assert_ptr_nonnull(strstr(buf_str(&reply.body), "storage_failed"));
            refused++;
        }
        http_reply_release(&reply);
        http_client_close(&client);
    }
    char *log = capture_end(&c);
    ck_assert_uint_ge(refused, 1);
    ck_assert_msg(strstr(log, "act failed code=damaged") != NULL, "%s", log);
    free(log);
    test_server_stop(&s);
}
END_TEST

/* The server ends while requests of all kinds are on their way: nothing hangs, nothing leaks. */
START_TEST(an_end_in_the_middle_ends_everything)
{
    enum { OPEN = 24 };
    struct http_client c[OPEN];
    struct buf text;
    buf_init(&text, 1 << 16);
    for (int i = 0; i < OPEN; i++) {
        buf_clear(&text);
        switch (i % 4) {
        case 0:
            http_write_post(&text, CHAT, rig.person[BY_USER].key,
                            "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                            "\"#tokens=4000#us=1000#\"}],\"max_tokens\":4000}");
            break;
        case 1:
            http_write_post(&text, "/admin/v1/login", NULL,
                            "{\"login\":\"anna.admin\",\"password\":\"guess\"}");
            break;
        case 2:
            buf_printf(&text, "POST /admin/v1/departments HTTP/1.1\r\nHost: localhost\r\n"
                       "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: 13\r\n\r\n{\"name\":\"D%02d\"}", rig.person[BY_ADMIN].key, i);
            break;
        default:
            http_write_post(&text, CHAT, rig.person[BY_USER].key, HELLO);
            break;
        }
        http_client_open(&c[i], rig.server.port);
        ck_assert(http_client_send(&c[i], buf_str(&text), text.len));
    }
    ck_assert(http_client_wait_for(&c[0], "data: ", 20000));
    uint64_t begin = clock_now_us();
    admin_rig_close(&rig);
    ck_assert_uint_lt((clock_now_us() - begin) / 1000, STALL_MS);
    for (int i = 0; i < OPEN; i++)
        http_client_close(&c[i]);
    buf_release(&text);
}
END_TEST

/* ---- hosts ------------------------------------------------------------------------------------ */

/* A page that calls itself this server by a name of its own must not get an answer to read. */
START_TEST(names_of_strangers_are_refused_on_every_port_for_browsers)
{
    static const char *const hosts[] = {"evil.example", "localhost.evil.example", "127.0.0.1.evil",
                                        "intranet.example.evil", "[::2]", "0.0.0.0"};
    struct http_options opt = test_options();
    struct test_server s;
    int admin_port, ports[2];
    opt.loopback_hosts_only = true;
    opt.allowed_hosts = "intranet.example";
    opt.admin_fd = test_listen(&admin_port);
    test_server_start(&s, &opt, TEST_DATA);
    ports[0] = s.port;
    ports[1] = admin_port;
    static const char *const paths[] = {"/v1/models", "/admin/v1/me"};
    for (int p = 0; p < 2; p++)
        for (size_t i = 0; i <= sizeof hosts / sizeof hosts[0]; i++) {
            bool stranger = i < sizeof hosts / sizeof hosts[0];
            struct http_client c;
            struct http_reply reply;
            char request[256];
            snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", paths[p],
                     stranger ? hosts[i] : "Intranet.example:8443");
            http_client_open(&c, ports[p]);
            ck_assert(http_client_puts(&c, request));
            http_client_read(&c, &reply, false, 20000);
            ck_assert_msg(reply.status == (stranger ? 403 : 401), "port %d, %s: %d", p,
                          stranger ? hosts[i] : "own", reply.status);
            http_reply_release(&reply);
            http_client_close(&c);
        }
    test_server_stop(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin_faults");
    TCase *tc = tcase_create("faults"), *ends = tcase_create("ends"), *hosts = tcase_create("hosts"),
          *damaged = tcase_create("damaged");
    tcase_add_checked_fixture(tc, attack_setup, attack_teardown);
    tcase_add_test(tc, of_changes_to_one_revision_one_wins);
    tcase_add_test(tc, of_new_ones_with_one_name_one_wins);
    tcase_add_test(tc, the_last_administrator_survives_a_race);
    tcase_add_test(tc, of_approvers_one_is_heard);
    tcase_add_test(tc, a_label_is_moved_while_it_is_deleted);
    tcase_add_test(tc, logins_at_once_are_counted);
    tcase_add_test(tc, a_key_ends_for_all_at_once);
    tcase_add_test(tc, the_first_administrator_is_made_once);
    tcase_add_test(tc, a_crowd_at_the_door_stalls_nobody_inside);
    tcase_add_test(tc, secrets_are_neither_logged_nor_repeated);
    tcase_add_test(tc, secrets_are_not_in_the_files);
    tcase_add_test(tc, a_full_disk_refuses_changes_and_recovers);
    tcase_add_test(tc, a_test_set_ends_with_its_key_and_its_person);
    suite_add_tcase(s, tc);
    TCase *directory = tcase_create("directory");
    tcase_add_checked_fixture(directory, hanging_setup, hanging_teardown);
    tcase_add_test(directory, a_directory_that_hangs_keeps_no_local_administrator_out);
    suite_add_tcase(s, directory);
    tcase_add_checked_fixture(ends, attack_setup, NULL);
    tcase_add_test(ends, an_end_in_the_middle_ends_everything);
    suite_add_tcase(s, ends);
    tcase_add_test(hosts, names_of_strangers_are_refused_on_every_port_for_browsers);
    suite_add_tcase(s, hosts);
    tcase_add_test(damaged, a_database_damaged_under_the_server_is_told_as_such);
    suite_add_tcase(s, damaged);
    return admin_main(s);
}
