/* What real requests leave behind: kept texts, and the versions that a canary gave them. */
#include <config.h>

#include "admin_browser.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "usage/ledger.h"

static struct admin_rig rig;

static void setup(void)
{
    admin_rig_open(&rig);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

static json_t *get(enum admin_who who, const char *path)
{
    return admin_call(&rig, who, "GET", path, NULL, NULL, 200);
}

static size_t count(const json_t *v)
{
    return json_array_size(admin_at(v, "data"));
}

/* ---- kept texts ------------------------------------------------------------------------------- */

#define SECRET "gasket 17 垫片"

/* A chat by BY_USER; the id of its row in `id`. */
static void chat(char id[64])
{
    json_t *v = admin_call(&rig, BY_USER, "POST", "/v1/chat/completions", NULL,
                           "{\"messages\":[{\"role\":\"user\",\"content\":\"" SECRET
                           " #reply=thick enough#\"}]}", 200);
    json_decref(v);
    char value[60];
    ck_assert(http_reply_header(&rig.last, "X-Request-Id", value, sizeof value));
    v = get(BY_USER, "/admin/v1/usage/requests?limit=1");
    snprintf(id, 64, "%s", admin_text(v, "data/0/request_id"));
    ck_assert_msg(strstr(id, value) != NULL, "%s, %s", id, value);
    json_decref(v);
}

static void keep_texts(bool keep, int days)
{
    const char *path = admin_path("departments/%" PRId64, rig.line3);
    admin_expect(&rig, BY_ADMIN, "GET", path, NULL, NULL, 200);
    admin_expect(&rig, BY_ADMIN, "PATCH", path, admin_if_match(admin_etag(&rig)),
                 admin_body("{s:b, s:i}", "keep_prompts", keep, "keep_days", days), 200);
}

/* Whether the files of the database hold these bytes anywhere. */
static bool on_disk(const char *what)
{
    static const char *const ends[] = {"", "-wal"};
    static char all[8 << 20];
    bool found = false;
    for (int i = 0; i < 2; i++) {
        char path[400];
        snprintf(path, sizeof path, "%s%s", rig.server.service->database, ends[i]);
        FILE *f = fopen(path, "rb");
        size_t n = f ? fread(all, 1, sizeof all, f) : 0;
        ck_assert_uint_lt(n, sizeof all);
        if (f)
            fclose(f);
        found = found || memmem(all, n, what, strlen(what)) != NULL;
    }
    return found;
}

static const char *text_path(const char *id)
{
    return admin_path("usage/requests/%s/text", id);
}

START_TEST(texts_are_kept_where_the_policy_says_so)
{
    char id[64];
    chat(id); /* nobody keeps anything yet */
    admin_refused(&rig, BY_ADMIN, "GET", text_path(id), "X-Reason: audit\r\n", NULL, 404,
                  "not_found");
    keep_texts(true, 3);
    chat(id);
    ck_assert(!on_disk(SECRET) && !on_disk("thick enough"));
    admin_refused(&rig, BY_ADMIN, "GET", text_path(id), NULL, NULL, 400, "invalid_value");
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", text_path(id),
                           "X-Reason: %E6%8A%95%E8%AF%89 7\r\n", NULL, 200);
    ck_assert_str_eq(admin_text(v, "request_id"), id);
    json_t *text = json_loads(admin_text(v, "text"), 0, NULL);
    ck_assert_str_eq(admin_text(text, "messages/0/content"), SECRET " #reply=thick enough#");
    ck_assert_str_eq(admin_text(text, "answer"), "thick enough");
    json_decref(text);
    json_decref(v);
    v = get(BY_AUDITOR, "/admin/v1/audit?action=text.read");
    ck_assert_uint_eq(count(v), 1);
    ck_assert_str_eq(admin_text(v, "data/0/object_id"), id);
    ck_assert_str_eq(admin_text(v, "data/0/reason"), "投诉 7");
    ck_assert_str_eq(admin_text(v, "data/0/actor"), "anna.admin");
    json_decref(v);
    static const enum admin_who others[] = {BY_USER, BY_AUDITOR, BY_EDITOR, BY_OTHER};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        admin_refused(&rig, others[i], "GET", text_path(id), "X-Reason: x\r\n", NULL, 403,
                      "not_allowed");
    admin_refused(&rig, BY_ADMIN, "GET", text_path("req_none"), "X-Reason: x\r\n", NULL, 404,
                  "not_found");
    keep_texts(false, 3); /* from now on */
    admin_expect(&rig, BY_ADMIN, "GET", text_path(id), "X-Reason: x\r\n", NULL, 200);
    chat(id);
    admin_refused(&rig, BY_ADMIN, "GET", text_path(id), "X-Reason: x\r\n", NULL, 404, "not_found");
}
END_TEST

