/* Owns what becomes of old rows and kept texts: opening, forgetting, purging, each with its audit row.
 * Refuses to know how rows are written (ledger.c). */
#include <config.h>

#include "usage/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/vault.h"
#include "base/mem.h"
#include "usage/period.h"
#include "usage/row.h"

enum { STEP_ROWS = 1000, MINUTE_DAYS_MIN = 62, DAY_S = 86400 };

/* ---- opening a kept text ----------------------------------------------------------------------- */

struct opening {
    const struct audit_actor *actor;
    const char *request_id, *reason;
    uint8_t nonce[VAULT_NONCE_BYTES];
    uint8_t *sealed; /* owned */
    size_t bytes;
};

static bool take_sealed(struct store_db *db, struct opening *o, struct err *e)
{
    struct store_stmt *st;
    bool row;
    size_t nonce_bytes = 0, bytes = 0;
    if (!store_query(db,
                     "SELECT t.nonce, t.sealed FROM usage AS u JOIN usage_text AS t"
                     " ON t.usage_id = u.id WHERE u.request_id = ?1",
                     &st, e))
        return false;
    store_bind_text(st, 0, o->request_id);
    if (!store_step(st, &row, e))
        return false;
    const void *nonce = row ? store_blob(st, 0, &nonce_bytes) : NULL;
    const void *sealed = row ? store_blob(st, 1, &bytes) : NULL;
    if (nonce_bytes == sizeof o->nonce && bytes >= VAULT_TAG_BYTES &&
        (o->sealed = mem_try_calloc(bytes, 1)) != NULL) {
        memcpy(o->nonce, nonce, sizeof o->nonce);
        memcpy(o->sealed, sealed, bytes);
        o->bytes = bytes;
    }
    store_done(st);
    if (!row)
        FAIL(e, ERR_NOT_FOUND, "no text of this request is kept");
    if (!o->sealed)
        FAIL(e, ERR_DAMAGED, "the kept text of this request is damaged");
    return true;
}

static bool open_sealed(struct store_db *db, void *ctx, struct err *e)
{
    struct opening *o = ctx;
    struct audit_entry entry = {.action = "text.read",
                                .object_kind = "usage",
                                .object_id = o->request_id,
                                .reason = o->reason};
    return take_sealed(db, o, e) && audit_append(db, o->actor, &entry, e);
}

bool ledger_text(struct ledger *l, const struct audit_actor *actor, const char *request_id,
                 const char *reason, char **text, size_t *bytes, struct err *e)
{
    struct opening o = {.actor = actor, .request_id = request_id, .reason = reason};
    *text = NULL;
    *bytes = 0;
    if (!reason[0])
        FAIL(e, ERR_ARG, "reading what somebody wrote needs a reason (X-Reason, seekctl --reason)");
    if (!ledger_key(l))
        FAIL(e, ERR_UNSUPPORTED, "this server has no key for kept texts");
    bool ok = store_write(ledger_store(l), open_sealed, &o, e);
    char *plain = ok ? mem_try_calloc(o.bytes, 1) : NULL; /* the tag's bytes leave room for a NUL */
    if (ok && !plain)
        ok = err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "no memory for a kept text");
    ok = ok && vault_open(ledger_key(l), request_id, o.nonce, o.sealed, o.bytes, plain, e);
    free(o.sealed);
    if (!ok) {
        free(plain);
        return false;
    }
    *text = plain;
    *bytes = o.bytes - VAULT_TAG_BYTES;
    return true;
}

/* ---- whether the key is theirs ----------------------------------------------------------------- */

struct trial {
    const uint8_t *key;
    bool fits;
};

static bool opens(struct store_stmt *st, const uint8_t *key)
{
    size_t nonce_bytes, bytes;
    const void *nonce = store_blob(st, 1, &nonce_bytes), *sealed = store_blob(st, 2, &bytes);
    char *plain = bytes ? mem_try_calloc(bytes, 1) : NULL;
    bool ok = plain && nonce_bytes == VAULT_NONCE_BYTES &&
              vault_open(key, store_text(st, 0), nonce, sealed, bytes, plain, NULL);
    if (plain)
        vault_wipe(plain, bytes);
    free(plain);
    return ok;
}

static bool try_ends(struct store_db *db, void *ctx, struct err *e)
{
    struct trial *t = ctx;
    struct store_stmt *st;
    bool row = true;
    if (!store_query(db,
                     "SELECT u.request_id, t.nonce, t.sealed FROM usage_text AS t JOIN usage AS u"
                     " ON u.id = t.usage_id WHERE t.usage_id IN (SELECT min(usage_id) FROM"
                     " usage_text UNION SELECT max(usage_id) FROM usage_text)",
                     &st, e))
        return false;
    while (row) {
        if (!store_step(st, &row, e))
            return false;
        if (row)
            t->fits = t->fits && opens(st, t->key);
    }
    store_done(st);
    return true;
}

bool ledger_key_fits(struct ledger *l, bool *fits, struct err *e)
{
    struct trial t = {.key = ledger_key(l), .fits = true};
    *fits = true;
    if (!t.key)
        return true;
    if (!store_read(ledger_store(l), try_ends, &t, e))
        return false;
    *fits = t.fits;
    return true;
}

/* ---- forgetting -------------------------------------------------------------------------------- */

struct forgetting {
    const struct audit_actor *actor;
    const char *reason;
    int64_t person_id, deleted;
};

