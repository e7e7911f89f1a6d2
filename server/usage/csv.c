/* Owns the form of the CSV files. Refuses to know how pages are read (query.c). */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "usage/query.h"

enum { PAGE_BYTES = 16 << 20 };

struct usage_csv {
    struct store *store;
    bool by_row, begun, ended;
    struct usage_query totals;
    struct usage_rows rows;
    char *model, *status, *after_model; /* owned copies */
    struct usage_place last;            /* of the page that is running; `model` owned */
    struct store_db *db;                /* of the page that is running */
    struct buf *out;                    /* of the call that is running */
    bool more;
};

/* ---- cells ------------------------------------------------------------------------------------- */

/* Spreadsheets run a cell that begins like this as a formula; those of East Asia take the wide forms
 * of the signs (U+FF1D, FF0B, FF0D, FF20) for the narrow ones. */
static bool like_formula(const char *s)
{
    static const char *const wide[] = {"\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D",
                                       "\xEF\xBC\xA0"};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (!strncmp(s, wide[i], 3))
            return true;
    return s[0] && strchr("=+-@\t\r\n", s[0]);
}

static void put_text(struct buf *b, const char *s)
{
    if (!s)
        s = "";
    if (!like_formula(s) && !strpbrk(s, ",;\"\r\n")) {
        buf_puts(b, s);
    } else {
        buf_puts(b, like_formula(s) ? "\"'" : "\"");
        for (; *s; s++) {
            if (*s == '"')
                buf_putc(b, '"');
            buf_putc(b, *s);
        }
        buf_putc(b, '"');
    }
}

static void put_cell(struct buf *b, const char *s)
{
    buf_putc(b, ',');
    put_text(b, s);
}

static void put_number(struct buf *b, int64_t v)
{
    buf_printf(b, ",%" PRId64, v);
}

/* Empty for none. */
static void put_optional(struct buf *b, int64_t v, bool there)
{
    if (there)
        put_number(b, v);
    else
        buf_putc(b, ',');
}

/* Local time, as spreadsheets read it. */
static void put_time(struct buf *b, int64_t t)
{
    struct tm tm;
    time_t at = (time_t)t;
    char text[40] = "";
    if (t && localtime_r(&at, &tm))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    buf_puts(b, text);
}

static bool end_line(struct buf *b, struct err *e)
{
    buf_puts(b, "\r\n");
    if (b->failed)
        FAIL(e, ERR_NOMEM, "no memory for a page of the file");
    return true;
}

/* ---- lines ------------------------------------------------------------------------------------- */

static const char BOM[] = "\xEF\xBB\xBF";
static const char TOTAL_HEAD[] =
    "time,id,version,name,model,requests,failed,prompt_tokens,cached_tokens,completion_tokens,"
    "reasoning_tokens,queue_ms,ttft_ms,duration_ms\r\n";
static const char ROW_HEAD[] =
    "started,finished,request_id,status,person_id,person,key_id,key,department_id,department,"
    "endpoint,model,class,template_id,template,template_version,template_label,variables_hash,"
    "prompt_tokens,cached_tokens,completion_tokens,reasoning_tokens,queue_ms,ttft_ms,duration_ms,"
    "http_status,finish_reason\r\n";

static bool total_line(void *ctx, const struct usage_total *t, struct err *e)
{
    struct usage_csv *c = ctx;
    struct buf *b = c->out;
    put_time(b, t->at.starts_at);
    put_optional(b, t->at.id, t->at.id != 0);
    put_optional(b, t->at.version, t->at.version != 0);
    put_cell(b, t->name);
    put_cell(b, t->at.model);
    put_number(b, t->requests);
    put_number(b, t->failed);
    put_number(b, t->prompt_tokens);
    put_number(b, t->cached_tokens);
    put_number(b, t->completion_tokens);
    put_number(b, t->reasoning_tokens);
    put_number(b, t->queue_us / 1000);
    put_number(b, t->ttft_us / 1000);
    put_number(b, t->duration_us / 1000);
    free((void *)(uintptr_t)c->last.model);
    c->last = t->at;
    c->last.model = mem_strdup(t->at.model);
    return end_line(b, e);
}

/* A number and what it stands for; both empty for none. */
static void put_named(struct buf *b, int64_t id, const char *name)
{
    put_optional(b, id, id != 0);
    put_cell(b, name);
}

