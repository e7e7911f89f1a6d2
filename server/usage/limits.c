/* Owns the counters behind the limits. Refuses to know of requests, HTTP and the database's writer.
 *
 * Rows are found by kind and id in a sorted array; a row once made lives as long as the process, so a
 * ticket may point at it, and is merely inactive while no quota stands behind it. limits_load builds
 * everything beside the live state, in one snapshot of the database, and swaps it in under the lock.
 */
#include <config.h>

#include "usage/limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "usage/calendar.h"
#include "usage/period.h"

enum { WINDOW_S = 60, PERIODS = 4, DEPTH = LIMITS_ROWS - 2 };
static const uint64_t MOST_TOKENS = QUOTA_MOST; /* sums of these stay far from wrapping */

struct slot { /* what came in during one second */
    uint64_t second;
    uint64_t requests, tokens;
};

struct budget { /* what was used in one day or month */
    int32_t period;
    uint64_t touched; /* counter, to find the one that was not used for the longest time */
    uint64_t used;
};

struct limits_row {
    enum quota_subject kind;
    int64_t id;
    /* the rest is guarded by limits->mu */
    bool active, soft, timed;
    int64_t limit[QUOTA_LIMIT_COUNT];
    struct calendar calendar; /* when timed */
    struct slot window[WINDOW_S];
    struct budget day[PERIODS], month[PERIODS];
    uint64_t parallel, reserved; /* of tickets that are out */
};

struct branch { /* a department and the one above it */
    int64_t id, parent;
};

struct now {
    uint64_t mono_s;
    int64_t wall, minute_start, day_start, day_ends, month_ends;
    int32_t day, month; /* names of the periods, never 0 */
    int weekday, minute;
};

struct limits {
    struct limits_clock clock;
    pthread_mutex_t loading; /* one limits_load at a time; before mu */
    pthread_mutex_t mu;
    /* guarded by mu */
    struct limits_row **rows;
    size_t n_rows;
    struct branch *branches;
    size_t n_branches;
    struct now now;
    uint64_t touches;
};

/* ---- time -------------------------------------------------------------------------------------- */

static uint64_t system_now_us(void *ctx)
{
    (void)ctx;
    return clock_now_us();
}

static int64_t system_wall_s(void *ctx)
{
    (void)ctx;
    return clock_wall_s();
}

static void name_periods(struct now *n)
{
    struct tm tm = {0};
    time_t at = (time_t)n->wall;
    localtime_r(&at, &tm);
    n->day = ((int32_t)tm.tm_year * 12 + tm.tm_mon) * 31 + tm.tm_mday;
    n->month = (int32_t)tm.tm_year * 12 + tm.tm_mon + 1;
    n->weekday = tm.tm_wday;
    n->minute = tm.tm_hour * 60 + tm.tm_min;
    n->day_start = period_start(PERIOD_DAY, n->wall);
    n->day_ends = period_next(PERIOD_DAY, n->wall);
    n->month_ends = period_next(PERIOD_MONTH, n->wall);
    n->minute_start = period_start(PERIOD_MINUTE, n->wall);
}

/* The calendar is asked again only when the wall clock shows another minute. */
static const struct now *now_locked(struct limits *l)
{
    struct now *n = &l->now;
    n->mono_s = l->clock.now_us(l->clock.ctx) / 1000000;
    n->wall = l->clock.wall_s(l->clock.ctx);
    if (!n->day || n->wall < n->minute_start || n->wall >= n->minute_start + 60)
        name_periods(n);
    return n;
}

/* ---- finding rows ------------------------------------------------------------------------------ */

static int compare_row(enum quota_subject kind, int64_t id, const struct limits_row *r)
{
    if (kind != r->kind)
        return kind < r->kind ? -1 : 1;
    return id < r->id ? -1 : id > r->id;
}

