/* The ten definitions of a good prompt registry as callers meet them over HTTP; tests/check_registry.c
 * shows the same ten inside. Which test shows which stands in server/template/README.md. */
#include <config.h>

#include "admin_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testfile.h"

#define TEMPLATES "/admin/v1/templates"
#define GREET TEMPLATES "/office%2Fgreet"
#define CHAT "/v1/chat/completions"

static struct admin_rig rig;

/* ---- a template with two versions ------------------------------------------------------------- */

static const char *save_body(const char *name, const char *intro, const char *more)
{
    static char text[2048];
    int n = snprintf(text, sizeof text,
                     "{%s%s%s\"note\": \"why\", \"content\": {\"messages\": ["
                     "{\"role\": \"system\", \"content\": \"%s\"}%s,"
                     "{\"role\": \"user\", \"content\": \"#reply=Hello {{ who }}#\"}],"
                     "\"variables\": [{\"name\": \"who\", \"type\": \"number\", \"required\": true,"
                     "\"max\": 99}]}}",
                     name ? "\"name\": \"" : "", name ? name : "", name ? "\"," : "", intro, more);
    ck_assert(n > 0 && (size_t)n < sizeof text);
    return text;
}

static int64_t revision_of(const char *path)
{
    admin_expect(&rig, BY_EDITOR, "GET", path, NULL, NULL, 200);
    return admin_etag(&rig);
}

static void add_version(const char *intro, const char *more, int status)
{
    admin_expect(&rig, BY_EDITOR, "POST", GREET "/versions", admin_if_match(revision_of(GREET)),
                 save_body(NULL, intro, more), status);
}

static void setup(void)
{
    admin_rig_open(&rig);
    admin_expect(&rig, BY_EDITOR, "POST", TEMPLATES, NULL, save_body("office/greet", "One.", ""), 201);
    add_version("Two.", "", 201);
    admin_expect(&rig, BY_EDITOR, "PUT", GREET "/labels/staging", NULL, "{\"number\": 1}", 200);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

static json_t *get(enum admin_who who, const char *path)
{
    return admin_call(&rig, who, "GET", path, NULL, NULL, 200);
}

static json_t *ledger(void)
{
    return get(BY_ADMIN, "/admin/v1/usage/requests?limit=50");
}

/* ---- the ten ---------------------------------------------------------------------------------- */

START_TEST(definition_1_a_version_never_changes)
{
    static const char *const ways[] = {"PUT", "PATCH", "POST"};
    json_t *before = get(BY_USER, GREET "/versions/1");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        admin_expect(&rig, BY_EDITOR, ways[i], GREET "/versions/1", "If-Match: \"1\"\r\n",
                     save_body(NULL, "Other.", ""), 405);
    add_version("Three.", "", 201);
    json_t *after = get(BY_USER, GREET "/versions/1");
    ck_assert(json_equal(admin_at(before, "content"), admin_at(after, "content")));
    ck_assert_str_eq(admin_text(before, "hash"), admin_text(after, "hash"));
    ck_assert_str_eq(admin_text(after, "content/messages/0/content"), "One.");
    json_decref(before);
    json_decref(after);
}
END_TEST

START_TEST(definition_2_a_move_of_a_label_is_audited)
{
    admin_expect(&rig, BY_EDITOR, "PUT", GREET "/labels/staging",
                 "If-Match: \"1\"\r\nX-Reason: better%20text\r\n", "{\"number\": 2}", 200);
    admin_expect(&rig, BY_EDITOR, "PUT", GREET "/labels/staging", admin_if_match(2),
                 "{\"number\": 9}", 404); /* nothing happened: no row */
    json_t *v = get(BY_AUDITOR, "/admin/v1/audit?action=label.move&limit=50");
    size_t n = json_array_size(admin_at(v, "data"));
    ck_assert_uint_ge(n, 1);
    const json_t *row = json_array_get(admin_at(v, "data"), n - 1);
    ck_assert_str_eq(admin_text(row, "object_id"), "office/greet@staging");
    ck_assert_int_eq(admin_number(row, "before/number"), 1);
    ck_assert_int_eq(admin_number(row, "after/number"), 2);
    ck_assert_int_eq(admin_number(row, "actor_id"), rig.person[BY_EDITOR].id);
    ck_assert_str_eq(admin_text(row, "reason"), "better text");
    json_decref(v);
}
END_TEST

START_TEST(definition_3_resolution_is_strict)
{
    static const struct {
        const char *which;
        int status;
    } cases[] = {
        {"", 404}, /* means production, which is not there: never latest */
        {",\"label\":\"production\"", 404},
        {",\"label\":\"Staging\"", 404},
        {",\"label\":\"staging2\"", 404},
        {",\"version\":3", 404},
        {",\"version\":1,\"label\":\"staging\"", 400},
        {",\"version\":1", 200},
        {",\"label\":\"staging\"", 200},
        {",\"label\":\"latest\"", 200},
    };
    char body[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(body, sizeof body, "{\"prompt\":{\"id\":\"office/greet\"%s,\"variables\":{\"who\":4}}}",
                 cases[i].which);
        admin_expect(&rig, BY_USER, "POST", CHAT, NULL, body, cases[i].status);
    }
}
END_TEST

/* The answer, too, says what was used. */
START_TEST(definition_4_the_ledger_says_what_was_used)
{
    json_t *template = get(BY_USER, GREET);
    json_t *answer = admin_call(&rig, BY_USER, "POST", CHAT, NULL,
                                "{\"prompt\":{\"id\":\"office/greet\",\"label\":\"staging\","
                                "\"variables\":{\"who\":4}}}", 200);
    ck_assert_str_eq(admin_text(answer, "prompt/version"), "1");
    ck_assert_str_eq(admin_text(answer, "prompt/label"), "staging");
    json_decref(answer);
    admin_expect(&rig, BY_USER, "POST", CHAT, NULL,
                 "{\"prompt\":{\"id\":\"office/greet\",\"version\":2,\"variables\":{\"who\":4}}}", 200);
    json_t *v = ledger();
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 2);
    const json_t *newer = admin_at(v, "data/0"), *older = admin_at(v, "data/1");
    if (admin_number(newer, "template_version") == 1) {
        const json_t *swap = newer;
        newer = older;
        older = swap;
    }
    ck_assert_int_eq(admin_number(older, "template_id"), admin_number(template, "id"));
    ck_assert_int_eq(admin_number(older, "template_version"), 1);
    ck_assert_str_eq(admin_text(older, "template_label"), "staging");
    ck_assert_uint_eq(strlen(admin_text(older, "variables_hash")), 64);
    ck_assert_int_eq(admin_number(newer, "template_version"), 2);
    ck_assert(json_is_null(admin_at(newer, "template_label")));
    ck_assert_str_eq(admin_text(newer, "variables_hash"), admin_text(older, "variables_hash"));
    json_decref(v);
    json_decref(template);
}
END_TEST

