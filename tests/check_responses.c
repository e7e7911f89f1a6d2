/* POST /v1/responses on the scripted engine: the object, the events of a stream and their order, what is
 * taken and what is refused, prompts of the registry. */
#include <config.h>

#include "admin_rig.h"

#include <stdlib.h>
#include <string.h>

#include "api/responses.h"
#include "template/registry.h"

#define PATH "/v1/responses"

static struct test_server server;

static void start(void)
{
    struct http_options opt = test_options();
    test_server_start(&server, &opt, 0);
}

static void start_thinking(void)
{
    struct http_options opt = test_options();
    test_server_start(&server, &opt, TEST_THINKING);
}

static void stop(void)
{
    test_server_stop(&server);
}

static json_t *respond(const char *body, int status)
{
    struct http_reply r;
    http_post(server.port, PATH, TEST_KEY, body, &r);
    ck_assert_msg(r.status == status, "%d instead of %d: %s", r.status, status, buf_str(&r.body));
    json_t *v = json_loadb(buf_str(&r.body), r.body.len, 0, NULL);
    ck_assert_ptr_nonnull(v);
    http_reply_release(&r);
    return v;
}

/* The events of a stream: an array of their data. Each is named by its type. */
static json_t *events_of(const struct buf *body)
{
    json_t *all = json_array();
    for (const char *p = buf_str(body); *p;) {
        char name[64];
        int at = 0;
        const char *end = strstr(p, "\n\n");
        ck_assert_msg(end && sscanf(p, "event: %63s\ndata: %n", name, &at) == 1 && at, "%s", p);
        json_t *v = json_loadb(p + at, (size_t)(end - p) - (size_t)at, 0, NULL);
        ck_assert_ptr_nonnull(v);
        ck_assert_str_eq(admin_text(v, "type"), name);
        json_array_append_new(all, v);
        p = end + 2;
    }
    return all;
}

static json_t *respond_stream(const char *body)
{
    struct http_reply r;
    http_post(server.port, PATH, TEST_KEY, body, &r);
    ck_assert_msg(r.status == 200 && r.complete, "%d: %s", r.status, buf_str(&r.body));
    json_t *all = events_of(&r.body);
    http_reply_release(&r);
    return all;
}

static void expect_null(const json_t *v, const char *path)
{
    ck_assert_msg(json_is_null(admin_at(v, path)), "%s is not null", path);
}

/* ---- whole answers ---------------------------------------------------------------------------- */

START_TEST(the_object)
{
    json_t *v = respond("{\"model\":\"fake\",\"input\":\"#reply=你好 😀#\"}", 200);
    ck_assert(!strncmp(admin_text(v, "id"), "resp_", 5));
    ck_assert_str_eq(admin_text(v, "object"), "response");
    ck_assert_str_eq(admin_text(v, "status"), "completed");
    ck_assert_str_eq(admin_text(v, "model"), "fake");
    ck_assert_int_gt(admin_number(v, "created_at"), 0);
    ck_assert_int_ge(admin_number(v, "completed_at"), admin_number(v, "created_at"));
    ck_assert_uint_eq(json_array_size(admin_at(v, "output")), 1);
    ck_assert(!strncmp(admin_text(v, "output/0/id"), "msg_", 4));
    ck_assert_str_eq(admin_text(v, "output/0/type"), "message");
    ck_assert_str_eq(admin_text(v, "output/0/role"), "assistant");
    ck_assert_str_eq(admin_text(v, "output/0/status"), "completed");
    ck_assert_str_eq(admin_text(v, "output/0/content/0/type"), "output_text");
    ck_assert_str_eq(admin_text(v, "output/0/content/0/text"), "你好 😀");
    ck_assert(json_is_array(admin_at(v, "output/0/content/0/annotations")));
    ck_assert_uint_eq(json_array_size(admin_at(v, "output/0/content/0/logprobs")), 0);
    ck_assert_int_eq(admin_number(v, "usage/output_tokens"), 4);
    ck_assert_int_gt(admin_number(v, "usage/input_tokens"), 0);
    ck_assert_int_eq(admin_number(v, "usage/total_tokens"),
                     admin_number(v, "usage/input_tokens") + 4);
    ck_assert_int_eq(admin_number(v, "usage/input_tokens_details/cached_tokens"), 0);
    ck_assert_int_eq(admin_number(v, "usage/output_tokens_details/reasoning_tokens"), 0);
    json_decref(v);
}
END_TEST