static struct limits_row *find_row(struct limits_row *const *rows, size_t n, enum quota_subject kind,
                                   int64_t id)
{
    for (size_t low = 0, high = n; low < high;) {
        size_t mid = low + (high - low) / 2;
        int c = compare_row(kind, id, rows[mid]);
        if (c == 0)
            return rows[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

/* 0 at the top of the tree and for departments that are not known. */
static int64_t parent_of(const struct branch *b, size_t n, int64_t id)
{
    for (size_t low = 0, high = n; low < high;) {
        size_t mid = low + (high - low) / 2;
        if (b[mid].id == id)
            return b[mid].parent;
        if (id < b[mid].id)
            high = mid;
        else
            low = mid + 1;
    }
    return 0;
}

static void collect(struct limits_ticket *t, struct limits_row *row)
{
    if (row && row->active && t->n < LIMITS_ROWS)
        t->row[t->n++] = row;
}

static void collect_locked(const struct limits *l, const struct limits_ask *ask,
                           struct limits_ticket *t)
{
    collect(t, find_row(l->rows, l->n_rows, QUOTA_KEY, ask->key_id));
    collect(t, find_row(l->rows, l->n_rows, QUOTA_PERSON, ask->person_id));
    int64_t id = ask->department_id;
    for (int depth = 0; id && depth < DEPTH; depth++) {
        collect(t, find_row(l->rows, l->n_rows, QUOTA_DEPARTMENT, id));
        id = parent_of(l->branches, l->n_branches, id);
    }
}

/* ---- counters ---------------------------------------------------------------------------------- */

static bool in_window(const struct slot *s, uint64_t now)
{
    return s->second <= now && now - s->second < WINDOW_S;
}

static uint64_t slot_value(const struct slot *s, bool tokens)
{
    return tokens ? s->tokens : s->requests;
}

static uint64_t window_sum(const struct limits_row *r, uint64_t now, bool tokens)
{
    uint64_t sum = 0;
    for (int i = 0; i < WINDOW_S; i++)
        if (in_window(&r->window[i], now))
            sum += slot_value(&r->window[i], tokens);
    return sum;
}

/* Seconds until at least `excess` has left the window. */
static unsigned window_wait(const struct limits_row *r, uint64_t now, bool tokens, uint64_t excess)
{
    uint64_t left = 0;
    for (unsigned age = WINDOW_S; age-- > 0;) {
        if (now < age)
            continue;
        const struct slot *s = &r->window[(now - age) % WINDOW_S];
        if (s->second == now - age)
            left += slot_value(s, tokens);
        if (left >= excess)
            return WINDOW_S - age;
    }
    return WINDOW_S;
}

static struct slot *window_slot(struct limits_row *r, uint64_t second)
{
    struct slot *s = &r->window[second % WINDOW_S];
    if (s->second != second)
        *s = (struct slot){.second = second};
    return s;
}

static struct budget *budget_find(struct budget *b, int32_t period)
{
    for (int i = 0; i < PERIODS; i++)
        if (b[i].period == period)
            return &b[i];
    return NULL;
}

/* The counter of a period, made when there is none yet in the place of the stalest one. */
static struct budget *budget_at(struct limits *l, struct budget *b, int32_t period)
{
    struct budget *found = budget_find(b, period);
    if (!found) {
        found = &b[0];
        for (int i = 1; i < PERIODS; i++)
            if (b[i].touched < found->touched)
                found = &b[i];
        *found = (struct budget){.period = period};
    }
    found->touched = ++l->touches;
    return found;
}

static uint64_t budget_used(struct budget *b, int32_t period)
{
    const struct budget *found = budget_find(b, period);
    return found ? found->used : 0;
}

static void lower(uint64_t *v, uint64_t by)
{
    *v -= by < *v ? by : *v;
}

/* ---- admission --------------------------------------------------------------------------------- */

/* A limit that a request would cross: how much stands against it and when it lets go. */
struct crossing {
    enum quota_limit limit;
    uint64_t used;
    int64_t wait_s;
};

static uint64_t used_now(struct limits_row *r, enum quota_limit limit, const struct now *n)
{
    switch (limit) {
    case QUOTA_REQUESTS_PER_MINUTE:
        return window_sum(r, n->mono_s, false);
    case QUOTA_TOKENS_PER_MINUTE:
        return window_sum(r, n->mono_s, true);
    case QUOTA_PARALLEL:
        return r->parallel;
    case QUOTA_TOKENS_PER_DAY:
        return budget_used(r->day, n->day);
    case QUOTA_TOKENS_PER_MONTH:
        return budget_used(r->month, n->month);
    case QUOTA_LIMIT_COUNT:
        break;
    }
    ASSERT(false);
    return 0;
}

static int64_t wait_for(const struct limits_row *r, const struct crossing *c, uint64_t need,
                        const struct now *n)
{
    uint64_t most = (uint64_t)r->limit[c->limit];
    switch (c->limit) {
    case QUOTA_REQUESTS_PER_MINUTE:
    case QUOTA_TOKENS_PER_MINUTE:
        if (most == 0) /* nothing ever: until tomorrow, somebody may change the limit */
            return n->day_ends - n->wall;
        return window_wait(r, n->mono_s, c->limit == QUOTA_TOKENS_PER_MINUTE,
                           need > most ? c->used : c->used + need - most);
    case QUOTA_TOKENS_PER_DAY:
        return n->day_ends - n->wall;
    case QUOTA_TOKENS_PER_MONTH:
        return n->month_ends - n->wall;
    case QUOTA_PARALLEL:
    case QUOTA_LIMIT_COUNT:
        break;
    }
    return 1;
}

static bool crosses(struct limits_row *r, enum quota_limit limit, uint64_t tokens,
                    const struct now *n, struct crossing *c)
{
    bool counts_requests = limit == QUOTA_REQUESTS_PER_MINUTE || limit == QUOTA_PARALLEL;
    uint64_t need = counts_requests ? 1 : tokens, most = (uint64_t)r->limit[limit];
    if (r->limit[limit] == QUOTA_NONE)
        return false;
    c->limit = limit;
    c->used = used_now(r, limit, n);
    if (c->used + need <= most)
        return false;
    if (limit == QUOTA_TOKENS_PER_MINUTE && c->used == 0 && most > 0)
        return false;
    c->wait_s = wait_for(r, c, need, n);
    return true;
}

/* Of all limits of a row that the request would cross, the one that lasts longest. */
static bool row_crossed(struct limits_row *r, uint64_t tokens, const struct now *n, int64_t closes_s,
                        struct crossing *worst)
{
    bool any = false;
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++) {
        struct crossing c;
        if (!crosses(r, (enum quota_limit)i, tokens, n, &c))
            continue;
        if (c.wait_s > closes_s) /* outside its hours the row does not hold */
            c.wait_s = closes_s;
        if (c.wait_s < 1)
            c.wait_s = 1;
        if (!any || c.wait_s > worst->wait_s)
            *worst = c;
        any = true;
    }
    return any;
}

/* Whether the row holds now; *closes_s = seconds until it does not. */
static bool row_open(const struct limits_row *r, const struct now *n, int64_t *closes_s)
{
    int until;
    *closes_s = INT64_MAX;
    if (!r->timed)
        return true;
    bool open = calendar_open(&r->calendar, n->weekday, n->minute, &until);
    /* open until midnight may go on next morning: then the next answer says so */
    *closes_s = (int64_t)(until - n->minute) * 60 - (n->wall - n->minute_start);
    return open;
}

static void count_locked(struct limits *l, const struct limits_ticket *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        struct limits_row *r = t->row[i];
        r->parallel++;
        if (!(t->counted >> i & 1))
            continue;
        struct slot *s = window_slot(r, t->mono_s);
        s->requests++;
        s->tokens += t->tokens;
        r->reserved += t->tokens;
        budget_at(l, r->day, t->day)->used += t->tokens;
        budget_at(l, r->month, t->month)->used += t->tokens;
    }
}

static bool admit_locked(struct limits *l, const struct limits_ask *ask, struct limits_ticket *t,
                         struct limits_refusal *why)
{
    const struct now *n = now_locked(l);
    bool refused = false;
    *t = (struct limits_ticket){.weight = LIMITS_FULL_WEIGHT, .mono_s = n->mono_s, .day = n->day,
                                .month = n->month};
    t->tokens = ask->tokens < MOST_TOKENS ? ask->tokens : MOST_TOKENS;
    collect_locked(l, ask, t);
    for (unsigned i = 0; i < t->n; i++) {
        struct limits_row *r = t->row[i];
        struct crossing c;
        int64_t closes_s;
        if (!row_open(r, n, &closes_s))
            continue;
        t->counted |= UINT64_C(1) << i;
        if (!row_crossed(r, t->tokens, n, closes_s, &c))
            continue;
        if (r->soft) {
            t->weight = t->weight / 4 > LIMITS_LEAST_WEIGHT ? t->weight / 4 : LIMITS_LEAST_WEIGHT;
        } else if (!refused || c.wait_s > (int64_t)why->retry_after_s) {
            *why = (struct limits_refusal){r->kind,
                                           r->id,
                                           c.limit,
                                           r->limit[c.limit],
                                           (int64_t)c.used,
                                           (unsigned)c.wait_s,
                                           n->wall + c.wait_s};
            refused = true;
        }
    }
    if (!refused)
        count_locked(l, t);
    return !refused;
}

bool limits_admit(struct limits *l, const struct limits_ask *ask, struct limits_ticket *t,
                  struct limits_refusal *why)
{
    pthread_mutex_lock(&l->mu);
    bool ok = admit_locked(l, ask, t, why);
    pthread_mutex_unlock(&l->mu);
    if (!ok)
        t->n = 0;
    return ok;
}

/* ---- the end of a request ---------------------------------------------------------------------- */

static void replace(uint64_t *v, uint64_t reserved, uint64_t used)
{
    lower(v, reserved);
    *v += used;
}

static void end_row(struct limits_row *r, const struct limits_ticket *t, uint64_t used, bool undo)
{
    struct slot *s = &r->window[t->mono_s % WINDOW_S];
    if (s->second == t->mono_s) {
        replace(&s->tokens, t->tokens, used);
        lower(&s->requests, undo);
    }
    struct budget *day = budget_find(r->day, t->day), *month = budget_find(r->month, t->month);
    if (day)
        replace(&day->used, t->tokens, used);
    if (month)
        replace(&month->used, t->tokens, used);
    lower(&r->reserved, t->tokens);
}

static void end(struct limits *l, struct limits_ticket *t, uint64_t tokens, bool undo)
{
    uint64_t used = tokens < MOST_TOKENS ? tokens : MOST_TOKENS;
    pthread_mutex_lock(&l->mu);
    for (unsigned i = 0; i < t->n; i++) {
        lower(&t->row[i]->parallel, 1);
        if (t->counted >> i & 1)
            end_row(t->row[i], t, used, undo);
    }
    pthread_mutex_unlock(&l->mu);
    t->n = 0;
}

void limits_settle(struct limits *l, struct limits_ticket *t, uint64_t tokens)
{
    end(l, t, tokens, false);
}

void limits_undo(struct limits *l, struct limits_ticket *t)
{
    end(l, t, 0, true);
}

bool limits_look(struct limits *l, enum quota_subject kind, int64_t id, struct limits_state *out)
{
    int64_t closes_s;
    pthread_mutex_lock(&l->mu);
    const struct now *n = now_locked(l);
    struct limits_row *r = find_row(l->rows, l->n_rows, kind, id);
    bool found = r && r->active;
    if (found) {
        for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
            out->used[i] = (int64_t)used_now(r, (enum quota_limit)i, n);
        out->open = row_open(r, n, &closes_s);
    }
    pthread_mutex_unlock(&l->mu);
    return found;
}

/* ---- loading ----------------------------------------------------------------------------------- */

struct plan { /* a row as the database wants it */
    struct quota quota;
    struct calendar calendar;
    bool timed, fresh;
    uint64_t day, month; /* used, of fresh rows */
};

struct known_calendar {
    int64_t id;
    struct calendar calendar;
};

struct load {
    struct limits *limits;
    struct now now;
    struct plan *plans; /* by kind and id, as struct limits_row are sorted */
    size_t n_plans;
    struct known_calendar *calendars;
    size_t n_calendars;
    struct branch *branches;
    size_t n_branches;
    /* where in the week the totals that are read lie */
    int64_t at;
    int weekday, minute;
};

static bool grow(void *array, size_t n, size_t bytes, struct err *e)
{
    void **p = array;
    if ((n & (n - 1)) != 0) /* doubled whenever n is a power of two */
        return true;
    void *bigger = mem_try_reallocarray(*p, n ? 2 * n : 1, bytes);
    if (!bigger)
        FAIL(e, ERR_NOMEM, "no memory for the limits");
    *p = bigger;
    return true;
}

static bool load_calendar(void *ctx, const struct quota_calendar *c, struct err *e)
{
    struct load *d = ctx;
    struct known_calendar k = {.id = c->id};
    if (!calendar_parse(c->hours, &k.calendar, e))
        return err_prefix(e, "calendar %s", c->name);
    if (!grow(&d->calendars, d->n_calendars, sizeof k, e))
        return false;
    d->calendars[d->n_calendars++] = k;
    return true;
}

static bool load_quota(void *ctx, const struct quota *q, struct err *e)
{
    struct load *d = ctx;
    struct plan p = {.quota = *q};
    for (size_t i = 0; i < d->n_calendars; i++)
        if (q->calendar_id == d->calendars[i].id) {
            p.timed = true;
            p.calendar = d->calendars[i].calendar;
        }
    if (!grow(&d->plans, d->n_plans, sizeof p, e))
        return false;
    d->plans[d->n_plans++] = p;
    return true;
}

static bool load_branches(struct store_db *db, struct load *d, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db, "SELECT id, parent_id FROM department ORDER BY id", &st, e))
        return false;
    for (;;) {
        if (!store_step(st, &row, e))
            return false;
        if (!row)
            break;
        if (!grow(&d->branches, d->n_branches, sizeof *d->branches, e)) {
            store_done(st);
            return false;
        }
        d->branches[d->n_branches++] = (struct branch){store_int(st, 0), store_int(st, 1)};
    }
    store_done(st);
    for (size_t i = 0; i < d->n_branches; i++) {
        int depth = 0;
        for (int64_t id = d->branches[i].id; id; depth++) {
            if (depth == DEPTH)
                FAIL(e, ERR_LIMIT, "departments are nested deeper than %d", DEPTH);
            id = parent_of(d->branches, d->n_branches, id);
        }
    }
    return true;
}

