/* The HTTP server against the scripted engine: answers, limits, slow and vanishing clients, end. */
#include <config.h>

#include <check.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "fake_engine.h"
#include "http_client.h"
#include "http_server.h"

#define CHAT "/v1/chat/completions"

static struct test_server server;

static void start(const struct http_options *opt)
{
    test_server_start(&server, opt, 0);
}

static void start_default(void)
{
    struct http_options opt = test_options();
    start(&opt);
}

static void stop(void)
{
    test_server_stop(&server);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int elapsed_ms(uint64_t since_us)
{
    return (int)((clock_now_us() - since_us) / 1000);
}

/* JSON of a chat with one user message and more fields (beginning with a comma, or ""). */
static const char *chat(const char *content, const char *more)
{
    static char text[4096];
    snprintf(text, sizeof text, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}", content,
             more);
    return text;
}

static json_t *parse(const struct http_reply *r)
{
    json_error_t at;
    json_t *root = json_loadb(buf_str(&r->body), r->body.len, 0, &at);
    ck_assert_msg(root != NULL, "%s: %s", at.text, buf_str(&r->body));
    return root;
}

static json_t *post(const char *path, const char *body, int status)
{
    struct http_reply r;
    http_post(server.port, path, TEST_KEY, body, &r);
    ck_assert_msg(r.status == status, "%d instead of %d: %s", r.status, status, buf_str(&r.body));
    ck_assert(r.complete);
    json_t *root = parse(&r);
    http_reply_release(&r);
    return root;
}

/* "choices/0/message/content" */
static const json_t *at(const json_t *v, const char *path)
{
    while (*path && v) {
        char key[64];
        size_t len = strcspn(path, "/");
        snprintf(key, sizeof key, "%.*s", (int)len, path);
        v = json_is_array(v) ? json_array_get(v, strtoul(key, NULL, 10)) : json_object_get(v, key);
        path += len + (path[len] == '/');
    }
    return v;
}

static void expect_text(const json_t *v, const char *path, const char *want)
{
    const char *got = json_string_value(at(v, path));
    ck_assert_msg(got && !strcmp(got, want), "%s is \"%s\", not \"%s\"", path, got ? got : "(none)",
                  want);
}

static void expect_number(const json_t *v, const char *path, long want)
{
    const json_t *got = at(v, path);
    ck_assert_msg(json_is_integer(got) && json_integer_value(got) == want, "%s", path);
}

static void expect_error(const char *path, const char *body, int status, const char *param,
                         const char *code)
{
    json_t *v = post(path, body, status);
    if (param)
        expect_text(v, "error/param", param);
    expect_text(v, "error/code", code);
    ck_assert(json_is_string(at(v, "error/message")) && json_is_string(at(v, "error/type")));
    json_decref(v);
}

static void open_stream(struct http_client *c, const char *content, const char *more)
{
    struct buf request;
    char fields[512];
    snprintf(fields, sizeof fields, ",\"stream\":true%s", more);
    buf_init(&request, 1 << 20);
    http_write_post(&request, CHAT, TEST_KEY, chat(content, fields));
    http_client_open(c, server.port);
    http_client_send(c, buf_str(&request), request.len);
    buf_release(&request);
}

/* Puts a path's text of all chunks together; returns the number of chunks. */
static int join(const struct buf *body, const char *path, char *out, size_t room)
{
    int n = 0;
    out[0] = '\0';
    for (const char *p = buf_str(body); (p = strstr(p, "data: {")); n++) {
        p += 6;
        const char *end = strstr(p, "\n\n");
        ck_assert_ptr_nonnull(end);
        json_t *v = json_loadb(p, (size_t)(end - p), 0, NULL);
        ck_assert_ptr_nonnull(v);
        const char *text = json_string_value(at(v, path));
        if (text)
            strncat(out, text, room - strlen(out) - 1);
        json_decref(v);
    }
    return n;
}

/* Chunks whose choice holds a list at `path`. */
static int count_lists(const struct buf *body, const char *path)
{
    int n = 0;
    for (const char *p = buf_str(body); (p = strstr(p, "data: {")) != NULL;) {
        p += 6;
        json_t *v = json_loadb(p, (size_t)(strstr(p, "\n\n") - p), 0, NULL);
        ck_assert_ptr_nonnull(v);
        n += json_is_array(at(v, path));
        json_decref(v);
    }
    return n;
}

/* ---- answers ---------------------------------------------------------------------------------- */

START_TEST(whole_answer)
{
    json_t *v = post(CHAT, chat("#reply=Guten Tag, 你好 😀#", ",\"model\":\"fake\""), 200);
    expect_text(v, "object", "chat.completion");
    expect_text(v, "model", "fake");
    expect_text(v, "choices/0/message/role", "assistant");
    expect_text(v, "choices/0/message/content", "Guten Tag, 你好 😀");
    expect_text(v, "choices/0/finish_reason", "stop");
    expect_number(v, "usage/completion_tokens", 15);
    expect_number(v, "usage/prompt_tokens_details/cached_tokens", 0);
    expect_number(v, "usage/completion_tokens_details/reasoning_tokens", 0);
    ck_assert_int_eq(json_integer_value(at(v, "usage/total_tokens")),
                     json_integer_value(at(v, "usage/prompt_tokens")) + 15);
    json_decref(v);
}
END_TEST

