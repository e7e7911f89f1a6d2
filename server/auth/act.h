/* Acts: a change in one transaction with its audit row, followed by what memory must hear of it.
 * Internal to auth/.
 */
#ifndef SEEKD_AUTH_ACT_H
#define SEEKD_AUTH_ACT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "audit/audit.h"
#include "base/err.h"
#include "store/store.h"

/* Runs `fn` on the writer thread; after the COMMIT `apply` (may be NULL) runs there too, in the
 * order of the commits, short and without failing. Returns when both are done. */
typedef void act_apply_fn(void *ctx);
bool act_commit(struct store *s, store_fn *fn, act_apply_fn *apply, void *ctx,
                struct err *e) WARN_UNUSED;

/* Appends the audit row of an act on object `id`; owns `before` and `after` (NULL = nothing). */
bool act_record_take(struct store_db *db, const struct audit_actor *actor, const char *action,
                     const char *kind, int64_t id, json_t *before, json_t *after,
                     const char *reason, struct err *e) WARN_UNUSED;

/* seekd itself. */
extern const struct audit_actor ACT_SEEKD;

/* One page of rows in order of their ids: `row` reads the row that the statement stands on and says its
 * id, for at most `limit` rows; *next = the last one's where more follow, else 0. Is done with the
 * statement, which should give one row more than `limit`. Inside a callback. */
typedef bool act_row_fn(void *ctx, struct store_stmt *st, int64_t *id, struct err *e);
bool act_page(struct store_stmt *st, unsigned limit, act_row_fn *row, void *ctx, int64_t *next,
              struct err *e) WARN_UNUSED;
/* ERR_ARG unless `limit` is 1 to `most`. */
bool act_limit_valid(unsigned limit, unsigned most, struct err *e) WARN_UNUSED;

/* Text that people typed: 1..max_bytes (or empty when `may_be_empty`) of UTF-8 without control
 * characters, line separators and what turns the direction of reading, and without blanks at its ends.
 * ERR_ARG; `what` names the field. */
bool act_text_valid(const char *text, size_t max_bytes, bool may_be_empty, const char *what,
                    struct err *e) WARN_UNUSED;

#endif
