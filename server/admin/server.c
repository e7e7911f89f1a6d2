/* Owns: the server as a whole over HTTP: its state, backups, the full check, the list of endpoints.
 * Refuses to know: how a backup or a check is made (store/, audit/).
 *
 * A backup's audit row is committed before the file is written: a copy that nobody is answerable for
 * cannot come into being, and the row is in the copy. */
#include <config.h>

#include "admin/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/schema.h"
#include "audit/audit.h"
#include "auth/vault.h"
#include "base/clock.h"
#include "engine.h"
#include "service/service.h"
#include "store/store.h"
#include "usage/ledger.h"
#include "usage/query.h"
#include "usage/quota.h"
#include "version.h"

enum { PATH_BYTES = 4096 };

/* ---- status ----------------------------------------------------------------------------------- */

static json_t *model_json(const struct api_model *m)
{
    if (!m)
        return json_null();
    const struct engine_info *i = engine_info(m->engine);
    struct engine_stats s;
    engine_stats(m->engine, &s);
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:b, s:f, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:b}}",
        "id", m->id, "architecture", i->architecture, "parameters", (json_int_t)i->n_params,
        "weight_bytes", (json_int_t)i->weight_bytes, "kv_bytes", (json_int_t)i->kv_bytes,
        "max_context", (json_int_t)i->max_context, "device", i->device_name, "software_device",
        (int)i->software_device, "load_seconds", i->load_seconds, "engine", "running",
        (json_int_t)s.running, "waiting", (json_int_t)s.waiting, "pages_used",
        (json_int_t)s.pages_used, "pages_total", (json_int_t)s.pages_total, "requests",
        (json_int_t)s.requests, "prompt_tokens", (json_int_t)s.prompt_tokens, "completion_tokens",
        (json_int_t)s.completion_tokens, "preemptions", (json_int_t)s.preemptions, "cancelled",
        (json_int_t)s.cancelled, "failed", (int)s.failed);
}

/* Paths are for those who sit at the machine. */
static json_t *database_json(const struct service *s, bool local)
{
    struct store_stats st;
    store_stats(s->store, &st);
    return json_pack("{s:s*, s:I, s:I, s:I, s:I, s:I, s:b}", "path", local ? s->database : NULL,
                     "commits", (json_int_t)st.commits, "jobs", (json_int_t)st.jobs, "failed_jobs",
                     (json_int_t)st.failed_jobs, "queued", (json_int_t)st.queued, "wal_bytes",
                     (json_int_t)st.wal_bytes, "read_only", (int)st.read_only);
}

static json_t *ledger_json(const struct service *s)
{
    struct ledger_stats l;
    ledger_stats(s->ledger, &l);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "begun", (json_int_t)l.begun, "ended",
                     (json_int_t)l.ended, "lost_starts", (json_int_t)l.lost_starts, "lost_ends",
                     (json_int_t)l.lost_ends, "queued", (json_int_t)l.queued, "texts_open",
                     (int)s->texts_open);
}

static json_t *files_json(const struct service *s)
{
    json_t *out = json_object();
    for (int i = 0; i < SERVICE_FILE_COUNT; i++)
        if (s->files[i])
            json_object_set_new(out, service_file_name((enum service_file)i),
                                json_string(s->files[i]));
    return out;
}

static bool count_quota(void *ctx, const struct quota *q, struct err *e)
{
    (void)e;
    ((int64_t *)ctx)[q->kind]++;
    return true;
}

static bool keep_started(void *ctx, const struct usage_row *r, struct err *e)
{
    (void)e;
    *(int64_t *)ctx = r->started_us;
    return true;
}

static bool keep_at(void *ctx, const struct audit_row *r, struct err *e)
{
    (void)e;
    *(int64_t *)ctx = r->at_us;
    return true;
}

