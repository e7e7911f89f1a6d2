/* Owns the statements that read totals and rows. Refuses to know who may see them.
 *
 * Totals: one statement adds up to five pieces of a range, see split_range. Rows: the statement walks
 * one index by time; what the index does not know is compared here, so that a filter that fits
 * nothing costs no more than USAGE_SCAN_ROWS rows per call.
 */
#include <config.h>

#include "usage/query.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- totals ------------------------------------------------------------------------------------ */

enum { PIECE_DAYS, PIECE_HOURS, PIECE_HOURS_AFTER, PIECE_MINUTES, PIECE_MINUTES_AFTER, PIECES };

struct pieces {
    int64_t from[PIECES], to[PIECES]; /* empty where from >= to */
};

static int64_t period_above(enum period p, int64_t t)
{
    int64_t start = period_start(p, t);
    return start == t ? t : period_next(p, t);
}

/* Whole days in the middle, hours beside them, minutes at both ends. */
static struct pieces split_range(int64_t from, int64_t to)
{
    struct pieces p = {{0}, {0}};
    int64_t hour_from = period_above(PERIOD_HOUR, from), hour_to = period_start(PERIOD_HOUR, to);
    int64_t day_from = period_above(PERIOD_DAY, from), day_to = period_start(PERIOD_DAY, to);
    if (hour_from >= hour_to) {
        p.from[PIECE_MINUTES] = from;
        p.to[PIECE_MINUTES] = to;
        return p;
    }
    p.from[PIECE_MINUTES] = from;
    p.to[PIECE_MINUTES] = hour_from;
    p.from[PIECE_MINUTES_AFTER] = hour_to;
    p.to[PIECE_MINUTES_AFTER] = to;
    if (day_from >= day_to) {
        p.from[PIECE_HOURS] = hour_from;
        p.to[PIECE_HOURS] = hour_to;
        return p;
    }
    p.from[PIECE_HOURS] = hour_from;
    p.to[PIECE_HOURS] = day_from;
    p.from[PIECE_DAYS] = day_from;
    p.to[PIECE_DAYS] = day_to;
    p.from[PIECE_HOURS_AFTER] = day_to;
    p.to[PIECE_HOURS_AFTER] = hour_to;
    return p;
}

/* One grain only, the periods that the range touches. */
static bool split_by(enum usage_split split, int64_t from, int64_t to, struct pieces *p,
                     struct err *e)
{
    static const enum period periods[] = {PERIOD_DAY, PERIOD_MINUTE, PERIOD_HOUR, PERIOD_DAY};
    static const int pieces[] = {PIECE_DAYS, PIECE_MINUTES, PIECE_HOURS, PIECE_DAYS};
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    if ((to - from) / seconds[split] > USAGE_SPLITS)
        FAIL(e, ERR_LIMIT, "more than %d periods: ask for longer ones, or a shorter time",
             USAGE_SPLITS);
    memset(p, 0, sizeof *p);
    p->from[pieces[split]] = period_start(periods[split], from);
    p->to[pieces[split]] = to;
    return true;
}

#define PIECE(grain, from, to)                                                                     \
    "SELECT * FROM usage_total WHERE grain = '" grain "' AND starts_at >= " from                   \
    " AND starts_at < " to

#define SUBTREE(root)                                                                              \
    "WITH RECURSIVE below (id) AS (VALUES (" root ") UNION SELECT d.id FROM department AS d"       \
    " JOIN below ON coalesce(d.parent_id, 0) = below.id) SELECT id FROM below"

#define TOTALS(id, version, model, name)                                                           \
    "SELECT iif(?11, starts_at, 0), " id ", " version ", " model ", " name                         \
    ", sum(requests), sum(failed), sum(prompt_tokens), sum(cached_tokens),"                        \
    " sum(completion_tokens), sum(reasoning_tokens), sum(queue_us), sum(ttft_us),"                 \
    " sum(duration_us) FROM (" PIECE("day", "?1", "?2") " UNION ALL " PIECE("hour", "?3", "?4")    \
    " UNION ALL " PIECE("hour", "?5", "?6") " UNION ALL " PIECE("minute", "?7", "?8")              \
    " UNION ALL " PIECE("minute", "?9", "?10") ") AS t"                                            \
    " WHERE (?12 = 0 OR department_id IN (" SUBTREE("?12") "))"                                    \
    " AND (?13 = 0 OR person_id = ?13) AND (?14 = 0 OR key_id = ?14)"                              \
    " AND (?15 = 0 OR template_id = ?15) AND (?16 IS NULL OR model = ?16)"                         \
    " AND (iif(?11, starts_at, 0), " id ", " version ", " model ") > (?17, ?18, ?19, ?20)"         \
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT ?21"

#define NAME_OF(column, table, key)                                                                \
    "coalesce((SELECT " column " FROM " table " AS o WHERE o.id = t." key "), '')"

