/* The prompt registry over HTTP: a template's whole life by the right and the wrong people, what a
 * refused save says, runs of test sets on the scripted engine, folders in and out. */
#include <config.h>

#include "admin_rig.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/form.h"
#include "admin/runner.h"
#include "base/clock.h"
#include "fake_engine.h"
#include "service/service.h"
#include "store/store.h"
#include "template/registry.h"
#include "testfile.h"
#include "usage/limits.h"
#include "usage/query.h"

#define TEMPLATES "/admin/v1/templates"
#define MINUTES TEMPLATES "/office%2Fminutes"

static struct admin_rig rig;

static void setup(void)
{
    admin_rig_open(&rig);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

/* ---- templates to work with ------------------------------------------------------------------- */

/* A version whose variable tells the scripted engine what to do; `tests` is JSON, "" = none. */
static const char *content_of(const char *intro, const char *tests)
{
    static char text[16384];
    snprintf(text, sizeof text,
             "{\"title\": {\"en\": \"Minutes\", \"zh\": \"会议纪要\"},"
             " \"messages\": [{\"role\": \"system\", \"content\": \"%s\"},"
             "  {\"role\": \"user\", \"content\": \"#{{ word }}#\"}],"
             " \"variables\": [{\"name\": \"word\", \"type\": \"text\", \"required\": true,"
             " \"max\": 2000}]"
             "%s%s}", intro, *tests ? ", \"tests\": " : "", tests);
    return text;
}

static const char *save_body(const char *name, const char *content, const char *rest)
{
    static char text[20000];
    snprintf(text, sizeof text, "{%s%s%s \"note\": \"说明 why\", \"content\": %s%s}",
             name ? "\"name\": \"" : "", name ? name : "", name ? "\"," : "", content, rest);
    return text;
}

static void create(const char *name, const char *intro, const char *tests)
{
    admin_expect(&rig, BY_EDITOR, "POST", TEMPLATES, NULL,
                 save_body(name, content_of(intro, tests), ""), 201);
}

/* The template's revision, from its ETag. */
static int64_t revision_of(const char *path)
{
    admin_expect(&rig, BY_EDITOR, "GET", path, NULL, NULL, 200);
    return admin_etag(&rig);
}

static void add_version(const char *path, const char *intro, const char *tests)
{
    char to[256];
    snprintf(to, sizeof to, "%s/versions", path);
    admin_expect(&rig, BY_EDITOR, "POST", to, admin_if_match(revision_of(path)),
                 save_body(NULL, content_of(intro, tests), ""), 201);
}

static void review(enum admin_who who, const char *version, const char *body, int status)
{
    char path[256];
    snprintf(path, sizeof path, "%s/review", version);
    admin_expect(&rig, who, "POST", path, NULL, body, status);
}

#define HAND_IN "{\"to\": \"review\", \"note\": \"请审核\"}"
#define APPROVE "{\"to\": \"approved\", \"evidence\": {\"read\": true}, \"note\": \"ok\"}"

static void approve(const char *version)
{
    review(BY_EDITOR, version, HAND_IN, 200);
    review(BY_APPROVER, version, APPROVE, 200);
}

/* Waits for the job of the latest 202 and gives it (owned). */
static json_t *wait_job(void)
{
    char path[256];
    ck_assert(http_reply_header(&rig.last, "Location", path, sizeof path));
    uint64_t until = clock_now_us() + 10000000;
    for (;;) {
        json_t *job = admin_call(&rig, BY_EDITOR, "GET", path, NULL, NULL, 200);
        const char *state = admin_text(job, "state");
        if (strcmp(state, "queued") && strcmp(state, "running"))
            return job;
        ck_assert_msg(clock_now_us() < until, "the job does not end: %s", state);
        json_decref(job);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

/* Runs the test set of a version; `passed` and `failed` are expected. The job (owned). */
static json_t *run_tests(const char *version, int passed, int failed)
{
    char path[256];
    snprintf(path, sizeof path, "%s/runs", version);
    admin_expect(&rig, BY_EDITOR, "POST", path, NULL, "{}", 202);
    json_t *job = wait_job();
    ck_assert_str_eq(admin_text(job, "state"), "finished");
    ck_assert_int_eq(admin_number(job, "passed"), passed);
    ck_assert_int_eq(admin_number(job, "failed"), failed);
    return job;
}

static const char *const good_tests =
    "[{\"name\": \"form\", \"form_only\": true, \"variables\": {\"word\": \"reply=hi\"},"
    "  \"checks\": [{\"regex\": \"\\\\S\"}, {\"max_tokens\": 10}]},"
    " {\"name\": \"says it\", \"variables\": {\"word\": \"reply=hello\"},"
    " \"checks\": [{\"contains\": \"hello\"}]}]";
static const char *const bad_tests =
    "[{\"name\": \"form\", \"form_only\": true, \"variables\": {\"word\": \"reply=hi\"},"
    "  \"checks\": [{\"regex\": \"\\\\S\"}]},"
    " {\"name\": \"says more\", \"variables\": {\"word\": \"reply=hello\"},"
    " \"checks\": [{\"contains\": \"bye\"}]},"
    " {\"name\": \"too long\", \"variables\": {\"word\": \"reply=hello\"},"
    " \"checks\": [{\"max_tokens\": 4}]}]";

/* ---- the whole life --------------------------------------------------------------------------- */

static void expect_label(const char *label, int64_t number, int64_t revision)
{
    json_t *v = admin_call(&rig, BY_USER, "GET", MINUTES, NULL, NULL, 200);
    const json_t *row;
    size_t i;
    bool found = false;
    json_array_foreach (admin_at(v, "labels"), i, row) {
        if (strcmp(admin_text(row, "label"), label))
            continue;
        found = true;
        ck_assert_int_eq(admin_number(row, "number"), number);
        ck_assert_int_eq(admin_number(row, "revision"), revision);
    }
    ck_assert(found);
    json_decref(v);
}

START_TEST(goes_from_draft_to_production_and_back)
{
    create("office/minutes", "Take minutes.", good_tests);
    add_version(MINUTES, "Take short minutes.", good_tests);
    /* production only takes what was approved, after its tests, by somebody else */
    admin_refused(&rig, BY_APPROVER, "PUT", MINUTES "/labels/production", NULL, "{\"number\": 1}", 409,
                  "conflict");
    review(BY_APPROVER, MINUTES "/versions/1", HAND_IN, 403);
    review(BY_EDITOR, MINUTES "/versions/1", HAND_IN, 200);
    review(BY_APPROVER, MINUTES "/versions/1", APPROVE, 409);
    json_decref(run_tests(MINUTES "/versions/1", 2, 0));
    review(BY_EDITOR, MINUTES "/versions/1", APPROVE, 403);
    review(BY_USER, MINUTES "/versions/1", APPROVE, 403);
    review(BY_APPROVER, MINUTES "/versions/1", "{\"to\": \"approved\"}", 400);
    review(BY_APPROVER, MINUTES "/versions/1", APPROVE, 200);

    admin_refused(&rig, BY_EDITOR, "PUT", MINUTES "/labels/production", NULL, "{\"number\": 1}", 403,
                  "not_allowed");
    admin_refused(&rig, BY_USER, "PUT", MINUTES "/labels/production", NULL, "{\"number\": 1}", 403,
                  "not_allowed");
    admin_expect(&rig, BY_APPROVER, "PUT", MINUTES "/labels/production", admin_if_match(0),
                 "{\"number\": 1}", 200);
    ck_assert_int_eq(admin_etag(&rig), 1);
    admin_refused(&rig, BY_APPROVER, "PUT", MINUTES "/labels/production", NULL, "{\"number\": 1}", 428,
                  "if_match_needed");
    admin_refused(&rig, BY_APPROVER, "PUT", MINUTES "/labels/production", admin_if_match(7),
                  "{\"number\": 1}", 412, "changed_meanwhile");

    /* the second version goes live for one department, then for all, then back */
    review(BY_EDITOR, MINUTES "/versions/2", HAND_IN, 200);
    review(BY_APPROVER, MINUTES "/versions/2",
           "{\"to\": \"approved\", \"evidence\": {\"urgent\": true}, \"without_run\": true}", 200);
    char body[96];
    snprintf(body, sizeof body, "{\"number\": 2, \"department_id\": %" PRId64 "}", rig.line3);
    admin_expect(&rig, BY_EDITOR, "PUT", MINUTES "/labels/production/canary", admin_if_match(1), body,
                 403);
    json_t *v = admin_call(&rig, BY_APPROVER, "PUT", MINUTES "/labels/production/canary",
                           admin_if_match(1), body, 200);
    ck_assert_int_eq(admin_number(v, "canary/number"), 2);
    json_decref(v);
    admin_expect(&rig, BY_APPROVER, "PUT", MINUTES "/labels/production", admin_if_match(2),
                 "{\"number\": 2}", 200);
    expect_label("production", 2, 3);
    admin_expect(&rig, BY_EDITOR, "POST", MINUTES "/labels/production/rollback", admin_if_match(3), "{}",
                 403);
    admin_expect(&rig, BY_APPROVER, "POST", MINUTES "/labels/production/rollback", NULL, "{}", 428);
    v = admin_call(&rig, BY_APPROVER, "POST", MINUTES "/labels/production/rollback",
                   "If-Match: \"3\"\r\nX-Reason: %E5%9B%9E%E9%80%80\r\n", "{}", 200);
    ck_assert_int_eq(admin_number(v, "number"), 1);
    json_decref(v);
    expect_label("production", 1, 4);

    /* what something points to cannot be deleted, a rejected approval neither */
    admin_expect(&rig, BY_EDITOR, "DELETE", MINUTES "/versions/1", NULL, NULL, 409);
    admin_expect(&rig, BY_EDITOR, "DELETE", MINUTES "/versions/2", NULL, NULL, 409);
    review(BY_APPROVER, MINUTES "/versions/1", "{\"to\": \"rejected\"}", 400);
    review(BY_APPROVER, MINUTES "/versions/1", "{\"to\": \"rejected\", \"note\": \"no\"}", 409);
    admin_expect(&rig, BY_EDITOR, "DELETE", MINUTES "/labels/production", admin_if_match(4), NULL, 409);
}
END_TEST

START_TEST(splits_a_label)
{
    create("office/minutes", "Take minutes.", "");
    add_version(MINUTES, "Take short minutes.", "");
    admin_expect(&rig, BY_EDITOR, "PUT", MINUTES "/labels/staging", NULL, "{\"number\": 1}", 200);
    static const char *const wrong[] = {
        "{\"number\": 2}", "{\"number\": 2, \"permille\": 1001}", "{\"permille\": 5}",
        "{\"number\": 2, \"permille\": 5, \"department_id\": 1}", "{\"number\": -1}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        admin_expect(&rig, BY_EDITOR, "PUT", MINUTES "/labels/staging/canary", admin_if_match(1),
                     wrong[i],
                     400);
    admin_expect(&rig, BY_EDITOR, "PUT", MINUTES "/labels/staging/canary", admin_if_match(1),
                 "{\"number\": 9, \"permille\": 5}", 404);
    json_t *v = admin_call(&rig, BY_EDITOR, "PUT", MINUTES "/labels/staging/canary", admin_if_match(1),
                           "{\"number\": 2, \"permille\": 1000}", 200);
    ck_assert_int_eq(admin_number(v, "canary/permille"), 1000);
    json_decref(v);
    v = admin_call(&rig, BY_EDITOR, "PUT", MINUTES "/labels/staging/canary", admin_if_match(2),
                   "{\"number\": 0}", 200);
    ck_assert(json_is_null(admin_at(v, "canary")));
    json_decref(v);
    v = admin_call(&rig, BY_EDITOR, "PUT", MINUTES "/labels/staging/canary", admin_if_match(3),
                   "{\"number\": 2, \"permille\": 0}", 200);
    ck_assert(json_is_null(admin_at(v, "canary")));
    json_decref(v);
    /* "latest" is no label to be changed, whatever the revision */
    admin_refused(&rig, BY_EDITOR, "POST", MINUTES "/labels/latest/rollback", NULL, "{}", 400,
                  "invalid_value");
    admin_refused(&rig, BY_EDITOR, "DELETE", MINUTES "/labels/latest", NULL, NULL, 400,
                  "invalid_value");
    /* protection is for approvers, and asks for approved versions */
    admin_expect(&rig, BY_EDITOR, "PUT", MINUTES "/labels/staging/protection", admin_if_match(4),
                 "{\"protected\": true}", 403);
    admin_expect(&rig, BY_APPROVER, "PUT", MINUTES "/labels/staging/protection", admin_if_match(4),
                 "{\"protected\": true}", 409);
    approve(MINUTES "/versions/1");
    admin_expect(&rig, BY_APPROVER, "PUT", MINUTES "/labels/staging/protection", admin_if_match(4),
                 "{\"protected\": true}", 200);
    admin_expect(&rig, BY_EDITOR, "DELETE", MINUTES "/labels/staging", admin_if_match(5), NULL, 409);
    admin_refused(&rig, BY_APPROVER, "PUT", MINUTES "/labels/staging/protection", admin_if_match(5),
                  "{\"protected\": false}", 403, "not_allowed");
    admin_expect(&rig, BY_ADMIN, "PUT", MINUTES "/labels/staging/protection", admin_if_match(5),
                 "{\"protected\": false}", 200);
    admin_expect(&rig, BY_EDITOR, "DELETE", MINUTES "/labels/staging", admin_if_match(6), NULL, 204);
    admin_expect(&rig, BY_EDITOR, "DELETE", MINUTES "/labels/staging", admin_if_match(6), NULL, 404);
    admin_expect(&rig, BY_EDITOR, "PUT", MINUTES "/labels/latest", NULL, "{\"number\": 1}", 400);
    /* what is not there is said to be missing, not to need a revision */
    admin_refused(&rig, BY_EDITOR, "POST", MINUTES "/labels/staging/rollback", NULL, "{}", 404,
                  "not_found");
    admin_refused(&rig, BY_EDITOR, "DELETE", MINUTES "/labels/staging", NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_EDITOR, "POST", TEMPLATES "/none/labels/staging/rollback", NULL, "{}", 404,
                  "not_found");
}
END_TEST

/* ---- saving and reading ----------------------------------------------------------------------- */

START_TEST(a_refused_save_says_why_in_both_languages)
{
    const char *content = "{\"messages\": [{\"role\": \"user\", "
                          "\"content\": \"{{ unknown }} {% if %}\"}]}";
    json_t *v = admin_call(&rig, BY_EDITOR, "POST", TEMPLATES, NULL, save_body("a", content, ""), 400);
    ck_assert_str_eq(admin_text(v, "error/code"), "invalid_value");
    ck_assert_str_eq(admin_text(v, "error/findings/0/level"), "error");
    ck_assert(*admin_text(v, "error/findings/0/at"));
    ck_assert(*admin_text(v, "error/findings/0/message/en"));
    ck_assert_ptr_nonnull(strpbrk(admin_text(v, "error/findings/0/message/zh"), "\xe4\xe5\xe6\xe7\xe8"));
    json_decref(v);
    admin_expect(&rig, BY_EDITOR, "GET", TEMPLATES "/a", NULL, NULL, 404);

    content = "{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}],"
              " \"variables\": [{\"name\": \"unused\", \"type\": \"text\"}]}";
    v = admin_call(&rig, BY_EDITOR, "POST", TEMPLATES "/lint", NULL,
                   "{\"name\": \"a\", \"content\": {\"messages\": []}}", 200);
    ck_assert_str_eq(admin_text(v, "findings/0/level"), "error");
    json_decref(v);
    v = admin_call(&rig, BY_EDITOR, "POST", TEMPLATES, NULL, save_body("a", content, ""), 201);
    ck_assert_str_eq(admin_text(v, "findings/0/level"), "warning");
    ck_assert_int_ge(admin_number(v, "measures/prefix_tokens"), 5);
    ck_assert_uint_eq(strlen(admin_text(v, "hash")), 64);
    json_decref(v);
}
END_TEST

START_TEST(guards_against_lost_changes)
{
    create("office/minutes", "Take minutes.", "");
    const char *path = MINUTES "/versions";
    int64_t revision = revision_of(MINUTES);
    char body[20000];
    snprintf(body, sizeof body, "%s", save_body(NULL, content_of("Be brief.", ""), ""));
    admin_refused(&rig, BY_EDITOR, "POST", path, NULL, body, 428, "if_match_needed");
    admin_refused(&rig, BY_EDITOR, "POST", path, admin_if_match(0), body, 412, "changed_meanwhile");
    admin_refused(&rig, BY_EDITOR, "POST", path, "If-Match: *\r\n", body, 412, "changed_meanwhile");
    json_t *v = admin_call(&rig, BY_EDITOR, "POST", path, admin_if_match(revision), body, 201);
    char location[256];
    ck_assert(http_reply_header(&rig.last, "Location", location, sizeof location));
    ck_assert_str_eq(location, MINUTES "/versions/2");
    ck_assert_int_eq(admin_etag(&rig), admin_number(v, "revision"));
    json_decref(v);
    admin_refused(&rig, BY_EDITOR, "POST", path, admin_if_match(revision), body, 412,
                  "changed_meanwhile");
    /* saying the same again saves nothing */
    v = admin_call(&rig, BY_EDITOR, "POST", path, admin_if_match(revision_of(MINUTES)), body, 200);
    ck_assert(json_is_true(admin_at(v, "unchanged")));
    ck_assert_int_eq(admin_number(v, "number"), 2);
    json_decref(v);
    admin_refused(&rig, BY_EDITOR, "POST", TEMPLATES, NULL,
                  save_body("office/minutes", content_of("x", ""), ""), 409, "conflict");
    admin_refused(&rig, BY_EDITOR, "PATCH", MINUTES, NULL, "{\"tags\": [\"x\"]}", 428,
                  "if_match_needed");
    admin_refused(&rig, BY_EDITOR, "PATCH", MINUTES, admin_if_match(1), "{\"tags\": [\"x\"]}", 412,
                  "changed_meanwhile");
    v = admin_call(&rig, BY_EDITOR, "PATCH", MINUTES, admin_if_match(revision_of(MINUTES)),
                   "{\"tags\": [\"办公\"]}", 200);
    ck_assert_str_eq(admin_text(v, "tags/0"), "办公");
    json_decref(v);
}
END_TEST

START_TEST(reads_versions_and_differences)
{
    create("office/minutes", "Take minutes.\\n保持简短。", "");
    add_version(MINUTES, "Take minutes.\\n写得详细。", "");
    admin_expect(&rig, BY_EDITOR, "PUT", MINUTES "/labels/staging", NULL, "{\"number\": 1}", 200);
    json_t *v = admin_call(&rig, BY_USER, "GET", MINUTES "/versions/staging", NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "number"), 1);
    ck_assert_str_eq(admin_text(v, "content/title/zh"), "会议纪要");
    ck_assert_str_eq(admin_text(v, "note"), "说明 why");
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET", MINUTES "/versions/latest", NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "number"), 2);
    json_decref(v);
    admin_expect(&rig, BY_USER, "GET", MINUTES "/versions/3", NULL, NULL, 404);
    admin_expect(&rig, BY_USER, "GET", MINUTES "/versions/none", NULL, NULL, 404);
    admin_expect(&rig, BY_USER, "GET", MINUTES "/versions/0", NULL, NULL, 404);
    admin_expect(&rig, BY_USER, "GET", MINUTES "/versions/99999999999999999999", NULL, NULL, 404);

    v = admin_call(&rig, BY_USER, "GET", MINUTES "/diff?from=staging&to=2", NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "from"), 1);
    ck_assert_str_eq(admin_text(v, "changes/0/path"), "messages[0].content");
    json_decref(v);
    admin_send(&rig, BY_USER, "GET", MINUTES "/diff?from=1&to=latest&format=text", NULL, NULL);
    ck_assert_int_eq(rig.last.status, 200);
    ck_assert_str_eq(buf_str(&rig.last.body), "office/minutes: 1 -> 2\n"
                                              "messages[0].content: changed\n"
                                              "    Take minutes.\n"
                                              "  - 保持简短。\n"
                                              "  + 写得详细。\n");
    admin_expect(&rig, BY_USER, "GET", MINUTES "/diff?from=1", NULL, NULL, 400);
    admin_expect(&rig, BY_USER, "GET", MINUTES "/diff?from=1&to=2&format=html", NULL, NULL, 400);
}
END_TEST

START_TEST(renders_drafts)
{
    create("office/minutes", "你好 {{ word }}", "");
    json_t *v = admin_call(&rig, BY_USER, "POST", MINUTES "/versions/1/render", NULL,
                           "{\"variables\": {\"word\": \"reply=hello\"}}", 200);
    ck_assert_str_eq(admin_text(v, "messages/0/content"), "你好 reply=hello");
    ck_assert_str_eq(admin_text(v, "variables/word"), "reply=hello");
    ck_assert_uint_eq(strlen(admin_text(v, "variables_hash")), 64);
    /* the scripted engine has a token per byte, and <bos> <|system|> <|user|> <|assistant|> */
    ck_assert_int_eq(admin_number(v, "tokens"),
                     (int64_t)(strlen("你好 reply=hello") + strlen("#reply=hello#") + 4));
    json_decref(v);
    v = admin_call(&rig, BY_USER, "POST", MINUTES "/versions/latest/render", NULL, "{}", 400);
    ck_assert(*admin_text(v, "error/findings/0/message/zh"));
    json_decref(v);
    admin_expect(&rig, BY_USER, "POST", MINUTES "/versions/1/render", NULL, "{\"variables\": []}", 400);
}
END_TEST

START_TEST(lists_in_pages)
{
    char name[32], path[128];
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof name, "%s/t%d", i < 5 ? "a" : "b", i);
        admin_expect(&rig, BY_EDITOR, "POST", TEMPLATES, NULL,
                     save_body(name, content_of("Hi.", ""), i % 2 ? ", \"tags\": [\"odd\"]" : ""), 201);
    }
    json_t *v = admin_call(&rig, BY_USER, "GET", TEMPLATES "?prefix=a/&limit=3", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 3);
    ck_assert_str_eq(admin_text(v, "next"), "a/t2");
    snprintf(path, sizeof path, TEMPLATES "?prefix=a/&limit=3&after=%s", admin_text(v, "next"));
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET", path, NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 2);
    ck_assert_str_eq(admin_text(v, "data/1/name"), "a/t4");
    ck_assert(json_is_null(admin_at(v, "next")));
    json_decref(v);
    /* a page that is full and the last one */
    v = admin_call(&rig, BY_USER, "GET", TEMPLATES "?prefix=a/&limit=5", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 5);
    ck_assert(json_is_null(admin_at(v, "next")));
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET", TEMPLATES "?tag=odd", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 3);
    json_decref(v);
    v = admin_call(&rig, BY_ADMIN, "PATCH", TEMPLATES "/b%2Ft5",
                   admin_if_match(revision_of(TEMPLATES "/b%2Ft5")), "{\"archived\": true}", 200);
    ck_assert(json_is_true(admin_at(v, "archived")));
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET", TEMPLATES "?prefix=b&archived=true", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 1);
    json_decref(v);
    admin_expect(&rig, BY_USER, "GET", TEMPLATES "?limit=0", NULL, NULL, 400);
    admin_expect(&rig, BY_USER, "GET", TEMPLATES "?colour=red", NULL, NULL, 400);
}
END_TEST

