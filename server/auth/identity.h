/* Somebody whom a directory or an issuer vouches for, and where the configuration puts them.
 *
 * ldap.h and oidc.h fill a `struct identity`; a person is recognized by (source, issuer, subject)
 * and by nothing else: logins, names and addresses change hands. The map says which department and
 * which roles membership of a group gives. Owner: the caller. Thread: a map is built by one, then
 * read-only and shared; the rest has no state.
 */
#ifndef SEEKD_AUTH_IDENTITY_H
#define SEEKD_AUTH_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum identity_source { IDENTITY_LDAP, IDENTITY_OIDC };

enum {
    IDENTITY_ISSUER_TEXT = 513, /* bytes, terminator included */
    IDENTITY_SUBJECT_TEXT = 256,
    IDENTITY_LOGIN_TEXT = 201,
    IDENTITY_NAME_TEXT = 257,
    IDENTITY_GROUP_TEXT = 1025,
    IDENTITY_MAX_GROUPS = 4096,
    IDENTITY_KEY_TEXT = IDENTITY_ISSUER_TEXT + IDENTITY_SUBJECT_TEXT
};

struct identity {
    enum identity_source source;
    char issuer[IDENTITY_ISSUER_TEXT];   /* OIDC: the issuer's URL; LDAP: the directory's name */
    char subject[IDENTITY_SUBJECT_TEXT]; /* never empty */
    char login[IDENTITY_LOGIN_TEXT];     /* never empty, no control characters */
    char name[IDENTITY_NAME_TEXT];       /* "" = not told */
    char email[IDENTITY_NAME_TEXT];      /* "" = not told, or not verified */
    char **groups;                       /* [n_groups], owned; LDAP: DNs */
    size_t n_groups;
};

void identity_init(struct identity *id, enum identity_source source);
void identity_release(struct identity *id);

/* "ldap" or "oidc", as in person.source. */
const char *identity_source_name(enum identity_source source);
/* Issuer, blank, subject: what person.subject holds. */
void identity_key(const struct identity *id, char out[IDENTITY_KEY_TEXT]);

/* Fill one field from outside text. Issuer, subject and login must be valid UTF-8 without control
 * characters, not empty, and fit: else ERR_FORMAT or ERR_LIMIT. A name is cut to what fits, control
 * characters become blanks; an e-mail address that is not one is left out. NULL counts as "". */
bool identity_set_issuer(struct identity *id, const char *text, struct err *e) WARN_UNUSED;
bool identity_set_subject(struct identity *id, const char *text, struct err *e) WARN_UNUSED;
bool identity_set_login(struct identity *id, const char *text, struct err *e) WARN_UNUSED;
void identity_set_name(struct identity *id, const char *text);
void identity_set_email(struct identity *id, const char *text);
/* ERR_LIMIT beyond IDENTITY_MAX_GROUPS: groups are never left out silently. */
bool identity_add_group(struct identity *id, const char *text, struct err *e) WARN_UNUSED;

/* What groups give. The file is JSON:
 *
 *   {"groups": [{"group": "line3", "department": "Works/Line 3", "roles": ["user", "editor"]},
 *               {"group": "seekd-admins", "roles": ["admin"]}],
 *    "default": {"department": "Guests", "roles": ["user"]}}
 *
 * The department is that of the first rule in the file's order that names one and fits; the roles
 * are those of all rules that fit, together. `default` (optional) serves who fits no rule; without
 * it they are refused. Groups of an issuer are compared byte by byte; those of a directory are DNs,
 * compared without regard to ASCII case and to blanks after commas. */
struct identity_map;

/* Where somebody belongs. */
struct identity_place {
    const char *department; /* path, names joined by '/'; borrowed from the map */
    uint32_t roles;         /* bits of enum principal_role, never none, never ROLE_SERVICE */
};

/* Errors: ERR_FORMAT (not JSON, twice the same key), ERR_ARG (unknown field, role, impossible
 * path), ERR_LIMIT, and for files ERR_NOT_FOUND, ERR_IO; the message names the rule. */
bool identity_map_parse(const char *json, size_t len, struct identity_map **out,
                        struct err *e) WARN_UNUSED;
bool identity_map_load(const char *path, struct identity_map **out, struct err *e) WARN_UNUSED;
void identity_map_destroy(struct identity_map **m);

/* ERR_NOT_FOUND: none of the groups is mapped, or those that are name no department. Cost: rules
 * times groups comparisons. */
bool identity_map_apply(const struct identity_map *m, const struct identity *id,
                        struct identity_place *out, struct err *e) WARN_UNUSED;

#endif
