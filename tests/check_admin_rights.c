/* Attacks on administration over HTTP by who asks: credentials given twice or cut, sessions planted or
 * ended, tokens of others, more rights than one has, objects of others. */
#include <config.h>

#include "admin_attack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth/authority.h"
#include "auth/lockout.h"
#include "auth/people.h"
#include "service/service.h"
#include "store/store.h"

/* ---- credentials ------------------------------------------------------------------------------ */

START_TEST(credentials_are_given_once_and_whole)
{
    static const struct {
        const char *format; /* %s: the administrator's key */
        int status;
    } cases[] = {
        {"Authorization: Bearer %1$s\r\nAuthorization: Bearer %1$s\r\n", 400},
        {"Authorization: Bearer %1$s\r\nX-Api-Key: %1$s\r\n", 400},
        {"X-Api-Key: %1$s\r\nx-api-key: %1$s\r\n", 400},
        {"Authorization: Bearer\r\n", 401},
        {"Authorization: Bearer \r\n", 401},
        {"Authorization: %1$s\r\n", 401},
        {"Authorization: Token %1$s\r\n", 401},
        {"Authorization: Bearer %1$s x\r\n", 401},
        {"Authorization: Bearer %1$.20s\r\n", 401},
        {"Authorization: Bearer \"%1$s\"\r\n", 401},
        {"Authorization: Bearer %1$sA\r\n", 401},
        {"Authorization: Basic\r\n", 401},
        {"Authorization: Basic \r\n", 401},
        {"Authorization: Basic !!!!\r\n", 401},
        {"Authorization: Basic =\r\n", 401},
        {"Authorization: Basic YQ\r\n", 401},     /* "a", no colon */
        {"Authorization: Basic Og==\r\n", 401},   /* ":" */
        {"Authorization: Basic OgA=\r\n", 401},   /* ":" and NUL */
        {"Authorization: Basic /////w==\r\n", 401},
        {"Authorization: Basic %1$s\r\n", 401},
        {"Cookie: seekd_session=%1$s\r\n", 401},
        {"X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Real-IP: ::1\r\n", 401},
        {"X-Forwarded-User: anna.admin\r\nRemote-User: anna.admin\r\n", 401},
    };
    char headers[1024];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(headers, sizeof headers, cases[i].format, rig.person[BY_ADMIN].key);
#pragma GCC diagnostic pop
        admin_send(&rig, BY_NOBODY, "GET", "/admin/v1/users", headers, NULL);
        ck_assert_msg(rig.last.status == cases[i].status, "%s: %d %s", headers, rig.last.status,
                      buf_str(&rig.last.body));
        ck_assert_ptr_null(strstr(buf_str(&rig.last.body), rig.person[BY_ADMIN].key));
    }
}
END_TEST

/* Whoever can plant a cookie beside the browser's own must not choose whose session counts. */
START_TEST(two_sessions_are_none)
{
    struct session_secret admin, user;
    char headers[512];
    attack_session(BY_ADMIN, &admin);
    attack_session(BY_USER, &user);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\n", admin.token);
    admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/users", headers, NULL, 200);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s; seekd_session=%s\r\n", admin.token,
             user.token);
    attack_refused(BY_NOBODY, "GET", "/admin/v1/me", headers, NULL);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s;seekd_session=x\r\n", user.token);
    attack_refused(BY_NOBODY, "GET", "/admin/v1/me", headers, NULL);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nCookie: seekd_session=%s\r\n",
             admin.token, user.token);
    attack_refused(BY_NOBODY, "GET", "/admin/v1/me", headers, NULL);
}
END_TEST

START_TEST(a_key_beside_a_cookie_is_the_key)
{
    struct session_secret admin;
    char headers[512];
    attack_session(BY_ADMIN, &admin);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n",
             admin.token, admin.csrf);
    json_t *v = admin_call(&rig, BY_USER, "GET", "/admin/v1/me", headers, NULL, 200);
    ck_assert_int_eq(admin_number(v, "id"), rig.person[BY_USER].id);
    ck_assert_ptr_null(admin_at(v, "csrf_token"));
    json_decref(v);
    admin_expect(&rig, BY_USER, "POST", "/admin/v1/users", headers, "{}", 403);
    admin_expect(&rig, BY_USER, "POST", "/admin/v1/me/password", headers,
                 "{\"current\":\"a\",\"new\":\"b\"}", 403);
    admin_expect(&rig, BY_USER, "POST", "/admin/v1/logout", headers, NULL, 204);
    admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/users", headers, NULL, 200);
}
END_TEST

