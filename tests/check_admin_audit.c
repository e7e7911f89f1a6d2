/* The audit log over HTTP: pages, filters, the file, and a chain that shows what was altered behind the
 * server's back. */
#include <config.h>

#include "admin_browser.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static struct admin_rig rig;

static void setup(void)
{
    setenv("TZ", "Asia/Shanghai", 1);
    admin_rig_open(&rig);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

static json_t *get(const char *path)
{
    return admin_call(&rig, BY_AUDITOR, "GET", path, NULL, NULL, 200);
}

static size_t count(const json_t *v)
{
    return json_array_size(admin_at(v, "data"));
}

static size_t count_of(const char *path)
{
    json_t *v = get(path);
    size_t n = count(v);
    json_decref(v);
    return n;
}

/* Three acts: by the administrator, by the machine's administrator, by the editor. */
static void act(void)
{
    admin_expect(&rig, BY_ADMIN, "POST", "/admin/v1/departments",
                 "X-Reason: %E6%96%B0%E4%BA%A7%E7%BA%BF\r\n",
                 "{\"name\":\"三号线\"}", 201);
    admin_expect(&rig, BY_LOCAL, "PUT", admin_path("quotas/person/%" PRId64, rig.person[BY_USER].id),
                 NULL, "{\"parallel\":2}", 201);
    admin_expect(&rig, BY_EDITOR, "POST", "/admin/v1/templates", NULL,
                 "{\"name\":\"a\",\"note\":\"n\",\"content\":{\"messages\":"
                 "[{\"role\":\"user\",\"content\":\"x\"}]}}", 201);
}

/* Where an act of the machine's administrator came from, as rows name it. */
static const char *at_socket(void)
{
    static char text[32];
    snprintf(text, sizeof text, "local, uid %u", geteuid());
    return text;
}

/* ---- pages and filters ------------------------------------------------------------------------ */

START_TEST(rows_say_who_did_what)
{
    act();
    json_t *v = get("/admin/v1/audit?action=department.create&limit=500");
    const json_t *row = json_array_get(admin_at(v, "data"), count(v) - 1);
    ck_assert_str_eq(admin_text(row, "actor"), "anna.admin");
    ck_assert_int_eq(admin_number(row, "actor_id"), rig.person[BY_ADMIN].id);
    ck_assert_str_eq(admin_text(row, "address"), "127.0.0.1");
    ck_assert_str_eq(admin_text(row, "object_kind"), "department");
    ck_assert_str_eq(admin_text(row, "reason"), "新产线");
    ck_assert(json_is_null(admin_at(row, "before")));
    ck_assert_str_eq(admin_text(row, "after/name"), "三号线");
    ck_assert_uint_eq(strlen(admin_text(row, "hash")), 64);
    ck_assert(*admin_text(row, "request_id"));
    ck_assert_int_le(clock_wall_s() - admin_number(row, "at"), 60);
    json_decref(v);
    v = get("/admin/v1/audit?object_kind=quota");
    ck_assert_uint_eq(count(v), 1);
    ck_assert_str_eq(admin_text(v, "data/0/address"), at_socket());
    ck_assert(json_is_null(admin_at(v, "data/0/actor_id")));
    json_decref(v);
}
END_TEST

/* Acts that make something have their reason too. */
START_TEST(every_act_has_its_reason)
{
    const struct {
        const char *path, *kind, *body;
    } made[] = {
        {"/admin/v1/departments", "department", "{\"name\":\"x\"}"},
        {"/admin/v1/users", "person",
         admin_body("{s:s, s:I, s:[s]}", "login", "zhao", "department_id", (json_int_t)rig.works,
                    "roles", "user")},
        {"/admin/v1/keys", "key",
         admin_body("{s:s, s:[s], s:I}", "name", "x", "scopes", "infer", "person_id",
                    (json_int_t)rig.person[BY_USER].id)},
        {"/admin/v1/calendars", "calendar", "{\"name\":\"x\",\"hours\":{}}"},
    };
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        admin_expect(&rig, BY_ADMIN, "POST", made[i].path, "X-Reason: ticket%20%E4%B8%83\r\n",
                     made[i].body, 201);
        json_t *v = get(admin_path("audit?limit=500&object_kind=%s", made[i].kind));
        const json_t *row = json_array_get(admin_at(v, "data"), count(v) - 1);
        ck_assert_msg(!strcmp(admin_text(row, "reason"), "ticket 七"), "%s: '%s'", made[i].kind,
                      admin_text(row, "reason"));
        json_decref(v);
    }
}
END_TEST

