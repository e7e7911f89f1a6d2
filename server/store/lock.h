/* Keeps a second process (or a second store in this one) away from a database: an exclusive flock()
 * on "PATH.lock", which also says who holds it. The file stays behind; only the lock counts.
 * Internal to store/. */
#ifndef SEEKD_STORE_LOCK_H
#define SEEKD_STORE_LOCK_H

#include <stdbool.h>

#include "base/err.h"

/* *fd belongs to the caller; closing it lets go. ERR_BUSY: somebody else has it. ERR_UNSUPPORTED:
 * the folder is on a network file system, whose locks and shared memory SQLite cannot rely on. */
bool lock_take(const char *path, int *fd, struct err *e) WARN_UNUSED;

#endif
