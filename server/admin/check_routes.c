/* Run by the build: fails it when a row of the route tables does not say who may call it or
 * what it is for. Refuses to know: what the endpoints do. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"

static const char *complaint(const struct route *r)
{
    if (r->access <= ROUTE_UNSET || r->access >= ROUTE_ACCESS_COUNT)
        return "does not say who may call it (.access)";
    if (r->access == ROUTE_SCOPE && !r->scope)
        return "names no scope";
    if (!r->summary || !*r->summary)
        return "has no summary";
    return NULL;
}

int main(void)
{
    int bad = 0;
    for (size_t i = 0; admin_route_at(i); i++) {
        const struct route *r = admin_route_at(i);
        const char *why = complaint(r);
        if (why) {
            fprintf(stderr, "route table: %s %s %s\n", r->method, r->path, why);
            bad++;
        }
    }
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
