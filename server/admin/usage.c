/* Owns: who used how much: totals, requests, kept texts, and what callers see of themselves.
 * Refuses to know: how rows come about (usage/ledger.h) and how they are read (usage/query.h).
 *
 * Whoever reaches their own usage only gets everything through a filter for their person. */
#include <config.h>

#include "admin/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "api/json.h"
#include "auth/people.h"
#include "auth/vault.h"
#include "base/clock.h"
#include "base/hash.h"
#include "service/service.h"
#include "usage/limits.h"
#include "usage/period.h"
#include "usage/query.h"
#include "usage/quota.h"

enum { DAYS_SHOWN = 30, DAY_S = 86400, MODEL_BYTES = 256, CURSOR_TEXT = 64 + 2 * MODEL_BYTES };

/* ---- what is asked ---------------------------------------------------------------------------- */

static bool query_id(const struct api_call *call, const char *name, int64_t *id, struct api_error *e)
{
    return api_query_int(call, name, 1, INT64_MAX, 0, id, e);
}

/* Thirty days with today, unless told. */
static bool query_range(const struct api_call *call, struct usage_filter *f, struct api_error *e)
{
    if (!api_query_time(call, "to", period_next(PERIOD_MINUTE, clock_wall_s()), &f->to_s, e))
        return false;
    if (f->to_s > USAGE_TIME_END)
        return api_fail(e, API_INVALID_VALUE, "to", "'to' is too far away.");
    int64_t from = f->to_s > DAYS_SHOWN * DAY_S
                       ? period_start(PERIOD_DAY, f->to_s - 1 - (DAYS_SHOWN - 1) * DAY_S)
                       : 0;
    if (!api_query_time(call, "from", from, &f->from_s, e))
        return false;
    if (f->from_s < 0 || f->from_s > USAGE_TIME_END)
        return api_fail(e, API_INVALID_VALUE, "from", "'from' is too far away.");
    return f->from_s < f->to_s ||
           api_fail(e, API_INVALID_VALUE, "to",
                    "'from' must be before 'to', the first moment that does not count.");
}

/* Cuts the filter to what the caller may see. */
static bool cut_to_reach(const struct api_call *call, struct usage_filter *f, struct api_error *e)
{
    const struct principal *p = &call->grant->principal;
    if (authority_reach(p, AUTHORITY_USAGE, AUTHORITY_READ) == AUTHORITY_ALL)
        return true;
    if (!p->person_id)
        return api_fail_denied(e);
    if (f->person_id && f->person_id != p->person_id)
        return api_fail(e, API_NOT_FOUND, "person_id", "There is no such object.");
    f->person_id = p->person_id;
    return true;
}

static bool query_filter(const struct api_call *call, struct usage_filter *f, struct api_error *e)
{
    *f = (struct usage_filter){.model = api_query(call, "model")};
    return query_range(call, f, e) && query_id(call, "department_id", &f->department_id, e) &&
           query_id(call, "person_id", &f->person_id, e) && query_id(call, "key_id", &f->key_id, e) &&
           query_id(call, "template_id", &f->template_id, e) && cut_to_reach(call, f, e);
}

static bool query_csv(const struct api_call *call, bool *csv, struct api_error *e)
{
    static const char *const words[] = {"json", "csv"};
    size_t format;
    if (!admin_query_word(call, "format", words, 2, 0, &format, e))
        return false;
    *csv = format == 1;
    return true;
}

static const char *const BY[USAGE_BY_COUNT] = {NULL,  "department", "person",
                                               "key", "model",      "template"};
static const char *const SPLIT[] = {NULL, "minute", "hour", "day"};
enum { N_SPLIT = sizeof SPLIT / sizeof SPLIT[0] };

static bool query_grouping(const struct api_call *call, struct usage_query *q, struct api_error *e)
{
    size_t by, split;
    if (!admin_query_word(call, "by", BY, USAGE_BY_COUNT, USAGE_BY_NOTHING, &by, e) ||
        !admin_query_word(call, "split", SPLIT, N_SPLIT, USAGE_WHOLE, &split, e))
        return false;
    q->by = (enum usage_by)by;
    q->split = (enum usage_split)split;
    return true;
}