START_TEST(tokens_of_other_sessions_do_not_count)
{
    struct session_secret mine, other;
    char headers[512];
    const char *body = admin_body("{s:s}", "name", "Evil");
    attack_session(BY_ADMIN, &mine);
    attack_session(BY_ADMIN, &other);
    const char *const tokens[] = {other.csrf, mine.token, other.token, "", "undefined"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n",
                 mine.token, tokens[i]);
        admin_refused(&rig, BY_NOBODY, "POST", "/admin/v1/departments", headers, body, 403,
                      "csrf_token_missing");
    }
    snprintf(headers, sizeof headers,
             "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\nX-CSRF-Token: %s\r\n", mine.token,
             other.csrf, mine.csrf);
    attack_refused(BY_NOBODY, "POST", "/admin/v1/departments", headers, body);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n",
             mine.token, mine.csrf);
    admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/departments", headers, body, 201);
}
END_TEST

/* A cookie that somebody planted before the login is not the session after it. */
START_TEST(a_login_takes_no_token_that_was_there_before)
{
    struct browser b;
    char planted[TOKEN_TEXT], headers[256], cookie[512];
    browser_enter(&b, &rig, BY_USER, PASSWORD);
    memset(planted, 'A', TOKEN_CHARS);
    planted[TOKEN_CHARS] = '\0';
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\n", planted);
    admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/login", headers,
                 admin_body("{s:s, s:s}", "login", rig.person[BY_USER].login, "password", PASSWORD),
                 200);
    ck_assert(http_reply_header(&rig.last, "Set-Cookie", cookie, sizeof cookie));
    ck_assert_ptr_null(strstr(cookie, planted));
    ck_assert_ptr_null(strstr(cookie, b.token));
    admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/me", headers, NULL, 401);
}
END_TEST

START_TEST(local_routes_stay_local)
{
    struct buf path;
    const struct route *r;
    buf_init(&path, 1 << 16);
    for (size_t i = 0; (r = route_at(i)); i++) {
        if (r->access != ROUTE_LOCAL)
            continue;
        attack_path(r, 0, NULL, &path);
        for (int who = 0; who < BY_PERSONS; who++)
            attack_refused((enum admin_who)who, r->method, buf_str(&path),
                        "X-Forwarded-For: local\r\n", r->body_bytes ? "{}" : NULL);
    }
    buf_release(&path);
}
END_TEST

/* ---- sessions end ----------------------------------------------------------------------------- */

static void expect_session(const struct session_secret *s, bool open)
{
    admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/me", attack_cookie(s->token, NULL), NULL,
                 open ? 200 : 401);
}

static bool age_sessions(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, ctx, &st, e))
        return false;
    store_bind_int(st, 0, session_clock_s());
    return store_run(db, st, NULL, e);
}

START_TEST(sessions_end_by_time)
{
    static const struct {
        const char *change; /* ?1: now */
        bool open;
    } cases[] = {
        {"UPDATE session SET seen_at = ?1 - 1795", true},
        {"UPDATE session SET seen_at = ?1 - 1801", false},
        {"UPDATE session SET created_at = ?1 - 28700, ends_at = ?1 + 100", true},
        {"UPDATE session SET created_at = ?1 - 28801, ends_at = ?1 - 1", false},
        {"UPDATE session SET seen_at = ?1 + 3600", false}, /* from the future */
    };
    struct err e = ERR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct session_secret s;
        attack_session(BY_USER, &s);
        ck_assert_msg(store_write(rig.server.service->store, age_sessions,
                                  (void *)(uintptr_t)cases[i].change, &e), "%s", e.msg);
        expect_session(&s, cases[i].open);
        expect_session(&s, cases[i].open);
        admin_expect(&rig, BY_ADMIN, "DELETE",
                     admin_path("users/%" PRId64 "/sessions", rig.person[BY_USER].id), NULL, NULL,
                     200);
        expect_session(&s, false);
    }
}
END_TEST

