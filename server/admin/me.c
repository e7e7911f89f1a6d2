/* Owns: what somebody asks about themselves: logging in and out, their password, their sessions.
 * Refuses to know: other people, and how passwords are checked. */
#include <config.h>

#include "admin/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/login.h"
#include "api/schema.h"
#include "auth/identity.h"
#include "auth/lockout.h"
#include "auth/login.h"
#include "auth/people.h"
#include "auth/session.h"
#include "auth/vault.h"
#include "base/log.h"
#include "service/service.h"

/* ---- login ------------------------------------------------------------------------------------ */

struct login_body {
    const char *login, *password;
};

#define AT(member) offsetof(struct login_body, member)
static const struct schema_field login_fields[] = {
    {"login", SCHEMA_STRING, 1, PEOPLE_NAME_BYTES, AT(login), true, NULL, NULL,
     "login name, here or in the directory", NULL},
    {"password", SCHEMA_STRING, 1, LDAP_PASSWORD_BYTES, AT(password), true, NULL, NULL, "password",
     NULL},
};
#undef AT
static const struct schema login_schema = {"POST /admin/v1/login", login_fields,
                                           sizeof login_fields / sizeof login_fields[0]};

static bool fail_wrong(struct api_error *e)
{
    return api_fail(e, API_WRONG_LOGIN, NULL, "The login or the password is wrong.");
}

/* What an attempt came to, when it is not good. */
static bool check_outcome(const struct login_result *r, struct api_error *e)
{
    if (r->outcome == LOGIN_OK)
        return true;
    if (r->outcome == LOGIN_WRONG)
        return fail_wrong(e);
    api_fail(e, API_RATE_LIMITED, NULL,
             "Too many wrong passwords: come again in %" PRId64 " seconds.", r->retry_s);
    e->retry_after_s = (unsigned)r->retry_s;
    return false;
}

static bool fail_attempt(const struct err *why, struct api_error *e)
{
    if (why->code == ERR_BUSY)
        return api_fail(e, API_RATE_LIMITED, NULL, "%s", why->msg);
    return api_fail_act(e, why);
}

