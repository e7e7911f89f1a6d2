/* Finding the row of a request in the tables of api/ and admin/. Thread: read-only.
 */
#ifndef SEEKD_HTTP_ROUTE_H
#define SEEKD_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "api/route.h"

enum { ROUTE_PATH_BYTES = 1024, ROUTE_METHODS_BYTES = 64 };

/* What a path says: its parameters, decoded, in `text`, and what else can be done there. */
struct route_match {
    const struct route *route;
    char methods[ROUTE_METHODS_BYTES]; /* "GET, HEAD, POST": those of all rows of the path */
    const char *param[API_PARAMS]; /* point into text; "" beyond those of the route */
    char text[ROUTE_PATH_BYTES];
};

enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

/* `path` as sent, without the query, still percent-encoded. HEAD counts as GET. A literal segment wins
 * over one in braces. With ROUTE_NO_METHOD, m->route is a row of that path. Malformed encodings, and
 * encoded control characters, are no path. */
enum route_result route_find(const char *method, const char *path, struct route_match *m);

/* The i-th row of all tables, NULL behind the last. */
const struct route *route_at(size_t i);

/* Whether the row belongs to administration: on its own listener when there is one. */
bool route_is_admin(const struct route *r);

/* Decodes percent escapes in place ('+' as a blank with `form`). False: malformed, or a NUL or line
 * end came out. */
bool route_decode(char *text, bool form);

#endif