START_TEST(sessions_end_with_what_they_stood_on)
{
    struct session_secret one, other;
    char once[PASSWORD_ONE_TIME_TEXT];
    const char *user = admin_path("users/%" PRId64, rig.person[BY_EDITOR].id);
    attack_session(BY_EDITOR, &one); /* a logout ends one */
    attack_session(BY_EDITOR, &other);
    admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/logout", attack_cookie(one.token, one.csrf),
                 NULL, 204);
    expect_session(&one, false);
    expect_session(&other, true);
    admin_reset_password(&rig, rig.person[BY_EDITOR].id, once); /* a password ends all */
    expect_session(&other, false);
    attack_session(BY_EDITOR, &one); /* so does a role that is taken away */
    admin_expect(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    int64_t revision = admin_etag(&rig);
    static const char *const changes[] = {"{\"roles\":[\"user\"]}", "{\"disabled\":true}",
                                          "{\"disabled\":false}"};
    for (int i = 0; i < 3; i++) {
        admin_expect(&rig, BY_ADMIN, "PATCH", user, admin_if_match(revision + i), changes[i], 200);
        expect_session(&one, false);
        if (i == 0)
            attack_session(BY_EDITOR, &one);
    }
}
END_TEST

/* ---- guessing --------------------------------------------------------------------------------- */

/* Strangers from everywhere use up what an hour has; whoever sits at the machine lifts that, and the
 * administrator gets in. */
START_TEST(guesses_lock_the_last_administrator_out_for_no_longer_than_one_likes)
{
    const struct auth *a = rig.server.service->auth;
    struct browser b;
    struct err e = ERR_INIT;
    int64_t wait_s = 0;
    char address[32];
    browser_enter(&b, &rig, BY_ADMIN, PASSWORD);
    for (int i = 0; i < LOCKOUT_ACCOUNT && !wait_s; i++) {
        snprintf(address, sizeof address, "10.0.%d.%d", i / 4, i % 4);
        ck_assert(lockout_begin(a, rig.person[BY_ADMIN].login, address, session_clock_s(), &wait_s,
                                &e));
        ck_assert_int_eq(wait_s, 0);
    }
    ck_assert_int_eq(browser_try(&rig, rig.person[BY_ADMIN].login, PASSWORD), 429);
    browser_expect(&b, "GET", "/admin/v1/users", NULL, NULL, 200); /* who is in stays in */
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/users", NULL, NULL, 200); /* and keys work */
    admin_expect(&rig, BY_LOCAL, "POST",
                 admin_path("users/%" PRId64 "/unlock", rig.person[BY_ADMIN].id), NULL, NULL, 200);
    browser_login(&b, &rig, rig.person[BY_ADMIN].login, PASSWORD);
}
END_TEST

/* ---- more rights than one has ----------------------------------------------------------------- */

START_TEST(nobody_raises_themselves)
{
    static const enum admin_who small[] = {BY_EDITOR, BY_APPROVER, BY_AUDITOR, BY_USER, BY_SERVICE};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        enum admin_who who = small[i];
        const char *self = admin_path("users/%" PRId64, rig.person[who].id);
        attack_refused(who, "PATCH", self, "If-Match: \"1\"\r\n", "{\"roles\":[\"admin\"]}");
        attack_refused(who, "PATCH", self, "If-Match: \"1\"\r\n", "{\"disabled\":false}");
        attack_refused(who, "PATCH", self, "If-Match: \"1\"\r\n",
                    admin_body("{s:I}", "department_id", (json_int_t)rig.office));
        attack_refused(who, "POST", "/admin/v1/keys", NULL,
                    "{\"name\":\"x\",\"scopes\":[\"admin\"]}");
        attack_refused(who, "POST", "/admin/v1/keys", NULL,
                    admin_body("{s:I, s:s, s:[s]}", "person_id",
                               (json_int_t)rig.person[BY_ADMIN].id, "name", "x", "scopes", "usage"));
        attack_refused(who, "PATCH", admin_path("keys/%" PRId64, rig.person[who].key_id),
                    "If-Match: \"1\"\r\n", "{\"networks\":null}");
        attack_refused(who, "POST",
                    admin_path("users/%" PRId64 "/password-reset", rig.person[BY_ADMIN].id), NULL,
                    NULL);
    }
}
END_TEST

