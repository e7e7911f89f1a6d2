/* Departments, persons and keys over HTTP: what comes and goes as JSON, who sees what, revisions. */
#include <config.h>

#include "admin_browser.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static struct admin_rig rig;

static void setup(void)
{
    admin_rig_open(&rig);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

static size_t count(const json_t *v)
{
    return json_array_size(admin_at(v, "data"));
}

/* How many rows a list has, on one page. */
static size_t listed(enum admin_who who, const char *path)
{
    json_t *v = admin_call(&rig, who, "GET", path, NULL, NULL, 200);
    size_t n = count(v);
    ck_assert(json_is_null(admin_at(v, "next")));
    json_decref(v);
    return n;
}

static int64_t revision_of(const char *path)
{
    admin_expect(&rig, BY_ADMIN, "GET", path, NULL, NULL, 200);
    return admin_etag(&rig);
}

/* Walks a list by pages of two; ids must grow. */
static size_t walk(enum admin_who who, const char *path)
{
    int64_t after = 0, last = 0;
    size_t n = 0;
    do {
        json_t *v = admin_call(&rig, who, "GET", admin_path("%s?limit=2&after=%" PRId64, path, after),
                               NULL, NULL, 200);
        ck_assert_uint_le(count(v), 2);
        for (size_t i = 0; i < count(v); i++, n++) {
            int64_t id = admin_number(json_array_get(admin_at(v, "data"), i), "id");
            ck_assert_int_gt(id, last);
            last = id;
        }
        after = json_is_null(admin_at(v, "next")) ? 0 : admin_number(v, "next");
        json_decref(v);
    } while (after);
    return n;
}

/* ---- departments ------------------------------------------------------------------------------ */

START_TEST(departments_are_made_and_changed)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/departments", NULL,
                           admin_body("{s:s, s:I, s:b, s:i}", "name", "质量部", "parent_id",
                                      (json_int_t)rig.works, "keep_prompts", 1, "keep_days", 90),
                           201);
    int64_t id = admin_number(v, "id"), revision = admin_etag(&rig);
    const char *path = admin_path("departments/%" PRId64, id);
    ck_assert_str_eq(admin_text(v, "name"), "质量部");
    ck_assert_int_eq(admin_number(v, "parent_id"), rig.works);
    ck_assert_int_eq(admin_number(v, "keep_days"), 90);
    ck_assert_int_eq(admin_number(v, "revision"), revision);
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "PATCH", path, NULL, "{\"name\":\"QA\"}", 428, "if_match_needed");
    admin_refused(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision + 1), "{\"name\":\"QA\"}",
                  412, "changed_meanwhile");
    v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision), "{\"keep_days\":7}",
                   200);
    ck_assert_str_eq(admin_text(v, "name"), "质量部");
    ck_assert_int_eq(admin_number(v, "parent_id"), rig.works);
    ck_assert(json_is_true(admin_at(v, "keep_prompts")));
    ck_assert_int_eq(admin_number(v, "keep_days"), 7);
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision), "{\"keep_days\":8}", 412,
                  "changed_meanwhile");
    v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                   "{\"parent_id\":null,\"name\":\"Quality\"}", 200);
    ck_assert(json_is_null(admin_at(v, "parent_id")));
    ck_assert_str_eq(admin_text(v, "name"), "Quality");
    json_decref(v);
}
END_TEST

/* Names of a list, by commas. */
static const char *names_of(enum admin_who who, const char *query)
{
    static char text[200];
    const char *path = admin_path("departments?%s", query);
    json_t *v = admin_call(&rig, who, "GET", path, NULL, NULL, 200), *row;
    size_t i, n = 0;
    text[0] = '\0';
    json_array_foreach (admin_at(v, "data"), i, row)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "," : "",
                              admin_text(row, "name"));
    json_decref(v);
    return text;
}

