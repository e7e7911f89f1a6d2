/* S5: every role on every route, on an object of their own and on somebody else's, against a table that
 * people have read: tests/access.txt. The requests are made from the route table, so a route that is
 * not in the file fails the test; so does a cell that differs.
 *
 * First everybody by key, the local socket, nobody; then everybody by session.
 * A cell has two characters, for the own and the other object (the same when the path names none):
 *   +  let in (whatever the handler then says about the empty body)    3  403
 *   4  404: for this caller there is no such object                    1  401
 * SEEKD_ACCESS_PRINT=1 prints the table as it is.
 */
#include <config.h>

#include "admin_rig.h"

#include <stdlib.h>
#include <string.h>

#include "auth/session.h"
#include "http/route.h"
#include "store/store.h"
#include "template/registry.h"
#include "testfile.h"
#include "usage/ledger.h"

static struct admin_rig rig;

enum { BY_SESSION = BY_NOBODY + 1, CALLERS = BY_SESSION + BY_PERSONS, CELLS_TEXT = 3 * CALLERS + 1 };

static int64_t spare_key[BY_PERSONS]; /* which requests may revoke */

/* Who asks, whatever they show. */
static enum admin_who person_of(int caller)
{
    return (enum admin_who)(caller >= BY_SESSION ? caller - BY_SESSION : caller);
}

/* Where somebody's own things are, and where the other ones. */
static bool in_office(enum admin_who who)
{
    return who == BY_AUDITOR || who == BY_OTHER;
}

/* Whose object the path names: the caller's, or that of somebody in another department. */
static enum admin_who whose(enum admin_who who, bool own)
{
    if (own && who < BY_PERSONS)
        return who;
    return in_office(who) == own || who >= BY_PERSONS ? BY_OTHER : BY_USER;
}

/* ---- objects ---------------------------------------------------------------------------------- */

static void save_template(const char *name, int64_t department_id)
{
    struct principal p = {.person_id = rig.person[BY_EDITOR].id, .roles = ROLE_EDITOR | ROLE_ADMIN,
                          .scopes = SCOPE_EDIT | SCOPE_ADMIN, .department_id = rig.works};
    struct audit_actor actor = {.person_id = p.person_id, .name = "rig", .address = "local",
                                .request_id = ""};
    struct registry_act act = {.who = &p, .actor = &actor, .reason = "", .now_s = 1};
    struct registry_saved saved;
    struct err e = ERR_INIT;
    json_t *content = json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", "hello");
    struct registry_save s = {.name = name, .content = content, .note = "n",
                              .owner_id = rig.person[BY_ADMIN].id, .department_id = department_id};
    ck_assert_msg(registry_save(rig.server.service->registry, &act, &s, &saved, &e), "%s", e.msg);
    ck_assert_msg(registry_label_move(rig.server.service->registry, &act, name, "staging", 1, 0, &e),
                  "%s", e.msg);
    registry_saved_release(&saved);
    json_decref(content);
}

static void add_usage_row(enum admin_who who)
{
    char id[32];
    struct ledger_request *r = NULL;
    struct err e = ERR_INIT;
    snprintf(id, sizeof id, "req-of-%d", (int)who);
    struct ledger_start start = {.request_id = id, .started_us = 1, .endpoint = "/v1/x",
                                 .person_id = rig.person[who].id, .model = "fake"};
    struct ledger_end end = {.finished_us = 2, .queue_us = -1, .ttft_us = -1, .http_status = 200};
    ck_assert_msg(ledger_begin(rig.server.service->ledger, &start, &r, &e), "%s", e.msg);
    ck_assert_msg(ledger_finish(&r, &end, NULL, NULL, &e), "%s", e.msg);
}

static void add_spare_key(enum admin_who who)
{
    static const struct audit_actor actor = {.name = "rig", .address = "local", .request_id = ""};
    struct key_spec spec = {.name = "spare", .scopes = SCOPE_USAGE};
    char text[KEY_TEXT];
    struct err e = ERR_INIT;
    ck_assert_msg(key_create(rig.server.service->auth, &actor, rig.person[who].id, &spec,
                             &spare_key[who], text, &e), "%s", e.msg);
}