START_TEST(hides_other_departments)
{
    char rest[64], body[96];
    snprintf(rest, sizeof rest, ", \"department_id\": %" PRId64, rig.works);
    admin_expect(&rig, BY_EDITOR, "POST", TEMPLATES, NULL,
                 save_body("office/minutes", content_of("Hi.", ""), rest), 201);
    admin_expect(&rig, BY_USER, "GET", MINUTES, NULL, NULL, 200); /* below Works */
    admin_expect(&rig, BY_OTHER, "GET", MINUTES, NULL, NULL, 404);
    admin_expect(&rig, BY_OTHER, "GET", MINUTES "/versions/1", NULL, NULL, 404);
    admin_expect(&rig, BY_OTHER, "POST", MINUTES "/versions/1/render", NULL, "{}", 404);
    admin_expect(&rig, BY_OTHER, "GET", MINUTES "/versions/1/runs", NULL, NULL, 404);
    admin_expect(&rig, BY_OTHER, "GET", MINUTES "/versions/1/runs/job_x", NULL, NULL, 404);
    admin_expect(&rig, BY_AUDITOR, "GET", MINUTES, NULL, NULL, 200);
    admin_expect(&rig, BY_AUDITOR, "PUT", MINUTES "/labels/staging", NULL, "{\"number\": 1}", 403);
    admin_expect(&rig, BY_USER, "POST", TEMPLATES, NULL, save_body("b", content_of("Hi.", ""), ""), 403);
    admin_expect(&rig, BY_ADMIN, "POST", TEMPLATES, NULL,
                 save_body("b", content_of("Hi.", ""), ""), 403);
    admin_expect(&rig, BY_NOBODY, "GET", TEMPLATES, NULL, NULL, 401);
    /* who gives it away, and to whom */
    snprintf(body, sizeof body, "{\"department_id\": %" PRId64 "}", rig.office);
    int64_t revision = revision_of(MINUTES);
    admin_expect(&rig, BY_APPROVER, "PATCH", MINUTES, admin_if_match(revision), body, 403);
    admin_expect(&rig, BY_ADMIN, "PATCH", MINUTES, admin_if_match(revision), body, 200);
    admin_expect(&rig, BY_OTHER, "GET", MINUTES, NULL, NULL, 200);
    admin_expect(&rig, BY_USER, "GET", MINUTES, NULL, NULL, 404);
    /* to everybody, as GET shows it */
    json_t *v = admin_call(&rig, BY_ADMIN, "PATCH", MINUTES, admin_if_match(revision + 1),
                           "{\"department_id\": null}", 200);
    ck_assert(json_is_null(admin_at(v, "department_id")));
    json_decref(v);
    admin_expect(&rig, BY_USER, "GET", MINUTES, NULL, NULL, 200);
    admin_expect(&rig, BY_ADMIN, "PATCH", MINUTES, admin_if_match(revision + 2), body, 200);
    admin_expect(&rig, BY_USER, "GET", MINUTES, NULL, NULL, 404);
    admin_expect(&rig, BY_EDITOR, "PATCH", MINUTES, admin_if_match(revision + 3),
                 "{\"tags\": [\"kept\"]}", 200); /* what is not named stays */
    admin_expect(&rig, BY_USER, "GET", MINUTES, NULL, NULL, 404);
}
END_TEST

