/* Owns: the server that is attacked, and what a refusal looks like.
 * Refuses to know: the attacks. */
#include <config.h>

#include "admin_attack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth/people.h"
#include "template/registry.h"

struct admin_rig rig;

void attack_save_template(const char *name, int64_t department_id, const char *text)
{
    struct principal p = {.person_id = rig.person[BY_EDITOR].id, .roles = ROLE_EDITOR | ROLE_ADMIN,
                          .scopes = SCOPE_EDIT | SCOPE_ADMIN, .department_id = rig.works};
    struct audit_actor actor = {.person_id = p.person_id, .name = "rig", .address = "local",
                                .request_id = ""};
    struct registry_act act = {.who = &p, .actor = &actor, .reason = "", .now_s = 1};
    struct registry_saved saved;
    struct err e = ERR_INIT;
    json_t *content = json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", text);
    struct registry_save s = {.name = name, .content = content, .note = "n",
                              .owner_id = rig.person[BY_ADMIN].id, .department_id = department_id};
    ck_assert_msg(registry_save(rig.server.service->registry, &act, &s, &saved, &e), "%s", e.msg);
    registry_saved_release(&saved);
    json_decref(content);
}

void attack_setup(void)
{
    admin_rig_open(&rig);
    attack_save_template("works", rig.works, "hello");
    attack_save_template("office", rig.office, "hello");
}

void attack_teardown(void)
{
    admin_expect(&rig, BY_USER, "POST", CHAT, NULL, HELLO, 200);
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/users", NULL, NULL, 200);
    admin_rig_close(&rig);
}

void attack_session(enum admin_who who, struct session_secret *out)
{
    struct err e = ERR_INIT;
    ck_assert_msg(session_open(rig.server.service->auth, rig.person[who].id, "127.0.0.1", "", "",
                               session_clock_s(), out, &e), "%s", e.msg);
}

const char *attack_cookie(const char *token, const char *csrf)
{
    static char headers[512];
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\n%s%s%s", token,
             csrf ? "X-CSRF-Token: " : "", csrf ? csrf : "", csrf ? "\r\n" : "");
    return headers;
}

void attack_refused(enum admin_who who, const char *method, const char *path, const char *headers,
                    const char *body)
{
    admin_send(&rig, who, method, path, headers, body);
    json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL);
    bool refusal = rig.last.status >= 400 && rig.last.status < 500;
    ck_assert_msg(refusal && *admin_text(v, "error/code"),
                  "%s %.200s with %.200s and %.200s: %d %s", method, path, headers ? headers : "-",
                  body ? body : "-", rig.last.status, buf_str(&rig.last.body));
    json_decref(v);
}

enum admin_who attack_entitled(const struct route *r)
{
    if (r->access == ROUTE_LOCAL)
        return BY_LOCAL;
    if (r->access != ROUTE_OBJECT)
        return BY_USER;
    return r->object == AUTHORITY_AUDIT ? BY_AUDITOR : BY_ADMIN;
}

/* Something that is there. */
static void put_param(struct buf *path, const char *name, size_t len)
{
    const char *before = buf_str(path);
    if (!strncmp(name, "name", len))
        buf_puts(path, "works");
    else if (!strncmp(name, "kind", len))
        buf_puts(path, "person");
    else if (!strncmp(name, "number", len))
        buf_puts(path, "1");
    else if (strstr(before, "/keys/"))
        buf_printf(path, "%" PRId64, rig.person[BY_OTHER].key_id);
    else if (strstr(before, "/departments/"))
        buf_printf(path, "%" PRId64, rig.office);
    else if (strstr(before, "/users/") || strstr(before, "/quotas/"))
        buf_printf(path, "%" PRId64, rig.person[BY_OTHER].id);
    else
        buf_puts(path, "1");
}

unsigned attack_path(const struct route *r, unsigned which, const char *odd, struct buf *path)
{
    unsigned n = 0;
    buf_clear(path);
    for (const char *p = r->path; *p;) {
        if (*p != '{') {
            buf_putc(path, *p++);
            continue;
        }
        size_t len = strcspn(++p, "+}");
        if (odd && n == which)
            buf_puts(path, odd);
        else
            put_param(path, p, len);
        n++;
        p += strcspn(p, "}") + 1;
    }
    return n;
}