START_TEST(length_and_stop)
{
    json_t *v = post(CHAT, chat("#tokens=50#", ",\"max_tokens\":3"), 200);
    expect_text(v, "choices/0/finish_reason", "length");
    expect_text(v, "choices/0/message/content", "x x x ");
    json_decref(v);
    v = post(CHAT, chat("#tokens=50#", ",\"max_tokens\":9,\"max_completion_tokens\":2"), 200);
    expect_number(v, "usage/completion_tokens", 2);
    json_decref(v);
    v = post(CHAT, chat("#reply=one STOP two#", ",\"stop\":[\"nothing\",\"STOP\"]"), 200);
    expect_text(v, "choices/0/message/content", "one ");
    expect_text(v, "choices/0/finish_reason", "stop");
    json_decref(v);
}
END_TEST

START_TEST(reasoning_is_separated)
{
    struct http_options opt = test_options();
    struct http_client c;
    struct http_reply r;
    char text[64];
    test_server_start(&server, &opt, TEST_THINKING);
    json_t *v = post(CHAT, chat("#reply=hm\\\\n\\\\n</think>\\\\n\\\\nyes#", ""), 200);
    expect_text(v, "choices/0/message/content", "yes");
    expect_text(v, "choices/0/message/reasoning_content", "hm");
    expect_text(v, "choices/0/message/reasoning", "hm");
    expect_number(v, "usage/completion_tokens", 10);
    expect_number(v, "usage/completion_tokens_details/reasoning_tokens", 5);
    json_decref(v);
    open_stream(&c, "#reply=hm\\\\n\\\\n</think>\\\\n\\\\nyes#", "");
    http_client_read(&c, &r, false, 5000);
    join(&r.body, "choices/0/delta/reasoning_content", text, sizeof text);
    ck_assert_str_eq(text, "hm");
    join(&r.body, "choices/0/delta/reasoning", text, sizeof text);
    ck_assert_str_eq(text, "hm");
    join(&r.body, "choices/0/delta/content", text, sizeof text);
    ck_assert_str_eq(text, "yes");
    http_reply_release(&r);
    http_client_close(&c);
    stop();
}
END_TEST

/* Clients read choices[i].logprobs.content of every answer and chunk when they asked for it. */
START_TEST(log_probabilities_without_content)
{
    struct http_options opt = test_options();
    struct http_client c;
    struct http_reply r;
    char text[64];
    test_server_start(&server, &opt, TEST_THINKING);
    json_t *v = post(CHAT, chat("#reply=hmm#", ",\"logprobs\":true,\"max_tokens\":2"), 200);
    expect_text(v, "choices/0/message/reasoning_content", "hm");
    ck_assert(json_is_array(at(v, "choices/0/logprobs/content")));
    ck_assert_uint_eq(json_array_size(at(v, "choices/0/logprobs/content")), 0);
    json_decref(v);
    open_stream(&c, "#reply=hm</think>ab#", ",\"logprobs\":true");
    http_client_read(&c, &r, false, 5000);
    int chunks = join(&r.body, "choices/0/logprobs/content/0/token", text, sizeof text);
    ck_assert_int_eq(count_lists(&r.body, "choices/0/logprobs/content"), chunks);
    ck_assert_int_gt(chunks, 2);
    http_reply_release(&r);
    http_client_close(&c);
    stop();
}
END_TEST

START_TEST(several_choices)
{
    json_t *v = post(CHAT, chat("#reply=same#", ",\"n\":3,\"seed\":1"), 200);
    ck_assert_uint_eq(json_array_size(at(v, "choices")), 3);
    expect_text(v, "choices/2/message/content", "same");
    expect_number(v, "choices/2/index", 2);
    expect_number(v, "usage/completion_tokens", 12);
    json_decref(v);
}
END_TEST

START_TEST(log_probabilities)
{
    json_t *v = post(CHAT, chat("#reply=ab#", ",\"logprobs\":true,\"top_logprobs\":2"), 200);
    ck_assert_uint_eq(json_array_size(at(v, "choices/0/logprobs/content")), 2);
    expect_text(v, "choices/0/logprobs/content/1/token", "b");
    expect_number(v, "choices/0/logprobs/content/1/bytes/0", 'b');
    expect_text(v, "choices/0/logprobs/content/0/top_logprobs/1/token", "b");
    ck_assert(json_is_real(at(v, "choices/0/logprobs/content/0/logprob")));
    json_decref(v);
}
END_TEST

START_TEST(plain_completion)
{
    json_t *v = post("/v1/completions", "{\"prompt\":\"#reply=é a#\",\"logprobs\":1}", 200);
    expect_text(v, "object", "text_completion");
    expect_text(v, "choices/0/text", "é a");
    expect_text(v, "choices/0/logprobs/tokens/2", "a");
    expect_number(v, "choices/0/logprobs/text_offset/2", 3);
    json_decref(v);
    v = post("/v1/completions", "{\"prompt\":[35,98,117,115,121,35]}", 503);
    expect_text(v, "error/code", "overloaded");
    json_decref(v);
    expect_error("/v1/completions", "{\"prompt\":[1,264]}", 400, "prompt", "invalid_value");
    expect_error("/v1/completions", "{\"prompt\":[\"a\",\"b\"]}", 400, "prompt",
                 "unsupported_parameter");
    expect_error("/v1/completions", "{}", 400, "prompt", "missing_required_parameter");
}
END_TEST

