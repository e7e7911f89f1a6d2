/* Typed variables (every type, every bound, both languages), the JSON Schema subset, regular
 * expressions with limits, and checks of answers. */
#include <config.h>

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "template/checks.h"
#include "template/jschema.h"
#include "template/regex.h"
#include "template/variables.h"

static json_t *parse(const char *text)
{
    json_error_t why;
    json_t *j = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    ck_assert_msg(j, "%s: %s", text, why.text);
    return j;
}

/* ---- variables ---- */

/* The effective values as sorted JSON, or the codes of the findings with '!' in front. Owned. */
static char *read_values(const char *declarations, const char *values)
{
    static char out[4096];
    struct findings f;
    struct variables *v;
    json_t *d = parse(declarations), *given = parse(values), *effective, *x;
    size_t i;
    findings_init(&f);
    variables_check(d, &f);
    ck_assert_msg(f.errors == 0, "%s", json_dumps(f.list, 0));
    ck_assert(variables_create(d, &v, NULL));
    variables_read(v, given, &effective, &f);
    out[0] = '\0';
    if (effective) {
        ck_assert_uint_eq(f.errors, 0);
        char *text = json_dumps(effective, JSON_COMPACT);
        snprintf(out, sizeof out, "%s", text);
        free(text);
    } else {
        ck_assert_uint_gt(f.errors, 0);
        json_array_foreach (f.list, i, x) {
            size_t n = strlen(out);
            const char *zh =
                json_string_value(json_object_get(json_object_get(x, "message"), "zh"));
            snprintf(out + n, sizeof out - n, "!%s@%s",
                     json_string_value(json_object_get(x, "code")),
                     json_string_value(json_object_get(x, "at")));
            ck_assert_ptr_nonnull(zh);
            ck_assert_msg((unsigned char)zh[0] >= 0x80 || strstr(zh, "\xe4") ||
                              strstr(zh, "\xe5") || strstr(zh, "\xe8"),
                          "no Chinese message: %s", zh);
        }
    }
    json_decref(effective);
    variables_destroy(&v);
    findings_release(&f);
    json_decref(given);
    json_decref(d);
    return out;
}