static void purge_at(int64_t now_s, uint64_t texts)
{
    static const struct audit_actor actor = {.name = "seekd", .address = "local", .request_id = ""};
    const struct service *s = rig.server.service;
    struct ledger_purged p;
    struct err e = ERR_INIT;
    ck_assert_msg(ledger_purge(s->ledger, &s->retention, &actor, now_s, &p, &e), "%s", e.msg);
    ck_assert_uint_eq(p.texts, texts);
    ck_assert_uint_eq(p.rows, 0);
}

START_TEST(policies_that_cannot_be_are_named)
{
    static const struct {
        const char *body, *field;
    } bad[] = {{"{\"keep_days\":0}", "keep_days"},       {"{\"keep_days\":3651}", "keep_days"},
               {"{\"keep_days\":\"3\"}", "keep_days"},   {"{\"keep_days\":2.5}", "keep_days"},
               {"{\"keep_prompts\":1}", "keep_prompts"}, {"{\"保留\":true}", "保留"}};
    const char *path = admin_path("departments/%" PRId64, rig.line3);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(1), bad[i].body, 400);
        ck_assert_str_eq(admin_text(v, "error/param"), bad[i].field);
        json_decref(v);
    }
}
END_TEST

START_TEST(texts_go_when_their_time_is_over)
{
    char id[64];
    keep_texts(true, 3);
    chat(id);
    purge_at(clock_wall_s() + 3 * 86400 - 60, 0);
    admin_expect(&rig, BY_ADMIN, "GET", text_path(id), "X-Reason: x\r\n", NULL, 200);
    purge_at(clock_wall_s() + 3 * 86400 + 60, 1);
    admin_refused(&rig, BY_ADMIN, "GET", text_path(id), "X-Reason: x\r\n", NULL, 404, "not_found");
    json_t *v = get(BY_ADMIN, "/admin/v1/usage/requests"); /* the row stays */
    ck_assert_uint_eq(count(v), 1);
    json_decref(v);
    v = get(BY_AUDITOR, "/admin/v1/audit?action=usage.purge");
    ck_assert_int_eq(admin_number(v, "data/0/after/texts"), 1);
    json_decref(v);
}
END_TEST

START_TEST(persons_are_forgotten)
{
    char id[64];
    keep_texts(true, 3);
    chat(id);
    chat(id);
    const char *path = admin_path("users/%" PRId64 "/forget", rig.person[BY_USER].id);
    admin_refused(&rig, BY_AUDITOR, "POST", path, NULL, "{}", 403, "not_allowed");
    admin_refused(&rig, BY_USER, "POST", path, NULL, "{}", 403, "not_allowed");
    admin_refused(&rig, BY_ADMIN, "POST", path, NULL, NULL, 400, "invalid_value");
    for (int left = 2; left >= 0; left -= 2) { /* nothing went without a reason */
        json_t *d = admin_call(&rig, BY_ADMIN, "POST", path, "X-Reason: asked\r\n", NULL, 200);
        ck_assert_int_eq(admin_number(d, "deleted"), left);
        json_decref(d);
    }
    admin_refused(&rig, BY_ADMIN, "GET", text_path(id), "X-Reason: x\r\n", NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "POST", "/admin/v1/users/999999/forget", NULL, NULL, 404,
                  "not_found");
    json_t *v = get(BY_USER, "/v1/usage/me");
    ck_assert_int_eq(admin_number(v, "data/0/requests"), 2); /* the rows stay */
    json_decref(v);
}
END_TEST

/* ---- canaries --------------------------------------------------------------------------------- */

#define LABEL "/admin/v1/templates/canary/labels/staging"
enum { CALLERS = 60 };

static int64_t callers[CALLERS]; /* ids of keys */
static char caller_key[CALLERS][KEY_TEXT];

/* A template whose versions 1 and 2 answer with their number, staging on the first; many keys. */
static void make_canary(void)
{
    static const char version[] =
        "{%s\"note\":\"n\",\"content\":{\"messages\":[{\"role\":\"user\",\"content\":"
        "\"#reply=%d#\"}]}}";
    const struct audit_actor actor = {.name = "rig", .address = "local", .request_id = ""};
    struct key_spec spec = {.name = "c", .scopes = SCOPE_INFER | SCOPE_TEMPLATES};
    struct err e = ERR_INIT;
    char body[300];
    snprintf(body, sizeof body, version, "\"name\":\"canary\",", 1);
    admin_expect(&rig, BY_EDITOR, "POST", "/admin/v1/templates", NULL, body, 201);
    snprintf(body, sizeof body, version, "", 2);
    admin_expect(&rig, BY_EDITOR, "GET", "/admin/v1/templates/canary", NULL, NULL, 200);
    admin_expect(&rig, BY_EDITOR, "POST", "/admin/v1/templates/canary/versions",
                 admin_if_match(admin_etag(&rig)), body, 201);
    admin_expect(&rig, BY_EDITOR, "PUT", LABEL, NULL, "{\"number\":1}", 200);
    for (int i = 0; i < CALLERS; i++)
        ck_assert_msg(key_create(rig.server.service->auth, &actor, rig.person[BY_USER].id, &spec,
                                 &callers[i], caller_key[i], &e), "%s", e.msg);
}