static const char *totals_sql(enum usage_by by)
{
    switch (by) {
    case USAGE_BY_DEPARTMENT:
        return TOTALS("department_id", "0", "''", NAME_OF("name", "department", "department_id"));
    case USAGE_BY_PERSON:
        return TOTALS("person_id", "0", "''", NAME_OF("login", "person", "person_id"));
    case USAGE_BY_KEY:
        return TOTALS("key_id", "0", "''", NAME_OF("name", "api_key", "key_id"));
    case USAGE_BY_MODEL:
        return TOTALS("0", "0", "model", "''");
    case USAGE_BY_TEMPLATE:
        return TOTALS("template_id", "template_version", "''",
                      NAME_OF("name", "template", "template_id"));
    case USAGE_BY_NOTHING:
    case USAGE_BY_COUNT:
        break;
    }
    return TOTALS("0", "0", "''", "''");
}

static void bind_totals(struct store_stmt *st, const struct usage_query *q, const struct pieces *p)
{
    static const struct usage_place begin = {INT64_MIN, 0, 0, ""};
    const struct usage_place *after = q->after.model ? &q->after : &begin;
    for (int i = 0; i < PIECES; i++) {
        store_bind_int(st, 2 * i, p->from[i]);
        store_bind_int(st, 2 * i + 1, p->to[i]);
    }
    store_bind_int(st, 10, q->split != USAGE_WHOLE);
    store_bind_int(st, 11, q->filter.department_id);
    store_bind_int(st, 12, q->filter.person_id);
    store_bind_int(st, 13, q->filter.key_id);
    store_bind_int(st, 14, q->filter.template_id);
    store_bind_text(st, 15, q->filter.model);
    store_bind_int(st, 16, after->starts_at);
    store_bind_int(st, 17, after->id);
    store_bind_int(st, 18, after->version);
    store_bind_text(st, 19, after->model);
    store_bind_int(st, 20, (int64_t)q->limit + 1);
}

static void read_total(struct store_stmt *st, struct usage_total *t)
{
    *t = (struct usage_total){
        .at = {store_int(st, 0), store_int(st, 1), store_int(st, 2), store_text(st, 3)},
        .name = store_text(st, 4),
        .requests = store_int(st, 5),
        .failed = store_int(st, 6),
        .prompt_tokens = store_int(st, 7),
        .cached_tokens = store_int(st, 8),
        .completion_tokens = store_int(st, 9),
        .reasoning_tokens = store_int(st, 10),
        .queue_us = store_int(st, 11),
        .ttft_us = store_int(st, 12),
        .duration_us = store_int(st, 13),
    };
}

static bool range_ok(const struct usage_filter *f, unsigned limit, struct err *e)
{
    static const int64_t far = INT64_C(253402300800); /* the year 10000 */
    if (f->from_s < 0 || f->to_s <= f->from_s || f->to_s > far)
        FAIL(e, ERR_ARG, "the time range ends before it begins");
    if (limit < 1 || limit > USAGE_PAGE_ROWS)
        FAIL(e, ERR_ARG, "limit: 1 to %d", USAGE_PAGE_ROWS);
    return true;
}

bool usage_totals(struct store_db *db, const struct usage_query *q, usage_total_fn *fn, void *ctx,
                  bool *more, struct err *e)
{
    struct store_stmt *st;
    struct pieces p;
    *more = false;
    if (!range_ok(&q->filter, q->limit, e))
        return false;
    int64_t from = period_start(PERIOD_MINUTE, q->filter.from_s);
    int64_t to = period_above(PERIOD_MINUTE, q->filter.to_s);
    if (q->split == USAGE_WHOLE)
        p = split_range(from, to);
    else if (!split_by(q->split, from, to, &p, e))
        return false;
    if (!store_query(db, totals_sql(q->by), &st, e))
        return false;
    bind_totals(st, q, &p);
    for (unsigned n = 0;; n++) {
        struct usage_total t;
        bool row;
        if (!store_step(st, &row, e))
            return false;
        *more = row && n == q->limit;
        if (!row || *more)
            break;
        read_total(st, &t);
        if (!fn(ctx, &t, e)) {
            store_done(st);
            return false;
        }
    }
    store_done(st);
    return true;
}

/* ---- rows -------------------------------------------------------------------------------------- */

#define ROWS(condition)                                                                            \
    "SELECT id, request_id, status, started_us, finished_us, person_id, key_id, department_id,"    \
    " endpoint, model, class, template_id, template_version, template_label, variables_hash,"      \
    " prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, queue_us, ttft_us,"       \
    " http_status, finish_reason FROM usage WHERE " condition                                      \
    "started_us >= ?1 AND (started_us, id) < (?2, ?3) ORDER BY started_us DESC, id DESC"

/* The departments of a subtree, sorted; NULL and 0 without a filter. */
struct subtree {
    int64_t *ids; /* owned */
    size_t n;
};