START_TEST(tokens_there_and_back)
{
    json_t *v = post("/tokenize", "{\"prompt\":\"a<eos>\",\"with_pieces\":true}", 200);
    expect_number(v, "count", 3);
    expect_number(v, "tokens/0", 256);
    expect_number(v, "tokens/1", 'a');
    expect_number(v, "tokens/2", 257);
    expect_text(v, "pieces/2", "<eos>");
    json_decref(v);
    v = post("/tokenize",
             "{\"content\":\"<eos>\",\"add_special\":false,\"parse_special\":false}", 200);
    expect_number(v, "count", 5);
    json_decref(v);
    /* What a caller writes is never a special token in a chat. */
    v = post("/tokenize", "{\"messages\":[{\"role\":\"user\",\"content\":\"<eos>\"}]}", 200);
    expect_number(v, "count", 3 + 5);
    expect_number(v, "tokens/1", 260);
    expect_number(v, "tokens/2", '<');
    json_decref(v);
    v = post("/detokenize", "{\"tokens\":[104,105]}", 200);
    expect_text(v, "prompt", "hi");
    json_decref(v);
    expect_error("/detokenize", "{\"tokens\":[-1]}", 400, "tokens", "invalid_value");
    expect_error("/tokenize", "{}", 400, "prompt", "missing_required_parameter");
}
END_TEST

START_TEST(models)
{
    struct http_reply r;
    http_get(server.port, "/v1/models", TEST_KEY, &r);
    ck_assert_int_eq(r.status, 200);
    json_t *v = parse(&r);
    expect_text(v, "data/0/id", "fake");
    expect_number(v, "data/0/max_model_len", 8192);
    json_decref(v);
    http_reply_release(&r);
    http_get(server.port, "/v1/models/fake", TEST_KEY, &r);
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    http_get(server.port, "/v1/models/other", TEST_KEY, &r);
    ck_assert_int_eq(r.status, 404);
    http_reply_release(&r);
    expect_error(CHAT, chat("x", ",\"model\":\"other\""), 404, "model", "model_not_found");
}
END_TEST

START_TEST(request_errors)
{
    expect_error(CHAT, "{\"messages\":[]}", 400, "messages", "invalid_value");
    expect_error(CHAT, "{}", 400, "messages", "missing_required_parameter");
    expect_error(CHAT, "{\"messages\":[{\"role\":\"user\"}]}", 400, "messages[0].content",
                 "missing_required_parameter");
    expect_error(CHAT, "{\"messages\":[{\"role\":\"king\",\"content\":\"\"}]}", 400,
                 "messages[0].role", "invalid_value");
    expect_error(CHAT, "{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}", 400,
                 "messages[0].role", "unsupported_parameter");
    expect_error(CHAT, chat("x", ",\"tools\":[{\"type\":\"function\"}]"), 400, "tools",
                 "unsupported_parameter");
    expect_error(CHAT, chat("x", ",\"response_format\":{\"type\":\"json_object\"}"), 400,
                 "response_format", "unsupported_parameter");
    expect_error(CHAT, chat("x", ",\"logit_bias\":{\"264\":1}"), 400, NULL, "invalid_value");
    expect_error(CHAT, chat("#busy#", ""), 503, NULL, "overloaded");
    expect_error(CHAT, chat("#fail=2#", ""), 503, NULL, "engine_failed");
    expect_error(CHAT, "{\"messages\":", 400, NULL, "invalid_json");
    expect_error(CHAT, "{\"messages\":1,\"messages\":2}", 400, NULL, "invalid_json");
}
END_TEST

START_TEST(unknown_and_neutral_fields_are_ignored)
{
    json_t *v = post(CHAT, chat("x", ",\"fancy\":{\"a\":1},\"tools\":[],\"tool_choice\":\"auto\","
                                     "\"response_format\":{\"type\":\"text\"},\"user\":\"u\","
                                     "\"temperature\":null,\"stop\":null,\"seed\":-5,"
                                     "\"parallel_tool_calls\":true,\"guided_json\":null,"
                                     "\"chat_template_kwargs\":{\"enable_thinking\":false},"
                                     "\"thinking\":{\"type\":\"disabled\"}"), 200);
    json_decref(v);
}
END_TEST

START_TEST(too_long_prompt_names_both_counts)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_puts(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
    for (int i = 0; i < 9000; i++)
        buf_putc(&body, 'a');
    buf_puts(&body, "\"}]}");
    json_t *v = post(CHAT, buf_str(&body), 400);
    expect_text(v, "error/code", "context_length_exceeded");
    const char *message = json_string_value(at(v, "error/message"));
    ck_assert(strstr(message, "9003") && strstr(message, "8192"));
    json_decref(v);
    buf_release(&body);
}
END_TEST

/* ---- streams ---------------------------------------------------------------------------------- */