START_TEST(departments_are_listed_by_filters)
{
    char below[64];
    snprintf(below, sizeof below, "parent_id=%" PRId64, rig.works);
    ck_assert_str_eq(names_of(BY_ADMIN, "parent_id=0"), "Main,Works,Office");
    ck_assert_str_eq(names_of(BY_ADMIN, below), "Line 3");
    ck_assert_str_eq(names_of(BY_ADMIN, "text=OFF"), "Office");
    ck_assert_str_eq(names_of(BY_ADMIN, "state=active&limit=1"), "Main");
    ck_assert_str_eq(names_of(BY_ADMIN, "state=disabled"), "");
    ck_assert_str_eq(names_of(BY_USER, "state=active"), "Works,Line 3");
    ck_assert_str_eq(names_of(BY_USER, below), "Line 3");
    ck_assert_str_eq(names_of(BY_USER, "text=3"), "Line 3");
    ck_assert_str_eq(names_of(BY_USER, "text=Office"), "");
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/departments?state=odd", NULL, NULL, 400);
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/departments?parent_id=x", NULL, NULL, 400);
}
END_TEST

START_TEST(departments_refuse_what_makes_no_sense)
{
    const char *all = "/admin/v1/departments";
    const char *works = admin_path("departments/%" PRId64, rig.works);
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{}", 400, "missing_required_parameter");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{\"name\":\"a/b\"}", 400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{\"name\":\"x\",\"keep_days\":0}", 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{\"name\":\"x\",\"head\":1}", 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{\"name\":\"x\",\"disabled\":true}", 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{\"name\":\"Works\"}", 409, "conflict");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{\"name\":\"x\",\"parent_id\":999}", 404,
                  "not_found");
    admin_refused(&rig, BY_ADMIN, "PATCH", works, admin_if_match(revision_of(works)),
                  admin_body("{s:I}", "parent_id", (json_int_t)rig.line3), 400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "PATCH", works, admin_if_match(revision_of(works)),
                  "{\"disabled\":true}", 409, "conflict");
    admin_refused(&rig, BY_ADMIN, "PATCH", works, admin_if_match(revision_of(works)),
                  "{\"disabled\":true,\"name\":\"x\"}", 400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/departments/0", NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/departments/x", NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/departments/999", NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/departments?limit=0", NULL, NULL, 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/departments?limit=501", NULL, NULL, 400,
                  "invalid_value");
    admin_refused(&rig, BY_USER, "POST", all, NULL, "{\"name\":\"x\"}", 403, "not_allowed");
    admin_refused(&rig, BY_AUDITOR, "PATCH", works, admin_if_match(1), "{\"name\":\"x\"}", 403,
                  "not_allowed");
    admin_refused(&rig, BY_NOBODY, "GET", all, NULL, NULL, 401, "missing_api_key");
}
END_TEST

START_TEST(departments_are_disabled_and_enabled)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/departments", NULL,
                           "{\"name\":\"Closed\"}", 201);
    int64_t id = admin_number(v, "id");
    const char *path = admin_path("departments/%" PRId64, id);
    json_decref(v);
    v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                   "{\"disabled\":true}", 200);
    ck_assert(json_is_true(admin_at(v, "disabled")));
    ck_assert_int_gt(admin_number(v, "disabled_at"), 0);
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "POST", "/admin/v1/users", NULL,
                  admin_body("{s:s, s:I, s:[s]}", "login", "late", "department_id", (json_int_t)id,
                             "roles", "user"),
                  400, "invalid_value");
    v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                   "{\"disabled\":false}", 200);
    ck_assert(json_is_null(admin_at(v, "disabled_at")));
    json_decref(v);
}
END_TEST

/* Main is the first administrator's. */
START_TEST(people_see_their_line_of_departments)
{
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/departments"), 4);
    ck_assert_uint_eq(listed(BY_AUDITOR, "/admin/v1/departments"), 4);
    ck_assert_uint_eq(listed(BY_USER, "/admin/v1/departments"), 2);
    ck_assert_uint_eq(listed(BY_OTHER, "/admin/v1/departments"), 1);
    ck_assert_uint_eq(walk(BY_ADMIN, "departments"), 4);
    json_t *v = admin_call(&rig, BY_USER, "GET", "/admin/v1/departments?limit=1", NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "data/0/id"), rig.works);
    ck_assert_int_eq(admin_number(v, "next"), rig.works);
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET",
                   admin_path("departments?after=%" PRId64, rig.works), NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "data/0/id"), rig.line3);
    json_decref(v);
    const char *office = admin_path("departments/%" PRId64, rig.office);
    admin_refused(&rig, BY_USER, "GET", office, NULL, NULL, 404, "not_found");
    admin_expect(&rig, BY_OTHER, "GET", office, NULL, NULL, 200);
    admin_expect(&rig, BY_USER, "GET", admin_path("departments/%" PRId64, rig.works), NULL, NULL,
                 200);
}
END_TEST