/* ---- totals ----------------------------------------------------------------------------------- */

/* A page of totals: the question, and its answer as it grows. */
struct totals {
    struct usage_query query;
    char model[MODEL_BYTES]; /* of the cursor */
    json_t *data;
    char last[CURSOR_TEXT]; /* place of the last line */
    bool more;
};

/* The model in hexadecimal, so that a cursor needs no escapes in a query. */
static void place_write(const struct usage_place *p, char text[CURSOR_TEXT])
{
    int n = snprintf(text, CURSOR_TEXT, "%" PRId64 ".%" PRId64 ".%" PRId64 ".", p->starts_at, p->id,
                     p->version);
    for (const char *c = p->model; *c && n + 2 < CURSOR_TEXT; c++)
        n += snprintf(text + n, CURSOR_TEXT - (size_t)n, "%02x", (unsigned char)*c);
}

static bool place_read(const char *text, struct usage_place *p, char model[MODEL_BYTES])
{
    long long starts_at, id, version;
    int at = 0, step = 0;
    unsigned byte;
    size_t n = 0;
    if (sscanf(text, "%18lld.%18lld.%18lld.%n", &starts_at, &id, &version, &at) != 3 || !at)
        return false;
    for (text += at; *text && n + 1 < MODEL_BYTES; text += 2) {
        if (sscanf(text, "%2x%n", &byte, &step) != 1 || step != 2 || !byte)
            return false;
        model[n++] = (char)byte;
    }
    model[n] = '\0';
    *p = (struct usage_place){starts_at, id, version, model};
    return !*text;
}

/* Why there are no totals: more of them than one answer may have is the fault of the periods. */
static void answer_no_totals(struct api_answer *answer, const struct err *why)
{
    struct api_error e = API_ERROR_INIT;
    if (why->code == ERR_LIMIT)
        api_fail(&e, API_INVALID_VALUE, "split", "%s", why->msg);
    else
        api_fail_act(&e, why);
    api_answer_error(answer, &e);
}

static bool query_totals(const struct api_call *call, struct totals *t, struct api_error *e)
{
    const char *after = api_query(call, "after");
    *t = (struct totals){.more = false};
    if (!query_grouping(call, &t->query, e) || !admin_limit(call, &t->query.limit, e))
        return false;
    return !after || place_read(after, &t->query.after, t->model) ||
           api_fail(e, API_INVALID_VALUE, "after", "'after' is not a cursor of this list.");
}

static json_t *mean_ms(int64_t sum_us, int64_t requests)
{
    double us = requests ? round((double)sum_us / (double)requests) : 0;
    return requests ? json_real(us / 1e3) : json_null();
}

static bool add_total(void *ctx, const struct usage_total *u, struct err *e)
{
    struct totals *t = ctx;
    json_t *v = json_pack(
        "{s:o, s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "starts_at",
        admin_or_null(u->at.starts_at), "id", admin_or_null(u->at.id), "version",
        admin_or_null(u->at.version), "name", u->name, "model", u->at.model, "requests",
        (json_int_t)u->requests, "failed",
        (json_int_t)u->failed, "prompt_tokens", (json_int_t)u->prompt_tokens, "cached_tokens",
        (json_int_t)u->cached_tokens, "completion_tokens", (json_int_t)u->completion_tokens,
        "reasoning_tokens", (json_int_t)u->reasoning_tokens, "mean_queue_ms",
        mean_ms(u->queue_us, u->requests), "mean_ttft_ms", mean_ms(u->ttft_us, u->requests),
        "mean_duration_ms", mean_ms(u->duration_us, u->requests));
    if (!v || json_array_append_new(t->data, v))
        FAIL(e, ERR_NOMEM, "no memory for the totals");
    place_write(&u->at, t->last);
    return true;
}

