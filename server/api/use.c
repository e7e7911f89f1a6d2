/* Owns: how a prompt of the registry and the caller's request become one request.
 * Refuses to know: how versions are stored, how tokens are made. */
#include <config.h>

#include "api/use.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/authority.h"
#include "service/service.h"
#include "template/finding.h"

/* ---- resolving -------------------------------------------------------------------------------- */

static bool may_use(const struct api_call *call, struct api_error *e)
{
    if (!call->service)
        return api_fail(e, API_NO_DATABASE, "prompt",
                        "This server runs without a database and has no prompts.");
    if (authority_reach(&call->grant->principal, AUTHORITY_TEMPLATE, AUTHORITY_READ) ==
        AUTHORITY_NONE)
        return api_fail(e, API_DENIED, "prompt", "This key or account may not use templates.");
    return true;
}

static bool resolve(const struct api_call *call, const char *name, struct registry_ref ref,
                    struct registry_resolved *out, struct api_error *e)
{
    char caller[SERVICE_CALLER_TEXT];
    struct err why = ERR_INIT;
    struct principal who = call->grant->principal;
    authority_narrow(&who);
    service_caller(&who, caller);
    struct registry_request request = {.name = name, .ref = ref, .caller = caller};
    if (key_allows_template(call->grant, name)
            ? registry_resolve(call->service->registry, &who, &request, out, &why)
            : registry_fail_missing(name, NULL, &why))
        return true;
    api_fail_act(e, &why);
    snprintf(e->param, sizeof e->param, "prompt");
    return false;
}

/* The first finding becomes the error; its place names the variable. */
static bool fail_render(const struct findings *f, const struct err *why, struct api_error *e)
{
    const json_t *first = json_array_get(f->list, 0);
    const char *at = json_string_value(json_object_get(first, "at"));
    char param[sizeof e->param];
    snprintf(param, sizeof param, "prompt.%s", at ? at : "variables");
    return api_fail(e, API_INVALID_VALUE, param, "%s", why->msg);
}

bool use_make(const struct api_call *call, const char *name, struct registry_ref ref,
              const json_t *variables, struct use *out, struct api_error *e)
{
    struct err why = ERR_INIT;
    struct findings f;
    *out = (struct use){0};
    if (!may_use(call, e) || !resolve(call, name, ref, &out->resolved, e))
        return false;
    findings_init(&f);
    bool ok = prompt_render(out->resolved.prompt, variables, &out->rendering, &f, &why) ||
              fail_render(&f, &why, e);
    findings_release(&f);
    if (!ok)
        use_release(out);
    return ok;
}

void use_release(struct use *u)
{
    if (u->resolved.prompt)
        prompt_unref(&u->resolved.prompt);
    prompt_rendering_release(&u->rendering);
    *u = (struct use){0};
}

/* ---- reading the field ------------------------------------------------------------------------ */

static bool read_version(const json_t *v, int64_t *out, struct api_error *e)
{
    const char *text = json_string_value(v);
    *out = json_integer_value(v);
    if (text) {
        char *end;
        errno = 0;
        *out = strtoll(text, &end, 10);
        if (*end || errno || *text < '0' || *text > '9')
            *out = 0;
    }
    if (*out < 1)
        return api_fail(e, API_INVALID_VALUE, "prompt.version",
                        "'prompt.version' must be the number of a version, such as 3 or \"3\".");
    return true;
}

/* Values as OpenAI's clients send them: a string, or {"type": "input_text", "text": ...}. */
static json_t *plain_value(json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    json_t *text = json_object_get(v, "text");
    if (type && !strcmp(type, "input_text") && json_is_string(text))
        return json_incref(text);
    return json_incref(v);
}

static json_t *plain_variables(const json_t *given)
{
    const char *name;
    json_t *value, *out = json_object();
    json_object_foreach ((json_t *)(uintptr_t)given, name, value)
        json_object_set_new(out, name, plain_value(value));
    return out;
}

