/* Owns: the list of route tables. */
#include <config.h>

#include "admin/admin.h"

const struct route_table *const ADMIN_TABLES[] = {
    &ADMIN_ME,
    &ADMIN_OIDC,
    &ADMIN_PEOPLE,
    &ADMIN_KEYS,
    NULL,
};
