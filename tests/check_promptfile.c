/* The text form of templates and its exact round trip, canonical JSON, contents, rendering and
 * composition, lint, differences. No database. */
#include <config.h>

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "template/canon.h"
#include "template/content.h"
#include "template/diff.h"
#include "template/lint.h"
#include "template/promptfile.h"
#include "template/render.h"

static json_t *parse(const char *text)
{
    json_error_t why;
    json_t *j = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    ck_assert_msg(j, "%s: %s", text, why.text);
    return j;
}

/* ---- canonical JSON ---- */

START_TEST(canonical_texts)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"{\"b\" : 1, \"a\":[ true,null ]}", "{\"a\":[true,null],\"b\":1}"},
        {"[0.1, 1.0, 1e300, 3.0e-7, 0.30000000000000004]",
         "[0.1,1.0,1e+300,3e-07,0.30000000000000004]"},
        {"\"\\u4f60\\n\\u0001\\\"\\\\/\"", "\"你\\n\\u0001\\\"\\\\/\""},
        {"{\"Z\":{},\"a\":[],\"\":0}", "{\"\":0,\"Z\":{},\"a\":[]}"},
        {"-9223372036854775807", "-9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *j = parse(cases[i].in);
        char *text;
        size_t len;
        ck_assert(canon_text(j, &text, &len, NULL));
        ck_assert_str_eq(text, cases[i].out);
        json_t *again = parse(text);
        ck_assert(json_equal(j, again));
        struct buf pretty;
        buf_init(&pretty, 10000);
        canon_append_pretty(&pretty, j, CANON_AS_GIVEN, 0);
        json_t *third = parse(buf_str(&pretty));
        ck_assert(json_equal(j, third));
        buf_release(&pretty);
        json_decref(third);
        json_decref(again);
        free(text);
        json_decref(j);
    }
}
END_TEST

/* ---- contents ---- */

static json_t *content_of(const char *text)
{
    struct findings f;
    struct err e = ERR_INIT;
    json_t *j = parse(text);
    findings_init(&f);
    json_t *content = content_check(j, &f);
    ck_assert_msg(findings_ok(&f, &e), "%s", e.msg);
    ck_assert_ptr_nonnull(content);
    findings_release(&f);
    json_decref(j);
    return content;
}

static void hash_of(const json_t *content, char hex[HASH_SHA256_HEX])
{
    uint8_t hash[CANON_HASH_BYTES];
    char *text;
    size_t len;
    ck_assert(content_canonical(content, &text, &len, hash, NULL));
    free(text);
    hash_hex(hash, hex);
}

START_TEST(hash_is_of_meaning)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        /* order of keys, nulls, line ends */
        {"{\"lang\":\"zh\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\nb\"}]}",
         "{\"messages\":[{\"content\":\"a\\r\\nb\",\"role\":\"user\"}],\"lang\":\"zh\",\"model\":"
         "null}",
         true},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"a \"}]}", false},
        /* models see the order of properties */
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"response_schema\":{"
         "\"properties\":"
         "{\"x\":true,\"y\":true}}}",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"response_schema\":{"
         "\"properties\":"
         "{\"y\":true,\"x\":true}}}",
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char a[HASH_SHA256_HEX], b[HASH_SHA256_HEX];
        json_t *x = content_of(cases[i].a), *y = content_of(cases[i].b);
        hash_of(x, a);
        hash_of(y, b);
        ck_assert_int_eq(strcmp(a, b) == 0, cases[i].same);
        json_decref(x);
        json_decref(y);
    }
    /* what is stored must keep its hash for ever */
    json_t *x = content_of("{\"messages\":[{\"role\":\"user\",\"content\":\"{{ x }}\"}],"
                           "\"variables\":[{\"name\":\"x\",\"type\":\"number\",\"max\":0.5}]}");
    char hex[HASH_SHA256_HEX];
    hash_of(x, hex);
    ck_assert_str_eq(hex, "a315eeb6dac9af4f5773b5c403b7321e1ce89749434dcce2759fc63417f264cd");
    json_decref(x);
}
END_TEST