START_TEST(definition_5_rendering_is_reproducible)
{
    char *text[3];
    for (int i = 0; i < 3; i++) {
        json_t *v = admin_call(&rig, BY_USER, "POST", GREET "/versions/1/render", NULL,
                               i < 2 ? "{\"variables\": {\"who\": 4}}" : "{\"variables\": {\"who\": 5}}",
                               200);
        text[i] = json_dumps(v, JSON_SORT_KEYS);
        json_decref(v);
        if (i == 0) /* what happens beside it does not matter */
            add_version("Three.", "", 201);
    }
    ck_assert_ptr_nonnull(strstr(text[0], "Hello 4"));
    ck_assert_str_eq(text[0], text[1]);
    ck_assert_str_ne(text[0], text[2]);
    for (int i = 0; i < 3; i++)
        free(text[i]);
}
END_TEST

START_TEST(definition_6_variables_are_checked_before_the_queue)
{
    static const char *const bad[] = {
        "{}", "{\"who\":\"x\"}", "{\"who\":100}", "{\"who\":null}", "{\"who\":[4]}",
        "{\"who\":4,\"whom\":4}",
    };
    char body[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(body, sizeof body,
                 "{\"prompt\":{\"id\":\"office/greet\",\"version\":1,\"variables\":%s}}", bad[i]);
        admin_refused(&rig, BY_USER, "POST", CHAT, NULL, body, 400, "invalid_value");
    }
    json_t *v = ledger(); /* none was admitted */
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 0);
    json_decref(v);
}
END_TEST

START_TEST(definition_7_cycles_are_refused_at_the_save)
{
    admin_expect(&rig, BY_EDITOR, "POST", TEMPLATES, NULL,
                 save_body("office/outer", "Outer.", ", {\"include\": \"office/greet\", \"number\": 1}"),
                 201);
    add_version("Ring.", ", {\"include\": \"office/outer\", \"number\": 1}", 400);
    add_version("Self.", ", {\"include\": \"office/greet\", \"label\": \"latest\"}", 400);
    json_t *v = get(BY_USER, GREET "/versions/latest");
    ck_assert_int_eq(admin_number(v, "number"), 2);
    json_decref(v);
}
END_TEST

START_TEST(definition_8_labelled_versions_stay)
{
    admin_refused(&rig, BY_EDITOR, "DELETE", GREET "/versions/1", NULL, NULL, 409, "conflict");
    /* "latest" is a label too */
    admin_refused(&rig, BY_EDITOR, "DELETE", GREET "/versions/2", NULL, NULL, 409, "conflict");
    admin_expect(&rig, BY_EDITOR, "DELETE", GREET "/labels/staging", admin_if_match(1), NULL, 204);
    admin_expect(&rig, BY_EDITOR, "DELETE", GREET "/versions/1", NULL, NULL, 204);
    admin_expect(&rig, BY_EDITOR, "GET", GREET "/versions/1", NULL, NULL, 404);
}
END_TEST

