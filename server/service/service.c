/* Owns: the order in which the parts on the database start and end, and what is due now and then.
 * Refuses to know: HTTP, models. */
#include <config.h>

#include "service/service.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "auth/auth.h"
#include "auth/identity.h"
#include "auth/lockout.h"
#include "auth/principal.h"
#include "auth/session.h"
#include "auth/vault.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/store.h"
#include "template/registry.h"
#include "usage/limits.h"
#include "usage/period.h"

enum { CARE_MS = 60000 };

/* ---- what is due ------------------------------------------------------------------------------ */

struct care {
    struct service *service;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    bool stop; /* guarded by mu */
};

static void report(const char *what, const struct err *e)
{
    char quoted[2 * sizeof e->msg];
    LOG_E("service", "%s failed cause=%s", what, log_quote(quoted, sizeof quoted, e->msg));
}

static bool purge_ledger(struct service *s, int64_t now_s)
{
    static const struct audit_actor self = {.name = "seekd", .address = "local", .request_id = ""};
    struct ledger_purged purged;
    struct err e = ERR_INIT;
    if (!ledger_purge(s->ledger, &s->retention, &self, now_s, &purged, &e)) {
        report("retention", &e);
        return false;
    }
    if (purged.texts + purged.rows + purged.totals)
        LOG_I("service", "retention texts=%" PRIu64 " rows=%" PRIu64 " totals=%" PRIu64,
              purged.texts, purged.rows, purged.totals);
    return true;
}

static void take_care(struct service *s, int64_t *purged_day)
{
    struct err e = ERR_INIT;
    int64_t now_s = clock_wall_s(), day = period_start(PERIOD_DAY, now_s);
    if (!session_purge(s->auth, session_clock_s(), &e))
        report("purge of sessions", &e);
    if (!lockout_purge(s->auth, session_clock_s(), &e))
        report("purge of failed logins", &e);
    if (!audit_anchor(s->store, now_s, audit_say_syslog, NULL, &e))
        report("anchor of the audit log", &e);
    if (day != *purged_day && purge_ledger(s, now_s)) /* else again at the next turn */
        *purged_day = day;
}

static void *care_main(void *user)
{
    struct care *c = user;
    int64_t purged_day = -1;
    pthread_mutex_lock(&c->mu);
    while (!c->stop) {
        pthread_mutex_unlock(&c->mu);
        take_care(c->service, &purged_day);
        pthread_mutex_lock(&c->mu);
        struct timespec until = thread_deadline(CARE_MS);
        while (!c->stop && pthread_cond_timedwait(&c->wake, &c->mu, &until) != ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&c->mu);
    return NULL;
}

static bool care_open(struct service *s, struct err *e)
{
    struct care *c = mem_zalloc(sizeof *c);
    c->service = s;
    pthread_mutex_init(&c->mu, NULL);
    thread_cond_init(&c->wake);
    if (pthread_create(&c->thread, NULL, care_main, c)) {
        pthread_cond_destroy(&c->wake);
        pthread_mutex_destroy(&c->mu);
        free(c);
        FAIL(e, ERR_NOMEM, "cannot start the thread that looks after the database");
    }
    s->care = c;
    return true;
}

static void care_close(struct care **out)
{
    struct care *c = *out;
    if (!c)
        return;
    pthread_mutex_lock(&c->mu);
    c->stop = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mu);
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->mu);
    free(c);
    *out = NULL;
}

/* ---- start and end ---------------------------------------------------------------------------- */

static char *path_in(const char *folder, const char *name)
{
    size_t len = strlen(folder) + strlen(name) + 2;
    char *path = mem_zalloc(len);
    snprintf(path, len, "%s/%s", folder, name);
    return path;
}

/* Whoever reads the path may stand in another folder. Owned; NULL for none. */
static char *whole_path(const char *path)
{
    char here[PATH_MAX];
    if (!path || !*path)
        return NULL;
    return *path == '/' || !getcwd(here, sizeof here) ? mem_strdup(path) : path_in(here, path);
}

const char *service_file_name(enum service_file f)
{
    static const char *const names[SERVICE_FILE_COUNT] = {
        [SERVICE_MODEL] = "model",
        [SERVICE_SOCKET] = "socket",
        [SERVICE_API_KEYS] = "api_keys",
        [SERVICE_CERTIFICATE] = "certificate",
        [SERVICE_CERTIFICATE_KEY] = "certificate_key",
        [SERVICE_OIDC_CA] = "oidc_ca",
        [SERVICE_OIDC_SECRET] = "oidc_secret",
        [SERVICE_LDAP_CA] = "ldap_ca",
        [SERVICE_LDAP_SECRET] = "ldap_secret",
    };
    return names[f];
}