START_TEST(wrong_contents)
{
    static const char *const cases[] = {
        "[]",
        "{}",
        "{\"messages\":[]}",
        "{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}",
        "{\"messages\":[{\"role\":\"user\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\",\"name\":\"x\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]}",
        "{\"messages\":[{\"include\":\"a\"}]}",
        "{\"messages\":[{\"include\":\"A\",\"label\":\"x\"}]}",
        "{\"messages\":[{\"include\":\"a\",\"label\":\"x\",\"number\":1}]}",
        "{\"messages\":[{\"include\":\"a\",\"number\":0}]}",
        "{\"messages\":[{\"include\":\"a\",\"label\":\"3\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"lang\":\"fr\"}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"titel\":{}}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"settings\":{\"temperature\":3}}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"settings\":{\"stream\":true}}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"tools\":{}}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"tests\":[{\"name\":\"a\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"example\":{}}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct findings f;
        json_error_t why;
        json_t *j = json_loads(cases[i], JSON_ALLOW_NUL, &why);
        findings_init(&f);
        ck_assert_ptr_null(content_check(j, &f));
        ck_assert_msg(f.errors >= 1, "%s", cases[i]);
        findings_release(&f);
        json_decref(j);
    }
}
END_TEST

START_TEST(names_and_labels)
{
    ck_assert(content_is_name("office/minutes") && content_is_name("a") &&
              content_is_name("a-b/c_d/1"));
    ck_assert(!content_is_name("") && !content_is_name("/a") && !content_is_name("a/"));
    ck_assert(!content_is_name("a//b") && !content_is_name("A") && !content_is_name("a.b"));
    ck_assert(content_is_label("production") && content_is_label("v1.2_x-y"));
    ck_assert(!content_is_label("") && !content_is_label("12") && !content_is_label("Prod"));
    ck_assert(content_is_label("123456789012345678901234567890123abc"));
    ck_assert(!content_is_label("1234567890123456789012345678901234abc"));
}
END_TEST

/* ---- files ---- */

static const char sample[] =
    "{\n  \"name\": \"office/minutes\", \"note\": \"first\", \"tags\": [\"office\", \"会议\"],\n"
    "  \"title\": {\"zh\": \"会议纪要\", \"en\": \"Minutes\"}, \"lang\": \"zh\", \"model\": null,\n"
    "  \"variables\": [\n"
    "    {\"name\": \"text\", \"type\": \"file\", \"required\": true, \"max\": 20000},\n"
    "    {\"name\": \"items\", \"type\": \"table\", \"columns\": [\"who\", \"what\"]}],\n"
    "  \"settings\": {\"temperature\": 0.3, \"max_tokens\": 800},\n"
    "  \"response_schema\": {\"type\": \"object\", \"properties\": {\"z\": {\"type\": "
    "\"string\"},\n"
    "     \"a\": {\"type\": \"number\"}}},\n"
    "  \"example\": {\"variables\": {\"text\": \"今天……\"}},\n"
    "  \"tests\": [{\"name\": \"form\", \"variables\": {\"text\": \"t\"},\n"
    "     \"checks\": [{\"regex\": \"\\\\S\"}, {\"max_tokens\": 800}], \"form_only\": true}]\n"
    "}\n"
    "--- system\n你是秘书。\n\n\\--- system\n\\\\--- x\n---\n--- include office/tone@production\n"
    "--- include office/rules@3\n--- user\n{% for row in items %}{{ row.who }}: {{ row.what }}\n"
    "{% endfor %}{{ text }}\n\n--- assistant\n--- user\nlast";

static void read_file(const char *text, struct promptfile *p)
{
    struct findings f;
    struct err e = ERR_INIT;
    findings_init(&f);
    ck_assert_msg(promptfile_parse(text, strlen(text), p, &f, &e), "%s", e.msg);
    findings_release(&f);
}