/* A key with less than its person has acts with less: the roles stay, the scopes do not. */
START_TEST(a_narrow_key_acts_narrowly)
{
    static const struct audit_actor actor = {.name = "test", .address = "local", .request_id = ""};
    struct key_spec read = {.name = "read", .scopes = SCOPE_TEMPLATES};
    struct key_spec few = {.name = "few", .scopes = SCOPE_EDIT, .templates = "[\"office/*\"]"};
    const struct auth *auth = rig.server.service->auth;
    struct err e = ERR_INIT;
    int64_t id;
    create("office/minutes", "Hi.", "");
    create("works", "Hi.", "");
    ck_assert_msg(key_create(auth, &actor, rig.person[BY_EDITOR].id, &read, &id,
                             rig.person[BY_SERVICE].key, &e), "%s", e.msg);
    admin_expect(&rig, BY_SERVICE, "GET", MINUTES, NULL, NULL, 200);
    admin_expect(&rig, BY_SERVICE, "POST", TEMPLATES, NULL, save_body("b", content_of("Hi.", ""), ""),
                 403);
    admin_expect(&rig, BY_SERVICE, "PUT", MINUTES "/labels/staging", NULL, "{\"number\": 1}", 403);
    ck_assert_msg(key_create(auth, &actor, rig.person[BY_EDITOR].id, &few, &id,
                             rig.person[BY_SERVICE].key, &e), "%s", e.msg);
    admin_expect(&rig, BY_SERVICE, "PUT", MINUTES "/labels/staging", NULL, "{\"number\": 1}", 200);
    /* in the words for what there is not */
    json_t *hidden = admin_call(&rig, BY_SERVICE, "GET", TEMPLATES "/works", NULL, NULL, 404);
    json_t *none = admin_call(&rig, BY_EDITOR, "GET", TEMPLATES "/workz", NULL, NULL, 404);
    ck_assert_ptr_nonnull(
        strstr(admin_text(hidden, "error/message"), "here is no template \"works\""));
    ck_assert_uint_eq(strlen(admin_text(hidden, "error/message")),
                      strlen(admin_text(none, "error/message")));
    json_decref(hidden);
    json_decref(none);
    admin_expect(&rig, BY_SERVICE, "POST", TEMPLATES, NULL, save_body("b", content_of("Hi.", ""), ""),
                 403);
    json_t *v = admin_call(&rig, BY_SERVICE, "GET", TEMPLATES, NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 1);
    ck_assert_str_eq(admin_text(v, "data/0/name"), "office/minutes");
    json_decref(v);
}
END_TEST

