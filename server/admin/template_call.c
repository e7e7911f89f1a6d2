/* Owns: from a call to an act of the registry. Refuses to know: any one endpoint. */
#include <config.h>

#include "admin/template_call.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/schema.h"
#include "auth/authority.h"
#include "base/clock.h"
#include "service/service.h"

void template_call_init(struct template_call *t, const struct api_call *call)
{
    *t = (struct template_call){.call = call,
                                .registry = call->service->registry,
                                .who = call->grant->principal,
                                .actor = api_actor(call),
                                .name = ""};
    authority_narrow(&t->who);
    t->act = (struct registry_act){
        .who = &t->who, .actor = &t->actor, .reason = call->reason, .now_s = clock_wall_s()};
}

bool template_call_named(struct template_call *t, const struct api_call *call, struct api_error *e)
{
    struct err why = ERR_INIT;
    template_call_init(t, call);
    t->name = call->param[0];
    if (content_is_name(t->name) && key_allows_template(call->grant, t->name))
        return true;
    registry_fail_missing(t->name, NULL, &why);
    return api_fail_act(e, &why);
}

bool template_ref(const char *text, struct registry_ref *out, struct api_error *e)
{
    size_t digits = strspn(text, "0123456789");
    *out = (struct registry_ref){0};
    if (digits && digits <= 9 && !text[digits])
        out->number = strtoll(text, NULL, 10);
    else if (content_is_label(text))
        out->label = text;
    if (!out->number && !out->label)
        return api_fail(e, API_NOT_FOUND, NULL,
                        "\"%.64s\" is neither the number of a version nor a label.", text);
    return true;
}

void template_answer_refused_take(struct api_answer *answer, const struct err *why,
                                  const char *name, json_t *extra)
{
    api_answer_act(answer, why);
    json_t *body = extra ? json_loadb(buf_str(&answer->body), answer->body.len, 0, NULL) : NULL;
    json_t *error = json_object_get(body, "error");
    if (error) {
        json_object_set(error, name, extra);
        buf_clear(&answer->body);
        api_answer_json_take(answer, answer->status, json_incref(body));
    }
    json_decref(body);
    json_decref(extra);
}

void template_path(char out[TEMPLATE_PATH], const char *name)
{
    size_t n = (size_t)snprintf(out, TEMPLATE_PATH, "/admin/v1/templates/");
    for (; *name && n + 4 < TEMPLATE_PATH; name++) {
        if (isalnum((unsigned char)*name) || strchr("-_.", *name))
            out[n++] = *name;
        else
            n += (size_t)snprintf(out + n, TEMPLATE_PATH - n, "%%%02X", (unsigned char)*name);
    }
    out[n] = '\0';
}

bool template_keep_json(const struct schema_field *f, const json_t *value, void *target,
                        struct api_error *e)
{
    (void)e;
    *(const json_t **)((char *)target + f->offset) = value;
    return true;
}