static char *message_text(const struct promptfile *p, size_t i)
{
    const json_t *m = json_array_get(json_object_get(p->content, "messages"), i);
    return (char *)(uintptr_t)json_string_value(json_object_get(m, "content"));
}

START_TEST(file_is_read)
{
    struct promptfile p;
    read_file(sample, &p);
    ck_assert_str_eq(p.name, "office/minutes");
    ck_assert_str_eq(p.note, "first");
    ck_assert_uint_eq(json_array_size(p.tags), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(p.content, "messages")), 6);
    ck_assert_str_eq(message_text(&p, 0), "你是秘书。\n\n--- system\n\\--- x\n---");
    ck_assert_ptr_null(message_text(&p, 1));
    ck_assert_str_eq(
        message_text(&p, 3),
        "{% for row in items %}{{ row.who }}: {{ row.what }}\n{% endfor %}{{ text }}\n");
    ck_assert_str_eq(message_text(&p, 4), "");
    ck_assert_str_eq(message_text(&p, 5), "last");
    const json_t *include = json_array_get(json_object_get(p.content, "messages"), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(include, "number")), 3);
    ck_assert_ptr_null(json_object_get(p.content, "model"));
    ck_assert_ptr_null(json_object_get(p.content, "name"));
    promptfile_release(&p);
}
END_TEST

START_TEST(file_round_trip)
{
    struct promptfile p, q;
    struct buf once, twice;
    char a[HASH_SHA256_HEX], b[HASH_SHA256_HEX];
    read_file(sample, &p);
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    promptfile_write(&p, &once);
    read_file(buf_str(&once), &q);
    promptfile_write(&q, &twice);
    ck_assert_str_eq(buf_str(&once), buf_str(&twice));
    hash_of(p.content, a);
    hash_of(q.content, b);
    ck_assert_str_eq(a, b);
    ck_assert(json_equal(p.tags, q.tags));
    ck_assert_str_eq(p.note, q.note);
    promptfile_release(&p);
    promptfile_release(&q);
    buf_release(&once);
    buf_release(&twice);
}
END_TEST

/* Texts made of what could confuse a reader of lines come back byte for byte. */
START_TEST(any_text_survives)
{
    static const char *const pieces[] = {"--- ",   "--- system", "\\--- ", "\\\\--- user", "\n",
                                         "---",    " --- ",      "{",      "\\",           "x",
                                         "你好\n", "\n\n",       "\t"};
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 2000; round++) {
        struct buf text, file;
        buf_init(&text, 10000);
        buf_init(&file, 100000);
        for (int i = 0; i < round % 9; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            buf_puts(&text, pieces[seed % (sizeof pieces / sizeof *pieces)]);
        }
        struct promptfile p = {.name = mem_strdup("a"), .note = mem_strdup("n\n\"")}, q;
        p.content = json_pack("{s:[{s:s,s:s},{s:s,s:s}]}", "messages", "role", "system", "content",
                              buf_str(&text), "role", "user", "content", buf_str(&text));
        promptfile_write(&p, &file);
        read_file(buf_str(&file), &q);
        ck_assert_msg(json_equal(p.content, q.content), "%s", buf_str(&file));
        promptfile_release(&p);
        promptfile_release(&q);
        buf_release(&text);
        buf_release(&file);
    }
}
END_TEST

START_TEST(windows_line_ends)
{
    static const char dos[] =
        "\xef\xbb\xbf{\"name\":\"a\",\r\n\"note\":\"n\"}\r\n--- user\r\nx\r\ny\r\n";
    struct promptfile p;
    read_file(dos, &p);
    ck_assert_str_eq(message_text(&p, 0), "x\ny");
    promptfile_release(&p);
}
END_TEST

