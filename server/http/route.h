/* The table of endpoints: one row = method, path, who may call, body limit, handler.
 * Thread: read-only.
 */
#ifndef SEEKD_HTTP_ROUTE_H
#define SEEKD_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "api/api.h"

/* No default: a row without a scope does not compile (tests/check_http.c counts the rows). */
enum route_scope {
    ROUTE_UNSET,
    ROUTE_PUBLIC, /* no key needed */
    ROUTE_API,    /* any valid API key */
    ROUTE_SCOPE_COUNT
};

struct route {
    const char *method;
    const char *path; /* exact; a path that ends in '/' takes one non-empty rest */
    enum route_scope scope;
    size_t body_bytes;    /* largest body taken; 0 = none, ROUTE_BODY_API = the configured one */
    api_handler *handler; /* NULL = /health, which needs no model */
};

enum { ROUTE_BODY_API = -1 };

extern const struct route ROUTES[];
extern const size_t N_ROUTES;

enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

/* Finds the row; HEAD counts as GET. *rest: what followed a path that ends in '/', else "".
 * With ROUTE_NO_METHOD, *out is a row of that path (its method goes into Allow). */
enum route_result route_find(const char *method, const char *path, const struct route **out,
                             const char **rest);

#endif
