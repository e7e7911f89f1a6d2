/* Copies of a database as one plain SQLite file. Internal to store/. */
#ifndef SEEKD_STORE_SNAPSHOT_H
#define SEEKD_STORE_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/* Copies what `from` sees in one snapshot to the file `to`, examines the copy and puts it in place
 * with a rename; mode 0600; an older file of that name is replaced. `from` is in no transaction. */
bool snapshot_put(struct store_db *from, const char *to, store_progress_fn *progress, void *ctx,
                  struct err *e) WARN_UNUSED;

/* Flushes a file's folder, so that its name survives a power failure. */
bool snapshot_sync_folder(const char *path, struct err *e) WARN_UNUSED;

#endif