START_TEST(a_session_makes_no_key_beyond_its_roles)
{
    static const char *const scopes[] = {"edit", "audit", "admin"};
    struct session_secret mine;
    char headers[256];
    attack_session(BY_USER, &mine);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n",
             mine.token, mine.csrf);
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++)
        admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/keys", headers,
                     admin_body("{s:s, s:[s, s]}", "name", "x", "scopes", "infer", scopes[i]), 400);
    for (int who = 0; who < BY_PERSONS; who++)
        admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/keys", headers,
                     admin_body("{s:I, s:s, s:[s]}", "person_id", (json_int_t)rig.person[who].id,
                                "name", "x", "scopes", "infer"), who == BY_USER ? 201 : 404);
}
END_TEST

START_TEST(services_and_the_disabled_do_not_log_in)
{
    char once[PASSWORD_ONE_TIME_TEXT], header[64];
    const char *other = admin_path("users/%" PRId64, rig.person[BY_OTHER].id);
    admin_reset_password(&rig, rig.person[BY_OTHER].id, once);
    admin_expect(&rig, BY_ADMIN, "GET", other, NULL, NULL, 200);
    snprintf(header, sizeof header, "%s", admin_if_match(admin_etag(&rig)));
    admin_expect(&rig, BY_ADMIN, "PATCH", other, header, "{\"disabled\":true}", 200);
    ck_assert_int_eq(browser_try(&rig, rig.person[BY_OTHER].login, once), 401);
    struct buf words;
    buf_init(&words, 1 << 16);
    buf_append(&words, rig.last.body.data, rig.last.body.len);
    ck_assert_int_eq(browser_try(&rig, rig.person[BY_SERVICE].login, once), 401);
    ck_assert_str_eq(buf_str(&rig.last.body), buf_str(&words));
    ck_assert_int_eq(browser_try(&rig, "nobody.at.all", once), 401);
    ck_assert_str_eq(buf_str(&rig.last.body), buf_str(&words));
    ck_assert_int_eq(browser_try(&rig, rig.person[BY_ADMIN].login, "wrong"), 401);
    ck_assert_str_eq(buf_str(&rig.last.body), buf_str(&words));
    attack_refused(BY_ADMIN, "POST",
                admin_path("users/%" PRId64 "/password-reset", rig.person[BY_SERVICE].id), NULL,
                NULL);
    buf_release(&words);
}
END_TEST

/* A key of a person, made by the administrator: `more` is a member of its JSON. */
static void narrow_key(enum admin_who who, const char *scopes, const char *more, char text[KEY_TEXT])
{
    char body[512];
    snprintf(body, sizeof body, "{\"person_id\":%" PRId64 ",\"name\":\"n\",\"scopes\":[%s]%s}",
             rig.person[who].id, scopes, more);
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL, body, 201);
    snprintf(text, KEY_TEXT, "%s", admin_text(v, "key"));
    json_decref(v);
}

static const char *bearer(const char *key)
{
    static char header[KEY_TEXT + 32];
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", key);
    return header;
}

START_TEST(a_key_sees_no_other_models)
{
    char key[KEY_TEXT];
    narrow_key(BY_USER, "\"infer\"", ",\"models\":[\"other*\"]", key);
    json_t *v = admin_call(&rig, BY_NOBODY, "GET", "/v1/models", bearer(key), NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 0);
    json_decref(v);
    admin_refused(&rig, BY_NOBODY, "GET", "/v1/models/fake", bearer(key), NULL, 404,
                  "model_not_found");
    admin_refused(&rig, BY_NOBODY, "POST", CHAT, bearer(key), HELLO, 404, "model_not_found");
    narrow_key(BY_USER, "\"infer\"", ",\"models\":[\"fa*\"]", key);
    v = admin_call(&rig, BY_NOBODY, "GET", "/v1/models", bearer(key), NULL, 200);
    ck_assert_str_eq(admin_text(v, "data/0/id"), "fake");
    json_decref(v);
    admin_expect(&rig, BY_NOBODY, "GET", "/v1/models/fake", bearer(key), NULL, 200);
}
END_TEST

/* ---- objects of others ------------------------------------------------------------------------ */

/* What stands for the first parameter: somebody else's, or nobody's. */
static bool foreign(const struct route *r, bool there, char out[64])
{
    const int64_t absent = 999999;
    int64_t id = strstr(r->path, "/departments/") ? rig.office
                 : strstr(r->path, "/keys/")      ? rig.person[BY_OTHER].key_id
                                                  : rig.person[BY_OTHER].id;
    if (strstr(r->path, "/templates/{name}"))
        snprintf(out, 64, "%s", there ? "office" : "absent");
    else if (strstr(r->path, "/{id}"))
        snprintf(out, 64, "%" PRId64, there ? id : absent);
    else
        return false;
    return true;
}

