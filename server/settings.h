/* The settings of seekd: one row per option says name, section, type, range, default, when it can
 * change and what it is for. Configuration file, command line, --help and --print-config are all
 * made from the rows. (Not called config.h, because that is the build's own header.)
 *
 * A configuration file has lines `name = value` under [sections], read by inih; a value in quotes or
 * with a comment that begins with # behind it is refused, because both would be taken as they stand
 * (a # without a blank before it is part of the value). Every name is also
 * a command-line flag (max_context -> --max-context). The command line wins over the file.
 * Owner: the caller of settings_init. Thread: one, at start and at SIGHUP.
 */
#ifndef SEEKD_SETTINGS_H
#define SEEKD_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct settings {
    /* [model] */
    char *model, *model_name, *device, *cache_dir;
    uint64_t max_context, kv_bytes, max_seqs, step_tokens;
    uint64_t kv_type; /* enum engine_kv_type */
    /* [server] */
    char *listen, *health_listen, *admin_listen, *local_socket, *allowed_hosts;
    char *proxy_certificate, *proxy_certificate_key;
    uint64_t threads, workers, max_connections, max_body;
    uint64_t header_timeout, keepalive_timeout, stall_timeout, ping_interval, drain_timeout;
    /* [data] */
    char *data_dir;
    uint64_t keep_requests, keep_minutes, keep_hours, keep_days; /* days; 0 = for ever */
    /* [auth] */
    char *api_key_file;
    bool no_auth, secure_cookies;
    uint64_t password_profile; /* enum password_profile */
    char *identity_map;
    /* [oidc] */
    char *oidc_issuer, *oidc_client_id, *oidc_client_secret_file, *oidc_redirect_uri, *oidc_scopes;
    char *oidc_login_claim, *oidc_groups_claim, *oidc_ca_file;
    /* [ldap] */
    char *ldap_url, *ldap_ca_file, *ldap_bind_dn, *ldap_bind_password_file, *ldap_base_dn;
    char *ldap_user_filter, *ldap_subject_attribute, *ldap_login_attribute;
    char *ldap_group_base, *ldap_group_filter;
    bool ldap_start_tls;
    /* [log] */
    uint64_t log_level; /* enum log_level */
    bool log_json;
};

enum settings_action {
    SETTINGS_RUN,
    SETTINGS_CHECK,        /* --check-config */
    SETTINGS_PRINT,        /* --print-config: a file with all options and what they mean */
    SETTINGS_API_FIELDS,   /* --api-fields */
    SETTINGS_HELP,
    SETTINGS_VERSION
};

void settings_init(struct settings *s); /* defaults */
void settings_release(struct settings *s);

/* Reads --config FILE when given, then the other arguments. *config_path (owned, may come out NULL)
 * is what settings_reload needs. Errors: ERR_ARG, ERR_FORMAT, ERR_NOT_FOUND, ERR_IO; the message
 * names the option, and for a file the line. */
bool settings_read(struct settings *s, int argc, char **argv, enum settings_action *action,
                   char **config_path, struct err *e) WARN_UNUSED;

/* Reads one configuration file into `s`. */
bool settings_read_file(struct settings *s, const char *path, struct err *e) WARN_UNUSED;

/* Without a model, takes the demo model that came with the installation; true when it did. */
bool settings_choose_model(struct settings *s);

/* What one option cannot know about another: a model is given, --no-auth only on loopback, … */
bool settings_check(const struct settings *s, struct err *e) WARN_UNUSED;

enum { SETTINGS_NAMES = 256 };

/* SIGHUP: reads file and arguments again as settings_read did and takes over the options that can
 * change while running (log_level). All or nothing; `ignored` names others that differ, separated by
 * commas and cut where there are too many. */
bool settings_reload(struct settings *s, int argc, char **argv, char ignored[SETTINGS_NAMES],
                     struct err *e) WARN_UNUSED;

/* The value of log_level as a word. Static. */
const char *settings_log_level_name(const struct settings *s);

void settings_print_help(FILE *out);
/* Values of `s` as a configuration file with comments. */
void settings_print(const struct settings *s, FILE *out);

#endif
