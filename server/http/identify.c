/* Owns: from credentials to a principal, and the check of a route's access column.
 * Refuses to know: whose the objects are that a handler will touch. */
#include <config.h>

#include "http/identify.h"

#include <stdio.h>

#include "admin/admin.h"
#include "app.h"
#include "auth/keyring.h"
#include "auth/session.h"
#include "base/clock.h"
#include "service/service.h"

/* ---- who -------------------------------------------------------------------------------------- */

static const struct auth *auth_of(const struct app *app)
{
    return app->service ? app->service->auth : NULL;
}

static bool by_key(const struct identify *who, const char *key, size_t len, struct key_grant *grant,
                   char label[IDENTIFY_LABEL], struct api_error *e)
{
    struct err why = ERR_INIT;
    char file_id[KEYRING_ID_TEXT];
    if (!authority_by_key(auth_of(who->app), who->app->keys, key, len, who->address,
                          clock_wall_s(), grant, file_id, &why))
        return api_fail(e, API_WRONG_KEY, NULL, "The API key is not valid.");
    snprintf(label, IDENTIFY_LABEL, "%s", grant->key ? grant->key->public_id : file_id);
    return true;
}

static bool by_session(const struct identify *who, struct key_grant *grant, struct api_error *e)
{
    struct err why = ERR_INIT;
    if (!authority_by_session(auth_of(who->app), who->session, session_clock_s(), grant, &why)) {
        if (why.code != ERR_NOT_FOUND && why.code != ERR_ARG)
            return api_fail_act(e, &why);
        return api_fail(e, API_NO_KEY, NULL, "The session has ended; log in again.");
    }
    const struct guard_field *csrf = &who->head->csrf_token;
    if (who->changes && !guard_same_origin(who->head, who->app->service->secure_cookies))
        return api_fail(e, API_ORIGIN, NULL,
                        "A change by cookie must come from a page of this server (Origin and Host "
                        "must agree; a proxy in front must pass on Host).");
    if (who->changes && (csrf->count != 1 || !session_csrf_holds(who->session, csrf->value)))
        return api_fail(e, API_CSRF, NULL,
                        "A change from the web page must carry its token in X-CSRF-Token.");
    return true;
}

/* A server without keys and database lets everybody use the model. */
static void anybody(struct key_grant *grant)
{
    *grant = (struct key_grant){
        .principal = {.roles = ROLE_USER, .scopes = SCOPE_INFER, .login = "anybody"}};
}

static bool find_grant(const struct identify *who, struct key_grant *grant,
                       char label[IDENTIFY_LABEL], struct api_error *e)
{
    const char *key;
    size_t len;
    if (!guard_credential(who->head, &key, &len, e))
        return false;
    if (who->local)
        authority_local(grant);
    else if (key && (who->app->keys || who->app->service))
        return by_key(who, key, len, grant, label, e);
    else if (who->session && who->app->service)
        return by_session(who, grant, e);
    else if (who->app->open_to_all)
        anybody(grant);
    else
        return api_fail(e, API_NO_KEY, NULL,
                        "An API key is required: send it as 'Authorization: Bearer KEY'.");
    return true;
}

/* ---- may -------------------------------------------------------------------------------------- */

static bool reaches(const struct route *r, const struct principal *p)
{
    switch (r->access) {
    case ROUTE_PUBLIC:
    case ROUTE_SIGNED_IN:
        return true;
    case ROUTE_SCOPE:
        return (p->scopes & r->scope) != 0;
    case ROUTE_OBJECT:
        return authority_reach(p, r->object, r->verb) != AUTHORITY_NONE;
    case ROUTE_LOCAL:
        return p->local;
    default:
        return false;
    }
}

/* "a", "a or b", "a, b or c". */
static void join(const json_t *words, char *out, size_t bytes)
{
    size_t n = json_array_size(words), len = 0, i;
    json_t *word;
    *out = '\0';
    json_array_foreach (words, i, word) {
        const char *before = !i ? "" : i + 1 == n ? " or " : ", ";
        len += (size_t)snprintf(out + len, bytes - len, "%s%s", before, json_string_value(word));
        if (len >= bytes)
            return;
    }
}

static bool fail_lack(const char *what, json_t *words, struct api_error *e)
{
    char text[128];
    join(words, text, sizeof text);
    json_decref(words);
    return api_fail(e, API_DENIED, NULL, "%s %s.", what, text);
}

/* Which scope or role is missing. */
static bool fail_access(const struct route *r, const struct principal *p, struct api_error *e)
{
    struct authority_lack lack = {0};
    if (r->access == ROUTE_OBJECT)
        authority_lacks(p, r->object, r->verb, &lack);
    else if (r->access == ROUTE_SCOPE)
        lack.scopes = r->scope & authority_scopes(p->roles);
    if (p->key_id && lack.scopes)
        return fail_lack("The key lacks the scope", admin_scopes_json(lack.scopes), e);
    if (p->key_id && lack.session)
        return api_fail(e, API_DENIED, NULL, "This is for whoever is logged in, not for a key.");
    if (lack.roles & ~p->roles)
        return fail_lack("This needs the role", admin_roles_json(lack.roles), e);
    return api_fail_denied(e);
}

/* The reason where it is not one of roles: there is no database, or nobody in particular asks. */
static bool fail_reach(const struct identify *who, const struct principal *p, struct api_error *e)
{
    if (who->route->needs_database && !who->app->service)
        return api_fail(e, API_NO_DATABASE, NULL,
                        "This server runs without a database; start it with --data-dir.");
    if (!p->person_id && !p->local)
        return api_fail(e, API_DENIED, NULL,
                        "This key belongs to nobody (it is none of the database, or none was sent) and "
                        "may use the model only; an administrator makes keys of people.");
    return fail_access(who->route, p, e);
}

bool identify(const struct identify *who, struct key_grant *grant, char label[IDENTIFY_LABEL],
              struct api_error *e)
{
    *grant = (struct key_grant){0};
    label[0] = '\0';
    if (who->route->access == ROUTE_PUBLIC)
        return true;
    if (!find_grant(who, grant, label, e))
        return false;
    if (grant->principal.must_change_password && who->route->access != ROUTE_SIGNED_IN)
        return api_fail(e, API_PASSWORD_DUE, NULL, "Choose a new password first.");
    if (!reaches(who->route, &grant->principal))
        return fail_reach(who, &grant->principal, e);
    return true;
}