/* ---- persons ---------------------------------------------------------------------------------- */

static int64_t add_user(const char *login, const char *role)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/users", NULL,
                           admin_body("{s:s, s:I, s:[s]}", "login", login, "department_id",
                                      (json_int_t)rig.works, "roles", role),
                           201);
    int64_t id = admin_number(v, "id");
    json_decref(v);
    return id;
}

START_TEST(persons_are_made_and_changed)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/users", NULL,
                           admin_body("{s:s, s:s, s:s, s:I, s:[s, s]}", "login", "李娜", "name",
                                      "李娜（质量部）", "email", "li.na@plant.example",
                                      "department_id", (json_int_t)rig.line3, "roles", "user",
                                      "editor"),
                           201);
    int64_t id = admin_number(v, "id"), revision = admin_etag(&rig);
    const char *path = admin_path("users/%" PRId64, id);
    ck_assert_str_eq(admin_text(v, "name"), "李娜（质量部）");
    ck_assert_str_eq(admin_text(v, "source"), "local");
    ck_assert_uint_eq(json_array_size(admin_at(v, "roles")), 2);
    ck_assert(json_is_null(admin_at(v, "last_login_at")));
    ck_assert(json_is_false(admin_at(v, "disabled")));
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "PATCH", path, NULL, "{\"name\":\"x\"}", 428, "if_match_needed");
    admin_refused(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision + 7), "{\"name\":\"x\"}",
                  412, "changed_meanwhile");
    admin_refused(&rig, BY_ADMIN, "PATCH", path, "If-Match: *\r\n", "{\"name\":\"x\"}", 412,
                  "changed_meanwhile");
    admin_refused(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision), "{}", 400,
                  "invalid_value");
    ck_assert_ptr_nonnull(strstr(buf_str(&rig.last.body),
                                 "at least one of name, email, department_id, roles, disabled."));
    v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision),
                   "{\"roles\":[\"user\"]}", 200);
    ck_assert_str_eq(admin_text(v, "name"), "李娜（质量部）");
    ck_assert_str_eq(admin_text(v, "email"), "li.na@plant.example");
    ck_assert_int_eq(admin_number(v, "department_id"), rig.line3);
    ck_assert_uint_eq(json_array_size(admin_at(v, "roles")), 1);
    ck_assert_int_gt(admin_number(v, "revision"), revision);
    json_decref(v);
    v = admin_call(&rig, BY_LOCAL, "PATCH", path, admin_if_match(revision_of(path)),
                   admin_body("{s:s, s:I, s:b}", "email", "", "department_id",
                              (json_int_t)rig.office, "disabled", 0),
                   200);
    ck_assert_str_eq(admin_text(v, "email"), "");
    ck_assert_int_eq(admin_number(v, "department_id"), rig.office);
    json_decref(v);
}
END_TEST

START_TEST(persons_refuse_what_makes_no_sense)
{
    const char *all = "/admin/v1/users";
    const char *user = admin_path("users/%" PRId64, rig.person[BY_USER].id);
    json_int_t works = rig.works;
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{\"login\":\"x\"}", 400,
                  "missing_required_parameter");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:s, s:I, s:[s]}", "login", "a b", "department_id", works, "roles",
                             "user"),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:s, s:I, s:[s]}", "login", "x", "department_id", works, "roles",
                             "root"),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:s, s:I, s:[s, s]}", "login", "x", "department_id", works, "roles",
                             "auditor", "admin"),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:s, s:I, s:s}", "login", "x", "department_id", works, "roles",
                             "user"),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:s, s:i, s:[s]}", "login", "x", "department_id", 999, "roles",
                             "user"),
                  404, "not_found");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:s, s:I, s:[s]}", "login", "ANNA.admin", "department_id", works,
                             "roles", "user"),
                  409, "conflict");
    admin_refused(&rig, BY_ADMIN, "PATCH", user, admin_if_match(1), "{\"login\":\"x\"}", 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "PATCH", user, admin_if_match(1), "{\"source\":\"ldap\"}", 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "PATCH", user, admin_if_match(revision_of(user)),
                  "{\"disabled\":true,\"name\":\"x\"}", 400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/users/999", NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/users?role=root", NULL, NULL, 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/users?state=x", NULL, NULL, 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/users?source=x", NULL, NULL, 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/users?below=x", NULL, NULL, 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/users?login=x", NULL, NULL, 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", "/admin/v1/users/999/password-reset", NULL, NULL, 404,
                  "not_found");
    admin_refused(&rig, BY_ADMIN, "POST",
                  admin_path("users/%" PRId64 "/password-reset", rig.person[BY_SERVICE].id), NULL,
                  NULL, 400, "invalid_value");
}
END_TEST