START_TEST(stream_chunks_in_order)
{
    struct http_client c;
    struct http_reply r;
    char text[256];
    open_stream(&c, "#reply=Hi you#", ",\"stream_options\":{\"include_usage\":true}");
    http_client_read(&c, &r, false, 5000);
    ck_assert_int_eq(r.status, 200);
    ck_assert(r.complete);
    http_reply_header(&r, "Content-Type", text, sizeof text);
    ck_assert_str_eq(text, "text/event-stream");
    join(&r.body, "choices/0/delta/content", text, sizeof text);
    ck_assert_str_eq(text, "Hi you");
    const char *body = buf_str(&r.body);
    const char *role = strstr(body, "\"role\":\"assistant\""), *first = strstr(body, "\"H");
    const char *finish = strstr(body, "\"finish_reason\":\"stop\"");
    const char *usage = strstr(body, "\"choices\":[],\"usage\":{\"prompt_tokens\":");
    const char *done = strstr(body, "data: [DONE]\n\n");
    ck_assert(role && first && finish && usage && done);
    ck_assert(role < first && first < finish && finish < usage && usage < done);
    ck_assert_ptr_null(strstr(role + 1, "\"role\""));
    http_reply_release(&r);
    /* The connection stays usable. */
    http_client_puts(&c, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http_client_read(&c, &r, false, 5000);
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    http_client_close(&c);
}
END_TEST

START_TEST(stream_of_several_choices)
{
    struct http_client c;
    struct http_reply r;
    open_stream(&c, "#reply=abc#", ",\"n\":2");
    http_client_read(&c, &r, false, 5000);
    const char *body = buf_str(&r.body);
    ck_assert(strstr(body, "\"index\":0") && strstr(body, "\"index\":1"));
    int finishes = 0;
    for (const char *p = body; (p = strstr(p, "\"finish_reason\":\"stop\"")); p++)
        finishes++;
    ck_assert_int_eq(finishes, 2);
    http_reply_release(&r);
    http_client_close(&c);
}
END_TEST

START_TEST(stream_error_event)
{
    struct http_client c;
    struct http_reply r;
    open_stream(&c, "#reply=abcdef##fail=3#", "");
    http_client_read(&c, &r, false, 5000);
    ck_assert_int_eq(r.status, 200);
    ck_assert(r.complete);
    ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "data: {\"error\":{"));
    ck_assert_ptr_null(strstr(buf_str(&r.body), "[DONE]"));
    ck_assert_ptr_null(strstr(buf_str(&r.body), "scripted"));
    http_reply_release(&r);
    http_client_close(&c);
    test_good_request(&server);
}
END_TEST

START_TEST(pings_while_waiting)
{
    struct http_options opt = test_options();
    struct http_client c;
    struct http_reply r;
    opt.ping_ms = 150;
    start(&opt);
    open_stream(&c, "#prefill_ms=900#", "");
    http_client_read(&c, &r, false, 5000);
    int pings = 0;
    for (const char *p = buf_str(&r.body); (p = strstr(p, ": ping\n\n")); p++)
        pings++;
    ck_assert_msg(pings >= 2 && pings <= 7, "%d pings", pings);
    ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "[DONE]"));
    http_reply_release(&r);
    http_client_close(&c);
    stop();
}
END_TEST

/* All streams of one poll loop; every one must get exactly its own text. */
START_TEST(many_streams_at_once)
{
    enum { N = 200 };
    static struct http_client c[N];
    struct http_options opt = test_options();
    opt.threads = 2;
    start(&opt);
    for (int i = 0; i < N; i++) {
        char content[64];
        snprintf(content, sizeof content, "#reply=stream %d says hello##us=2000#", i);
        open_stream(&c[i], content, "");
    }
    for (int i = 0; i < N; i++) {
        struct http_reply r;
        char text[64], want[64];
        http_client_read(&c[i], &r, false, 30000);
        ck_assert_msg(r.complete && r.status == 200, "stream %d: status %d", i, r.status);
        join(&r.body, "choices/0/delta/content", text, sizeof text);
        snprintf(want, sizeof want, "stream %d says hello", i);
        ck_assert_str_eq(text, want);
        http_reply_release(&r);
        http_client_close(&c[i]);
    }
    ck_assert(test_wait_streams(&server, 0, 1000));
    stop();
}
END_TEST

/* ---- clients that leave ----------------------------------------------------------------------- */

static const struct {
    const char *name, *content;
    bool stream;
    int wait_ms; /* before leaving */
} phases[] = {
    {"queue", "#queue_ms=60000#", true, 100},
    {"prefill", "#prefill_ms=60000#", true, 100},
    {"decode", "#tokens=7000##us=5000#", true, 150},
    {"stalled", "#tokens=7000#", true, 300},
    {"queue, whole answer", "#queue_ms=60000#", false, 100},
    {"decode, whole answer", "#tokens=7000##us=5000#", false, 100},
};

START_TEST(hang_up_frees_within_half_a_second)
{
    struct http_client c;
    struct buf request;
    buf_init(&request, 1 << 20);
    http_write_post(&request, CHAT, TEST_KEY,
                    chat(phases[_i].content, phases[_i].stream ? ",\"stream\":true" : ""));
    http_client_open(&c, server.port);
    http_client_send(&c, buf_str(&request), request.len);
    ck_assert(test_wait_streams(&server, 1, 2000));
    sleep_ms(phases[_i].wait_ms);
    uint64_t left = clock_now_us();
    http_client_close(&c);
    ck_assert_msg(test_wait_active(&server, 0, 500), "%s: the engine still works after 500 ms",
                  phases[_i].name);
    ck_assert_msg(test_wait_streams(&server, 0, 1000), "%s: not released", phases[_i].name);
    ck_assert_int_lt(elapsed_ms(left), 1500);
    buf_release(&request);
    test_good_request(&server);
}
END_TEST

START_TEST(many_hang_ups_leave_others_alone)
{
    enum { N = 60 };
    static struct http_client gone[N];
    struct http_client steady;
    struct http_reply r;
    char text[512];
    open_stream(&steady, "#tokens=200##us=5000#", "");
    for (int i = 0; i < N; i++)
        open_stream(&gone[i], phases[i % 4].content, "");
    ck_assert(test_wait_streams(&server, N + 1, 3000));
    for (int i = 0; i < N; i++)
        http_client_close(&gone[i]);
    ck_assert(test_wait_streams(&server, 1, 2000));
    http_client_read(&steady, &r, false, 10000);
    ck_assert(r.complete);
    join(&r.body, "choices/0/delta/content", text, sizeof text);
    ck_assert_uint_eq(strlen(text), 400);
    http_reply_release(&r);
    http_client_close(&steady);
}
END_TEST