START_TEST(forks)
{
    create("office/minutes", "Take minutes.", "");
    json_t *v = admin_call(&rig, BY_EDITOR, "POST", MINUTES "/fork", NULL,
                           "{\"name\": \"office/own\", \"from\": {\"number\": 1}}", 201);
    ck_assert_str_eq(admin_text(v, "name"), "office/own");
    json_t *w = admin_call(&rig, BY_EDITOR, "GET", MINUTES "/versions/1", NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "hash"), admin_text(w, "hash"));
    json_decref(v);
    json_decref(w);
    admin_expect(&rig, BY_EDITOR, "POST", MINUTES "/fork", NULL, "{\"name\": \"office/own\"}", 409);
    admin_expect(&rig, BY_EDITOR, "POST", MINUTES "/fork", NULL,
                 "{\"name\": \"office/own2\", \"from\": {\"number\": 1, \"label\": \"x\"}}", 400);
    admin_expect(&rig, BY_EDITOR, "POST", MINUTES "/fork", NULL, "{\"name\": \"Office Own\"}", 400);
    admin_expect(&rig, BY_EDITOR, "POST", TEMPLATES "/none/fork", NULL, "{\"name\": \"x\"}", 404);
    admin_expect(&rig, BY_EDITOR, "GET", TEMPLATES "/Office%20Own", NULL, NULL, 404);
}
END_TEST

