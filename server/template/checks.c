/* Owns: the kinds of checks, one table row each. Refuses to know: who gave the answer. */
#include <config.h>

#include "template/checks.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "template/canon.h"
#include "template/jschema.h"
#include "template/regex.h"

struct answer {
    const char *text;
    size_t len;
    const struct token_counter *tokens;
};

struct kind {
    const char *name;
    /* Is the argument well formed? */
    bool (*check)(const json_t *arg, struct err *e);
    /* Does the answer pass? When it does not, `e` says why. */
    bool (*run)(const json_t *arg, const struct answer *a, struct err *e);
};

/* ---- texts ---- */

static bool check_text(const json_t *arg, struct err *e)
{
    if (!json_is_string(arg) || json_string_length(arg) == 0)
        FAIL(e, ERR_ARG, "needs a text that is not empty");
    return true;
}

static bool is_in(const json_t *arg, const struct answer *a)
{
    return memmem(a->text, a->len, json_string_value(arg), json_string_length(arg)) != NULL;
}

static bool run_contains(const json_t *arg, const struct answer *a, struct err *e)
{
    if (!is_in(arg, a))
        FAIL(e, ERR_ARG, "the answer does not contain the text");
    return true;
}

static bool run_not_contains(const json_t *arg, const struct answer *a, struct err *e)
{
    if (is_in(arg, a))
        FAIL(e, ERR_ARG, "the answer contains the text");
    return true;
}

static bool check_regex(const json_t *arg, struct err *e)
{
    struct regex *r;
    if (!check_text(arg, e) ||
        !regex_compile(json_string_value(arg), json_string_length(arg), REGEX_SOMEWHERE, &r, e))
        return false;
    regex_destroy(&r);
    return true;
}

static bool run_regex(const json_t *arg, const struct answer *a, struct err *e)
{
    struct regex *r;
    bool matches = false;
    if (!utf8_valid(a->text, a->len))
        FAIL(e, ERR_FORMAT, "the answer is not valid UTF-8");
    if (!regex_compile(json_string_value(arg), json_string_length(arg), REGEX_SOMEWHERE, &r, e))
        return false;
    bool ok = regex_match(r, a->text, a->len, &matches, e);
    regex_destroy(&r);
    if (ok && !matches)
        FAIL(e, ERR_ARG, "the answer does not match");
    return ok;
}

/* ---- JSON, tokens ---- */

static bool run_schema(const json_t *arg, const struct answer *a, struct err *e)
{
    json_t *value = canon_parse(a->text, a->len, e);
    if (!value)
        return err_prefix(e, "the answer is not JSON");
    bool ok = jschema_validate(arg, value, e);
    json_decref(value);
    return ok;
}

static bool check_count(const json_t *arg, struct err *e)
{
    if (!json_is_integer(arg) || json_integer_value(arg) < 1)
        FAIL(e, ERR_ARG, "needs a whole number above 0");
    return true;
}

static bool run_count(const json_t *arg, const struct answer *a, struct err *e)
{
    if (!a->tokens || !a->tokens->count)
        FAIL(e, ERR_UNSUPPORTED, "tokens cannot be counted without a model");
    size_t n = a->tokens->count(a->tokens->ctx, a->text, a->len);
    if (n > (size_t)json_integer_value(arg))
        FAIL(e, ERR_ARG, "the answer has %zu tokens", n);
    return true;
}

static const struct kind kinds[] = {
    {"contains", check_text, run_contains}, {"not_contains", check_text, run_not_contains},
    {"regex", check_regex, run_regex},      {"json_schema", jschema_check, run_schema},
    {"max_tokens", check_count, run_count},
};

static const struct kind *kind_of(const json_t *check, const json_t **arg)
{
    for (size_t i = 0; json_object_size(check) == 1 && i < sizeof kinds / sizeof *kinds; i++) {
        *arg = json_object_get(check, kinds[i].name);
        if (*arg)
            return &kinds[i];
    }
    return NULL;
}

void checks_check(const json_t *checks, const char *at, struct findings *f)
{
    size_t n = json_array_size(checks);
    char place[120];
    if (!json_is_array(checks) || n == 0 || n > CHECKS_MAX) {
        findings_add(f, FINDING_ERROR, "bad-check", at,
                     "\"checks\" must be an array of 1 to %d checks",
                     "“checks”必须是 1 到 %d 项检查组成的数组", CHECKS_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *arg;
        struct err e = ERR_INIT;
        const struct kind *kind = kind_of(json_array_get(checks, i), &arg);
        snprintf(place, sizeof place, "%.80s.checks[%zu]", at, i);
        if (!kind)
            findings_add(
                f, FINDING_ERROR, "bad-check", place,
                "a check is contains, not_contains, regex, json_schema or max_tokens",
                "检查只能是 contains、not_contains、regex、json_schema 或 max_tokens 之一");
        else if (!kind->check(arg, &e))
            findings_add(f, FINDING_ERROR, "bad-check", place, "%s: %s", "%s：%s", kind->name,
                         e.msg);
    }
}

bool checks_run(const json_t *checks, const char *answer, size_t len,
                const struct token_counter *tokens, json_t **report)
{
    const struct answer a = {.text = answer, .len = len, .tokens = tokens};
    bool all = true;
    *report = json_array();
    for (size_t i = 0; i < json_array_size(checks); i++) {
        json_t *check = json_array_get(checks, i);
        const json_t *arg;
        struct err e = ERR_INIT;
        const struct kind *kind = kind_of(check, &arg);
        bool passed = kind && kind->run(arg, &a, &e);
        json_t *row = json_pack("{s:O, s:b}", "check", check, "passed", (int)passed);
        if (!passed)
            json_object_set_new(row, "detail",
                                json_string(kind ? e.msg : "there is no check of this kind"));
        json_array_append_new(*report, row);
        all = all && passed;
    }
    return all;
}
