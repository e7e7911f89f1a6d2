/* Owns: showing the audit log: pages, the file, its head, its check.
 * Refuses to know: what the acts mean, and how rows are chained (audit/audit.h). */
#include <config.h>

#include "admin/admin.h"

#include <string.h>
#include <time.h>

#include "api/schema.h"
#include "base/clock.h"
#include "base/hash.h"
#include "service/service.h"

/* ---- what is asked ---------------------------------------------------------------------------- */

/* The latest time that still fits a clock of microseconds. */
static const int64_t LATEST_S = INT64_MAX / 1000000;

static bool query_us(const struct api_call *call, const char *name, int64_t *us, struct api_error *e)
{
    int64_t s;
    if (!api_query_time(call, name, 0, &s, e))
        return false;
    if (s < 0 || s > LATEST_S)
        return api_fail(e, API_INVALID_VALUE, name, "'%s' is too far away.", name);
    *us = s * 1000000;
    return true;
}

static bool query_filter(const struct api_call *call, struct audit_filter *f, struct api_error *e)
{
    *f = (struct audit_filter){.action = api_query(call, "action"),
                               .object_kind = api_query(call, "object_kind"),
                               .object_id = api_query(call, "object_id"),
                               .limit = ADMIN_PAGE};
    if (!query_us(call, "from", &f->from_us, e) || !query_us(call, "to", &f->to_us, e) ||
        !api_query_int(call, "actor_id", 1, INT64_MAX, 0, &f->actor_id, e))
        return false;
    return !f->to_us || f->from_us < f->to_us ||
           api_fail(e, API_INVALID_VALUE, "to",
                    "'from' must be before 'to', the first moment that does not count.");
}

/* ---- pages ------------------------------------------------------------------------------------ */

struct page {
    struct audit_filter filter;
    json_t *data;
    int64_t next;
};

/* What an act changed; a text that is no JSON stays a text. */
static json_t *state_json(const char *text)
{
    json_t *v = text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();
    return v ? v : json_string(text);
}

static bool add_row(void *ctx, const struct audit_row *r, struct err *e)
{
    struct page *p = ctx;
    char hash[HASH_SHA256_HEX];
    hash_hex(r->hash, hash);
    json_t *v = json_pack("{s:I, s:I, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s}", "seq",
                          (json_int_t)r->seq, "at", (json_int_t)(r->at_us / 1000000), "actor_id",
                          admin_or_null(r->actor_id), "actor", r->actor,
                          "address", r->address, "request_id", r->request_id, "action", r->action,
                          "object_kind", r->object_kind, "object_id", r->object_id, "before",
                          state_json(r->before), "after", state_json(r->after), "reason", r->reason,
                          "hash", hash);
    if (!v || json_array_append_new(p->data, v))
        FAIL(e, ERR_NOMEM, "no memory for audit rows");
    return true;
}

static bool read_page(struct store_db *db, void *ctx, struct err *e)
{
    struct page *p = ctx;
    return audit_list(db, &p->filter, add_row, p, &p->next, e);
}

static void audit_page(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct page p = {.next = 0};
    if (!query_filter(call, &p.filter, &e) ||
        !admin_page(call, &p.filter.after_seq, &p.filter.limit, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    p.data = json_array();
    if (store_read(call->service->store, read_page, &p, &why)) {
        admin_list_take(answer, p.data, p.next);
    } else {
        json_decref(p.data);
        api_answer_act(answer, &why);
    }
}

/* ---- the file --------------------------------------------------------------------------------- */

static bool append(void *ctx, const void *bytes, size_t len)
{
    return buf_append(ctx, bytes, len);
}

/* What was asked for. */
static json_t *filter_json(const struct audit_filter *f)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:s*, s:s*, s:s*}", "from",
                     admin_or_null(f->from_us / 1000000), "to", admin_or_null(f->to_us / 1000000),
                     "after", admin_or_null(f->after_seq), "actor_id", admin_or_null(f->actor_id),
                     "action", f->action, "object_kind", f->object_kind, "object_id", f->object_id);
}

