/* The pure parts of the API: pre-scan, writer, errors, schema tables, messages, prompt tokens, and the
 * streaming state machine. */
#include <config.h>

#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/errors.h"
#include "api/json.h"
#include "api/messages.h"
#include "api/params.h"
#include "api/prescan.h"
#include "api/prompt.h"
#include "api/schema.h"
#include "api/stream.h"
#include "api/templates.h"
#include "api/tokens.h"
#include "fake_engine.h"

/* ---- pre-scan --------------------------------------------------------------------------------- */

static bool prescan(const char *text)
{
    struct prescan_limits limits = {.depth = 3, .structural = 8, .number_bytes = 5};
    struct err e = ERR_INIT;
    return json_prescan(text, strlen(text), &limits, &e);
}

START_TEST(prescan_bounds)
{
    ck_assert(prescan("[[[1]]]"));
    ck_assert(!prescan("[[[[1]]]]"));
    ck_assert(prescan("[1,2,3,4,5,6,7]"));
    ck_assert(!prescan("[1,2,3,4,5,6,7,8]"));
    ck_assert(prescan("12345"));
    ck_assert(!prescan("123456"));
    ck_assert(prescan("12345 12345"));
    ck_assert(!prescan(""));
    ck_assert(!prescan(" \n"));
    ck_assert(!prescan("\"open"));
    ck_assert(!prescan("\"open\\\""));
    ck_assert(prescan("]]]]{}"));
}
END_TEST

START_TEST(prescan_skips_strings)
{
    ck_assert(prescan("\"[[[[[[,,,,,,,,,,\""));
    ck_assert(prescan("\"a\\\"[[[[[[\""));
    ck_assert(prescan("\"\\\\\",[[[]]]"));
    ck_assert(!prescan("\"\\\\\"[[[[]]]]"));
    ck_assert(prescan("\"a long string is no long number\""));
}
END_TEST

START_TEST(prescan_sees_nul)
{
    struct err e = ERR_INIT;
    ck_assert(!json_prescan("{\0}", 3, &PRESCAN_LIMITS_DEFAULT, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "NUL"));
}
END_TEST

/* ---- writer ----------------------------------------------------------------------------------- */

static void expect_escaped(const char *text, size_t len, const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    json_put_string(&b, text, len);
    ck_assert_str_eq(buf_str(&b), want);
    buf_release(&b);
}

START_TEST(escaper)
{
    expect_escaped("", 0, "\"\"");
    expect_escaped("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    expect_escaped("\n\r\t\b\x01\x7f", 6, "\"\\n\\r\\t\\u0008\\u0001\\u007f\"");
    expect_escaped("a\0b", 3, "\"a\\u0000b\"");
    expect_escaped("é你😀", 9, "\"é你😀\"");
    expect_escaped("\xff", 1, "\"\\ufffd\"");
    expect_escaped("a\xe4\xbd", 3, "\"a\\ufffd\"");
    expect_escaped("\xc0\x80z", 3, "\"\\ufffd\\ufffdz\"");
    expect_escaped("\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\"");
    expect_escaped("<script>\xe2\x80\xa8", 11, "\"<script>\xe2\x80\xa8\"");
}
END_TEST

/* Whatever bytes go in, a JSON parser reads the result and valid text comes back unchanged. */
START_TEST(escaper_round_trip)
{
    unsigned state = 7;
    for (int round = 0; round < 2000; round++) {
        char text[40];
        size_t len = 0;
        struct buf b;
        for (; len < sizeof text - 4 && (state = state * 1664525u + 1013904223u) >> 28; len++)
            text[len] = (char)(state >> 16);
        buf_init(&b, 1 << 16);
        buf_putc(&b, '[');
        json_put_string(&b, text, len);
        buf_putc(&b, ']');
        json_error_t at;
        json_t *v = json_loadb(buf_str(&b), b.len, JSON_ALLOW_NUL, &at);
        ck_assert_msg(v != NULL, "%s: %s", at.text, buf_str(&b));
        json_decref(v);
        buf_release(&b);
    }
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        double value;
        const char *want;
    } cases[] = {{0, "0"}, {-0.25, "-0.25"}, {-1e-7, "-1e-07"}, {-INFINITY, "-9999"},
                 {NAN, "-9999"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 64);
        json_put_logprob(&b, cases[i].value);
        ck_assert_str_eq(buf_str(&b), cases[i].want);
        buf_release(&b);
    }
}
END_TEST

