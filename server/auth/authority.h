/* Who is asking, from whatever they show, and on whose objects they may act.
 *
 * One table (authority.c) says for every kind of object and verb: which role, through which scope,
 * reaches how far. None of the roles implies another. An object that somebody may not reach is to
 * be treated as if it were not there; lists take the reach into the WHERE of their query.
 *
 *   own          what belongs to the person who asks
 *   department   their department and those above it
 *   all          everything; of templates and their reviews whatever template/registry.h lets them see
 *                and do: this table only says who has to do with them
 *
 * Thread: any.
 */
#ifndef SEEKD_AUTH_AUTHORITY_H
#define SEEKD_AUTH_AUTHORITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/key.h"
#include "auth/keyring.h"
#include "auth/principal.h"
#include "base/err.h"

struct auth;
struct keyring;

/* ---- who ------------------------------------------------------------------------------------- */

/* The scopes that a person with these roles has. */
uint32_t authority_scopes(uint32_t roles);

/* Takes away the roles that none of the principal's scopes lets act: a key may have fewer scopes than
 * its person has roles. For modules that ask for roles alone (template/registry.h). */
void authority_narrow(struct principal *p);

/* From an API key: those of the database, then those of the key file. Either may be NULL: a server
 * without a database has a key file only. A key of the file acts for nobody (person_id 0, login
 * "key-file", ROLE_USER), for inference alone; file_id gets
 * what keyring_check says of it, "" for other keys. Errors as key_check. */
bool authority_by_key(const struct auth *a, const struct keyring *ring, const char *text,
                      size_t len, const char *address, int64_t now_s, struct key_grant *out,
                      char file_id[KEYRING_ID_TEXT], struct err *e) WARN_UNUSED;
/* From a session's token; `now_s` of session_clock_s(). The grant holds no key: every model and
 * template. Errors as session_check. */
bool authority_by_session(const struct auth *a, const char *token, int64_t now_s,
                          struct key_grant *out, struct err *e) WARN_UNUSED;
/* The machine's administrator, through the local socket. */
void authority_local(struct key_grant *out);

/* Whether somebody who was let in would be let in still: the person is not disabled and has lost no
 * role, the key is neither revoked nor expired. For work that goes on after its request. Cost: a read
 * of the database when there is a key. */
bool authority_holds(const struct auth *a, const struct principal *p, int64_t now_s);

/* ---- may ------------------------------------------------------------------------------------- */

enum authority_object {
    AUTHORITY_KEY,
    AUTHORITY_SESSION,
    AUTHORITY_PASSWORD, /* write: set one's own; reset that of others */
    AUTHORITY_PERSON,
    AUTHORITY_DEPARTMENT,
    AUTHORITY_QUOTA, /* calendars too */
    AUTHORITY_USAGE,
    AUTHORITY_AUDIT,
    AUTHORITY_TEMPLATE, /* whether at all; which ones, template/registry.h says */
    AUTHORITY_APPROVAL, /* read: reviews and labels at all; who does what, template/registry.h says */
    AUTHORITY_SERVER,   /* backups, settings, models, health in detail */
    AUTHORITY_OBJECT_COUNT
};
enum authority_verb { AUTHORITY_READ, AUTHORITY_WRITE, AUTHORITY_VERB_COUNT };
enum authority_reach {
    AUTHORITY_NONE,
    AUTHORITY_OWN,
    AUTHORITY_IN_DEPARTMENT,
    AUTHORITY_ALL
};

/* How far the principal reaches: the widest of its roles. NONE while a password must be changed,
 * but for that. Cost: a few comparisons. */
enum authority_reach authority_reach(const struct principal *p, enum authority_object object,
                                     enum authority_verb verb);

/* What would let the principal in where authority_reach says NONE. */
struct authority_lack {
    uint32_t scopes; /* its roles would do, did the key have one of these */
    bool session;    /* its roles would do for whoever is logged in, not for a key */
    uint32_t roles;  /* one of these would do */
};
void authority_lacks(const struct principal *p, enum authority_object object,
                     enum authority_verb verb, struct authority_lack *out);

/* Whose an object is. */
struct authority_owner {
    int64_t person_id;     /* 0 = nobody's in particular */
    int64_t department_id; /* 0 = none */
};
/* Whether it may. `a` NULL (no database): nobody is in a department. */
bool authority_may(const struct auth *a, const struct principal *p, enum authority_object object,
                   enum authority_verb verb, const struct authority_owner *owner);

/* Short name of an object kind, for tables and messages. */
const char *authority_object_name(enum authority_object object);

#endif