static int compare_plans(const void *a, const void *b)
{
    const struct plan *x = a, *y = b;
    if (x->quota.kind != y->quota.kind)
        return x->quota.kind < y->quota.kind ? -1 : 1;
    return x->quota.subject_id < y->quota.subject_id ? -1 : x->quota.subject_id > y->quota.subject_id;
}

/* Which rows have no counters that could go on. Only loads change what is read here. */
static void mark_fresh(struct load *d)
{
    const struct limits *l = d->limits;
    for (size_t i = 0; i < d->n_plans; i++) {
        struct plan *p = &d->plans[i];
        const struct limits_row *r =
            find_row(l->rows, l->n_rows, p->quota.kind, p->quota.subject_id);
        p->fresh = !r || !r->active || r->timed != p->timed ||
                   (p->timed && memcmp(&r->calendar, &p->calendar, sizeof r->calendar) != 0);
    }
}

/* ---- adding up what was used ------------------------------------------------------------------- */

struct total {
    int64_t starts_at, department_id, person_id, key_id;
    uint64_t tokens;
    bool minute; /* for rows with a calendar; else a day, for those without */
};

static void add_to(struct load *d, enum quota_subject kind, int64_t id, const struct total *t)
{
    struct plan want = {.quota = {.kind = kind, .subject_id = id}};
    struct plan *p = d->n_plans ? bsearch(&want, d->plans, d->n_plans, sizeof want, compare_plans)
                                : NULL;
    if (!p || !p->fresh || p->timed != t->minute)
        return;
    if (p->timed && !calendar_open(&p->calendar, d->weekday, d->minute, NULL))
        return;
    p->month += t->tokens;
    if (t->starts_at >= d->now.day_start)
        p->day += t->tokens;
}