START_TEST(every_filter_filters)
{
    int64_t now = clock_wall_s();
    size_t before = count_of("/admin/v1/audit?limit=500");
    act();
    size_t all = count_of("/admin/v1/audit?limit=500");
    ck_assert_uint_ge(all, before + 3);
    ck_assert_uint_eq(count_of("/admin/v1/audit?action=quota.create") +
                          count_of("/admin/v1/audit?action=quota.set"), 1);
    ck_assert_uint_eq(count_of("/admin/v1/audit?action=quota"), 0); /* whole words */
    ck_assert_uint_eq(count_of("/admin/v1/audit?object_kind=person"), BY_PERSONS + 1u);
    ck_assert_uint_eq(count_of(admin_path("audit?object_kind=person&object_id=%" PRId64,
                                          rig.person[BY_USER].id)), 1);
    ck_assert_uint_eq(count_of(admin_path("audit?actor_id=%" PRId64, rig.person[BY_ADMIN].id)), 1);
    ck_assert_uint_eq(count_of(admin_path("audit?actor_id=%" PRId64 "&object_kind=quota",
                                          rig.person[BY_ADMIN].id)), 0);
    ck_assert_uint_eq(count_of(admin_path("audit?from=%" PRId64 "&limit=500", now - 3600)), all);
    ck_assert_uint_eq(count_of(admin_path("audit?from=%" PRId64, now + 3600)), 0);
    ck_assert_uint_eq(count_of(admin_path("audit?to=%" PRId64, now - 3600)), 0);
    ck_assert_uint_eq(count_of("/admin/v1/audit?from=2026-01-01T00:00:00%2B08:00&to=9999-01-01"
                               "&limit=500"), all);
    ck_assert_uint_eq(count_of("/admin/v1/audit?object_kind=%E9%83%A8%E9%97%A8"), 0);
}
END_TEST

/* Rows that come in between two pages come last, and once. */
START_TEST(pages_hold_still)
{
    int64_t next = 0, last = 0;
    size_t before = count_of("/admin/v1/audit?limit=500"), seen = 0;
    for (int page = 0; page < 200; page++) {
        json_t *v = get(admin_path("audit?limit=4&after=%" PRId64, next));
        for (size_t i = 0; i < count(v); i++, seen++) {
            int64_t seq = admin_number(json_array_get(admin_at(v, "data"), i), "seq");
            ck_assert_int_eq(seq, last + 1);
            last = seq;
        }
        next = admin_number(v, "next");
        json_decref(v);
        if (next < 0)
            break;
        if (page < 3)
            admin_expect(&rig, BY_ADMIN, "POST", "/admin/v1/departments", NULL,
                         admin_body("{s:s+}", "name", "d", page == 0 ? "0" : page == 1 ? "1" : "2"),
                         201);
    }
    ck_assert_int_eq(next, -1);
    ck_assert_uint_eq(seen, before + 3);
}
END_TEST

