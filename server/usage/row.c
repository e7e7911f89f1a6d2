/* Owns the statements that write usage rows and totals. Refuses to know of queues and threads. */
#include <config.h>

#include "usage/row.h"

#include "usage/period.h"

enum { HASH_BYTES = 32 };

const char *ledger_class_name(enum ledger_class c)
{
    static const char *const names[LEDGER_CLASS_COUNT] = {"interactive", "api", "batch"};
    return names[c];
}

const char *ledger_status_name(enum ledger_status s)
{
    static const char *const names[] = {"started", "finished", "failed", "interrupted"};
    return names[s];
}

static void bind_id(struct store_stmt *st, int i, int64_t id)
{
    if (id)
        store_bind_int(st, i, id);
    else
        store_bind_null(st, i);
}

static void bind_time(struct store_stmt *st, int i, int64_t us)
{
    if (us >= 0)
        store_bind_int(st, i, us);
    else
        store_bind_null(st, i);
}

/* Parameters 0 to 13. */
static void bind_start(struct store_stmt *st, const struct ledger_row *r)
{
    store_bind_text(st, 0, r->request_id);
    store_bind_text(st, 1, ledger_status_name(r->status));
    store_bind_int(st, 2, r->started_us);
    bind_id(st, 3, r->person_id);
    bind_id(st, 4, r->key_id);
    bind_id(st, 5, r->department_id);
    store_bind_text(st, 6, r->endpoint);
    store_bind_text(st, 7, r->model);
    store_bind_text(st, 8, ledger_class_name(r->class));
    bind_id(st, 9, r->template_id);
    bind_id(st, 10, r->template_version);
    store_bind_text(st, 11, r->template_label);
    if (r->variables_hash)
        store_bind_blob(st, 12, r->variables_hash, HASH_BYTES);
    else
        store_bind_null(st, 12);
    store_bind_int(st, 13, (int64_t)r->counts.prompt_tokens);
}

bool ledger_row_start(struct store_db *db, const struct ledger_row *r, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "INSERT INTO usage (request_id, status, started_us, person_id, key_id,"
                     " department_id, endpoint, model, class, template_id, template_version,"
                     " template_label, variables_hash, prompt_tokens)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
                     " ON CONFLICT (request_id) DO NOTHING",
                     &st, e))
        return false;
    bind_start(st, r);
    return store_run(db, st, NULL, e);
}

bool ledger_row_progress(struct store_db *db, const char *request_id, const struct ledger_counts *c,
                         struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "UPDATE usage SET prompt_tokens = ?2, cached_tokens = ?3,"
                     " completion_tokens = ?4, reasoning_tokens = ?5"
                     " WHERE request_id = ?1 AND status = 'started'",
                     &st, e))
        return false;
    store_bind_text(st, 0, request_id);
    store_bind_int(st, 1, (int64_t)c->prompt_tokens);
    store_bind_int(st, 2, (int64_t)c->cached_tokens);
    store_bind_int(st, 3, (int64_t)c->completion_tokens);
    store_bind_int(st, 4, (int64_t)c->reasoning_tokens);
    return store_run(db, st, NULL, e);
}

/* Ten parameters from `i` on. */
static void bind_end(struct store_stmt *st, int i, const struct ledger_row *r)
{
    store_bind_text(st, i, ledger_status_name(r->status));
    store_bind_int(st, i + 1, r->finished_us);
    store_bind_int(st, i + 2, (int64_t)r->counts.prompt_tokens);
    store_bind_int(st, i + 3, (int64_t)r->counts.cached_tokens);
    store_bind_int(st, i + 4, (int64_t)r->counts.completion_tokens);
    store_bind_int(st, i + 5, (int64_t)r->counts.reasoning_tokens);
    bind_time(st, i + 6, r->queue_us);
    bind_time(st, i + 7, r->ttft_us);
    bind_id(st, i + 8, r->http_status);
    store_bind_text(st, i + 9, r->finish_reason);
}

/* *usage_id = the first column of the one row that a RETURNING gave, 0 without one. */
static bool returned(struct store_stmt *st, int64_t *usage_id, struct err *e)
{
    bool row;
    if (!store_step(st, &row, e))
        return false;
    *usage_id = row ? store_int(st, 0) : 0;
    while (row) /* a change is complete when its statement is */
        if (!store_step(st, &row, e))
            return false;
    store_done(st);
    return true;
}

static bool end_whole(struct store_db *db, const struct ledger_row *r, int64_t *usage_id,
                      struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "INSERT INTO usage (request_id, started_us, person_id, key_id,"
                     " department_id, endpoint, model, class, template_id, template_version,"
                     " template_label, variables_hash, status, finished_us, prompt_tokens,"
                     " cached_tokens, completion_tokens, reasoning_tokens, queue_us, ttft_us,"
                     " http_status, finish_reason)"
                     " VALUES (?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?15, ?16, ?17,"
                     " ?18, ?19, ?20, ?21, ?22, ?23, ?24)"
                     " ON CONFLICT (request_id) DO NOTHING RETURNING id",
                     &st, e))
        return false;
    bind_start(st, r);
    bind_end(st, 14, r);
    return returned(st, usage_id, e);
}

static bool end_open(struct store_db *db, const struct ledger_row *r, int64_t *usage_id,
                     struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "UPDATE usage SET status = ?2, finished_us = ?3, prompt_tokens = ?4,"
                     " cached_tokens = ?5, completion_tokens = ?6, reasoning_tokens = ?7,"
                     " queue_us = ?8, ttft_us = ?9, http_status = ?10, finish_reason = ?11"
                     " WHERE request_id = ?1 AND status = 'started' RETURNING id",
                     &st, e))
        return false;
    store_bind_text(st, 0, r->request_id);
    bind_end(st, 1, r);
    return returned(st, usage_id, e);
}

