/* The OpenAPI document against the route tables: nothing is missing, nothing is double, every reference
 * leads somewhere. */
#include <config.h>

#include <check.h>
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "api/schema.h"

static json_t *doc;

static void setup(void)
{
    json_t *made = admin_openapi();
    ck_assert_ptr_nonnull(made);
    char *text = json_dumps(made, JSON_COMPACT);
    ck_assert_ptr_nonnull(text);
    doc = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(doc);
    free(text);
    json_decref(made);
}

static void teardown(void)
{
    json_decref(doc);
}

static json_t *operation_of(const struct route *r)
{
    char path[256], method[16];
    snprintf(path, sizeof path, "%s", r->path);
    char *plus = strstr(path, "+}");
    if (plus)
        memmove(plus, plus + 1, strlen(plus));
    snprintf(method, sizeof method, "%s", r->method);
    for (char *p = method; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    json_t *item = json_object_get(json_object_get(doc, "paths"), path);
    ck_assert_msg(json_is_object(item), "no path %s", path);
    json_t *op = json_object_get(item, method);
    ck_assert_msg(json_is_object(op), "no %s %s", method, path);
    return op;
}

START_TEST(every_row_says_who_and_what)
{
    size_t n = 0;
    for (; admin_route_at(n); n++) {
        const struct route *r = admin_route_at(n);
        ck_assert_msg(r->access > ROUTE_UNSET && r->access < ROUTE_ACCESS_COUNT, "%s %s", r->method,
                      r->path);
        ck_assert_msg(r->access != ROUTE_SCOPE || r->scope, "%s %s", r->method, r->path);
        ck_assert_msg(r->summary && *r->summary, "%s %s", r->method, r->path);
        json_t *op = operation_of(r);
        ck_assert_str_eq(json_string_value(json_object_get(op, "summary")), r->summary);
        json_t *access = json_object_get(op, "x-access");
        ck_assert(json_is_object(access) || json_is_string(access));
        ck_assert(json_is_object(json_object_get(op, "responses")));
        ck_assert_msg(!r->body_bytes == !json_object_get(op, "requestBody"), "%s", r->path);
    }
    ck_assert_uint_gt(n, 30);
}
END_TEST

START_TEST(no_row_is_double)
{
    const char *path, *method;
    json_t *item, *op, *ids = json_object();
    size_t operations = 0, rows = 0;
    json_object_foreach (json_object_get(doc, "paths"), path, item)
        json_object_foreach (item, method, op) {
            const char *id = json_string_value(json_object_get(op, "operationId"));
            ck_assert_ptr_nonnull(id);
            ck_assert_msg(!json_object_get(ids, id), "%s twice", id);
            json_object_set_new(ids, id, json_true());
            operations++;
        }
    while (admin_route_at(rows))
        rows++;
    ck_assert_uint_eq(operations, rows);
    json_decref(ids);
}
END_TEST

static const json_t *named(const json_t *list, const char *name, const char *in)
{
    size_t i;
    json_t *p;
    json_array_foreach (list, i, p) {
        const char *n = json_string_value(json_object_get(p, "name"));
        if (n && !strcmp(n, name) && !strcmp(json_string_value(json_object_get(p, "in")), in))
            return p;
    }
    return NULL;
}

START_TEST(parameters_are_those_of_the_rows)
{
    for (size_t i = 0; admin_route_at(i); i++) {
        const struct route *r = admin_route_at(i);
        const json_t *list = json_object_get(operation_of(r), "parameters");
        char words[512], *save = NULL;
        snprintf(words, sizeof words, "%s", r->query ? r->query : "");
        for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
            ck_assert_msg(named(list, w, "query") != NULL, "%s ?%s", r->path, w);
        snprintf(words, sizeof words, "%s", r->path);
        for (char *p = strchr(words, '{'); p; p = strchr(p, '{')) {
            char *name = ++p;
            p += strcspn(p, "+}");
            char end = *p;
            *p = '\0';
            ck_assert_msg(named(list, name, "path") != NULL, "%s {%s}", r->path, name);
            *p = end;
        }
    }
}
END_TEST

static bool asks_for(const struct route *r, const char *ref)
{
    const json_t *list = json_object_get(operation_of(r), "parameters");
    size_t i;
    json_t *p;
    json_array_foreach (list, i, p) {
        const char *to = json_string_value(json_object_get(p, "$ref"));
        if (to && !strcmp(to, ref))
            return true;
    }
    return false;
}

/* Only what changes an object that was read before takes its revision. */
START_TEST(revisions_are_asked_for_where_they_count)
{
    static const char *const changes[] = {
        "PATCH /admin/v1/departments/{id}",
        "PATCH /admin/v1/users/{id}",
        "PATCH /admin/v1/keys/{id}",
        "PUT /admin/v1/quotas/{kind}/{id}",
        "DELETE /admin/v1/quotas/{kind}/{id}",
        "PUT /admin/v1/calendars/{id}",
        "DELETE /admin/v1/calendars/{id}",
        "PATCH /admin/v1/templates/{name}",
        "POST /admin/v1/templates/{name}/versions",
        "PUT /admin/v1/templates/{name}/labels/{label}",
        "DELETE /admin/v1/templates/{name}/labels/{label}",
        "POST /admin/v1/templates/{name}/labels/{label}/rollback",
        "PUT /admin/v1/templates/{name}/labels/{label}/protection",
        "PUT /admin/v1/templates/{name}/labels/{label}/canary",
    };
    enum { N = sizeof changes / sizeof changes[0] };
    unsigned found = 0;
    for (size_t i = 0; admin_route_at(i); i++) {
        const struct route *r = admin_route_at(i);
        char name[256];
        bool wanted = false;
        snprintf(name, sizeof name, "%s %s", r->method, r->path);
        for (size_t k = 0; k < N; k++)
            wanted = wanted || !strcmp(changes[k], name);
        ck_assert_msg(asks_for(r, "#/components/parameters/If-Match") == wanted, "%s", name);
        found += wanted;
    }
    ck_assert_uint_eq(found, N);
}
END_TEST

START_TEST(bodies_are_those_of_the_tables)
{
    static const char *const types[] = {[SCHEMA_BOOL] = "boolean", [SCHEMA_INT] = "integer",
                                        [SCHEMA_NUMBER] = "number", [SCHEMA_STRING] = "string"};
    size_t fields = 0;
    for (size_t i = 0; admin_route_at(i); i++) {
        const struct route *r = admin_route_at(i);
        json_t *schema = NULL;
        if (!r->body)
            continue;
        ck_assert_msg(r->body_bytes, "%s describes a body but takes none", r->path);
        ck_assert_int_eq(json_unpack(operation_of(r), "{s:{s:{s:{s:o}}}}", "requestBody", "content",
                                     "application/json", "schema", &schema), 0);
        for (size_t k = 0; k < r->body->n_fields; k++, fields++) {
            const struct schema_field *f = &r->body->fields[k];
            json_t *p = json_object_get(json_object_get(schema, "properties"), f->name);
            ck_assert_msg(json_is_object(p), "%s: no %s", r->path, f->name);
            if (f->type > SCHEMA_STRING)
                continue;
            ck_assert_str_eq(json_string_value(json_object_get(p, "type")), types[f->type]);
            if (f->type == SCHEMA_INT)
                ck_assert(json_integer_value(json_object_get(p, "maximum")) ==
                          (json_int_t)f->max);
        }
    }
    ck_assert_uint_gt(fields, 50);
}
END_TEST

static void follow_refs(const json_t *v)
{
    const char *key;
    json_t *child;
    size_t i;
    json_object_foreach ((json_t *)(uintptr_t)v, key, child) {
        if (strcmp(key, "$ref")) {
            follow_refs(child);
            continue;
        }
        char ref[128], *save = NULL;
        const json_t *at = doc;
        snprintf(ref, sizeof ref, "%s", json_string_value(child));
        for (char *w = strtok_r(ref, "/", &save); w; w = strtok_r(NULL, "/", &save))
            at = strcmp(w, "#") ? json_object_get(at, w) : doc;
        ck_assert_msg(json_is_object(at), "%s leads nowhere", json_string_value(child));
    }
    json_array_foreach (v, i, child)
        follow_refs(child);
}

/* What can be asked for page by page says how it answers. */
START_TEST(lists_say_their_form)
{
    unsigned lists = 0;
    for (size_t i = 0; admin_route_at(i); i++) {
        const struct route *r = admin_route_at(i);
        const json_t *parameters = json_object_get(operation_of(r), "parameters");
        const char *ref = NULL;
        bool list = named(parameters, "after", "query") && named(parameters, "limit", "query");
        int rc = json_unpack(operation_of(r), "{s:{s:{s:{s:{s:{s:s}}}}}}", "responses", "2XX",
                             "content", "application/json", "schema", "$ref", &ref);
        ck_assert_msg(list == (rc == 0), "%s %s", r->method, r->path);
        ck_assert(!list || !strcmp(ref, "#/components/schemas/list"));
        lists += list;
    }
    ck_assert_uint_ge(lists, 10);
}
END_TEST

START_TEST(references_lead_somewhere)
{
    follow_refs(doc);
    const char *version = json_string_value(json_object_get(doc, "openapi"));
    ck_assert(version && !strncmp(version, "3.1.", 4));
    ck_assert_ptr_nonnull(json_object_get(json_object_get(doc, "info"), "version"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("openapi");
    TCase *tc = tcase_create("document");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_row_says_who_and_what);
    tcase_add_test(tc, no_row_is_double);
    tcase_add_test(tc, parameters_are_those_of_the_rows);
    tcase_add_test(tc, revisions_are_asked_for_where_they_count);
    tcase_add_test(tc, bodies_are_those_of_the_tables);
    tcase_add_test(tc, lists_say_their_form);
    tcase_add_test(tc, references_lead_somewhere);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