START_TEST(bad_questions_name_what_is_bad)
{
    static const struct {
        const char *query, *field;
    } bad[] = {{"from=yesterday", "from"},
               {"from=-1", "from"},
               {"to=%E6%98%8E%E5%A4%A9", "to"},
               {"to=9223372036854775807", "to"},
               {"from=2026-11-13&to=2026-11-10", "to"},
               {"actor_id=0", "actor_id"},
               {"actor_id=anna.admin", "actor_id"},
               {"after=-1", "after"},
               {"after=x", "after"},
               {"colour=1", "colour"}};
    static const char *const paths[] = {"audit", "audit/export"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t k = 0; k < 2; k++) {
            const char *path = admin_path("%s?%s", paths[k], bad[i].query);
            json_t *v = admin_call(&rig, BY_AUDITOR, "GET", path, NULL, NULL, 400);
            ck_assert_msg(!strcmp(admin_text(v, "error/param"), bad[i].field), "%s: %s", path,
                          admin_text(v, "error/param"));
            json_decref(v);
        }
    json_t *v = admin_call(&rig, BY_AUDITOR, "GET", "/admin/v1/audit?limit=501", NULL, NULL, 400);
    ck_assert_str_eq(admin_text(v, "error/param"), "limit");
    json_decref(v);
}
END_TEST

START_TEST(few_may_read_it)
{
    static const char *const paths[] = {"audit", "audit/export", "audit/head"};
    static const enum admin_who not[] = {BY_USER, BY_EDITOR, BY_APPROVER, BY_SERVICE};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        for (size_t k = 0; k < sizeof not / sizeof not[0]; k++)
            admin_refused(&rig, not[k], "GET", admin_path("%s", paths[i]), NULL, NULL, 403,
                          "not_allowed");
        admin_refused(&rig, BY_NOBODY, "GET", admin_path("%s", paths[i]), NULL, NULL, 401,
                      "missing_api_key");
        admin_expect(&rig, BY_AUDITOR, "GET", admin_path("%s", paths[i]), NULL, NULL, 200);
    }
    admin_refused(&rig, BY_USER, "POST", "/admin/v1/audit/verify", NULL, "{}", 403, "not_allowed");
}
END_TEST

/* ---- the file --------------------------------------------------------------------------------- */

START_TEST(the_file_is_what_the_hashes_cover)
{
    char value[120], previous[65] = "";
    int64_t lines = 0;
    act();
    size_t all = count_of("/admin/v1/audit?limit=500");
    admin_expect(&rig, BY_AUDITOR, "GET", "/admin/v1/audit/export", NULL, NULL, 200);
    ck_assert(http_reply_header(&rig.last, "Content-Type", value, sizeof value));
    ck_assert_str_eq(value, "application/x-ndjson");
    ck_assert(http_reply_header(&rig.last, "Content-Disposition", value, sizeof value));
    ck_assert(!strncmp(value, "attachment; filename=\"audit-20", 30));
    for (const char *s = buf_str(&rig.last.body); *s; s += strcspn(s, "\n") + 1) {
        json_t *row = json_loadb(s, strcspn(s, "\n"), 0, NULL);
        ck_assert_int_eq(admin_number(row, "seq"), ++lines);
        ck_assert(lines == 1 || !strcmp(admin_text(row, "previous"), previous));
        snprintf(previous, sizeof previous, "%s", admin_text(row, "hash"));
        ck_assert(json_is_string(admin_at(row, "after")) || json_is_null(admin_at(row, "after")));
        ck_assert_int_eq((size_t)lines > all, !strcmp(admin_text(row, "action"), "audit.export"));
        json_decref(row);
    }
    ck_assert_uint_eq((size_t)lines, all + 1); /* and the copy itself */
    json_t *v = get("/admin/v1/audit/head");
    ck_assert_int_eq(admin_number(v, "seq"), lines);
    ck_assert_str_eq(strchr(admin_text(v, "head"), ':') + 1, previous);
    json_decref(v);
    admin_expect(&rig, BY_AUDITOR, "GET", admin_path("audit/export?after=%" PRId64, lines), NULL,
                 NULL, 200); /* its own row alone */
    ck_assert_ptr_eq(strchr(buf_str(&rig.last.body), '\n'),
                     buf_str(&rig.last.body) + rig.last.body.len - 1);
    admin_expect(&rig, BY_AUDITOR, "GET", "/admin/v1/audit/export?object_kind=nothing", NULL, NULL,
                 200);
    ck_assert_uint_eq(rig.last.body.len, 0);
    v = get("/admin/v1/audit?action=audit.export");
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 3);
    ck_assert_int_eq(admin_number(v, "data/0/actor_id"), rig.person[BY_AUDITOR].id);
    ck_assert_int_eq(admin_number(v, "data/1/after/after"), lines);
    ck_assert_str_eq(admin_text(v, "data/2/after/object_kind"), "nothing");
    json_decref(v);
}
END_TEST

