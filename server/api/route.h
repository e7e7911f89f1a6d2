/* One row per endpoint: method, path, who may call it, where it runs, what it takes. The tables are
 * api/routes.c and admin/; http/route.c looks them up. Thread: read-only.
 */
#ifndef SEEKD_API_ROUTE_H
#define SEEKD_API_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "auth/authority.h"

struct schema;

/* There is no default: a row that does not say who may call it does not pass the build
 * (admin/check_routes.c, run by it). */
enum route_access {
    ROUTE_UNSET,
    ROUTE_PUBLIC,    /* anybody */
    ROUTE_SIGNED_IN, /* whoever has a key or a session, also while a password must be changed */
    ROUTE_SCOPE,     /* a key or session with `scope` */
    ROUTE_OBJECT,    /* who reaches `object` by `verb` at all (auth/authority.h); how far, the handler
                      * asks */
    ROUTE_LOCAL,     /* the machine's administrator, through the local socket */
    ROUTE_ACCESS_COUNT
};

enum route_place {
    ROUTE_NETWORK, /* on the network thread: nothing that waits */
    ROUTE_WORKER,  /* parsing, tokenising, reading the database */
    ROUTE_SLOW,    /* what waits for commits and hashes; all of administration */
    ROUTE_LOGIN    /* logging in, which may wait for a directory or issuer in the network */
};

struct route {
    const char *method;
    const char *path; /* "/v1/models/{id}": a segment in braces takes one segment, decoded; "{id+}" as
                       * the last one takes all that are left */
    enum route_access access;
    uint32_t scope;
    enum authority_object object;
    enum authority_verb verb;
    enum route_place place;
    bool needs_model, needs_database;
    bool revised;         /* changes an object that has a revision: takes it in If-Match */
    size_t body_bytes;    /* largest body taken; 0 = none, ROUTE_BODY_API = the configured one */
    api_handler *handler; /* NULL = /health, which http/ answers itself */
    const struct schema *body; /* fields of the body, for the documentation; NULL = none or free */
    const char *query;         /* names of query parameters, by blanks; others are refused */
    const char *summary;       /* one line of documentation */
};

enum { ROUTE_BODY_API = -1 };

struct route_table {
    const struct route *rows;
    size_t n;
};
#define ROUTE_TABLE(rows) {rows, sizeof(rows) / sizeof(rows)[0]}

extern const struct route_table API_ROUTES;

#endif