START_TEST(body_must_be_an_object)
{
    struct api_error e = API_ERROR_INIT;
    ck_assert_ptr_null(json_parse_body("[]", 2, &e));
    ck_assert_int_eq(e.code, API_INVALID_JSON);
    ck_assert_ptr_null(json_parse_body("{\"a\":1,\"a\":2}", 13, &e));
    /* Text of the caller stays out of the message. */
    ck_assert_ptr_null(json_parse_body("{\"a\": secret}", 13, &e));
    ck_assert_ptr_null(strstr(e.message, "secret"));
    json_t *v = json_parse_body("{}", 2, &e);
    ck_assert_ptr_nonnull(v);
    json_decref(v);
}
END_TEST

/* ---- errors ----------------------------------------------------------------------------------- */

START_TEST(error_table_is_complete)
{
    for (int code = API_OK + 1; code < API_CODE_COUNT; code++) {
        enum api_code c = (enum api_code)code;
        ck_assert_msg(api_code_status(c) >= 400 && api_code_status(c) < 600, "code %d", code);
        ck_assert_ptr_nonnull(api_code_type(c));
        ck_assert_ptr_nonnull(api_code_name(c));
        struct api_error e;
        ck_assert(!api_fail(&e, c, NULL, "x"));
        if (api_code_status(c) == 503)
            ck_assert_uint_gt(e.retry_after_s, 0);
    }
}
END_TEST

START_TEST(error_shape)
{
    struct api_error e;
    struct buf b;
    buf_init(&b, 4096);
    api_fail(&e, API_INVALID_VALUE, "n\"x", "bad \"%s\"\n", "thing");
    api_error_write(&b, &e);
    ck_assert_str_eq(buf_str(&b),
                     "{\"error\":{\"message\":\"bad \\\"thing\\\"\\n\",\"type\":"
                     "\"invalid_request_error\",\"param\":\"n\\\"x\",\"code\":\"invalid_value\"}}");
    buf_release(&b);
}
END_TEST

START_TEST(engine_errors_hide_details)
{
    struct err from = {.code = ERR_INTERNAL, .msg = "vkQueueSubmit at 0xdeadbeef"};
    struct api_error e;
    ck_assert(!api_fail_engine(&e, &from));
    ck_assert_int_eq(e.code, API_INTERNAL);
    ck_assert_ptr_null(strstr(e.message, "vk"));
    from.code = ERR_BUSY;
    api_fail_engine(&e, &from);
    ck_assert_uint_eq(api_code_status(e.code), 503);
    from.code = ERR_LIMIT;
    api_fail_engine(&e, &from);
    ck_assert_int_eq(e.code, API_CONTEXT_LENGTH);
}
END_TEST

/* ---- answers ---------------------------------------------------------------------------------- */

