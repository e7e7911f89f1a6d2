/* The shipped templates (prompts/library) in the real registry on a real database: they come in
 * without complaint, everything they bring along renders, their tests can fail, they go out and in
 * again unchanged, and none of the ways in which a template breaks gets past. Token counts are
 * those of the demo model's tokenizer. */
#include <config.h>

#include <check.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/buf.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "store/store.h"
#include "template/registry.h"
#include "template/transfer.h"
#include "testfile.h"
#include "text/tokenizer.h"

enum { LEAST_TEMPLATES = 24, FILE_BYTES_MAX = 1 << 20 };

/* A person owns what is imported, a reader uses it. */
static const struct principal machine = {.local = true, .login = "local"},
                              ann = {.person_id = 1, .roles = ROLE_EDITOR, .login = "ann"},
                              cyd = {.person_id = 2, .roles = ROLE_USER, .login = "cyd"};

static char *dir, *library;
static struct store *store;
static struct registry *registry;
static struct tokenizer *tokenizer;

/* ---- a registry with the library in it ---- */

static size_t count_tokens(void *ctx, const char *text, size_t len)
{
    int32_t *ids;
    size_t n;
    struct err e = ERR_INIT;
    bool ok = tokenizer_encode(ctx, text, len, TOKENIZE_LITERAL, len + 1, &ids, &n, &e);
    ck_assert_msg(ok, "%s", e.msg);
    free(ids);
    return n;
}

static struct token_counter counter = {.count = count_tokens};

static void open_tokenizer(void)
{
    struct err e = ERR_INIT;
    struct gguf *g;
    char *path = testfile_source("deploy/demo/seekd-demo.gguf");
    ck_assert_msg(gguf_open(path, &g, &e) && tokenizer_create(g, &tokenizer, &e), "%s", e.msg);
    gguf_close(&g);
    counter.ctx = tokenizer;
    free(path);
}

static bool add_people(struct store_db *db, void *ctx, struct err *e)
{
    static const char *const rows[] = {
        "INSERT INTO department (id, parent_id, name, created_at) VALUES (1, NULL, 'all', 0)",
        "INSERT INTO person (id, login, department_id, roles, source, created_at) VALUES"
        " (1, 'ann', 1, 2, 'local', 0), (2, 'cyd', 1, 16, 'local', 0)",
    };
    (void)ctx;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_stmt *st;
        if (!store_query(db, rows[i], &st, e) || !store_run(db, st, NULL, e))
            return false;
    }
    return true;
}

static void open_at(const char *folder)
{
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    char *path = testfile_join(folder, "seekd.db");
    opt.path = path;
    opt.commit_ms = 0;
    ck_assert_msg(store_open(&opt, &store, &e), "%s", e.msg);
    ck_assert_msg(store_write(store, add_people, NULL, &e), "%s", e.msg);
    registry_create(store, &counter, &registry);
    free(path);
}

static void close_all(void)
{
    registry_destroy(&registry);
    store_close(&store);
}

static const struct registry_act *as(const struct principal *who)
{
    static struct audit_actor actor;
    static struct registry_act act;
    actor = (struct audit_actor){
        .person_id = who->person_id, .name = who->login, .address = "", .request_id = ""};
    act = (struct registry_act){
        .who = who, .actor = &actor, .reason = "shipped", .now_s = 1700000000};
    return &act;
}

static bool import(const char *folder, json_t **report, struct err *e)
{
    const struct transfer_options opt = {
        .trust_states = true, .label = "production", .owner_id = 1};
    *e = ERR_INIT;
    return transfer_import(registry, as(&machine), folder, &opt, report, e);
}

static json_t *import_or_fail(const char *folder)
{
    json_t *report;
    struct err e;
    if (import(folder, &report, &e))
        return report;
    char *text = json_dumps(report, JSON_INDENT(1));
    ck_abort_msg("%s: %s\n%s", folder, e.msg, text);
    return NULL;
}

