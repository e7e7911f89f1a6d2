/* Owns the statements that read totals and rows. Refuses to know who may see them.
 *
 * Totals: up to five pieces of a range (split_range) are read in the order of the table and added up
 * here; SQLite would sort every row of the range to group it, which took twice as long. Rows: the
 * statement walks one index by time; what the index does not know is compared here, so that a filter
 * that fits nothing costs no more than USAGE_SCAN_ROWS rows per call.
 */
#include <config.h>

#include "usage/query.h"

#include <stdlib.h>
#include <string.h>

#include "auth/people.h"
#include "base/ids.h"
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

#define SUBTREE(root)                                                                              \
    "WITH RECURSIVE below (id) AS (VALUES (" root ") UNION SELECT d.id FROM department AS d"       \
    " JOIN below ON coalesce(d.parent_id, 0) = below.id) SELECT id FROM below"

enum { SUMS = 9, GROUPS_MAX = 1 << 20 };

/* One line of the answer while it is added up. */
struct group {
    struct usage_place at; /* `model` owned, "" unless by model */
    int64_t sum[SUMS];     /* in the order of the columns */
};

/* Groups are found by hash: an array of numbers of groups (plus 1), a power of two large. */
struct groups {
    struct group *all;
    size_t n, cap;
    uint32_t *slots;
    size_t n_slots;
};

static void groups_release(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->all[i].at.model[0])
            free((void *)(uintptr_t)g->all[i].at.model);
    free(g->all);
    free(g->slots);
}

static uint64_t place_hash(const struct usage_place *p)
{
    uint64_t h = (uint64_t)p->starts_at * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (uint64_t)p->id) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ (uint64_t)p->version) * UINT64_C(0xc4ceb9fe1a85ec53);
    for (const char *c = p->model; *c; c++)
        h = (h ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return h ^ h >> 32;
}

static bool same_place(const struct usage_place *a, const struct usage_place *b)
{
    return a->starts_at == b->starts_at && a->id == b->id && a->version == b->version &&
           strcmp(a->model, b->model) == 0;
}

static uint32_t *find_slot(const struct groups *g, const struct usage_place *p)
{
    size_t i = place_hash(p) & (g->n_slots - 1);
    while (g->slots[i] && !same_place(&g->all[g->slots[i] - 1].at, p))
        i = (i + 1) & (g->n_slots - 1);
    return &g->slots[i];
}

/* Room for one more; the slots are never more than half full. */
static bool groups_grow(struct groups *g, struct err *e)
{
    if (g->n < g->cap)
        return true;
    if (g->n >= GROUPS_MAX)
        FAIL(e, ERR_LIMIT, "more than %d totals: ask for a shorter time", GROUPS_MAX);
    size_t cap = g->cap ? 2 * g->cap : 64;
    struct group *all = mem_try_reallocarray(g->all, cap, sizeof *all);
    if (all)
        g->all = all;
    uint32_t *slots = mem_try_calloc(2 * cap, sizeof *slots);
    if (!all || !slots) {
        free(slots);
        FAIL(e, ERR_NOMEM, "no memory for the totals");
    }
    free(g->slots);
    g->slots = slots;
    g->n_slots = 2 * cap;
    g->cap = cap;
    for (size_t i = 0; i < g->n; i++)
        *find_slot(g, &g->all[i].at) = (uint32_t)i + 1;
    return true;
}

static struct group *group_at(struct groups *g, const struct usage_place *p, struct err *e)
{
    if (!groups_grow(g, e))
        return NULL;
    uint32_t *slot = find_slot(g, p);
    if (*slot)
        return &g->all[*slot - 1];
    struct group *fresh = &g->all[g->n++];
    *slot = (uint32_t)g->n;
    *fresh = (struct group){.at = *p};
    fresh->at.model = p->model[0] ? mem_strdup(p->model) : "";
    return fresh;
}

/* In the order of the answer; everything is behind a cursor without a model. */
static bool behind(const struct usage_place *p, const struct usage_place *after)
{
    if (!after->model)
        return true;
    if (p->starts_at != after->starts_at)
        return p->starts_at > after->starts_at;
    if (p->id != after->id)
        return p->id > after->id;
    if (p->version != after->version)
        return p->version > after->version;
    return strcmp(p->model, after->model) > 0;
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return behind(&x->at, &y->at) - behind(&y->at, &x->at);
}