static bool read_subtree(struct store_db *db, int64_t root, struct subtree *t, struct err *e)
{
    struct store_stmt *st;
    *t = (struct subtree){0};
    if (!root)
        return true;
    if (!store_query(db, SUBTREE("?1") " ORDER BY id", &st, e))
        return false;
    store_bind_int(st, 0, root);
    for (;;) {
        bool row;
        int64_t *ids = t->ids;
        if (!store_step(st, &row, e))
            goto fail;
        if (!row)
            break;
        if ((t->n & (t->n - 1)) == 0)
            ids = mem_try_reallocarray(t->ids, t->n ? 2 * t->n : 1, sizeof *ids);
        if (!ids) {
            store_done(st);
            err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "no memory for the departments");
            goto fail;
        }
        t->ids = ids;
        t->ids[t->n++] = store_int(st, 0);
    }
    store_done(st);
    return true;
fail:
    free(t->ids);
    return false;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t int_or(struct store_stmt *st, int i, int64_t none)
{
    return store_is_null(st, i) ? none : store_int(st, i);
}

static void read_row(struct store_stmt *st, struct usage_row *r)
{
    size_t bytes = 0;
    const void *hash = store_blob(st, 14, &bytes);
    *r = (struct usage_row){
        .id = store_int(st, 0),
        .request_id = store_text(st, 1),
        .status = store_text(st, 2),
        .started_us = store_int(st, 3),
        .finished_us = store_int(st, 4),
        .person_id = store_int(st, 5),
        .key_id = store_int(st, 6),
        .department_id = store_int(st, 7),
        .endpoint = store_text(st, 8),
        .model = store_text(st, 9),
        .class = store_text(st, 10),
        .template_id = store_int(st, 11),
        .template_version = store_int(st, 12),
        .template_label = store_text(st, 13),
        .variables_hash = bytes == 32 ? hash : NULL,
        .counts = {(uint64_t)store_int(st, 15), (uint64_t)store_int(st, 16),
                   (uint64_t)store_int(st, 17), (uint64_t)store_int(st, 18)},
        .queue_us = int_or(st, 19, -1),
        .ttft_us = int_or(st, 20, -1),
        .http_status = (int)store_int(st, 21),
        .finish_reason = store_text(st, 22),
    };
}

static bool wanted(const struct usage_rows *q, const struct subtree *t, const struct usage_row *r)
{
    const struct usage_filter *f = &q->filter;
    return (!f->person_id || f->person_id == r->person_id) &&
           (!f->key_id || f->key_id == r->key_id) &&
           (!f->template_id || f->template_id == r->template_id) &&
           (!f->model || strcmp(f->model, r->model) == 0) &&
           (!q->status || strcmp(q->status, r->status) == 0) &&
           (!t->n || bsearch(&r->department_id, t->ids, t->n, sizeof t->ids[0], compare_ids));
}

/* The narrowest index that fits. */
static bool open_rows(struct store_db *db, const struct usage_rows *q, const struct subtree *t,
                      struct store_stmt **st, struct err *e)
{
    const struct usage_filter *f = &q->filter;
    int64_t id = f->key_id ? f->key_id : f->person_id ? f->person_id : f->department_id;
    const char *sql = ROWS("");
    if (f->key_id)
        sql = ROWS("key_id = ?4 AND ");
    else if (f->person_id)
        sql = ROWS("person_id = ?4 AND ");
    else if (t->n == 1)
        sql = ROWS("department_id = ?4 AND ");
    else
        id = 0;
    if (!store_query(db, sql, st, e))
        return false;
    store_bind_int(*st, 0, f->from_s * 1000000);
    store_bind_int(*st, 1, q->before_us ? q->before_us : f->to_s * 1000000);
    store_bind_int(*st, 2, q->before_us ? q->before_id : 0);
    if (id)
        store_bind_int(*st, 3, id);
    return true;
}

static bool walk_rows(struct store_stmt *st, const struct usage_rows *q, const struct subtree *t,
                      usage_row_fn *fn, void *ctx, struct usage_rows *next, struct err *e)
{
    unsigned found = 0;
    for (unsigned seen = 0; found < q->limit && seen < USAGE_SCAN_ROWS; seen++) {
        struct usage_row r;
        bool row;
        if (!store_step(st, &row, e))
            return false;
        if (!row) {
            next->before_us = next->before_id = 0;
            break;
        }
        read_row(st, &r);
        next->before_us = r.started_us;
        next->before_id = r.id;
        if (!wanted(q, t, &r))
            continue;
        found++;
        if (!fn(ctx, &r, e)) {
            store_done(st);
            return false;
        }
    }
    store_done(st);
    return true;
}

bool usage_list(struct store_db *db, const struct usage_rows *q, usage_row_fn *fn, void *ctx,
                int64_t *next_us, int64_t *next_id, struct err *e)
{
    struct store_stmt *st;
    struct subtree t;
    struct usage_rows next = {0};
    if (!range_ok(&q->filter, q->limit, e) || !read_subtree(db, q->filter.department_id, &t, e))
        return false;
    bool ok = open_rows(db, q, &t, &st, e) && walk_rows(st, q, &t, fn, ctx, &next, e);
    free(t.ids);
    *next_us = next.before_us;
    *next_id = next.before_id;
    return ok;
}