static bool forget(struct store_db *db, void *ctx, struct err *e)
{
    struct forgetting *f = ctx;
    struct store_stmt *st;
    char id[24], after[48];
    if (!store_query(db,
                     "DELETE FROM usage_text WHERE usage_id IN"
                     " (SELECT id FROM usage WHERE person_id = ?1)",
                     &st, e))
        return false;
    store_bind_int(st, 0, f->person_id);
    if (!store_run(db, st, &f->deleted, e))
        return false;
    snprintf(id, sizeof id, "%" PRId64, f->person_id);
    snprintf(after, sizeof after, "{\"deleted\":%" PRId64 "}", f->deleted);
    struct audit_entry entry = {.action = "text.forget",
                                .object_kind = "person",
                                .object_id = id,
                                .after = after,
                                .reason = f->reason};
    return audit_append(db, f->actor, &entry, e);
}

bool ledger_forget(struct ledger *l, const struct audit_actor *actor, int64_t person_id,
                   const char *reason, uint64_t *deleted, struct err *e)
{
    struct forgetting f = {.actor = actor, .reason = reason, .person_id = person_id};
    if (!reason[0])
        FAIL(e, ERR_ARG, "deleting what somebody wrote needs a reason (X-Reason, seekctl --reason)");
    if (!store_write(ledger_store(l), forget, &f, e))
        return false;
    if (deleted)
        *deleted = (uint64_t)f.deleted;
    return !f.deleted || store_truncate_wal(ledger_store(l), e);
}

/* ---- purging ----------------------------------------------------------------------------------- */

enum purge_kind { PURGE_TEXTS, PURGE_ROWS, PURGE_MINUTES, PURGE_HOURS, PURGE_DAYS };

struct step {
    enum purge_kind kind;
    int64_t before; /* seconds */
    int64_t deleted;
};

static bool purge_step(struct store_db *db, void *ctx, struct err *e)
{
    struct step *s = ctx;
    struct store_stmt *st;
    bool ok;
    if (s->kind == PURGE_TEXTS)
        ok = store_query(db,
                         "DELETE FROM usage_text WHERE usage_id IN"
                         " (SELECT usage_id FROM usage_text WHERE delete_at <= ?1 LIMIT ?2)",
                         &st, e);
    else if (s->kind == PURGE_ROWS)
        ok = store_query(db,
                         "DELETE FROM usage WHERE id IN (SELECT id FROM usage WHERE"
                         " started_us < ?1 * 1000000 AND status <> 'started' LIMIT ?2)",
                         &st, e);
    else
        ok = store_query(db,
                         "DELETE FROM usage_total WHERE grain = ?3 AND starts_at IN"
                         " (SELECT starts_at FROM usage_total WHERE grain = ?3 AND starts_at < ?1"
                         " ORDER BY starts_at LIMIT ?2)",
                         &st, e);
    if (!ok)
        return false;
    store_bind_int(st, 0, s->before);
    store_bind_int(st, 1, STEP_ROWS);
    if (s->kind >= PURGE_MINUTES)
        store_bind_text(st, 2, period_name((enum period)(s->kind - PURGE_MINUTES)));
    return store_run(db, st, &s->deleted, e);
}

/* Step by step until nothing is due; days 0 = keep. */
static bool purge(struct ledger *l, enum purge_kind kind, unsigned days, int64_t now_s,
                  uint64_t *count, struct err *e)
{
    struct step s = {.kind = kind, .before = now_s - (int64_t)days * DAY_S};
    if (!days && kind != PURGE_TEXTS)
        return true;
    do {
        if (!store_write(ledger_store(l), purge_step, &s, e))
            return false;
        *count += (uint64_t)s.deleted;
    } while (s.deleted);
    return true;
}

struct report {
    const struct audit_actor *actor;
    const struct ledger_purged *purged;
};

static bool record(struct store_db *db, void *ctx, struct err *e)
{
    const struct report *r = ctx;
    char after[120];
    snprintf(after, sizeof after, "{\"texts\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"totals\":%" PRIu64 "}",
             r->purged->texts, r->purged->rows, r->purged->totals);
    struct audit_entry entry = {.action = "usage.purge",
                                .object_kind = "usage",
                                .object_id = "",
                                .after = after,
                                .reason = "retention policy"};
    return audit_append(db, r->actor, &entry, e);
}

bool ledger_purge(struct ledger *l, const struct ledger_policy *p, const struct audit_actor *actor,
                  int64_t now_s, struct ledger_purged *out, struct err *e)
{
    *out = (struct ledger_purged){0};
    if (p->minute_days && p->minute_days < MINUTE_DAYS_MIN)
        FAIL(e, ERR_ARG, "totals of minutes are kept for at least %d days", MINUTE_DAYS_MIN);
    bool ok = purge(l, PURGE_TEXTS, 0, now_s, &out->texts, e) &&
              purge(l, PURGE_ROWS, p->row_days, now_s, &out->rows, e) &&
              purge(l, PURGE_MINUTES, p->minute_days, now_s, &out->totals, e) &&
              purge(l, PURGE_HOURS, p->hour_days, now_s, &out->totals, e) &&
              purge(l, PURGE_DAYS, p->day_days, now_s, &out->totals, e);
    if (!out->texts && !out->rows && !out->totals)
        return ok;
    struct report r = {.actor = actor, .purged = out};
    struct err *second = ok ? e : NULL; /* the first failure is the one to report */
    bool told = store_write(ledger_store(l), record, &r, second) &&
                store_truncate_wal(ledger_store(l), second);
    return ok && told;
}