START_TEST(the_last_administrator_stays)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", "/admin/v1/users?role=admin&text=Administrator",
                           NULL, NULL, 200);
    const char *first = admin_path("users/%" PRId64, admin_number(v, "data/0/id"));
    const char *anna = admin_path("users/%" PRId64, rig.person[BY_ADMIN].id);
    ck_assert_uint_eq(count(v), 1);
    json_decref(v);
    admin_expect(&rig, BY_ADMIN, "PATCH", first, admin_if_match(revision_of(first)),
                 "{\"disabled\":true}", 200);
    admin_refused(&rig, BY_ADMIN, "PATCH", anna, admin_if_match(revision_of(anna)),
                  "{\"disabled\":true}", 409, "conflict");
    admin_refused(&rig, BY_ADMIN, "PATCH", anna, admin_if_match(revision_of(anna)),
                  "{\"roles\":[\"user\"]}", 409, "conflict");
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/users?state=disabled"), 1);
}
END_TEST

START_TEST(lists_of_persons_are_filtered_and_paged)
{
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/users"), 8);
    ck_assert_uint_eq(walk(BY_ADMIN, "users"), 8);
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/users?role=auditor"), 1);
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/users?source=local&state=active"), 8);
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/users?source=ldap"), 0);
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/users?text=OLGA"), 1);
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/users?text=%E7%8E%8B"), 1); /* 王 */
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/users?text=%25"), 0);
    ck_assert_uint_eq(listed(BY_ADMIN, admin_path("users?department_id=%" PRId64, rig.works)), 4);
    ck_assert_uint_eq(
        listed(BY_ADMIN, admin_path("users?below=true&department_id=%" PRId64, rig.works)), 5);
}
END_TEST

START_TEST(people_see_themselves_only)
{
    const char *self = admin_path("users/%" PRId64, rig.person[BY_USER].id);
    ck_assert_uint_eq(listed(BY_AUDITOR, "/admin/v1/users"), 8);
    json_t *v = admin_call(&rig, BY_USER, "GET", "/admin/v1/users", NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 1);
    ck_assert_int_eq(admin_number(v, "data/0/id"), rig.person[BY_USER].id);
    ck_assert(json_is_null(admin_at(v, "next")));
    json_decref(v);
    ck_assert_uint_eq(listed(BY_USER, "/admin/v1/users?role=admin"), 0);
    ck_assert_uint_eq(listed(BY_USER, "/admin/v1/users?text=olga"), 0);
    ck_assert_uint_eq(
        listed(BY_USER, admin_path("users?after=%" PRId64, rig.person[BY_USER].id)), 0);
    admin_expect(&rig, BY_USER, "GET", self, NULL, NULL, 200);
    admin_refused(&rig, BY_OTHER, "GET", self, NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_USER, "PATCH", self, admin_if_match(1), "{\"roles\":[\"admin\"]}", 403,
                  "not_allowed");
    admin_refused(&rig, BY_AUDITOR, "POST", admin_path("users/%" PRId64 "/password-reset",
                                                       rig.person[BY_USER].id),
                  NULL, NULL, 403, "not_allowed");
}
END_TEST