START_TEST(stalled_readers_are_dropped)
{
    enum { N = 5 };
    struct http_client c[N];
    struct http_options opt = test_options();
    opt.stall_s = 2;
    start(&opt);
    int small = 4096;
    for (int i = 0; i < N; i++) {
        open_stream(&c[i], "#tokens=8000#", "");
        setsockopt(c[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    ck_assert(test_wait_streams(&server, N, 2000));
    for (int i = 0; i < 5; i++)
        test_good_request(&server);
    ck_assert_msg(test_wait_streams(&server, 0, 10000), "stalled streams were not ended");
    for (int i = 0; i < N; i++)
        http_client_close(&c[i]);
    stop();
}
END_TEST

START_TEST(slow_senders_are_closed)
{
    struct http_options opt = test_options();
    struct http_client head, body, idle;
    opt.header_ms = 400;
    opt.keepalive_ms = 200;
    opt.body_grace_ms = 400;
    opt.body_rate = 1000;
    start(&opt);
    http_client_open(&head, server.port);
    http_client_open(&body, server.port);
    http_client_open(&idle, server.port);
    http_client_puts(&idle, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http_client_puts(&body, "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                            TEST_KEY "\r\nContent-Type: application/json\r\n"
                            "Content-Length: 1000\r\n\r\n");
    uint64_t begin = clock_now_us();
    const char *drip = "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaa";
    for (int i = 0; drip[i] && elapsed_ms(begin) < 1200; i++) {
        http_client_send(&head, drip + i, 1);
        http_client_send(&body, " ", 1);
        sleep_ms(40);
    }
    ck_assert_msg(http_client_closed(&head, 200), "a dripping head was kept");
    ck_assert_ptr_nonnull(strstr(buf_str(&head.in), "408 Request Timeout"));
    ck_assert_msg(http_client_closed(&body, 200), "a dripping body was kept");
    ck_assert_ptr_nonnull(strstr(buf_str(&body.in), "408 Request Timeout"));
    ck_assert_msg(http_client_closed(&idle, 600), "an idle connection was kept");
    ck_assert_ptr_null(strstr(buf_str(&idle.in), "408"));
    test_good_request(&server);
    http_client_close(&head);
    http_client_close(&body);
    http_client_close(&idle);
    stop();
}
END_TEST

/* ---- bodies ----------------------------------------------------------------------------------- */

static void send_head(struct http_client *c, const char *key, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
             "Authorization: Bearer %s\r\n%s\r\n", key, more);
    http_client_open(c, server.port);
    http_client_puts(c, text);
}

static void expect_status(struct http_client *c, int status)
{
    struct http_reply r;
    http_client_read(c, &r, false, 5000);
    ck_assert_msg(r.status == status, "%d instead of %d: %s", r.status, status, buf_str(&r.head));
    ck_assert_ptr_null(strstr(buf_str(&r.head), "100 Continue"));
    http_reply_release(&r);
}

START_TEST(refused_before_the_body)
{
    struct http_client c;
    send_head(&c, TEST_KEY, "Content-Length: 262145\r\n");
    expect_status(&c, 413);
    http_client_close(&c);
    send_head(&c, TEST_KEY, "Content-Length: 99999999999999999\r\nExpect: 100-continue\r\n");
    expect_status(&c, 413);
    ck_assert(http_client_closed(&c, 1000));
    http_client_close(&c);
    send_head(&c, "sk-wrong-0123456789abcdef", "Content-Length: 10\r\nExpect: 100-continue\r\n");
    expect_status(&c, 401);
    ck_assert_ptr_null(strstr(buf_str(&c.in), "100"));
    http_client_close(&c);
    send_head(&c, TEST_KEY, "Content-Length: 10\r\nContent-Encoding: gzip\r\n");
    expect_status(&c, 415);
    http_client_close(&c);
}
END_TEST

START_TEST(large_body_sent_anyway_still_reads_the_reply)
{
    struct http_client c;
    char *junk = calloc(1, 2 << 20);
    ck_assert_ptr_nonnull(junk);
    memset(junk, ' ', 2 << 20);
    send_head(&c, TEST_KEY, "Content-Length: 2097152\r\n");
    http_client_send(&c, junk, 2 << 20);
    expect_status(&c, 413);
    http_client_close(&c);
    free(junk);
}
END_TEST

static void send_chunk(struct http_client *c, const char *bytes, size_t len)
{
    char line[32];
    snprintf(line, sizeof line, "%zx\r\n", len);
    http_client_puts(c, line);
    http_client_send(c, bytes, len);
    http_client_puts(c, "\r\n");
}

START_TEST(chunked_bodies)
{
    struct http_client c;
    const char *json = chat("#reply=chunky#", "");
    send_head(&c, TEST_KEY, "Transfer-Encoding: chunked\r\n");
    for (const char *p = json; *p; p++)
        send_chunk(&c, p, 1);
    http_client_puts(&c, "0\r\n\r\n");
    expect_status(&c, 200);
    http_client_close(&c);

    static char spaces[4096];
    memset(spaces, ' ', sizeof spaces);
    send_head(&c, TEST_KEY, "Transfer-Encoding: chunked\r\n");
    for (int i = 0; i < 70; i++)
        send_chunk(&c, spaces, sizeof spaces);
    http_client_puts(&c, "0\r\n\r\n");
    expect_status(&c, 413);
    http_client_close(&c);

    /* Without end: cut off, whatever was promised. */
    send_head(&c, TEST_KEY, "Transfer-Encoding: chunked\r\n");
    int sent = 0;
    while (sent < 4000 && http_client_send(&c, "1000\r\n", 6) &&
           http_client_send(&c, spaces, sizeof spaces) && http_client_send(&c, "\r\n", 2))
        sent++;
    ck_assert_int_lt(sent, 4000);
    http_client_close(&c);
    test_good_request(&server);
}
END_TEST

START_TEST(body_after_100_continue)
{
    struct http_client c;
    struct http_reply r;
    const char *json = chat("#reply=patient#", "");
    char head[128];
    snprintf(head, sizeof head, "Content-Length: %zu\r\nExpect: 100-continue\r\n", strlen(json));
    send_head(&c, TEST_KEY, head);
    ck_assert(http_client_wait_for(&c, "HTTP/1.1 100 Continue\r\n\r\n", 5000));
    http_client_puts(&c, json);
    http_client_read(&c, &r, false, 5000);
    ck_assert_int_eq(r.status, 200);
    ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "patient"));
    http_reply_release(&r);
    http_client_close(&c);
}
END_TEST

/* Without chunks the end of a stream is the end of the connection. */
START_TEST(stream_to_http_1_0)
{
    struct http_client c;
    struct http_reply r;
    const char *json = chat("#reply=old#", ",\"stream\":true");
    char head[512];
    snprintf(head, sizeof head,
             "POST " CHAT " HTTP/1.0\r\nContent-Type: application/json\r\nx-api-key: " TEST_KEY
             "\r\nContent-Length: %zu\r\n\r\n", strlen(json));
    http_client_open(&c, server.port);
    http_client_puts(&c, head);
    http_client_puts(&c, json);
    http_client_read(&c, &r, false, 5000);
    ck_assert_int_eq(r.status, 200);
    ck_assert(r.complete);
    ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "data: [DONE]\n\n"));
    http_reply_release(&r);
    http_client_close(&c);
}
END_TEST