static void set_canary(int64_t revision, const char *body)
{
    admin_expect(&rig, BY_EDITOR, "PUT", LABEL "/canary", admin_if_match(revision), body, 200);
}

/* The version that a call was given, which its answer, the text of the model and the newest row of
 * that key in the ledger all say. */
static int version_of(const char *key, int64_t key_id)
{
    char header[120];
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", key);
    json_t *v = admin_call(&rig, BY_NOBODY, "POST", "/v1/chat/completions", header,
                           "{\"prompt\":{\"id\":\"canary\",\"label\":\"staging\"}}", 200);
    int version = (int)strtol(admin_text(v, "prompt/version"), NULL, 10);
    ck_assert_str_eq(admin_text(v, "choices/0/message/content"), admin_text(v, "prompt/version"));
    json_decref(v);
    v = get(BY_ADMIN, admin_path("usage/requests?limit=1&key_id=%" PRId64, key_id));
    ck_assert_int_eq(admin_number(v, "data/0/template_version"), version);
    ck_assert_str_eq(admin_text(v, "data/0/template_label"), "staging");
    json_decref(v);
    return version;
}

/* Callers whom the canary reaches, whose bits are set in `who`. */
static unsigned run_callers(bool who[CALLERS])
{
    unsigned n = 0;
    for (int i = 0; i < CALLERS; i++) {
        who[i] = version_of(caller_key[i], callers[i]) == 2;
        n += who[i];
    }
    return n;
}

/* A share of the callers: about as large as it was set, the same ones every time, and when it grows
 * those who are in stay in. */
START_TEST(a_canary_by_weight_shows_in_the_ledger)
{
    bool first[CALLERS], again[CALLERS], more[CALLERS];
    make_canary();
    ck_assert_uint_eq(run_callers(first), 0);
    set_canary(1, "{\"number\":2,\"permille\":300}");
    unsigned n = run_callers(first);
    ck_assert_uint_ge(n, 8); /* of 18, four standard deviations away at most */
    ck_assert_uint_le(n, 32);
    ck_assert_uint_eq(run_callers(again), n);
    ck_assert(!memcmp(first, again, sizeof first));
    set_canary(2, "{\"number\":2,\"permille\":600}");
    unsigned m = run_callers(more);
    ck_assert_uint_gt(m, n);
    for (int i = 0; i < CALLERS; i++)
        ck_assert(!first[i] || more[i]);
    set_canary(3, "{\"number\":2,\"permille\":1000}");
    ck_assert_uint_eq(run_callers(again), CALLERS);
    set_canary(4, "{\"number\":0}");
    ck_assert_uint_eq(run_callers(again), 0);
    json_t *v = get(BY_ADMIN, "/admin/v1/usage/totals?by=template");
    ck_assert_str_eq(admin_text(v, "data/1/name"), "canary");
    ck_assert_int_eq(admin_number(v, "data/0/requests"), 6 * CALLERS - 2 * n - m - CALLERS);
    ck_assert_int_eq(admin_number(v, "data/1/version"), 2);
    ck_assert_int_eq(admin_number(v, "data/1/requests"), 2 * n + m + CALLERS);
    json_decref(v);
}
END_TEST

START_TEST(a_canary_by_department_shows_in_the_ledger)
{
    static const enum admin_who who[] = {BY_USER, BY_EDITOR, BY_SERVICE, BY_OTHER};
    make_canary();
    set_canary(1, admin_body("{s:i, s:I}", "number", 2, "department_id", (json_int_t)rig.line3));
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof who / sizeof who[0]; i++)
            ck_assert_int_eq(version_of(rig.person[who[i]].key, rig.person[who[i]].key_id),
                             who[i] == BY_USER ? 2 : 1);
    json_t *v = get(BY_ADMIN,
                    admin_path("usage/totals?by=template&department_id=%" PRId64, rig.line3));
    ck_assert_uint_eq(count(v), 1);
    ck_assert_int_eq(admin_number(v, "data/0/version"), 2);
    ck_assert_int_eq(admin_number(v, "data/0/requests"), 3);
    json_decref(v);
    v = get(BY_ADMIN, "/admin/v1/usage/totals?by=template");
    ck_assert_int_eq(admin_number(v, "data/0/version"), 1);
    ck_assert_int_eq(admin_number(v, "data/0/requests"), 9);
    ck_assert_int_eq(admin_number(v, "data/1/requests"), 3);
    json_decref(v);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin ledger");
    TCase *tc = tcase_create("texts");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, texts_are_kept_where_the_policy_says_so);
    tcase_add_test(tc, policies_that_cannot_be_are_named);
    tcase_add_test(tc, texts_go_when_their_time_is_over);
    tcase_add_test(tc, persons_are_forgotten);
    suite_add_tcase(s, tc);
    tc = tcase_create("canary");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_canary_by_weight_shows_in_the_ledger);
    tcase_add_test(tc, a_canary_by_department_shows_in_the_ledger);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
