/* Owns the form in which a row of the log is hashed, appending and checking the chain, and listing it.
 * Refuses to know what the acts mean.
 *
 * Hashed bytes of a row: `previous`, then seq, at_us and actor_id as 8 bytes each (little endian,
 * actor_id -1 when there is none), then the nine texts in the order of struct audit_row, each as an
 * 8-byte length and its bytes, the length of NULL being all ones. No two different rows share a form.
 */
#include <config.h>

#include "audit/audit.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/utf8.h"

enum { HASH = HASH_SHA256_BYTES, MAX_ROW_BYTES = 16 << 20, PAGE_BYTES = 64 << 10 };

/* ---- the form that is hashed ------------------------------------------------------------------ */

static void put_number(struct buf *b, uint64_t v)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    buf_append(b, bytes, sizeof bytes);
}

static void put_text(struct buf *b, const char *s)
{
    put_number(b, s ? strlen(s) : UINT64_MAX);
    if (s)
        buf_puts(b, s);
}

static bool row_hash(const struct audit_row *r, uint8_t out[HASH], struct err *e)
{
    const char *const texts[] = {r->actor,     r->address, r->request_id, r->action, r->object_kind,
                                 r->object_id, r->before,  r->after,      r->reason};
    struct buf b;
    buf_init(&b, MAX_ROW_BYTES);
    buf_append(&b, r->previous, HASH);
    put_number(&b, (uint64_t)r->seq);
    put_number(&b, (uint64_t)r->at_us);
    put_number(&b, r->actor_id ? (uint64_t)r->actor_id : UINT64_MAX);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        put_text(&b, texts[i]);
    bool ok;
    if (b.failed)
        ok = err_set(e, ERR_LIMIT, 0, __FILE__, __LINE__, "an audit row is larger than %d MiB",
                     MAX_ROW_BYTES >> 20);
    else
        ok = hash_sha256(b.data, b.len, out, e);
    buf_release(&b);
    return ok;
}

/* ---- reading rows ----------------------------------------------------------------------------- */

#define COLUMNS                                                                                    \
    "seq, at_us, actor_id, actor, address, request_id, action, object_kind, object_id, before,"    \
    " after, reason, previous, hash"

static const uint8_t *read_hash(struct store_stmt *st, int column)
{
    static const uint8_t none[HASH];
    size_t bytes = 0;
    const void *v = store_blob(st, column, &bytes);
    return v && bytes == HASH ? v : none;
}

static void read_row(struct store_stmt *st, struct audit_row *r)
{
    *r = (struct audit_row){
        .seq = store_int(st, 0),
        .at_us = store_int(st, 1),
        .actor_id = store_int(st, 2), /* NULL reads as 0 */
        .actor = store_text(st, 3),
        .address = store_text(st, 4),
        .request_id = store_text(st, 5),
        .action = store_text(st, 6),
        .object_kind = store_text(st, 7),
        .object_id = store_text(st, 8),
        .before = store_text(st, 9),
        .after = store_text(st, 10),
        .reason = store_text(st, 11),
        .previous = read_hash(st, 12),
        .hash = read_hash(st, 13),
    };
}

bool audit_head_read(struct store_db *db, struct audit_head *head, struct err *e)
{
    struct store_stmt *st;
    bool row;
    *head = (struct audit_head){0};
    if (!store_query(db, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", &st, e) ||
        !store_step(st, &row, e))
        return false;
    if (row) {
        head->seq = store_int(st, 0);
        memcpy(head->hash, read_hash(st, 1), HASH);
    }
    store_done(st);
    return true;
}

/* ---- appending -------------------------------------------------------------------------------- */

static bool insert(struct store_db *db, const struct audit_row *r, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "INSERT INTO audit (" COLUMNS ")"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                     &st, e))
        return false;
    store_bind_int(st, 0, r->seq);
    store_bind_int(st, 1, r->at_us);
    if (r->actor_id)
        store_bind_int(st, 2, r->actor_id);
    else
        store_bind_null(st, 2);
    store_bind_text(st, 3, r->actor);
    store_bind_text(st, 4, r->address);
    store_bind_text(st, 5, r->request_id);
    store_bind_text(st, 6, r->action);
    store_bind_text(st, 7, r->object_kind);
    store_bind_text(st, 8, r->object_id);
    store_bind_text(st, 9, r->before);
    store_bind_text(st, 10, r->after);
    store_bind_text(st, 11, r->reason);
    store_bind_blob(st, 12, r->previous, HASH);
    store_bind_blob(st, 13, r->hash, HASH);
    return store_run(db, st, NULL, e);
}