/* Control characters are in nobody's login, and the directory is not asked about them. */
static bool is_possible(const char *login)
{
    for (const char *c = login; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return false;
    return true;
}

/* The attempt was none, or the password was right: its count goes. */
static void take_back(const struct api_call *call, const struct login_request *r)
{
    struct err e = ERR_INIT;
    if (!lockout_cancel(call->service->auth, r->login, r->address, &e))
        LOG_W("admin", "cannot take back an attempt to log in error=%s", err_code_name(e.code));
}

/* The directory has said yes. Who is disabled here gets the answer of a wrong password. */
static bool enter(const struct api_call *call, const struct login_request *r,
                  const struct identity *id, struct login_result *out, struct api_error *e)
{
    struct err why = ERR_INIT;
    int64_t person_id;
    if (admin_identity_person(call, id, &person_id, &why) &&
        login_vouched(call->service->auth, r, person_id, out, &why))
        return true;
    if (why.code == ERR_NOT_FOUND)
        return true;
    take_back(call, r);
    return api_fail_act(e, &why);
}

static bool give_up(const struct api_call *call, const struct login_request *r,
                    const struct err *why, struct api_error *e)
{
    char cause[2 * sizeof why->msg];
    LOG_E("admin", "login at the directory failed cause=%s",
          log_quote(cause, sizeof cause, why->msg));
    take_back(call, r);
    return api_fail(e, API_OVERLOADED, NULL,
                    "The directory cannot be asked at this moment; try again shortly.");
}

/* The road is the same whether the directory knows the login or not. */
static bool ask_directory(const struct api_call *call, const struct login_request *r,
                          struct login_result *out, struct api_error *e)
{
    struct service *s = call->service;
    struct identity id;
    struct err why = ERR_INIT;
    if (!lockout_begin(s->auth, r->login, r->address, r->now_s, &out->retry_s, &why))
        return api_fail_act(e, &why);
    if (out->retry_s) {
        out->outcome = LOGIN_LATER;
        return true;
    }
    if (!ldap_directory_login(s->ldap, r->login, r->password, &id, &why))
        return why.code == ERR_NOT_FOUND || give_up(call, r, &why, e);
    bool ok = enter(call, r, &id, out, e);
    identity_release(&id);
    return ok;
}

static bool by_directory(const struct api_call *call, const struct login_request *r,
                         struct login_result *out, struct api_error *e)
{
    if (!is_possible(r->login))
        return true;
    if (!admin_outside_begin(call, e))
        return false;
    bool ok = ask_directory(call, r, out, e);
    admin_outside_end(call);
    return ok;
}

/* False with *e set; else *out says how it went. Passwords of local persons never go to the
 * directory. */
static bool attempt(const struct api_call *call, const struct login_request *r,
                    struct login_result *out, struct api_error *e)
{
    const struct service *s = call->service;
    struct person p;
    struct err why = ERR_INIT;
    *out = (struct login_result){.outcome = LOGIN_WRONG};
    if (s->ldap) {
        bool known = person_by_login(s->auth, r->login, &p, &why);
        if (!known && why.code != ERR_NOT_FOUND)
            return api_fail_act(e, &why);
        if (!known || strcmp(p.source, "local") != 0)
            return by_directory(call, r, out, e);
    }
    return login_with_password(s->auth, r, out, &why) || fail_attempt(&why, e);
}

/* The session that a login has just opened cannot be read. */
static void answer_lost(const struct err *why, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    if (why->code == ERR_NOT_FOUND)
        api_fail(&e, API_NO_KEY, NULL, "The session has ended: other logins came meanwhile.");
    else
        api_fail_act(&e, why);
    api_answer_error(answer, &e);
}

static void welcome(const struct api_call *call, const struct login_result *r, int64_t now_s,
                    struct api_answer *answer)
{
    struct key_grant grant;
    struct err e = ERR_INIT;
    if (!authority_by_session(call->service->auth, r->secret.token, now_s, &grant, &e)) {
        answer_lost(&e, answer);
        return;
    }
    admin_session_cookie(call, answer, r->secret.token);
    api_answer_json_take(answer, 200, admin_principal_json(&grant.principal, r->secret.token));
}

static struct login_request request_of(const struct api_call *call, const char *login,
                                       const char *password)
{
    return (struct login_request){.login = login,
                                  .password = password,
                                  .address = call->address,
                                  .agent = call->agent,
                                  .request_id = call->id,
                                  .now_s = session_clock_s()};
}

static void login(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct login_body b;
    struct login_result r = {.outcome = LOGIN_WRONG};
    json_t *body = api_body(call, &login_schema, &b, &e);
    if (body) {
        struct login_request request = request_of(call, b.login, b.password);
        if (attempt(call, &request, &r, &e) && check_outcome(&r, &e))
            welcome(call, &r, request.now_s, answer);
    }
    if (e.code != API_OK)
        api_answer_error(answer, &e);
    vault_wipe(&r, sizeof r);
    json_decref(body);
}

/* ---- logout ----------------------------------------------------------------------------------- */

/* The session of whoever came by one; not a cookie beside a key, which no CSRF token covers. */
static const char *own_session(const struct api_call *call)
{
    const struct principal *p = &call->grant->principal;
    return p->person_id && !p->key_id ? call->session : NULL;
}

static void logout(const struct api_call *call, struct api_answer *answer)
{
    struct audit_actor actor = api_actor(call);
    const char *session = own_session(call);
    struct err e = ERR_INIT;
    if (session && !session_close(call->service->auth, &actor, session, &e)) {
        api_answer_act(answer, &e);
        return;
    }
    if (session)
        admin_session_cookie(call, answer, NULL);
    answer->status = 204;
}

/* ---- password --------------------------------------------------------------------------------- */

struct password_body {
    const char *current, *fresh;
};

#define AT(member) offsetof(struct password_body, member)
static const struct schema_field password_fields[] = {
    {"current", SCHEMA_STRING, 1, PASSWORD_MAX_BYTES, AT(current), true, NULL, NULL,
     "present (or one-time) password", NULL},
    {"new", SCHEMA_STRING, 1, PASSWORD_MAX_BYTES, AT(fresh), true, NULL, NULL, "new password",
     NULL},
};
#undef AT
static const struct schema password_schema = {"POST /admin/v1/me/password", password_fields,
                                              sizeof password_fields / sizeof password_fields[0]};

static bool has_password_here(const struct api_call *call, struct api_error *e)
{
    const struct principal *p = &call->grant->principal;
    struct person me;
    struct err why = ERR_INIT;
    if (!own_session(call))
        return api_fail(e, API_DENIED, NULL,
                        "A password is changed by whoever is logged in, not by a key.");
    if (!person_get(call->service->auth, p->person_id, &me, &why))
        return api_fail_act(e, &why);
    if (strcmp(me.source, "local") != 0)
        return api_fail(e, API_CONFLICT, NULL,
                        "Your password is kept by the directory or issuer; change it there.");
    return true;
}

/* Counted like a login, so that a session left open does not help to guess. */
static bool change_password(const struct api_call *call, const struct password_body *b,
                            struct api_error *e)
{
    const struct principal *p = &call->grant->principal;
    const struct auth *a = call->service->auth;
    struct login_request r = request_of(call, p->login, b->current);
    struct audit_actor actor = api_actor(call);
    struct login_result result;
    struct err why = ERR_INIT;
    if (!login_confirm(a, &r, &result, &why))
        return fail_attempt(&why, e);
    if (!check_outcome(&result, e))
        return false;
    if (password_change(a, &actor, p->person_id, b->current, b->fresh, call->session, &why))
        return true;
    fail_attempt(&why, e);
    if (why.code == ERR_ARG)
        snprintf(e->param, sizeof e->param, "new");
    return false;
}

static void password(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct password_body b;
    json_t *body = has_password_here(call, &e) ? api_body(call, &password_schema, &b, &e) : NULL;
    if (body && change_password(call, &b, &e))
        answer->status = 204;
    else
        api_answer_error(answer, &e);
    json_decref(body);
}

/* ---- who, and sessions ------------------------------------------------------------------------ */

/* The CSRF token is in it, for a page that was loaded again. */
static void me_get(const struct api_call *call, struct api_answer *answer)
{
    api_answer_json_take(answer, 200,
                         admin_principal_json(&call->grant->principal, call->session));
}

static void sessions_get(const struct api_call *call, struct api_answer *answer)
{
    struct err e = ERR_INIT;
    json_t *list;
    if (admin_sessions_json(call, call->grant->principal.person_id, &list, &e))
        admin_list_take(answer, list, 0);
    else
        api_answer_act(answer, &e);
}

static void session_delete(const struct api_call *call, struct api_answer *answer)
{
    struct audit_actor actor = api_actor(call);
    struct err e = ERR_INIT;
    if (session_kill(call->service->auth, &actor, call->grant->principal.person_id, call->param[0],
                     call->reason, &e))
        answer->status = 204;
    else
        api_answer_act(answer, &e);
}

static const struct route rows[] = {
    {"POST", "/admin/v1/login", .access = ROUTE_PUBLIC, .place = ROUTE_LOGIN, .needs_database = true,
     .body_bytes = ADMIN_BODY, .handler = login, .body = &login_schema,
     .summary = "Log in with login name and password; answers a cookie and the CSRF token"},
    {"POST", "/admin/v1/logout", .access = ROUTE_SIGNED_IN, .place = ROUTE_SLOW,
     .needs_database = true, .handler = logout, .summary = "End the session of the cookie"},
    {"GET", "/admin/v1/me", .access = ROUTE_SIGNED_IN, .place = ROUTE_SLOW, .handler = me_get,
     .summary = "Who is asking"},
    {"POST", "/admin/v1/me/password", .access = ROUTE_SIGNED_IN, .place = ROUTE_SLOW,
     .needs_database = true, .body_bytes = ADMIN_BODY, .handler = password,
     .body = &password_schema,
     .summary = "Change one's own password; ends one's other sessions"},
    {"GET", "/admin/v1/me/sessions", .access = ROUTE_OBJECT, .object = AUTHORITY_SESSION,
     .verb = AUTHORITY_READ, .place = ROUTE_SLOW, .needs_database = true, .handler = sessions_get,
     .summary = "One's own sessions"},
    {"DELETE", "/admin/v1/me/sessions/{id}", .access = ROUTE_OBJECT, .object = AUTHORITY_SESSION,
     .verb = AUTHORITY_WRITE, .place = ROUTE_SLOW, .needs_database = true,
     .handler = session_delete, .summary = "End one of one's own sessions"},
};

const struct route_table ADMIN_ME = ROUTE_TABLE(rows);