START_TEST(bodies_together_are_bounded)
{
    struct http_client c[3];
    struct http_options opt = test_options();
    opt.bodies_bytes = 2 * opt.body_bytes;
    start(&opt);
    for (int i = 0; i < 2; i++) {
        send_head(&c[i], TEST_KEY, "Transfer-Encoding: chunked\r\n");
        send_chunk(&c[i], " ", 1);
    }
    sleep_ms(100);
    send_head(&c[2], TEST_KEY, "Content-Length: 262144\r\n");
    expect_status(&c[2], 503);
    for (int i = 0; i < 3; i++)
        http_client_close(&c[i]);
    sleep_ms(200);
    test_good_request(&server);
    stop();
}
END_TEST

/* ---- access ----------------------------------------------------------------------------------- */

START_TEST(keys)
{
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"", 401},
        {"Authorization: Bearer " TEST_KEY "\r\n", 200},
        {"authorization: bearer " TEST_KEY "\r\n", 200},
        {"x-api-key: " TEST_KEY "\r\n", 200},
        {"Authorization: Bearer \r\n", 401},
        {"Authorization: Bearer " TEST_KEY "x\r\n", 401},
        {"Authorization: Basic " TEST_KEY "\r\n", 401},
        {"Authorization: Bearer " TEST_KEY "\r\nx-api-key: " TEST_KEY "\r\n", 400},
        {"Authorization: Bearer " TEST_KEY "\r\nAuthorization: Bearer " TEST_KEY "\r\n", 400},
        {"x-api-key: " TEST_KEY "\r\nx-api-key: " TEST_KEY "\r\n", 400},
        {"Cookie: key=" TEST_KEY "\r\n", 401},
        {"x-api-key: ' OR 1=1 --\r\n", 401},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_client c;
        struct http_reply r;
        char text[512];
        http_client_open(&c, server.port);
        snprintf(text, sizeof text, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
                 cases[i].headers);
        http_client_puts(&c, text);
        http_client_read(&c, &r, false, 5000);
        ck_assert_msg(r.status == cases[i].status, "%d for %s", r.status, cases[i].headers);
        if (r.status == 401)
            ck_assert(http_reply_header(&r, "WWW-Authenticate", text, sizeof text));
        http_reply_release(&r);
        http_client_close(&c);
    }
}
END_TEST

START_TEST(host_names)
{
    struct http_options opt = test_options();
    opt.loopback_hosts_only = true;
    opt.allowed_hosts = "seekd.example, other.example";
    static const struct {
        const char *host;
        int status;
    } cases[] = {{"localhost:8080", 200},  {"127.0.0.1", 200},       {"[::1]:1", 200},
                 {"SEEKD.example:9", 200}, {"other.example", 200},   {"evil.example", 403},
                 {"127.0.0.1.evil.example", 403}, {"localhost.evil", 403}, {"127.", 403}};
    start(&opt);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_client c;
        char text[256];
        http_client_open(&c, server.port);
        snprintf(text, sizeof text, "GET /health HTTP/1.1\r\nHost: %s\r\n\r\n", cases[i].host);
        http_client_puts(&c, text);
        expect_status(&c, cases[i].status);
        http_client_close(&c);
    }
    stop();
}
END_TEST

