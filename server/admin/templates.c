/* Owns: templates and their versions over HTTP: lists, saving, reading, differences, reviews,
 * trying out.
 * Refuses to know: what makes a version good, who may do what; the registry says both. Labels and runs
 * of test sets have files of their own. */
#include <config.h>

#include "admin/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/template_call.h"
#include "api/params.h"
#include "api/prompt.h"
#include "api/schema.h"
#include "base/hash.h"
#include "base/mem.h"
#include "service/service.h"
#include "template/diff.h"

/* ---- bodies ----------------------------------------------------------------------------------- */

/* One struct for all of them; each table names the fields that its endpoint takes. */
struct template_body {
    const char *name, *note, *to;
    const json_t *content, *tags, *from, *evidence, *variables;
    int64_t owner_id, department_id; /* -1 = not given */
    int archived;                    /* -1 = not given */
    bool without_run;
};
#define TEMPLATE_BODY_INIT                                                                         \
    ((struct template_body){.note = "", .owner_id = -1, .department_id = -1, .archived = -1})

#define AT(member) .offset = offsetof(struct template_body, member)
#define JSON(member) .type = SCHEMA_CUSTOM, .parse = template_keep_json, AT(member)
#define NAME_FIELD(text)                                                                           \
    {.name = "name", .type = SCHEMA_STRING, .min = 1, .max = CONTENT_NAME_MAX, AT(name),           \
     .required = true, .doc = text}
#define CONTENT_FIELD                                                                              \
    {.name = "content", JSON(content), .required = true, .values = "object",                       \
     .doc = "what the version says: messages, variables, settings, tests ... (template/content.h)"}
#define NOTE_FIELD                                                                                 \
    {.name = "note", .type = SCHEMA_STRING, .min = 1, .max = 2000, AT(note), .required = true,     \
     .doc = "what changed and why"}
#define TAGS_FIELD                                                                                 \
    {.name = "tags", JSON(tags), .values = "array of strings", .fallback = "as they are"}
#define OWNER_FIELD                                                                                \
    {.name = "owner_id", .type = SCHEMA_INT, .min = 1, .max = ADMIN_ID_MAX, AT(owner_id),          \
     .fallback = "a new template: whoever creates it", .doc = "a person"}
#define DEPARTMENT_FIELD                                                                           \
    {.name = "department_id", .type = SCHEMA_INT, .min = 0, .max = ADMIN_ID_MAX,                   \
     AT(department_id), .fallback = "a new template: 0",                                           \
     .doc = "who sees it: the department and all below it; 0 or null = everybody"}

static bool parse_archived(const struct schema_field *f, const json_t *value, void *target,
                           struct api_error *e)
{
    if (!json_is_boolean(value))
        return schema_fail_type(f, "true or false", e);
    ((struct template_body *)target)->archived = json_is_true(value);
    return true;
}

static const struct schema_field create_fields[] = {
    NAME_FIELD("folders are parted by '/': office/minutes"), CONTENT_FIELD, NOTE_FIELD, TAGS_FIELD,
    OWNER_FIELD, DEPARTMENT_FIELD,
};
static const struct schema_field version_fields[] = {CONTENT_FIELD, NOTE_FIELD, TAGS_FIELD};
static const struct schema_field lint_fields[] = {
    NAME_FIELD("of the template that it would belong to"), CONTENT_FIELD};