/* What was asked of the server: when, by whom, for what. */
static void put_ask(struct buf *b, const struct usage_row *r, const struct usage_names *n)
{
    char hash[HASH_SHA256_HEX] = "";
    if (r->variables_hash)
        hash_hex(r->variables_hash, hash);
    put_time(b, r->started_us / 1000000);
    buf_putc(b, ',');
    put_time(b, r->finished_us / 1000000);
    put_cell(b, r->request_id);
    put_cell(b, r->status);
    put_named(b, r->person_id, n->login);
    put_named(b, r->key_id, n->key);
    put_named(b, r->department_id, n->department);
    put_cell(b, r->endpoint);
    put_cell(b, r->model);
    put_cell(b, r->class);
    put_named(b, r->template_id, n->template);
    put_optional(b, r->template_version, r->template_version != 0);
    put_cell(b, r->template_label);
    put_cell(b, hash);
}

/* What it cost, and how it ended. */
static void put_outcome(struct buf *b, const struct usage_row *r)
{
    put_number(b, (int64_t)r->counts.prompt_tokens);
    put_number(b, (int64_t)r->counts.cached_tokens);
    put_number(b, (int64_t)r->counts.completion_tokens);
    put_number(b, (int64_t)r->counts.reasoning_tokens);
    put_optional(b, r->queue_us / 1000, r->queue_us >= 0);
    put_optional(b, r->ttft_us / 1000, r->ttft_us >= 0);
    put_optional(b, (r->finished_us - r->started_us) / 1000, r->finished_us != 0);
    put_optional(b, r->http_status, r->http_status != 0);
    put_cell(b, r->finish_reason);
}

static bool row_line(void *ctx, const struct usage_row *r, struct err *e)
{
    struct usage_csv *c = ctx;
    struct usage_names names;
    if (!usage_names_read(c->db, r, &names, e))
        return false;
    put_ask(c->out, r, &names);
    put_outcome(c->out, r);
    usage_names_done(&names);
    return end_line(c->out, e);
}

/* ---- pages ------------------------------------------------------------------------------------- */

/* The query has let go of the old cursor. */
static void go_on(struct usage_csv *c)
{
    if (!c->last.model)
        return;
    free(c->after_model);
    c->after_model = (char *)(uintptr_t)c->last.model;
    c->totals.after = c->last;
    c->last.model = NULL;
}

static bool read_page(struct store_db *db, void *ctx, struct err *e)
{
    struct usage_csv *c = ctx;
    if (!c->by_row) {
        bool ok = usage_totals(db, &c->totals, total_line, c, &c->more, e);
        go_on(c);
        return ok;
    }
    int64_t us, id;
    c->db = db;
    if (!usage_list(db, &c->rows, row_line, c, &us, &id, e))
        return false;
    c->rows.before_us = us;
    c->rows.before_id = id;
    c->more = us != 0;
    return true;
}

bool usage_csv_next(struct usage_csv *c, struct buf *out, bool *more, struct err *e)
{
    *more = false;
    if (c->ended)
        return true;
    if (!c->begun) {
        buf_puts(out, BOM);
        buf_puts(out, c->by_row ? ROW_HEAD : TOTAL_HEAD);
        c->begun = true;
    }
    c->out = out;
    bool ok = store_read(c->store, read_page, c, e);
    c->out = NULL;
    c->ended = !ok || !c->more;
    *more = ok && c->more;
    return ok;
}

bool usage_csv_write(struct usage_csv *c, usage_write_fn *write, void *ctx, struct err *e)
{
    struct buf page;
    bool ok, more;
    buf_init(&page, PAGE_BYTES);
    do {
        buf_clear(&page);
        ok = usage_csv_next(c, &page, &more, e);
        if (ok && page.len && !write(ctx, page.data, page.len))
            ok = err_set(e, ERR_CANCELLED, 0, __FILE__, __LINE__, "the receiver left");
    } while (ok && more);
    buf_release(&page);
    return ok;
}

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

struct usage_csv *usage_csv_totals(struct store *s, const struct usage_query *q)
{
    struct usage_csv *c = mem_zalloc(sizeof *c);
    c->store = s;
    c->totals = *q;
    c->totals.filter.model = c->model = copy(q->filter.model);
    c->totals.after = (struct usage_place){0};
    c->totals.limit = USAGE_PAGE_ROWS;
    return c;
}

struct usage_csv *usage_csv_rows(struct store *s, const struct usage_rows *q)
{
    struct usage_csv *c = mem_zalloc(sizeof *c);
    c->store = s;
    c->by_row = true;
    c->rows = *q;
    c->rows.filter.model = c->model = copy(q->filter.model);
    c->rows.status = c->status = copy(q->status);
    c->rows.before_us = c->rows.before_id = 0;
    c->rows.limit = USAGE_PAGE_ROWS;
    return c;
}

void usage_csv_destroy(struct usage_csv **csv)
{
    struct usage_csv *c = *csv;
    if (!c)
        return;
    free(c->model);
    free(c->status);
    free(c->after_model);
    free((void *)(uintptr_t)c->last.model);
    free(c);
    *csv = NULL;
}
