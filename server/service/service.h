/* What stands on the database: people, keys, limits, the ledger, the prompt registry, and the ways to
 * log in. Opened before the HTTP server, closed after it.
 *
 * A thread of its own does what is due: every minute it purges sessions and failed logins and anchors
 * the audit log in syslog; once a day it applies the retention of the ledger.
 * Owner: the process. Thread: the members may be used from any thread as their own headers say.
 */
#ifndef SEEKD_SERVICE_SERVICE_H
#define SEEKD_SERVICE_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/ldap.h"
#include "auth/oidc.h"
#include "auth/password.h"
#include "base/err.h"
#include "template/checks.h"
#include "usage/ledger.h"

struct auth;
struct care;
struct identity_map;
struct limits;
struct registry;
struct store;

/* Files of the installation that somebody who looks after it wants to see (GET /admin/v1/status, seekctl
 * doctor). Nothing here opens them. */
enum service_file {
    SERVICE_MODEL,           /* GGUF file, any part of a split set */
    SERVICE_SOCKET,          /* for seekctl */
    SERVICE_API_KEYS,
    SERVICE_CERTIFICATE,     /* of the proxy that speaks TLS in front */
    SERVICE_CERTIFICATE_KEY,
    SERVICE_OIDC_CA,
    SERVICE_OIDC_SECRET,
    SERVICE_LDAP_CA,
    SERVICE_LDAP_SECRET,
    SERVICE_FILE_COUNT
};
const char *service_file_name(enum service_file f); /* "model", "certificate_key" */

/* Logins that may wait for a directory or issuer at the same time. */
enum { SERVICE_OUTSIDE = 6 };

/* Read-only after service_open, but for `outside`. */
struct service {
    atomic_int outside; /* logins that wait so now */
    struct store *store;
    struct auth *auth;
    struct limits *limits;
    struct ledger *ledger;
    bool texts_open; /* texts.key was the key of the kept texts at start */
    struct registry *registry;
    struct oidc *oidc;             /* NULL = not configured */
    struct ldap_directory *ldap;   /* NULL = not configured */
    struct identity_map *identities; /* NULL without oidc and ldap */
    bool secure_cookies;           /* cookies only over https */
    char *folder, *database;       /* absolute paths */
    char *files[SERVICE_FILE_COUNT]; /* absolute paths, NULL = none */
    char *listen, *hosts;          /* addresses as configured; Host names, by commas; "" = none */
    struct ledger_policy retention;
    int64_t started_at; /* seconds since the epoch */
    struct care *care; /* the thread */
};

/* Strings are borrowed for the call. */
struct service_options {
    const char *folder; /* holds seekd.db, its backups before migrations and the key of kept texts;
                         * created with mode 0700 */
    enum password_profile profile;
    struct password_cost cost; /* of new hashes */
    struct ledger_policy retention;
    const struct oidc_options *oidc; /* NULL = none */
    const struct ldap_options *ldap; /* NULL = none */
    const char *identity_map;        /* file of rules; needed with oidc or ldap */
    bool secure_cookies;
    const char *files[SERVICE_FILE_COUNT]; /* NULL or "" = none */
    const char *listen, *hosts;            /* the server's address and names; NULL = none */
};
#define SERVICE_OPTIONS_DEFAULT                                                                    \
    ((struct service_options){.cost = PASSWORD_COST_DEFAULT, .retention = LEDGER_POLICY_DEFAULT})

/* Where nobody is known yet, creates the administrator `admin`; *first_password is then its one-time
 * password (else ""): shown once and wiped by the caller. Errors: those of the parts, with the file's
 * name. */
bool service_open(const struct service_options *opt, struct service **out,
                  char first_password[PASSWORD_ONE_TIME_TEXT], struct err *e) WARN_UNUSED;
/* Nobody may call in any more. Accepts NULL. */
void service_close(struct service **s);

/* Reads quotas, calendars, the tree of departments and their policies again: after every change of one
 * of them. A failure is logged; what holds then stays as it was. */
void service_limits_changed(struct service *s);

/* "person:17", "key:3": what decides whether a caller belongs to a canary. */
enum { SERVICE_CALLER_TEXT = 32 };
struct principal;
void service_caller(const struct principal *p, char text[SERVICE_CALLER_TEXT]);

#endif
