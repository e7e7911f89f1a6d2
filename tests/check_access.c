/* S5: every role on every route, on an object of their own and on somebody else's, against a table that
 * people have read: tests/access.txt. The requests are made from the route table, so a route that is
 * not in the file fails the test; so does a cell that differs.
 *
 * First everybody by key, the local socket, nobody; then everybody by session.
 * A cell has two characters, for the own and the other object, which path and body name (the same when
 * they name none). In lists, for the own row and that of somebody else:
 *   +  let in; the row is there                         3  403
 *   -  let in, but the row is not there                 1  401
 *   4  404: for this caller there is no such object
 * SEEKD_ACCESS_PRINT=1 prints the table as it is. Ids below an object that belong to another one, in
 * paths, bodies and filters of lists, have a test of their own.
 */
#include <config.h>

#include "admin_browser.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "auth/session.h"
#include "base/clock.h"
#include "base/hash.h"
#include "http/route.h"
#include "store/store.h"
#include "template/registry.h"
#include "testfile.h"
#include "usage/ledger.h"

static struct admin_rig rig;

enum { BY_SESSION = BY_NOBODY + 1, CALLERS = BY_SESSION + BY_PERSONS, CELLS_TEXT = 3 * CALLERS + 1,
       LABEL_MOVES = 6 /* enough to roll back */ };

static int64_t spare_key[BY_PERSONS]; /* which requests may revoke */
static int64_t calendar;
static struct session_secret latest[BY_PERSONS]; /* "" = none */
static struct {
    int64_t works, office;
} run_of; /* of the test sets */
static unsigned fresh; /* numbers of what requests create */

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

static json_t *hello(const char *text)
{
    return json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", text);
}

/* Two versions, a label that has pointed to both, a run of the first one. */
static int64_t save_template(const char *name, int64_t department_id)
{
    struct principal p = {.person_id = rig.person[BY_EDITOR].id, .roles = ROLE_EDITOR | ROLE_ADMIN,
                          .scopes = SCOPE_EDIT | SCOPE_ADMIN, .department_id = rig.works};
    struct audit_actor actor = {.person_id = p.person_id, .name = "rig", .address = "local",
                                .request_id = ""};
    struct registry_act act = {.who = &p, .actor = &actor, .reason = "", .now_s = 1};
    struct registry *registry = rig.server.service->registry;
    struct registry_save s = {.name = name, .note = "n", .owner_id = rig.person[BY_ADMIN].id,
                              .department_id = department_id};
    struct err e = ERR_INIT;
    int64_t run;
    for (int i = 0; i < 2; i++) {
        struct registry_saved saved;
        json_t *content = hello(i ? "again" : name);
        s.content = content;
        ck_assert_msg(registry_save(registry, &act, &s, &saved, &e), "%s", e.msg);
        s.revision = saved.revision;
        registry_saved_release(&saved);
        json_decref(content);
    }
    json_t *report = json_object();
    for (int i = 0; i < LABEL_MOVES; i++)
        ck_assert_msg(registry_label_move(registry, &act, name, "staging", i % 2 ? 1 : 2, i, &e), "%s",
                      e.msg);
    ck_assert_msg(registry_record_run(registry, &act, name, 1, 1, 0, report, &run, &e), "%s", e.msg);
    json_decref(report);
    return run;
}

/* With its text, which the departments keep. */
static void add_usage_row(enum admin_who who)
{
    char id[32];
    struct ledger_request *r = NULL;
    struct err e = ERR_INIT;
    int64_t now_us = clock_wall_s() * 1000000;
    snprintf(id, sizeof id, "req-of-%d", (int)who);
    struct ledger_start start = {.request_id = id, .started_us = now_us, .endpoint = "/v1/x",
                                 .person_id = rig.person[who].id, .model = "fake",
                                 .key_id = rig.person[who].key_id,
                                 .department_id = in_office(who) ? rig.office : rig.works};
    struct ledger_end end = {.finished_us = now_us + 1, .queue_us = -1, .ttft_us = -1,
                             .http_status = 200, .text = "kept", .text_bytes = 4};
    ck_assert_msg(ledger_begin(rig.server.service->ledger, &start, &r, &e), "%s", e.msg);
    ck_assert_msg(ledger_finish(&r, &end, NULL, NULL, &e), "%s", e.msg);
}