static void set_up(void)
{
    dir = testfile_make_dir();
    library = testfile_source("prompts/library");
    open_tokenizer();
    open_at(dir);
    json_decref(import_or_fail(library));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void tear_down(void)
{
    close_all();
    tokenizer_destroy(&tokenizer);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
    free(library);
}

/* ---- going through it ---- */

/* Every template as registry_list() gives it. Owned. */
static json_t *all_templates(void)
{
    const struct registry_filter filter = {.label = "production", .limit = 1000};
    struct err e = ERR_INIT;
    json_t *list;
    ck_assert_msg(registry_list(registry, &cyd, &filter, &list, &e), "%s", e.msg);
    ck_assert_uint_ge(json_array_size(list), LEAST_TEMPLATES);
    return list;
}

static const char *name_of(const json_t *row)
{
    return json_string_value(json_object_get(row, "name"));
}

static struct registry_resolved resolve(const char *name)
{
    const struct registry_request request = {.name = name};
    struct registry_resolved r;
    struct err e = ERR_INIT;
    ck_assert_msg(registry_resolve(registry, &cyd, &request, &r, &e), "%s: %s", name, e.msg);
    return r;
}

static struct prompt_rendering render(const char *name, const struct prompt *p,
                                      const json_t *variables)
{
    struct prompt_rendering r;
    struct findings f;
    struct err e = ERR_INIT;
    findings_init(&f);
    bool ok = prompt_render(p, variables, &r, &f, &e);
    char *text = json_dumps(f.list, JSON_COMPACT);
    ck_assert_msg(ok && json_array_size(f.list) == 0, "%s: %s %s", name, e.msg, text);
    free(text);
    findings_release(&f);
    return r;
}

static const char *message_text(const struct prompt_rendering *r, size_t i)
{
    return json_string_value(json_object_get(json_array_get(r->messages, i), "content"));
}

/* Calls `see` for the example of a template and for each of its tests. */
typedef void see_fn(const char *name, const char *where, const struct prompt_rendering *r,
                    void *ctx);
static size_t for_each_input(const char *name, const struct prompt *p, see_fn *see, void *ctx)
{
    const json_t *content = prompt_content(p);
    json_t *inputs = json_array(), *input;
    size_t i;
    json_array_append(inputs, json_object_get(content, "example"));
    json_array_extend(inputs, json_object_get(content, "tests"));
    json_array_foreach (inputs, i, input) {
        struct prompt_rendering r = render(name, p, json_object_get(input, "variables"));
        const char *test = json_string_value(json_object_get(input, "name"));
        see(name, test ? test : "example", &r, ctx);
        prompt_rendering_release(&r);
    }
    size_t n = json_array_size(inputs);
    json_decref(inputs);
    return n;
}

/* ---- tests ---- */

/* What people need every day, and where the library has it. */
static const struct {
    const char *need, *zh, *en;
} needs[] = {
    {"notice", "zh/notice", "en/announcement"},
    {"minutes", "zh/minutes", "en/minutes"},
    {"report", "zh/weekly-report", "en/status-report"},
    {"translation", "zh/translate", "en/translate"},
    {"polish", "zh/polish", "en/polish"},
    {"table analysis and report", "zh/table-analysis", "en/table-report"},
    {"defect description", "zh/defect-description", "en/defect-description"},
    {"8D report", "zh/8d-report", "en/8d-report"},
    {"maintenance log summary", "zh/maintenance-summary", "en/maintenance-summary"},
    {"fault triage", "zh/fault-triage", "en/fault-triage"},
    {"code review", "zh/code-review", "en/code-review"},
    {"unit tests", "zh/unit-tests", "en/unit-tests"},
    {"architecture notes", "zh/architecture-notes", "en/architecture-notes"},
    {"document drafting", "zh/document-draft", "en/document-draft"},
    {"data cleaning", "zh/data-cleaning", "en/data-cleaning"},
    {"SQL from a question", "zh/sql", "en/sql"},
    {"training quiz", "zh/quiz", "en/quiz"},
};

START_TEST(covers_the_daily_work)
{
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        const char *const names[] = {needs[i].zh, needs[i].en};
        for (size_t k = 0; k < 2; k++) {
            struct registry_resolved r = resolve(names[k]);
            const json_t *lang = json_object_get(prompt_content(r.prompt), "lang");
            ck_assert_msg(strncmp(json_string_value(lang), names[k], 2) == 0, "%s", names[k]);
            prompt_unref(&r.prompt);
        }
    }
}
END_TEST

/* Prints warnings and counts the errors. */
static size_t show_findings(const char *name, const json_t *findings)
{
    size_t errors = 0, i;
    json_t *f;
    json_array_foreach ((json_t *)(uintptr_t)findings, i, f) {
        const char *level = json_string_value(json_object_get(f, "level"));
        printf("%s: %s: %s: %s\n", name, level, json_string_value(json_object_get(f, "at")),
               json_string_value(json_object_get(json_object_get(f, "message"), "en")));
        errors += strcmp(level, "error") == 0;
    }
    return errors;
}

static json_int_t measure(const struct registry_saved *s, const char *name)
{
    const json_t *j = json_object_get(s->measures, name);
    ck_assert_msg(json_is_integer(j), "%s", name);
    return json_integer_value(j);
}