START_TEST(wrong_files)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "head"},
        {"[]\n--- user\nx", "JSON object"},
        {"{\"name\":\"a\"}\n--- user\nx", "\"note\""},
        {"{\"note\":\"a\"}\n--- user\nx", "\"name\""},
        {"{\"name\":\"A\",\"note\":\"a\"}\n--- user\nx", "a-z"},
        {"{\"name\":\"a\",\"note\":\"a\",\"note\":\"b\"}\n--- user\nx", "duplicate"},
        {"{\"name\":\"a\",\"note\":\"a\",\"messages\":[]}\n--- user\nx", "below the head"},
        {"{\"name\":\"a\",\"note\":\"a\",\"tags\":[\"x\",\"x\"]}\n--- user\nx", "tags"},
        {"{\"name\":\"a\",\"note\":\"a\",\"color\":1}\n--- user\nx", "no field"},
        {"{\"name\":\"a\",\"note\":\"a\"} junk\n--- user\nx", "line 1"},
        {"{\"name\":\"a\",\"note\":\"a\"}\njunk\n--- user\nx", "line 2"},
        {"{\"name\":\"a\",\"note\":\"a\"}\n--- robot\nx", "line 2"},
        {"{\"name\":\"a\",\"note\":\"a\"}\n--- include b\n", "NAME@LABEL"},
        {"{\"name\":\"a\",\"note\":\"a\"}\n--- include b@x\ntext\n", "line 3"},
        {"{\"name\":\"a\",\"note\":\"a\"}\n", "1 to"},
        {"{\"name\":\"a\",\"note\":\"a\"}\n--- user\n\xff", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct promptfile p;
        struct findings f;
        struct err e = ERR_INIT;
        findings_init(&f);
        ck_assert_msg(!promptfile_parse(cases[i].text, strlen(cases[i].text), &p, &f, &e), "%s",
                      cases[i].text);
        ck_assert_msg(strstr(e.msg, cases[i].says), "%s: %s", cases[i].text, e.msg);
        ck_assert_ptr_null(p.content);
        findings_release(&f);
    }
}
END_TEST

/* ---- rendering ---- */

/* A few templates by name. */
static bool fetch(void *ctx, const char *name, const char *label, int64_t number,
                  struct prompt_source *out, struct err *e)
{
    const json_t *all = ctx;
    json_t *content = json_object_get(all, name);
    if (!content || (label && strcmp(label, "production") != 0) || (!label && number != 1))
        FAIL(e, ERR_NOT_FOUND, "there is no such version of %s", name);
    *out = (struct prompt_source){.template_id = 7, .number = 1, .content = json_incref(content)};
    return true;
}

static char *render_text(json_t *content, json_t *parts, const char *values,
                         struct prompt_rendering *keep)
{
    struct prompt *p;
    struct prompt_rendering r;
    struct err e = ERR_INIT;
    struct prompt_source root = {.content = content};
    json_t *given = parse(values);
    char *text = NULL;
    if (!prompt_create(&root, parts ? fetch : NULL, parts, &p, &e)) {
        text = mem_strdup(e.msg);
    } else if (!prompt_render(p, given, &r, NULL, &e)) {
        text = mem_strdup(e.msg);
    } else {
        size_t len;
        ck_assert(canon_text(r.messages, &text, &len, NULL));
        if (keep)
            *keep = r;
        else
            prompt_rendering_release(&r);
    }
    prompt_unref(&p);
    json_decref(given);
    return text;
}

