/* Owns: templates for those who use them: running one, and the read-only routes of Langfuse's API that
 * its clients fetch prompts from. Refuses to know: how templates are written and approved. */
#include <config.h>

#include "api/templates.h"

#include "api/chat.h"
#include "api/schema.h"
#include "api/use.h"
#include "auth/authority.h"
#include "auth/key.h"
#include "service/service.h"

/* ---- POST /v1/templates/{name}/run ------------------------------------------------------------ */

static const struct schema_field run_fields[] = { /* those of `prompt`: api/use.h */
    {.name = "version", .type = SCHEMA_ELSEWHERE, .values = "integer, or the same as a string",
     .doc = "number of a version"},
    {.name = "label", .type = SCHEMA_ELSEWHERE, .values = "string", .fallback = "production",
     .doc = "label of a version, in place of its number"},
    {.name = "variables", .type = SCHEMA_ELSEWHERE, .values = "object",
     .doc = "values of the template's variables, by name"},
    {.name = "messages", .type = SCHEMA_ELSEWHERE, .values = "array of {role, content}",
     .doc = "what follows the template's own messages"},
};

const struct schema TEMPLATE_RUN_SCHEMA = {
    "POST /v1/templates/{name}/run (with all other fields of POST /v1/chat/completions but prompt)",
    run_fields, sizeof run_fields / sizeof run_fields[0]};

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

/* With those of included versions. Jinja text stands where its clients expect {{variables}}: simple
 * ones they can fill in themselves. */
static json_t *langfuse_messages(const struct prompt *p)
{
    json_t *out = json_array();
    for (size_t i = 0; i < prompt_n_messages(p); i++) {
        const struct prompt_message *m = prompt_message_at(p, i);
        json_array_append_new(out, json_pack("{s:s, s:s, s:s%}", "type", "chatmessage", "role",
                                             m->role, "content", m->text, m->len));
    }
    return out;
}

static json_t *object_or_empty(const json_t *v)
{
    return v ? json_incref((json_t *)(uintptr_t)v) : json_object();
}

static json_t *langfuse_prompt(const struct prompt *p, const json_t *version, const json_t *tags)
{
    const json_t *content = prompt_content(p);
    return json_pack("{s:s, s:O, s:O, s:s, s:o, s:o, s:O, s:O, s:O, s:n}", "type", "chat", "name",
                     json_object_get(version, "name"), "version", json_object_get(version, "number"),
                     "id", json_string_value(json_object_get(version, "hash")), "prompt",
                     langfuse_messages(p), "config",
                     object_or_empty(json_object_get(content, "settings")), "labels",
                     json_object_get(version, "labels"), "tags", tags, "commitMessage",
                     json_object_get(version, "note"), "resolutionGraph");
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

/* The version, and the same resolved: all its messages. Langfuse has no canaries: no caller is named. */
static bool langfuse_find(const struct api_call *call, struct registry_ref ref, json_t **template,
                          json_t **version, struct registry_resolved *resolved, struct err *e)
{
    struct registry *registry = call->service->registry;
    struct principal who = call->grant->principal;
    struct registry_request request = {.name = call->param[0]};
    authority_narrow(&who);
    if (!key_allows_template(call->grant, request.name))
        return registry_fail_missing(request.name, NULL, e);
    if (!registry_get(registry, &who, request.name, template, e) ||
        !registry_version(registry, &who, request.name, ref, version, e))
        return false;
    request.ref.number = json_integer_value(json_object_get(*version, "number"));
    return registry_resolve(registry, &who, &request, resolved, e);
}

void api_langfuse_prompt(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct registry_ref ref;
    struct registry_resolved resolved = {.prompt = NULL};
    json_t *version = NULL, *template = NULL;
    if (!read_ref(call, &ref, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    if (langfuse_find(call, ref, &template, &version, &resolved, &why))
        api_answer_json_take(answer, 200, langfuse_prompt(resolved.prompt, version,
                                                          json_object_get(template, "tags")));
    else
        api_answer_act(answer, &why);
    prompt_unref(&resolved.prompt);
    json_decref(version);
    json_decref(template);
}

enum { LANGFUSE_PAGE = 50, LANGFUSE_PAGE_MAX = 100, LANGFUSE_READ = 1000 };

static json_t *langfuse_meta(const json_t *row)
{
    json_t *labels = json_array(), *l;
    size_t i;
    json_array_foreach (json_object_get(row, "labels"), i, l)
        json_array_append(labels, json_object_get(l, "label"));
    return json_pack("{s:O, s:s, s:O, s:o, s:O, s:{}}", "name", json_object_get(row, "name"),
                     "type", "chat", "versions", json_object_get(row, "versions"), "labels", labels,
                     "tags", json_object_get(row, "tags"), "lastConfig");
}

/* The page of a list in Langfuse's form. */
struct langfuse_page {
    int64_t page, limit, total; /* total: templates so far */
    json_t *data;               /* owned */
};

static void add_rows(const struct api_call *call, const json_t *rows, struct langfuse_page *p)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (!key_allows_template(call->grant, json_string_value(json_object_get(row, "name"))))
            continue;
        if (p->total / p->limit == p->page - 1)
            json_array_append_new(p->data, langfuse_meta(row));
        p->total++;
    }
}

/* Their pages are numbered, and only what the key allows counts: all is read, a batch at a time. */
static bool read_rows(const struct api_call *call, struct langfuse_page *p, struct err *e)
{
    struct principal who = call->grant->principal;
    struct registry_filter f = {.label = api_query(call, "label"), .tag = api_query(call, "tag"),
                                .prefix = api_query(call, "name"), .limit = LANGFUSE_READ,
                                .versions = true};
    json_t *rows = NULL, *last = NULL;
    bool ok;
    authority_narrow(&who);
    do {
        ok = registry_list(call->service->registry, &who, &f, &rows, e);
        add_rows(call, rows, p);
        size_t n = json_array_size(rows);
        json_decref(last);
        last = n == LANGFUSE_READ ? json_incref(json_object_get(json_array_get(rows, n - 1), "name"))
                                  : NULL;
        f.after = json_string_value(last);
        json_decref(rows);
        rows = NULL;
    } while (ok && f.after);
    json_decref(last);
    return ok;
}

void api_langfuse_prompts(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct langfuse_page p = {.data = NULL};
    if (!api_query_int(call, "page", 1, 1000000, 1, &p.page, &e) ||
        !api_query_int(call, "limit", 1, LANGFUSE_PAGE_MAX, LANGFUSE_PAGE, &p.limit, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    p.data = json_array();
    if (!read_rows(call, &p, &why)) {
        json_decref(p.data);
        api_answer_act(answer, &why);
        return;
    }
    api_answer_json_take(answer, 200,
                         json_pack("{s:o, s:{s:I, s:I, s:I, s:I}}", "data", p.data, "meta", "page",
                                   (json_int_t)p.page, "limit", (json_int_t)p.limit, "totalItems",
                                   (json_int_t)p.total, "totalPages",
                                   (json_int_t)((p.total + p.limit - 1) / p.limit)));
}
