/* From the settings to the parts that stand on the database.
 */
#ifndef SEEKD_DATA_H
#define SEEKD_DATA_H

#include <stdbool.h>

#include "base/err.h"
#include "service/service.h"

struct settings;

/* Opens what data_dir, [auth], [oidc] and [ldap] describe. *out stays NULL without a data_dir.
 * `first_password` as service_open. Errors: those of the parts; the message names file or option. */
bool data_open(const struct settings *s, struct service **out,
               char first_password[PASSWORD_ONE_TIME_TEXT], struct err *e) WARN_UNUSED;

/* Where seekctl finds the server: local_socket, or seekd.sock in data_dir; NULL with neither.
 * Owned by the caller. */
char *data_socket_path(const struct settings *s);

#endif
