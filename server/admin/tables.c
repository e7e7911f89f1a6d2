/* Owns: the list of route tables. */
#include <config.h>

#include "admin/admin.h"

const struct route_table *const ADMIN_TABLES[] = {
    &ADMIN_ME,
    &ADMIN_OIDC,
    &ADMIN_PEOPLE,
    &ADMIN_KEYS,
    &ADMIN_LIMITS,
    &ADMIN_USAGE,
    &ADMIN_AUDIT,
    &ADMIN_SERVER,
    &ADMIN_TEMPLATES,
    &ADMIN_LABELS,
    &ADMIN_RUNS,
    &ADMIN_TRANSFER,
    NULL,
};

const struct route *admin_route_at(size_t i)
{
    if (i < API_ROUTES.n)
        return &API_ROUTES.rows[i];
    i -= API_ROUTES.n;
    for (size_t t = 0; ADMIN_TABLES[t]; t++) {
        if (i < ADMIN_TABLES[t]->n)
            return &ADMIN_TABLES[t]->rows[i];
        i -= ADMIN_TABLES[t]->n;
    }
    return NULL;
}
