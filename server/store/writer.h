/* The writer thread: the queue of jobs, group commit, checkpoints. Internal to store/.
 * Thread: any but start, drain and stop.
 */
#ifndef SEEKD_STORE_WRITER_H
#define SEEKD_STORE_WRITER_H

#include <stdbool.h>

#include "base/err.h"
#include "store/store.h"

struct writer;

/* `db` is a writer connection; the thread alone uses it until writer_stop(). */
bool writer_start(struct store_db *db, const struct store_options *opt, struct writer **out,
                  struct err *e) WARN_UNUSED;
/* Runs what is queued and ends the thread; whoever calls in later is refused. Accepts NULL. */
void writer_drain(struct writer *w);
/* After writer_drain(), with all readers closed: empties the WAL. */
void writer_stop(struct writer **w);

/* See store_write, store_post, store_truncate_wal, store_stats. */
bool writer_run(struct writer *w, store_fn *fn, void *ctx, struct err *e) WARN_UNUSED;
bool writer_post(struct writer *w, store_fn *fn, void *ctx, store_done_fn *done,
                 struct err *e) WARN_UNUSED;
bool writer_truncate(struct writer *w, struct err *e) WARN_UNUSED;
void writer_stats(struct writer *w, struct store_stats *out);

#endif