START_TEST(what_was_asked_comes_back)
{
    json_t *v = respond("{\"input\":\"#reply=a#\"}", 200);
    static const char *const nulls[] = {"error", "incomplete_details", "instructions",
                                        "max_output_tokens", "previous_response_id", "prompt",
                                        "reasoning/effort", "reasoning/summary"};
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
        expect_null(v, nulls[i]);
    ck_assert_uint_eq(json_object_size(admin_at(v, "metadata")), 0);
    ck_assert(json_is_object(admin_at(v, "metadata")) && json_is_array(admin_at(v, "tools")));
    ck_assert(json_number_value(admin_at(v, "temperature")) == 1);
    ck_assert(json_number_value(admin_at(v, "top_p")) == 1);
    ck_assert_str_eq(admin_text(v, "tool_choice"), "auto");
    ck_assert_str_eq(admin_text(v, "text/format/type"), "text");
    ck_assert_str_eq(admin_text(v, "truncation"), "disabled");
    ck_assert(json_is_true(admin_at(v, "parallel_tool_calls")));
    ck_assert(json_is_false(admin_at(v, "store")) && json_is_false(admin_at(v, "background")));
    json_decref(v);
    v = respond("{\"input\":\"#reply=a#\",\"instructions\":\"Be \\\"short\\\".\",\"temperature\":0.2,"
                "\"top_p\":0.9,\"max_output_tokens\":7,\"metadata\":{\"a\":\"b\"},\"store\":true,"
                "\"parallel_tool_calls\":false,\"reasoning\":{\"effort\":\"low\"},"
                "\"tool_choice\":\"none\"}", 200);
    ck_assert_str_eq(admin_text(v, "instructions"), "Be \"short\".");
    ck_assert(json_number_value(admin_at(v, "temperature")) == 0.2);
    ck_assert(json_number_value(admin_at(v, "top_p")) == 0.9);
    ck_assert_int_eq(admin_number(v, "max_output_tokens"), 7);
    ck_assert_str_eq(admin_text(v, "metadata/a"), "b");
    ck_assert_str_eq(admin_text(v, "reasoning/effort"), "low");
    ck_assert_str_eq(admin_text(v, "tool_choice"), "none");
    ck_assert(json_is_false(admin_at(v, "parallel_tool_calls")));
    ck_assert(json_is_false(admin_at(v, "store")));
    json_decref(v);
}
END_TEST

START_TEST(too_few_tokens_make_it_incomplete)
{
    json_t *v = respond("{\"input\":\"#tokens=50#\",\"max_output_tokens\":3}", 200);
    ck_assert_str_eq(admin_text(v, "status"), "incomplete");
    ck_assert_str_eq(admin_text(v, "incomplete_details/reason"), "max_output_tokens");
    ck_assert_str_eq(admin_text(v, "output/0/status"), "incomplete");
    ck_assert_str_eq(admin_text(v, "output/0/content/0/text"), "x x x ");
    expect_null(v, "completed_at");
    json_decref(v);
}
END_TEST

START_TEST(log_probabilities)
{
    json_t *v = respond("{\"input\":\"#reply=ab#\",\"top_logprobs\":2}", 200);
    const json_t *list = admin_at(v, "output/0/content/0/logprobs");
    ck_assert_uint_eq(json_array_size(list), 2);
    ck_assert_str_eq(admin_text(list, "1/token"), "b");
    ck_assert_uint_eq(json_array_size(admin_at(list, "1/top_logprobs")), 2);
    json_decref(v);
    v = respond("{\"input\":\"#reply=ab#\",\"include\":[\"message.output_text.logprobs\"]}", 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "output/0/content/0/logprobs")), 2);
    json_decref(v);
    v = respond("{\"input\":\"#reply=ab#\",\"top_logprobs\":0}", 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "output/0/content/0/logprobs")), 0);
    json_decref(v);
}
END_TEST