static bool read_totals(struct store_db *db, void *ctx, struct err *e)
{
    struct totals *t = ctx;
    return usage_totals(db, &t->query, add_total, t, &t->more, e);
}

/* The page as an object with its question (owned); NULL with *why. */
static json_t *totals_json(const struct api_call *call, struct totals *t, struct err *why)
{
    const struct usage_query *q = &t->query;
    t->data = json_array();
    if (!store_read(call->service->store, read_totals, t, why)) {
        json_decref(t->data);
        return NULL;
    }
    return json_pack("{s:s, s:I, s:I, s:s?, s:s?, s:o, s:s?}", "object", "list", "from",
                     (json_int_t)q->filter.from_s, "to", (json_int_t)q->filter.to_s, "by", BY[q->by],
                     "split", SPLIT[q->split], "data", t->data, "next", t->more ? t->last : NULL);
}

/* ---- CSV -------------------------------------------------------------------------------------- */

static void put_day(int64_t at, char text[16])
{
    struct tm tm;
    time_t t = (time_t)at;
    if (!localtime_r(&t, &tm) || !strftime(text, 16, "%Y-%m-%d", &tm))
        memcpy(text, "unknown", sizeof "unknown");
}

/* All pages into one answer; takes `csv`. */
static void answer_csv_take(struct usage_csv *csv, const char *what, const struct usage_filter *f,
                            struct api_answer *answer)
{
    struct err why = ERR_INIT;
    char from[16], to[16];
    bool ok, more;
    do
        ok = usage_csv_next(csv, &answer->body, &more, &why);
    while (ok && more);
    usage_csv_destroy(&csv);
    if (!ok && why.code == ERR_LIMIT) {
        answer_no_totals(answer, &why);
        return;
    }
    if (!admin_file_whole(answer, ok, &why))
        return;
    put_day(f->from_s, from);
    put_day(f->to_s - 1, to);
    answer->type = "text/csv; charset=utf-8";
    api_answer_header(answer, "Content-Disposition", "attachment; filename=\"%s-%s-%s.csv\"", what,
                      from, to);
}

static void usage_totals_get(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct totals t;
    bool csv;
    if (!query_totals(call, &t, &e) || !query_filter(call, &t.query.filter, &e) ||
        !query_csv(call, &csv, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    if (csv) {
        answer_csv_take(usage_csv_totals(call->service->store, &t.query), "usage-totals",
                        &t.query.filter, answer);
        return;
    }
    json_t *v = totals_json(call, &t, &why);
    if (v)
        api_answer_figures_take(answer, 200, v);
    else
        answer_no_totals(answer, &why);
}

/* ---- requests --------------------------------------------------------------------------------- */

struct requests {
    struct usage_rows query;
    json_t *data;
    int64_t next_us, next_id;
};

static json_t *ms_json(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1e3);
}

static bool add_request(void *ctx, const struct usage_row *r, struct err *e)
{
    struct requests *q = ctx;
    char hash[HASH_SHA256_HEX];
    if (r->variables_hash)
        hash_hex(r->variables_hash, hash);
    json_t *v = json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:s?, s:s?}", "request_id",
        r->request_id, "status", r->status, "started_at", (json_int_t)(r->started_us / 1000000),
        "finished_at", admin_or_null(r->finished_us / 1000000), "person_id",
        admin_or_null(r->person_id), "key_id", admin_or_null(r->key_id), "department_id",
        admin_or_null(r->department_id), "endpoint", r->endpoint, "model", r->model, "class", r->class,
        "template_id", admin_or_null(r->template_id), "template_version",
        admin_or_null(r->template_version), "template_label", r->template_label,
        "variables_hash", r->variables_hash ? hash : NULL);
    json_t *rest = json_pack(
        "{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:s?}", "prompt_tokens",
        (json_int_t)r->counts.prompt_tokens, "cached_tokens", (json_int_t)r->counts.cached_tokens,
        "completion_tokens", (json_int_t)r->counts.completion_tokens, "reasoning_tokens",
        (json_int_t)r->counts.reasoning_tokens, "queue_ms", ms_json(r->queue_us), "ttft_ms",
        ms_json(r->ttft_us), "duration_ms",
        ms_json(r->finished_us ? r->finished_us - r->started_us : -1), "http_status",
        admin_or_null(r->http_status), "finish_reason", r->finish_reason);
    bool ok = v && rest && !json_object_update(v, rest) && !json_array_append(q->data, v);
    json_decref(rest);
    json_decref(v);
    if (!ok)
        FAIL(e, ERR_NOMEM, "no memory for the rows");
    return true;
}