START_TEST(rendering_is_pure)
{
    json_t *c = content_of(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Hello {{ who }}.\"},{\"role\":\"user\","
        "\"content\":\"{% for r in t %}{% for k, v in r.items() %}{{ k }}={{ v }};{% endfor %}"
        "{% endfor %}{{ n }}{{ nothing }}\"}],\"variables\":[{\"name\":\"who\",\"type\":\"text\","
        "\"default\":\"you\"},{\"name\":\"t\",\"type\":\"table\",\"columns\":[\"b\",\"a\"]},"
        "{\"name\":\"n\",\"type\":\"number\"},{\"name\":\"nothing\",\"type\":\"text\"}]}");
    struct prompt_rendering r, s;
    char *one = render_text(c, NULL, "{\"t\":[{\"a\":1,\"b\":\"<&\"}],\"n\":3.0}", &r);
    char *two = render_text(c, NULL, "{\"n\":3,\"who\":\"you\",\"t\":[{\"b\":\"<&\",\"a\":1.0}]}",
                            &s);
    ck_assert_str_eq(one, "[{\"content\":\"Hello you.\",\"role\":\"system\"},"
                          "{\"content\":\"b=<&;a=1;3\",\"role\":\"user\"}]");
    ck_assert_str_eq(one, two);
    ck_assert_mem_eq(r.variables_hash, s.variables_hash, CANON_HASH_BYTES);
    uint8_t expected[CANON_HASH_BYTES];
    static const char canonical[] = "{\"n\":3,\"t\":[{\"a\":1,\"b\":\"<&\"}],\"who\":\"you\"}";
    ck_assert(hash_sha256(canonical, sizeof canonical - 1, expected, NULL));
    ck_assert_mem_eq(r.variables_hash, expected, CANON_HASH_BYTES);
    prompt_rendering_release(&r);
    prompt_rendering_release(&s);
    free(one);
    free(two);
    /* what a caller writes is not template language */
    one = render_text(c, NULL, "{\"who\":\"{{ n }}{% raw %}\"}", NULL);
    ck_assert_ptr_nonnull(strstr(one, "Hello {{ n }}{% raw %}."));
    free(one);
    one = render_text(c, NULL, "{\"n\":\"x\"}", NULL);
    ck_assert_str_eq(one, "variables.n: must be a number");
    free(one);
    json_decref(c);
}
END_TEST

START_TEST(composition)
{
    json_t *parts = json_object();
    json_object_set_new(
        parts, "tone",
        content_of("{\"messages\":[{\"role\":\"system\",\"content\":\"Be {{ how }}.\"}],"
                   "\"variables\":[{\"name\":\"how\",\"type\":\"text\",\"default\":"
                   "\"kind\"}],\"model\":\"m\"}"));
    json_object_set_new(parts, "deep",
                        content_of("{\"messages\":[{\"include\":\"tone\",\"number\":1},{\"role\":"
                                   "\"user\",\"content\":\"deep\"}]}"));
    json_object_set_new(parts, "self",
                        content_of("{\"messages\":[{\"include\":\"self\",\"number\":1}]}"));
    json_t *c = content_of(
        "{\"messages\":[{\"include\":\"deep\",\"label\":\"production\"},{\"role\":"
        "\"user\",\"content\":\"end\"}]}");
    char *text = render_text(c, parts, "{}", NULL);
    ck_assert_str_eq(
        text, "[{\"content\":\"Be kind.\",\"role\":\"system\"},{\"content\":\"deep\",\"role\":"
              "\"user\"},{\"content\":\"end\",\"role\":\"user\"}]");
    free(text);
    text = render_text(c, parts, "{\"how\":\"brief\"}", NULL);
    ck_assert_ptr_nonnull(strstr(text, "Be brief."));
    free(text);
    json_decref(c);
    c = content_of("{\"messages\":[{\"include\":\"tone\",\"label\":\"staging\"}]}");
    text = render_text(c, parts, "{}", NULL);
    ck_assert_str_eq(text, "messages[0], include tone: there is no such version of tone");
    free(text);
    json_decref(c);
    c = content_of("{\"messages\":[{\"include\":\"self\",\"number\":1}]}");
    text = render_text(c, parts, "{}", NULL);
    ck_assert_ptr_nonnull(strstr(text, "nested deeper than 4"));
    free(text);
    json_decref(c);
    c = content_of(
        "{\"messages\":[{\"include\":\"tone\",\"number\":1}],\"variables\":[{\"name\":\"how\","
        "\"type\":\"number\"}]}");
    text = render_text(c, parts, "{}", NULL);
    ck_assert_ptr_nonnull(strstr(text, "another type"));
    free(text);
    json_decref(c);
    json_decref(parts);
}
END_TEST

