/* Login against an LDAP directory (RFC 4511): search with a service account, then bind as the one
 * entry found, then the groups.
 *
 * ldaps, or ldap with StartTLS; without TLS to this machine only. Certificate and host name are
 * checked. Referrals are not followed. Passwords are never kept; an empty one is refused before
 * anything is sent, because a directory takes it for an anonymous bind and says yes. Somebody who
 * is not in the directory costs the same exchanges as a wrong password. Every login opens its own
 * connections and closes them. Thread: any; a login blocks for as long as the directory takes, each
 * step at most `timeout_ms`. libldap reads its own defaults (ldap.conf); all that matters here is
 * set over them.
 */
#ifndef SEEKD_AUTH_LDAP_H
#define SEEKD_AUTH_LDAP_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/identity.h"
#include "base/buf.h"
#include "base/err.h"

enum { LDAP_PASSWORD_BYTES = 1024, LDAP_FILTER_BYTES = 8192 };

/* Strings are copied; NULL counts as "". In filters, {login} and {dn} stand for what was typed and
 * for the DN of the person, escaped as RFC 4515 asks. */
struct ldap_options {
    const char
        *name; /* of the directory, in identity.issuer; never change it: people belong to it */
    const char *url; /* "ldaps://host:port", "ldap://host"; several, by blanks, all of one kind, are
                        tried in turn */
    bool start_tls;  /* for ldap:// */
    const char *ca_file; /* PEM; "" = what ldap.conf says (in Debian, the system's) */
    const char *bind_dn, *bind_password; /* service account; both "" = search anonymously */
    const char *base_dn, *user_filter;
    /* texts of the person's entry; name and email may be "" */
    const char *subject_attribute; /* what never changes; objectGUID and objectSid come as hex */
    const char *login_attribute, *name_attribute, *email_attribute;
    const char *group_attribute;           /* DNs of groups in the person's entry; "" = none */
    const char *group_base, *group_filter; /* groups that name the person; "" = no search */
    unsigned timeout_ms;                   /* of one step, 100..60000 */
};
#define LDAP_OPTIONS_DEFAULT                                                                       \
    ((struct ldap_options){.name = "ldap",                                                         \
                           .user_filter = "(&(objectClass=person)(uid={login}))",                  \
                           .subject_attribute = "entryUUID",                                       \
                           .login_attribute = "uid",                                               \
                           .name_attribute = "cn",                                                 \
                           .email_attribute = "mail",                                              \
                           .group_attribute = "memberOf",                                          \
                           .group_filter = "(&(objectClass=groupOfNames)(member={dn}))",           \
                           .timeout_ms = 5000})

struct ldap_directory;

/* Checks the options and that the CA file can be read; reaches nobody. ERR_ARG says what is wrong.
 */
bool ldap_directory_create(const struct ldap_options *opt, struct ldap_directory **out,
                           struct err *e) WARN_UNUSED;
void ldap_directory_destroy(struct ldap_directory **d);

/* On success `id` is to be released with identity_release; on failure it is empty.
 * Errors: ERR_NOT_FOUND (login or password is wrong; the message does not say which), ERR_CONFLICT
 * (several entries fit: the filter is too wide), ERR_ARG (service account or filter refused),
 * ERR_FORMAT (the entry lacks subject or login), ERR_LIMIT (too many groups), ERR_IO (no
 * connection, TLS, time), ERR_UNSUPPORTED (the directory refers to another server). */
bool ldap_directory_login(struct ldap_directory *d, const char *login, const char *password,
                          struct identity *id, struct err *e) WARN_UNUSED;

/* Appends `filter` with {login} and {dn} replaced; every byte of a value that is not a letter, a
 * digit, '-', '_', '.', '@' or part of a UTF-8 character becomes \XX. False when `out` is full. */
bool ldap_filter_expand(struct buf *out, const char *filter, const char *login, const char *dn);

#endif