START_TEST(reasoning_is_an_item)
{
    json_t *v = respond("{\"input\":\"#reply=hm\\\\n</think>\\\\n\\\\nyes#\"}", 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "output")), 2);
    ck_assert(!strncmp(admin_text(v, "output/0/id"), "rs_", 3));
    ck_assert_str_eq(admin_text(v, "output/0/type"), "reasoning");
    ck_assert_str_eq(admin_text(v, "output/0/status"), "completed");
    ck_assert_str_eq(admin_text(v, "output/0/content/0/type"), "reasoning_text");
    ck_assert_str_eq(admin_text(v, "output/0/content/0/text"), "hm");
    ck_assert(json_is_array(admin_at(v, "output/0/summary")));
    ck_assert_str_eq(admin_text(v, "output/1/content/0/text"), "yes");
    ck_assert_int_eq(admin_number(v, "usage/output_tokens_details/reasoning_tokens"), 4);
    json_decref(v);
    /* Cut while it thinks: there is no message. */
    v = respond("{\"input\":\"#reply=hmmmm</think>yes#\",\"max_output_tokens\":3}", 200);
    ck_assert_str_eq(admin_text(v, "status"), "incomplete");
    ck_assert_uint_eq(json_array_size(admin_at(v, "output")), 1);
    ck_assert_str_eq(admin_text(v, "output/0/content/0/text"), "hmm");
    ck_assert_str_eq(admin_text(v, "output/0/status"), "incomplete");
    json_decref(v);
    /* Thinking that leads to nothing still answers. */
    v = respond("{\"input\":\"#reply=hm</think>#\"}", 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "output")), 2);
    ck_assert_str_eq(admin_text(v, "output/1/content/0/text"), "");
    json_decref(v);
}
END_TEST

START_TEST(a_failed_answer_is_an_error)
{
    json_t *v = respond("{\"input\":\"#reply=abcdef##fail=3#\"}", 503);
    ck_assert_str_ne(admin_text(v, "error/message"), "");
    json_decref(v);
    v = respond("{\"input\":\"#busy#\"}", 503);
    json_decref(v);
    v = respond("{\"input\":\"a\",\"model\":\"other\"}", 404);
    ck_assert_str_eq(admin_text(v, "error/param"), "model");
    json_decref(v);
}
END_TEST

/* ---- streams ---------------------------------------------------------------------------------- */

/* The types of all events, a blank between them and repeated deltas once. */
static void read_types(const json_t *events, char *out, size_t room)
{
    const char *before = "";
    json_t *v;
    size_t i;
    out[0] = '\0';
    json_array_foreach (events, i, v) {
        const char *type = admin_text(v, "type");
        ck_assert_int_eq(admin_number(v, "sequence_number"), (int64_t)i);
        if (strcmp(type, before)) {
            strncat(out, *out ? " " : "", room - strlen(out) - 1);
            strncat(out, !strncmp(type, "response.", 9) ? type + 9 : type, room - strlen(out) - 1);
        }
        before = type;
    }
}

static const json_t *last(const json_t *events)
{
    return json_array_get(events, json_array_size(events) - 1);
}

static void join_deltas(const json_t *events, const char *type, char *out, size_t room)
{
    json_t *v;
    size_t i;
    out[0] = '\0';
    json_array_foreach (events, i, v)
        if (!strcmp(admin_text(v, "type"), type))
            strncat(out, admin_text(v, "delta"), room - strlen(out) - 1);
}

/* The first event of a type. */
static const json_t *find(const json_t *events, const char *type)
{
    json_t *v;
    size_t i;
    json_array_foreach (events, i, v)
        if (!strcmp(admin_text(v, "type"), type))
            return v;
    ck_abort_msg("there is no event %s", type);
    return NULL;
}

