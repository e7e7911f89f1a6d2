/* Brings a database to the newest schema. Internal to store/. */
#ifndef SEEKD_STORE_MIGRATE_H
#define SEEKD_STORE_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct store_db;

/* Is it ours (or empty), and not newer than `newest`? *version = migrations applied, 0 when empty.
 * Reads only. */
bool migrate_look(struct store_db *db, size_t newest, size_t *version, struct err *e) WARN_UNUSED;

/* Applies steps[version .. n_steps), each in one transaction that also records it. With rows at
 * stake (version > 0), first writes the backup "PATH.before-VERSION". Writer connection, before any
 * other thread uses the file. */
bool migrate_run(struct store_db *db, const char *path, const char *const *const *steps,
                 size_t n_steps, size_t version, struct err *e) WARN_UNUSED;

#endif
