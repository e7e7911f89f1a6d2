/* One HTTP exchange with a server that the configuration names, through libcurl.
 *
 * TLS 1.2 or newer with certificate and host name checked; plain http to loopback addresses only.
 * Redirects are not followed, proxies of the environment not used, answers bounded in size and
 * time. No state, any thread; the call blocks for up to `timeout_ms`.
 */
#ifndef SEEKD_AUTH_FETCH_H
#define SEEKD_AUTH_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum fetch_scheme { FETCH_REFUSED, FETCH_HTTPS, FETCH_LOOPBACK_HTTP };

/* What may be done with an absolute URL. Refused: not a URL, another scheme, http to anything but
 * localhost, 127.0.0.0/8 or [::1], a user or password, a fragment, above 2,000 bytes. */
enum fetch_scheme fetch_scheme_of(const char *url);

struct fetch {
    const char *url;
    const char *form;            /* body, application/x-www-form-urlencoded; NULL = GET */
    const char *user, *password; /* HTTP Basic; NULL = none */
    const char *ca_file;         /* PEM; NULL or "" = the system's */
    unsigned timeout_ms;
};

/* Appends the answer's body to `body`, whose maximum bounds it; *status is the HTTP status.
 * Errors: ERR_ARG (URL refused), ERR_IO (no connection, TLS, time), ERR_LIMIT (answer too large).
 */
bool fetch_run(const struct fetch *f, struct buf *body, long *status, struct err *e) WARN_UNUSED;

/* Appends `text` with everything but unreserved characters as %XX (RFC 3986), for URLs and forms.
 */
bool fetch_escape(struct buf *out, const char *text);

#endif