/* Where a row of usage_total is counted. */
static struct usage_place place_of(struct store_stmt *st, const struct usage_query *q)
{
    struct usage_place p = {.model = ""};
    if (q->split != USAGE_WHOLE)
        p.starts_at = store_int(st, 0);
    if (q->by == USAGE_BY_DEPARTMENT || q->by == USAGE_BY_PERSON || q->by == USAGE_BY_KEY)
        p.id = store_int(st, q->by == USAGE_BY_DEPARTMENT ? 1 : q->by == USAGE_BY_PERSON ? 2 : 3);
    if (q->by == USAGE_BY_MODEL)
        p.model = store_text(st, 4);
    if (q->by == USAGE_BY_TEMPLATE) {
        p.id = store_int(st, 5);
        p.version = store_int(st, 6);
    }
    return p;
}

/* Rows come in the order of time: once a page is full, a later period cannot be part of it. */
static bool page_full(const struct usage_query *q, const struct groups *g,
                      const struct usage_place *p)
{
    return q->split != USAGE_WHOLE && g->n > q->limit &&
           g->all[g->n - 1].at.starts_at < p->starts_at;
}

static bool add_rows(struct store_stmt *st, const struct usage_query *q, struct groups *g,
                     struct err *e)
{
    for (;;) {
        bool row;
        if (!store_step(st, &row, e))
            return false;
        if (!row)
            break;
        struct usage_place p = place_of(st, q);
        if (!behind(&p, &q->after))
            continue;
        if (page_full(q, g, &p))
            break;
        struct group *sum = group_at(g, &p, e);
        if (!sum) {
            store_done(st);
            return false;
        }
        for (int i = 0; i < SUMS; i++)
            sum->sum[i] += store_int(st, 7 + i);
    }
    store_done(st);
    return true;
}

static bool add_piece(struct store_db *db, const struct usage_query *q, enum period grain,
                      int64_t from, int64_t to, struct groups *g, struct err *e)
{
    struct store_stmt *st;
    if (q->split != USAGE_WHOLE && q->after.model && from < q->after.starts_at)
        from = q->after.starts_at;
    if (from >= to)
        return true;
    if (!store_query(db,
                     "SELECT starts_at, department_id, person_id, key_id, model, template_id,"
                     " template_version, requests, failed, prompt_tokens, cached_tokens,"
                     " completion_tokens, reasoning_tokens, queue_us, ttft_us, duration_us"
                     " FROM usage_total WHERE grain = ?1 AND starts_at >= ?2 AND starts_at < ?3"
                     " AND (?4 = 0 OR department_id IN (" SUBTREE("?4") "))"
                     " AND (?5 = 0 OR person_id = ?5) AND (?6 = 0 OR key_id = ?6)"
                     " AND (?7 = 0 OR template_id = ?7) AND (?8 IS NULL OR model = ?8)"
                     " ORDER BY starts_at",
                     &st, e))
        return false;
    store_bind_text(st, 0, period_name(grain));
    store_bind_int(st, 1, from);
    store_bind_int(st, 2, to);
    store_bind_int(st, 3, q->filter.department_id);
    store_bind_int(st, 4, q->filter.person_id);
    store_bind_int(st, 5, q->filter.key_id);
    store_bind_int(st, 6, q->filter.template_id);
    store_bind_text(st, 7, q->filter.model);
    return add_rows(st, q, g, e);
}

/* Whom a line is about. The statement must stay open while the name is in use. */
static bool find_name(struct store_db *db, enum usage_by by, int64_t id, struct store_stmt **st,
                      const char **name, struct err *e)
{
    static const char *const sql[USAGE_BY_COUNT] = {
        [USAGE_BY_DEPARTMENT] = "SELECT name FROM department WHERE id = ?1",
        [USAGE_BY_PERSON] = "SELECT login FROM person WHERE id = ?1",
        [USAGE_BY_KEY] = "SELECT name FROM api_key WHERE id = ?1",
        [USAGE_BY_TEMPLATE] = "SELECT name FROM template WHERE id = ?1",
    };
    bool row;
    *name = "";
    *st = NULL;
    if (!sql[by])
        return true;
    if (!store_query(db, sql[by], st, e))
        return false;
    store_bind_int(*st, 0, id);
    if (!store_step(*st, &row, e))
        return false;
    if (row)
        *name = store_text(*st, 0);
    return true;
}