/* A row that cannot be written as JSON would stop every list and export at its place. */
static bool check_texts(const struct audit_row *r, struct err *e)
{
    const char *const texts[] = {r->actor,     r->address,   r->request_id, r->action, r->object_kind,
                                 r->object_id, r->before,    r->after,      r->reason};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i] && !utf8_valid(texts[i], strlen(texts[i])))
            FAIL(e, ERR_ARG, "the audit log takes UTF-8 only: %s of %s is something else",
                 texts[i] == r->reason ? "the reason" : "a text", r->action);
    return true;
}

bool audit_append(struct store_db *db, const struct audit_actor *actor,
                  const struct audit_entry *entry, struct err *e)
{
    struct audit_head head;
    if (!audit_head_read(db, &head, e))
        return false;
    uint8_t hash[HASH];
    bool has_reason = entry->reason && *entry->reason;
    const char *reason = has_reason ? entry->reason : actor->reason;
    struct audit_row r = {
        .seq = head.seq + 1,
        .at_us = clock_wall_us(),
        .actor_id = actor->person_id,
        .actor = actor->name,
        .address = actor->address,
        .request_id = actor->request_id,
        .action = entry->action,
        .object_kind = entry->object_kind,
        .object_id = entry->object_id,
        .before = entry->before,
        .after = entry->after,
        .reason = reason ? reason : "",
        .previous = head.hash,
        .hash = hash,
    };
    return check_texts(&r, e) && row_hash(&r, hash, e) && insert(db, &r, e);
}

/* ---- checking --------------------------------------------------------------------------------- */

/* *fits = the row follows `head`, and its hash is its own. */
static bool follows(const struct audit_row *r, const struct audit_head *head, bool *fits,
                    struct err *e)
{
    uint8_t hash[HASH];
    if (!row_hash(r, hash, e))
        return false;
    *fits = r->seq == head->seq + 1 && memcmp(r->previous, head->hash, HASH) == 0 &&
            memcmp(r->hash, hash, HASH) == 0;
    return true;
}

bool audit_verify(struct store_db *db, const struct audit_head *known, struct audit_head *head,
                  int64_t *bad_seq, struct err *e)
{
    struct store_stmt *st;
    bool row = false;
    *head = (struct audit_head){0};
    *bad_seq = 0;
    if (!store_query(db, "SELECT " COLUMNS " FROM audit ORDER BY seq", &st, e))
        return false;
    for (;;) {
        struct audit_row r;
        bool fits;
        if (!store_step(st, &row, e))
            return false;
        if (!row)
            break;
        read_row(st, &r);
        if (!follows(&r, head, &fits, e)) {
            store_done(st);
            return false;
        }
        if (!fits || (known && known->seq == r.seq && memcmp(known->hash, r.hash, HASH) != 0)) {
            *bad_seq = head->seq + 1;
            break;
        }
        head->seq = r.seq;
        memcpy(head->hash, r.hash, HASH);
    }
    store_done(st);
    if (!*bad_seq && known && known->seq > head->seq)
        *bad_seq = head->seq + 1;
    return true;
}

/* ---- listing and export ----------------------------------------------------------------------- */

static bool same(const char *want, const char *have)
{
    return !want || (have && strcmp(want, have) == 0);
}

static bool wanted(const struct audit_filter *f, const struct audit_row *r)
{
    return r->at_us >= f->from_us && (!f->to_us || r->at_us < f->to_us) &&
           (!f->actor_id || f->actor_id == r->actor_id) && same(f->action, r->action) &&
           same(f->object_kind, r->object_kind) && same(f->object_id, r->object_id);
}

