/* Owns: cookies of sessions, and the way from an identity to a person.
 * Refuses to know: how somebody proved who they are. */
#include <config.h>

#include "admin/login.h"

#include <string.h>

#include "admin/admin.h"
#include "auth/identity.h"
#include "auth/people.h"
#include "auth/session.h"
#include "base/hash.h"
#include "service/service.h"

/* ---- who -------------------------------------------------------------------------------------- */

json_t *admin_principal_json(const struct principal *p, const char *session)
{
    char csrf[TOKEN_TEXT];
    json_t *out = json_pack("{s:I, s:s, s:I, s:o, s:o, s:b, s:b}", "id", (json_int_t)p->person_id,
                            "login", p->login, "department_id", (json_int_t)p->department_id,
                            "roles", admin_roles_json(p->roles), "scopes",
                            admin_scopes_json(p->scopes), "must_change_password",
                            p->must_change_password, "local", p->local);
    if (session && p->person_id && !p->key_id && session_csrf(session, csrf, NULL))
        json_object_set_new(out, "csrf_token", json_string(csrf));
    return out;
}

void admin_session_cookie(const struct api_call *call, struct api_answer *answer, const char *token)
{
    bool secure = call->service->secure_cookies;
    api_answer_header(answer, "Set-Cookie", "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
                      secure ? API_SESSION_COOKIE_SECURE : API_SESSION_COOKIE, token ? token : "",
                      token ? (int)SESSION_LIFE_S : 0, secure ? "; Secure" : "");
}

/* ---- from outside ----------------------------------------------------------------------------- */

bool admin_outside_begin(const struct api_call *call, struct api_error *e)
{
    if (atomic_fetch_add(&call->service->outside, 1) < SERVICE_OUTSIDE)
        return true;
    admin_outside_end(call);
    return api_fail(e, API_OVERLOADED, NULL,
                    "Many people are logging in at this moment; try again shortly.");
}

void admin_outside_end(const struct api_call *call)
{
    atomic_fetch_sub(&call->service->outside, 1);
}

static bool find_department(const struct api_call *call, const struct audit_actor *actor,
                            const char *path, int64_t *id, struct err *e)
{
    struct service *s = call->service;
    if (department_find(s->auth, path, id, NULL))
        return true;
    if (!department_ensure(s->auth, actor, path, id, e))
        return false;
    service_limits_changed(s);
    return true;
}

bool admin_identity_person(const struct api_call *call, const struct identity *id,
                           int64_t *person_id, struct err *e)
{
    char subject[IDENTITY_KEY_TEXT];
    struct identity_place place;
    struct err why = ERR_INIT;
    const char *source = identity_source_name(id->source);
    struct audit_actor actor = {
        .name = source, .address = call->address, .request_id = call->id};
    if (!identity_map_apply(call->service->identities, id, &place, &why)) {
        if (why.code == ERR_NOT_FOUND)
            FAIL(e, ERR_DENIED,
                 "None of your groups may use this server; ask its administrator.");
        if (e)
            *e = why;
        return false;
    }
    identity_key(id, subject);
    struct person_spec spec = {.login = id->login,
                               .name = id->name,
                               .email = id->email,
                               .roles = place.roles,
                               .source = source,
                               .subject = subject};
    return find_department(call, &actor, place.department, &spec.department_id, e) &&
           person_from_provider(call->service->auth, &actor, &spec, person_id, e);
}

/* ---- sessions --------------------------------------------------------------------------------- */

struct listing {
    json_t *list;
    char current[SESSION_ID_TEXT]; /* "" = the caller has none */
};

static bool add_session(void *ctx, const struct session_row *s, struct err *e)
{
    struct listing *l = ctx;
    (void)e;
    json_array_append_new(
        l->list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:b}", "id", s->id, "person_id",
                           (json_int_t)s->person_id, "created_at", (json_int_t)s->created_at,
                           "seen_at", (json_int_t)s->seen_at, "ends_at", (json_int_t)s->ends_at,
                           "address", s->address, "agent", s->agent, "current",
                           !strcmp(s->id, l->current)));
    return true;
}

bool admin_sessions_json(const struct api_call *call, int64_t person_id, json_t **out,
                         struct err *e)
{
    struct listing l = {.current = ""};
    const struct principal *p = &call->grant->principal;
    uint8_t digest[HASH_SHA256_BYTES];
    char hex[HASH_SHA256_HEX];
    if (call->session && p->person_id && !p->key_id) {
        if (!hash_sha256(call->session, strlen(call->session), digest, e))
            return false;
        hash_hex(digest, hex);
        memcpy(l.current, hex, SESSION_ID_TEXT - 1);
    }
    l.list = json_array();
    if (!session_list(call->service->auth, person_id, session_clock_s(), add_session, &l, e)) {
        json_decref(l.list);
        return false;
    }
    *out = l.list;
    return true;
}
