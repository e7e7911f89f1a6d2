/* Owns: the table of API errors and the one shape in which they are sent.
 * Refuses to know: sockets, and where an error came from. */
#include <config.h>

#include "api/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/json.h"
#include "base/log.h"

static const struct {
    unsigned status;
    const char *type, *name;
    unsigned retry_after_s;
} table[API_CODE_COUNT] = {
    [API_OK] = {200, "none", "none", 0},
    [API_INVALID_JSON] = {400, "invalid_request_error", "invalid_json", 0},
    [API_INVALID_VALUE] = {400, "invalid_request_error", "invalid_value", 0},
    [API_MISSING_FIELD] = {400, "invalid_request_error", "missing_required_parameter", 0},
    [API_NOT_SUPPORTED] = {400, "invalid_request_error", "unsupported_parameter", 0},
    [API_CONTEXT_LENGTH] = {400, "invalid_request_error", "context_length_exceeded", 0},
    [API_BAD_HTTP] = {400, "invalid_request_error", "bad_http_request", 0},
    [API_TWO_CREDENTIALS] = {400, "invalid_request_error", "two_credentials", 0},
    [API_NO_KEY] = {401, "authentication_error", "missing_api_key", 0},
    [API_WRONG_KEY] = {401, "authentication_error", "invalid_api_key", 0},
    [API_WRONG_LOGIN] = {401, "authentication_error", "wrong_login", 0},
    [API_CSRF] = {403, "permission_error", "csrf_token_missing", 0},
    [API_ORIGIN] = {403, "permission_error", "origin_not_allowed", 0},
    [API_DENIED] = {403, "permission_error", "not_allowed", 0},
    [API_PASSWORD_DUE] = {403, "permission_error", "password_change_needed", 0},
    [API_HOST_NOT_ALLOWED] = {403, "permission_error", "host_not_allowed", 0},
    [API_NO_ROUTE] = {404, "invalid_request_error", "unknown_url", 0},
    [API_MODEL_NOT_FOUND] = {404, "invalid_request_error", "model_not_found", 0},
    [API_NOT_FOUND] = {404, "invalid_request_error", "not_found", 0},
    [API_CONFLICT] = {409, "invalid_request_error", "conflict", 0},
    [API_STALE] = {412, "invalid_request_error", "changed_meanwhile", 0},
    [API_REVISION_NEEDED] = {428, "invalid_request_error", "if_match_needed", 0},
    [API_RATE_LIMITED] = {429, "rate_limit_error", "rate_limit_exceeded", 1},
    [API_QUOTA] = {429, "insufficient_quota", "insufficient_quota", 1},
    [API_METHOD_NOT_ALLOWED] = {405, "invalid_request_error", "method_not_allowed", 0},
    [API_BODY_TOO_LARGE] = {413, "invalid_request_error", "body_too_large", 0},
    [API_MEDIA_TYPE] = {415, "invalid_request_error", "unsupported_media_type", 0},
    [API_HEADERS_TOO_LARGE] = {431, "invalid_request_error", "too_many_headers", 0},
    [API_OVERLOADED] = {503, "server_error", "overloaded", 2},
    [API_LOADING] = {503, "server_error", "model_loading", 5},
    [API_STOPPING] = {503, "server_error", "shutting_down", 10},
    [API_ENGINE_FAILED] = {503, "server_error", "engine_failed", 30},
    [API_STORAGE] = {503, "server_error", "storage_failed", 30},
    [API_NO_DATABASE] = {501, "server_error", "no_database", 0},
    [API_INTERNAL] = {500, "server_error", "internal_error", 0},
};

unsigned api_code_status(enum api_code code)
{
    return table[code].status;
}

const char *api_code_type(enum api_code code)
{
    return table[code].type;
}

const char *api_code_name(enum api_code code)
{
    return table[code].name;
}

bool api_fail(struct api_error *e, enum api_code code, const char *param, const char *fmt, ...)
{
    e->code = code;
    e->retry_after_s = table[code].retry_after_s;
    snprintf(e->param, sizeof e->param, "%s", param ? param : "");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->message, sizeof e->message, fmt, ap);
    va_end(ap);
    return false;
}

bool api_fail_denied(struct api_error *e)
{
    return api_fail(e, API_DENIED, NULL, "This key or account may not do that.");
}

bool api_fail_engine(struct api_error *e, const struct err *from)
{
    switch (from->code) {
    case ERR_ARG:
        return api_fail(e, API_INVALID_VALUE, NULL, "%s", from->msg);
    case ERR_UNSUPPORTED:
        return api_fail(e, API_NOT_SUPPORTED, NULL, "%s", from->msg);
    case ERR_LIMIT:
        return api_fail(e, API_CONTEXT_LENGTH, "messages", "%s", from->msg);
    case ERR_BUSY:
        return api_fail(e, API_OVERLOADED, NULL,
                        "The server has as many requests as it can take; try again shortly.");
    case ERR_NOMEM:
        return api_fail(e, API_OVERLOADED, NULL,
                        "The server is short of memory; try again shortly.");
    case ERR_CANCELLED:
        return api_fail(e, API_STOPPING, NULL, "The request was ended by the server.");
    case ERR_DEVICE:
        return api_fail(e, API_ENGINE_FAILED, NULL,
                        "The compute device failed; the administrator finds details in the log.");
    default:
        return api_fail(e, API_INTERNAL, NULL,
                        "Internal error; the administrator finds details in the log.");
    }
}

static bool translate_act(struct api_error *e, const struct err *from)
{
    static const enum api_code codes[ERR_CODE_COUNT] = {
        [ERR_ARG] = API_INVALID_VALUE,       [ERR_FORMAT] = API_INVALID_VALUE,
        [ERR_UNSUPPORTED] = API_NOT_SUPPORTED, [ERR_LIMIT] = API_INVALID_VALUE,
        [ERR_NOT_FOUND] = API_NOT_FOUND,     [ERR_CONFLICT] = API_CONFLICT,
        [ERR_STALE] = API_STALE,             [ERR_DENIED] = API_DENIED,
    };
    if ((unsigned)from->code < ERR_CODE_COUNT && codes[from->code] != API_OK)
        return api_fail(e, codes[from->code], NULL, "%s", from->msg);
    if (from->code == ERR_DAMAGED)
        return api_fail(e, API_STORAGE, NULL,
                        "What is stored here is damaged; the administrator finds details in the log.");
    if (from->code == ERR_IO)
        return api_fail(e, API_STORAGE, NULL,
                        "The database cannot be written; the administrator finds details in the log.");
    return api_fail_engine(e, from);
}

bool api_fail_act(struct api_error *e, const struct err *from)
{
    char quoted[2 * sizeof from->msg];
    translate_act(e, from);
    if (api_code_status(e->code) >= 500) /* the caller is not told the cause */
        LOG_E("api", "act failed code=%s cause=%s", err_code_name(from->code),
              log_quote(quoted, sizeof quoted, from->msg));
    return false;
}

void api_error_write(struct buf *out, const struct api_error *e)
{
    buf_puts(out, "{\"error\":{\"message\":");
    json_put_string(out, e->message, strlen(e->message));
    buf_printf(out, ",\"type\":\"%s\",\"param\":", api_code_type(e->code));
    if (e->param[0])
        json_put_string(out, e->param, strlen(e->param));
    else
        buf_puts(out, "null");
    buf_printf(out, ",\"code\":\"%s\"}}", api_code_name(e->code));
}