/* When the newest row was written, by the clock of then; 0 = there is none. */
static bool find_newest(struct store_db *db, int64_t *at_s, struct err *e)
{
    struct audit_head head;
    struct usage_rows rows = {.filter.to_s = USAGE_TIME_END, .limit = 1};
    int64_t used_us = 0, audited_us = 0, cursor[2];
    if (!audit_head_read(db, &head, e))
        return false;
    struct audit_filter last = {.after_seq = head.seq - 1, .limit = 1};
    if ((head.seq > 0 && !audit_list(db, &last, keep_at, &audited_us, &cursor[0], e)) ||
        !usage_list(db, &rows, keep_started, &used_us, &cursor[0], &cursor[1], e))
        return false;
    *at_s = (used_us > audited_us ? used_us : audited_us) / 1000000;
    return true;
}

struct row_facts {
    int64_t quotas[QUOTA_SUBJECT_COUNT];
    int64_t newest_at;
};

static bool read_rows(struct store_db *db, void *ctx, struct err *e)
{
    struct row_facts *r = ctx;
    return quota_each(db, count_quota, r->quotas, e) && find_newest(db, &r->newest_at, e);
}

static json_t *limits_json(const int64_t rows[QUOTA_SUBJECT_COUNT])
{
    json_t *out = json_object();
    for (int i = 0; i < QUOTA_SUBJECT_COUNT; i++)
        json_object_set_new(out, quota_subject_name((enum quota_subject)i), json_integer(rows[i]));
    return out;
}

static void status_get(const struct api_call *call, struct api_answer *answer)
{
    struct service *s = call->service;
    struct err e = ERR_INIT;
    struct row_facts rows = {.newest_at = 0};
    if (!store_read(s->store, read_rows, &rows, &e)) {
        api_answer_act(answer, &e);
        return;
    }
    int64_t now = clock_wall_s();
    bool local = call->grant->principal.local;
    api_answer_json_take(
        answer, 200,
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o*, s:s*, s:s*}", "version",
                  SEEKD_VERSION, "state", call->model ? "serving" : "loading", "started_at",
                  (json_int_t)s->started_at, "uptime_s", (json_int_t)(now - s->started_at), "now",
                  (json_int_t)now, "newest_row_at", (json_int_t)rows.newest_at, "model",
                  model_json(call->model), "database", database_json(s, local), "ledger",
                  ledger_json(s), "limits", limits_json(rows.quotas), "files",
                  local ? files_json(s) : NULL, "listen", local ? s->listen : NULL, "hosts",
                  local ? s->hosts : NULL));
}

/* ---- backup ----------------------------------------------------------------------------------- */

struct backup_body {
    const char *path, *key_file;
};

#define AT(member) .offset = offsetof(struct backup_body, member)
static const struct schema_field backup_fields[] = {
    {.name = "path", .type = SCHEMA_STRING, .min = 2, .max = PATH_BYTES, AT(path), .required = true,
     .doc = "a new file of the server's machine, absolute"},
    {.name = "key_file", .type = SCHEMA_STRING, .min = 2, .max = PATH_BYTES, AT(key_file),
     .fallback = "not encrypted",
     .doc = "encrypts with the key in this file, absolute: 64 hexadecimal digits; made when missing"},
};
#undef AT
static const struct schema backup_schema = {"POST /admin/v1/backup", backup_fields,
                                            sizeof backup_fields / sizeof backup_fields[0]};

static bool check_paths(const struct backup_body *b, struct api_error *e)
{
    struct stat st;
    if (*b->path != '/')
        return api_fail(e, API_INVALID_VALUE, "path", "'path' must be absolute.");
    if (b->key_file && *b->key_file != '/')
        return api_fail(e, API_INVALID_VALUE, "key_file", "'key_file' must be absolute.");
    if (!lstat(b->path, &st))
        return api_fail(e, API_CONFLICT, "path",
                        "The file exists; a backup never replaces another one.");
    if (errno != ENOENT)
        return api_fail(e, API_INVALID_VALUE, "path", "The path cannot be used: %s.",
                        strerror(errno));
    return true;
}