/* The address of an issuer's login page may be thousands of bytes long. */
START_TEST(headers_are_whole)
{
    struct api_answer a;
    char longest[8000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    api_answer_init(&a);
    api_answer_header(&a, "Location", "https://issuer/%s", longest);
    api_answer_header(&a, "X-Odd", "one\r\nSet-Cookie: two");
    ck_assert_uint_eq(strlen(a.header[0].value), strlen("https://issuer/") + strlen(longest));
    ck_assert_str_eq(a.header[1].value, "one");
    for (int i = 0; i < 2 * API_HEADERS; i++)
        api_answer_header(&a, "X-More", "%d", i);
    ck_assert_uint_eq(a.n_headers, API_HEADERS);
    api_answer_release(&a);
}
END_TEST

/* ---- schema ----------------------------------------------------------------------------------- */

static bool read_params(const char *json, struct params *p, struct api_error *e)
{
    json_t *v = json_loads(json, 0, NULL);
    ck_assert_msg(v != NULL, "%s", json);
    bool ok = params_read(&PARAMS_CHAT_SCHEMA, v, p, e);
    json_decref(v);
    return ok;
}

START_TEST(defaults)
{
    static struct params p;
    struct api_error e;
    struct engine_request r;
    ck_assert(read_params("{\"messages\":[]}", &p, &e));
    ck_assert_int_eq(p.n, 1);
    ck_assert(!p.stream && !p.logprobs && !p.has_seed && !p.ignore_eos);
    params_to_request(&p, 0, &r);
    ck_assert(r.sampling.temperature == 1 && r.sampling.top_p == 1);
    ck_assert(r.sampling.repetition_penalty == 1 && r.sampling.top_k == 0);
    ck_assert_uint_eq(r.max_tokens, 0);
    ck_assert_uint_eq(r.n_stop, 0);
}
END_TEST

START_TEST(values_reach_the_engine)
{
    static struct params p;
    struct api_error e;
    struct engine_request r;
    json_t *v = json_loads("{\"messages\":[],\"temperature\":0.5,\"top_p\":0.9,\"top_k\":40,"
                           "\"min_p\":0.1,\"repetition_penalty\":1.1,\"presence_penalty\":-1,"
                           "\"frequency_penalty\":2,\"seed\":7,\"stop\":[\"a\",\"bc\"],"
                           "\"stop_token_ids\":[3],\"logit_bias\":{\"5\":-100},\"max_tokens\":9,"
                           "\"ignore_eos\":true,\"logprobs\":true,\"top_logprobs\":4,\"n\":2}",
                           0, NULL);
    ck_assert_ptr_nonnull(v);
    ck_assert(params_read(&PARAMS_CHAT_SCHEMA, v, &p, &e));
    params_to_request(&p, 1, &r);
    ck_assert(r.sampling.temperature == 0.5f && r.sampling.top_p == 0.9f);
    ck_assert(r.sampling.min_p == 0.1f && r.sampling.repetition_penalty == 1.1f);
    ck_assert(r.sampling.presence_penalty == -1 && r.sampling.frequency_penalty == 2);
    ck_assert_uint_eq(r.sampling.top_k, 40);
    ck_assert(r.sampling.has_seed && r.sampling.seed == 8);
    ck_assert_uint_eq(r.n_stop, 2);
    ck_assert_str_eq(r.stop[1], "bc");
    ck_assert(r.n_stop_tokens == 1 && r.stop_tokens[0] == 3);
    ck_assert(r.sampling.n_bias == 1 && r.sampling.bias[0].token == 5);
    ck_assert(r.sampling.bias[0].bias == -100);
    ck_assert(r.max_tokens == 9 && r.ignore_eos && r.logprobs && r.n_logprobs == 4);
    json_decref(v);
}
END_TEST

START_TEST(ranges_are_inclusive)
{
    static struct params p;
    struct api_error e;
    ck_assert(read_params("{\"messages\":[],\"temperature\":2}", &p, &e));
    ck_assert(read_params("{\"messages\":[],\"temperature\":0}", &p, &e));
    ck_assert(!read_params("{\"messages\":[],\"temperature\":2.0001}", &p, &e));
    ck_assert_str_eq(e.param, "temperature");
    ck_assert(strstr(e.message, "'temperature'") && strstr(e.message, "0 to 2"));
    ck_assert(read_params("{\"messages\":[],\"n\":8}", &p, &e));
    ck_assert(read_params("{\"messages\":[],\"n\":2.0}", &p, &e));
    ck_assert_int_eq(p.n, 2);
    ck_assert(!read_params("{\"messages\":[],\"n\":2.5}", &p, &e));
    ck_assert(!read_params("{\"messages\":[],\"n\":1e19}", &p, &e));
}
END_TEST

START_TEST(thinking_switches)
{
    static struct params p;
    struct api_error e;
    ck_assert(read_params("{\"messages\":[],\"thinking\":{\"type\":\"enabled\"}}", &p, &e));
    ck_assert_int_eq(p.thinking, PARAMS_THINKING_ON);
    ck_assert(read_params("{\"messages\":[],\"reasoning_effort\":\"none\"}", &p, &e));
    ck_assert_int_eq(p.thinking, PARAMS_THINKING_OFF);
    ck_assert(read_params("{\"messages\":[],\"reasoning_effort\":\"high\"}", &p, &e));
    ck_assert_int_eq(p.thinking, PARAMS_THINKING_UNSET);
    ck_assert(read_params("{\"messages\":[],\"chat_template_kwargs\":{\"thinking\":true}}", &p, &e));
    ck_assert_int_eq(p.thinking, PARAMS_THINKING_ON);
    ck_assert(!read_params("{\"messages\":[],\"chat_template_kwargs\":{\"x\":true}}", &p, &e));
}
END_TEST

START_TEST(every_row_is_documented)
{
    static const struct schema *const all[] = {&PARAMS_CHAT_SCHEMA,     &PARAMS_RESPONSES_SCHEMA,
                                               &PARAMS_COMPLETION_SCHEMA, &TEMPLATE_RUN_SCHEMA,
                                               &TOKENIZE_SCHEMA,        &DETOKENIZE_SCHEMA};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        schema_print(all[i], out);
    fclose(out);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (size_t f = 0; f < all[i]->n_fields; f++) {
            const struct schema_field *row = &all[i]->fields[f];
            char want[80];
            snprintf(want, sizeof want, "| `%s` | ", row->name);
            ck_assert_msg(strstr(text, want) != NULL, "%s", row->name);
            ck_assert_msg(row->type != SCHEMA_CUSTOM || (row->parse && row->values), "%s",
                          row->name);
            ck_assert_msg(row->type != SCHEMA_ELSEWHERE || row->values, "%s", row->name);
            for (size_t g = 0; g < f; g++)
                ck_assert_str_ne(row->name, all[i]->fields[g].name);
        }
    }
    ck_assert_ptr_nonnull(strstr(text, "| `messages` | array of {role, content} | required without "
                                       "`prompt` |"));
    ck_assert_ptr_nonnull(strstr(text, "| `prompt` | {id, version or label, variables} | - |"));
    ck_assert_ptr_nonnull(strstr(text, "## POST /v1/templates/{name}/run"));
    free(text);
}
END_TEST