static const struct schema_field patch_fields[] = {
    TAGS_FIELD, OWNER_FIELD, DEPARTMENT_FIELD,
    {.name = "archived", .type = SCHEMA_CUSTOM, .parse = parse_archived, .values = "true, false",
     .fallback = "as it is", .doc = "archived templates are neither listed nor used"},
};
static const struct schema_field fork_fields[] = {
    NAME_FIELD("of the new template"), OWNER_FIELD, DEPARTMENT_FIELD,
    {.name = "from", JSON(from), .values = "{\"number\": N} or {\"label\": NAME}",
     .fallback = "the newest version"},
};
static const struct schema_field review_fields[] = {
    {.name = "to", .type = SCHEMA_STRING, .min = 1, .max = 16, AT(to), .required = true,
     .values = "review, approved, rejected"},
    {.name = "note", .type = SCHEMA_STRING, .min = 0, .max = 2000, AT(note)},
    {.name = "evidence", JSON(evidence), .values = "object",
     .doc = "what was looked at; needed for approved"},
    {.name = "without_run", .type = SCHEMA_BOOL, AT(without_run), .fallback = "false",
     .doc = "approve although the test set has not passed; noted in the evidence"},
};
static const struct schema_field render_fields[] = {
    {.name = "variables", JSON(variables), .values = "object", .fallback = "{}"},
};

#define SCHEMA(id, text, list)                                                                     \
    static const struct schema id = {text, list, sizeof(list) / sizeof(list)[0]}
SCHEMA(CREATE, "POST /admin/v1/templates", create_fields);
SCHEMA(NEW_VERSION, "POST /admin/v1/templates/{name}/versions", version_fields);
SCHEMA(LINT, "POST /admin/v1/templates/lint", lint_fields);
SCHEMA(PATCH, "PATCH /admin/v1/templates/{name}", patch_fields);
SCHEMA(FORK, "POST /admin/v1/templates/{name}/fork", fork_fields);
SCHEMA(REVIEW, "POST /admin/v1/templates/{name}/versions/{number}/review", review_fields);
SCHEMA(RENDER, "POST /admin/v1/templates/{name}/versions/{number}/render", render_fields);

static json_t *read_body(const struct api_call *call, struct template_body *b, struct api_error *e)
{
    *b = TEMPLATE_BODY_INIT;
    return api_body(call, call->route->body, b, e);
}

/* ---- lists ------------------------------------------------------------------------------------ */

/* A key that is limited to templates sees only those. */
static json_t *visible_take(const struct api_call *call, json_t *all)
{
    json_t *out = json_array(), *row;
    size_t i;
    json_array_foreach (all, i, row)
        if (key_allows_template(call->grant, json_string_value(json_object_get(row, "name"))))
            json_array_append(out, row);
    json_decref(all);
    return out;
}

static json_t *or_null(json_t *v)
{
    return v ? json_incref(v) : json_null();
}