/* Whoever copied templates to a folder stands in the log before the first file does. */
START_TEST(exports_of_templates_are_acts)
{
    char folder[] = "check_admin_audit.XXXXXX", labels[64], full[4096];
    act();
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_ptr_nonnull(realpath(folder, full));
    const char *body = admin_body("{s:s, s:s}", "folder", full, "prefix", "none/");
    admin_expect(&rig, BY_EDITOR, "POST", "/admin/v1/templates/export", NULL, body, 403);
    ck_assert_uint_eq(count_of("/admin/v1/audit?action=template.export"), 0);
    admin_expect(&rig, BY_LOCAL, "POST", "/admin/v1/templates/export", "X-Reason: move\r\n", body,
                 200);
    json_t *v = get("/admin/v1/audit?action=template.export");
    ck_assert_uint_eq(count(v), 1);
    ck_assert_str_eq(admin_text(v, "data/0/address"), at_socket());
    ck_assert_str_eq(admin_text(v, "data/0/reason"), "move");
    ck_assert_str_eq(admin_text(v, "data/0/after/folder"), full);
    ck_assert_str_eq(admin_text(v, "data/0/after/prefix"), "none/");
    json_decref(v);
    snprintf(labels, sizeof labels, "%s/labels.json", folder);
    remove(labels);
    ck_assert_int_eq(remove(folder), 0);
}
END_TEST

/* ---- the chain -------------------------------------------------------------------------------- */

/* Changes the file behind the server's back. */
static void alter(const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    ck_assert_int_eq(sqlite3_open(rig.server.service->database, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK, "%s: %s", sql, why);
    sqlite3_close(db);
}

/* What the check says: 0 or the row at which the chain breaks. */
static int64_t verify(const char *body)
{
    json_t *v = admin_call(&rig, BY_AUDITOR, "POST", "/admin/v1/audit/verify", NULL, body, 200);
    bool ok = json_is_true(admin_at(v, "ok"));
    int64_t bad = admin_number(v, "bad_seq"), rows = admin_number(v, "rows");
    ck_assert(ok ? json_is_null(admin_at(v, "bad_seq")) : bad == rows + 1);
    json_decref(v);
    return ok ? 0 : bad;
}

START_TEST(altered_rows_are_found)
{
    static const struct {
        const char *alter, *restore;
        int64_t bad;
    } cases[] = {
        {"UPDATE audit SET reason = 'other' WHERE seq = 3",
         "UPDATE audit SET reason = '' WHERE seq = 3", 3},
        {"UPDATE audit SET actor = 'nobody' WHERE seq = 7",
         "UPDATE audit SET actor = kept.actor FROM kept WHERE audit.seq = 7 AND kept.seq = 7", 7},
        {"UPDATE audit SET at_us = at_us + 1 WHERE seq = 1",
         "UPDATE audit SET at_us = at_us - 1 WHERE seq = 1", 1},
        {"UPDATE audit SET after = replace(after, '\"', '\"\"') WHERE seq = 5",
         "UPDATE audit SET after = kept.after FROM kept WHERE audit.seq = 5 AND kept.seq = 5", 5},
        {"UPDATE audit SET hash = zeroblob(32) WHERE seq = 4",
         "UPDATE audit SET hash = kept.hash FROM kept WHERE audit.seq = 4 AND kept.seq = 4", 4},
        {"DELETE FROM audit WHERE seq = 6", "INSERT INTO audit SELECT * FROM kept WHERE seq = 6", 6},
        {"DELETE FROM audit WHERE seq = 1", "INSERT INTO audit SELECT * FROM kept WHERE seq = 1", 1},
    };
    act();
    ck_assert_int_eq(verify("{}"), 0);
    alter("CREATE TABLE kept AS SELECT * FROM audit; DROP TRIGGER audit_kept");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        alter(cases[i].alter);
        ck_assert_int_eq(verify("{}"), cases[i].bad);
        alter(cases[i].restore);
        ck_assert_int_eq(verify("{}"), 0);
    }
    alter("DROP TABLE kept");
}
END_TEST