static void keep_texts(int64_t department_id)
{
    const char *path = admin_path("departments/%" PRId64, department_id);
    admin_expect(&rig, BY_ADMIN, "GET", path, NULL, NULL, 200);
    admin_expect(&rig, BY_ADMIN, "PATCH", path, admin_if_match(admin_etag(&rig)),
                 "{\"keep_prompts\": true, \"keep_days\": 30}", 200);
}

/* Far limits for everybody, so that none of them refuses. */
static void add_limits(enum admin_who who)
{
    admin_expect(&rig, BY_ADMIN, "PUT", admin_path("quotas/person/%" PRId64, rig.person[who].id),
                 NULL, admin_body("{s:i, s:I}", "tokens_per_day", 1000000000, "calendar_id",
                                  (json_int_t)calendar), 201);
    admin_expect(&rig, BY_ADMIN, "PUT", admin_path("quotas/key/%" PRId64, spare_key[who]), NULL,
                 "{\"parallel\": 100}", 201);
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
    memset(latest, 0, sizeof latest);
    run_of.works = save_template("works", rig.works);
    run_of.office = save_template("office", rig.office);
    keep_texts(rig.works);
    keep_texts(rig.office);
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL,
                           "{\"name\": \"always\", \"hours\": {\"mon\": [[\"00:00\", \"24:00\"]]}}",
                           201);
    calendar = admin_number(v, "id");
    json_decref(v);
    for (int who = 0; who < BY_PERSONS; who++) {
        add_usage_row((enum admin_who)who);
        add_spare_key((enum admin_who)who);
        add_limits((enum admin_who)who);
    }
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

/* ---- requests --------------------------------------------------------------------------------- */

static const char *template_of(enum admin_who owner)
{
    return in_office(owner) ? "office" : "works";
}

static int64_t department_of(enum admin_who owner)
{
    return in_office(owner) ? rig.office : rig.works;
}

static void open_session(enum admin_who who, struct session_secret *secret)
{
    struct err e = ERR_INIT;
    ck_assert_msg(session_open(rig.server.service->auth, rig.person[who].id, "127.0.0.1", "", "",
                               session_clock_s(), secret, &e), "%s", e.msg);
}

/* A session of that person, which a request may end; service accounts have none. */
static void put_session_id(struct buf *path, enum admin_who owner)
{
    struct session_secret secret;
    uint8_t digest[HASH_SHA256_BYTES];
    char hex[HASH_SHA256_HEX];
    if (rig.person[owner].roles & ROLE_SERVICE) {
        buf_puts(path, "0123456789abcdef");
        return;
    }
    open_session(owner, &secret);
    ck_assert(hash_sha256(secret.token, strlen(secret.token), digest, NULL));
    hash_hex(digest, hex);
    buf_printf(path, "%.*s", SESSION_ID_TEXT - 1, hex);
}

/* The value of the parameter `name` behind the path so far. */
static void put_param(struct buf *path, const char *name, size_t len, enum admin_who owner)
{
    const char *before = buf_str(path);
    if (!strncmp(name, "name", len))
        buf_puts(path, template_of(owner));
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
        put_session_id(path, owner);
    else if (strstr(before, "/keys/"))
        buf_printf(path, "%" PRId64, spare_key[owner]);
    else if (strstr(before, "/departments/"))
        buf_printf(path, "%" PRId64, department_of(owner));
    else if (strstr(before, "/users/") || strstr(before, "/quotas/"))
        buf_printf(path, "%" PRId64, rig.person[owner].id);
    else if (strstr(before, "/calendars/"))
        buf_printf(path, "%" PRId64, calendar);
    else if (strstr(before, "/runs/"))
        buf_printf(path, "%" PRId64, in_office(owner) ? run_of.office : run_of.works);
    else
        ck_abort_msg("no value for %.*s behind %s", (int)len, name, before);
}

/* What tells whose a row of a list is. */
enum mark { MARK_DEPARTMENT, MARK_PERSON, MARK_TEMPLATE };

struct list {
    const char *path, *query, *field;
    enum mark mark;
};
static const struct list lists[] = {
    {"/api/public/v2/prompts", "", "name", MARK_TEMPLATE},
    {"/admin/v1/templates", "?limit=500", "name", MARK_TEMPLATE},
    {"/admin/v1/departments", "?limit=500", "id", MARK_DEPARTMENT},
    {"/admin/v1/users", "?limit=500", "id", MARK_PERSON},
    {"/admin/v1/keys", "?limit=500", "person_id", MARK_PERSON},
    {"/admin/v1/quotas", "?limit=500&kind=person", "id", MARK_PERSON},
    {"/admin/v1/me/sessions", "", "person_id", MARK_PERSON},
    {"/admin/v1/usage/totals", "?limit=500&by=person", "id", MARK_PERSON},
    {"/admin/v1/usage/requests", "?limit=500", "person_id", MARK_PERSON},
};

