/* Owns: the route tables as an OpenAPI 3.1 document: what a row says, in OpenAPI's words.
 * Refuses to know: any particular endpoint.
 *
 * Nothing is written down twice: paths, query names, access and summaries are those of the rows that
 * serve requests, bodies those of the schema tables that read them. */
#include <config.h>

#include "admin/admin.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "api/schema.h"
#include "version.h"

enum { NAME_BYTES = 256 };

/* ---- bodies ----------------------------------------------------------------------------------- */

static json_t *typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

static json_t *number_schema(const struct schema_field *f, const char *type)
{
    json_t *s = typed(type);
    bool whole = f->type == SCHEMA_INT;
    json_object_set_new(s, "minimum", whole ? json_integer((json_int_t)f->min) : json_real(f->min));
    json_object_set_new(s, "maximum", whole ? json_integer((json_int_t)f->max) : json_real(f->max));
    return s;
}

/* What a field accepts. Bytes are at least as many as characters, so maxLength is an upper bound. */
static json_t *field_type(const struct schema_field *f)
{
    json_t *s;
    switch (f->type) {
    case SCHEMA_BOOL:
        return typed("boolean");
    case SCHEMA_INT:
        return number_schema(f, "integer");
    case SCHEMA_NUMBER:
        return number_schema(f, "number");
    case SCHEMA_STRING:
        s = typed("string");
        if (f->min >= 1)
            json_object_set_new(s, "minLength", json_integer(1));
        json_object_set_new(s, "maxLength", json_integer((json_int_t)f->max));
        return s;
    default:
        return json_object();
    }
}

static void put_description(json_t *s, const struct schema_field *f)
{
    char text[1024];
    const char *doc = f->doc ? f->doc : "", *accepts = f->values ? f->values : "";
    const char *how = f->type == SCHEMA_REFUSED   ? "not supported"
                      : f->type == SCHEMA_IGNORED ? "accepted, without effect"
                      : f->type == SCHEMA_FIXED   ? "only this value: "
                                                  : "";
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s", doc, *doc && (*how || *accepts) ? "; " : "", how,
             accepts, f->fallback ? " (default: " : "", f->fallback ? f->fallback : "",
             f->fallback ? ")" : "");
    if (*text)
        json_object_set_new(s, "description", json_string(text));
}

/* A default that is a value of the field's type; others are words for people. */
static void put_default(json_t *s, const struct schema_field *f)
{
    json_t *v = f->fallback ? json_loads(f->fallback, JSON_DECODE_ANY, NULL) : NULL;
    bool fits = (f->type == SCHEMA_BOOL && json_is_boolean(v)) ||
                (f->type == SCHEMA_INT && json_is_integer(v)) ||
                (f->type == SCHEMA_NUMBER && json_is_number(v)) ||
                (f->type == SCHEMA_STRING && json_is_string(v));
    if (fits)
        json_object_set(s, "default", v);
    json_decref(v);
}

static json_t *body_schema(const struct schema *schema)
{
    json_t *properties = json_object(), *required = json_array();
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *f = &schema->fields[i];
        json_t *s = field_type(f);
        put_description(s, f);
        put_default(s, f);
        json_object_set_new(properties, f->name, s);
        if (f->required && !f->fallback)
            json_array_append_new(required, json_string(f->name));
    }
    json_t *out = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    if (json_array_size(required))
        json_object_set(out, "required", required);
    json_decref(required);
    return out;
}

static json_t *request_body(const struct route *r)
{
    json_t *schema = r->body ? body_schema(r->body) : typed("object");
    return json_pack("{s:{s:{s:o}}}", "content", "application/json", "schema", schema);
}

/* ---- paths ------------------------------------------------------------------------------------ */

/* OpenAPI knows no "{id+}". */
static void openapi_path(const char *path, char out[NAME_BYTES])
{
    size_t n = 0;
    for (; *path && n + 1 < NAME_BYTES; path++)
        if (*path != '+' || path[1] != '}')
            out[n++] = *path;
    out[n] = '\0';
}

/* "get_admin_v1_users_id" */
static void operation_id(const struct route *r, char out[NAME_BYTES])
{
    size_t n = 0;
    for (const char *p = r->method; *p && n + 1 < NAME_BYTES; p++)
        out[n++] = (char)tolower((unsigned char)*p);
    for (const char *p = r->path; *p && n + 1 < NAME_BYTES; p++) {
        if (isalnum((unsigned char)*p))
            out[n++] = *p;
        else if (out[n - 1] != '_' && *p != '+' && *p != '}')
            out[n++] = '_';
    }
    out[n] = '\0';
}

static json_t *parameter(const char *name, size_t len, const char *in)
{
    bool path = !strcmp(in, "path");
    return json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", name, len, "in", in, "required",
                     (int)path, "schema", "type", "string");
}

static json_t *header_parameter(const char *name)
{
    char ref[64];
    snprintf(ref, sizeof ref, "#/components/parameters/%s", name);
    return json_pack("{s:s}", "$ref", ref);
}

static json_t *parameters(const struct route *r)
{
    json_t *list = json_array();
    for (const char *p = strchr(r->path, '{'); p; p = strchr(p, '{')) {
        size_t len = strcspn(++p, "+}");
        json_array_append_new(list, parameter(p, len, "path"));
    }
    for (const char *q = r->query ? r->query : ""; *q;) {
        size_t len = strcspn(q, " ");
        if (len)
            json_array_append_new(list, parameter(q, len, "query"));
        q += len + (q[len] == ' ');
    }
    bool admin = !strncmp(r->path, "/admin/", 7);
    if (r->revised)
        json_array_append_new(list, header_parameter("If-Match"));
    if (admin && strcmp(r->method, "GET"))
        json_array_append_new(list, header_parameter("X-Reason"));
    return list;
}