START_TEST(lint_is_content)
{
    json_t *list = all_templates(), *row;
    size_t i, errors = 0, warnings = 0;
    printf("%-24s %7s %7s %7s\n", "tokens", "prefix", "fixed", "example");
    json_array_foreach (list, i, row) {
        const char *name = name_of(row);
        struct registry_resolved r = resolve(name);
        struct registry_saved lint;
        struct err e = ERR_INIT;
        ck_assert_msg(registry_lint(registry, &ann, name, prompt_content(r.prompt), &lint, &e),
                      "%s: %s", name, e.msg);
        size_t here = show_findings(name, lint.findings);
        errors += here;
        warnings += json_array_size(lint.findings) - here;
        json_int_t prefix = measure(&lint, "prefix_tokens"), fixed = measure(&lint, "fixed_tokens");
        printf("%-24s %7lld %7lld %7lld\n", name, (long long)prefix, (long long)fixed,
               (long long)measure(&lint, "example_tokens"));
        ck_assert(json_is_false(json_object_get(lint.measures, "estimated")));
        /* nearly everything that is fixed can be served from the prefix cache */
        ck_assert_msg(prefix >= 100 && prefix * 10 >= fixed * 8, "%s", name);
        registry_saved_release(&lint);
        prompt_unref(&r.prompt);
    }
    printf("%zu templates, %zu errors, %zu warnings\n", json_array_size(list), errors, warnings);
    ck_assert_uint_eq(errors, 0);
    ck_assert_uint_le(warnings * 10, json_array_size(list));
    json_decref(list);
}
END_TEST

/* Every cell of text, but for those that JSON writes otherwise. */
static bool shows_cells(const char *text, json_t *table)
{
    json_t *row, *cell;
    const char *column;
    size_t i;
    json_array_foreach (table, i, row) {
        json_object_foreach (row, column, cell) {
            const char *value = json_string_value(cell);
            if (value && !strpbrk(value, "\"\\\n<>&'") && !strstr(text, value))
                return false;
        }
    }
    return true;
}

/* Values that must stand in the text as they were given. */
static void see_values(const char *name, const char *where, const struct prompt_rendering *r,
                       void *ctx)
{
    const char *key, *user = message_text(r, json_array_size(r->messages) - 1);
    json_t *value, **system = ctx;
    ck_assert_msg(!strstr(user, "{{") && !strstr(user, "{%"), "%s, %s", name, where);
    json_object_foreach (r->variables, key, value) {
        const char *text = json_string_value(value);
        ck_assert_msg(!text || strstr(user, text), "%s, %s: %s is not shown", name, where, key);
        ck_assert_msg(!json_is_array(value) || shows_cells(user, value), "%s, %s: a cell of %s",
                      name, where, key);
    }
    if (!*system)
        *system = json_string(message_text(r, 0));
    ck_assert_msg(strcmp(json_string_value(*system), message_text(r, 0)) == 0,
                  "%s, %s: the system message depends on variables", name, where);
}

START_TEST(everything_renders)
{
    json_t *list = all_templates(), *row;
    size_t i, inputs = 0;
    json_array_foreach (list, i, row) {
        struct registry_resolved r = resolve(name_of(row));
        json_t *system = NULL;
        inputs += for_each_input(name_of(row), r.prompt, see_values, &system);
        json_decref(system);
        prompt_unref(&r.prompt);
    }
    printf("%zu inputs rendered\n", inputs);
    ck_assert_uint_ge(inputs, 4 * json_array_size(list));
    json_decref(list);
}
END_TEST

static bool checks_pass(const json_t *test, const char *answer)
{
    json_t *report;
    bool ok = checks_run(json_object_get(test, "checks"), answer, strlen(answer), &counter,
                         &report);
    json_decref(report);
    return ok;
}

/* A test of form passes any answer and refuses none at all; a test of content refuses chatter. */
static bool can_fail(const json_t *test)
{
    if (json_is_true(json_object_get(test, "form_only")))
        return checks_pass(test, "Good. 好。") && !checks_pass(test, "");
    return !checks_pass(test, "Good. 好。") && !checks_pass(test, "");
}