static void say(const char *what, char *out, size_t size)
{
    json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL);
    const char *text = admin_text(v, "error/message"), *at;
    size_t len = strlen(what);
    int n = snprintf(out, size, "%d %s ", rig.last.status, admin_text(v, "error/code"));
    while ((at = strstr(text, what))) {
        n += snprintf(out + n, size - (size_t)n, "%.*s?", (int)(at - text), text);
        text = at + len;
    }
    snprintf(out + n, size - (size_t)n, "%s", text);
    json_decref(v);
}

/* Whoever may not see an object learns nothing of whether it is there. */
START_TEST(objects_of_others_are_like_none)
{
    static const enum admin_who small[] = {BY_USER, BY_EDITOR, BY_APPROVER, BY_SERVICE};
    struct buf path;
    const struct route *r;
    size_t asked = 0, open = 0;
    buf_init(&path, 1 << 16);
    for (size_t k = 0; k < sizeof small / sizeof small[0]; k++) {
        struct session_secret mine;
        char headers[512] = "If-Match: \"1\"\r\n";
        if (small[k] != BY_SERVICE) {
            attack_session(small[k], &mine);
            snprintf(headers, sizeof headers, "If-Match: \"1\"\r\n%s",
                     attack_cookie(mine.token, mine.csrf));
        }
        for (size_t i = 0; (r = route_at(i)); i++) {
            char id[64], said[2][1024];
            if (r->access != ROUTE_OBJECT || !foreign(r, true, id))
                continue;
            for (int there = 0; there < 2; there++) {
                foreign(r, there, id);
                attack_path(r, strstr(r->path, "{kind}") != NULL, id, &path);
                admin_send(&rig, small[k] == BY_SERVICE ? BY_SERVICE : BY_NOBODY, r->method,
                           buf_str(&path), headers,
                           !r->body_bytes ? NULL : strstr(r->path, "review") ? "{\"to\":\"review\"}"
                                                                            : "{}");
                say(id, said[there], sizeof said[there]);
            }
            ck_assert_msg(!strcmp(said[0], said[1]), "%s %s by %d: '%s' for none, '%s' for another's",
                          r->method, r->path, (int)small[k], said[0], said[1]);
            ck_assert_msg(*said[1] == '4', "%s %s: %s", r->method, r->path, said[1]);
            asked++;
            open += !strncmp(said[1], "404", 3);
        }
    }
    printf("objects of others: %zu requests, %zu of them got past the route\n", asked, open);
    ck_assert_uint_ge(open, 30);
    buf_release(&path);
}
END_TEST

/* Every road to the text of a template goes through the same door. */
START_TEST(templates_of_others_have_no_side_doors)
{
    static const char *const chats[] = {
        "{\"prompt\":{\"id\":\"office\",\"version\":1}}",
        "{\"prompt\":{\"id\":\"office\",\"label\":\"production\"}}",
        "{\"prompt\":{\"id\":\"office\",\"version\":\"1\"},\"messages\":[]}"};
    static const char *const includes[] = {
        "{\"name\":\"mine\",\"note\":\"n\",\"content\":{\"messages\":[{\"include\":"
        "{\"name\":\"office\",\"number\":1}}]}}",
        "{\"name\":\"mine\",\"note\":\"n\",\"content\":{\"messages\":[{\"include\":"
        "{\"name\":\"office\",\"label\":\"production\"}}]}}"};
    for (size_t i = 0; i < sizeof chats / sizeof chats[0]; i++) {
        admin_expect(&rig, BY_USER, "POST", CHAT, NULL, chats[i], 404);
        attack_refused(BY_USER, "POST", "/v1/responses", NULL, chats[i]);
    }
    admin_expect(&rig, BY_USER, "POST", "/v1/templates/office/run", NULL, "{\"version\":1}", 404);
    admin_expect(&rig, BY_USER, "GET", "/api/public/v2/prompts/office?version=1", NULL, NULL, 404);
    static const enum admin_who writers[] = {BY_EDITOR, BY_APPROVER};
    for (size_t i = 0; i < 4; i++) {
        attack_refused(writers[i / 2], "POST", "/admin/v1/templates", NULL, includes[i % 2]);
        attack_refused(writers[i / 2], "POST", "/admin/v1/templates/office/fork", NULL,
                       "{\"name\":\"mine\"}");
    }
    admin_send(&rig, BY_EDITOR, "POST", "/admin/v1/templates/lint", NULL,
               "{\"name\":\"mine\",\"content\":{\"messages\":[{\"include\":"
               "{\"name\":\"office\",\"number\":1}}]}}");
    ck_assert_int_eq(rig.last.status, 200);
    ck_assert_ptr_null(strstr(buf_str(&rig.last.body), "hello"));
    json_t *v = admin_call(&rig, BY_EDITOR, "GET", "/admin/v1/templates", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 1);
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET", "/api/public/v2/prompts", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 1);
    json_decref(v);
}
END_TEST