/* ---- runs ------------------------------------------------------------------------------------- */

START_TEST(runs_test_sets)
{
    create("office/minutes", "Take minutes.", bad_tests);
    json_t *job = run_tests(MINUTES "/versions/1", 1, 2);
    char path[256];
    snprintf(path, sizeof path, "%s/versions/1/runs/%" PRId64, MINUTES,
             admin_number(job, "run_id"));
    json_t *run = admin_call(&rig, BY_USER, "GET", path, NULL, NULL, 200);
    ck_assert_int_eq(admin_number(run, "by_id"), rig.person[BY_EDITOR].id);
    ck_assert_str_eq(admin_text(run, "report/model"), "fake");
    ck_assert_int_eq(admin_number(run, "report/form/passed"), 3); /* form, whatever the checks say */
    ck_assert_int_eq(admin_number(run, "report/form/failed"), 0);
    ck_assert_str_eq(admin_text(run, "report/tests/1/name"), "says more");
    ck_assert_str_eq(admin_text(run, "report/tests/1/answer"), "hello");
    ck_assert(json_is_false(admin_at(run, "report/tests/1/passed")));
    ck_assert(json_is_false(admin_at(run, "report/tests/1/checks/0/passed")));
    ck_assert_int_eq(admin_number(run, "report/tests/2/completion_tokens"), 5);
    json_decref(run);
    json_decref(job);
    json_t *list = admin_call(&rig, BY_USER, "GET", MINUTES "/versions/1/runs", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(list, "data")), 1);
    ck_assert_uint_eq(json_array_size(admin_at(list, "jobs")), 0);
    json_decref(list);
    review(BY_EDITOR, MINUTES "/versions/1", HAND_IN, 200);
    review(BY_APPROVER, MINUTES "/versions/1", APPROVE, 409);
    admin_expect(&rig, BY_USER, "POST", MINUTES "/versions/1/runs", NULL, NULL, 403);
    admin_expect(&rig, BY_ADMIN, "POST", MINUTES "/versions/1/runs", NULL, "{}", 403);
    admin_expect(&rig, BY_EDITOR, "POST", MINUTES "/versions/2/runs", NULL, "{}", 404);
    admin_expect(&rig, BY_EDITOR, "GET", MINUTES "/versions/1/runs/99", NULL, NULL, 404);
    add_version(MINUTES, "No tests.", "");
    admin_expect(&rig, BY_EDITOR, "POST", MINUTES "/versions/2/runs", NULL, "{}", 409);
}
END_TEST