/* The file's own row is committed before its first line is read. */
static void audit_file(const struct api_call *call, struct api_answer *answer)
{
    struct audit_filter f;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct tm tm;
    char day[16] = "unknown";
    time_t now = (time_t)clock_wall_s();
    if (!query_filter(call, &f, &e) ||
        !api_query_int(call, "after", 0, INT64_MAX, 0, &f.after_seq, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    bool ok = admin_record_take(call, "audit.export", "server", "audit", filter_json(&f), &why) &&
              audit_export(call->service->store, &f, append, &answer->body, &why);
    if (!admin_file_whole(answer, ok, &why))
        return;
    if (localtime_r(&now, &tm))
        strftime(day, sizeof day, "%Y-%m-%d", &tm);
    answer->type = "application/x-ndjson";
    api_answer_header(answer, "Content-Disposition", "attachment; filename=\"audit-%s.jsonl\"", day);
}

/* ---- the head, and the check ------------------------------------------------------------------ */

static bool read_head(struct store_db *db, void *ctx, struct err *e)
{
    return audit_head_read(db, ctx, e);
}

static void audit_head_get(const struct api_call *call, struct api_answer *answer)
{
    struct audit_head head;
    struct err why = ERR_INIT;
    char text[AUDIT_HEAD_TEXT];
    if (!store_read(call->service->store, read_head, &head, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    audit_head_format(&head, text);
    api_answer_json_take(answer, 200,
                         json_pack("{s:s, s:I}", "head", text, "seq", (json_int_t)head.seq));
}

struct verify_body {
    const char *known;
};

static const struct schema_field verify_fields[] = {
    {"known", SCHEMA_STRING, 1, AUDIT_HEAD_TEXT, offsetof(struct verify_body, known), false, NULL,
     "none", "a head that was written down (SEQ:HEX), which the log must still contain", NULL},
};
static const struct schema verify_schema = {"POST /admin/v1/audit/verify", verify_fields,
                                            sizeof verify_fields / sizeof verify_fields[0]};

struct verdict {
    const struct audit_head *known; /* NULL = none */
    struct audit_head head;         /* of the rows that fit */
    int64_t bad_seq;
};

static bool verify(struct store_db *db, void *ctx, struct err *e)
{
    struct verdict *v = ctx;
    return audit_verify(db, v->known, &v->head, &v->bad_seq, e);
}

static bool take_known(const struct api_call *call, struct audit_head *known, bool *given,
                       struct api_error *e)
{
    struct verify_body in = {NULL};
    struct err why = ERR_INIT;
    json_t *body = api_body(call, &verify_schema, &in, e);
    if (!body)
        return false;
    *given = in.known != NULL;
    bool ok = !in.known || audit_head_parse(in.known, known, &why) ||
              api_fail(e, API_INVALID_VALUE, "known", "%s", why.msg);
    json_decref(body);
    return ok;
}

static void audit_check(const struct api_call *call, struct api_answer *answer)
{
    struct audit_head known;
    struct verdict v = {.known = NULL};
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    char text[AUDIT_HEAD_TEXT];
    bool given;
    if (!take_known(call, &known, &given, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    v.known = given ? &known : NULL;
    if (!store_read(call->service->store, verify, &v, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    audit_head_format(&v.head, text);
    api_answer_json_take(answer, 200,
                         json_pack("{s:b, s:I, s:s, s:o}", "ok", v.bad_seq == 0, "rows",
                                   (json_int_t)v.head.seq, "head", text, "bad_seq",
                                   admin_or_null(v.bad_seq)));
}

/* ---- the table -------------------------------------------------------------------------------- */

#define READ                                                                                       \
    .access = ROUTE_OBJECT, .object = AUTHORITY_AUDIT, .verb = AUTHORITY_READ,                     \
    .place = ROUTE_SLOW, .needs_database = true

static const struct route rows[] = {
    {"GET", "/admin/v1/audit", READ, .handler = audit_page,
     .query = "from to actor_id action object_kind object_id after limit",
     .summary = "The audit log, oldest first; a page may be short, even empty, before the end"},
    {"GET", "/admin/v1/audit/export", READ, .handler = audit_file,
     .query = "from to actor_id action object_kind object_id after",
     .summary = "The audit log as JSON lines, with what its hashes cover"},
    {"GET", "/admin/v1/audit/head", READ, .handler = audit_head_get,
     .summary = "Number and hash of the newest row, to be written down elsewhere"},
    {"POST", "/admin/v1/audit/verify", READ, .handler = audit_check, .body_bytes = ADMIN_BODY,
     .body = &verify_schema, .summary = "Checks every row; says which one was changed first"},
};

const struct route_table ADMIN_AUDIT = ROUTE_TABLE(rows);
