/* Backup files: plain or sealed. Internal to store/; store_restore() of store.h is implemented
 * here. */
#ifndef SEEKD_STORE_BACKUP_H
#define SEEKD_STORE_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Makes the finished database file `plain` the backup `to`, in place with a rename once it has been
 * flushed and read back. An older backup of that name is replaced. `key` as for store_backup(). */
bool backup_write(const char *plain, const char *to, const uint8_t *key, struct err *e) WARN_UNUSED;

#endif