static bool check_fields(const json_t *prompt, struct api_error *e)
{
    static const char *const known[] = {"id", "version", "label", "variables"};
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)prompt, name, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found |= !strcmp(known[i], name);
        if (!found)
            return api_fail(e, API_INVALID_VALUE, "prompt", "'prompt' has no field '%.60s'.", name);
    }
    if (!json_is_string(json_object_get(prompt, "id")))
        return api_fail(e, API_INVALID_VALUE, "prompt.id",
                        "'prompt.id' must be the name of a template.");
    return true;
}

static bool is_given(const json_t *v)
{
    return v && !json_is_null(v);
}

bool use_read(const struct api_call *call, const json_t *prompt, struct use *out,
              struct api_error *e)
{
    struct registry_ref ref = {0};
    const json_t *version = json_object_get(prompt, "version");
    const json_t *label = json_object_get(prompt, "label");
    const json_t *variables = json_object_get(prompt, "variables");
    *out = (struct use){0};
    if (!json_is_object(prompt))
        return api_fail(e, API_INVALID_VALUE, "prompt",
                        "'prompt' must be an object: {\"id\": NAME, \"version\" or \"label\", "
                        "\"variables\"}.");
    if (!check_fields(prompt, e) || (is_given(version) && !read_version(version, &ref.number, e)))
        return false;
    if (is_given(label) && !(ref.label = json_string_value(label)))
        return api_fail(e, API_INVALID_VALUE, "prompt.label", "'prompt.label' must be a string.");
    if (is_given(variables) && !json_is_object(variables))
        return api_fail(e, API_INVALID_VALUE, "prompt.variables",
                        "'prompt.variables' must be an object.");
    json_t *plain = plain_variables(variables);
    bool ok = use_make(call, json_string_value(json_object_get(prompt, "id")), ref, plain, out, e);
    json_decref(plain);
    return ok;
}

/* ---- merging ---------------------------------------------------------------------------------- */

/* Several names mean one thing: those of chat and those of responses. */
static bool caller_set(const json_t *body, const char *name)
{
    static const char *const limits[] = {"max_tokens", "max_completion_tokens", "max_output_tokens"};
    bool limit = false, limit_given = false;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        limit |= !strcmp(name, limits[i]);
        limit_given |= is_given(json_object_get(body, limits[i]));
    }
    if (!strcmp(name, "reasoning_effort") &&
        is_given(json_object_get(json_object_get(body, "reasoning"), "effort")))
        return true;
    return limit ? limit_given : is_given(json_object_get(body, name));
}

static void merge_messages(const struct use *u, json_t *body)
{
    json_t *all = json_copy(u->rendering.messages), *given = json_object_get(body, "messages");
    if (json_is_array(given))
        json_array_extend(all, given);
    if (!is_given(given) || json_is_array(given))
        json_object_set_new(body, "messages", all);
    else
        json_decref(all); /* left for the check of the field to refuse */
}

/* The schema of a version's answer is not enforced while generating; test sets check it. */
json_t *use_merge(const struct use *u, const json_t *given)
{
    static const char *const fields[] = {"model", "tools"};
    const json_t *content = prompt_content(u->resolved.prompt);
    json_t *body = json_copy((json_t *)(uintptr_t)given), *value;
    const char *name;
    json_object_del(body, "prompt");
    json_object_foreach (json_object_get(content, "settings"), name, value)
        if (!caller_set(given, name))
            json_object_set(body, name, value);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        value = json_object_get(content, fields[i]);
        if (value && !caller_set(given, fields[i]))
            json_object_set(body, fields[i], value);
    }
    merge_messages(u, body);
    return body;
}

json_t *use_json(const struct use *u)
{
    char version[24];
    const struct registry_resolved *r = &u->resolved;
    snprintf(version, sizeof version, "%lld", (long long)r->number);
    return json_pack("{s:s, s:s, s:o, s:s, s:b}", "id", r->name, "version", version, "label",
                     *r->label ? json_string(r->label) : json_null(), "hash", r->hash, "canary",
                     r->canary);
}