static void add_total(struct load *d, const struct total *t)
{
    if (t->minute && t->starts_at != d->at) {
        struct tm tm = {0};
        time_t at = (time_t)t->starts_at;
        localtime_r(&at, &tm);
        d->at = t->starts_at;
        d->weekday = tm.tm_wday;
        d->minute = tm.tm_hour * 60 + tm.tm_min;
    }
    add_to(d, QUOTA_KEY, t->key_id, t);
    add_to(d, QUOTA_PERSON, t->person_id, t);
    int64_t id = t->department_id;
    for (int depth = 0; id && depth < DEPTH; depth++) {
        add_to(d, QUOTA_DEPARTMENT, id, t);
        id = parent_of(d->branches, d->n_branches, id);
    }
}

static bool add_totals(struct store_db *db, struct load *d, bool minute, struct err *e)
{
    struct store_stmt *st;
    bool row, wanted = false;
    for (size_t i = 0; i < d->n_plans; i++)
        wanted = wanted || (d->plans[i].fresh && d->plans[i].timed == minute);
    if (!wanted)
        return true;
    if (!store_query(db,
                     "SELECT starts_at, department_id, person_id, key_id,"
                     " sum(prompt_tokens + completion_tokens) FROM usage_total"
                     " WHERE grain = ?1 AND starts_at >= ?2 AND starts_at < ?3"
                     " GROUP BY starts_at, department_id, person_id, key_id",
                     &st, e))
        return false;
    store_bind_text(st, 0, period_name(minute ? PERIOD_MINUTE : PERIOD_DAY));
    store_bind_int(st, 1, period_start(PERIOD_MONTH, d->now.wall));
    store_bind_int(st, 2, d->now.month_ends);
    for (;;) {
        if (!store_step(st, &row, e))
            return false;
        if (!row)
            break;
        struct total t = {store_int(st, 0), store_int(st, 1),           store_int(st, 2),
                          store_int(st, 3), (uint64_t)store_int(st, 4), minute};
        add_total(d, &t);
    }
    store_done(st);
    return true;
}

