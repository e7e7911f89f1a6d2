/* Departments and persons.
 *
 * Departments are a tree of at most PEOPLE_DEPTH levels; a name is unique below its parent. Persons
 * belong to one department. Neither is ever deleted: usage and audit rows name them. A disabled
 * department takes no new members and must have no active ones; a disabled person's sessions end
 * and their keys are refused from the commit on. Every change takes the revision that its caller
 * saw; ERR_STALE "changed meanwhile" when it is another by now. Every change has its audit row
 * in the same transaction. Thread: any but the writer's; those that take a struct store_db only
 * inside callbacks.
 */
#ifndef SEEKD_AUTH_PEOPLE_H
#define SEEKD_AUTH_PEOPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct audit_actor;
struct auth;
struct store_db;

enum {
    PEOPLE_NAME_BYTES = 200, /* names and logins; UTF-8 */
    PEOPLE_EMAIL_BYTES = 254,
    PEOPLE_SUBJECT_BYTES = 768,
    PEOPLE_NAME_TEXT = PEOPLE_NAME_BYTES + 1,
    PEOPLE_DEPTH = 16,
    PEOPLE_PATH_BYTES = PEOPLE_DEPTH * (PEOPLE_NAME_BYTES + 1),
    PEOPLE_PAGE = 500 /* rows at most in one list */
};

/* ---- departments ----------------------------------------------------------------------------- */

struct department {
    int64_t id, parent_id; /* parent 0 = none */
    char name[PEOPLE_NAME_TEXT];
    bool keep_prompts;               /* store what is asked and answered, sealed, for keep_days */
    int keep_days;                   /* 1..3650 */
    int64_t created_at, disabled_at; /* 0 = not disabled */
    int64_t revision;
};

struct department_spec {
    int64_t parent_id; /* 0 = none */
    const char *name;  /* without '/' */
    bool keep_prompts;
    int keep_days;
};

/* Errors: ERR_ARG (name, depth, parent disabled), ERR_NOT_FOUND (parent), ERR_CONFLICT (name
 * exists). */
bool department_create(const struct auth *a, const struct audit_actor *actor,
                       const struct department_spec *spec, int64_t *id, struct err *e) WARN_UNUSED;
/* Renames, moves and sets the policy: everything becomes as `spec` says. ERR_ARG when it would come
 * to lie below itself. */
bool department_change(const struct auth *a, const struct audit_actor *actor, int64_t id,
                       int64_t revision, const struct department_spec *spec, const char *reason,
                       struct err *e) WARN_UNUSED;
/* ERR_CONFLICT when it has active persons or departments. Enabling one needs an enabled parent. */
bool department_disable(const struct auth *a, const struct audit_actor *actor, int64_t id,
                        int64_t revision, bool disable, const char *reason,
                        struct err *e) WARN_UNUSED;
bool department_get(const struct auth *a, int64_t id, struct department *out,
                    struct err *e) WARN_UNUSED;
enum people_state { PEOPLE_ANY, PEOPLE_ACTIVE, PEOPLE_DISABLED };
/* What to list. */
struct department_filter {
    int64_t after_id;
    int64_t parent_id;       /* right below this one; 0 = those without a parent, -1 = all */
    enum people_state state;
    const char *text;        /* in the name; ASCII case ignored; NULL = everything */
    unsigned limit;          /* 1..PEOPLE_PAGE */
};
/* Rows with id > after_id in order of id, at most `limit`; *next = the cursor to go on with, 0 at
 * the end. `fn` runs inside a read callback; false ends the walk. */
typedef bool department_fn(void *ctx, const struct department *d, struct err *e);
bool department_list(const struct auth *a, const struct department_filter *f, department_fn *fn,
                     void *ctx, int64_t *next, struct err *e) WARN_UNUSED;
/* "Works/Line 3": finds it. ERR_NOT_FOUND, also when it is disabled. */
bool department_find(const struct auth *a, const char *path, int64_t *id,
                     struct err *e) WARN_UNUSED;
/* The same, creating what is missing. */
bool department_ensure(const struct auth *a, const struct audit_actor *actor, const char *path,
                       int64_t *id, struct err *e) WARN_UNUSED;