/* ---- lint ---- */

static size_t count_bytes(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    (void)text;
    return len;
}

/* "error undeclared-variable messages[0];…" of one content; owned. */
static char *lint(const char *text, json_t **measures)
{
    const struct token_counter bytes = {.count = count_bytes};
    struct findings f;
    struct buf out;
    json_t *c = content_of(text), *m, *x;
    size_t i;
    findings_init(&f);
    buf_init(&out, 10000);
    lint_content(c, NULL, NULL, &bytes, &f, &m);
    json_array_foreach (f.list, i, x)
        buf_printf(&out, "%s %s %s;", json_string_value(json_object_get(x, "level")),
                   json_string_value(json_object_get(x, "code")),
                   json_string_value(json_object_get(x, "at")));
    buf_puts(&out, "");
    char *got = mem_strdup(buf_str(&out));
    if (measures)
        *measures = m;
    else
        json_decref(m);
    buf_release(&out);
    findings_release(&f);
    json_decref(c);
    return got;
}

START_TEST(lint_finds)
{
    static const struct {
        const char *messages, *variables, *finds;
    } cases[] = {
        {"Hi {{ a }}", "a", ""},
        {"Hi {{ a }} {{ b }}", "a", "error undeclared-variable messages[0];"},
        {"Hi", "a", "warning unused-variable variables.a;"},
        {"Hi {{ a", "a", "error syntax messages[0];"},
        {"{% for x in a %}{{ x }}{{ loop.index }}{% endfor %}", "a", ""},
        {"{% for x in a %}{% endfor %}{{ x }}", "a", "error undeclared-variable messages[0];"},
        {"{% set y = a %}{{ y }}", "a", ""},
        {"{% if a %}{% set y = 1 %}{% endif %}{{ y }}", "a", ""},
        {"{% macro m(p, q=a) %}{{ p }}{{ q }}{{ caller() }}{% endmacro %}{{ m(1) }}", "a", ""},
        {"{% with z = a %}{{ z }}{% endwith %}", "a", ""},
        {"{{ range(3) | list }}{{ a | default(b) }}", "a",
         "error undeclared-variable messages[0];"},
        {"{{ namespace(x=a).x }}", "a", ""},
        {"{{ a[b:c] }}", "a",
         "error undeclared-variable messages[0];error undeclared-variable messages[0];"},
        {"{{ strftime_now('%Y') }}{{ a }}", "a", "error impure messages[0];"},
        {"{{ a }} 01234567890123456789012345678901234567890123456789", "a",
         "warning breaks-prefix variables.a;"},
        {"{% set y = a %}01234567890123456789012345678901234567890123456789{{ y }}", "a", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        snprintf(text, sizeof text,
                 "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],\"variables\":[{\"name\":"
                 "\"%s\",\"type\":\"text\"}]}",
                 cases[i].messages, cases[i].variables);
        char *found = lint(text, NULL);
        ck_assert_msg(strcmp(found, cases[i].finds) == 0, "%s: %s", cases[i].messages, found);
        free(found);
    }
}
END_TEST

START_TEST(lint_measures)
{
    json_t *m;
    char *found =
        lint("{\"messages\":[{\"role\":\"system\",\"content\":\"0123456789\"},{\"role\":\"user\","
             "\"content\":\"abc{{ x }}def\"}],\"variables\":[{\"name\":\"x\",\"type\":"
             "\"text\"}],\"example\":{\"variables\":{\"x\":\"12345\"}}}",
             &m);
    ck_assert_str_eq(found, "");
    ck_assert_int_eq(json_integer_value(json_object_get(m, "prefix_tokens")), 13);
    ck_assert_int_eq(json_integer_value(json_object_get(m, "fixed_tokens")), 16);
    ck_assert_int_eq(json_integer_value(json_object_get(m, "example_tokens")), 21);
    ck_assert(json_is_false(json_object_get(m, "estimated")));
    json_decref(m);
    free(found);
    found =
        lint("{\"messages\":[{\"role\":\"user\",\"content\":\"{{ x }}\"}],\"variables\":[{\"name\":"
             "\"x\",\"type\":\"number\"}],\"example\":{\"variables\":{\"x\":\"12345\"}},\"tests\":"
             "[{\"name\":\"t\",\"variables\":{\"y\":1},\"checks\":[{\"regex\":\".\"}]}]}",
             NULL);
    ck_assert_str_eq(found, "error does-not-render tests[0];error does-not-render example;");
    free(found);
}
END_TEST

/* ---- differences ---- */

START_TEST(differences)
{
    json_t *a = content_of(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"one\\ntwo\\nthree\"},"
        "{\"role\":\"user\",\"content\":\"u\"}],\"settings\":{\"temperature\":0.3,"
        "\"seed\":1},\"variables\":[{\"name\":\"x\",\"type\":\"text\"}]}");
    json_t *b = content_of(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"one\\n2\\nthree\\nfour\"},"
        "{\"role\":\"assistant\",\"content\":\"new\"},{\"role\":\"user\","
        "\"content\":\"u\"}],\"settings\":{\"temperature\":0.5},\"variables\":"
        "[{\"name\":\"y\",\"type\":\"date\"},{\"name\":\"x\",\"type\":\"text\","
        "\"max\":3}]}");
    json_t *d = diff_content(a, b);
    struct buf out;
    buf_init(&out, 10000);
    diff_text(d, &out);
    static const char *const expected[] = {
        "messages[0].content: changed\n    one\n  - two\n  + 2\n    three\n  + four\n",
        "messages[1]: added\n  + {",
        "settings.temperature: changed\n  - 0.3\n  + 0.5\n",
        "settings.seed: removed\n  - 1\n",
        "variables.x.max: added\n  + 3\n",
        "variables.y: added\n",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        ck_assert_msg(strstr(buf_str(&out), expected[i]), "%s is not in\n%s", expected[i],
                      buf_str(&out));
    ck_assert_uint_eq(json_array_size(d), 6);
    json_decref(d);
    d = diff_content(a, a);
    ck_assert_uint_eq(json_array_size(d), 0);
    json_decref(d);
    json_decref(a);
    json_decref(b);
    buf_release(&out);
    /* an order of keys that counts */
    a = parse("{\"tools\":[{\"a\":1,\"b\":2}],\"settings\":{\"a\":1,\"b\":2}}");
    b = parse("{\"tools\":[{\"b\":2,\"a\":1}],\"settings\":{\"b\":2,\"a\":1}}");
    d = diff_content(a, b);
    ck_assert_uint_eq(json_array_size(d), 1);
    json_decref(a);
    json_decref(b);
    json_decref(d);
}
END_TEST

int main(void)
{
    const struct {
        const char *name;
        const TTest *test;
    } cases[] = {
        {"canonical texts", canonical_texts},
        {"hash of meaning", hash_is_of_meaning},
        {"wrong contents", wrong_contents},
        {"names and labels", names_and_labels},
        {"a file is read", file_is_read},
        {"a file comes back the same", file_round_trip},
        {"any text survives", any_text_survives},
        {"Windows line ends", windows_line_ends},
        {"wrong files", wrong_files},
        {"definition 5: rendering is pure", rendering_is_pure},
        {"composition", composition},
        {"lint finds", lint_finds},
        {"lint measures", lint_measures},
        {"differences", differences},
    };
    Suite *s = suite_create("promptfile");
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
