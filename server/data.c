/* Owns: how settings become options of the service. Refuses to know: what the parts do. */
#include <config.h>

#include "data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lang.h"
#include "settings.h"

enum { SECRET_BYTES = 1024 };

char *data_socket_path(const struct settings *s)
{
    if (*s->local_socket)
        return mem_strdup(s->local_socket);
    if (!*s->data_dir)
        return NULL;
    size_t len = strlen(s->data_dir) + sizeof "/seekd.sock";
    char *path = mem_zalloc(len);
    snprintf(path, len, "%s/seekd.sock", s->data_dir);
    return path;
}

/* The first line of a file; an empty path gives "". */
static bool read_secret(const char *path, char secret[SECRET_BYTES], struct err *e)
{
    secret[0] = '\0';
    if (!*path)
        return true;
    FILE *in = fopen(path, "re");
    if (!in)
        FAIL_OS(e, lang_pick("cannot read the secret in %s", "无法读取 %s 中的密码"), path);
    bool ok = fgets(secret, SECRET_BYTES, in) != NULL;
    fclose(in);
    secret[strcspn(secret, "\r\n")] = '\0';
    if (!ok || !*secret)
        FAIL(e, ERR_FORMAT,
             lang_pick("%s must hold a secret in its first line", "%s 的第一行必须是密码"), path);
    return true;
}

/* What seekctl doctor looks at. */
static void name_files(const struct settings *s, struct service_options *opt)
{
    opt->files[SERVICE_MODEL] = s->model;
    opt->files[SERVICE_API_KEYS] = s->api_key_file;
    opt->files[SERVICE_CERTIFICATE] = s->proxy_certificate;
    opt->files[SERVICE_CERTIFICATE_KEY] = s->proxy_certificate_key;
    opt->files[SERVICE_OIDC_CA] = s->oidc_ca_file;
    opt->files[SERVICE_OIDC_SECRET] = s->oidc_client_secret_file;
    opt->files[SERVICE_LDAP_CA] = s->ldap_ca_file;
    opt->files[SERVICE_LDAP_SECRET] = s->ldap_bind_password_file;
    opt->listen = s->listen;
    opt->hosts = s->allowed_hosts;
}

static struct oidc_options oidc_of(const struct settings *s, const char *client_secret)
{
    struct oidc_options o = OIDC_OPTIONS_DEFAULT;
    o.issuer = s->oidc_issuer;
    o.client_id = s->oidc_client_id;
    o.client_secret = client_secret;
    o.redirect_uri = s->oidc_redirect_uri;
    o.scopes = s->oidc_scopes;
    o.login_claim = s->oidc_login_claim;
    o.groups_claim = s->oidc_groups_claim;
    o.ca_file = s->oidc_ca_file;
    return o;
}

static struct ldap_options ldap_of(const struct settings *s, const char *bind_password)
{
    struct ldap_options o = LDAP_OPTIONS_DEFAULT;
    o.url = s->ldap_url;
    o.start_tls = s->ldap_start_tls;
    o.ca_file = s->ldap_ca_file;
    o.bind_dn = s->ldap_bind_dn;
    o.bind_password = bind_password;
    o.base_dn = s->ldap_base_dn;
    o.user_filter = s->ldap_user_filter;
    o.subject_attribute = s->ldap_subject_attribute;
    o.login_attribute = s->ldap_login_attribute;
    o.group_base = s->ldap_group_base;
    o.group_filter = s->ldap_group_filter;
    return o;
}

static bool open_with(const struct settings *s, const char *client_secret,
                      const char *bind_password, struct service **out,
                      char first_password[PASSWORD_ONE_TIME_TEXT], struct err *e)
{
    struct service_options opt = SERVICE_OPTIONS_DEFAULT;
    struct oidc_options oidc = oidc_of(s, client_secret);
    struct ldap_options ldap = ldap_of(s, bind_password);
    char *socket = data_socket_path(s);
    opt.folder = s->data_dir;
    name_files(s, &opt);
    opt.files[SERVICE_SOCKET] = socket;
    opt.profile = (enum password_profile)s->password_profile;
    opt.secure_cookies = s->secure_cookies;
    opt.identity_map = s->identity_map;
    opt.retention = (struct ledger_policy){.row_days = (unsigned)s->keep_requests,
                                           .minute_days = (unsigned)s->keep_minutes,
                                           .hour_days = (unsigned)s->keep_hours,
                                           .day_days = (unsigned)s->keep_days};
    opt.oidc = *s->oidc_issuer ? &oidc : NULL;
    opt.ldap = *s->ldap_url ? &ldap : NULL;
    bool ok = service_open(&opt, out, first_password, e);
    free(socket);
    return ok;
}

bool data_open(const struct settings *s, struct service **out,
               char first_password[PASSWORD_ONE_TIME_TEXT], struct err *e)
{
    char client_secret[SECRET_BYTES], bind_password[SECRET_BYTES];
    first_password[0] = '\0';
    *out = NULL;
    if (!*s->data_dir)
        return true;
    bool ok = read_secret(s->oidc_client_secret_file, client_secret, e) &&
              read_secret(s->ldap_bind_password_file, bind_password, e) &&
              open_with(s, client_secret, bind_password, out, first_password, e);
    explicit_bzero(client_secret, sizeof client_secret);
    explicit_bzero(bind_password, sizeof bind_password);
    return ok;
}
