/* The usage ledger: one row per request, and the totals by minute, hour and day.
 *
 * States of a row: `started` (queued at admission, nobody waits), then exactly one of `finished`,
 * `failed` (committed before `done` is called: the last event of a stream is released there) or
 * `interrupted` (found open when the process starts). A row and its share of the totals are one
 * transaction, and a request_id is counted once however often it is told. The period of a request is
 * that of its start. Never prompt text, unless the department's policy keeps it: then sealed, in a
 * table of its own, with a date of deletion.
 *
 * Requests that end at about the same time are written by one job of the store; it fails or succeeds
 * as a whole.
 * Owner: the process. Thread: any; callbacks come on the store's writer thread.
 */
#ifndef SEEKD_USAGE_LEDGER_H
#define SEEKD_USAGE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit.h"
#include "base/err.h"
#include "store/store.h"

struct ledger;
struct ledger_request; /* one admitted request */

/* Closes what an earlier process left open (*interrupted rows). `seal_key`: 32 bytes that seal kept
 * texts, copied; NULL = none are kept. The store outlives the ledger. */
bool ledger_open(struct store *s, const uint8_t *seal_key, struct ledger **out,
                 uint64_t *interrupted, struct err *e) WARN_UNUSED;
/* Waits until what was queued is written. Every request must have ended. Before store_close. */
void ledger_close(struct ledger **l);

enum ledger_class { LEDGER_INTERACTIVE, LEDGER_API, LEDGER_BATCH, LEDGER_CLASS_COUNT };
const char *ledger_class_name(enum ledger_class c);

/* What is known at admission. Strings are copied; numbers 0 = none. */
struct ledger_start {
    const char *request_id;
    int64_t started_us; /* wall clock */
    int64_t person_id, key_id, department_id;
    const char *endpoint, *model;
    enum ledger_class class;
    int64_t template_id, template_version;
    const char *template_label;    /* NULL = none */
    const uint8_t *variables_hash; /* 32 bytes, NULL = none */
    uint64_t prompt_tokens;        /* as counted at admission */
};
/* Queues the row. *out is owned by the caller until ledger_finish. ERR_BUSY: the store's queue is
 * full, the request must not be admitted. Cost: one allocation, one lock. */
bool ledger_begin(struct ledger *l, const struct ledger_start *start, struct ledger_request **out,
                  struct err *e) WARN_UNUSED;
/* The same, but returns when the row is committed: for times when the database has refused a write, and
 * nothing should be begun that may not be counted. Errors: those of the commit. */
bool ledger_begin_now(struct ledger *l, const struct ledger_start *start,
                      struct ledger_request **out, struct err *e) WARN_UNUSED;

struct ledger_counts {
    uint64_t prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
};
/* Updates the open row, so that a crash loses no more than what came after. Nobody waits; of several in
 * a row the last is written, and one that is lost does no harm. Calls for one request may overlap, but
 * none may come with or after its ledger_finish. For long generations, every few seconds. */
void ledger_progress(struct ledger_request *r, const struct ledger_counts *c);

struct ledger_end {
    bool failed;
    int64_t finished_us; /* wall clock */
    struct ledger_counts counts;
    int64_t queue_us, ttft_us; /* -1 = never got there */
    int http_status;
    const char *finish_reason; /* NULL = none */
    const void *text;          /* copied; kept only when the department's policy says so */
    size_t text_bytes;
};
/* After the COMMIT (ok) or its failure. Writer thread: short, must not wait. */
typedef void ledger_done_fn(void *ctx, bool ok, const struct err *e);
/* Queues the end of the request and takes *r (set to NULL), whatever is returned. False: nothing was
 * queued and `done` is not called; the row will be found as interrupted. `done` may be NULL. */
bool ledger_finish(struct ledger_request **r, const struct ledger_end *end, ledger_done_fn *done,
                   void *ctx, struct err *e) WARN_UNUSED;

struct ledger_stats {
    uint64_t begun, ended;           /* committed */
    uint64_t lost_starts, lost_ends; /* not written, because the database failed */
    unsigned queued;
};
void ledger_stats(struct ledger *l, struct ledger_stats *out);

/* ---- kept texts -------------------------------------------------------------------------------- */

/* Reads the departments' policies again: at start (ledger_open does) and after every change of one. */
bool ledger_load_policies(struct ledger *l, struct err *e) WARN_UNUSED;
/* Whether it is worth while to hand over a text: what the department's policy was at the last reading.
 * The policy at the end of the request decides whether it is kept. Cost: one lock. */
bool ledger_keeps(struct ledger *l, int64_t department_id);

/* Opens the kept text of a request for somebody who gave a reason; an audit row says so.
 * *text is owned by the caller (free; wipe it first). ERR_NOT_FOUND when none is kept. */
bool ledger_text(struct ledger *l, const struct audit_actor *actor, const char *request_id,
                 const char *reason, char **text, size_t *bytes, struct err *e) WARN_UNUSED;
/* Whether the key opens the oldest and the newest kept text: false when the texts were sealed with
 * another one. True where nothing is kept. Cost: rare, reads and opens two texts. */
bool ledger_key_fits(struct ledger *l, bool *fits, struct err *e) WARN_UNUSED;
/* Deletes all kept texts of a person (not the rows); audited, so it needs a reason, else ERR_ARG.
 * *deleted may be NULL. */
bool ledger_forget(struct ledger *l, const struct audit_actor *actor, int64_t person_id,
                   const char *reason, uint64_t *deleted, struct err *e) WARN_UNUSED;

/* ---- retention --------------------------------------------------------------------------------- */

/* Days that rows and totals are kept; 0 = for ever. Totals of minutes below 62 days would forget what
 * the limits of a month are rebuilt from: ERR_ARG. */
struct ledger_policy {
    unsigned row_days, minute_days, hour_days, day_days;
};
#define LEDGER_POLICY_DEFAULT                                                                      \
    ((struct ledger_policy){.row_days = 400, .minute_days = 62, .hour_days = 400, .day_days = 0})
struct ledger_purged {
    uint64_t texts, rows, totals;
};
/* Deletes what is due at `now_s`, in steps of 1,000 rows so that others get their turn, empties the
 * WAL when something went, and appends one audit row that counts it. Open rows stay. Once a day. */
bool ledger_purge(struct ledger *l, const struct ledger_policy *p, const struct audit_actor *actor,
                  int64_t now_s, struct ledger_purged *out, struct err *e) WARN_UNUSED;

#endif