/* ---- answers ---------------------------------------------------------------------------------- */

static bool takes(const struct route *r, const char *word)
{
    size_t len = strlen(word);
    for (const char *q = r->query ? r->query : ""; *q; q += strspn(q, " ")) {
        size_t n = strcspn(q, " ");
        if (n == len && !memcmp(q, word, len))
            return true;
        q += n;
    }
    return false;
}

/* What comes in pages has one form (admin.h). */
static json_t *responses(const struct route *r)
{
    json_t *done = json_pack("{s:s}", "description", "Done");
    if (takes(r, "after") && takes(r, "limit"))
        json_object_set_new(done, "content",
                            json_pack("{s:{s:{s:s}}}", "application/json", "schema", "$ref",
                                      "#/components/schemas/list"));
    return json_pack("{s:o, s:{s:s}}", "2XX", done, "default", "$ref",
                     "#/components/responses/error");
}

/* ---- access ----------------------------------------------------------------------------------- */

static json_t *access_json(const struct route *r)
{
    switch (r->access) {
    case ROUTE_PUBLIC:
        return json_string("public");
    case ROUTE_SIGNED_IN:
        return json_string("signed in");
    case ROUTE_SCOPE:
        return json_pack("{s:o}", "scope", admin_scopes_json(r->scope));
    case ROUTE_OBJECT:
        return json_pack("{s:s, s:s}", "object", authority_object_name(r->object), "verb",
                         r->verb == AUTHORITY_READ ? "read" : "write");
    case ROUTE_LOCAL:
        return json_string("local socket");
    default:
        return json_null();
    }
}

/* The local socket needs no credentials: file permissions are its key. */
static json_t *security(const struct route *r)
{
    if (r->access == ROUTE_PUBLIC || r->access == ROUTE_LOCAL)
        return json_array();
    return json_pack("[{s:[]}, {s:[]}]", "key", "session");
}

/* ---- the document ----------------------------------------------------------------------------- */

static json_t *operation(const struct route *r)
{
    char id[NAME_BYTES];
    operation_id(r, id);
    json_t *op = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "operationId", id,
                           "summary", r->summary ? r->summary : "", "parameters", parameters(r),
                           "security", security(r), "x-access", access_json(r), "responses",
                           responses(r));
    if (op && r->body_bytes)
        json_object_set_new(op, "requestBody", request_body(r));
    return op;
}

static json_t *all_paths(void)
{
    json_t *paths = json_object();
    for (size_t i = 0; admin_route_at(i); i++) {
        const struct route *r = admin_route_at(i);
        char path[NAME_BYTES], method[16];
        openapi_path(r->path, path);
        size_t n = 0;
        for (const char *m = r->method; *m && n + 1 < sizeof method; m++)
            method[n++] = (char)tolower((unsigned char)*m);
        method[n] = '\0';
        json_t *item = json_object_get(paths, path);
        if (!item) {
            item = json_object();
            json_object_set_new(paths, path, item);
        }
        json_object_set_new(item, method, operation(r));
    }
    return paths;
}

static json_t *error_schema(void)
{
    return json_pack(
        "{s:s, s:[s], s:{s:{s:s, s:[s,s,s], s:{s:{s:s}, s:{s:s}, s:{s:[s,s]}, s:{s:s}}}}}", "type",
        "object", "required", "error", "properties", "error", "type", "object", "required",
        "message", "type", "code", "properties", "message", "type", "string", "type", "type",
        "string", "param", "type", "string", "null", "code", "type", "string");
}

static json_t *list_schema(void)
{
    return json_pack("{s:s, s:[s,s,s], s:{s:{s:s}, s:{s:s, s:{s:s}}, s:{s:[s,s,s], s:s}}}", "type",
                     "object", "required", "object", "data", "next", "properties", "object", "const",
                     "list", "data", "type", "array", "items", "type", "object", "next", "type",
                     "integer", "string", "null", "description",
                     "for ?after=, to go on; null: this was the end");
}

static json_t *header_json(const char *name, const char *text)
{
    return json_pack("{s:s, s:s, s:s, s:{s:s}}", "name", name, "in", "header", "description", text,
                     "schema", "type", "string");
}

static json_t *components(void)
{
    return json_pack(
        "{s:{s:o, s:o}, s:{s:{s:s, s:{s:{s:{s:s}}}}}, s:{s:o, s:o}, s:{s:{s:s, s:s}, s:{s:s, s:s, s:s, "
        "s:s}}}",
        "schemas", "error", error_schema(), "list", list_schema(), "responses", "error", "description",
        "What went wrong, in a sentence and a code", "content", "application/json", "schema",
        "$ref", "#/components/schemas/error", "parameters", "If-Match",
        header_json("If-Match", "the revision that was read (ETag); 412 when it is old"),
        "X-Reason",
        header_json("X-Reason", "why, for the audit log; percent-encoded UTF-8"), "securitySchemes",
        "key", "type", "http", "scheme", "bearer", "session", "type", "apiKey", "in", "cookie",
        "name", API_SESSION_COOKIE, "description",
        "of POST /admin/v1/login (" API_SESSION_COOKIE_SECURE " where secure_cookies is set); changes "
        "also need its X-CSRF-Token and must come from a page of this server");
}

json_t *admin_openapi(void)
{
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:o}", "openapi", "3.1.0", "info", "title", "seekd",
                     "version", SEEKD_VERSION, "paths", all_paths(), "components", components());
}