static const struct list *list_of(const struct route *r)
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (!strcmp(r->method, "GET") && !strcmp(r->path, lists[i].path))
            return &lists[i];
    return NULL;
}

/* Whether the latest reply has a row of that owner. */
static bool is_listed(const struct list *l, enum admin_who owner)
{
    json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL), *row;
    int64_t id = l->mark == MARK_PERSON ? rig.person[owner].id : department_of(owner);
    size_t i;
    bool found = false;
    ck_assert_msg(json_is_array(json_object_get(v, "data")), "%s: %s", l->path,
                  buf_str(&rig.last.body));
    json_array_foreach (json_object_get(v, "data"), i, row)
        found |= l->mark == MARK_TEMPLATE ? !strcmp(admin_text(row, l->field), template_of(owner))
                                          : admin_number(row, l->field) == id;
    json_decref(v);
    return found;
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
        buf_puts(path, "?from=1&to=2");
    else if (list_of(r))
        buf_puts(path, list_of(r)->query);
}

/* In bodies: $P, $D, $T, $K = person, department, template and key of the owner, $C the calendar, $N a
 * fresh number. */
static void put_body(const char *text, enum admin_who owner, struct buf *out)
{
    for (; *text; text++) {
        if (*text != '$') {
            buf_putc(out, *text);
            continue;
        }
        switch (*++text) {
        case 'P':
            buf_printf(out, "%" PRId64, rig.person[owner].id);
            break;
        case 'D':
            buf_printf(out, "%" PRId64, department_of(owner));
            break;
        case 'T':
            buf_puts(out, template_of(owner));
            break;
        case 'K':
            buf_printf(out, "%" PRId64, spare_key[owner]);
            break;
        case 'C':
            buf_printf(out, "%" PRId64, calendar);
            break;
        default:
            ck_assert_int_eq(*text, 'N');
            buf_printf(out, "%u", ++fresh);
        }
    }
}

#define CONTENT "\"content\": {\"messages\": [{\"role\": \"user\", \"content\": \"text $N\"}]}, "

/* Whole enough that rights decide; check_reach() finds what is not. */
static const char *body_text(const struct route *r)
{
    static const struct {
        const char *method, *end, *body;
    } bodies[] = {
        {"POST", "/v1/chat/completions", "{\"prompt\": {\"id\": \"$T\", \"label\": \"staging\"}}"},
        {"POST", "/v1/responses", "{\"prompt\": {\"id\": \"$T\", \"version\": \"1\"}}"},
        {"POST", "/v1/completions", "{\"prompt\": \"hello\", \"max_tokens\": 1}"},
        {"POST", "/tokenize", "{\"prompt\": \"hello\"}"},
        {"POST", "/detokenize", "{\"tokens\": [104]}"},
        {"POST", "/me/password", "{\"current\": \"not-mine\", \"new\": \"long-enough-77\"}"},
        {"POST", "{name}/run", "{\"label\": \"staging\"}"},
        {"POST", "/v1/departments", "{\"name\": \"team $N\", \"parent_id\": $D}"},
        {"PATCH", "/departments/{id}", "{\"name\": \"x\", \"parent_id\": $D}"},
        {"POST", "/v1/users",
         "{\"login\": \"new$N\", \"department_id\": $D, \"roles\": [\"user\"]}"},
        {"PATCH", "/users/{id}", "{\"name\": \"x\", \"department_id\": $D}"},
        {"POST", "/v1/keys", "{\"person_id\": $P, \"name\": \"k\", \"scopes\": [\"usage\"]}"},
        {"PATCH", "/keys/{id}", "{\"name\": \"x\"}"},
        {"PUT", "/quotas/{kind}/{id}", "{\"parallel\": 9, \"calendar_id\": $C}"},
        {"POST", "/v1/calendars", "{\"name\": \"c$N\", \"hours\": {}}"},
        {"PUT", "/calendars/{id}", "{\"name\": \"c$N\", \"hours\": {}}"},
        {"POST", "/v1/templates",
         "{\"name\": \"z/$N\", " CONTENT "\"note\": \"n\", \"owner_id\": $P, \"department_id\": $D}"},
        {"POST", "/templates/lint", "{" CONTENT "\"name\": \"$T\"}"},
        {"PATCH", "/templates/{name}", "{\"owner_id\": $P, \"department_id\": $D}"},
        {"POST", "/fork", "{\"name\": \"z/$N\", \"owner_id\": $P, \"department_id\": $D}"},
        {"POST", "/versions", "{" CONTENT "\"note\": \"n\"}"},
        {"PUT", "labels/{label}", "{\"number\": 1}"},
        {"PUT", "/protection", "{\"protected\": true}"},
        {"PUT", "/canary", "{\"number\": 2, \"department_id\": $D}"},
        {"POST", "/review", "{\"to\": \"review\"}"},
    };
    size_t len = strlen(r->path);
    if (!r->body_bytes)
        return NULL;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        size_t n = strlen(bodies[i].end);
        if (len >= n && !strcmp(r->method, bodies[i].method) &&
            !strcmp(r->path + len - n, bodies[i].end))
            return bodies[i].body;
    }
    return "{}";
}