#define ITEM_BEGINS "output_item.added content_part.added "
#define ITEM_ENDS "content_part.done output_item.done "

START_TEST(events_in_order)
{
    char types[512], text[64];
    json_t *all = respond_stream("{\"input\":\"#reply=Guten Tag 你好##us=500#\",\"stream\":true}");
    read_types(all, types, sizeof types);
    ck_assert_str_eq(types, "created in_progress " ITEM_BEGINS "output_text.delta output_text.done "
                     ITEM_ENDS "completed");
    join_deltas(all, "response.output_text.delta", text, sizeof text);
    ck_assert_str_eq(text, "Guten Tag 你好");
    const json_t *created = find(all, "response.created"), *done = last(all);
    ck_assert_str_eq(admin_text(created, "response/status"), "in_progress");
    ck_assert_uint_eq(json_array_size(admin_at(created, "response/output")), 0);
    expect_null(created, "response/usage");
    ck_assert_str_eq(admin_text(done, "response/id"), admin_text(created, "response/id"));
    ck_assert_str_eq(admin_text(done, "response/status"), "completed");
    ck_assert_int_eq(admin_number(done, "response/usage/output_tokens"), 12);
    const json_t *item = find(all, "response.output_item.done");
    ck_assert(json_equal(admin_at(item, "item"), admin_at(done, "response/output/0")));
    const json_t *text_done = find(all, "response.output_text.done");
    ck_assert_str_eq(admin_text(text_done, "text"), "Guten Tag 你好");
    ck_assert_str_eq(admin_text(text_done, "item_id"), admin_text(item, "item/id"));
    ck_assert_str_eq(admin_text(find(all, "response.output_item.added"), "item/status"),
                     "in_progress");
    json_decref(all);
}
END_TEST

START_TEST(events_of_a_thinking_model)
{
    char types[512], text[64];
    json_t *all = respond_stream("{\"input\":\"#reply=hm\\\\n</think>\\\\n\\\\nyes##us=500#\","
                                 "\"stream\":true}");
    read_types(all, types, sizeof types);
    ck_assert_str_eq(types, "created in_progress "
                     ITEM_BEGINS "reasoning_text.delta reasoning_text.done " ITEM_ENDS
                     ITEM_BEGINS "output_text.delta output_text.done " ITEM_ENDS "completed");
    join_deltas(all, "response.reasoning_text.delta", text, sizeof text);
    ck_assert_str_eq(text, "hm");
    join_deltas(all, "response.output_text.delta", text, sizeof text);
    ck_assert_str_eq(text, "yes");
    ck_assert_int_eq(admin_number(find(all, "response.reasoning_text.done"), "output_index"), 0);
    ck_assert_int_eq(admin_number(find(all, "response.output_text.done"), "output_index"), 1);
    ck_assert_str_eq(admin_text(find(all, "response.content_part.added"), "part/type"),
                     "reasoning_text");
    ck_assert_str_eq(admin_text(find(all, "response.output_item.done"), "item/status"),
                     "completed");
    ck_assert_uint_eq(json_array_size(admin_at(last(all), "response/output")), 2);
    json_decref(all);
    all = respond_stream("{\"input\":\"#reply=hmmmm#\",\"max_output_tokens\":2,\"stream\":true}");
    read_types(all, types, sizeof types);
    ck_assert_str_eq(types, "created in_progress " ITEM_BEGINS
                     "reasoning_text.delta reasoning_text.done " ITEM_ENDS "incomplete");
    ck_assert_str_eq(admin_text(last(all), "response/incomplete_details/reason"),
                     "max_output_tokens");
    json_decref(all);
}
END_TEST