/* A cut tail leaves a sound chain: only a head that was written down tells. */
START_TEST(a_head_written_down_tells_of_a_cut_tail)
{
    char head[100], other[100], body[140];
    act();
    json_t *v = get("/admin/v1/audit/head");
    int64_t seq = admin_number(v, "seq");
    snprintf(head, sizeof head, "%s", admin_text(v, "head"));
    json_decref(v);
    snprintf(body, sizeof body, "{\"known\":\"%s\"}", head);
    ck_assert_int_eq(verify(body), 0);
    admin_expect(&rig, BY_ADMIN, "POST", "/admin/v1/departments", NULL, "{\"name\":\"x\"}", 201);
    ck_assert_int_eq(verify(body), 0); /* it is still in there */
    alter("CREATE TABLE kept AS SELECT * FROM audit; DROP TRIGGER audit_kept");
    snprintf(other, sizeof other, "DELETE FROM audit WHERE seq >= %" PRId64, seq);
    alter(other);
    ck_assert_int_eq(verify("{}"), 0);
    ck_assert_int_eq(verify(body), seq);
    snprintf(other, sizeof other, "INSERT INTO audit SELECT * FROM kept WHERE seq >= %" PRId64, seq);
    alter(other);
    ck_assert_int_eq(verify(body), 0);
    alter("DROP TABLE kept");
    char *hash = strchr(body, ':') + 1;
    hash = strchr(hash, ':') + 1;
    *hash = *hash == '0' ? '1' : '0';
    ck_assert_int_eq(verify(body), seq); /* another hash of that row */
}
END_TEST

START_TEST(bad_heads_are_named)
{
    static const struct {
        const char *body, *field;
    } bad[] = {{"{\"known\":\"x\"}", "known"},     {"{\"known\":\"\"}", "known"},
               {"{\"known\":\"7:00\"}", "known"},  {"{\"known\":7}", "known"},
               {"{\"known\":[]}", "known"},        {"{\"已知\":\"7\"}", "已知"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *v = admin_call(&rig, BY_AUDITOR, "POST", "/admin/v1/audit/verify", NULL, bad[i].body,
                               400);
        ck_assert_str_eq(admin_text(v, "error/param"), bad[i].field);
        json_decref(v);
    }
    ck_assert_int_eq(verify("{\"known\":null}"), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin audit");
    TCase *tc = tcase_create("audit");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, rows_say_who_did_what);
    tcase_add_test(tc, every_act_has_its_reason);
    tcase_add_test(tc, every_filter_filters);
    tcase_add_test(tc, pages_hold_still);
    tcase_add_test(tc, bad_questions_name_what_is_bad);
    tcase_add_test(tc, few_may_read_it);
    tcase_add_test(tc, the_file_is_what_the_hashes_cover);
    tcase_add_test(tc, exports_of_templates_are_acts);
    tcase_add_test(tc, altered_rows_are_found);
    tcase_add_test(tc, a_head_written_down_tells_of_a_cut_tail);
    tcase_add_test(tc, bad_heads_are_named);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
