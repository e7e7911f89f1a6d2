/* The SQL of one usage row and of its share of the totals. Internal to usage/; every function runs
 * inside a callback of store_write. */
#ifndef SEEKD_USAGE_ROW_H
#define SEEKD_USAGE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"
#include "usage/ledger.h"

enum ledger_status { LEDGER_STARTED, LEDGER_FINISHED, LEDGER_FAILED, LEDGER_INTERRUPTED };
const char *ledger_status_name(enum ledger_status s);

/* Strings borrowed. Numbers 0 and the NULLs stand for none; queue_us and ttft_us -1. */
struct ledger_row {
    const char *request_id;
    enum ledger_status status;
    int64_t started_us, finished_us;
    int64_t person_id, key_id, department_id;
    const char *endpoint, *model;
    enum ledger_class class;
    int64_t template_id, template_version;
    const char *template_label;
    const uint8_t *variables_hash; /* 32 bytes */
    struct ledger_counts counts;
    int64_t queue_us, ttft_us;
    int http_status;
    const char *finish_reason;
};

/* Periods of the last row that was added up: most rows share them. Zero to begin with. */
struct period_cache {
    int64_t minute, hour, day;
};

bool ledger_row_start(struct store_db *db, const struct ledger_row *r, struct err *e) WARN_UNUSED;
bool ledger_row_progress(struct store_db *db, const char *request_id, const struct ledger_counts *c,
                         struct err *e) WARN_UNUSED;
/* Ends an open row, or adds it whole when there is none; `is_new` says that the latter is likely.
 * *usage_id = its id, 0 when the row had ended before: nothing was changed then. */
bool ledger_row_end(struct store_db *db, const struct ledger_row *r, bool is_new, int64_t *usage_id,
                    struct err *e) WARN_UNUSED;
/* Adds a row that has ended to the totals of its minute, hour and day. */
bool ledger_row_total(struct store_db *db, const struct ledger_row *r, struct period_cache *cache,
                      struct err *e) WARN_UNUSED;
/* A store_fn: ends every open row as interrupted, with what it counted so far. ctx: uint64_t *. */
bool ledger_row_interrupt(struct store_db *db, void *ctx, struct err *e) WARN_UNUSED;

/* For retain.c. The key is NULL when no texts are kept. */
struct store *ledger_store(const struct ledger *l);
const uint8_t *ledger_key(const struct ledger *l);

#endif