START_TEST(log_probabilities_in_pieces)
{
    json_t *all = respond_stream("{\"input\":\"#reply=abcd##us=2000#\",\"stream\":true,"
                                 "\"top_logprobs\":1}"), *v, *joined = json_array();
    size_t i;
    json_array_foreach (all, i, v)
        if (!strcmp(admin_text(v, "type"), "response.output_text.delta"))
            json_array_extend(joined, json_object_get(v, "logprobs"));
    ck_assert_uint_eq(json_array_size(joined), 4);
    ck_assert(json_equal(joined, admin_at(find(all, "response.output_text.done"), "logprobs")));
    ck_assert(json_equal(joined, admin_at(last(all), "response/output/0/content/0/logprobs")));
    json_decref(joined);
    json_decref(all);
}
END_TEST

START_TEST(a_failure_in_mid_stream)
{
    char types[512];
    json_t *all = respond_stream("{\"input\":\"#reply=abcdef##us=500##fail=3#\",\"stream\":true}");
    read_types(all, types, sizeof types);
    ck_assert_str_eq(types, "created in_progress " ITEM_BEGINS "output_text.delta failed error");
    const json_t *failed = find(all, "response.failed");
    ck_assert_str_eq(admin_text(failed, "response/status"), "failed");
    ck_assert_str_eq(admin_text(failed, "response/error/code"), "server_error");
    ck_assert_str_ne(admin_text(failed, "response/error/message"), "");
    ck_assert_str_eq(admin_text(failed, "response/output/0/content/0/text"), "abc");
    ck_assert_str_eq(admin_text(failed, "response/output/0/status"), "incomplete");
    ck_assert_str_ne(admin_text(last(all), "message"), "");
    json_decref(all);
}
END_TEST

/* ---- requests --------------------------------------------------------------------------------- */

START_TEST(fields_that_are_refused)
{
    static const struct {
        const char *field, *param;
    } bad[] = {
        {"\"previous_response_id\":\"resp_1\"", "previous_response_id"},
        {"\"conversation\":\"conv_1\"", "conversation"},
        {"\"conversation\":{\"id\":\"conv_1\"}", "conversation"},
        {"\"background\":true", "background"},
        {"\"truncation\":\"auto\"", "truncation"},
        {"\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]", "tools"},
        {"\"tools\":[{\"type\":\"web_search\"}]", "tools"},
        {"\"tool_choice\":\"required\"", "tool_choice"},
        {"\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}", "tool_choice"},
        {"\"text\":{\"format\":{\"type\":\"json_object\"}}", "text.format"},
        {"\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"a\",\"schema\":{}}}",
         "text.format"},
        {"\"text\":\"json\"", "text"},
        {"\"reasoning\":{\"effort\":\"huge\"}", "reasoning.effort"},
        {"\"reasoning\":\"low\"", "reasoning"},
        {"\"include\":\"logprobs\"", "include"},
        {"\"include\":[3]", "include"},
        {"\"metadata\":{\"a\":1}", "metadata"},
        {"\"metadata\":[]", "metadata"},
        {"\"instructions\":[]", "instructions"},
        {"\"max_output_tokens\":0", "max_output_tokens"},
        {"\"temperature\":3", "temperature"},
        {"\"top_p\":0", "top_p"},
        {"\"top_logprobs\":21", "top_logprobs"},
        {"\"n\":2", "n"},
        {"\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]", "messages"},
        {"\"context_management\":[{\"type\":\"compaction\"}]", "context_management"},
        {"\"moderation\":{\"model\":\"m\"}", "moderation"},
        {"\"prompt\":{\"id\":\"office/greet\"}", "prompt"}, /* no database here */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"input\":\"a\",%s}", bad[i].field);
        bool database = !strcmp(bad[i].param, "prompt");
        json_t *v = respond(body, database ? 501 : 400);
        ck_assert_msg(!strcmp(admin_text(v, "error/param"), bad[i].param), "%s: %s", body,
                      admin_text(v, "error/message"));
        ck_assert_str_ne(admin_text(v, "error/message"), "");
        json_decref(v);
    }
    json_t *v = respond("{}", 400);
    ck_assert_str_eq(admin_text(v, "error/param"), "input");
    json_decref(v);
}
END_TEST

