/* Owns: what somebody asks about themselves. Refuses to know: other people. */
#include <config.h>

#include "admin/admin.h"

#include "auth/session.h"

/* The CSRF token is in it, for a page that was loaded again. */
static void me_get(const struct api_call *call, struct api_answer *answer)
{
    const struct principal *p = &call->grant->principal;
    char csrf[TOKEN_TEXT];
    struct err e = ERR_INIT;
    json_t *out = json_pack("{s:I, s:s, s:I, s:o, s:o, s:b, s:b}", "id", (json_int_t)p->person_id,
                            "login", p->login, "department_id", (json_int_t)p->department_id,
                            "roles", admin_roles_json(p->roles), "scopes",
                            admin_scopes_json(p->scopes), "must_change_password",
                            p->must_change_password, "local", p->local);
    if (call->session && !p->key_id && session_csrf(call->session, csrf, &e))
        json_object_set_new(out, "csrf_token", json_string(csrf));
    api_answer_json_take(answer, 200, out);
}

static const struct route rows[] = {
    {"GET", "/admin/v1/me", .access = ROUTE_SIGNED_IN, .place = ROUTE_SLOW, .handler = me_get,
     .summary = "Who is asking"},
};

const struct route_table ADMIN_ME = ROUTE_TABLE(rows);