bool audit_list(struct store_db *db, const struct audit_filter *f, audit_row_fn *fn, void *ctx,
                int64_t *last_seq, struct err *e)
{
    struct store_stmt *st;
    unsigned found = 0;
    *last_seq = 0;
    if (!store_query(db, "SELECT " COLUMNS " FROM audit WHERE seq > ?1 ORDER BY seq", &st, e))
        return false;
    store_bind_int(st, 0, f->after_seq);
    for (unsigned seen = 0; found < f->limit && seen < AUDIT_SCAN_ROWS; seen++) {
        struct audit_row r;
        bool row;
        if (!store_step(st, &row, e))
            return false;
        if (!row) {
            *last_seq = 0;
            break;
        }
        read_row(st, &r);
        *last_seq = r.seq;
        if (!wanted(f, &r))
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

bool audit_row_json(const struct audit_row *row, struct buf *out, struct err *e)
{
    char previous[HASH_SHA256_HEX], hash[HASH_SHA256_HEX];
    hash_hex(row->previous, previous);
    hash_hex(row->hash, hash);
    json_t *j = json_pack("{sI sI sI ss ss ss ss ss ss ss? ss? ss ss ss}", "seq",
                          (json_int_t)row->seq, "at_us", (json_int_t)row->at_us, "actor_id",
                          (json_int_t)row->actor_id, "actor", row->actor, "address", row->address,
                          "request_id", row->request_id, "action", row->action, "object_kind",
                          row->object_kind, "object_id", row->object_id, "before", row->before,
                          "after", row->after, "reason", row->reason, "previous", previous, "hash",
                          hash);
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (!text)
        FAIL(e, ERR_DAMAGED, "audit row %" PRId64 " holds text that is not UTF-8", row->seq);
    bool ok = buf_puts(out, text) && buf_putc(out, '\n');
    free(text);
    if (!ok)
        FAIL(e, ERR_NOMEM, "no memory for audit rows");
    return true;
}

struct page {
    const struct audit_filter *filter;
    struct buf text;
    int64_t next;
};

static bool add_line(void *ctx, const struct audit_row *row, struct err *e)
{
    struct page *p = ctx;
    return audit_row_json(row, &p->text, e);
}

/* A few rows at a time until the page is full, so that large rows do not pile up. */
static bool fill_page(struct store_db *db, void *ctx, struct err *e)
{
    struct page *p = ctx;
    struct audit_filter f = *p->filter;
    f.limit = 32;
    do {
        f.after_seq = p->next;
        if (!audit_list(db, &f, add_line, p, &p->next, e))
            return false;
    } while (p->next && p->text.len < PAGE_BYTES);
    return true;
}

bool audit_export(struct store *s, const struct audit_filter *f, audit_write_fn *write, void *ctx,
                  struct err *e)
{
    struct page p = {.filter = f, .next = f->after_seq};
    bool ok;
    buf_init(&p.text, (size_t)MAX_ROW_BYTES * 64);
    do {
        buf_clear(&p.text);
        ok = store_read(s, fill_page, &p, e);
        if (ok && p.text.len && !write(ctx, p.text.data, p.text.len))
            ok = err_set(e, ERR_CANCELLED, 0, __FILE__, __LINE__, "the receiver left");
    } while (ok && p.next);
    buf_release(&p.text);
    return ok;
}

/* ---- the head --------------------------------------------------------------------------------- */

void audit_head_format(const struct audit_head *h, char text[AUDIT_HEAD_TEXT])
{
    char hex[HASH_SHA256_HEX];
    hash_hex(h->hash, hex);
    snprintf(text, AUDIT_HEAD_TEXT, "%" PRId64 ":%s", h->seq, hex);
}

bool audit_head_parse(const char *text, struct audit_head *h, struct err *e)
{
    int64_t seq = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 18 || text[digits] != ':' ||
        strlen(text + digits + 1) != HASH_SHA256_HEX - 1)
        goto bad;
    for (size_t i = 0; i < digits; i++)
        seq = seq * 10 + (text[i] - '0');
    if (!hex_read(text + digits + 1, h->hash, HASH))
        goto bad;
    h->seq = seq;
    return true;
bad:
    FAIL(e, ERR_FORMAT, "an audit head looks like 123: and 64 hexadecimal digits");
}

/* ---- the daily anchor ------------------------------------------------------------------------- */

struct anchor {
    char day[11];
    char text[16 + AUDIT_HEAD_TEXT]; /* value of the setting */
    bool due;
};

static bool look(struct store_db *db, void *ctx, struct err *e)
{
    struct anchor *a = ctx;
    struct audit_head head;
    struct store_stmt *st;
    char hex[AUDIT_HEAD_TEXT];
    bool row;
    if (!store_query(db, "SELECT value FROM setting WHERE key = 'audit.anchor'", &st, e) ||
        !store_step(st, &row, e))
        return false;
    const char *last = row ? store_text(st, 0) : NULL;
    a->due = !last || strncmp(last, a->day, strlen(a->day)) != 0;
    store_done(st);
    if (!a->due)
        return true;
    if (!audit_head_read(db, &head, e))
        return false;
    audit_head_format(&head, hex);
    snprintf(a->text, sizeof a->text, "%s %s", a->day, hex);
    return true;
}

static bool remember(struct store_db *db, void *ctx, struct err *e)
{
    struct anchor *a = ctx;
    struct store_stmt *st;
    if (!store_query(db,
                     "INSERT INTO setting (key, value) VALUES ('audit.anchor', ?1)"
                     " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                     &st, e))
        return false;
    store_bind_text(st, 0, a->text);
    return store_run(db, st, NULL, e);
}

bool audit_anchor(struct store *s, int64_t now_s, audit_say_fn *say, void *ctx, struct err *e)
{
    struct anchor a;
    struct tm tm;
    time_t now = (time_t)now_s;
    if (!localtime_r(&now, &tm) || !strftime(a.day, sizeof a.day, "%Y-%m-%d", &tm))
        FAIL(e, ERR_ARG, "no such time");
    if (!store_read(s, look, &a, e))
        return false;
    if (!a.due)
        return true;
    say(ctx, a.text + strlen(a.day) + 1);
    return store_write(s, remember, &a, e);
}