START_TEST(tests_can_fail)
{
    json_t *list = all_templates(), *row;
    size_t i, n = 0;
    json_array_foreach (list, i, row) {
        struct registry_resolved r = resolve(name_of(row));
        json_t *tests = json_object_get(prompt_content(r.prompt), "tests"), *test;
        size_t k;
        ck_assert_uint_ge(json_array_size(tests), 3);
        json_array_foreach (tests, k, test) {
            ck_assert_msg(can_fail(test), "%s: tests[%zu]", name_of(row), k);
            n++;
        }
        prompt_unref(&r.prompt);
    }
    printf("%zu tests can fail\n", n);
    json_decref(list);
}
END_TEST

/* "name hash" of every template, by name. Owned. */
static char *hashes(void)
{
    json_t *list = all_templates(), *row;
    struct buf b;
    size_t i;
    buf_init(&b, FILE_BYTES_MAX);
    json_array_foreach (list, i, row) {
        struct registry_resolved r = resolve(name_of(row));
        buf_printf(&b, "%s#%lld %s\n", r.name, (long long)r.number, r.hash);
        prompt_unref(&r.prompt);
    }
    json_decref(list);
    ck_assert(!b.failed);
    return buf_take(&b);
}

static size_t n_actions(const json_t *report, const char *action)
{
    size_t n = 0, i;
    json_t *x;
    json_array_foreach (json_object_get(report, "changes"), i, x)
        n += strcmp(json_string_value(json_object_get(x, "action")), action) == 0;
    return n;
}

START_TEST(comes_back_unchanged)
{
    json_t *list = all_templates(), *report;
    size_t n = json_array_size(list), n_out;
    struct err e = ERR_INIT;
    char *before = hashes(), *out = testfile_join(dir, "out"), *empty = testfile_join(dir, "new");
    /* the same files once more change nothing */
    report = import_or_fail(library);
    ck_assert_uint_eq(n_actions(report, "unchanged"), n);
    ck_assert_uint_eq(n_actions(report, "added") + n_actions(report, "created"), 0);
    json_decref(report);
    /* out, and into another server */
    ck_assert_msg(transfer_export(registry, &machine, out, NULL, &n_out, &e), "%s", e.msg);
    ck_assert_uint_eq(n_out, n);
    close_all();
    ck_assert_int_eq(mkdir(empty, 0700), 0);
    open_at(empty);
    report = import_or_fail(out);
    ck_assert_uint_eq(n_actions(report, "created"), n);
    ck_assert_uint_eq(n_actions(report, "label_skipped"), 0);
    json_decref(report);
    char *after = hashes();
    ck_assert_str_eq(before, after);
    /* the shipped files are what that server has, too */
    report = import_or_fail(library);
    ck_assert_uint_eq(n_actions(report, "unchanged"), n);
    json_decref(report);
    json_decref(list);
    free(before);
    free(after);
    free(out);
    free(empty);
}
END_TEST

/* ---- composition and broken files ---- */

/* A folder with one file, the template's, in which `from` was replaced by `to`. Owned. */
static char *folder_with(const char *name, const char *from, const char *to)
{
    static int n;
    char base[20], file[80];
    snprintf(base, sizeof base, "changed%d", n++);
    snprintf(file, sizeof file, "%s.prompt", name);
    char *folder = testfile_join(dir, base), *in = testfile_join(library, file),
         *out = testfile_join(folder, "x.prompt");
    struct buf b;
    size_t len;
    uint8_t *text = testfile_read(in, &len);
    ck_assert_msg(text, "%s", in);
    buf_init(&b, FILE_BYTES_MAX);
    buf_append(&b, text, len);
    free(text);
    const char *all = buf_str(&b), *at = strstr(all, from);
    ck_assert_msg(at, "%s has no \"%s\"", name, from);
    struct buf changed;
    buf_init(&changed, FILE_BYTES_MAX);
    buf_append(&changed, all, (size_t)(at - all));
    buf_puts(&changed, to);
    buf_puts(&changed, at + strlen(from));
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    ck_assert(testfile_write(out, changed.data, changed.len));
    buf_release(&b);
    buf_release(&changed);
    free(in);
    free(out);
    return folder;
}

/* A house's own template: the shipped one and one more message. */
static const char house[] =
    "{\"name\": \"house/minutes\", \"note\": \"with our distribution list\", \"lang\": \"zh\","
    " \"variables\": [{\"name\": \"copies\", \"type\": \"text\"}]}\n"
    "--- include zh/minutes@production\n"
    "--- user\n抄送：{{ copies }}\n";