static bool tell(struct store_db *db, enum usage_by by, const struct group *g, usage_total_fn *fn,
                 void *ctx, struct err *e)
{
    const int64_t *s = g->sum;
    struct usage_total t = {g->at, "", s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8]};
    struct store_stmt *st;
    if (!find_name(db, by, g->at.id, &st, &t.name, e))
        return false;
    bool ok = fn(ctx, &t, e);
    store_done(st);
    return ok;
}

static bool range_ok(const struct usage_filter *f, unsigned limit, struct err *e)
{
    if (f->from_s < 0 || f->to_s <= f->from_s || f->to_s > USAGE_TIME_END)
        FAIL(e, ERR_ARG, "the time range ends before it begins");
    if (limit < 1 || limit > USAGE_PAGE_ROWS)
        FAIL(e, ERR_ARG, "limit: 1 to %d", USAGE_PAGE_ROWS);
    return true;
}

bool usage_totals(struct store_db *db, const struct usage_query *q, usage_total_fn *fn, void *ctx,
                  bool *more, struct err *e)
{
    static const enum period grains[PIECES] = {PERIOD_DAY, PERIOD_HOUR, PERIOD_HOUR, PERIOD_MINUTE,
                                               PERIOD_MINUTE};
    struct pieces p;
    struct groups g = {0};
    *more = false;
    if (!range_ok(&q->filter, q->limit, e))
        return false;
    int64_t from = period_start(PERIOD_MINUTE, q->filter.from_s);
    int64_t to = period_above(PERIOD_MINUTE, q->filter.to_s);
    if (q->split == USAGE_WHOLE)
        p = split_range(from, to);
    else if (!split_by(q->split, from, to, &p, e))
        return false;
    bool ok = true;
    for (int i = 0; ok && i < PIECES; i++)
        ok = add_piece(db, q, grains[i], p.from[i], p.to[i], &g, e);
    if (ok && g.n)
        qsort(g.all, g.n, sizeof g.all[0], compare_groups);
    for (size_t i = 0; ok && i < g.n && i < q->limit; i++)
        ok = tell(db, q->by, &g.all[i], fn, ctx, e);
    *more = ok && g.n > q->limit;
    groups_release(&g);
    return ok;
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
           (!t->n || ids_hold(t->ids, t->n, r->department_id));
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

bool usage_names_read(struct store_db *db, const struct usage_row *r, struct usage_names *out,
                      struct err *e)
{
    bool row;
    *out = (struct usage_names){0};
    if (!store_query(db,
                     "WITH RECURSIVE up (parent_id, path, level) AS ("
                     " SELECT parent_id, name, 1 FROM department WHERE id = ?1 UNION ALL"
                     " SELECT d.parent_id, d.name || '/' || up.path, up.level + 1"
                     " FROM up JOIN department AS d ON d.id = up.parent_id WHERE up.level < ?5)"
                     " SELECT (SELECT path FROM up WHERE parent_id IS NULL),"
                     " (SELECT login FROM person WHERE id = ?2),"
                     " (SELECT name FROM api_key WHERE id = ?3),"
                     " (SELECT name FROM template WHERE id = ?4)",
                     &out->st, e))
        return false;
    store_bind_int(out->st, 0, r->department_id);
    store_bind_int(out->st, 1, r->person_id);
    store_bind_int(out->st, 2, r->key_id);
    store_bind_int(out->st, 3, r->template_id);
    store_bind_int(out->st, 4, PEOPLE_DEPTH);
    if (!store_step(out->st, &row, e))
        return false;
    out->department = store_text(out->st, 0);
    out->login = store_text(out->st, 1);
    out->key = store_text(out->st, 2);
    out->template = store_text(out->st, 3);
    return true;
}

void usage_names_done(struct usage_names *n)
{
    store_done(n->st);
    *n = (struct usage_names){0};
}