/* Recorded as the runner does. */
static void record_runs(int n)
{
    struct principal who = {.person_id = rig.person[BY_EDITOR].id, .department_id = rig.works,
                            .roles = ROLE_EDITOR, .login = "eve.editor"};
    const struct audit_actor actor = {.person_id = who.person_id, .name = who.login,
                                      .address = "local", .request_id = ""};
    struct registry_act act = {.who = &who, .actor = &actor, .reason = "", .now_s = 1};
    json_t *report = json_object();
    for (int i = 0; i < n; i++) {
        struct err e = ERR_INIT;
        int64_t id;
        ck_assert_msg(registry_record_run(rig.server.service->registry, &act, "office/minutes", 1, i,
                                          0, report, &id, &e), "%s", e.msg);
    }
    json_decref(report);
}

/* Newest first; the 101st is there too. */
START_TEST(runs_come_in_pages)
{
    enum { N = 205 };
    char path[128];
    int64_t next = 0, want = N - 1;
    create("office/minutes", "Take minutes.", bad_tests);
    record_runs(N);
    do {
        snprintf(path, sizeof path, "%s/versions/1/runs?limit=50&after=%" PRId64, MINUTES, next);
        json_t *v = admin_call(&rig, BY_USER, "GET", path, NULL, NULL, 200), *run;
        size_t i;
        json_array_foreach (admin_at(v, "data"), i, run)
            ck_assert_int_eq(admin_number(run, "passed"), want--);
        ck_assert_uint_le(i, 50);
        ck_assert_uint_eq(json_array_size(admin_at(v, "jobs")), 0);
        next = json_integer_value(admin_at(v, "next"));
        json_decref(v);
    } while (next);
    ck_assert_int_eq(want, -1);
    json_t *v = admin_call(&rig, BY_USER, "GET", MINUTES "/versions/1/runs?limit=205", NULL, NULL, 200);
    ck_assert(json_is_null(admin_at(v, "next")));
    json_decref(v);
    admin_refused(&rig, BY_USER, "GET", MINUTES "/versions/1/runs?limit=501", NULL, NULL, 400,
                  "invalid_value");
    admin_expect(&rig, BY_USER, "GET", MINUTES "/versions/2/runs", NULL, NULL, 404);
}
END_TEST

#define ANSWER(message, finish) "{\"choices\":[{\"message\":" message ",\"finish_reason\":" finish "}]}"

