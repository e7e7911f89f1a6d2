/* Owns: reading what a call brought along: query, path, If-Match, body.
 * Refuses to know: endpoints. */
#include <config.h>

#include "api/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/json.h"
#include "api/schema.h"
#include "auth/principal.h"

const char *api_query(const struct api_call *call, const char *name)
{
    for (size_t i = 0; i < call->n_query; i++)
        if (!strcmp(call->query[i].name, name))
            return *call->query[i].value ? call->query[i].value : NULL;
    return NULL;
}

/* Decimal digits with an optional '-', nothing else. */
static bool parse_int(const char *text, int64_t *out)
{
    char *end;
    const char *digits = text + (*text == '-');
    if (*digits < '0' || *digits > '9')
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return !*end && !errno;
}

bool api_query_int(const struct api_call *call, const char *name, int64_t min, int64_t max,
                   int64_t fallback, int64_t *out, struct api_error *e)
{
    const char *text = api_query(call, name);
    *out = fallback;
    if (!text)
        return true;
    if (!parse_int(text, out) || *out < min || *out > max)
        return api_fail(e, API_INVALID_VALUE, name, "'%s' must be a number from %lld to %lld.",
                        name, (long long)min, (long long)max);
    return true;
}

bool api_query_bool(const struct api_call *call, const char *name, bool fallback, bool *out,
                    struct api_error *e)
{
    const char *text = api_query(call, name);
    *out = fallback;
    if (!text)
        return true;
    *out = !strcmp(text, "true") || !strcmp(text, "1");
    if (!*out && strcmp(text, "false") && strcmp(text, "0"))
        return api_fail(e, API_INVALID_VALUE, name, "'%s' must be true or false.", name);
    return true;
}

/* RFC 3339 with or without time; a date alone is local. */
static bool parse_time(const char *text, int64_t *out)
{
    struct tm tm = {.tm_isdst = -1};
    int at = 0, hours = 0, minutes = 0;
    char sign = 0, zulu = 0;
    if (parse_int(text, out))
        return true;
    if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &at) != 3 || at != 10)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int year = tm.tm_year, month = tm.tm_mon, day = tm.tm_mday;
    if (!text[at]) {
        *out = (int64_t)mktime(&tm);
    } else {
        const char *clock = text + at;
        if (sscanf(clock, "T%2d:%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &at) != 3 ||
            tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
            return false;
        clock += at;
        if (sscanf(clock, "%c%2d:%2d%n", &sign, &hours, &minutes, &at) == 3) {
            if ((sign != '+' && sign != '-') || clock[at] || hours > 23 || minutes > 59)
                return false;
        } else if (sscanf(clock, "%c", &zulu) != 1 || zulu != 'Z' || clock[1]) {
            return false;
        }
        *out = (int64_t)timegm(&tm) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    }
    return tm.tm_year == year && tm.tm_mon == month && tm.tm_mday == day; /* no 31 April */
}

bool api_query_time(const struct api_call *call, const char *name, int64_t fallback, int64_t *out,
                    struct api_error *e)
{
    const char *text = api_query(call, name);
    *out = fallback;
    if (text && !parse_time(text, out))
        return api_fail(e, API_INVALID_VALUE, name,
                        "'%s' must be a date (2026-11-24), a time (2026-11-24T08:30:00Z) or seconds "
                        "since the epoch.", name);
    return true;
}

bool api_param_id(const struct api_call *call, unsigned i, int64_t *out, struct api_error *e)
{
    if (!parse_int(call->param[i], out) || *out < 1)
        return api_fail(e, API_NOT_FOUND, NULL, "There is no such object.");
    return true;
}

bool api_revision(const struct api_call *call, int64_t *out, struct api_error *e)
{
    char digits[24] = "";
    if (!call->if_match)
        return api_fail(e, API_REVISION_NEEDED, NULL,
                        "Send the object's ETag in If-Match, so that nobody's change is lost.");
    size_t len = strlen(call->if_match);
    bool quoted = len > 2 && call->if_match[0] == '"' && call->if_match[len - 1] == '"';
    if (quoted && len - 2 < sizeof digits)
        memcpy(digits, call->if_match + 1, len - 2);
    if (!parse_int(digits, out) || *out < 0)
        return api_fail(e, API_STALE, NULL, "If-Match must be the ETag that a GET answered.");
    return true;
}

static bool known_field(const struct schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (!strcmp(s->fields[i].name, name))
            return true;
    return false;
}

/* Of a PATCH that changes nothing. */
static bool fail_empty(const struct schema *s, struct api_error *e)
{
    struct buf names;
    buf_init(&names, sizeof e->message / 2);
    for (size_t i = 0; i < s->n_fields; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", s->fields[i].name);
    api_fail(e, API_INVALID_VALUE, NULL, "There is nothing to change: give at least one of %s.",
             buf_str(&names));
    buf_release(&names);
    return false;
}

json_t *api_body(const struct api_call *call, const struct schema *s, void *target,
                 struct api_error *e)
{
    const char *name;
    json_t *value, *body = call->body_len ? json_parse_body(call->body, call->body_len, e)
                                          : json_object();
    if (!body || !s)
        return body;
    json_object_foreach(body, name, value) {
        if (known_field(s, name))
            continue;
        api_fail(e, API_INVALID_VALUE, name, "There is no field '%.100s' here.", name);
        json_decref(body);
        return NULL;
    }
    bool empty = !strcmp(call->method, "PATCH") && !json_object_size(body);
    if (empty ? !fail_empty(s, e) : !schema_read(s, body, target, e)) {
        json_decref(body);
        return NULL;
    }
    return body;
}

struct audit_actor api_actor(const struct api_call *call)
{
    const struct principal *p = &call->grant->principal;
    return (struct audit_actor){.person_id = p->person_id,
                                .name = p->login,
                                .address = call->address,
                                .request_id = call->id,
                                .reason = call->reason};
}