static void setup(void)
{
    admin_rig_open(&rig);
    save_template("works", rig.works);
    save_template("office", rig.office);
    for (int who = 0; who < BY_PERSONS; who++)
        add_usage_row((enum admin_who)who);
    for (int who = 0; who < BY_PERSONS; who++)
        add_spare_key((enum admin_who)who);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

/* ---- requests --------------------------------------------------------------------------------- */

/* The value of the parameter `name` behind the path so far. */
static void put_param(struct buf *path, const char *name, size_t len, enum admin_who owner)
{
    const char *before = buf_str(path);
    if (!strncmp(name, "name", len))
        buf_puts(path, in_office(owner) ? "office" : "works");
    else if (!strncmp(name, "number", len))
        buf_puts(path, "1");
    else if (!strncmp(name, "label", len))
        buf_puts(path, "staging");
    else if (!strncmp(name, "kind", len))
        buf_puts(path, "person");
    else if (!strncmp(name, "request_id", len))
        buf_printf(path, "req-of-%d", (int)owner);
    else if (strstr(before, "/models/"))
        buf_puts(path, "fake");
    else if (strstr(before, "/sessions/"))
        buf_puts(path, "0123456789abcdef");
    else if (strstr(before, "/keys/"))
        buf_printf(path, "%lld", (long long)spare_key[owner]);
    else if (strstr(before, "/departments/"))
        buf_printf(path, "%lld", (long long)(in_office(owner) ? rig.office : rig.works));
    else if (strstr(before, "/users/") || strstr(before, "/quotas/"))
        buf_printf(path, "%lld", (long long)rig.person[owner].id);
    else
        buf_puts(path, "1");
}

static void write_path(const struct route *r, enum admin_who owner, struct buf *path)
{
    for (const char *p = r->path; *p;) {
        if (*p != '{') {
            buf_putc(path, *p++);
            continue;
        }
        size_t len = strcspn(++p, "+}");
        put_param(path, p, len, owner);
        p += strcspn(p, "}") + 1;
    }
    if (r->query && !strncmp(r->query, "label ", 6)) /* else it means "production" */
        buf_puts(path, "?label=staging");
    else if (r->query && !strncmp(r->query, "from to", 7) && strstr(r->path, "/diff"))
        buf_puts(path, "?from=1&to=1");
}

/* As little as gets past the check of the fields, where rights are looked at behind it. */
static const char *body_of(const struct route *r)
{
    static const struct {
        const char *end, *body;
    } bodies[] = {
        {"{name}/run", "{\"label\": \"staging\"}"}, {"labels/{label}", "{\"number\": 1}"},
        {"/protection", "{\"protected\": true}"},     {"/canary", "{\"number\": 0}"},
        {"/review", "{\"to\": \"review\"}"},
    };
    size_t len = strlen(r->path);
    if (!r->body_bytes)
        return NULL;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        size_t n = strlen(bodies[i].end);
        if (len > n && !strcmp(r->path + len - n, bodies[i].end))
            return bodies[i].body;
    }
    return "{}";
}

static char outcome(const struct http_reply *r)
{
    switch (r->status) {
    case 401:
        return '1';
    case 403:
        return '3';
    case 404:
        return '4';
    default:
        return '+';
    }
}

/* A fresh session for every request: some of them end sessions. */
static void put_session(enum admin_who who, struct buf *headers)
{
    struct session_secret secret;
    struct err e = ERR_INIT;
    if (rig.person[who].roles & ROLE_SERVICE) /* has none */
        return;
    ck_assert_msg(session_open(rig.server.service->auth, rig.person[who].id, "127.0.0.1", "", "",
                               session_clock_s(), &secret, &e), "%s", e.msg);
    buf_printf(headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n", secret.token,
               secret.csrf);
}