START_TEST(knows_good_form)
{
    static const struct {
        const char *reply, *why; /* NULL: good form */
    } cases[] = {
        {ANSWER("{\"content\":\"Yes.\\n\\t\xe5\xa5\xbd\"}", "\"stop\""), NULL},
        {ANSWER("{\"content\":\"Ye\"}", "\"length\""), NULL},
        {ANSWER("{\"content\":\"\",\"reasoning_content\":\"hm\"}", "\"stop\""), NULL},
        {ANSWER("{\"content\":null,\"tool_calls\":[{}]}", "\"tool_calls\""), NULL},
        {ANSWER("{\"content\":\"\"}", "\"stop\""), "empty"},
        {ANSWER("{\"content\":null,\"tool_calls\":[]}", "\"stop\""), "empty"},
        {ANSWER("{\"content\":\"Yes\"}", "\"error\""), "broken off (error)"},
        {ANSWER("{\"content\":\"Yes\"}", "null"), "broken off (no finish_reason)"},
        {ANSWER("{\"content\":\"Y\xef\xbf\xbd\"}", "\"stop\""), NULL},
        {ANSWER("{\"content\":\"Yes\\u0007\"}", "\"stop\""), "U+0007 at byte 3"},
        {ANSWER("{\"content\":\"Yes<|end|>\"}", "\"stop\""), "control token"},
        {ANSWER("{\"content\":\"Y\",\"reasoning_content\":\"<bos>\"}", "\"stop\""), "control token"},
        {"{\"error\":{\"code\":\"context_length_exceeded\"}}", "no answer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = ERR_INIT;
        json_t *reply = json_loads(cases[i].reply, 0, NULL);
        ck_assert_ptr_nonnull(reply);
        bool good = form_check(rig.server.engine, reply, &e);
        ck_assert_msg(good == !cases[i].why, "%s: %s", cases[i].reply, e.msg);
        ck_assert_msg(good || strstr(e.msg, cases[i].why), "%s: %s", cases[i].reply, e.msg);
        json_decref(reply);
    }
    struct err e = ERR_INIT;
    ck_assert(!form_check(rig.server.engine, NULL, &e));
}
END_TEST

/* Each answer by itself, beside its checks. */
START_TEST(judges_form_apart_from_content)
{
    static const struct {
        const char *reply;
        bool good;
        const char *why;
    } cases[] = {
        {"hello", true, NULL},
        {"", false, "the answer is empty"},
        {"end <|user|> of", false, "there is the text of a control token"},
    };
    enum { N = sizeof cases / sizeof cases[0] };
    char tests[2048] = "";
    size_t at = 0;
    for (size_t i = 0; i < N; i++)
        at += (size_t)snprintf(tests + at, sizeof tests - at,
                               "%s{\"name\": \"t%zu\", \"variables\": {\"word\": \"reply=%s\"},"
                               " \"checks\": [{\"not_contains\": \"hello\"}]}",
                               i ? ", " : "[", i, cases[i].reply);
    snprintf(tests + at, sizeof tests - at, "]");
    create("office/minutes", "Take minutes.", tests);
    json_t *job = run_tests(MINUTES "/versions/1", 0, 3);
    ck_assert_int_eq(admin_number(job, "form/passed"), 1);
    ck_assert_int_eq(admin_number(job, "form/failed"), 2);
    char path[256];
    snprintf(path, sizeof path, "%s/versions/1/runs/%" PRId64, MINUTES, admin_number(job, "run_id"));
    json_decref(job);
    json_t *run = admin_call(&rig, BY_USER, "GET", path, NULL, NULL, 200);
    ck_assert_int_eq(admin_number(run, "report/form/passed"), 1);
    for (size_t i = 0; i < N; i++) {
        const json_t *test = json_array_get(admin_at(run, "report/tests"), i);
        ck_assert_int_eq(json_is_true(admin_at(test, "form/passed")), cases[i].good);
        if (cases[i].why)
            ck_assert_str_eq(admin_text(test, "form/detail"), cases[i].why);
        else
            ck_assert(json_is_null(admin_at(test, "form/detail")));
        ck_assert_int_eq(json_is_true(admin_at(test, "checks/0/passed")), i != 0);
    }
    json_decref(run);
}
END_TEST

static void strcat_bounded(char *to, size_t size, const char *more)
{
    size_t n = strlen(to);
    ck_assert_uint_lt(n + strlen(more), size);
    snprintf(to + n, size - n, "%s", more);
}

/* A version that says nothing of lengths gets no endless answers, and long ones are cut in
 * the report. */
START_TEST(bounds_its_reports)
{
    create("office/minutes", "Go on.",
           "[{\"name\": \"long\", \"variables\": {\"word\": \"tokens=6000\"},"
           " \"checks\": [{\"contains\": \"x\"}]}]");
    json_t *job = run_tests(MINUTES "/versions/1", 1, 0);
    char path[256];
    snprintf(path, sizeof path, "%s/versions/1/runs/%" PRId64, MINUTES,
             admin_number(job, "run_id"));
    json_t *run = admin_call(&rig, BY_EDITOR, "GET", path, NULL, NULL, 200);
    ck_assert_int_eq(admin_number(run, "report/tests/0/completion_tokens"), RUNNER_MAX_TOKENS);
    ck_assert_str_eq(admin_text(run, "report/tests/0/finish_reason"), "length");
    ck_assert_uint_le(strlen(admin_text(run, "report/tests/0/answer")), RUNNER_ANSWER_BYTES);
    ck_assert_int_eq(admin_number(run, "report/tests/0/answer_bytes"), 2 * RUNNER_MAX_TOKENS);
    json_decref(run);
    json_decref(job);

    /* 1500 characters of three bytes and a token each; the version's own settings rule */
    char tests[8192] = "[{\"name\": \"long\", \"variables\": {\"word\": \"reply=";
    for (int i = 0; i < 1500; i++)
        strcat_bounded(tests, sizeof tests, "字");
    strcat_bounded(tests, sizeof tests, "\"}, \"checks\": [{\"max_tokens\": 4500}]}],"
                                        " \"settings\": {\"max_tokens\": 6000}");
    add_version(MINUTES, "Go on.", tests);
    job = run_tests(MINUTES "/versions/2", 1, 0);
    snprintf(path, sizeof path, "%s/versions/2/runs/%" PRId64, MINUTES, admin_number(job, "run_id"));
    run = admin_call(&rig, BY_EDITOR, "GET", path, NULL, NULL, 200);
    ck_assert_int_eq(admin_number(run, "report/tests/0/answer_bytes"), 4500);
    ck_assert_uint_eq(strlen(admin_text(run, "report/tests/0/answer")), RUNNER_ANSWER_BYTES / 3 * 3);
    json_decref(run);
    json_decref(job);
}
END_TEST

/* One test that tells the engine this. */
#define ORDER(text)                                                                                \
    "[{\"name\": \"one\", \"variables\": {\"word\": \"" text "\"}, \"checks\": [{\"contains\": \"x\"}]}]"

START_TEST(one_run_per_version_at_a_time)
{
    create("slow", "Hi.", ORDER("tokens=100000##us=20000"));
    char path[64];
    json_t *v = admin_call(&rig, BY_EDITOR, "POST", TEMPLATES "/slow/versions/1/runs", NULL, "{}", 202);
    char first[RUNNER_ID_TEXT];
    snprintf(first, sizeof first, "%s", admin_text(v, "id"));
    json_decref(v);
    ck_assert(test_wait_active(&rig.server, 1, 5000));
    v = admin_call(&rig, BY_EDITOR, "POST", TEMPLATES "/slow/versions/1/runs", NULL, "{}", 409);
    ck_assert_ptr_nonnull(strstr(admin_text(v, "error/message"), first));
    json_decref(v);
    v = admin_call(&rig, BY_EDITOR, "GET", TEMPLATES "/slow/versions/1/runs", NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "jobs/0/id"), first);
    ck_assert_str_eq(admin_text(v, "jobs/0/state"), "running");
    ck_assert_int_eq(admin_number(v, "jobs/0/tests"), 1);
    json_decref(v);
    for (int i = 1; i < RUNNER_QUEUE + 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "q%d", i);
        create(name, "Hi.", ORDER("reply=x"));
        snprintf(path, sizeof path, TEMPLATES "/%s/versions/1/runs", name);
        admin_expect(&rig, BY_EDITOR, "POST", path, NULL, "{}", i < RUNNER_QUEUE ? 202 : 503);
    }
    char retry[16];
    ck_assert(http_reply_header(&rig.last, "Retry-After", retry, sizeof retry));
    /* teardown ends the server while one runs and 15 wait: it must not hang, nor leave a stream */
}
END_TEST

/* A full engine is asked again; the end of the server (teardown) does not wait for that. */
START_TEST(is_patient)
{
    create("office/minutes", "Hi.", ORDER("busy"));
    admin_expect(&rig, BY_EDITOR, "POST", MINUTES "/versions/1/runs", NULL, "{}", 202);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    json_t *list = admin_call(&rig, BY_EDITOR, "GET", MINUTES "/versions/1/runs", NULL, NULL, 200);
    ck_assert_str_eq(admin_text(list, "jobs/0/state"), "running");
    ck_assert_int_eq(admin_number(list, "jobs/0/done"), 0);
    json_decref(list);
}
END_TEST

struct counted {
    int rows, batch;
};

static bool count_row(void *ctx, const struct usage_row *row, struct err *e)
{
    struct counted *c = ctx;
    (void)e;
    c->rows++;
    c->batch += !strcmp(row->class, "batch") && row->template_version == 1 &&
                row->person_id == rig.person[BY_EDITOR].id && !strcmp(row->status, "finished");
    return true;
}

static bool count_rows(struct store_db *db, void *ctx, struct err *e)
{
    struct usage_rows q = {.filter = {.to_s = clock_wall_s() + 60}, .limit = 100};
    int64_t us, id;
    return usage_list(db, &q, count_row, ctx, &us, &id, e);
}

START_TEST(every_test_is_in_the_ledger)
{
    struct counted c = {0, 0};
    struct err e = ERR_INIT;
    create("office/minutes", "Take minutes.", bad_tests);
    json_decref(run_tests(MINUTES "/versions/1", 1, 2));
    ck_assert_msg(store_read(rig.server.service->store, count_rows, &c, &e), "%s", e.msg);
    ck_assert_int_eq(c.rows, 3);
    ck_assert_int_eq(c.batch, 3);
    ck_assert_uint_eq(fake_engine_weight(rig.server.engine), LIMITS_LEAST_WEIGHT);
}
END_TEST