START_TEST(definition_9_concurrent_edits_are_noticed)
{
    int64_t seen = revision_of(GREET);
    add_version("Hers.", "", 201);
    admin_refused(&rig, BY_EDITOR, "POST", GREET "/versions", admin_if_match(seen),
                  save_body(NULL, "His.", ""), 412, "changed_meanwhile");
    admin_refused(&rig, BY_EDITOR, "POST", GREET "/versions", NULL, save_body(NULL, "His.", ""), 428,
                  "if_match_needed");
    admin_expect(&rig, BY_EDITOR, "PUT", GREET "/labels/staging", admin_if_match(1), "{\"number\": 2}",
                 200);
    admin_refused(&rig, BY_EDITOR, "PUT", GREET "/labels/staging", admin_if_match(1),
                  "{\"number\": 3}", 412, "changed_meanwhile");
}
END_TEST

START_TEST(definition_10_an_export_keeps_the_hashes)
{
    char *dir = testfile_make_dir(), *folder = testfile_join(dir, "out"), body[1024], hash[80];
    json_t *v = get(BY_USER, GREET "/versions/latest");
    snprintf(hash, sizeof hash, "%s", admin_text(v, "hash"));
    json_decref(v);
    snprintf(body, sizeof body, "{\"folder\": \"%s\"}", folder);
    admin_expect(&rig, BY_LOCAL, "POST", TEMPLATES "/export", NULL, body, 200);
    admin_rig_close(&rig);
    admin_rig_open(&rig); /* an empty one */
    admin_expect(&rig, BY_EDITOR, "GET", GREET, NULL, NULL, 404);
    snprintf(body, sizeof body, "{\"folder\": \"%s\", \"owner_id\": %" PRId64 "}", folder,
             rig.person[BY_EDITOR].id);
    admin_expect(&rig, BY_LOCAL, "POST", TEMPLATES "/import", NULL, body, 200);
    v = get(BY_USER, GREET "/versions/latest");
    ck_assert_str_eq(admin_text(v, "hash"), hash);
    json_decref(v);
    testfile_remove_dir(dir);
    free(folder);
    free(dir);
}
END_TEST

/* ---- beside them ------------------------------------------------------------------------------ */

START_TEST(a_version_for_a_model_that_is_not_loaded_says_so)
{
    static const char *const body = "{\"name\": \"office/large\", \"note\": \"n\", \"content\": {"
                                    "\"model\": \"deepseek-v3\", \"messages\": ["
                                    "{\"role\": \"user\", \"content\": \"Hi.\"}],"
                                    "\"tests\": [{\"name\": \"t\", \"checks\": [{\"regex\": \".\"}]}]}}";
    static const char *const use = "{\"prompt\":{\"id\":\"office/large\",\"version\":1},"
                                   "\"input\":\"x\"}";
    admin_expect(&rig, BY_EDITOR, "POST", TEMPLATES, NULL, body, 201);
    admin_refused(&rig, BY_USER, "POST", CHAT, NULL,
                  "{\"prompt\":{\"id\":\"office/large\",\"version\":1}}", 404, "model_not_found");
    admin_refused(&rig, BY_USER, "POST", "/v1/responses", NULL, use, 404, "model_not_found");
    admin_refused(&rig, BY_USER, "POST", "/v1/templates/office%2Flarge/run", NULL, "{\"version\":1}",
                  404, "model_not_found");
    json_t *v = admin_call(&rig, BY_EDITOR, "POST", TEMPLATES "/office%2Flarge/versions/1/runs", NULL,
                           "{}", 404);
    ck_assert_str_eq(admin_text(v, "error/code"), "model_not_found");
    ck_assert_ptr_nonnull(strstr(admin_text(v, "error/message"), "deepseek-v3"));
    json_decref(v);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        definition_1_a_version_never_changes, definition_2_a_move_of_a_label_is_audited,
        definition_3_resolution_is_strict, definition_4_the_ledger_says_what_was_used,
        definition_5_rendering_is_reproducible, definition_6_variables_are_checked_before_the_queue,
        definition_7_cycles_are_refused_at_the_save, definition_8_labelled_versions_stay,
        definition_9_concurrent_edits_are_noticed, definition_10_an_export_keeps_the_hashes,
        a_version_for_a_model_that_is_not_loaded_says_so,
    };
    Suite *s = suite_create("ten definitions");
    TCase *tc = tcase_create("registry");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