/* A session left open is not enough to take an account over. */
START_TEST(nobody_resets_their_own_password)
{
    struct browser b;
    browser_enter(&b, &rig, BY_USER, "kq7w-zt2-right");
    browser_refused(&b, "POST", admin_path("users/%" PRId64 "/password-reset",
                                           rig.person[BY_USER].id),
                    NULL, NULL, 403, "not_allowed");
    browser_refused(&b, "POST", admin_path("users/%" PRId64 "/password-reset",
                                           rig.person[BY_OTHER].id),
                    NULL, NULL, 404, "not_found");
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------- */

static bool key_works(const char *key)
{
    struct http_reply r;
    http_get(rig.server.port, "/admin/v1/me", key, &r);
    bool ok = r.status == 200;
    ck_assert(ok || r.status == 401);
    http_reply_release(&r);
    return ok;
}

START_TEST(a_key_is_shown_once_and_revoked_for_good)
{
    char key[KEY_TEXT];
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                           admin_body("{s:I, s:s, s:[s, s], s:[s], s:[s, s]}", "person_id",
                                      (json_int_t)rig.person[BY_USER].id, "name", "脚本",
                                      "scopes", "infer", "usage", "models", "fake", "networks",
                                      "127.0.0.0/8", "10.1.0.0/16"),
                           201);
    int64_t id = admin_number(v, "id"), revision = admin_etag(&rig);
    const char *path = admin_path("keys/%" PRId64, id);
    snprintf(key, sizeof key, "%s", admin_text(v, "key"));
    ck_assert_uint_eq(strlen(key), KEY_CHARS);
    ck_assert(!strncmp(key, admin_text(v, "prefix"), 11));
    ck_assert_str_eq(admin_text(v, "name"), "脚本");
    ck_assert_str_eq(admin_text(v, "models/0"), "fake");
    ck_assert(json_is_null(admin_at(v, "templates")));
    ck_assert_str_eq(admin_text(v, "networks/1"), "10.1.0.0/16");
    json_decref(v);
    ck_assert(key_works(key));
    v = admin_call(&rig, BY_ADMIN, "GET", path, NULL, NULL, 200);
    ck_assert(!admin_at(v, "key"));
    ck_assert(!strstr(buf_str(&rig.last.body), key));
    ck_assert_int_eq(admin_etag(&rig), revision);
    json_decref(v);
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/keys", NULL, NULL, 200);
    ck_assert(!strstr(buf_str(&rig.last.body), key));
    v = admin_call(&rig, BY_ADMIN, "DELETE", path, "X-Reason: lost\r\n", NULL, 200);
    ck_assert_int_gt(admin_number(v, "revoked_at"), 0);
    json_decref(v);
    ck_assert(!key_works(key));
    admin_expect(&rig, BY_ADMIN, "DELETE", path, NULL, NULL, 200);
    admin_refused(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                  "{\"name\":\"x\"}", 409, "conflict");
}
END_TEST

START_TEST(a_key_is_changed_field_by_field)
{
    int64_t expires = clock_wall_s() + 3600;
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                           admin_body("{s:I, s:s, s:[s], s:[s], s:[s], s:I}", "person_id",
                                      (json_int_t)rig.person[BY_USER].id, "name", "one", "scopes",
                                      "usage", "templates", "quality/*", "networks", "127.0.0.1",
                                      "expires_at", (json_int_t)expires),
                           201);
    char key[KEY_TEXT];
    const char *path = admin_path("keys/%" PRId64, admin_number(v, "id"));
    int64_t revision = admin_etag(&rig);
    snprintf(key, sizeof key, "%s", admin_text(v, "key"));
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "PATCH", path, NULL, "{\"name\":\"x\"}", 428, "if_match_needed");
    admin_refused(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision + 1), "{\"name\":\"x\"}",
                  412, "changed_meanwhile");
    v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision),
                   "{\"name\":\"two\",\"models\":[\"a\",\"b*\"]}", 200);
    ck_assert(!admin_at(v, "key"));
    ck_assert_str_eq(admin_text(v, "name"), "two");
    ck_assert_str_eq(admin_text(v, "models/1"), "b*");
    ck_assert_str_eq(admin_text(v, "templates/0"), "quality/*");
    ck_assert_str_eq(admin_text(v, "networks/0"), "127.0.0.1");
    ck_assert_int_eq(admin_number(v, "expires_at"), expires);
    ck_assert_str_eq(admin_text(v, "scopes/0"), "usage");
    json_decref(v);
    ck_assert(key_works(key));
    v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                   "{\"networks\":[\"10.0.0.0/8\"]}", 200);
    json_decref(v);
    ck_assert(!key_works(key));
    v = admin_call(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                   "{\"networks\":null,\"expires_at\":null,\"templates\":null,\"models\":null}",
                   200);
    ck_assert(json_is_null(admin_at(v, "networks")));
    ck_assert(json_is_null(admin_at(v, "expires_at")));
    ck_assert(json_is_null(admin_at(v, "models")));
    json_decref(v);
    ck_assert(key_works(key));
}
END_TEST

