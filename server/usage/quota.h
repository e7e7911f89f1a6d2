/* Rows of the tables quota and calendar: what is limited, for whom, in which hours.
 *
 * Every change appends its audit row in the same transaction; updates name the revision they saw and
 * fail with ERR_STALE when it is another one by now. After a change the caller calls limits_load.
 * Not in store callbacks. Thread: any.
 */
#ifndef SEEKD_USAGE_QUOTA_H
#define SEEKD_USAGE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/audit.h"
#include "base/err.h"
#include "store/store.h"

enum quota_subject { QUOTA_KEY, QUOTA_PERSON, QUOTA_DEPARTMENT, QUOTA_SUBJECT_COUNT };
/* "key", "person", "department". */
const char *quota_subject_name(enum quota_subject s);

/* What one row limits; QUOTA_NONE = no limit. */
enum quota_limit {
    QUOTA_REQUESTS_PER_MINUTE,
    QUOTA_TOKENS_PER_MINUTE,
    QUOTA_PARALLEL,
    QUOTA_TOKENS_PER_DAY,
    QUOTA_TOKENS_PER_MONTH,
    QUOTA_LIMIT_COUNT
};
/* "requests_per_minute" and so on: names of columns and of API fields. */
const char *quota_limit_name(enum quota_limit l);

enum { QUOTA_NONE = -1 };

#define QUOTA_MOST INT64_C(9007199254740991) /* of a limit: what JSON's numbers hold exactly */

struct quota {
    enum quota_subject kind;
    int64_t subject_id;
    int64_t limit[QUOTA_LIMIT_COUNT];
    bool soft;           /* above it requests are slowed down, not refused */
    int64_t calendar_id; /* 0 = at all hours */
    int64_t revision;    /* 0 = there is no row yet */
};

/* ERR_NOT_FOUND without a row. */
bool quota_get(struct store *s, enum quota_subject kind, int64_t subject_id, struct quota *out,
               struct err *e) WARN_UNUSED;
/* Creates the row (q->revision 0) or changes it; q->revision becomes the new one. ERR_NOT_FOUND: no
 * such key, person, department or calendar; ERR_ARG: a limit below 0 or above QUOTA_MOST. */
bool quota_put(struct store *s, const struct audit_actor *actor, struct quota *q, const char *reason,
               struct err *e) WARN_UNUSED;
bool quota_delete(struct store *s, const struct audit_actor *actor, enum quota_subject kind,
                  int64_t subject_id, int64_t revision, const char *reason,
                  struct err *e) WARN_UNUSED;
/* All rows, by kind and id. False from `fn` ends it with that error. Inside a store callback. */
typedef bool quota_fn(void *ctx, const struct quota *q, struct err *e);
bool quota_each(struct store_db *db, quota_fn *fn, void *ctx, struct err *e) WARN_UNUSED;

/* ---- calendars --------------------------------------------------------------------------------- */

struct quota_calendar {
    int64_t id; /* 0 = new */
    int64_t revision;
    const char *name;  /* unique, 1 to 200 bytes */
    const char *hours; /* JSON as calendar.h has it */
};
/* Creates (id 0, which is set) or changes it. ERR_CONFLICT: the name is taken; ERR_STALE: the revision
 * is old. */
bool quota_calendar_put(struct store *s, const struct audit_actor *actor, struct quota_calendar *c,
                        const char *reason, struct err *e) WARN_UNUSED;
/* ERR_CONFLICT while a limit uses it. */
bool quota_calendar_delete(struct store *s, const struct audit_actor *actor, int64_t id,
                           int64_t revision, const char *reason, struct err *e) WARN_UNUSED;
/* By id. Strings are borrowed during the callback. Inside a store callback. */
typedef bool quota_calendar_fn(void *ctx, const struct quota_calendar *c, struct err *e);
bool quota_calendar_each(struct store_db *db, quota_calendar_fn *fn, void *ctx,
                         struct err *e) WARN_UNUSED;

#endif