static void expect_common_headers(const struct http_reply *r)
{
    static const struct {
        const char *name, *value;
    } want[] = {{"X-Content-Type-Options", "nosniff"},
                {"Cache-Control", "no-store"},
                {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
                {"Referrer-Policy", "no-referrer"}};
    char value[128];
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        http_reply_header(r, want[i].name, value, sizeof value);
        ck_assert_msg(!strcmp(value, want[i].value), "%s: %s in\n%s", want[i].name, value,
                      buf_str(&r->head));
    }
    ck_assert(http_reply_header(r, "X-Request-Id", value, sizeof value));
    ck_assert(!strncmp(value, "req_", 4) && strlen(value) == 28);
}

START_TEST(headers_on_every_answer)
{
    static const char *const requests[] = {
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PUT /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n",
        "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nx-api-key: " TEST_KEY "\r\n"
        "Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
        "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nx-api-key: " TEST_KEY "\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct http_client c;
        struct http_reply r;
        http_client_open(&c, server.port);
        http_client_puts(&c, requests[i]);
        http_client_read(&c, &r, false, 5000);
        ck_assert_int_ne(r.status, 0);
        expect_common_headers(&r);
        http_reply_release(&r);
        http_client_close(&c);
    }
    struct http_client c;
    struct http_reply r;
    open_stream(&c, "x", "");
    http_client_read(&c, &r, false, 5000);
    expect_common_headers(&r);
    http_reply_release(&r);
    http_client_close(&c);
}
END_TEST

START_TEST(methods)
{
    struct http_client c;
    struct http_reply r;
    char allow[64];
    http_client_open(&c, server.port);
    http_client_puts(&c, "HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
                         "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http_client_read(&c, &r, true, 5000);
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    http_client_read(&c, &r, false, 5000); /* pipelined */
    ck_assert_int_eq(r.status, 200);
    ck_assert_str_eq(buf_str(&r.body), "{\"status\":\"ok\"}");
    http_reply_release(&r);
    http_client_puts(&c, "DELETE /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http_client_read(&c, &r, false, 5000);
    ck_assert_int_eq(r.status, 405);
    http_reply_header(&r, "Allow", allow, sizeof allow);
    ck_assert_str_eq(allow, "POST");
    http_reply_release(&r);
    http_client_close(&c);
}
END_TEST

/* ---- health and load -------------------------------------------------------------------------- */

static void expect_health(int port, int status, const char *word)
{
    struct http_reply r;
    http_get(port, "/health", NULL, &r);
    ck_assert_int_eq(r.status, status);
    ck_assert_msg(strstr(buf_str(&r.body), word) != NULL, "%s", buf_str(&r.body));
    http_reply_release(&r);
}

START_TEST(health_while_loading)
{
    struct http_options opt = test_options();
    test_server_start(&server, &opt, TEST_LOADING);
    atomic_store(&server.app.loaded_bytes, 5);
    expect_health(server.port, 503, "\"loaded_bytes\":5");
    json_t *v = post(CHAT, chat("x", ""), 503);
    expect_text(v, "error/code", "model_loading");
    json_decref(v);
    atomic_store(&server.app.model, &server.model);
    expect_health(server.port, 200, "ok");
    test_good_request(&server);
    stop();
}
END_TEST

START_TEST(health_sees_the_engine)
{
    struct http_client c;
    expect_health(server.port, 200, "ok");
    fake_engine_freeze(server.engine, true);
    open_stream(&c, "x", "");
    ck_assert(test_wait_streams(&server, 1, 1000));
    expect_health(server.port, 200, "ok");
    fake_engine_age(server.engine, 130000000);
    expect_health(server.port, 503, "stalled");
    fake_engine_age(server.engine, 0);
    fake_engine_freeze(server.engine, false);
    sleep_ms(100);
    expect_health(server.port, 200, "ok");
    http_client_close(&c);
    fake_engine_lose_device(server.engine);
    expect_health(server.port, 503, "failed");
    expect_error(CHAT, chat("x", ""), 503, NULL, "engine_failed");
}
END_TEST

START_TEST(health_on_its_own_port)
{
    struct http_options opt = test_options();
    struct http_reply r;
    int port;
    opt.health_fd = test_listen(&port);
    start(&opt);
    expect_health(port, 200, "ok");
    http_get(port, "/v1/models", TEST_KEY, &r);
    ck_assert_int_eq(r.status, 404);
    http_reply_release(&r);
    expect_health(server.port, 200, "ok");
    stop();
}
END_TEST

START_TEST(connection_limit_answers_503)
{
    enum { LIMIT = 10 };
    struct http_client c[LIMIT];
    struct http_options opt = test_options();
    opt.max_connections = LIMIT;
    start(&opt);
    for (int i = 0; i < LIMIT; i++)
        open_stream(&c[i], "#queue_ms=60000#", "");
    ck_assert(test_wait_streams(&server, LIMIT, 3000));
    struct http_reply r;
    char seconds[16];
    http_post(server.port, CHAT, TEST_KEY, chat("x", ""), &r);
    ck_assert_int_eq(r.status, 503);
    ck_assert(http_reply_header(&r, "Retry-After", seconds, sizeof seconds));
    http_reply_release(&r);
    expect_health(server.port, 200, "ok");
    for (int i = 0; i < LIMIT; i++)
        http_client_close(&c[i]);
    ck_assert(test_wait_streams(&server, 0, 2000));
    sleep_ms(100);
    test_good_request(&server);
    stop();
}
END_TEST

/* ---- the end ---------------------------------------------------------------------------------- */

START_TEST(drain_lets_answers_finish)
{
    struct http_options opt = test_options();
    struct http_client c, idle;
    struct http_reply r;
    start(&opt);
    http_client_open(&idle, server.port);
    open_stream(&c, "#tokens=100##us=10000#", "");
    ck_assert(test_wait_streams(&server, 1, 1000));
    ck_assert(http_drain(server.http, 10000, NULL));
    http_client_read(&c, &r, false, 5000);
    ck_assert(r.complete);
    ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "[DONE]"));
    http_reply_release(&r);
    http_client_puts(&idle, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-api-key: " TEST_KEY
                            "\r\n\r\n");
    http_client_read(&idle, &r, false, 5000);
    ck_assert_int_eq(r.status, 503);
    ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "shutting_down"));
    http_reply_release(&r);
    http_client_close(&idle);
    http_client_close(&c);
    stop();
}
END_TEST

