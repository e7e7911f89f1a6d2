/* Owns: the table of who reaches what, and how a principal comes about.
 * Refuses to know: routes, HTTP. */
#include <config.h>

#include "auth/authority.h"

#include "auth/auth.h"
#include "auth/keyring.h"
#include "auth/roster.h"
#include "auth/session.h"

/* ---- who ------------------------------------------------------------------------------------- */

uint32_t authority_scopes(uint32_t roles)
{
    uint32_t scopes = roles ? SCOPE_USAGE : 0;
    if (roles & (ROLE_USER | ROLE_SERVICE))
        scopes |= SCOPE_INFER | SCOPE_TEMPLATES;
    if (roles & (ROLE_EDITOR | ROLE_APPROVER))
        scopes |= SCOPE_EDIT | SCOPE_TEMPLATES;
    if (roles & ROLE_AUDITOR)
        scopes |= SCOPE_AUDIT;
    if (roles & ROLE_ADMIN)
        scopes |= SCOPE_ADMIN;
    return scopes;
}

void authority_narrow(struct principal *p)
{
    static const struct {
        uint32_t scope, roles;
    } table[] = {
        {SCOPE_EDIT, ROLE_EDITOR | ROLE_APPROVER},
        {SCOPE_AUDIT, ROLE_AUDITOR},
        {SCOPE_ADMIN, ROLE_ADMIN},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!(p->scopes & table[i].scope))
            p->roles &= ~table[i].roles;
}

bool authority_by_key(const struct auth *a, const struct keyring *ring, const char *text,
                      size_t len, const char *address, int64_t now_s, struct key_grant *out,
                      char file_id[KEYRING_ID_TEXT], struct err *e)
{
    *out = (struct key_grant){0};
    file_id[0] = '\0';
    if (a && key_check(a, text, len, address, now_s, out, e))
        return true;
    if (!ring || !keyring_check(ring, text, len, file_id))
        FAIL(e, ERR_NOT_FOUND, "the API key is not valid");
    out->principal =
        (struct principal){.roles = ROLE_USER, .scopes = SCOPE_INFER, .login = "key-file"};
    return true;
}

bool authority_by_session(const struct auth *a, const char *token, int64_t now_s,
                          struct key_grant *out, struct err *e)
{
    *out = (struct key_grant){0};
    return session_check(a, token, now_s, &out->principal, e);
}

void authority_local(struct key_grant *out)
{
    *out = (struct key_grant){.principal = {.roles = ROLE_ADMIN | ROLE_AUDITOR,
                                            .scopes = SCOPE_ADMIN | SCOPE_AUDIT | SCOPE_USAGE,
                                            .local = true,
                                            .login = "local"}};
}

struct holding {
    int64_t now_s;
    bool good;
};

static bool look_at_key(void *ctx, const struct key_row *k, struct err *e)
{
    struct holding *h = ctx;
    (void)e;
    h->good = !k->revoked_at && (!k->expires_at || h->now_s < k->expires_at);
    return true;
}

bool authority_holds(const struct auth *a, const struct principal *p, int64_t now_s)
{
    struct roster_person person;
    struct holding h = {.now_s = now_s};
    if (p->local)
        return true;
    if (!roster_person(a->roster, p->person_id, &person) || person.disabled ||
        (p->roles & ~person.roles))
        return false;
    return !p->key_id || (key_get(a, p->key_id, look_at_key, &h, NULL) && h.good);
}

/* ---- may ------------------------------------------------------------------------------------- */

enum {
    ANY_ROLE = ROLE_ADMIN | ROLE_EDITOR | ROLE_APPROVER | ROLE_AUDITOR | ROLE_USER | ROLE_SERVICE
};

struct rule {
    enum authority_object object;
    enum authority_verb verb;
    uint32_t roles; /* one of these */
    uint32_t scope; /* 0 = by a session only, never by a key */
    enum authority_reach reach;
};