/* Set, it lies ahead; once it has passed, the rest of the key can still be changed. */
START_TEST(keys_are_not_made_to_have_expired)
{
    json_int_t user = rig.person[BY_USER].id;
    int64_t soon = clock_wall_s() + 2;
    char key[KEY_TEXT];
    admin_refused(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                  admin_body("{s:I, s:s, s:[s], s:I}", "person_id", user, "name", "x", "scopes",
                             "usage", "expires_at", (json_int_t)1000),
                  400, "invalid_value");
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                           admin_body("{s:I, s:s, s:[s], s:I}", "person_id", user, "name", "x",
                                      "scopes", "usage", "expires_at", (json_int_t)soon),
                           201);
    const char *path = admin_path("keys/%" PRId64, admin_number(v, "id"));
    snprintf(key, sizeof key, "%s", admin_text(v, "key"));
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                  "{\"expires_at\":1000}", 400, "invalid_value");
    for (int i = 0; i < 100 && key_works(key); i++)
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    ck_assert(!key_works(key));
    ck_assert_int_ge(clock_wall_s(), soon);
    admin_expect(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                 "{\"name\":\"y\"}", 200);
}
END_TEST

START_TEST(keys_refuse_what_makes_no_sense)
{
    const char *all = "/admin/v1/keys";
    json_int_t user = rig.person[BY_USER].id;
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL, "{\"name\":\"x\"}", 400,
                  "missing_required_parameter");
    admin_refused(&rig, BY_LOCAL, "POST", all, NULL, "{\"name\":\"x\",\"scopes\":[\"usage\"]}", 400,
                  "missing_required_parameter");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:I, s:s, s:[s]}", "person_id", user, "name", "x", "scopes",
                             "everything"),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:I, s:s, s:[]}", "person_id", user, "name", "x", "scopes"), 400,
                  "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:I, s:s, s:[s]}", "person_id", user, "name", "x", "scopes",
                             "admin"),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:i, s:s, s:[s]}", "person_id", 999, "name", "x", "scopes",
                             "usage"),
                  404, "not_found");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:I, s:s, s:[s], s:[i]}", "person_id", user, "name", "x", "scopes",
                             "usage", "models", 7),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:I, s:s, s:[s], s:s}", "person_id", user, "name", "x", "scopes",
                             "usage", "models", "fake"),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "POST", all, NULL,
                  admin_body("{s:I, s:s, s:[s], s:[s]}", "person_id", user, "name", "x", "scopes",
                             "usage", "networks", "10.0.0.1/8"),
                  400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "PATCH", admin_path("keys/%" PRId64, rig.person[BY_USER].key_id),
                  admin_if_match(1), "{\"person_id\":1}", 400, "invalid_value");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/keys/999", NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "DELETE", "/admin/v1/keys/999", NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "GET", "/admin/v1/keys?active=x", NULL, NULL, 400,
                  "invalid_value");
}
END_TEST

START_TEST(lists_of_keys_are_filtered_and_paged)
{
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/keys"), 7);
    ck_assert_uint_eq(walk(BY_ADMIN, "keys"), 7);
    ck_assert_uint_eq(listed(BY_AUDITOR, "/admin/v1/keys"), 7);
    ck_assert_uint_eq(
        listed(BY_ADMIN, admin_path("keys?person_id=%" PRId64, rig.person[BY_USER].id)), 1);
    ck_assert_uint_eq(listed(BY_ADMIN, admin_path("keys?department_id=%" PRId64, rig.office)), 2);
    admin_expect(&rig, BY_ADMIN, "DELETE", admin_path("keys/%" PRId64, rig.person[BY_OTHER].key_id),
                 NULL, NULL, 200);
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/keys?active=true"), 6);
    ck_assert_uint_eq(listed(BY_ADMIN, "/admin/v1/keys?active=false"), 7);
}
END_TEST