START_TEST(close_ends_streams_with_an_error_event)
{
    enum { N = 20 };
    struct http_client c[N];
    struct http_options opt = test_options();
    start(&opt);
    for (int i = 0; i < N; i++)
        open_stream(&c[i], i % 2 ? "#tokens=8000##us=5000#" : "#queue_ms=60000#", "");
    ck_assert(test_wait_streams(&server, N, 3000));
    sleep_ms(50);
    atomic_bool hurry = true;
    ck_assert(!http_drain(server.http, 60000, &hurry));
    ck_assert(http_close(&server.http));
    for (int i = 0; i < N; i++) {
        struct http_reply r;
        http_client_read(&c[i], &r, false, 5000);
        ck_assert_int_eq(r.status, 200);
        ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "shutting_down"));
        http_reply_release(&r);
        http_client_close(&c[i]);
    }
    stop();
}
END_TEST

START_TEST(close_works_with_a_dead_engine)
{
    struct http_client stream, whole, half;
    struct http_options opt = test_options();
    struct buf request;
    start(&opt);
    buf_init(&request, 1 << 16);
    http_write_post(&request, CHAT, TEST_KEY, chat("#queue_ms=60000#", ""));
    open_stream(&stream, "#tokens=10##us=100000000#", "");
    http_client_open(&whole, server.port);
    http_client_send(&whole, buf_str(&request), request.len);
    http_client_open(&half, server.port);
    http_client_puts(&half, "GET /hea");
    buf_release(&request);
    ck_assert(test_wait_streams(&server, 2, 2000));
    fake_engine_die(server.engine);
    uint64_t begin = clock_now_us();
    ck_assert(http_close(&server.http));
    ck_assert_int_lt(elapsed_ms(begin), 5000);
    http_client_close(&stream);
    http_client_close(&whole);
    http_client_close(&half);
    stop();
}
END_TEST

static void add(Suite *s, const char *name, const TTest *test, bool fixture)
{
    TCase *t = tcase_create(name);
    tcase_set_timeout(t, 120);
    if (fixture)
        tcase_add_checked_fixture(t, start_default, stop);
    tcase_add_test(t, test);
    suite_add_tcase(s, t);
}

static Suite *make_suite(void)
{
    Suite *s = suite_create("http");
    add(s, "whole answer", whole_answer, true);
    add(s, "length and stop", length_and_stop, true);
    add(s, "reasoning", reasoning_is_separated, false);
    add(s, "reasoning without content", log_probabilities_without_content, false);
    add(s, "several choices", several_choices, true);
    add(s, "log probabilities", log_probabilities, true);
    add(s, "completion", plain_completion, true);
    add(s, "tokens", tokens_there_and_back, true);
    add(s, "models", models, true);
    add(s, "request errors", request_errors, true);
    add(s, "ignored fields", unknown_and_neutral_fields_are_ignored, true);
    add(s, "too long", too_long_prompt_names_both_counts, true);
    add(s, "stream order", stream_chunks_in_order, true);
    add(s, "stream choices", stream_of_several_choices, true);
    add(s, "stream error", stream_error_event, true);
    add(s, "pings", pings_while_waiting, false);
    add(s, "many streams", many_streams_at_once, false);
    TCase *leave = tcase_create("hang up");
    tcase_set_timeout(leave, 120);
    tcase_add_checked_fixture(leave, start_default, stop);
    tcase_add_loop_test(leave, hang_up_frees_within_half_a_second, 0,
                        (int)(sizeof phases / sizeof phases[0]));
    tcase_add_test(leave, many_hang_ups_leave_others_alone);
    suite_add_tcase(s, leave);
    add(s, "stalled readers", stalled_readers_are_dropped, false);
    add(s, "slow senders", slow_senders_are_closed, false);
    add(s, "refused before the body", refused_before_the_body, true);
    add(s, "large body", large_body_sent_anyway_still_reads_the_reply, true);
    add(s, "chunked bodies", chunked_bodies, true);
    add(s, "100 continue", body_after_100_continue, true);
    add(s, "HTTP/1.0", stream_to_http_1_0, true);
    add(s, "bodies together", bodies_together_are_bounded, false);
    add(s, "keys", keys, true);
    add(s, "host names", host_names, false);
    add(s, "headers", headers_on_every_answer, true);
    add(s, "methods", methods, true);
    add(s, "loading", health_while_loading, false);
    add(s, "health", health_sees_the_engine, true);
    add(s, "health port", health_on_its_own_port, false);
    add(s, "connection limit", connection_limit_answers_503, false);
    add(s, "drain", drain_lets_answers_finish, false);
    add(s, "close", close_ends_streams_with_an_error_event, false);
    add(s, "dead engine", close_works_with_a_dead_engine, false);
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