static bool make_backup(const struct api_call *call, const struct backup_body *b, struct err *e)
{
    uint8_t key[VAULT_KEY_BYTES] = {0};
    bool ok = (!b->key_file || vault_key_file(b->key_file, key, e)) &&
              admin_record_take(call, "server.backup", "server", "database",
                                json_pack("{s:s, s:b}", "path", b->path, "encrypted",
                                          b->key_file != NULL), e) &&
              store_backup(call->service->store, b->path, b->key_file ? key : NULL, NULL, NULL, e);
    vault_wipe(key, sizeof key);
    return ok;
}

static void backup_post(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct backup_body b = {0};
    struct stat st = {.st_size = 0};
    json_t *body = api_body(call, &backup_schema, &b, &e);
    if (!body || !check_paths(&b, &e)) {
        api_answer_error(answer, &e);
    } else if (!make_backup(call, &b, &why)) {
        /* Whoever sits at the machine may know which file it is about. */
        if (why.code == ERR_IO)
            api_fail(&e, API_STORAGE, "path", "%s", why.msg);
        else
            api_fail_act(&e, &why);
        api_answer_error(answer, &e);
    } else {
        if (stat(b.path, &st))
            st.st_size = 0;
        api_answer_json_take(answer, 201,
                             json_pack("{s:s, s:b, s:I}", "path", b.path, "encrypted",
                                       b.key_file != NULL, "bytes", (json_int_t)st.st_size));
    }
    json_decref(body);
}

/* ---- check ------------------------------------------------------------------------------------ */

static void add_finding(void *ctx, const char *finding)
{
    json_array_append_new(ctx, json_string(finding));
}

struct chain {
    struct audit_head head;
    int64_t bad_seq;
};

static bool verify_chain(struct store_db *db, void *ctx, struct err *e)
{
    struct chain *c = ctx;
    return audit_verify(db, NULL, &c->head, &c->bad_seq, e);
}

static void check_post(const struct api_call *call, struct api_answer *answer)
{
    struct err e = ERR_INIT;
    struct chain c = {.bad_seq = 0};
    char head[AUDIT_HEAD_TEXT];
    json_t *findings = json_array();
    bool sound = store_check(call->service->store, add_finding, findings, &e);
    if ((!sound && !json_array_size(findings)) ||
        !store_read(call->service->store, verify_chain, &c, &e)) {
        api_answer_act(answer, &e);
        json_decref(findings);
        return;
    }
    audit_head_format(&c.head, head);
    api_answer_json_take(answer, 200,
                         json_pack("{s:b, s:o, s:{s:I, s:s, s:o}}", "ok",
                                   sound && !c.bad_seq, "findings", findings, "audit", "rows",
                                   (json_int_t)c.head.seq, "head", head, "bad_seq",
                                   c.bad_seq ? json_integer(c.bad_seq) : json_null()));
}

/* ---- endpoints -------------------------------------------------------------------------------- */

static void openapi_get(const struct api_call *call, struct api_answer *answer)
{
    (void)call;
    api_answer_json_take(answer, 200, admin_openapi());
}

#define SLOW .place = ROUTE_SLOW, .needs_database = true

static const struct route rows[] = {
    {"GET", "/admin/v1/status", .access = ROUTE_OBJECT, .object = AUTHORITY_SERVER,
     .verb = AUTHORITY_READ, SLOW, .handler = status_get,
     .summary = "Version, model, device, database and ledger of the server"},
    {"POST", "/admin/v1/backup", .access = ROUTE_LOCAL, SLOW, .body_bytes = ADMIN_BODY,
     .handler = backup_post, .body = &backup_schema,
     .summary = "Copy the database into a file while the server runs"},
    {"POST", "/admin/v1/check", .access = ROUTE_LOCAL, SLOW, .handler = check_post,
     .summary = "Examine the whole database and the chain of the audit log"},
    {"GET", "/admin/v1/openapi.json", .access = ROUTE_SIGNED_IN, .place = ROUTE_SLOW,
     .handler = openapi_get, .summary = "All endpoints as an OpenAPI 3.1 document"},
};

const struct route_table ADMIN_SERVER = ROUTE_TABLE(rows);