/* ---- taking over ------------------------------------------------------------------------------- */

static bool read_all(struct store_db *db, void *ctx, struct err *e)
{
    struct load *d = ctx;
    if (!quota_calendar_each(db, load_calendar, d, e) || !quota_each(db, load_quota, d, e) ||
        !load_branches(db, d, e))
        return false;
    if (d->n_plans)
        qsort(d->plans, d->n_plans, sizeof d->plans[0], compare_plans);
    mark_fresh(d);
    return add_totals(db, d, false, e) && add_totals(db, d, true, e);
}

static void apply_locked(struct limits *l, const struct plan *p, const struct now *n,
                         struct limits_row *r)
{
    r->active = true;
    r->soft = p->quota.soft;
    r->timed = p->timed;
    r->calendar = p->calendar;
    memcpy(r->limit, p->quota.limit, sizeof r->limit);
    if (!p->fresh)
        return;
    budget_at(l, r->day, n->day)->used = p->day + r->reserved;
    budget_at(l, r->month, n->month)->used = p->month + r->reserved;
}

static int compare_rows(const void *a, const void *b)
{
    const struct limits_row *const *x = a, *const *y = b;
    return compare_row((*x)->kind, (*x)->id, *y);
}

/* `rows` has room for every row there is and every plan. */
static void take_over_locked(struct limits *l, struct load *d, struct limits_row **rows)
{
    size_t n = l->n_rows;
    if (n)
        memcpy(rows, l->rows, n * sizeof rows[0]);
    for (size_t i = 0; i < n; i++)
        rows[i]->active = false;
    for (size_t i = 0; i < d->n_plans; i++) {
        const struct plan *p = &d->plans[i];
        struct limits_row *r = find_row(l->rows, l->n_rows, p->quota.kind, p->quota.subject_id);
        if (!r) {
            r = mem_zalloc(sizeof *r);
            r->kind = p->quota.kind;
            r->id = p->quota.subject_id;
            rows[n++] = r;
        }
        apply_locked(l, p, &d->now, r);
    }
    if (n)
        qsort(rows, n, sizeof rows[0], compare_rows);
    free(l->rows);
    free(l->branches);
    l->rows = rows;
    l->n_rows = n;
    l->branches = d->branches;
    l->n_branches = d->n_branches;
    d->branches = NULL;
}