bool ledger_row_end(struct store_db *db, const struct ledger_row *r, bool is_new, int64_t *usage_id,
                    struct err *e)
{
    if (!(is_new ? end_whole(db, r, usage_id, e) : end_open(db, r, usage_id, e)))
        return false;
    if (*usage_id)
        return true;
    return is_new ? end_open(db, r, usage_id, e) : end_whole(db, r, usage_id, e);
}

/* ---- totals ------------------------------------------------------------------------------------ */

static bool add(struct store_db *db, const struct ledger_row *r, enum period p, int64_t starts_at,
                struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "INSERT INTO usage_total (grain, starts_at, department_id, person_id, key_id,"
                     " model, template_id, template_version, requests, failed, prompt_tokens,"
                     " cached_tokens, completion_tokens, reasoning_tokens, queue_us, ttft_us,"
                     " duration_us)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10, ?11, ?12, ?13, ?14,"
                     " ?15, ?16) ON CONFLICT DO UPDATE SET requests = requests + 1,"
                     " failed = failed + excluded.failed,"
                     " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
                     " cached_tokens = cached_tokens + excluded.cached_tokens,"
                     " completion_tokens = completion_tokens + excluded.completion_tokens,"
                     " reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,"
                     " queue_us = queue_us + excluded.queue_us,"
                     " ttft_us = ttft_us + excluded.ttft_us,"
                     " duration_us = duration_us + excluded.duration_us",
                     &st, e))
        return false;
    int64_t duration = r->finished_us - r->started_us;
    store_bind_text(st, 0, period_name(p));
    store_bind_int(st, 1, starts_at);
    store_bind_int(st, 2, r->department_id);
    store_bind_int(st, 3, r->person_id);
    store_bind_int(st, 4, r->key_id);
    store_bind_text(st, 5, r->model);
    store_bind_int(st, 6, r->template_id);
    store_bind_int(st, 7, r->template_version);
    store_bind_int(st, 8, r->status != LEDGER_FINISHED);
    store_bind_int(st, 9, (int64_t)r->counts.prompt_tokens);
    store_bind_int(st, 10, (int64_t)r->counts.cached_tokens);
    store_bind_int(st, 11, (int64_t)r->counts.completion_tokens);
    store_bind_int(st, 12, (int64_t)r->counts.reasoning_tokens);
    store_bind_int(st, 13, r->queue_us > 0 ? r->queue_us : 0);
    store_bind_int(st, 14, r->ttft_us > 0 ? r->ttft_us : 0);
    store_bind_int(st, 15, duration > 0 ? duration : 0); /* the wall clock may jump back */
    return store_run(db, st, NULL, e);
}

bool ledger_row_total(struct store_db *db, const struct ledger_row *r, struct period_cache *cache,
                      struct err *e)
{
    int64_t at = r->started_us / 1000000, minute = period_start(PERIOD_MINUTE, at);
    if (minute != cache->minute) {
        cache->minute = minute;
        cache->hour = period_start(PERIOD_HOUR, at);
        cache->day = period_start(PERIOD_DAY, at);
    }
    return add(db, r, PERIOD_MINUTE, cache->minute, e) && add(db, r, PERIOD_HOUR, cache->hour, e) &&
           add(db, r, PERIOD_DAY, cache->day, e);
}

/* ---- after a restart --------------------------------------------------------------------------- */

static bool interrupt(struct store_db *db, struct store_stmt *open, struct period_cache *cache,
                      struct err *e)
{
    struct store_stmt *st;
    struct ledger_row r = {
        .status = LEDGER_INTERRUPTED,
        .started_us = store_int(open, 1),
        .finished_us = store_int(open, 1),
        .person_id = store_int(open, 2),
        .key_id = store_int(open, 3),
        .department_id = store_int(open, 4),
        .model = store_text(open, 5),
        .template_id = store_int(open, 6),
        .template_version = store_int(open, 7),
        .counts = {.prompt_tokens = (uint64_t)store_int(open, 8),
                   .cached_tokens = (uint64_t)store_int(open, 9),
                   .completion_tokens = (uint64_t)store_int(open, 10),
                   .reasoning_tokens = (uint64_t)store_int(open, 11)},
    };
    if (!ledger_row_total(db, &r, cache, e) ||
        !store_query(db, "UPDATE usage SET status = 'interrupted' WHERE id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, store_int(open, 0));
    return store_run(db, st, NULL, e);
}

bool ledger_row_interrupt(struct store_db *db, void *ctx, struct err *e)
{
    uint64_t *count = ctx;
    struct store_stmt *st;
    struct period_cache cache = {0};
    *count = 0;
    for (int64_t last = 0;;) { /* one at a time: the statement reads what the next one changes */
        bool row;
        if (!store_query(db,
                         "SELECT id, started_us, person_id, key_id, department_id, model,"
                         " template_id, template_version, prompt_tokens, cached_tokens,"
                         " completion_tokens, reasoning_tokens"
                         " FROM usage WHERE status = 'started' AND id > ?1 ORDER BY id LIMIT 1",
                         &st, e))
            return false;
        store_bind_int(st, 0, last);
        if (!store_step(st, &row, e))
            return false;
        bool ok = !row || interrupt(db, st, &cache, e);
        last = row ? store_int(st, 0) : 0;
        store_done(st);
        if (!ok || !row)
            return ok;
        *count += 1;
    }
}
