/* What stands in the database: migrations, oldest first. Append only: a migration that has been
 * released is never changed. Internal to store/.
 */
#ifndef SEEKD_STORE_SCHEMA_H
#define SEEKD_STORE_SCHEMA_H

#include <stddef.h>

/* "skdb"; and user_version = number of migrations applied. */
enum { SCHEMA_APPLICATION_ID = 0x736b6462 };

/* Each a list of SQL texts that ends with NULL. */
extern const char *const *const SCHEMA_MIGRATIONS[];
extern const size_t SCHEMA_VERSION; /* how many there are */

#endif