/* ---- messages --------------------------------------------------------------------------------- */

static json_t *normalise(const char *json, struct api_error *e)
{
    json_t *v = json_loads(json, 0, NULL);
    ck_assert_msg(v != NULL, "%s", json);
    json_t *out = messages_normalise(v, e);
    json_decref(v);
    return out;
}

START_TEST(messages_in_one_form)
{
    struct api_error e;
    json_t *v = normalise("[{\"role\":\"developer\",\"content\":\"s\"},"
                          "{\"role\":\"user\",\"name\":\"bob\",\"content\":[{\"type\":\"text\","
                          "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},"
                          "{\"role\":\"assistant\",\"content\":null,\"reasoning\":\"r\","
                          "\"tool_calls\":[],\"refusal\":null}]", &e);
    ck_assert_msg(v != NULL, "%s", e.message);
    char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
    ck_assert_str_eq(text, "[{\"content\":\"s\",\"role\":\"system\"},"
                           "{\"content\":\"a\\nb\",\"role\":\"user\"},"
                           "{\"content\":\"\",\"reasoning_content\":\"r\",\"role\":\"assistant\"}]");
    free(text);
    json_decref(v);
}
END_TEST

START_TEST(messages_name_the_place)
{
    struct api_error e;
    ck_assert_ptr_null(normalise("[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\","
                                 "\"content\":[{\"type\":\"image_url\"}]}]", &e));
    ck_assert_str_eq(e.param, "messages[1].content");
    ck_assert_int_eq(e.code, API_NOT_SUPPORTED);
    ck_assert_ptr_null(normalise("[{\"role\":\"assistant\",\"content\":\"a\",\"prefix\":true}]", &e));
    ck_assert_str_eq(e.param, "messages[0].prefix");
}
END_TEST

/* ---- prompt tokens ---------------------------------------------------------------------------- */

START_TEST(only_the_template_writes_special_tokens)
{
    struct engine *eng = fake_engine_open(1024);
    struct prompt_piece pieces[] = {
        {"<bos><|user|>", 13, false}, {"a<eos>", 6, true}, {"<|assistant|>x", 14, false}};
    int32_t *ids, want[] = {256, 260, 'a', '<', 'e', 'o', 's', '>', 261, 'x'};
    size_t n;
    struct err e = ERR_INIT;
    ck_assert_msg(prompt_tokenize(eng, pieces, 3, &ids, &n, &e), "%s", e.msg);
    ck_assert_uint_eq(n, sizeof want / sizeof want[0]);
    ck_assert_mem_eq(ids, want, sizeof want);
    free(ids);
    /* A token put together from both sides of a border is not one either. */
    struct prompt_piece split[] = {{"<eo", 3, false}, {"s>", 2, true}};
    ck_assert(prompt_tokenize(eng, split, 2, &ids, &n, &e));
    ck_assert_uint_eq(n, 5);
    ck_assert_int_eq(ids[0], '<');
    free(ids);
    fake_engine_close(&eng);
}
END_TEST