static char outcome(const struct http_reply *r)
{
    switch (r->status) {
    case 401: /* that the password is wrong hears who was let in */
        return strstr(buf_str(&r->body), "\"wrong_login\"") ? '+' : '1';
    case 403:
        return '3';
    case 404:
        return '4';
    default:
        return '+';
    }
}

/* Ends the older sessions, of which one has to end when there are many. */
static void end_sessions(enum admin_who who)
{
    static const struct audit_actor actor = {.name = "rig", .address = "local", .request_id = ""};
    struct err e = ERR_INIT;
    int64_t n;
    ck_assert_msg(session_kill_all(rig.server.service->auth, &actor, rig.person[who].id, "", &n, &e),
                  "%s", e.msg);
}

/* A fresh session for every change, as some of them end sessions; reading takes the latest one. */
static void put_session(const struct route *r, enum admin_who who, struct buf *headers)
{
    struct session_secret *s = &latest[who];
    if (rig.person[who].roles & ROLE_SERVICE) /* has none */
        return;
    if (strcmp(r->method, "GET") || !*s->token) {
        if (strstr(r->path, "/sessions"))
            end_sessions(who);
        open_session(who, s);
    }
    buf_printf(headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n", s->token, s->csrf);
    if (strcmp(r->method, "GET"))
        *s->token = '\0'; /* it may have ended */
}

/* A body or query that is refused for what it says would hide whether rights are looked at. Without
 * objects: the login, and what only the machine's administrator may. */
static void check_reach(const struct route *r, const char *path)
{
    ck_assert_msg(rig.last.status != 0 && rig.last.status < 500, "%s %s: %d %s", r->method, path,
                  rig.last.status, buf_str(&rig.last.body));
    ck_assert_msg(rig.last.status != 400 || r->access == ROUTE_PUBLIC || r->access == ROUTE_LOCAL,
                  "%s %s needs another body: %s", r->method, path, buf_str(&rig.last.body));
}

/* A revision that no object has: whoever reaches it gets 412, and nothing changes. But the true one for
 * acts on labels that ask for rights behind it. */
static int64_t revision_for(const struct route *r, enum admin_who owner)
{
    int64_t revision = 999;
    if (!strstr(r->path, "/canary") && !strstr(r->path, "/rollback"))
        return revision;
    json_t *v = admin_call(&rig, BY_LOCAL, "GET", admin_path("templates/%s", template_of(owner)), NULL,
                           NULL, 200), *row;
    size_t i;
    json_array_foreach (json_object_get(v, "labels"), i, row)
        if (!strcmp(admin_text(row, "label"), "staging"))
            revision = admin_number(row, "revision");
    json_decref(v);
    return revision;
}

static char ask(const struct route *r, int caller, bool own)
{
    struct buf path, headers, body;
    enum admin_who who = person_of(caller), owner = whose(who, own);
    const char *text = body_text(r);
    buf_init(&path, 4096);
    buf_init(&headers, 4096);
    buf_init(&body, 4096);
    buf_puts(&headers, "X-Reason: test\r\n");
    if (strcmp(r->method, "GET"))
        buf_puts(&headers, admin_if_match(revision_for(r, owner)));
    if (caller >= BY_SESSION)
        put_session(r, who, &headers);
    write_path(r, owner, &path);
    put_body(text ? text : "", owner, &body);
    admin_send(&rig, caller >= BY_SESSION ? BY_NOBODY : who, r->method, buf_str(&path),
               buf_str(&headers), text ? buf_str(&body) : NULL);
    check_reach(r, buf_str(&path));
    char cell = outcome(&rig.last);
    if (cell == '+' && list_of(r) && !is_listed(list_of(r), owner))
        cell = '-';
    buf_release(&body);
    buf_release(&headers);
    buf_release(&path);
    return cell;
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

/* ---- ids of others ---------------------------------------------------------------------------- */

/* One answer for everything that the caller may not see: it is not there. */
static void expect_nothing(enum admin_who who, const char *method, const char *path,
                           const char *body)
{
    admin_refused(&rig, who, method, path, "If-Match: \"1\"\r\n", body, 404, "not_found");
}

/* A number that the path's own object does not have, although another one has it: not there, not even
 * for who may see both. */
START_TEST(versions_and_runs_belong_to_their_template)
{
    static const enum admin_who all[] = {BY_ADMIN, BY_AUDITOR, BY_LOCAL};
    ck_assert_int_ne(run_of.works, run_of.office);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        admin_expect(&rig, all[i], "GET",
                     admin_path("templates/works/versions/1/runs/%" PRId64, run_of.works), NULL, NULL,
                     200);
        expect_nothing(all[i], "GET",
                       admin_path("templates/works/versions/1/runs/%" PRId64, run_of.office), NULL);
        expect_nothing(all[i], "GET",
                       admin_path("templates/works/versions/2/runs/%" PRId64, run_of.works), NULL);
        expect_nothing(all[i], "GET", admin_path("templates/works/versions/3"), NULL);
    }
    expect_nothing(BY_EDITOR, "GET",
                   admin_path("templates/works/versions/1/runs/%" PRId64, run_of.office), NULL);
    expect_nothing(BY_EDITOR, "GET",
                   admin_path("templates/office/versions/1/runs/%" PRId64, run_of.works), NULL);
}
END_TEST

/* What is included in one's own template is read with it. */
START_TEST(templates_of_others_are_not_included)
{
    static const char *const content[] = {
        "{\"include\": \"office\", \"label\": \"staging\"}",
        "{\"include\": \"office\", \"number\": 1}"};
    char body[512];
    for (int i = 0; i < 2; i++) {
        snprintf(body, sizeof body,
                 "{\"name\": \"mine\", \"note\": \"n\", \"content\": {\"messages\": [%s]}}",
                 content[i]);
        json_t *v = admin_call(&rig, BY_EDITOR, "POST", "/admin/v1/templates", NULL, body, 400);
        ck_assert_msg(!strstr(buf_str(&rig.last.body), "again"), "%s", buf_str(&rig.last.body));
        json_decref(v);
        snprintf(body, sizeof body, "{\"name\": \"mine\", \"content\": {\"messages\": [%s]}}",
                 content[i]);
        v = admin_call(&rig, BY_EDITOR, "POST", "/admin/v1/templates/lint", NULL, body, 200);
        ck_assert_uint_gt(json_array_size(admin_at(v, "findings")), 0);
        json_decref(v);
    }
    expect_nothing(BY_EDITOR, "GET", "/admin/v1/templates/mine", NULL);
}
END_TEST

static void expect_empty(enum admin_who who, const char *path)
{
    json_t *v = admin_call(&rig, who, "GET", path, NULL, NULL, 200);
    ck_assert_msg(json_array_size(admin_at(v, "data")) == 0, "%s by %d: %s", path, (int)who,
                  buf_str(&rig.last.body));
    json_decref(v);
}

/* Filters that name others narrow a list, they never widen it. */
START_TEST(filters_show_nothing_of_others)
{
    int64_t other = rig.person[BY_OTHER].id, key = rig.person[BY_OTHER].key_id;
    static const char *const words[] = {"totals?", "totals?format=csv&", "requests?",
                                        "requests?format=csv&"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        expect_nothing(BY_USER, "GET", admin_path("usage/%sperson_id=%" PRId64, words[i], other),
                       NULL);
    expect_empty(BY_USER, admin_path("usage/totals?by=key&key_id=%" PRId64, key));
    expect_empty(BY_USER, admin_path("usage/totals?by=person&department_id=%" PRId64, rig.office));
    expect_empty(BY_USER, admin_path("usage/requests?key_id=%" PRId64, key));
    expect_empty(BY_USER, admin_path("usage/requests?department_id=%" PRId64, rig.office));
    expect_empty(BY_USER, admin_path("users?department_id=%" PRId64, rig.office));
    expect_empty(BY_USER, admin_path("users?text=olga"));
    expect_empty(BY_USER, admin_path("users?role=admin"));
    expect_empty(BY_USER, admin_path("users?after=%" PRId64, rig.person[BY_USER].id));
    expect_empty(BY_USER, admin_path("departments?text=Office"));
    expect_empty(BY_USER, admin_path("departments?after=%" PRId64, rig.line3));
    expect_empty(BY_USER, admin_path("quotas?kind=department"));
    expect_empty(BY_USER, admin_path("templates?prefix=off"));
    expect_empty(BY_USER, "/api/public/v2/prompts?name=office");
    expect_empty(BY_USER, "/api/public/v2/prompts?label=staging&name=office");
    /* by any cursor */
    json_t *v = admin_call(&rig, BY_USER, "GET",
                           admin_path("quotas?after=key-%019" PRId64, spare_key[BY_USER]), NULL, NULL,
                           200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 1);
    ck_assert_int_eq(admin_number(v, "data/0/id"), rig.person[BY_USER].id);
    json_decref(v);
}
END_TEST

START_TEST(limits_of_others_keys_and_departments_are_not_there)
{
    expect_nothing(BY_USER, "GET", admin_path("quotas/key/%" PRId64, spare_key[BY_OTHER]), NULL);
    expect_nothing(BY_USER, "GET", admin_path("quotas/department/%" PRId64, rig.office), NULL);
    admin_expect(&rig, BY_USER, "GET", admin_path("quotas/key/%" PRId64, spare_key[BY_USER]), NULL,
                 NULL, 200);
    /* the same number, of another kind */
    expect_nothing(BY_USER, "GET", admin_path("quotas/person/%" PRId64, rig.person[BY_OTHER].id),
                   NULL);
    json_t *v = admin_call(&rig, BY_USER, "GET", "/v1/usage/me", NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "person_id"), rig.person[BY_USER].id);
    for (size_t i = 0; i < json_array_size(admin_at(v, "limits")); i++)
        ck_assert_str_ne(admin_text(json_array_get(admin_at(v, "limits"), i), "kind"), "department");
    ck_assert_int_eq(admin_number(v, "data/0/requests"), 1);
    json_decref(v);
}
END_TEST

/* Of a person whom one sees, too. */
START_TEST(sessions_and_keys_of_others_stay)
{
    struct session_secret mine, others;
    struct buf path;
    char cookie[128];
    open_session(BY_OTHER, &others);
    open_session(BY_USER, &mine);
    struct browser b = {.rig = &rig};
    snprintf(b.token, sizeof b.token, "%s", mine.token);
    snprintf(b.csrf, sizeof b.csrf, "%s", mine.csrf);
    buf_init(&path, 256);
    buf_puts(&path, "/admin/v1/me/sessions/");
    put_session_id(&path, BY_OTHER);
    browser_refused(&b, "DELETE", buf_str(&path), NULL, NULL, 404, "not_found");
    browser_refused(&b, "DELETE", admin_path("keys/%" PRId64, rig.person[BY_OTHER].key_id), NULL, NULL,
                    404, "not_found");
    browser_refused(&b, "DELETE", admin_path("users/%" PRId64 "/sessions", rig.person[BY_OTHER].id),
                    NULL, NULL, 404, "not_found");
    snprintf(cookie, sizeof cookie, "Cookie: seekd_session=%s\r\n", others.token);
    json_t *v = admin_call(&rig, BY_NOBODY, "GET", "/admin/v1/me/sessions", cookie, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 2);
    json_decref(v);
    admin_expect(&rig, BY_OTHER, "GET", "/admin/v1/me", NULL, NULL, 200);
    buf_release(&path);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("access");
    TCase *tc = tcase_create("access");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_role_on_every_route);
    tcase_add_test(tc, versions_and_runs_belong_to_their_template);
    tcase_add_test(tc, templates_of_others_are_not_included);
    tcase_add_test(tc, filters_show_nothing_of_others);
    tcase_add_test(tc, limits_of_others_keys_and_departments_are_not_there);
    tcase_add_test(tc, sessions_and_keys_of_others_stay);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