/* What stands not here, nobody may. */
static const struct rule rules[] = {
    {AUTHORITY_KEY, AUTHORITY_READ, ANY_ROLE, 0, AUTHORITY_OWN},
    {AUTHORITY_KEY, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_KEY, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},
    {AUTHORITY_KEY, AUTHORITY_WRITE, ROLE_USER | ROLE_EDITOR | ROLE_APPROVER, 0, AUTHORITY_OWN},
    {AUTHORITY_KEY, AUTHORITY_WRITE, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},

    {AUTHORITY_SESSION, AUTHORITY_READ, ANY_ROLE, 0, AUTHORITY_OWN},
    {AUTHORITY_SESSION, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_SESSION, AUTHORITY_WRITE, ANY_ROLE, 0, AUTHORITY_OWN},
    {AUTHORITY_SESSION, AUTHORITY_WRITE, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},

    {AUTHORITY_PASSWORD, AUTHORITY_WRITE, ANY_ROLE, 0, AUTHORITY_OWN},
    {AUTHORITY_PASSWORD, AUTHORITY_WRITE, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},

    {AUTHORITY_PERSON, AUTHORITY_READ, ANY_ROLE, SCOPE_USAGE, AUTHORITY_OWN},
    {AUTHORITY_PERSON, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_PERSON, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},
    {AUTHORITY_PERSON, AUTHORITY_WRITE, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},

    {AUTHORITY_DEPARTMENT, AUTHORITY_READ, ANY_ROLE, SCOPE_USAGE, AUTHORITY_IN_DEPARTMENT},
    {AUTHORITY_DEPARTMENT, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_DEPARTMENT, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},
    {AUTHORITY_DEPARTMENT, AUTHORITY_WRITE, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},

    {AUTHORITY_QUOTA, AUTHORITY_READ, ANY_ROLE, SCOPE_USAGE, AUTHORITY_OWN},
    {AUTHORITY_QUOTA, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_QUOTA, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},
    {AUTHORITY_QUOTA, AUTHORITY_WRITE, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},

    {AUTHORITY_USAGE, AUTHORITY_READ, ANY_ROLE, SCOPE_USAGE, AUTHORITY_OWN},
    {AUTHORITY_USAGE, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_USAGE, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},

    {AUTHORITY_AUDIT, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},

    /* These open the routes; which templates and what of them, template/registry.h decides. */
    {AUTHORITY_TEMPLATE, AUTHORITY_READ, ANY_ROLE, SCOPE_TEMPLATES, AUTHORITY_ALL},
    {AUTHORITY_TEMPLATE, AUTHORITY_READ, ROLE_EDITOR | ROLE_APPROVER, SCOPE_EDIT, AUTHORITY_ALL},
    {AUTHORITY_TEMPLATE, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_TEMPLATE, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},
    {AUTHORITY_TEMPLATE, AUTHORITY_WRITE, ROLE_EDITOR, SCOPE_EDIT, AUTHORITY_ALL},
    {AUTHORITY_TEMPLATE, AUTHORITY_WRITE, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_APPROVAL, AUTHORITY_READ, ROLE_EDITOR | ROLE_APPROVER, SCOPE_EDIT, AUTHORITY_ALL},
    {AUTHORITY_APPROVAL, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_APPROVAL, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},

    {AUTHORITY_SERVER, AUTHORITY_READ, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
    {AUTHORITY_SERVER, AUTHORITY_READ, ROLE_AUDITOR, SCOPE_AUDIT, AUTHORITY_ALL},
    {AUTHORITY_SERVER, AUTHORITY_WRITE, ROLE_ADMIN, SCOPE_ADMIN, AUTHORITY_ALL},
};

static bool applies(const struct rule *r, const struct principal *p)
{
    bool by_session = !p->key_id && p->person_id;
    if (!(r->roles & p->roles))
        return false;
    return r->scope ? (r->scope & p->scopes) != 0 : by_session;
}

enum authority_reach authority_reach(const struct principal *p, enum authority_object object,
                                     enum authority_verb verb)
{
    enum authority_reach reach = AUTHORITY_NONE;
    if (p->must_change_password)
        return object == AUTHORITY_PASSWORD && verb == AUTHORITY_WRITE && !p->key_id
                   ? AUTHORITY_OWN
                   : AUTHORITY_NONE;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].object == object && rules[i].verb == verb && rules[i].reach > reach &&
            applies(&rules[i], p))
            reach = rules[i].reach;
    return reach;
}

void authority_lacks(const struct principal *p, enum authority_object object,
                     enum authority_verb verb, struct authority_lack *out)
{
    *out = (struct authority_lack){0};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *r = &rules[i];
        if (r->object != object || r->verb != verb)
            continue;
        bool has_role = (r->roles & p->roles) != 0;
        out->roles |= r->roles;
        out->scopes |= has_role ? r->scope : 0;
        out->session |= has_role && !r->scope;
    }
}

bool authority_may(const struct auth *a, const struct principal *p, enum authority_object object,
                   enum authority_verb verb, const struct authority_owner *owner)
{
    switch (authority_reach(p, object, verb)) {
    case AUTHORITY_ALL:
        return true;
    case AUTHORITY_IN_DEPARTMENT:
        return a && roster_within(a->roster, p->department_id, owner->department_id);
    case AUTHORITY_OWN:
        return p->person_id && owner->person_id == p->person_id;
    case AUTHORITY_NONE:
        break;
    }
    return false;
}

const char *authority_object_name(enum authority_object object)
{
    static const char *const names[AUTHORITY_OBJECT_COUNT] = {
        "key",   "session", "password", "person",   "department", "quota",
        "usage", "audit",   "template", "approval", "server"};
    return (unsigned)object < AUTHORITY_OBJECT_COUNT ? names[object] : "unknown";
}