START_TEST(fields_that_change_nothing)
{
    json_t *v = respond(
        "{\"input\":\"#reply=a#\",\"store\":true,\"truncation\":\"disabled\",\"background\":false,"
        "\"previous_response_id\":null,\"include\":[\"reasoning.encrypted_content\"],\"user\":\"u\","
        "\"safety_identifier\":\"s\",\"prompt_cache_key\":\"k\",\"service_tier\":\"auto\","
        "\"tools\":[],\"tool_choice\":\"auto\",\"max_tool_calls\":3,\"text\":{\"format\":{\"type\":"
        "\"text\"},\"verbosity\":\"low\"},\"reasoning\":{\"effort\":null,\"summary\":\"auto\"},"
        "\"stream_options\":{\"include_obfuscation\":false},\"prompt\":null}", 200);
    ck_assert_str_eq(admin_text(v, "output/0/content/0/text"), "a");
    json_decref(v);
}
END_TEST

START_TEST(a_long_input_is_refused)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_puts(&body, "{\"input\":\"");
    for (int i = 0; i < 9000; i++)
        buf_putc(&body, 'a');
    buf_puts(&body, "\"}");
    json_t *v = respond(buf_str(&body), 400);
    ck_assert_str_eq(admin_text(v, "error/code"), "context_length_exceeded");
    ck_assert_str_eq(admin_text(v, "error/param"), "input");
    json_decref(v);
    buf_release(&body);
}
END_TEST

static void expect_messages(const char *instructions, const char *input, const char *want)
{
    struct api_error e = API_ERROR_INIT;
    json_t *in = json_loads(input, JSON_DECODE_ANY, NULL), *wanted = json_loads(want, 0, NULL);
    ck_assert(in && wanted);
    json_t *got = responses_messages(instructions, in, &e);
    ck_assert_msg(got != NULL, "%s", e.message);
    ck_assert_msg(json_equal(got, wanted), "%s: not %s", input, want);
    json_decref(got);
    json_decref(wanted);
    json_decref(in);
}

START_TEST(input_becomes_messages)
{
    expect_messages(NULL, "\"hi\"", "[{\"role\":\"user\",\"content\":\"hi\"}]");
    expect_messages("Be short.", "\"hi\"",
                    "[{\"role\":\"system\",\"content\":\"Be short.\"},"
                    "{\"role\":\"user\",\"content\":\"hi\"}]");
    expect_messages("", "[{\"role\":\"developer\",\"content\":\"d\"},"
                    "{\"type\":\"message\",\"role\":\"system\",\"content\":\"s\"},"
                    "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"a\"},"
                    "{\"type\":\"input_text\",\"text\":\"b\"}]}]",
                    "[{\"role\":\"system\",\"content\":\"d\"},{\"role\":\"system\",\"content\":\"s\"},"
                    "{\"role\":\"user\",\"content\":\"a\\nb\"}]");
    /* The output of an earlier answer, as it came. */
    expect_messages(NULL,
                    "[{\"role\":\"user\",\"content\":\"q\"},"
                    "{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[],\"status\":\"completed\","
                    "\"content\":[{\"type\":\"reasoning_text\",\"text\":\"hm\"}]},"
                    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"status\":"
                    "\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"yes\","
                    "\"annotations\":[],\"logprobs\":[]}]},{\"role\":\"user\",\"content\":\"why\"}]",
                    "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":"
                    "\"yes\",\"reasoning_content\":\"hm\"},{\"role\":\"user\",\"content\":\"why\"}]");
    /* Reasoning without an answer, or without text, says nothing to the model. */
    expect_messages(NULL,
                    "[{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"x\"},"
                    "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"s\"}]},"
                    "{\"role\":\"user\",\"content\":\"why\"},"
                    "{\"role\":\"assistant\",\"content\":\"b\"}]",
                    "[{\"role\":\"user\",\"content\":\"why\"},"
                    "{\"role\":\"assistant\",\"content\":\"b\"}]");
}
END_TEST