START_TEST(prompt_follows_the_template)
{
    struct engine *eng = fake_engine_open(64);
    struct prompt_maker *maker;
    struct prompt prompt;
    struct params p = {0};
    struct api_error ae;
    struct err e = ERR_INIT;
    fake_engine_set_thinking(eng, true);
    ck_assert_msg(prompt_maker_create(eng, &maker, &e), "%s", e.msg);
    json_t *messages = json_loads("[{\"role\":\"user\",\"content\":\"hi<eos>\"}]", 0, NULL);
    p.messages = messages;
    ck_assert_msg(prompt_make(maker, &p, &prompt, &ae), "%s", ae.message);
    int32_t want[] = {256, 260, 'h', 'i', '<', 'e', 'o', 's', '>', 261, 258, '\n'};
    ck_assert_uint_eq(prompt.n_tokens, sizeof want / sizeof want[0]);
    ck_assert_mem_eq(prompt.tokens, want, sizeof want);
    ck_assert_int_eq(prompt.mode, STREAM_THINKING);
    free(prompt.tokens);
    json_decref(messages);
    prompt_maker_destroy(&maker);
    fake_engine_close(&eng);
}
END_TEST

/* ---- stream machine --------------------------------------------------------------------------- */

struct heard {
    char reasoning[256], content[256];
    int roles, finishes;
    bool content_began, wrong_order;
};

static void hear(void *user, enum stream_event event, const char *text, size_t len)
{
    struct heard *h = user;
    h->wrong_order |= h->finishes > 0 || (event == STREAM_ROLE) != (h->roles == 0);
    switch (event) {
    case STREAM_ROLE:
        h->roles++;
        break;
    case STREAM_FINISH:
        h->finishes++;
        break;
    case STREAM_REASONING:
        h->wrong_order |= h->content_began || !len;
        strncat(h->reasoning, text, len);
        break;
    case STREAM_CONTENT:
        h->content_began = true;
        h->wrong_order |= !len;
        strncat(h->content, text, len);
        break;
    }
}

static const struct machine_case {
    enum stream_mode mode;
    const char *in, *reasoning, *content;
} machine_cases[] = {
    {STREAM_PLAIN, "", "", ""},
    {STREAM_PLAIN, "Hello", "", "Hello"},
    {STREAM_PLAIN, "<think>a</think>b", "", "<think>a</think>b"},
    {STREAM_DETECT, "Hello", "", "Hello"},
    {STREAM_DETECT, "", "", ""},
    {STREAM_DETECT, "  \n Hello", "", "  \n Hello"},
    {STREAM_DETECT, "<think>why</think>because", "why", "because"},
    {STREAM_DETECT, "\n<think>\nwhy\n</think>\n\nbecause\n", "why", "because\n"},
    {STREAM_DETECT, "<thin air>", "", "<thin air>"},
    {STREAM_DETECT, "<thi", "", "<thi"},
    {STREAM_DETECT, "a <think>b</think>", "", "a <think>b</think>"},
    {STREAM_DETECT, "<think>never closed", "never closed", ""},
    {STREAM_DETECT, "<think></think>x", "", "x"},
    {STREAM_DETECT, "<think>\n\n</think>\n\nx", "", "x"},
    {STREAM_THINKING, "why\n\n</think>\n\nbecause", "why", "because"},
    {STREAM_THINKING, "<think>\nwhy</think>because", "why", "because"},
    {STREAM_THINKING, "a</thin b </think >c</think>d", "a</thin b </think >c", "d"},
    {STREAM_THINKING, "line\n\nline\n</think>x", "line\n\nline", "x"},
    {STREAM_THINKING, "a<<</think>b", "a<<", "b"},
    {STREAM_THINKING, "a</think></think>b", "a", "</think>b"},
    {STREAM_THINKING, "cut off </th", "cut off </th", ""},
    {STREAM_THINKING, "cut off\n", "cut off\n", ""},
    {STREAM_THINKING, "</think>x", "", "x"},
    {STREAM_THINKING, "想一想\n</think>\n\n好 😀", "想一想", "好 😀"},
    {STREAM_THINKING, "</think>", "", ""},
    {STREAM_THINKING, "x</think>    indented", "x", "    indented"},
};
enum { N_MACHINE_CASES = sizeof machine_cases / sizeof machine_cases[0] };