START_TEST(people_have_keys_of_their_own)
{
    struct browser b;
    char key[KEY_TEXT];
    const char *others = admin_path("keys/%" PRId64, rig.person[BY_OTHER].key_id);
    browser_enter(&b, &rig, BY_USER, "kq7w-zt2-right");
    json_t *v = browser_call(&b, "POST", "/admin/v1/keys", NULL,
                             "{\"name\":\"mine\",\"scopes\":[\"infer\",\"usage\"]}", 201);
    const char *path = admin_path("keys/%" PRId64, admin_number(v, "id"));
    snprintf(key, sizeof key, "%s", admin_text(v, "key"));
    ck_assert_int_eq(admin_number(v, "person_id"), rig.person[BY_USER].id);
    json_decref(v);
    ck_assert(key_works(key));
    v = browser_call(&b, "GET", "/admin/v1/keys", NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 2);
    json_decref(v);
    v = browser_call(&b, "GET",
                     admin_path("keys?person_id=%" PRId64, rig.person[BY_OTHER].id), NULL, NULL,
                     200);
    ck_assert_uint_eq(count(v), 0);
    json_decref(v);
    browser_refused(&b, "GET", others, NULL, NULL, 404, "not_found");
    browser_refused(&b, "DELETE", others, NULL, NULL, 404, "not_found");
    browser_refused(&b, "PATCH", others, admin_if_match(1), "{\"name\":\"x\"}", 404, "not_found");
    browser_refused(&b, "POST", "/admin/v1/keys", NULL,
                    admin_body("{s:I, s:s, s:[s]}", "person_id",
                               (json_int_t)rig.person[BY_OTHER].id, "name", "x", "scopes", "usage"),
                    404, "not_found");
    browser_refused(&b, "POST", "/admin/v1/keys", NULL,
                    "{\"name\":\"x\",\"scopes\":[\"admin\"]}", 400, "invalid_value");
    v = browser_call(&b, "GET", path, NULL, NULL, 200);
    json_decref(v);
    browser_expect(&b, "PATCH", path, admin_if_match(admin_etag(&rig)), "{\"name\":\"still mine\"}",
                   200);
    browser_expect(&b, "DELETE", path, NULL, NULL, 200);
    ck_assert(!key_works(key));
    /* a key administers no keys, unless it is an administrator's; who reads all writes none */
    admin_refused(&rig, BY_USER, "GET", "/admin/v1/keys", NULL, NULL, 403, "not_allowed");
    admin_refused(&rig, BY_USER, "POST", "/admin/v1/keys", NULL,
                  "{\"name\":\"x\",\"scopes\":[\"usage\"]}", 403, "not_allowed");
    admin_refused(&rig, BY_AUDITOR, "DELETE", others, NULL, NULL, 403, "not_allowed");
}
END_TEST

START_TEST(roles_taken_away_take_scopes_and_keys_follow)
{
    int64_t id = add_user("temp.admin", "admin");
    const char *path = admin_path("users/%" PRId64, id);
    char key[KEY_TEXT];
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                           admin_body("{s:I, s:s, s:[s]}", "person_id", (json_int_t)id, "name", "k",
                                      "scopes", "admin"),
                           201);
    struct http_reply r;
    snprintf(key, sizeof key, "%s", admin_text(v, "key"));
    json_decref(v);
    http_get(rig.server.port, "/admin/v1/users", key, &r);
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    admin_expect(&rig, BY_ADMIN, "PATCH", path, admin_if_match(revision_of(path)),
                 "{\"roles\":[\"user\"]}", 200);
    http_get(rig.server.port, "/admin/v1/users", key, &r);
    ck_assert_int_eq(r.status, 403);
    http_reply_release(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin_people");
    TCase *tc = tcase_create("people");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, departments_are_made_and_changed);
    tcase_add_test(tc, departments_are_listed_by_filters);
    tcase_add_test(tc, departments_refuse_what_makes_no_sense);
    tcase_add_test(tc, departments_are_disabled_and_enabled);
    tcase_add_test(tc, people_see_their_line_of_departments);
    tcase_add_test(tc, persons_are_made_and_changed);
    tcase_add_test(tc, persons_refuse_what_makes_no_sense);
    tcase_add_test(tc, the_last_administrator_stays);
    tcase_add_test(tc, lists_of_persons_are_filtered_and_paged);
    tcase_add_test(tc, people_see_themselves_only);
    tcase_add_test(tc, nobody_resets_their_own_password);
    tcase_add_test(tc, a_key_is_shown_once_and_revoked_for_good);
    tcase_add_test(tc, a_key_is_changed_field_by_field);
    tcase_add_test(tc, keys_are_not_made_to_have_expired);
    tcase_add_test(tc, keys_refuse_what_makes_no_sense);
    tcase_add_test(tc, lists_of_keys_are_filtered_and_paged);
    tcase_add_test(tc, people_have_keys_of_their_own);
    tcase_add_test(tc, roles_taken_away_take_scopes_and_keys_follow);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