bool department_read(struct store_db *db, int64_t id, struct department *out,
                     struct err *e) WARN_UNUSED;
/* Like department_ensure, inside a write callback; the caller tells the roster. */
bool department_put_path(struct store_db *db, const struct audit_actor *actor, const char *path,
                         int64_t *id, struct err *e) WARN_UNUSED;

/* ---- persons --------------------------------------------------------------------------------- */

struct person {
    int64_t id, department_id;
    char login[PEOPLE_NAME_TEXT], name[PEOPLE_NAME_TEXT], email[PEOPLE_EMAIL_BYTES + 1];
    uint32_t roles;                                 /* bits of enum principal_role */
    char source[8];                                 /* "local", "ldap", "oidc" */
    int64_t created_at, disabled_at, last_login_at; /* 0 = not, never */
    int64_t revision;
};

/* Strings are borrowed. */
struct person_spec {
    const char *login;        /* unique, ASCII case ignored; no blanks; never changes */
    const char *name, *email; /* may be "" */
    int64_t department_id;
    uint32_t roles;
    const char *source;  /* "local", "ldap", "oidc" */
    const char *subject; /* what the provider calls them; NULL for "local" */
};

/* Errors: ERR_ARG (a field; roles that exclude each other), ERR_NOT_FOUND (department),
 * ERR_CONFLICT (the login is taken). A local person has no password yet: password_reset(). */
bool person_create(const struct auth *a, const struct audit_actor *actor,
                   const struct person_spec *spec, int64_t *id, struct err *e) WARN_UNUSED;
/* Sets name, email, department and roles; login, source and subject of `spec` are not looked at.
 * Sessions end when roles are taken away. ERR_CONFLICT also when nobody would be administrator. */
bool person_change(const struct auth *a, const struct audit_actor *actor, int64_t id,
                   int64_t revision, const struct person_spec *spec, const char *reason,
                   struct err *e) WARN_UNUSED;
/* Disables (sessions end, keys are refused) or enables. ERR_CONFLICT for the last administrator. */
bool person_disable(const struct auth *a, const struct audit_actor *actor, int64_t id,
                    int64_t revision, bool disable, const char *reason, struct err *e) WARN_UNUSED;
bool person_get(const struct auth *a, int64_t id, struct person *out, struct err *e) WARN_UNUSED;
bool person_by_login(const struct auth *a, const char *login, struct person *out,
                     struct err *e) WARN_UNUSED;
/* By what the identity provider calls them. */
bool person_by_subject(const struct auth *a, const char *source, const char *subject,
                       struct person *out, struct err *e) WARN_UNUSED;

/* Somebody whom an identity provider vouches for: found by (source, subject) and brought up to date
 * with `spec`, or created. Errors: ERR_NOT_FOUND "disabled" when an administrator disabled them,
 * ERR_CONFLICT when the login belongs to somebody else. *id = who it is. */
bool person_from_provider(const struct auth *a, const struct audit_actor *actor,
                          const struct person_spec *spec, int64_t *id, struct err *e) WARN_UNUSED;

/* What to list. 0 and NULL = everything. */
struct person_filter {
    int64_t after_id;
    int64_t department_id;
    bool below;     /* and the departments below it */
    uint32_t roles; /* at least one of these */
    enum people_state state;
    const char *source;
    const char *text; /* in login, name or email; ASCII case ignored */
    unsigned limit;   /* 1..PEOPLE_PAGE */
};
typedef bool person_fn(void *ctx, const struct person *p, struct err *e);
/* In order of id; *next as above. */
bool person_list(const struct auth *a, const struct person_filter *f, person_fn *fn, void *ctx,
                 int64_t *next, struct err *e) WARN_UNUSED;

bool person_read(struct store_db *db, int64_t id, struct person *out, struct err *e) WARN_UNUSED;
/* Adds a person with its audit row, inside a write callback; the caller tells the roster. */
bool person_put(struct store_db *db, const struct audit_actor *actor,
                const struct person_spec *spec, int64_t *id, struct err *e) WARN_UNUSED;

#endif