static bool read_requests(struct store_db *db, void *ctx, struct err *e)
{
    struct requests *q = ctx;
    return usage_list(db, &q->query, add_request, q, &q->next_us, &q->next_id, e);
}

static bool query_requests(const struct api_call *call, struct requests *q, struct api_error *e)
{
    static const char *const words[] = {NULL, "started", "finished", "failed", "interrupted"};
    const char *after = api_query(call, "after");
    long long us, id;
    size_t status;
    int at = 0;
    *q = (struct requests){.next_us = 0};
    if (!query_filter(call, &q->query.filter, e) || !admin_limit(call, &q->query.limit, e) ||
        !admin_query_word(call, "status", words, sizeof words / sizeof words[0], 0, &status, e))
        return false;
    q->query.status = words[status];
    if (!after)
        return true;
    if (sscanf(after, "%18lld.%18lld%n", &us, &id, &at) != 2 || after[at] || us < 1 || id < 1)
        return api_fail(e, API_INVALID_VALUE, "after", "'after' is not a cursor of this list.");
    q->query.before_us = us;
    q->query.before_id = id;
    return true;
}

static void usage_requests_get(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct requests q;
    char next[CURSOR_TEXT];
    bool csv;
    if (!query_requests(call, &q, &e) || !query_csv(call, &csv, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    if (csv) {
        answer_csv_take(usage_csv_rows(call->service->store, &q.query), "usage-requests",
                        &q.query.filter, answer);
        return;
    }
    q.data = json_array();
    if (!store_read(call->service->store, read_requests, &q, &why)) {
        json_decref(q.data);
        api_answer_act(answer, &why);
        return;
    }
    snprintf(next, sizeof next, "%" PRId64 ".%" PRId64, q.next_us, q.next_id);
    api_answer_figures_take(answer, 200,
                            json_pack("{s:s, s:o, s:o}", "object", "list", "data", q.data, "next",
                                      q.next_us ? json_string(next) : json_null()));
}

/* ---- kept texts ------------------------------------------------------------------------------- */

/* Written by our own writer: jansson's copies could not be wiped. */
static void usage_text_get(const struct api_call *call, struct api_answer *answer)
{
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    char *text;
    size_t bytes;
    if (!ledger_text(call->service->ledger, &actor, call->param[0], call->reason, &text, &bytes,
                     &why)) {
        api_answer_act(answer, &why);
        return;
    }
    buf_puts(&answer->body, "{\"request_id\":");
    json_put_string(&answer->body, call->param[0], strlen(call->param[0]));
    buf_puts(&answer->body, ",\"text\":");
    json_put_string(&answer->body, text, bytes);
    buf_puts(&answer->body, "}");
    vault_wipe(text, bytes);
    free(text);
}

static void texts_forget(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    struct person person;
    uint64_t deleted = 0;
    int64_t id;
    if (!api_param_id(call, 0, &id, &e))
        api_answer_error(answer, &e);
    else if (!person_get(call->service->auth, id, &person, &why) ||
             !ledger_forget(call->service->ledger, &actor, id, call->reason, &deleted, &why))
        api_answer_act(answer, &why);
    else
        api_answer_json_take(answer, 200, json_pack("{s:I}", "deleted", (json_int_t)deleted));
}

/* ---- one's own -------------------------------------------------------------------------------- */

static bool add_limits_of(const struct api_call *call, enum quota_subject kind, int64_t id,
                          json_t *list, struct err *e)
{
    struct quota q;
    if (!id)
        return true;
    if (quota_get(call->service->store, kind, id, &q, e)) {
        json_array_append_new(list, admin_quota_json(call->service->limits, &q));
        return true;
    }
    return e->code == ERR_NOT_FOUND;
}

/* Every row that holds for the caller: the key, the person, the departments from theirs upwards. */
static json_t *limits_of_caller(const struct api_call *call, struct err *e)
{
    const struct principal *p = &call->grant->principal;
    struct department d = {.id = p->department_id};
    json_t *list = json_array();
    bool ok = add_limits_of(call, QUOTA_KEY, p->key_id, list, e) &&
              add_limits_of(call, QUOTA_PERSON, p->person_id, list, e);
    for (int64_t id = p->department_id; ok && id; id = d.parent_id)
        ok = add_limits_of(call, QUOTA_DEPARTMENT, id, list, e) &&
             department_get(call->service->auth, id, &d, e);
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static bool query_me(const struct api_call *call, struct totals *t, struct api_error *e)
{
    const struct principal *p = &call->grant->principal;
    if (!p->person_id)
        return api_fail(e, API_NOT_FOUND, NULL, "Who asks is no person, and has no usage.");
    if (!query_totals(call, t, e) || !query_range(call, &t->query.filter, e))
        return false;
    t->query.filter.person_id = p->person_id;
    return t->query.by == USAGE_BY_NOTHING || t->query.by >= USAGE_BY_KEY ||
           api_fail(e, API_INVALID_VALUE, "by", "'by' is one of: key, model, template.");
}

static void usage_me(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct totals t;
    if (!query_me(call, &t, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    json_t *limits = limits_of_caller(call, &why);
    json_t *v = limits ? totals_json(call, &t, &why) : NULL;
    if (!v) {
        json_decref(limits);
        answer_no_totals(answer, &why);
        return;
    }
    json_object_set_new(v, "person_id", json_integer(call->grant->principal.person_id));
    json_object_set_new(v, "limits", limits);
    api_answer_figures_take(answer, 200, v);
}

/* ---- the table -------------------------------------------------------------------------------- */

#define TO(object_, verb_)                                                                         \
    .access = ROUTE_OBJECT, .object = (object_), .verb = (verb_), .place = ROUTE_SLOW,             \
    .needs_database = true

static const struct route rows[] = {
    {"GET", "/admin/v1/usage/totals", TO(AUTHORITY_USAGE, AUTHORITY_READ),
     .handler = usage_totals_get,
     .query = "from to by split department_id person_id key_id template_id model limit after format",
     .summary = "Requests, tokens and times, added up; from (included) to (not included)"},
    {"GET", "/admin/v1/usage/requests", TO(AUTHORITY_USAGE, AUTHORITY_READ),
     .handler = usage_requests_get,
     .query = "from to status department_id person_id key_id template_id model limit after format",
     .summary = "Requests, newest first"},
    {"GET", "/admin/v1/usage/requests/{request_id}/text", TO(AUTHORITY_SERVER, AUTHORITY_WRITE),
     .handler = usage_text_get,
     .summary = "The kept text of a request; needs X-Reason, which goes into the audit log"},
    {"POST", "/admin/v1/users/{id}/forget", TO(AUTHORITY_PERSON, AUTHORITY_WRITE),
     .handler = texts_forget, .summary = "Deletes all kept texts of a person; needs X-Reason"},
    {"GET", "/v1/usage/me", .access = ROUTE_SCOPE, .scope = SCOPE_USAGE, .place = ROUTE_SLOW,
     .needs_database = true, .handler = usage_me, .query = "from to by split limit after",
     .summary = "One's own usage, and the limits that hold"},
};

const struct route_table ADMIN_USAGE = ROUTE_TABLE(rows);
