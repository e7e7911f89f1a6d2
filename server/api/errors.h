/* What went wrong with one API request, and how it is told: one table maps a code to HTTP status,
 * OpenAI error type and code string. Thread: any, no state.
 */
#ifndef SEEKD_API_ERRORS_H
#define SEEKD_API_ERRORS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum api_code {
    API_OK,
    API_INVALID_JSON,
    API_INVALID_VALUE,
    API_MISSING_FIELD,
    API_NOT_SUPPORTED,
    API_CONTEXT_LENGTH,
    API_BAD_HTTP,           /* framing that could be read in two ways */
    API_TWO_CREDENTIALS,
    API_NO_KEY,
    API_WRONG_KEY,
    API_WRONG_LOGIN,        /* login or password */
    API_HOST_NOT_ALLOWED,
    API_CSRF,               /* a change by cookie without its token */
    API_ORIGIN,             /* a change by cookie from a page of another site */
    API_DENIED,             /* this caller may not do it */
    API_PASSWORD_DUE,       /* a new password must be chosen first */
    API_NO_ROUTE,
    API_MODEL_NOT_FOUND,
    API_NOT_FOUND,          /* the object named in the path or a field */
    API_METHOD_NOT_ALLOWED,
    API_CONFLICT,           /* exists already, or its state does not allow this */
    API_STALE,              /* If-Match names an old revision */
    API_BODY_TOO_LARGE,
    API_MEDIA_TYPE,
    API_REVISION_NEEDED,    /* If-Match is missing */
    API_HEADERS_TOO_LARGE,
    API_RATE_LIMITED,       /* a limit of requests or tokens per minute, or of those at once */
    API_QUOTA,              /* a budget of a day or month is used up */
    API_OVERLOADED,
    API_LOADING,
    API_STOPPING,
    API_ENGINE_FAILED,
    API_STORAGE,            /* the database cannot be used: disk full or broken, file damaged */
    API_NO_DATABASE,        /* this server runs without one */
    API_INTERNAL,
    API_CODE_COUNT
};

struct api_error {
    enum api_code code;
    char param[64];        /* the request field that is wrong, "" when none is */
    char message[384];     /* one sentence for the caller; never text of the prompt */
    unsigned retry_after_s; /* 0 = no Retry-After header */
};
#define API_ERROR_INIT ((struct api_error){.code = API_OK})

unsigned api_code_status(enum api_code code);      /* HTTP status */
const char *api_code_type(enum api_code code);     /* "invalid_request_error", … */
const char *api_code_name(enum api_code code);     /* "invalid_json", …; never NULL */

/* Fills *e (not NULL) and returns false. `param` may be NULL. Codes that mean "later" get a
 * Retry-After of some seconds. */
bool api_fail(struct api_error *e, enum api_code code, const char *param, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* API_DENIED in the words that say nothing of what is there. */
bool api_fail_denied(struct api_error *e);

/* Translates an engine error of a request; internal details stay out of the message. */
bool api_fail_engine(struct api_error *e, const struct err *from);

/* Translates an error of the modules on the database; what the caller is not told goes into the log. */
bool api_fail_act(struct api_error *e, const struct err *from);

/* Appends {"error":{"message":…,"type":…,"param":…,"code":…}}. */
void api_error_write(struct buf *out, const struct api_error *e);

#endif
