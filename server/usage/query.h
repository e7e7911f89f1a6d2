/* Reading the ledger: totals, rows, and both as CSV.
 *
 * Totals come from usage_total: whole days, hours at the edges of the range, minutes at the edges of
 * those; so a range costs what its periods cost, not what its requests cost. Rows come newest first.
 * Both are read in pages; a cursor is what the last row of a page says.
 * Thread: any; the functions on struct store_db inside a store callback (store_read).
 */
#ifndef SEEKD_USAGE_QUERY_H
#define SEEKD_USAGE_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"
#include "usage/ledger.h"
#include "usage/period.h"

#define USAGE_TIME_END INT64_C(253402300800) /* the year 10000: no range ends later */

/* Whose usage. 0 and NULL = everybody's, everything. */
struct usage_filter {
    int64_t from_s, to_s;  /* start of the request, [from, to); totals: rounded out to minutes */
    int64_t department_id; /* with everything below it */
    int64_t person_id, key_id, template_id;
    const char *model;
};

/* ---- totals ------------------------------------------------------------------------------------ */

enum usage_by {
    USAGE_BY_NOTHING,
    USAGE_BY_DEPARTMENT,
    USAGE_BY_PERSON,
    USAGE_BY_KEY,
    USAGE_BY_MODEL,
    USAGE_BY_TEMPLATE, /* and version */
    USAGE_BY_COUNT
};
enum usage_split { USAGE_WHOLE, USAGE_MINUTES, USAGE_HOURS, USAGE_DAYS };

/* Totals are ordered by (starts_at, id, version, model); ids 0 = none. */
struct usage_place {
    int64_t starts_at; /* 0 with USAGE_WHOLE */
    int64_t id;        /* of the department, person, key or template */
    int64_t version;   /* of the template */
    const char *model; /* "" unless by model */
};
struct usage_total {
    struct usage_place at;
    const char *name; /* of the department, person (login), key or template; "" when it is gone */
    int64_t requests, failed;
    int64_t prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
    int64_t queue_us, ttft_us, duration_us; /* sums over the requests */
};
struct usage_query {
    struct usage_filter filter;
    enum usage_by by;
    enum usage_split split;
    struct usage_place after; /* {0} (model NULL) = from the begin */
    unsigned limit;           /* 1..USAGE_PAGE_ROWS */
};
enum { USAGE_PAGE_ROWS = 1000, USAGE_SPLITS = 1500 };
/* Strings are borrowed during the call. False ends the walk with that error. */
typedef bool usage_total_fn(void *ctx, const struct usage_total *t, struct err *e);
/* *more = there are totals behind this page. ERR_ARG: an impossible range; ERR_LIMIT: more than
 * USAGE_SPLITS periods. */
bool usage_totals(struct store_db *db, const struct usage_query *q, usage_total_fn *fn, void *ctx,
                  bool *more, struct err *e) WARN_UNUSED;

/* ---- rows -------------------------------------------------------------------------------------- */

struct usage_row {
    int64_t id;
    const char *request_id, *status;
    int64_t started_us, finished_us; /* finished 0 = not yet, or never */
    int64_t person_id, key_id, department_id;
    const char *endpoint, *model, *class;
    int64_t template_id, template_version;
    const char *template_label;    /* NULL = none */
    const uint8_t *variables_hash; /* 32 bytes, NULL = none */
    struct ledger_counts counts;
    int64_t queue_us, ttft_us; /* -1 = none */
    int http_status;           /* 0 = none */
    const char *finish_reason; /* NULL = none */
};
struct usage_rows {
    struct usage_filter filter;
    const char *status;                 /* NULL = all */
    int64_t before_us, before_id;       /* cursor: 0 = from the newest */
    unsigned limit;                     /* 1..USAGE_PAGE_ROWS */
};
typedef bool usage_row_fn(void *ctx, const struct usage_row *r, struct err *e);
/* At most USAGE_SCAN_ROWS rows are looked at, so a page may be short, even empty, with more behind it:
 * *next_us, *next_id are the cursor, both 0 at the end. */
enum { USAGE_SCAN_ROWS = 20000 };
bool usage_list(struct store_db *db, const struct usage_rows *q, usage_row_fn *fn, void *ctx,
                int64_t *next_us, int64_t *next_id, struct err *e) WARN_UNUSED;

/* Whom and what a row is about, by today's names; NULL where there is none or it is gone. */
struct usage_names {
    const char *login, *key, *template; /* borrowed until usage_names_done */
    const char *department;             /* "Works/Line 3"; the same */
    struct store_stmt *st;
};
/* May be called from a usage_row_fn. Cost: four look-ups by number. */
bool usage_names_read(struct store_db *db, const struct usage_row *r, struct usage_names *out,
                      struct err *e) WARN_UNUSED;
void usage_names_done(struct usage_names *n);

/* ---- CSV --------------------------------------------------------------------------------------- */

/* UTF-8 with a byte order mark, CRLF, a head line; a cell that a spreadsheet would take for a formula
 * gets an apostrophe in front. Page by page, each in a snapshot of its own. On the caller's thread,
 * not in a store callback. */
struct usage_csv;
/* The query is copied; `after`, `before_us`, `before_id` and `limit` are ignored. Never fails. */
struct usage_csv *usage_csv_totals(struct store *s, const struct usage_query *q);
struct usage_csv *usage_csv_rows(struct store *s, const struct usage_rows *q);
void usage_csv_destroy(struct usage_csv **c);
/* The next page, appended to `out`; may add nothing. *more = call again. */
struct buf;
bool usage_csv_next(struct usage_csv *c, struct buf *out, bool *more, struct err *e) WARN_UNUSED;
/* The whole, through a callback; `write` false: the receiver left, ERR_CANCELLED. */
typedef bool usage_write_fn(void *ctx, const void *bytes, size_t len);
bool usage_csv_write(struct usage_csv *c, usage_write_fn *write, void *ctx, struct err *e) WARN_UNUSED;

#endif