/* What belongs to somebody else is not given away, and nothing to a department that is not there. What
 * an editor makes they may share with any department (registry.h). */
START_TEST(editors_give_away_only_what_is_theirs)
{
    static const char content[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    const struct {
        const char *method, *path, *member;
    } tries[] = {
        {"POST", "/admin/v1/templates", "\"name\":\"a\",\"note\":\"n\",\"department_id\":"},
        {"PATCH", "/admin/v1/templates/works", "\"department_id\":"},
        {"POST", "/admin/v1/templates/works/fork", "\"name\":\"b\",\"department_id\":"},
    };
    const int64_t places[] = {999999, rig.office, 0};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++)
        for (size_t k = 0; k < (!strcmp(tries[i].method, "PATCH") ? 3 : 1); k++) {
            char body[512];
            snprintf(body, sizeof body, "{%s%" PRId64 "%s%s}", tries[i].member, places[k],
                     i ? "" : ",\"content\":", i ? "" : content);
            attack_refused(BY_EDITOR, tries[i].method, tries[i].path, "If-Match: \"1\"\r\n", body);
        }
    attack_refused(BY_APPROVER, "PATCH", "/admin/v1/templates/works", "If-Match: \"1\"\r\n",
                   admin_body("{s:I}", "owner_id", (json_int_t)rig.person[BY_APPROVER].id));
    attack_refused(BY_EDITOR, "POST", "/admin/v1/templates/works/versions/1/review", NULL,
                   "{\"to\":\"approved\",\"evidence\":{\"read\":true},\"without_run\":true}");
    admin_expect(&rig, BY_EDITOR, "GET", "/admin/v1/templates/works", NULL, NULL, 200);
    ck_assert_int_eq(admin_etag(&rig), 1);
}
END_TEST

/* Who is refused learns which role or scope is missing. */
START_TEST(a_refusal_names_what_is_missing)
{
    admin_expect(&rig, BY_USER, "GET", "/admin/v1/audit", NULL, NULL, 403);
    ck_assert_ptr_nonnull(strstr(buf_str(&rig.last.body), "needs the role auditor."));
    admin_expect(&rig, BY_USER, "GET", "/admin/v1/keys", NULL, NULL, 403);
    ck_assert_ptr_nonnull(strstr(buf_str(&rig.last.body), "logged in, not for a key"));
    json_t *made = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                              admin_body("{s:I, s:s, s:[s]}", "person_id",
                                         (json_int_t)rig.person[BY_APPROVER].id, "name", "narrow",
                                         "scopes", "edit"),
                              201);
    snprintf(rig.person[BY_APPROVER].key, KEY_TEXT, "%s", admin_text(made, "key"));
    json_decref(made);
    admin_expect(&rig, BY_APPROVER, "GET", "/admin/v1/departments", NULL, NULL, 403);
    ck_assert_ptr_nonnull(strstr(buf_str(&rig.last.body), "lacks the scope usage."));
}
END_TEST

START_TEST(usage_of_others_is_not_told)
{
    admin_expect(&rig, BY_OTHER, "POST", CHAT, NULL, HELLO, 200);
    char id[64], path[256];
    ck_assert(http_reply_header(&rig.last, "X-Request-Id", id, sizeof id));
    const struct {
        const char *name;
        int64_t id;
    } filters[] = {{"person_id", rig.person[BY_OTHER].id}, {"department_id", rig.office},
                   {"key_id", rig.person[BY_OTHER].key_id}, {"limit", 500}};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        snprintf(path, sizeof path, "/admin/v1/usage/requests?%s=%" PRId64, filters[i].name,
                 filters[i].id);
        admin_send(&rig, BY_USER, "GET", path, NULL, NULL);
        ck_assert_int_lt(rig.last.status, 500);
        ck_assert_msg(!strstr(buf_str(&rig.last.body), id), "%s: %s", path,
                      buf_str(&rig.last.body));
    }
    snprintf(path, sizeof path, "/admin/v1/usage/requests/%s/text", id);
    for (int who = 0; who < BY_PERSONS; who++) /* nothing was kept, whoever asks */
        attack_refused((enum admin_who)who, "GET", path, NULL, NULL);
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", "/admin/v1/usage/requests", NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "data/0/request_id"), id);
    json_decref(v);
}
END_TEST