static void name_files(struct service *s, const struct service_options *opt)
{
    s->folder = whole_path(opt->folder);
    s->database = path_in(s->folder, "seekd.db");
    for (int i = 0; i < SERVICE_FILE_COUNT; i++)
        s->files[i] = whole_path(opt->files[i]);
    s->listen = mem_strdup(opt->listen ? opt->listen : "");
    s->hosts = mem_strdup(opt->hosts ? opt->hosts : "");
}

static bool open_database(struct service *s, const struct service_options *opt, struct err *e)
{
    struct store_options store = STORE_OPTIONS_DEFAULT;
    if (mkdir(opt->folder, 0700) && errno != EEXIST)
        FAIL_OS(e, "cannot create the data folder %s", opt->folder);
    store.path = s->database;
    return store_open(&store, &s->store, e);
}

static bool open_people(struct service *s, const struct service_options *opt, struct err *e)
{
    struct auth_options auth = {.profile = opt->profile, .cost = opt->cost};
    return auth_open(s->store, &auth, &s->auth, e);
}

/* A folder that was restored without its key gets a new one, and only texts from then on open. */
static bool try_texts(struct service *s, struct err *e)
{
    if (!ledger_key_fits(s->ledger, &s->texts_open, e))
        return false;
    if (!s->texts_open)
        LOG_W("service", "texts.key is not the key of the kept texts: put back the file that belongs "
                         "to this database and restart folder=%s", s->folder);
    return true;
}

static bool open_usage(struct service *s, struct err *e)
{
    uint8_t key[VAULT_KEY_BYTES];
    uint64_t interrupted = 0;
    char *path = path_in(s->folder, "texts.key");
    bool ok = vault_key_file(path, key, e);
    free(path);
    s->limits = limits_create(NULL);
    ok = ok && ledger_open(s->store, key, &s->ledger, &interrupted, e) &&
         try_texts(s, e) && limits_load(s->limits, s->store, e);
    vault_wipe(key, sizeof key);
    if (ok && interrupted)
        LOG_W("service", "requests of an earlier process had no end interrupted=%" PRIu64,
              interrupted);
    return ok;
}

static bool open_logins(struct service *s, const struct service_options *opt, struct err *e)
{
    if (!opt->oidc && !opt->ldap)
        return true;
    if (!opt->identity_map || !*opt->identity_map)
        FAIL(e, ERR_ARG, "logins by OIDC or LDAP need identity_map, a file that says which group "
                         "belongs to which department and role");
    return identity_map_load(opt->identity_map, &s->identities, e) &&
           (!opt->oidc || oidc_create(opt->oidc, &s->oidc, e)) &&
           (!opt->ldap || ldap_directory_create(opt->ldap, &s->ldap, e));
}

bool service_open(const struct service_options *opt, struct service **out,
                  char first_password[PASSWORD_ONE_TIME_TEXT], struct err *e)
{
    struct service *s = mem_zalloc(sizeof *s);
    bool created;
    first_password[0] = '\0';
    name_files(s, opt);
    s->secure_cookies = opt->secure_cookies;
    s->retention = opt->retention;
    s->started_at = clock_wall_s();
    TRY(open_logins(s, opt, e));
    TRY(open_database(s, opt, e));
    TRY(open_people(s, opt, e));
    TRY(open_usage(s, e));
    registry_create(s->store, NULL, &s->registry);
    TRY(care_open(s, e));
    /* Last, because a password that nobody gets to see would shut everybody out. */
    TRY(password_first_admin(s->auth, first_password, &created, e));
    *out = s;
    return true;
fail:
    service_close(&s);
    return false;
}

void service_close(struct service **out)
{
    struct service *s = *out;
    if (!s)
        return;
    care_close(&s->care);
    if (s->registry)
        registry_destroy(&s->registry);
    if (s->ledger)
        ledger_close(&s->ledger);
    if (s->limits)
        limits_destroy(&s->limits);
    auth_close(&s->auth);
    if (s->store)
        store_close(&s->store);
    if (s->oidc)
        oidc_destroy(&s->oidc);
    if (s->ldap)
        ldap_directory_destroy(&s->ldap);
    if (s->identities)
        identity_map_destroy(&s->identities);
    free(s->folder);
    free(s->database);
    for (int i = 0; i < SERVICE_FILE_COUNT; i++)
        free(s->files[i]);
    free(s->listen);
    free(s->hosts);
    free(s);
    *out = NULL;
}

/* ---- for those who use it --------------------------------------------------------------------- */

void service_limits_changed(struct service *s)
{
    struct err e = ERR_INIT;
    if (!limits_load(s->limits, s->store, &e))
        report("reading the limits again", &e);
    if (!ledger_load_policies(s->ledger, &e))
        report("reading the departments' policies again", &e);
}

void service_caller(const struct principal *p, char text[SERVICE_CALLER_TEXT])
{
    snprintf(text, SERVICE_CALLER_TEXT, "%s:%" PRId64, p->key_id ? "key" : "person",
             p->key_id ? p->key_id : p->person_id);
}
