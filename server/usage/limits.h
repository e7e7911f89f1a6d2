/* Limits: may this request come in now?
 *
 * A quota row limits one key, one person or one department with everything below it. A request is
 * checked against all rows that hold for it and counted in all of them, or in none. Counters live in
 * memory, behind one mutex; token budgets are rebuilt from the totals of the ledger.
 *
 * Minutes are sliding windows of 60 seconds on the monotonic clock. Days and months are those of the
 * wall clock and the server's time zone; several of them are remembered, so that a clock that jumps
 * and comes back finds its counts again, and one that stays gets fresh ones. A row with a calendar
 * holds, and counts, in its hours only.
 *
 * Tokens are reserved at admission (prompt + the most that may be generated) and settled at the end,
 * in the periods of the admission. A request that by itself is larger than tokens_per_minute comes in
 * when its window is empty, because it never could otherwise; budgets know no such exception.
 *
 * Owner: the process. Thread: any. Cost of admission: common, one lock, no allocation, no database.
 */
#ifndef SEEKD_USAGE_LIMITS_H
#define SEEKD_USAGE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"
#include "usage/quota.h"

struct limits;

/* Where time comes from; for tests. */
struct limits_clock {
    uint64_t (*now_us)(void *ctx);  /* monotonic */
    int64_t (*wall_s)(void *ctx);   /* since the epoch */
    void *ctx;
};
/* `clock` NULL = the system's. No limits until limits_load. */
struct limits *limits_create(const struct limits_clock *clock);
void limits_destroy(struct limits **l);

/* Reads quotas, calendars and the tree of departments; called at start and after every change of one
 * of them. Rows that stay keep their counters; budgets of new rows and of rows with another calendar
 * are added up from usage_total. On failure everything stays as it was. */
bool limits_load(struct limits *l, struct store *s, struct err *e) WARN_UNUSED;

enum { LIMITS_ROWS = 34 }; /* a key, a person and 32 departments above each other */
enum { LIMITS_FULL_WEIGHT = 1000, LIMITS_LEAST_WEIGHT = 60 };

struct limits_ask {
    int64_t key_id, person_id, department_id; /* 0 = none */
    uint64_t tokens;                          /* prompt_tokens + max_tokens */
};

/* Of the row that refuses; of several, the one that lasts longest. */
struct limits_refusal {
    enum quota_subject kind;
    int64_t subject_id;
    enum quota_limit limit;
    int64_t most, used;     /* the limit and what counts against it now, reservations included */
    unsigned retry_after_s; /* at least 1; by then enough has left the window, or the period is over */
    int64_t retry_at;       /* wall clock, seconds: the moment retry_after_s from now */
};

/* What an admitted request holds. A value; valid until limits_settle. */
struct limits_ticket {
    unsigned weight; /* permille of the share in the queue: a quarter for every soft limit crossed */
    unsigned n;
    uint64_t tokens;  /* reserved */
    uint64_t mono_s;
    int32_t day, month;
    uint64_t counted; /* bit per row: its hours were open */
    struct limits_row *row[LIMITS_ROWS];
};

/* True: admitted, `t` is filled and must be settled. False: refused, `why` is filled. */
bool limits_admit(struct limits *l, const struct limits_ask *ask, struct limits_ticket *t,
                  struct limits_refusal *why) WARN_UNUSED;
/* The end of a request that ran: `tokens` is what it really used. */
void limits_settle(struct limits *l, struct limits_ticket *t, uint64_t tokens);
/* The end of one that was admitted and then never started: as if it had not asked. */
void limits_undo(struct limits *l, struct limits_ticket *t);

/* What stands against a row now, for usage pages. False: there is no such row. */
struct limits_state {
    int64_t used[QUOTA_LIMIT_COUNT];
    bool open; /* its hours */
};
bool limits_look(struct limits *l, enum quota_subject kind, int64_t id, struct limits_state *out);

#endif
