/* Owns: what the handlers of administration share: pages, words for bits.
 * Refuses to know: any one object. */
#include <config.h>

#include "admin/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "service/service.h"
#include "store/store.h"

bool admin_limit(const struct api_call *call, unsigned *limit, struct api_error *e)
{
    int64_t n;
    if (!api_query_int(call, "limit", 1, ADMIN_PAGE_MAX, ADMIN_PAGE, &n, e))
        return false;
    *limit = (unsigned)n;
    return true;
}

bool admin_page(const struct api_call *call, int64_t *after, unsigned *limit, struct api_error *e)
{
    return api_query_int(call, "after", 0, INT64_MAX, 0, after, e) && admin_limit(call, limit, e);
}

bool admin_query_word(const struct api_call *call, const char *name, const char *const *words,
                      size_t n, size_t none, size_t *out, struct api_error *e)
{
    const char *text = api_query(call, name);
    char all[120] = "";
    size_t len = 0;
    *out = none;
    if (!text)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (words[i] && !strcmp(text, words[i])) {
            *out = i;
            return true;
        }
        if (words[i] && len < sizeof all)
            len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", len ? ", " : "", words[i]);
    }
    return api_fail(e, API_INVALID_VALUE, name, "'%s' is one of: %s.", name, all);
}

bool admin_may(const struct api_call *call, enum authority_object object, enum authority_verb verb,
               const struct authority_owner *owner, struct api_error *e)
{
    return authority_may(call->service->auth, &call->grant->principal, object, verb, owner) ||
           api_fail_denied(e);
}

struct record {
    const struct audit_actor *actor;
    struct audit_entry entry;
};

static bool append_record(struct store_db *db, void *ctx, struct err *e)
{
    const struct record *r = ctx;
    return audit_append(db, r->actor, &r->entry, e);
}

bool admin_record_take(const struct api_call *call, const char *action, const char *object_kind,
                       const char *object_id, json_t *after, struct err *e)
{
    struct audit_actor actor = api_actor(call);
    char *text = after ? json_dumps(after, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    struct record r = {&actor, {.action = action, .object_kind = object_kind,
                                .object_id = object_id, .after = text, .reason = call->reason}};
    bool ok = text ? store_write(call->service->store, append_record, &r, e)
                   : err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "out of memory");
    free(text);
    json_decref(after);
    return ok;
}

void admin_list_take(struct api_answer *answer, json_t *data, int64_t next)
{
    api_answer_json_take(answer, 200,
                         json_pack("{s:s, s:o, s:o}", "object", "list", "data", data, "next",
                                   admin_or_null(next)));
}

void admin_list_at_take(struct api_answer *answer, json_t *data, const char *next)
{
    api_answer_json_take(answer, 200,
                         json_pack("{s:s, s:o, s:o}", "object", "list", "data", data, "next",
                                   next ? json_string(next) : json_null()));
}

bool admin_file_whole(struct api_answer *answer, bool ok, const struct err *why)
{
    struct api_error e = API_ERROR_INIT;
    if (answer->body.failed) {
        api_fail(&e, API_INVALID_VALUE, "from",
                 "This is more than one file holds (%d MiB): ask for a shorter time.",
                 API_ANSWER_BYTES >> 20);
        api_answer_error(answer, &e);
        return false;
    }
    if (!ok)
        api_answer_act(answer, why);
    return ok;
}

/* Names by the number of their bit. */
static const char *const ROLES[] = {"admin", "editor", "approver", "auditor", "user", "service"};
static const char *const SCOPES[] = {"infer", "templates", "usage", "edit", "audit", "admin"};
enum { N_BITS = 6 };

static json_t *bits_json(uint32_t bits, const char *const names[N_BITS])
{
    json_t *list = json_array();
    for (unsigned i = 0; i < N_BITS; i++)
        if (bits >> i & 1)
            json_array_append_new(list, json_string(names[i]));
    return list;
}

static bool bits_read(const json_t *list, const char *const names[N_BITS], const char *field,
                      uint32_t *out, struct api_error *e)
{
    *out = 0;
    if (!json_is_array(list))
        return api_fail(e, API_INVALID_VALUE, field, "'%s' must be an array of words.", field);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        unsigned bit = 0;
        while (word && bit < N_BITS && strcmp(names[bit], word))
            bit++;
        if (!word || bit == N_BITS)
            return api_fail(e, API_INVALID_VALUE, field,
                            "'%s' may hold: %s, %s, %s, %s, %s, %s.", field, names[0], names[1],
                            names[2], names[3], names[4], names[5]);
        *out |= UINT32_C(1) << bit;
    }
    return true;
}

json_t *admin_roles_json(uint32_t roles)
{
    return bits_json(roles, ROLES);
}

json_t *admin_scopes_json(uint32_t scopes)
{
    return bits_json(scopes, SCOPES);
}

bool admin_roles_read(const json_t *list, const char *field, uint32_t *out, struct api_error *e)
{
    return bits_read(list, ROLES, field, out, e);
}

bool admin_scopes_read(const json_t *list, const char *field, uint32_t *out, struct api_error *e)
{
    return bits_read(list, SCOPES, field, out, e);
}

json_t *admin_or_null(int64_t v)
{
    return v ? json_integer(v) : json_null();
}