/* A revision that no object has: whoever reaches it gets 412, and nothing changes. */
static char ask(const struct route *r, int caller, bool own)
{
    struct buf path, headers;
    enum admin_who who = person_of(caller);
    buf_init(&path, 4096);
    buf_init(&headers, 4096);
    buf_puts(&headers, "If-Match: \"999\"\r\nX-Reason: test\r\n");
    if (caller >= BY_SESSION)
        put_session(who, &headers);
    write_path(r, whose(who, own), &path);
    admin_send(&rig, caller >= BY_SESSION ? BY_NOBODY : who, r->method, buf_str(&path),
               buf_str(&headers), body_of(r));
    ck_assert_msg(rig.last.status != 0 && rig.last.status != 500, "%s %s by %d: %d %s", r->method,
                  buf_str(&path), caller, rig.last.status, buf_str(&rig.last.body));
    buf_release(&headers);
    buf_release(&path);
    return outcome(&rig.last);
}

static bool forget_passwords(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    (void)ctx;
    return store_query(db, "DELETE FROM password", &st, e) && store_run(db, st, NULL, e);
}

/* Whoever had a reset would have to choose a password before anything else. */
static void undo_resets(const struct route *r)
{
    struct err e = ERR_INIT;
    if (strstr(r->path, "password-reset"))
        ck_assert_msg(store_write(rig.server.service->store, forget_passwords, NULL, &e), "%s", e.msg);
}

static void ask_all(const struct route *r, char cells[CELLS_TEXT])
{
    for (int caller = 0; caller < CALLERS; caller++) {
        cells[3 * caller] = ask(r, caller, true);
        undo_resets(r);
        cells[3 * caller + 1] = ask(r, caller, false);
        undo_resets(r);
        cells[3 * caller + 2] = ' ';
    }
    cells[3 * CALLERS - 1] = '\0';
}

/* ---- the table -------------------------------------------------------------------------------- */

/* Cells of the line that begins with "METHOD PATH ", NULL without one. */
static const char *find_line(const char *table, const struct route *r, char cells[CELLS_TEXT])
{
    char begin[256];
    int len = snprintf(begin, sizeof begin, "%s %s ", r->method, r->path);
    for (const char *line = table; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, begin, (size_t)len))
            continue;
        line += len;
        line += strspn(line, " ");
        snprintf(cells, CELLS_TEXT, "%.*s", (int)strcspn(line, "\n"), line);
        return cells;
    }
    return NULL;
}

START_TEST(every_role_on_every_route)
{
    char *path = testfile_source("tests/access.txt");
    size_t bytes = 0, wrong = 0, n = 0;
    char *table = (char *)testfile_read(path, &bytes);
    bool print = getenv("SEEKD_ACCESS_PRINT") != NULL;
    ck_assert_msg(table != NULL, "%s cannot be read", path);
    table = realloc(table, bytes + 1);
    ck_assert_ptr_nonnull(table);
    table[bytes] = '\0';
    for (const struct route *r; (r = route_at(n)); n++) {
        char got[CELLS_TEXT], wanted[CELLS_TEXT];
        ck_assert_msg(r->access != ROUTE_UNSET && r->access < ROUTE_ACCESS_COUNT && r->summary &&
                          *r->summary, "%s %s lacks access or summary", r->method, r->path);
        ask_all(r, got);
        if (print)
            printf("%-6s %-62s %s\n", r->method, r->path, got);
        const char *line = find_line(table, r, wanted);
        if (line && !strcmp(line, got))
            continue;
        wrong++;
        printf("%s %s\n  is     %s\n  table  %s\n", r->method, r->path, got,
               line ? line : "has no such line");
    }
    printf("S5: %zu routes x %d callers x own and other object: %zu differ\n", n, CALLERS, wrong);
    ck_assert_uint_eq(wrong, 0);
    free(table);
    free(path);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("access");
    TCase *tc = tcase_create("access");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_role_on_every_route);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