/* What the engine did to it is not the version's fault: nothing is recorded. */
START_TEST(a_broken_engine_fails_no_version)
{
    create("office/minutes", "Hi.", ORDER("reply=xyz##fail=2"));
    admin_expect(&rig, BY_EDITOR, "POST", MINUTES "/versions/1/runs", NULL, "{}", 202);
    json_t *job = wait_job();
    ck_assert_str_eq(admin_text(job, "state"), "failed");
    ck_assert(*admin_text(job, "message"));
    json_decref(job);
    json_t *list = admin_call(&rig, BY_EDITOR, "GET", MINUTES "/versions/1/runs", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(list, "data")), 0);
    ck_assert_str_eq(admin_text(list, "jobs/0/state"), "failed");
    json_decref(list);
}
END_TEST

START_TEST(waits_for_the_model)
{
    create("office/minutes", "Take minutes.", good_tests);
    const struct api_model *model = atomic_exchange(&rig.server.app.model, NULL);
    admin_refused(&rig, BY_EDITOR, "POST", MINUTES "/versions/1/runs", NULL, "{}", 503, "model_loading");
    json_t *v = admin_call(&rig, BY_USER, "POST", MINUTES "/versions/1/render", NULL,
                           "{\"variables\": {\"word\": \"reply=hello\"}}", 200);
    ck_assert(json_is_null(admin_at(v, "tokens")));
    json_decref(v);
    atomic_store(&rig.server.app.model, model);
    json_decref(run_tests(MINUTES "/versions/1", 2, 0));
}
END_TEST

/* ---- folders ---------------------------------------------------------------------------------- */

static json_t *import_folder(const char *folder, const char *rest, int status)
{
    char body[1024];
    snprintf(body, sizeof body, "{\"folder\": \"%s\", \"owner_id\": %" PRId64 "%s}", folder,
             rig.person[BY_EDITOR].id, rest);
    return admin_call(&rig, BY_LOCAL, "POST", TEMPLATES "/import", NULL, body, status);
}

/* {name: hash of its newest version}; owned. */
static json_t *hashes(void)
{
    json_t *list = admin_call(&rig, BY_LOCAL, "GET", TEMPLATES "?limit=500", NULL, NULL, 200), *row;
    json_t *out = json_object();
    size_t i;
    json_array_foreach (admin_at(list, "data"), i, row) {
        char path[256];
        snprintf(path, sizeof path, TEMPLATES "/%s/versions/latest", admin_text(row, "name"));
        for (char *slash = strchr(path + strlen(TEMPLATES "/"), '/');
             slash && strncmp(slash, "/versions/", 10); slash = strchr(slash + 3, '/')) {
            memmove(slash + 3, slash + 1, strlen(slash));
            memcpy(slash, "%2F", 3);
        }
        json_t *v = admin_call(&rig, BY_LOCAL, "GET", path, NULL, NULL, 200);
        json_object_set(out, admin_text(v, "name"), (json_t *)(uintptr_t)admin_at(v, "hash"));
        json_decref(v);
    }
    json_decref(list);
    return out;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *folder)
{
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

START_TEST(takes_the_shipped_library_and_gives_it_back)
{
    char *library = testfile_source("prompts/library"), body[800];
    snprintf(body, sizeof body, "{\"folder\": \"%s\"}", library);
    for (int who = 0; who < BY_PERSONS; who++)
        admin_expect(&rig, (enum admin_who)who, "POST", TEMPLATES "/import", NULL, body, 403);
    json_t *v = import_folder(library, ", \"dry_run\": true", 200);
    ck_assert_uint_ge(json_array_size(admin_at(v, "changes")), 24);
    json_decref(v);
    json_t *before = hashes();
    ck_assert_uint_eq(json_object_size(before), 0);
    json_decref(before);
    json_decref(import_folder(library, ", \"trust_states\": true, \"label\": \"production\"", 200));
    before = hashes();
    ck_assert_uint_ge(json_object_size(before), 24);

    char *folder = testfile_make_dir(), *out = testfile_join(folder, "out");
    snprintf(body, sizeof body, "{\"folder\": \"%s\"}", out);
    admin_expect(&rig, BY_EDITOR, "POST", TEMPLATES "/export", NULL, body, 403);
    v = admin_call(&rig, BY_LOCAL, "POST", TEMPLATES "/export", NULL, body, 200);
    ck_assert_int_eq(admin_number(v, "versions"), (int64_t)json_object_size(before));
    json_decref(v);
    admin_refused(&rig, BY_LOCAL, "POST", TEMPLATES "/export", NULL, body, 409, "conflict");

    /* into an empty server */
    admin_rig_close(&rig);
    admin_rig_open(&rig);
    json_decref(import_folder(out, ", \"trust_states\": true", 200));
    json_t *after = hashes();
    ck_assert(json_equal(before, after));
    json_decref(before);
    json_decref(after);
    remove_tree(folder);
    free(folder);
    free(library);
    free(out);
}
END_TEST

START_TEST(says_what_is_wrong_with_a_folder)
{
    char *folder = testfile_make_dir(), *path = testfile_join(folder, "bad.prompt");
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs("no head\n", f), 0);
    ck_assert_int_eq(fclose(f), 0);
    json_t *v = import_folder(folder, "", 400);
    ck_assert_uint_eq(json_array_size(admin_at(v, "error/report/problems")), 1);
    ck_assert(*admin_text(v, "error/report/problems/0/path"));
    json_decref(v);
    json_decref(import_folder("/nowhere/at/all", "", 404));
    testfile_remove_dir(folder);
    free(folder);
    free(path);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        goes_from_draft_to_production_and_back, splits_a_label,
        a_refused_save_says_why_in_both_languages, guards_against_lost_changes,
        reads_versions_and_differences, renders_drafts, lists_in_pages, hides_other_departments,
        a_narrow_key_acts_narrowly, forks,
        runs_test_sets, runs_come_in_pages, knows_good_form,
        judges_form_apart_from_content, every_test_is_in_the_ledger, bounds_its_reports,
        one_run_per_version_at_a_time, is_patient,
        a_broken_engine_fails_no_version, waits_for_the_model,
        takes_the_shipped_library_and_gives_it_back, says_what_is_wrong_with_a_folder,
    };
    Suite *s = suite_create("admin templates");
    TCase *tc = tcase_create("registry");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