START_TEST(values_of_every_type)
{
    static const struct {
        const char *declaration, *value, *expected;
    } cases[] = {
        {"{'name':'x','type':'text'}", "{'x':'hello'}", "{'x':'hello'}"},
        {"{'name':'x','type':'text'}", "{'x':3}", "!wrong-type@variables.x"},
        {"{'name':'x','type':'text'}", "{}", "{}"},
        {"{'name':'x','type':'text','required':true}", "{}", "!missing@variables.x"},
        {"{'name':'x','type':'text','required':true}", "{'x':''}", "!missing@variables.x"},
        {"{'name':'x','type':'text','required':true}", "{'x':null}", "!missing@variables.x"},
        {"{'name':'x','type':'text','default':'d','required':true}", "{}", "{'x':'d'}"},
        {"{'name':'x','type':'text','max':2}", "{'x':'你好'}", "{'x':'你好'}"},
        {"{'name':'x','type':'text','max':2}", "{'x':'你好吗'}", "!too-large@variables.x"},
        {"{'name':'x','type':'text','min':2}", "{'x':'你'}", "!too-small@variables.x"},
        {"{'name':'x','type':'text','pattern':'[A-Z]{2}\\\\d+'}", "{'x':'AB12'}", "{'x':'AB12'}"},
        {"{'name':'x','type':'text','pattern':'[A-Z]{2}\\\\d+'}", "{'x':'AB12 '}",
         "!pattern@variables.x"},
        {"{'name':'x','type':'number','min':1,'max':5}", "{'x':5}", "{'x':5}"},
        {"{'name':'x','type':'number','min':1,'max':5}", "{'x':5.5}", "!too-large@variables.x"},
        {"{'name':'x','type':'number','min':1,'max':5}", "{'x':0.5}", "!too-small@variables.x"},
        {"{'name':'x','type':'number'}", "{'x':3.0}", "{'x':3}"},
        {"{'name':'x','type':'number'}", "{'x':'3'}", "!wrong-type@variables.x"},
        {"{'name':'x','type':'date'}", "{'x':'2024-02-29'}", "{'x':'2024-02-29'}"},
        {"{'name':'x','type':'date'}", "{'x':'2023-02-29'}", "!not-a-date@variables.x"},
        {"{'name':'x','type':'date'}", "{'x':'1900-02-29'}", "!not-a-date@variables.x"},
        {"{'name':'x','type':'date'}", "{'x':'2024-1-2'}", "!not-a-date@variables.x"},
        {"{'name':'x','type':'date','min':'2024-01-01'}", "{'x':'2023-12-31'}",
         "!too-small@variables.x"},
        {"{'name':'x','type':'date','max':'2024-01-01'}", "{'x':'2024-01-02'}",
         "!too-large@variables.x"},
        {"{'name':'x','type':'choice','options':['a','b']}", "{'x':'b'}", "{'x':'b'}"},
        {"{'name':'x','type':'choice','options':['a','b']}", "{'x':'c'}",
         "!not-an-option@variables.x"},
        {"{'name':'x','type':'table','columns':['b','a']}", "{'x':[{'a':1,'b':'z'},{'b':2.0}]}",
         "{'x':[{'b':'z','a':1},{'b':2,'a':''}]}"},
        {"{'name':'x','type':'table','columns':['a']}", "{'x':[{'a':1},{'q':1}]}",
         "!unknown-column@variables.x[1]"},
        {"{'name':'x','type':'table','columns':['a']}", "{'x':[{'a':[1]}]}",
         "!wrong-type@variables.x[0]"},
        {"{'name':'x','type':'table','columns':['a'],'max':1}", "{'x':[{'a':1},{'a':2}]}",
         "!too-large@variables.x"},
        {"{'name':'x','type':'table','columns':['a'],'min':1}", "{'x':[]}",
         "!too-small@variables.x"},
        {"{'name':'x','type':'table','columns':['a']}", "{'x':{}}", "!wrong-type@variables.x"},
        {"{'name':'x','type':'file','max':3}", "{'x':'abcd'}", "!too-large@variables.x"},
        {"{'name':'x','type':'text'}", "{'y':'1'}", "!unknown-variable@variables"},
        {"{'name':'x','type':'text','required':true}", "{'y':'1'}",
         "!unknown-variable@variables!missing@variables.x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char declaration[300], value[300], expected[300];
        snprintf(declaration, sizeof declaration, "[%s]", cases[i].declaration);
        snprintf(value, sizeof value, "%s", cases[i].value);
        snprintf(expected, sizeof expected, "%s", cases[i].expected);
        char *all[] = {declaration, value, expected};
        for (size_t k = 0; k < 3; k++) {
            for (char *p = all[k]; *p; p++)
                *p = *p == '\'' ? '"' : *p;
        }
        ck_assert_str_eq(read_values(declaration, value), expected);
    }
}
END_TEST

START_TEST(order_is_that_of_the_declaration)
{
    ck_assert_str_eq(
        read_values("[{\"name\":\"b\",\"type\":\"text\"},{\"name\":\"a\",\"type\":\"text\"}]",
                    "{\"a\":\"1\",\"b\":\"2\"}"),
        "{\"b\":\"2\",\"a\":\"1\"}");
}
END_TEST

START_TEST(wrong_declarations)
{
    static const struct {
        const char *declarations, *code;
    } cases[] = {
        {"{}", "bad-field"},
        {"[{\"type\":\"text\"}]", "bad-name"},
        {"[{\"name\":\"1a\",\"type\":\"text\"}]", "bad-name"},
        {"[{\"name\":\"loop\",\"type\":\"text\"}]", "bad-name"},
        {"[{\"name\":\"a\",\"type\":\"colour\"}]", "bad-type"},
        {"[{\"name\":\"a\",\"type\":\"text\",\"maximum\":3}]", "unknown-field"},
        {"[{\"name\":\"a\",\"type\":\"text\",\"max\":-1}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"text\",\"max\":\"3\"}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"date\",\"min\":\"2023-02-30\"}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"choice\"}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"choice\",\"options\":[\"x\",\"x\"]}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"table\"}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"number\",\"pattern\":\"x\"}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"text\",\"pattern\":\"(\"}]", "bad-pattern"},
        {"[{\"name\":\"a\",\"type\":\"text\",\"required\":1}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"text\",\"label\":{\"fr\":\"x\"}}]", "bad-field"},
        {"[{\"name\":\"a\",\"type\":\"number\",\"max\":3,\"default\":4}]", "too-large"},
        {"[{\"name\":\"a\",\"type\":\"text\",\"pattern\":\"x+\",\"default\":\"y\"}]", "pattern"},
        {"[{\"name\":\"a\",\"type\":\"text\"},{\"name\":\"a\",\"type\":\"text\"}]",
         "declared-twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct findings f;
        json_t *d = parse(cases[i].declarations);
        findings_init(&f);
        variables_check(d, &f);
        ck_assert_msg(f.errors == 1, "%s: %zu errors", cases[i].declarations, f.errors);
        ck_assert_str_eq(json_string_value(json_object_get(json_array_get(f.list, 0), "code")),
                         cases[i].code);
        struct err e = ERR_INIT;
        ck_assert(!findings_ok(&f, &e));
        ck_assert_int_eq(e.code, ERR_ARG);
        findings_release(&f);
        json_decref(d);
    }
}
END_TEST

/* ---- regular expressions ---- */

START_TEST(regex_is_bounded)
{
    struct regex *r;
    struct err e = ERR_INIT;
    char text[60];
    bool matches;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 'b';
    ck_assert(regex_compile("(a*)*c|(a|aa)+$", 15, REGEX_WHOLE, &r, &e));
    ck_assert(!regex_match(r, text, sizeof text, &matches, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    regex_destroy(&r);
    ck_assert(!regex_compile("[", 1, REGEX_SOMEWHERE, &r, &e));
    ck_assert_int_eq(e.code, ERR_FORMAT);
    ck_assert_ptr_null(r);
    ck_assert(regex_compile("\\w+", 3, REGEX_WHOLE, &r, &e));
    ck_assert(regex_match(r, "质量", 6, &matches, &e) && matches);
    ck_assert(regex_match(r, "a b", 3, &matches, &e) && !matches);
    regex_destroy(&r);
}
END_TEST

/* ---- JSON Schema ---- */

START_TEST(schema_subset)
{
    static const struct {
        const char *schema, *value;
        bool fits;
    } cases[] = {
        {"{\"type\":\"object\"}", "{}", true},
        {"{\"type\":\"object\"}", "[]", false},
        {"{\"type\":[\"string\",\"null\"]}", "null", true},
        {"{\"type\":\"integer\"}", "3.0", true},
        {"{\"type\":\"integer\"}", "3.5", false},
        {"{\"enum\":[1,\"a\"]}", "1.0", true},
        {"{\"enum\":[1,\"a\"]}", "\"b\"", false},
        {"{\"const\":{\"a\":1}}", "{\"a\":1}", true},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", false},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{}", true},
        {"{\"required\":[\"a\"]}", "{}", false},
        {"{\"required\":[\"a\"]}", "3", true},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"b\":1}", false},
        {"{\"additionalProperties\":{\"type\":\"number\"}}", "{\"b\":1}", true},
        {"{\"additionalProperties\":{\"type\":\"number\"}}", "{\"b\":\"\"}", false},
        {"{\"items\":{\"type\":\"number\"}}", "[1,2]", true},
        {"{\"items\":{\"type\":\"number\"}}", "[1,\"2\"]", false},
        {"{\"minItems\":1}", "[]", false},
        {"{\"maxItems\":1}", "[1,2]", false},
        {"{\"minimum\":3}", "3", true},
        {"{\"exclusiveMinimum\":3}", "3", false},
        {"{\"maximum\":3}", "3.5", false},
        {"{\"exclusiveMaximum\":3}", "2.9", true},
        {"{\"maxLength\":2}", "\"你好\"", true},
        {"{\"maxLength\":2}", "\"abc\"", false},
        {"{\"minLength\":2}", "\"你\"", false},
        {"{\"pattern\":\"^D[1-8]$\"}", "\"D8\"", true},
        {"{\"pattern\":\"^D[1-8]$\"}", "\"D9\"", false},
        {"{\"title\":\"x\",\"description\":\"y\",\"default\":3}", "1", true},
        {"false", "1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *schema = parse(cases[i].schema), *value = parse(cases[i].value);
        struct err e = ERR_INIT;
        ck_assert_msg(jschema_check(schema, &e), "%s: %s", cases[i].schema, e.msg);
        bool fits = jschema_validate(schema, value, &e);
        ck_assert_msg(fits == cases[i].fits, "%s on %s", cases[i].schema, cases[i].value);
        ck_assert(fits || e.code == ERR_ARG);
        json_decref(schema);
        json_decref(value);
    }
}
END_TEST

START_TEST(schema_refuses_what_it_does_not_know)
{
    static const struct {
        const char *schema;
        enum err_code code;
    } cases[] = {
        {"{\"oneOf\":[]}", ERR_UNSUPPORTED},
        {"{\"properties\":{\"a\":{\"$ref\":\"#\"}}}", ERR_UNSUPPORTED},
        {"{\"type\":\"text\"}", ERR_FORMAT},
        {"{\"type\":\"t s\"}", ERR_FORMAT},
        {"{\"required\":[1]}", ERR_FORMAT},
        {"{\"minLength\":-1}", ERR_FORMAT},
        {"{\"pattern\":\"(\"}", ERR_FORMAT},
        {"{\"items\":3}", ERR_FORMAT},
        {"[]", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *schema = parse(cases[i].schema);
        struct err e = ERR_INIT;
        ck_assert_msg(!jschema_check(schema, &e), "%s", cases[i].schema);
        ck_assert_int_eq(e.code, cases[i].code);
        json_decref(schema);
    }
    json_t *deep = json_object();
    for (int i = 0; i < JSCHEMA_MAX_DEPTH + 2; i++)
        deep = json_pack("{s:o}", "items", deep);
    struct err e = ERR_INIT;
    ck_assert(!jschema_check(deep, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    json_decref(deep);
}
END_TEST

/* ---- checks ---- */

/* A word is a token. */
static size_t count_words(void *ctx, const char *text, size_t len)
{
    size_t n = 0;
    (void)ctx;
    for (size_t i = 0; i < len; i++)
        n += text[i] != ' ' && (i == 0 || text[i - 1] == ' ');
    return n;
}

START_TEST(checks_of_answers)
{
    static const struct {
        const char *check, *answer;
        bool passes;
    } cases[] = {
        {"{\"contains\":\"会议\"}", "本次会议纪要", true},
        {"{\"contains\":\"会议\"}", "纪要", false},
        {"{\"not_contains\":\"sorry\"}", "I am sorry", false},
        {"{\"not_contains\":\"sorry\"}", "done", true},
        {"{\"regex\":\"D[1-8]\"}", "see D4 below", true},
        {"{\"regex\":\"^D[1-8]$\"}", "see D4 below", false},
        {"{\"regex\":\"(a*)*c\"}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false},
        {"{\"regex\":\"a\"}", "a\xff", false},
        {"{\"json_schema\":{\"type\":\"object\",\"required\":[\"a\"]}}", " {\"a\":1}\n", true},
        {"{\"json_schema\":{\"type\":\"object\",\"required\":[\"a\"]}}", "{}", false},
        {"{\"json_schema\":{\"type\":\"object\"}}", "Here it is: {}", false},
        {"{\"max_tokens\":3}", "one two three", true},
        {"{\"max_tokens\":3}", "one two three four", false},
    };
    const struct token_counter words = {.count = count_words};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char list[200];
        snprintf(list, sizeof list, "[%s]", cases[i].check);
        json_t *checks = parse(list), *report;
        struct findings f;
        findings_init(&f);
        checks_check(checks, "tests[0]", &f);
        ck_assert_uint_eq(f.errors, 0);
        findings_release(&f);
        bool passes = checks_run(checks, cases[i].answer, strlen(cases[i].answer), &words, &report);
        ck_assert_msg(passes == cases[i].passes, "%s on %s", cases[i].check, cases[i].answer);
        const json_t *row = json_array_get(report, 0);
        ck_assert_int_eq(json_is_true(json_object_get(row, "passed")), passes);
        ck_assert_int_eq(json_object_get(row, "detail") == NULL, passes);
        json_decref(report);
        json_decref(checks);
    }
    json_t *checks = parse("[{\"max_tokens\":3}]"), *report;
    ck_assert(!checks_run(checks, "x", 1, NULL, &report));
    json_decref(report);
    json_decref(checks);
}
END_TEST

START_TEST(wrong_checks)
{
    static const char *const cases[] = {
        "[]",
        "{}",
        "[{\"judge\":\"nice\"}]",
        "[{\"contains\":\"\"}]",
        "[{\"regex\":\"(\"}]",
        "[{\"json_schema\":{\"oneOf\":[]}}]",
        "[{\"max_tokens\":0}]",
        "[{\"contains\":\"a\",\"regex\":\"b\"}]",
        "[3]",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *checks = parse(cases[i]);
        struct findings f;
        findings_init(&f);
        checks_check(checks, "tests[0]", &f);
        ck_assert_msg(f.errors == 1, "%s", cases[i]);
        findings_release(&f);
        json_decref(checks);
    }
}
END_TEST

int main(void)
{
    const struct {
        const char *name;
        const TTest *test;
    } cases[] = {
        {"values of every type", values_of_every_type},
        {"order of declaration", order_is_that_of_the_declaration},
        {"wrong declarations", wrong_declarations},
        {"bounded regular expressions", regex_is_bounded},
        {"JSON Schema subset", schema_subset},
        {"unknown JSON Schema", schema_refuses_what_it_does_not_know},
        {"checks of answers", checks_of_answers},
        {"wrong checks", wrong_checks},
    };
    Suite *s = suite_create("variables");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TCase *c = tcase_create(cases[i].name);
        tcase_add_test(c, cases[i].test);
        suite_add_tcase(s, c);
    }
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
