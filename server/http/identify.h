/* Who is asking: from the local socket, an API key or a session's cookie, and whether this route is
 * open to them. Thread: any, no state.
 */
#ifndef SEEKD_HTTP_IDENTIFY_H
#define SEEKD_HTTP_IDENTIFY_H

#include <stdbool.h>

#include "api/errors.h"
#include "api/route.h"
#include "auth/key.h"
#include "http/guard.h"

struct app;

enum { IDENTIFY_LABEL = 24 };

struct identify {
    const struct app *app;
    const struct route *route;
    const struct guard_head *head;
    bool local;          /* came in by the local socket */
    const char *address; /* client's */
    const char *session; /* value of the cookie, NULL = none */
    bool changes;        /* the method is not GET or HEAD */
};

/* Fills the grant (to be released with key_grant_release, also on failure) and `label`, which names the
 * key in logs ("" = none). Cost: one SHA-256 for a key, one read of the database for a session. */
bool identify(const struct identify *who, struct key_grant *grant, char label[IDENTIFY_LABEL],
              struct api_error *e) WARN_UNUSED;

#endif