/* Feeds the text cut into pieces whose lengths come from `seed`; 0 = in one piece, 1 = by bytes. */
static void run_machine(const struct machine_case *c, unsigned seed, struct heard *h)
{
    struct stream s;
    struct stream_sink sink = {.event = hear, .user = h};
    size_t at = 0, len = strlen(c->in);
    unsigned state = seed;
    *h = (struct heard){.roles = 0};
    stream_init(&s, c->mode);
    while (at < len) {
        state = state * 1664525u + 1013904223u;
        size_t n = seed == 0 ? len : seed == 1 ? 1 : (state >> 20) % 6;
        if (n > len - at)
            n = len - at;
        stream_feed(&s, c->in + at, n, &sink);
        at += n;
    }
    stream_finish(&s, &sink);
    stream_release(&s);
}

START_TEST(machine)
{
    const struct machine_case *c = &machine_cases[_i];
    for (unsigned seed = 0; seed < 200; seed++) {
        struct heard h;
        run_machine(c, seed, &h);
        ck_assert_msg(!strcmp(h.reasoning, c->reasoning), "\"%s\": reasoning \"%s\"", c->in,
                      h.reasoning);
        ck_assert_msg(!strcmp(h.content, c->content), "\"%s\": content \"%s\"", c->in, h.content);
        ck_assert(h.roles == 1 && h.finishes == 1 && !h.wrong_order);
    }
}
END_TEST

START_TEST(machine_passes_text_on_at_once)
{
    struct stream s;
    struct heard h = {.roles = 0};
    struct stream_sink sink = {.event = hear, .user = &h};
    stream_init(&s, STREAM_THINKING);
    ck_assert(stream_in_reasoning(&s));
    stream_feed(&s, "some thought", 12, &sink);
    ck_assert_str_eq(h.reasoning, "some thought");
    stream_feed(&s, " <", 2, &sink);
    ck_assert_str_eq(h.reasoning, "some thought ");
    stream_feed(&s, "b", 1, &sink);
    ck_assert_str_eq(h.reasoning, "some thought <b");
    stream_feed(&s, "</think>", 8, &sink);
    ck_assert(!stream_in_reasoning(&s));
    stream_feed(&s, "answer <", 8, &sink);
    ck_assert_str_eq(h.content, "answer <");
    stream_finish(&s, &sink);
    stream_release(&s);
}
END_TEST

static void add(Suite *s, const char *name, const TTest *const *tests)
{
    TCase *t = tcase_create(name);
    for (; *tests; tests++)
        tcase_add_test(t, *tests);
    suite_add_tcase(s, t);
}

static Suite *make_suite(void)
{
    Suite *s = suite_create("api");
    add(s, "prescan", (const TTest *const[]){prescan_bounds, prescan_skips_strings,
                                             prescan_sees_nul, NULL});
    add(s, "writer", (const TTest *const[]){escaper, escaper_round_trip, numbers,
                                            body_must_be_an_object, NULL});
    add(s, "errors", (const TTest *const[]){error_table_is_complete, error_shape,
                                            engine_errors_hide_details, NULL});
    add(s, "answers", (const TTest *const[]){headers_are_whole, NULL});
    add(s, "schema", (const TTest *const[]){defaults, values_reach_the_engine,
                                            ranges_are_inclusive, thinking_switches,
                                            every_row_is_documented, NULL});
    add(s, "messages",
        (const TTest *const[]){messages_in_one_form, messages_name_the_place, NULL});
    add(s, "prompt", (const TTest *const[]){only_the_template_writes_special_tokens,
                                            prompt_follows_the_template, NULL});
    TCase *t = tcase_create("stream");
    tcase_add_loop_test(t, machine, 0, N_MACHINE_CASES);
    tcase_add_test(t, machine_passes_text_on_at_once);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(make_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
