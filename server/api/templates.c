/* Owns: templates for those who use them: running one, and the read-only routes of Langfuse's API that
 * its clients fetch prompts from. Refuses to know: how templates are written and approved. */
#include <config.h>

#include "api/templates.h"

#include "api/chat.h"
#include "api/use.h"
#include "auth/authority.h"
#include "auth/key.h"
#include "service/service.h"

/* ---- POST /v1/templates/{name}/run ------------------------------------------------------------ */

/* A chat request whose prompt is the one in the path: {"version" | "label", "variables", ...fields of a
 * chat request}. */
void api_template_run(const struct api_call *call, struct api_answer *answer)
{
    static const char *const moved[] = {"version", "label", "variables"};
    struct api_error e = API_ERROR_INIT;
    json_t *body = api_body(call, NULL, NULL, &e);
    if (body && json_object_get(body, "prompt"))
        api_fail(&e, API_INVALID_VALUE, "prompt", "The path names the prompt already.");
    else if (body && !(call->grant->principal.scopes & SCOPE_INFER))
        api_fail(&e, API_DENIED, NULL, "This key or account may not use the model.");
    if (e.code != API_OK) {
        json_decref(body);
        api_answer_error(answer, &e);
        return;
    }
    json_t *prompt = json_pack("{s:s}", "id", call->param[0]);
    for (size_t i = 0; i < sizeof moved / sizeof moved[0]; i++) {
        json_t *value = json_object_get(body, moved[i]);
        if (value)
            json_object_set(prompt, moved[i], value);
        json_object_del(body, moved[i]);
    }
    json_object_set_new(body, "prompt", prompt);
    chat_answer(call, body, LEDGER_INTERACTIVE, answer);
    json_decref(body);
}

/* ---- the form of Langfuse --------------------------------------------------------------------- */

/* Jinja text stands where its clients expect {{variables}}: simple ones they can fill in themselves. */
static json_t *langfuse_messages(const json_t *content)
{
    json_t *out = json_array(), *m;
    size_t i;
    json_array_foreach (json_object_get(content, "messages"), i, m)
        if (json_object_get(m, "content"))
            json_array_append_new(out, json_pack("{s:s, s:O, s:O}", "type", "chatmessage", "role",
                                                 json_object_get(m, "role"), "content",
                                                 json_object_get(m, "content")));
    return out;
}

static json_t *object_or_empty(const json_t *v)
{
    return v ? json_incref((json_t *)(uintptr_t)v) : json_object();
}

static json_t *langfuse_prompt(const json_t *version, const json_t *tags)
{
    const json_t *content = json_object_get(version, "content");
    return json_pack("{s:s, s:O, s:O, s:s, s:o, s:o, s:O, s:O, s:O, s:s}", "type", "chat", "name",
                     json_object_get(version, "name"), "version", json_object_get(version, "number"),
                     "id", json_string_value(json_object_get(version, "hash")), "prompt",
                     langfuse_messages(content), "config",
                     object_or_empty(json_object_get(content, "settings")), "labels",
                     json_object_get(version, "labels"), "tags", tags, "commitMessage",
                     json_object_get(version, "note"), "resolutionGraph", "");
}

static bool read_ref(const struct api_call *call, struct registry_ref *ref, struct api_error *e)
{
    *ref = (struct registry_ref){.label = api_query(call, "label")};
    if (!api_query_int(call, "version", 1, INT64_MAX, 0, &ref->number, e))
        return false;
    if (ref->label && ref->number)
        return api_fail(e, API_INVALID_VALUE, "version", "Give either 'label' or 'version'.");
    if (!ref->label && !ref->number)
        ref->label = "production";
    return true;
}

void api_langfuse_prompt(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct registry_ref ref;
    struct registry *registry = call->service->registry;
    struct principal who = call->grant->principal;
    const char *name = call->param[0];
    json_t *version = NULL, *template = NULL;
    if (!read_ref(call, &ref, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    authority_narrow(&who);
    if (!key_allows_template(call->grant, name))
        err_set(&why, ERR_NOT_FOUND, 0, __FILE__, __LINE__, "there is no template \"%.200s\"", name);
    else if (registry_get(registry, &who, name, &template, &why) &&
             registry_version(registry, &who, name, ref, &version, &why))
        api_answer_json_take(answer, 200,
                             langfuse_prompt(version, json_object_get(template, "tags")));
    if (why.code != ERR_NONE)
        api_answer_act(answer, &why);
    json_decref(version);
    json_decref(template);
}

enum { LANGFUSE_PAGE = 50, LANGFUSE_PAGE_MAX = 100, LANGFUSE_ALL = 1000 };

static json_t *langfuse_meta(const json_t *row)
{
    json_t *labels = json_array(), *l, *versions = json_array();
    size_t i;
    json_array_foreach (json_object_get(row, "labels"), i, l)
        json_array_append(labels, json_object_get(l, "label"));
    for (json_int_t n = 1; n <= json_integer_value(json_object_get(row, "latest")); n++)
        json_array_append_new(versions, json_integer(n));
    return json_pack("{s:O, s:s, s:o, s:o, s:O, s:{}}", "name", json_object_get(row, "name"),
                     "type", "chat", "versions", versions, "labels", labels, "tags",
                     json_object_get(row, "tags"), "lastConfig");
}

/* Their pages are numbered; a registry has hundreds of templates, so one list is cut into them. */
void api_langfuse_prompts(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    int64_t page, limit;
    json_t *all = NULL, *row, *data;
    size_t i;
    struct principal who = call->grant->principal;
    struct registry_filter f = {.label = api_query(call, "label"), .tag = api_query(call, "tag"),
                                .prefix = api_query(call, "name"), .limit = LANGFUSE_ALL};
    if (!api_query_int(call, "page", 1, 1000000, 1, &page, &e) ||
        !api_query_int(call, "limit", 1, LANGFUSE_PAGE_MAX, LANGFUSE_PAGE, &limit, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    authority_narrow(&who);
    if (!registry_list(call->service->registry, &who, &f, &all, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    data = json_array();
    int64_t total = 0;
    json_array_foreach (all, i, row) {
        if (!key_allows_template(call->grant, json_string_value(json_object_get(row, "name"))))
            continue;
        if (total / limit == page - 1)
            json_array_append_new(data, langfuse_meta(row));
        total++;
    }
    json_decref(all);
    api_answer_json_take(answer, 200,
                         json_pack("{s:o, s:{s:I, s:I, s:I, s:I}}", "data", data, "meta", "page",
                                   (json_int_t)page, "limit", (json_int_t)limit, "totalItems",
                                   (json_int_t)total, "totalPages",
                                   (json_int_t)((total + limit - 1) / limit)));
}