START_TEST(input_that_is_refused)
{
    static const struct {
        const char *input, *param;
        enum api_code code;
    } bad[] = {
        {"3", "input", API_INVALID_VALUE},
        {"[]", "input", API_INVALID_VALUE},
        {"{\"role\":\"user\",\"content\":\"a\"}", "input", API_INVALID_VALUE},
        {"[\"a\"]", "input[0]", API_INVALID_VALUE},
        {"[{\"type\":7}]", "input[0]", API_INVALID_VALUE},
        {"[{\"content\":\"a\"}]", "input[0].role", API_MISSING_FIELD},
        {"[{\"role\":\"tool\",\"content\":\"a\"}]", "input[0].role", API_INVALID_VALUE},
        {"[{\"role\":\"user\"}]", "input[0].content", API_MISSING_FIELD},
        {"[{\"role\":\"user\",\"content\":3}]", "input[0].content", API_INVALID_VALUE},
        {"[{\"role\":\"user\",\"content\":[\"a\"]}]", "input[0].content", API_INVALID_VALUE},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]", "input[0].content",
         API_INVALID_VALUE},
        {"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":"
         "[{\"type\":\"input_image\",\"image_url\":\"u\"}]}]", "input[1].content",
         API_NOT_SUPPORTED},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\"}]}]", "input[0].content",
         API_NOT_SUPPORTED},
        {"[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]", "input[0].type", API_NOT_SUPPORTED},
        {"[{\"type\":\"function_call\",\"name\":\"f\"}]", "input[0].type", API_NOT_SUPPORTED},
        {"[{\"type\":\"function_call_output\"}]", "input[0].type", API_NOT_SUPPORTED},
        {"[{\"type\":\"web_search_call\"}]", "input[0].type", API_NOT_SUPPORTED},
        {"[{\"type\":\"reasoning\",\"content\":[3]}]", "input[0].content", API_INVALID_VALUE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct api_error e = API_ERROR_INIT;
        json_t *in = json_loads(bad[i].input, JSON_DECODE_ANY, NULL);
        ck_assert_ptr_nonnull(in);
        ck_assert_ptr_null(responses_messages(NULL, in, &e));
        ck_assert_msg(e.code == bad[i].code && !strcmp(e.param, bad[i].param), "%s: %s (%s)",
                      bad[i].input, e.message, e.param);
        json_decref(in);
    }
}
END_TEST

/* ---- prompts of the registry ------------------------------------------------------------------ */

static struct admin_rig rig;