static void list(const struct api_call *call, struct api_answer *answer)
{
    struct registry_filter f = {.prefix = api_query(call, "prefix"),
                                .tag = api_query(call, "tag"),
                                .label = api_query(call, "label"),
                                .after = api_query(call, "after")};
    struct template_call t;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *data;
    template_call_init(&t, call);
    if (!admin_limit(call, &f.limit, &e) ||
        !api_query_bool(call, "archived", false, &f.archived, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    size_t limit = f.limit++; /* one more says whether a page follows */
    if (!registry_list(t.registry, &t.who, &f, &data, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    bool more = json_array_remove(data, limit) == 0;
    json_t *next = or_null(more ? json_object_get(json_array_get(data, limit - 1), "name") : NULL);
    api_answer_json_take(answer, 200,
                         json_pack("{s:s, s:o, s:o}", "object", "list", "data",
                                   visible_take(call, data), "next", next));
}

/* ---- saving ----------------------------------------------------------------------------------- */

static json_t *or_empty(json_t *list)
{
    return list ? json_incref(list) : json_array();
}

static void answer_saved(struct api_answer *answer, const char *name,
                         const struct registry_saved *s)
{
    char path[TEMPLATE_PATH];
    template_path(path, name);
    api_answer_etag(answer, s->revision);
    if (!s->unchanged)
        api_answer_header(answer, "Location", "%s/versions/%" PRId64, path, s->number);
    api_answer_json_take(
        answer, s->unchanged ? 200 : 201,
        json_pack("{s:I, s:s, s:I, s:s, s:I, s:b, s:o, s:o}", "template_id",
                  (json_int_t)s->template_id, "name", name, "number", (json_int_t)s->number,
                  "hash", s->hash, "revision", (json_int_t)s->revision, "unchanged",
                  (int)s->unchanged, "findings", or_empty(s->findings), "measures",
                  or_null(s->measures)));
}

static void save(const struct template_call *t, const struct registry_save *job,
                 struct api_answer *answer)
{
    struct registry_saved saved;
    struct err why = ERR_INIT;
    if (registry_save(t->registry, &t->act, job, &saved, &why))
        answer_saved(answer, job->name, &saved);
    else
        template_answer_refused_take(answer, &why, "findings",
                                     json_array_size(saved.findings) ? json_incref(saved.findings)
                                                                     : NULL);
    registry_saved_release(&saved);
}

static void create(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct template_body b;
    struct api_error e = API_ERROR_INIT;
    json_t *body = read_body(call, &b, &e);
    template_call_init(&t, call);
    if (!body || (!key_allows_template(call->grant, b.name) &&
                  !api_fail(&e, API_DENIED, "name", "This key is limited to other templates."))) {
        json_decref(body);
        api_answer_error(answer, &e);
        return;
    }
    struct registry_save job = {.name = b.name,
                                .content = b.content,
                                .note = b.note,
                                .tags = b.tags,
                                .owner_id = b.owner_id > 0 ? b.owner_id : 0,
                                .department_id = b.department_id > 0 ? b.department_id : 0};
    save(&t, &job, answer);
    json_decref(body);
}

static void add_version(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct template_body b;
    struct api_error e = API_ERROR_INIT;
    int64_t revision = 0;
    json_t *body = NULL;
    if (!template_call_named(&t, call, &e) || !(body = read_body(call, &b, &e)) ||
        !api_revision(call, &revision, &e)) {
        api_answer_error(answer, &e);
    } else if (!revision) {
        api_fail(&e, API_STALE, NULL, "If-Match must be the ETag that a GET answered.");
        api_answer_error(answer, &e);
    } else {
        struct registry_save job = {.name = t.name, .content = b.content, .note = b.note,
                                    .tags = b.tags, .revision = revision};
        save(&t, &job, answer);
    }
    json_decref(body);
}

static void lint(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct template_body b;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct registry_saved out;
    json_t *body = read_body(call, &b, &e);
    if (!body) {
        api_answer_error(answer, &e);
        return;
    }
    template_call_init(&t, call);
    if (registry_lint(t.registry, &t.who, b.name, b.content, &out, &why))
        api_answer_json_take(answer, 200,
                             json_pack("{s:o, s:o}", "findings", or_empty(out.findings),
                                       "measures", or_null(out.measures)));
    else
        api_answer_act(answer, &why);
    registry_saved_release(&out);
    json_decref(body);
}

static bool read_from(const json_t *from, struct registry_ref *out, struct api_error *e)
{
    const json_t *number = json_object_get(from, "number");
    *out = (struct registry_ref){.label = json_string_value(json_object_get(from, "label")),
                                 .number = json_integer_value(number)};
    bool one = json_object_size(from) == 1 && (out->label || out->number > 0);
    if (from && !one)
        return api_fail(e, API_INVALID_VALUE, "from",
                        "'from' must be {\"number\": N} or {\"label\": NAME}.");
    return true;
}

static void fork_template(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct template_body b;
    struct registry_ref ref;
    struct registry_saved saved;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *body = NULL;
    bool ok = template_call_named(&t, call, &e) && (body = read_body(call, &b, &e)) &&
              read_from(b.from, &ref, &e);
    if (ok && !key_allows_template(call->grant, b.name))
        ok = api_fail(&e, API_DENIED, "name", "This key is limited to other templates.");
    if (!ok) {
        api_answer_error(answer, &e);
        json_decref(body);
        return;
    }
    if (registry_fork(t.registry, &t.act, t.name, ref, b.name, b.owner_id > 0 ? b.owner_id : 0,
                      b.department_id > 0 ? b.department_id : 0, &saved, &why))
        answer_saved(answer, b.name, &saved);
    else
        template_answer_refused_take(answer, &why, "findings",
                                     json_array_size(saved.findings) ? json_incref(saved.findings)
                                                                     : NULL);
    registry_saved_release(&saved);
    json_decref(body);
}

/* ---- one template ----------------------------------------------------------------------------- */

static void answer_template(const struct template_call *t, struct api_answer *answer)
{
    struct err why = ERR_INIT;
    json_t *out;
    if (!registry_get(t->registry, &t->who, t->name, &out, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    api_answer_etag(answer, json_integer_value(json_object_get(out, "revision")));
    api_answer_json_take(answer, 200, out);
}

static void get_template(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct api_error e = API_ERROR_INIT;
    if (template_call_named(&t, call, &e))
        answer_template(&t, answer);
    else
        api_answer_error(answer, &e);
}

static void patch_template(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct template_body b;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    int64_t revision;
    json_t *body = NULL;
    if (!template_call_named(&t, call, &e) || !(body = read_body(call, &b, &e)) ||
        !api_revision(call, &revision, &e)) {
        api_answer_error(answer, &e);
        json_decref(body);
        return;
    }
    if (json_is_null(json_object_get(body, "department_id")))
        b.department_id = 0; /* as GET shows it: everybody */
    struct registry_change change = {.tags = b.tags, .owner_id = b.owner_id,
                                     .department_id = b.department_id, .archived = b.archived};
    if (registry_change(t.registry, &t.act, t.name, revision, &change, &why))
        answer_template(&t, answer);
    else
        api_answer_act(answer, &why);
    json_decref(body);
}

/* ---- versions --------------------------------------------------------------------------------- */

/* The name, and the number or label behind "versions/". */
static bool version_of(const struct api_call *call, struct template_call *t,
                       struct registry_ref *ref, struct api_error *e)
{
    return template_call_named(t, call, e) && template_ref(call->param[1], ref, e);
}

static void get_version(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct registry_ref ref;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *out;
    if (!version_of(call, &t, &ref, &e))
        api_answer_error(answer, &e);
    else if (!registry_version(t.registry, &t.who, t.name, ref, &out, &why))
        api_answer_act(answer, &why);
    else
        api_answer_json_take(answer, 200, out);
}

static void delete_version(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    int64_t number;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    if (!template_call_named(&t, call, &e) || !api_param_id(call, 1, &number, &e))
        api_answer_error(answer, &e);
    else if (!registry_delete_version(t.registry, &t.act, t.name, number, &why))
        api_answer_act(answer, &why);
    else
        answer->status = 204;
}

static void write_diff(const char *name, const json_t *diff, struct api_answer *answer)
{
    answer->type = "text/plain; charset=utf-8";
    buf_printf(&answer->body, "%s: %lld -> %lld\n", name,
               (long long)json_integer_value(json_object_get(diff, "from")),
               (long long)json_integer_value(json_object_get(diff, "to")));
    diff_text(json_object_get(diff, "changes"), &answer->body);
}

static bool read_side(const struct api_call *call, const char *name, struct registry_ref *out,
                      struct api_error *e)
{
    const char *text = api_query(call, name);
    if (!text)
        return api_fail(e, API_MISSING_FIELD, name,
                        "'%s' must be the number of a version, or a label.", name);
    return template_ref(text, out, e);
}

static void diff(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct registry_ref from, to;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *out;
    const char *format = api_query(call, "format");
    bool ok = template_call_named(&t, call, &e) && read_side(call, "from", &from, &e) &&
              read_side(call, "to", &to, &e);
    if (ok && format && strcmp(format, "text") && strcmp(format, "json"))
        ok = api_fail(&e, API_INVALID_VALUE, "format", "'format' must be json or text.");
    if (!ok) {
        api_answer_error(answer, &e);
    } else if (!registry_diff(t.registry, &t.who, t.name, from, to, &out, &why)) {
        api_answer_act(answer, &why);
    } else if (format && !strcmp(format, "text")) {
        write_diff(t.name, out, answer);
        json_decref(out);
    } else {
        api_answer_json_take(answer, 200, out);
    }
}

/* ---- reviews ---------------------------------------------------------------------------------- */

static bool read_state(const char *word, enum registry_state *out, struct api_error *e)
{
    for (*out = STATE_REVIEW; *out <= STATE_REJECTED; (*out)++)
        if (!strcmp(word, registry_state_name(*out)))
            return true;
    return api_fail(e, API_INVALID_VALUE, "to", "'to' must be review, approved or rejected.");
}

static void review(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct template_body b;
    struct registry_decision d = {0};
    struct registry_ref ref = {0};
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *body = NULL, *out;
    bool ok = template_call_named(&t, call, &e) && api_param_id(call, 1, &ref.number, &e) &&
              (body = read_body(call, &b, &e)) && read_state(b.to, &d.to, &e);
    if (ok && b.evidence && !json_is_object(b.evidence))
        ok = api_fail(&e, API_INVALID_VALUE, "evidence", "'evidence' must be an object.");
    if (!ok) {
        api_answer_error(answer, &e);
        json_decref(body);
        return;
    }
    d.note = b.note;
    d.evidence = b.evidence;
    d.without_run = b.without_run;
    if (registry_review(t.registry, &t.act, t.name, ref.number, &d, &why) &&
        registry_version(t.registry, &t.who, t.name, ref, &out, &why))
        api_answer_json_take(answer, 200, out);
    else
        api_answer_act(answer, &why);
    json_decref(body);
}

/* ---- trying out ------------------------------------------------------------------------------- */

/* Tokens of the whole prompt as the loaded model would get it, JSON null without a model. A prompt
 * beyond the context is an answer too: its error says both counts. */
static bool count_prompt(const struct api_model *model, json_t *messages, json_t **out,
                         struct api_error *e)
{
    *out = NULL;
    if (!model || !model->prompt) {
        *out = json_null();
        return true;
    }
    struct params *p = mem_zalloc(sizeof *p);
    struct prompt prompt = {0};
    json_t *body = json_pack("{s:O}", "messages", messages);
    bool ok = params_read(&PARAMS_CHAT_SCHEMA, body, p, e) &&
              prompt_make(model->prompt, p, &prompt, e);
    if (ok)
        *out = json_integer((json_int_t)prompt.n_tokens);
    free(prompt.tokens);
    free(p);
    json_decref(body);
    return ok;
}

static void answer_rendering(const struct api_call *call, const struct registry_resolved *r,
                             const struct prompt_rendering *x, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    char hash[CANON_HASH_HEX];
    json_t *tokens;
    if (!count_prompt(call->model, x->messages, &tokens, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    hash_hex(x->variables_hash, hash);
    api_answer_json_take(answer, 200,
                         json_pack("{s:s, s:I, s:s, s:O, s:O, s:s, s:o}", "name", r->name,
                                   "number", (json_int_t)r->number, "hash", r->hash, "messages",
                                   x->messages, "variables", x->variables, "variables_hash", hash,
                                   "tokens", tokens));
}

static void render(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct template_body b;
    struct registry_request request = {0};
    struct registry_resolved resolved;
    struct prompt_rendering rendering = {0};
    struct findings f;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *body = NULL;
    if (!version_of(call, &t, &request.ref, &e) || !(body = read_body(call, &b, &e)) ||
        (b.variables && !json_is_object(b.variables) &&
         !api_fail(&e, API_INVALID_VALUE, "variables", "'variables' must be an object."))) {
        api_answer_error(answer, &e);
        json_decref(body);
        return;
    }
    request.name = t.name;
    findings_init(&f);
    if (!registry_resolve(t.registry, &t.who, &request, &resolved, &why))
        api_answer_act(answer, &why);
    else if (!prompt_render(resolved.prompt, b.variables, &rendering, &f, &why))
        template_answer_refused_take(answer, &why, "findings",
                                     f.errors ? json_incref(f.list) : NULL);
    else
        answer_rendering(call, &resolved, &rendering, answer);
    prompt_rendering_release(&rendering);
    prompt_unref(&resolved.prompt);
    findings_release(&f);
    json_decref(body);
}

/* ---- routes ----------------------------------------------------------------------------------- */

#define READ                                                                                       \
    .access = ROUTE_OBJECT, .object = AUTHORITY_TEMPLATE, .verb = AUTHORITY_READ,                  \
    .place = ROUTE_SLOW, .needs_database = true
#define WRITE                                                                                      \
    .access = ROUTE_OBJECT, .object = AUTHORITY_TEMPLATE, .verb = AUTHORITY_WRITE,                 \
    .place = ROUTE_SLOW, .needs_database = true
/* Whoever has to do with approvals; what of it, the registry asks. */
#define EDITORIAL                                                                                  \
    .access = ROUTE_OBJECT, .object = AUTHORITY_APPROVAL, .verb = AUTHORITY_READ,                  \
    .place = ROUTE_SLOW, .needs_database = true

static const struct route rows[] = {
    {"GET", "/admin/v1/templates", READ, .handler = list,
     .query = "prefix tag label archived after limit", .summary = "Templates, in order of names"},
    {"POST", "/admin/v1/templates", WRITE, .body_bytes = ADMIN_BODY_TEMPLATE, .handler = create,
     .body = &CREATE, .summary = "A new template with its version 1"},
    {"POST", "/admin/v1/templates/lint", WRITE, .body_bytes = ADMIN_BODY_TEMPLATE, .handler = lint,
     .body = &LINT, .summary = "What a save would find, without saving"},
    {"GET", "/admin/v1/templates/{name}", READ, .handler = get_template,
     .summary = "One template with its versions and labels"},
    {"PATCH", "/admin/v1/templates/{name}", WRITE, .body_bytes = ADMIN_BODY,
     .revised = true, .handler = patch_template, .body = &PATCH,
     .summary = "Tags, owner, department, archive"},
    {"GET", "/admin/v1/templates/{name}/diff", READ, .handler = diff, .query = "from to format",
     .summary = "What changed between two versions"},
    {"POST", "/admin/v1/templates/{name}/fork", WRITE, .body_bytes = ADMIN_BODY,
     .handler = fork_template, .body = &FORK, .summary = "A new template from a version of this one"},
    {"POST", "/admin/v1/templates/{name}/versions", WRITE, .body_bytes = ADMIN_BODY_TEMPLATE,
     .revised = true, .handler = add_version, .body = &NEW_VERSION,
     .summary = "A new version; If-Match: the template's revision"},
    {"GET", "/admin/v1/templates/{name}/versions/{number}", READ, .handler = get_version,
     .summary = "One version, by number or label"},
    {"DELETE", "/admin/v1/templates/{name}/versions/{number}", WRITE, .handler = delete_version,
     .summary = "Delete a version to which nothing points"},
    {"POST", "/admin/v1/templates/{name}/versions/{number}/review", EDITORIAL,
     .body_bytes = ADMIN_BODY, .handler = review, .body = &REVIEW,
     .summary = "Hand in, approve or reject a version"},
    {"POST", "/admin/v1/templates/{name}/versions/{number}/render", READ,
     .body_bytes = ADMIN_BODY_TEMPLATE, .handler = render, .body = &RENDER,
     .summary = "The messages that variables give, drafts too"},
};

const struct route_table ADMIN_TEMPLATES = ROUTE_TABLE(rows);