START_TEST(can_be_included)
{
    char *folder = testfile_join(dir, "house"), *file = testfile_join(folder, "minutes.prompt");
    struct err e = ERR_INIT;
    json_t *variables;
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    ck_assert(testfile_write(file, house, sizeof house - 1));
    json_decref(import_or_fail(folder));
    struct registry_resolved part = resolve("zh/minutes"), whole = resolve("house/minutes");
    ck_assert_uint_eq(prompt_n_sources(whole.prompt), 2);
    variables = json_deep_copy(
        json_object_get(json_object_get(prompt_content(part.prompt), "example"), "variables"));
    struct prompt_rendering alone = render("zh/minutes", part.prompt, variables);
    json_object_set_new(variables, "copies", json_string("各车间"));
    struct prompt_rendering both = render("house/minutes", whole.prompt, variables);
    ck_assert_uint_eq(json_array_size(both.messages), json_array_size(alone.messages) + 1);
    ck_assert_str_eq(message_text(&both, 0), message_text(&alone, 0));
    ck_assert_str_eq(message_text(&both, json_array_size(alone.messages)), "抄送：各车间");
    /* what it consists of cannot be taken away from under it */
    ck_assert(!registry_delete_version(registry, as(&ann), "zh/minutes", 1, &e));
    ck_assert_int_eq(e.code, ERR_CONFLICT);
    prompt_rendering_release(&alone);
    prompt_rendering_release(&both);
    prompt_unref(&part.prompt);
    prompt_unref(&whole.prompt);
    json_decref(variables);
    free(folder);
    free(file);
}
END_TEST

START_TEST(broken_templates_are_refused)
{
    static const struct {
        const char *from, *to, *why;
    } breaks[] = {
        {"{{ notes }}", "{{ note }}", "not declared"},
        {"{% endif %}", "", "messages[1]"},
        {"{{ held_on }}", "{{ held_on }", "messages[1]"},
        {"{{ notes }}", "{{ notes | shout }}", "messages[1]"},
        {"\n--- user", "\n--- include zh/nobody@production\n--- user", "zh/nobody"},
        {"\n--- user", "\n--- include zh/minutes@production\n--- user", "zh/minutes"},
        {"\"type\": \"file\"", "\"type\": \"flie\"", "variables.notes"},
        {"\"held_on\": \"2026-", "\"held_on\": \"2026/", "held_on"},
        {"\"held_on\": \"2026-", "\"held_no\": \"2026-", "held_"},
        {"\"regex\": \"", "\"regex\": \"(", "checks"},
        {"\"tests\": [", "\"tests\": [3, ", "tests"},
        {"\"note\":", "\"not\":", "not"},
    };
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        char *folder = folder_with("zh/minutes", breaks[i].from, breaks[i].to);
        struct err e;
        json_t *report;
        ck_assert_msg(!import(folder, &report, &e), "%s -> %s", breaks[i].from, breaks[i].to);
        char *text = json_dumps(json_object_get(report, "problems"), JSON_COMPACT);
        ck_assert_int_eq(e.code, ERR_ARG);
        ck_assert_msg(strstr(text, breaks[i].why), "%s -> %s: %s", breaks[i].from, breaks[i].to,
                      text);
        free(text);
        json_decref(report);
        free(folder);
    }
    struct registry_resolved r = resolve("zh/minutes");
    ck_assert_int_eq(r.number, 1);
    prompt_unref(&r.prompt);
}
END_TEST

/* What a site changes is its next version, with another hash, and production follows. */
START_TEST(an_update_is_the_next_version)
{
    struct registry_resolved old = resolve("zh/minutes");
    char *folder = folder_with("zh/minutes", "企业的会议秘书", "本厂的会议秘书");
    json_t *report = import_or_fail(folder);
    ck_assert_uint_eq(n_actions(report, "added"), 1);
    struct registry_resolved fresh = resolve("zh/minutes");
    ck_assert_int_eq(fresh.number, 2);
    ck_assert_str_ne(old.hash, fresh.hash);
    prompt_unref(&old.prompt);
    prompt_unref(&fresh.prompt);
    json_decref(report);
    free(folder);
}
END_TEST

int main(void)
{
    const struct {
        const char *name;
        const TTest *test;
    } cases[] = {
        {"covers the daily work", covers_the_daily_work},
        {"lint is content", lint_is_content},
        {"everything renders", everything_renders},
        {"tests can fail", tests_can_fail},
        {"comes back unchanged", comes_back_unchanged},
        {"can be included", can_be_included},
        {"broken templates are refused", broken_templates_are_refused},
        {"an update is the next version", an_update_is_the_next_version},
    };
    Suite *s = suite_create("library");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TCase *c = tcase_create(cases[i].name);
        tcase_add_checked_fixture(c, set_up, tear_down);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, cases[i].test);
        suite_add_tcase(s, c);
    }
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
