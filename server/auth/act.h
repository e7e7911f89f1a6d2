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

/* Fails with ERR_STALE when they differ. */
bool act_same_revision(int64_t expected, int64_t found, struct err *e) WARN_UNUSED;

/* Text that people typed: 1..max_bytes (or empty when `may_be_empty`) of UTF-8 without control
 * characters and without blanks at its ends. ERR_ARG; `what` names the field. */
bool act_text_valid(const char *text, size_t max_bytes, bool may_be_empty, const char *what,
                    struct err *e) WARN_UNUSED;

#endif