bool limits_load(struct limits *l, struct store *s, struct err *e)
{
    struct load d = {.limits = l};
    pthread_mutex_lock(&l->loading);
    pthread_mutex_lock(&l->mu);
    d.now = *now_locked(l);
    pthread_mutex_unlock(&l->mu);
    bool ok = store_read(s, read_all, &d, e);
    struct limits_row **rows =
        ok ? mem_try_calloc(l->n_rows + d.n_plans + 1, sizeof rows[0]) : NULL;
    if (ok && !rows)
        ok = err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "no memory for the limits");
    if (ok) {
        pthread_mutex_lock(&l->mu);
        take_over_locked(l, &d, rows);
        pthread_mutex_unlock(&l->mu);
    }
    pthread_mutex_unlock(&l->loading);
    free(d.plans);
    free(d.calendars);
    free(d.branches);
    return ok;
}

struct limits *limits_create(const struct limits_clock *clock)
{
    struct limits *l = mem_zalloc(sizeof *l);
    l->clock = clock ? *clock : (struct limits_clock){system_now_us, system_wall_s, NULL};
    pthread_mutex_init(&l->loading, NULL);
    pthread_mutex_init(&l->mu, NULL);
    return l;
}

void limits_destroy(struct limits **limits)
{
    struct limits *l = *limits;
    if (!l)
        return;
    for (size_t i = 0; i < l->n_rows; i++)
        free(l->rows[i]);
    free(l->rows);
    free(l->branches);
    pthread_mutex_destroy(&l->mu);
    pthread_mutex_destroy(&l->loading);
    free(l);
    *limits = NULL;
}