static void setup(void)
{
    static const char content[] =
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Be short.\"},"
        "{\"role\":\"user\",\"content\":\"#reply=Hello {{ who }}#\"}],"
        "\"variables\":[{\"name\":\"who\",\"type\":\"text\",\"required\":true,"
        "\"label\":{\"en\":\"Who\",\"zh\":\"谁\"}}],\"settings\":{\"max_tokens\":3}}";
    admin_rig_open(&rig);
    struct principal p = {.person_id = rig.person[BY_EDITOR].id, .department_id = rig.works,
                          .roles = rig.person[BY_EDITOR].roles,
                          .scopes = SCOPE_TEMPLATES | SCOPE_EDIT};
    struct audit_actor actor = {.person_id = p.person_id, .name = "editor", .address = "local",
                                .request_id = ""};
    struct registry_act act = {.who = &p, .actor = &actor, .reason = "", .now_s = 1};
    struct registry_saved saved;
    struct err e = ERR_INIT;
    json_t *c = json_loads(content, 0, NULL);
    struct registry_save s = {.name = "office/greet", .content = c, .note = "n",
                              .department_id = rig.works};
    ck_assert_msg(registry_save(rig.server.service->registry, &act, &s, &saved, &e), "%s", e.msg);
    ck_assert_msg(registry_label_move(rig.server.service->registry, &act, "office/greet", "staging",
                                      saved.number, 0, &e), "%s", e.msg);
    registry_saved_release(&saved);
    json_decref(c);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

#define GREET "\"prompt\":{\"id\":\"office/greet\",\"label\":\"staging\",\"variables\":{\"who\":\"王\"}}"

START_TEST(a_prompt_alone)
{
    json_t *v = admin_call(&rig, BY_USER, "POST", PATH, NULL, "{" GREET "}", 200);
    ck_assert_str_eq(admin_text(v, "prompt/id"), "office/greet");
    ck_assert_str_eq(admin_text(v, "prompt/version"), "1");
    ck_assert_str_eq(admin_text(v, "prompt/label"), "staging");
    /* The version's own limit. */
    ck_assert_str_eq(admin_text(v, "output/0/content/0/text"), "Hel");
    ck_assert_int_eq(admin_number(v, "max_output_tokens"), 3);
    json_decref(v);
}
END_TEST

START_TEST(a_prompt_with_more)
{
    json_t *v = admin_call(&rig, BY_USER, "POST", PATH, NULL,
                           "{" GREET ",\"max_output_tokens\":50,\"instructions\":\"#reply=no#\","
                           "\"input\":\"#reply=no#\"}", 200);
    /* The prompt's messages stand in front: the engine obeys the first order it reads. */
    ck_assert_str_eq(admin_text(v, "output/0/content/0/text"), "Hello 王");
    ck_assert_str_eq(admin_text(v, "instructions"), "#reply=no#");
    json_decref(v);
    admin_send(&rig, BY_USER, "POST", PATH, NULL,
               "{" GREET ",\"max_output_tokens\":50,\"stream\":true}");
    json_t *all = events_of(&rig.last.body);
    ck_assert_str_eq(admin_text(find(all, "response.created"), "response/prompt/version"), "1");
    ck_assert_str_eq(admin_text(find(all, "response.completed"), "response/prompt/version"), "1");
    json_decref(all);
}
END_TEST

START_TEST(a_prompt_that_is_not_there)
{
    admin_refused(&rig, BY_USER, "POST", PATH, NULL,
                  "{\"prompt\":{\"id\":\"office/greet\",\"version\":9}}", 404, "not_found");
    admin_refused(&rig, BY_USER, "POST", PATH, NULL,
                  "{\"prompt\":{\"id\":\"office/greet\",\"version\":1}}", 400, "invalid_value");
    admin_refused(&rig, BY_OTHER, "POST", PATH, NULL, "{" GREET "}", 404, "not_found");
    admin_refused(&rig, BY_USER, "POST", PATH, NULL, "{" GREET ",\"input\":[]}", 400,
                  "invalid_value");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("responses");
    TCase *plain = tcase_create("answers and requests"), *thinking = tcase_create("thinking"),
          *prompts = tcase_create("prompts");
    tcase_add_checked_fixture(plain, start, stop);
    tcase_add_test(plain, the_object);
    tcase_add_test(plain, what_was_asked_comes_back);
    tcase_add_test(plain, too_few_tokens_make_it_incomplete);
    tcase_add_test(plain, log_probabilities);
    tcase_add_test(plain, a_failed_answer_is_an_error);
    tcase_add_test(plain, events_in_order);
    tcase_add_test(plain, log_probabilities_in_pieces);
    tcase_add_test(plain, a_failure_in_mid_stream);
    tcase_add_test(plain, fields_that_are_refused);
    tcase_add_test(plain, fields_that_change_nothing);
    tcase_add_test(plain, a_long_input_is_refused);
    tcase_add_test(plain, input_becomes_messages);
    tcase_add_test(plain, input_that_is_refused);
    tcase_add_checked_fixture(thinking, start_thinking, stop);
    tcase_add_test(thinking, reasoning_is_an_item);
    tcase_add_test(thinking, events_of_a_thinking_model);
    tcase_add_checked_fixture(prompts, setup, teardown);
    tcase_add_test(prompts, a_prompt_alone);
    tcase_add_test(prompts, a_prompt_with_more);
    tcase_add_test(prompts, a_prompt_that_is_not_there);
    suite_add_tcase(s, plain);
    suite_add_tcase(s, thinking);
    suite_add_tcase(s, prompts);
    return admin_main(s);
}
