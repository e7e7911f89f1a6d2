/* Owns: the server with people that the tests of administration talk to.
 * Refuses to know: what they test. */
#include <config.h>

#include "admin_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "auth/authority.h"
#include "auth/people.h"
#include "base/mem.h"
#include "store/store.h"

static const struct audit_actor rig_actor = {.name = "rig", .address = "local", .request_id = ""};

/* ---- people ----------------------------------------------------------------------------------- */

static int64_t add_department(struct admin_rig *r, const char *path)
{
    struct err e = ERR_INIT;
    int64_t id = 0;
    ck_assert_msg(department_ensure(r->server.service->auth, &rig_actor, path, &id, &e), "%s", e.msg);
    return id;
}

static void add_person(struct admin_rig *r, enum admin_who who, const char *login,
                       int64_t department_id, uint32_t roles)
{
    const struct auth *a = r->server.service->auth;
    struct person_spec spec = {.login = login, .name = login, .email = "",
                               .department_id = department_id, .roles = roles, .source = "local"};
    struct key_spec key = {.name = "rig", .scopes = authority_scopes(roles)};
    struct err e = ERR_INIT;
    r->person[who].login = login;
    r->person[who].roles = roles;
    ck_assert_msg(person_create(a, &rig_actor, &spec, &r->person[who].id, &e), "%s", e.msg);
    ck_assert_msg(key_create(a, &rig_actor, r->person[who].id, &key, &r->person[who].key_id,
                             r->person[who].key, &e), "%s", e.msg);
}

void admin_rig_open(struct admin_rig *r)
{
    struct http_options opt = test_options();
    memset(r, 0, sizeof *r);
    opt.body_bytes = (size_t)4 << 20;
    test_server_start(&r->server, &opt, TEST_DATA);
    r->works = add_department(r, "Works");
    r->line3 = add_department(r, "Works/Line 3");
    r->office = add_department(r, "Office");
    add_person(r, BY_ADMIN, "anna.admin", r->works, ROLE_ADMIN);
    add_person(r, BY_EDITOR, "eve.editor", r->works, ROLE_EDITOR | ROLE_USER);
    add_person(r, BY_APPROVER, "paul.approver", r->works, ROLE_APPROVER | ROLE_USER);
    add_person(r, BY_AUDITOR, "otto.auditor", r->office, ROLE_AUDITOR);
    add_person(r, BY_USER, "王伟", r->line3, ROLE_USER);
    add_person(r, BY_OTHER, "olga.other", r->office, ROLE_USER);
    add_person(r, BY_SERVICE, "scada", r->works, ROLE_SERVICE);
}

static bool verify_chain(struct store_db *db, void *ctx, struct err *e)
{
    struct audit_head head;
    return audit_verify(db, NULL, &head, ctx, e);
}

void admin_rig_close(struct admin_rig *r)
{
    struct err e = ERR_INIT;
    int64_t bad = -1;
    ck_assert_msg(store_read(r->server.service->store, verify_chain, &bad, &e), "%s", e.msg);
    ck_assert_int_eq(bad, 0);
    http_reply_release(&r->last);
    test_server_stop(&r->server);
}

/* ---- requests --------------------------------------------------------------------------------- */

void admin_send(struct admin_rig *r, enum admin_who who, const char *method, const char *path,
                const char *headers, const char *body)
{
    struct http_client c;
    struct buf text;
    buf_init(&text, (size_t)16 << 20);
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method, path);
    if (who < BY_PERSONS)
        buf_printf(&text, "Authorization: Bearer %s\r\n", r->person[who].key);
    buf_puts(&text, headers ? headers : "");
    if (body)
        buf_printf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                   strlen(body));
    buf_puts(&text, "\r\n");
    buf_puts(&text, body ? body : "");
    http_reply_release(&r->last);
    if (who == BY_LOCAL)
        http_client_open_local(&c, r->server.socket);
    else
        http_client_open(&c, r->server.port);
    ck_assert(http_client_send(&c, buf_str(&text), text.len));
    http_client_read(&c, &r->last, !strcmp(method, "HEAD"), 20000);
    http_client_close(&c);
    buf_release(&text);
}

json_t *admin_call(struct admin_rig *r, enum admin_who who, const char *method, const char *path,
                   const char *headers, const char *body, int status)
{
    admin_send(r, who, method, path, headers, body);
    ck_assert_msg(r->last.status == status, "%s %s by %d: %d instead of %d: %s", method, path,
                  (int)who, r->last.status, status, buf_str(&r->last.body));
    return json_loadb(buf_str(&r->last.body), r->last.body.len, 0, NULL);
}

void admin_expect(struct admin_rig *r, enum admin_who who, const char *method, const char *path,
                  const char *headers, const char *body, int status)
{
    json_decref(admin_call(r, who, method, path, headers, body, status));
}

void admin_refused(struct admin_rig *r, enum admin_who who, const char *method, const char *path,
                   const char *headers, const char *body, int status, const char *code)
{
    json_t *v = admin_call(r, who, method, path, headers, body, status);
    ck_assert_str_eq(admin_text(v, "error/code"), code);
    ck_assert(*admin_text(v, "error/message"));
    json_decref(v);
}

/* ---- answers ---------------------------------------------------------------------------------- */

const char *admin_if_match(int64_t revision)
{
    static char line[64];
    snprintf(line, sizeof line, "If-Match: \"%" PRId64 "\"\r\n", revision);
    return line;
}

int64_t admin_etag(const struct admin_rig *r)
{
    char value[64];
    long long revision = -1;
    ck_assert_msg(http_reply_header(&r->last, "ETag", value, sizeof value), "no ETag");
    ck_assert_int_eq(sscanf(value, "\"%lld\"", &revision), 1);
    return revision;
}

const json_t *admin_at(const json_t *v, const char *path)
{
    while (*path && v) {
        char key[128];
        size_t len = strcspn(path, "/");
        snprintf(key, sizeof key, "%.*s", (int)len, path);
        v = json_is_array(v) ? json_array_get(v, strtoul(key, NULL, 10)) : json_object_get(v, key);
        path += len + (path[len] == '/');
    }
    return v;
}

const char *admin_text(const json_t *v, const char *path)
{
    const char *text = json_string_value(admin_at(v, path));
    return text ? text : "";
}

int64_t admin_number(const json_t *v, const char *path)
{
    const json_t *n = admin_at(v, path);
    return json_is_integer(n) ? json_integer_value(n) : -1;
}

int admin_main(Suite *s)
{
    SRunner *sr = srunner_create(s);
    srunner_set_fork_status(sr, CK_NOFORK); /* the server's threads do not survive a fork */
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