/* ---- ends in the middle of use ---------------------------------------------------------------- */

static int ask_again(struct http_client *c, const char *request)
{
    struct http_reply r;
    ck_assert(http_client_puts(c, request));
    http_client_read(c, &r, false, 20000);
    int status = r.status;
    http_reply_release(&r);
    return status;
}

START_TEST(a_connection_that_stays_open_opens_nothing)
{
    struct http_client c;
    char request[512];
    snprintf(request, sizeof request,
             "GET /admin/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
             rig.person[BY_OTHER].key);
    http_client_open(&c, rig.server.port);
    ck_assert_int_eq(ask_again(&c, request), 200);
    ck_assert_int_eq(ask_again(&c, "GET /admin/v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n"), 401);
    http_client_close(&c);
    http_client_open(&c, rig.server.port);
    ck_assert_int_eq(ask_again(&c, request), 200);
    admin_expect(&rig, BY_ADMIN, "DELETE",
                 admin_path("keys/%" PRId64, rig.person[BY_OTHER].key_id), NULL, NULL, 200);
    ck_assert_int_eq(ask_again(&c, request), 401);
    http_client_close(&c);
}
END_TEST

/* What was admitted is finished; nothing new begins. */
START_TEST(a_stream_outlives_its_key_and_nothing_else_does)
{
    struct http_client c;
    struct buf text;
    buf_init(&text, 1 << 16);
    http_write_post(&text, CHAT, rig.person[BY_OTHER].key,
                    "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                    "\"#tokens=300#us=3000#\"}],\"max_tokens\":300}");
    http_client_open(&c, rig.server.port);
    ck_assert(http_client_send(&c, buf_str(&text), text.len));
    ck_assert(http_client_wait_for(&c, "data: ", 20000));
    const char *other = admin_path("users/%" PRId64, rig.person[BY_OTHER].id);
    admin_expect(&rig, BY_ADMIN, "PATCH", other, "If-Match: \"1\"\r\n", "{\"disabled\":true}", 200);
    admin_expect(&rig, BY_OTHER, "POST", CHAT, NULL, HELLO, 401);
    ck_assert(http_client_wait_for(&c, "[DONE]", 20000));
    http_client_close(&c);
    buf_release(&text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin_rights");
    TCase *tc = tcase_create("asked");
    tcase_add_checked_fixture(tc, attack_setup, attack_teardown);
    tcase_add_test(tc, a_refusal_names_what_is_missing);
    tcase_add_test(tc, credentials_are_given_once_and_whole);
    tcase_add_test(tc, two_sessions_are_none);
    tcase_add_test(tc, a_key_beside_a_cookie_is_the_key);
    tcase_add_test(tc, tokens_of_other_sessions_do_not_count);
    tcase_add_test(tc, a_login_takes_no_token_that_was_there_before);
    tcase_add_test(tc, local_routes_stay_local);
    tcase_add_test(tc, nobody_raises_themselves);
    tcase_add_test(tc, a_session_makes_no_key_beyond_its_roles);
    tcase_add_test(tc, a_key_sees_no_other_models);
    tcase_add_test(tc, services_and_the_disabled_do_not_log_in);
    tcase_add_test(tc, a_connection_that_stays_open_opens_nothing);
    tcase_add_test(tc, a_stream_outlives_its_key_and_nothing_else_does);
    tcase_add_test(tc, sessions_end_by_time);
    tcase_add_test(tc, sessions_end_with_what_they_stood_on);
    tcase_add_test(tc, guesses_lock_the_last_administrator_out_for_no_longer_than_one_likes);
    tcase_add_test(tc, objects_of_others_are_like_none);
    tcase_add_test(tc, templates_of_others_have_no_side_doors);
    tcase_add_test(tc, editors_give_away_only_what_is_theirs);
    tcase_add_test(tc, usage_of_others_is_not_told);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
