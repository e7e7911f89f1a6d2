/* Bad requests: framing that can be read in two ways, and generated nonsense. Each must get a 4xx (or
 * a closed connection), hidden second requests must never run, and the next good request works. */
#include <config.h>

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "api/params.h"
#include "fake_engine.h"
#include "http_client.h"
#include "http_server.h"

#define CHAT "/v1/chat/completions"
#define HOST "Host: localhost\r\n"
#define AUTH "x-api-key: " TEST_KEY "\r\n"
#define JSON "Content-Type: application/json\r\n"
#define POST "POST /tokenize HTTP/1.1\r\n"
#define BODY "{\"prompt\":\"x\"}" /* 14 bytes */
#define HIDDEN "GET /v1/models HTTP/1.1\r\n" HOST AUTH "\r\n"

static struct test_server server;

static void start(void)
{
    struct http_options opt = test_options();
    opt.header_ms = 1000;
    opt.body_grace_ms = 1000;
    test_server_start(&server, &opt, 0);
}

static void stop(void)
{
    test_server_stop(&server);
}

/* ---- framing ---------------------------------------------------------------------------------- */

enum { CLOSED = 0 };

/* status: what the first reply must say; CLOSED: 4xx or closed without a reply. */
static const struct framing {
    const char *name, *raw;
    int status;
} framings[] = {
    {"good", POST HOST AUTH JSON "Content-Length: 14\r\n\r\n" BODY, 200},
    {"good chunked", POST HOST AUTH JSON "Transfer-Encoding: chunked\r\n\r\ne\r\n" BODY
     "\r\n0\r\n\r\n", 200},
    {"good chunked, case", POST HOST AUTH JSON "Transfer-Encoding: Chunked\r\n\r\ne\r\n" BODY
     "\r\n0\r\n\r\n", 200},
    {"no host", POST AUTH JSON "Content-Length: 14\r\n\r\n" BODY, 400},
    {"two hosts", POST HOST HOST AUTH JSON "Content-Length: 14\r\n\r\n" BODY, 400},
    {"two different hosts", POST HOST "Host: other\r\n" AUTH JSON "Content-Length: 14\r\n\r\n"
     BODY, 400},
    {"empty host", POST "Host:\r\n" AUTH JSON "Content-Length: 14\r\n\r\n" BODY, 400},
    {"host with a path", POST "Host: a/b\r\n" AUTH JSON "Content-Length: 14\r\n\r\n" BODY, 400},
    {"host with user", POST "Host: a@b\r\n" AUTH JSON "Content-Length: 14\r\n\r\n" BODY, 400},
    {"host list", POST "Host: a, b\r\n" AUTH JSON "Content-Length: 14\r\n\r\n" BODY, 400},
    {"same length twice", POST HOST AUTH JSON "Content-Length: 14\r\nContent-Length: 14\r\n\r\n"
     BODY, 400},
    {"short length first", POST HOST AUTH JSON "Content-Length: 0\r\nContent-Length: 14\r\n\r\n"
     BODY HIDDEN, 400},
    {"long length first", POST HOST AUTH JSON "Content-Length: 14\r\nContent-Length: 0\r\n\r\n"
     BODY HIDDEN, 400},
    {"length list", POST HOST AUTH JSON "Content-Length: 14, 14\r\n\r\n" BODY, CLOSED},
    {"length with sign", POST HOST AUTH JSON "Content-Length: +14\r\n\r\n" BODY, CLOSED},
    {"negative length", POST HOST AUTH JSON "Content-Length: -1\r\n\r\n" BODY, CLOSED},
    {"hex length", POST HOST AUTH JSON "Content-Length: 0xe\r\n\r\n" BODY, CLOSED},
    {"length with a point", POST HOST AUTH JSON "Content-Length: 14.0\r\n\r\n" BODY, CLOSED},
    {"length with letters", POST HOST AUTH JSON "Content-Length: 14a\r\n\r\n" BODY, CLOSED},
    {"empty length", POST HOST AUTH JSON "Content-Length:\r\n\r\n" BODY, CLOSED},
    {"length beyond 64 bits", POST HOST AUTH JSON
     "Content-Length: 18446744073709551630\r\n\r\n" BODY, CLOSED},
    {"length of 2^64-1", POST HOST AUTH JSON
     "Content-Length: 18446744073709551615\r\n\r\n" BODY, CLOSED},
    {"length and chunked", POST HOST AUTH JSON
     "Content-Length: 14\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400},
    {"chunked and length", POST HOST AUTH JSON
     "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" HIDDEN, 400},
    {"zero length and chunked", POST HOST AUTH JSON
     "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400},
    {"te gzip, chunked", POST HOST AUTH JSON "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     400},
    {"te chunked, gzip", POST HOST AUTH JSON "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
     400},
    {"te chunked, chunked", POST HOST AUTH JSON
     "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
    {"te twice", POST HOST AUTH JSON
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"te twice, second identity", POST HOST AUTH JSON
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400},
    {"te identity", POST HOST AUTH JSON "Transfer-Encoding: identity\r\n\r\n" BODY, 400},
    {"te xchunked", POST HOST AUTH JSON "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
    {"te quoted", POST HOST AUTH JSON "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400},
    {"te with parameter", POST HOST AUTH JSON
     "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400},
    {"te empty", POST HOST AUTH JSON "Transfer-Encoding:\r\n\r\n" BODY, 400},
    {"te tab in front", POST HOST AUTH JSON "Transfer-Encoding:\tchunked, x\r\n\r\n0\r\n\r\n",
     400},
    {"te with vertical tab", POST HOST AUTH JSON
     "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n", 400},
    {"te in HTTP/1.0", "POST /tokenize HTTP/1.0\r\n" HOST AUTH JSON
     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400},
    {"blank before the colon", POST HOST AUTH JSON "Content-Length : 14\r\n\r\n" BODY HIDDEN, 400},
    {"blank before the colon of te", POST HOST AUTH JSON
     "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400},
    {"tab before the colon", POST HOST AUTH JSON "Content-Length\t: 14\r\n\r\n" BODY, 400},
    {"blank in a name", POST HOST AUTH JSON "X Y: 1\r\nContent-Length: 14\r\n\r\n" BODY, 400},
    {"empty name", POST HOST AUTH JSON ": 1\r\nContent-Length: 14\r\n\r\n" BODY, CLOSED},
    {"name with brackets", POST HOST AUTH JSON "X(a): 1\r\nContent-Length: 14\r\n\r\n" BODY, 400},
    {"name with 0x80", POST HOST AUTH JSON "X\x80: 1\r\nContent-Length: 14\r\n\r\n" BODY, 400},
    {"header without colon", POST HOST AUTH JSON "nonsense\r\nContent-Length: 14\r\n\r\n" BODY,
     CLOSED},
    {"first header begins with a blank", POST " Host: x\r\n" HOST AUTH JSON
     "Content-Length: 14\r\n\r\n" BODY, CLOSED},
    {"control character in a value", POST HOST AUTH JSON "X: a\x01" "b\r\nContent-Length: 14\r\n"
     "\r\n" BODY, 400},
    {"delete character in a value", POST HOST AUTH JSON "X: a\x7f\r\nContent-Length: 14\r\n\r\n"
     BODY, 400},
    {"bare LF after a header", POST "Host: localhost\n" AUTH JSON "Content-Length: 14\r\n\r\n" BODY,
     400},
    {"bare LF after the request line", "POST /tokenize HTTP/1.1\n" HOST AUTH JSON
     "Content-Length: 14\r\n\r\n" BODY, 400},
    {"bare LF after the last header", POST HOST AUTH JSON "Content-Length: 14\n\r\n" BODY, 400},
    {"bare LF as the end", POST HOST AUTH JSON "Content-Length: 14\r\n\n" BODY, 400},
    {"bare LF everywhere", "GET /v1/models HTTP/1.1\nHost: localhost\nx-api-key: " TEST_KEY "\n\n",
     400},
    {"bare LF hides a header", POST HOST AUTH JSON
     "X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400},
    {"bare CR in a value", POST HOST AUTH JSON "X: a\rY: b\r\nContent-Length: 14\r\n\r\n" BODY,
     400},
    {"continued header", POST HOST AUTH JSON "X: a\r\n b\r\nContent-Length: 14\r\n\r\n" BODY,
     400},
    {"continued last header", POST HOST AUTH JSON "Content-Length: 14\r\nX: a\r\n b\r\n\r\n" BODY,
     400},
    {"continued te", POST HOST AUTH JSON
     "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400},
    {"blanks around values", POST HOST AUTH "Content-Type: \t application/json \t\r\n"
     "X:\r\nContent-Length:14\r\n\r\n" BODY, 200},
    {"blank after the length", POST HOST AUTH JSON "Content-Length: 14 \r\n\r\n" BODY, CLOSED},
    {"encoded nul in the path", "GET /v1/models%00/x HTTP/1.1\r\n" HOST AUTH "\r\n", 400},
    {"encoded nul in the query", "GET /v1/models?a=%00 HTTP/1.1\r\n" HOST AUTH "\r\n", 400},
    {"blank in the target", "GET /v1/models /x HTTP/1.1\r\n" HOST AUTH "\r\n", CLOSED},
    {"absolute target", "GET http://localhost/v1/models HTTP/1.1\r\n" HOST AUTH "\r\n", 400},
    {"star target", "GET * HTTP/1.1\r\n" HOST AUTH "\r\n", 400},
    {"authority target", "CONNECT localhost:80 HTTP/1.1\r\n" HOST AUTH "\r\n", 400},
    {"relative target", "GET v1/models HTTP/1.1\r\n" HOST AUTH "\r\n", 400},
    {"raw utf-8 in the target", "GET /v1/\xc3\xa9 HTTP/1.1\r\n" HOST AUTH "\r\n", 400},
    {"control character in the target", "GET /v1/\x01 HTTP/1.1\r\n" HOST AUTH "\r\n", 400},
    {"no target", "GET HTTP/1.1\r\n" HOST AUTH "\r\n", CLOSED},
    {"method only", "GET\r\n" HOST AUTH "\r\n", CLOSED},
    {"unknown version", "GET /v1/models HTTP/1.7\r\n" HOST AUTH "\r\n", CLOSED},
    {"version 2", "GET /v1/models HTTP/2.0\r\n" HOST AUTH "\r\n", CLOSED},
    {"version 0.9", "GET /v1/models\r\n\r\n", CLOSED},
    {"lower-case version", "GET /v1/models http/1.1\r\n" HOST AUTH "\r\n", CLOSED},
    {"lower-case method", "get /v1/models HTTP/1.1\r\n" HOST AUTH "\r\n", 405},
    {"unknown method", "BREW /v1/models HTTP/1.1\r\n" HOST AUTH "\r\n", 405},
    {"options", "OPTIONS /v1/models HTTP/1.1\r\n" HOST AUTH "\r\n", 405},
    {"trace", "TRACE /v1/models HTTP/1.1\r\n" HOST AUTH "\r\n", 405},
    {"body with a get", "GET /v1/models HTTP/1.1\r\n" HOST AUTH "Content-Length: 51\r\n\r\n"
     HIDDEN, 400},
    {"chunks with a get", "GET /v1/models HTTP/1.1\r\n" HOST AUTH
     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400},
    {"chunk size not hex", POST HOST AUTH JSON "Transfer-Encoding: chunked\r\n\r\nzz\r\n" BODY
     "\r\n0\r\n\r\n", 400},
    {"chunk size with sign", POST HOST AUTH JSON "Transfer-Encoding: chunked\r\n\r\n-1\r\n" BODY,
     400},
    {"chunk size with 0x", POST HOST AUTH JSON "Transfer-Encoding: chunked\r\n\r\n0xe\r\n" BODY
     "\r\n0\r\n\r\n", 400},
    {"chunk size beyond 64 bits", POST HOST AUTH JSON
     "Transfer-Encoding: chunked\r\n\r\n1000000000000000e\r\n" BODY, 413},
    {"chunk without its end", POST HOST AUTH JSON "Transfer-Encoding: chunked\r\n\r\ne\r\n" BODY
     "XX0\r\n\r\n", 400},
    {"empty chunk size", POST HOST AUTH JSON "Transfer-Encoding: chunked\r\n\r\n\r\n" BODY, 400},
    {"two content types", POST HOST AUTH JSON "Content-Type: text/plain\r\n"
     "Content-Length: 14\r\n\r\n" BODY, 400},
    {"no content type", POST HOST AUTH "Content-Length: 14\r\n\r\n" BODY, 415},
    {"form content type", POST HOST AUTH
     "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\n" BODY, 415},
    {"nearly json", POST HOST AUTH "Content-Type: application/jsonx\r\nContent-Length: 14\r\n\r\n"
     BODY, 415},
    {"json with charset", POST HOST AUTH "Content-Type: application/json; charset=utf-8\r\n"
     "Content-Length: 14\r\n\r\n" BODY, 200},
    {"gzip", POST HOST AUTH JSON "Content-Encoding: gzip\r\nContent-Length: 14\r\n\r\n" BODY, 415},
    {"deflate", POST HOST AUTH JSON "Content-Encoding: deflate\r\nContent-Length: 14\r\n\r\n" BODY,
     415},
    {"identity encoding", POST HOST AUTH JSON "Content-Encoding: identity\r\n"
     "Content-Length: 14\r\n\r\n" BODY, 200},
    {"odd expectation", POST HOST AUTH JSON "Expect: 200-maybe\r\nContent-Length: 14\r\n\r\n" BODY,
     400},
    {"no length at all", POST HOST AUTH JSON "\r\n", 400},
    {"unknown path", "GET /v1/nothing HTTP/1.1\r\n" HOST AUTH "\r\n", 404},
    {"path with dots", "GET /v1/../v1/models HTTP/1.1\r\n" HOST AUTH "\r\n", 404},
    {"path with double slash", "GET //v1/models HTTP/1.1\r\n" HOST AUTH "\r\n", 404},
    {"path with a final slash", "GET /v1/models/ HTTP/1.1\r\n" HOST AUTH "\r\n", 404},
    {"bytes of tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", CLOSED},
    {"preface of http/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CLOSED},
};
enum { N_FRAMINGS = sizeof framings / sizeof framings[0] };

START_TEST(framing_cases)
{
    const struct framing *f = &framings[_i];
    struct http_client c;
    struct http_reply r;
    http_client_open(&c, server.port);
    http_client_puts(&c, f->raw);
    shutdown(c.fd, SHUT_WR);
    http_client_read(&c, &r, false, 5000);
    if (f->status == CLOSED)
        ck_assert_msg(r.status == 0 || (r.status >= 400 && r.status <= 505), "%s: %d", f->name,
                      r.status);
    else
        ck_assert_msg(r.status == f->status, "%s: %d instead of %d: %s", f->name, r.status,
                      f->status, buf_str(&r.body));
    if (r.status != 200 && r.status != 404 && r.status != 405) {
        ck_assert_msg(http_client_closed(&c, 2000), "%s: left open", f->name);
        ck_assert_msg(!strstr(buf_str(&c.in), "HTTP/1.1 2"), "%s: a second request ran: %s",
                      f->name, buf_str(&c.in));
    }
    http_reply_release(&r);
    http_client_close(&c);
    test_good_request(&server);
}
END_TEST

static int status_of(const void *raw, size_t len)
{
    struct http_client c;
    struct http_reply r;
    http_client_open(&c, server.port);
    http_client_send(&c, raw, len);
    shutdown(c.fd, SHUT_WR);
    http_client_read(&c, &r, false, 5000);
    int status = r.status;
    http_reply_release(&r);
    http_client_close(&c);
    return status;
}

START_TEST(nul_bytes_in_the_head)
{
    static const char in_value[] = POST HOST AUTH JSON "X: a\0b\r\nContent-Length: 14\r\n\r\n" BODY;
    static const char in_name[] = POST HOST AUTH JSON "X\0Y: a\r\nContent-Length: 14\r\n\r\n" BODY;
    static const char in_target[] = "GET /v1/mod\0els HTTP/1.1\r\n" HOST AUTH "\r\n";
    ck_assert_int_eq(status_of(in_value, sizeof in_value - 1), 400);
    int status = status_of(in_name, sizeof in_name - 1);
    ck_assert_msg(status == 0 || status >= 400, "name: %d", status);
    status = status_of(in_target, sizeof in_target - 1);
    ck_assert_msg(status == 0 || status >= 400, "target: %d", status);
    test_good_request(&server);
}
END_TEST

START_TEST(too_many_and_too_long_headers)
{
    struct buf raw;
    buf_init(&raw, 1 << 20);
    buf_puts(&raw, POST HOST AUTH JSON "Content-Length: 14\r\n");
    for (int i = 0; i < 97; i++)
        buf_printf(&raw, "X-%d: y\r\n", i);
    buf_puts(&raw, "\r\n" BODY);
    ck_assert_int_eq(status_of(buf_str(&raw), raw.len), 431);
    buf_clear(&raw);
    buf_puts(&raw, POST HOST AUTH JSON "X: ");
    for (int i = 0; i < 70000; i++)
        buf_putc(&raw, 'a');
    buf_puts(&raw, "\r\nContent-Length: 14\r\n\r\n" BODY);
    int status = status_of(buf_str(&raw), raw.len);
    ck_assert_msg(status == 0 || status == 431 || status == 413, "%d", status);
    buf_clear(&raw);
    buf_puts(&raw, "GET /");
    for (int i = 0; i < 70000; i++)
        buf_putc(&raw, 'a');
    buf_puts(&raw, " HTTP/1.1\r\n" HOST "\r\n");
    status = status_of(buf_str(&raw), raw.len);
    ck_assert_msg(status == 0 || status == 414 || status == 431, "%d", status);
    buf_release(&raw);
    test_good_request(&server);
}
END_TEST

/* ---- generated bodies ------------------------------------------------------------------------- */

static int n_bad;

static void expect_400(const char *path, const char *body)
{
    struct http_reply r;
    http_post(server.port, path, TEST_KEY, body, &r);
    ck_assert_msg(r.status == 400, "%d for %.200s", r.status, body);
    ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "\"error\":{\"message\":\""));
    http_reply_release(&r);
    n_bad++;
    test_good_request(&server);
}

static void field_is_refused(const char *name, const char *value)
{
    char body[2048];
    snprintf(body, sizeof body, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"%s\":%s}",
             name, value);
    expect_400(CHAT, body);
}

static void numbers_out_of_range(const struct schema_field *f)
{
    char text[64];
    snprintf(text, sizeof text, "%.17g", f->type == SCHEMA_INT ? f->min - 1 : f->min - 0.001);
    field_is_refused(f->name, text);
    snprintf(text, sizeof text, "%.17g", f->type == SCHEMA_INT ? f->max + 1 : f->max + 0.001);
    field_is_refused(f->name, text);
    field_is_refused(f->name, "1e308");
    field_is_refused(f->name, "-9223372036854775808");
    if (f->type == SCHEMA_INT)
        field_is_refused(f->name, "1.5");
}

/* For each type of row, values that it must not take. */
static void values_of_wrong_type(const struct schema_field *f)
{
    static const char *const wrong[SCHEMA_TYPE_COUNT][6] = {
        [SCHEMA_BOOL] = {"1", "\"true\"", "[]", "{}"},
        [SCHEMA_INT] = {"\"1\"", "true", "[1]", "{}"},
        [SCHEMA_NUMBER] = {"\"1\"", "true", "[1]", "{}"},
        [SCHEMA_STRING] = {"1", "true", "[\"a\"]", "{}", "\"\""},
        [SCHEMA_CUSTOM] = {"1.5", "true", "[[1]]", "[{\"a\":1}]"},
        [SCHEMA_FIXED] = {"\"other\"", "0.5", "{\"a\":1}"},
        [SCHEMA_REFUSED] = {"true", "1", "\"x\"", "[1]", "{\"a\":1}"},
    };
    for (size_t i = 0; i < 6 && wrong[f->type][i]; i++)
        if (strcmp(f->name, "messages"))
            field_is_refused(f->name, wrong[f->type][i]);
    if (f->type == SCHEMA_INT || f->type == SCHEMA_NUMBER)
        numbers_out_of_range(f);
}

START_TEST(every_field_refuses_wrong_values)
{
    for (size_t i = 0; i < PARAMS_CHAT_SCHEMA.n_fields; i++)
        values_of_wrong_type(&PARAMS_CHAT_SCHEMA.fields[i]);
    ck_assert_msg(n_bad >= 250, "only %d cases", n_bad);
}
END_TEST

START_TEST(special_values_are_refused)
{
    static const struct {
        const char *name, *value;
    } cases[] = {
        {"stop", "[\"\"]"}, {"stop", "\"\""}, {"stop", "[1]"},
        {"stop", "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
                 "\"a\",\"a\",\"a\",\"a\"]"},
        {"logit_bias", "{\"x\":1}"}, {"logit_bias", "{\"-1\":1}"}, {"logit_bias", "{\"1\":101}"},
        {"logit_bias", "{\"1\":\"a\"}"}, {"logit_bias", "{\"1\":null}"},
        {"logit_bias", "{\"264\":1}"}, {"logit_bias", "{\"2147483648\":1}"},
        {"logit_bias", "{\"99999999999999999999\":1}"}, {"logit_bias", "{\"1.5\":1}"},
        {"stop_token_ids", "[-1]"}, {"stop_token_ids", "[264]"}, {"stop_token_ids", "[1.5]"},
        {"stop_token_ids", "[2147483648]"}, {"stop_token_ids", "7"},
        {"top_p", "0"}, {"min_p", "1"}, {"repetition_penalty", "0"},
        {"top_p", "1e-60"}, {"repetition_penalty", "1e-60"},
        {"top_logprobs", "5"}, {"seed", "1e3"}, {"seed", "99999999999999999999"},
        {"n", "9"}, {"n", "0"}, {"n", "1000000000"},
        {"thinking", "{\"type\":\"maybe\"}"}, {"thinking", "{}"},
        {"reasoning_effort", "\"heroic\""},
        {"chat_template_kwargs", "{\"tokenize\":true}"},
        {"chat_template_kwargs", "{\"enable_thinking\":1}"},
        {"chat_template_kwargs", "{\"enable_thinking\":[]}"},
        {"chat_template_kwargs", "{\"messages\":[]}"},
        {"response_format", "{\"type\":\"json_schema\"}"}, {"response_format", "\"text\""},
        {"tool_choice", "\"required\""}, {"modalities", "[\"audio\"]"},
        {"stream_options", "{\"include_usage\":1}"},
        {"cache_prompt\",\"messages", "1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        field_is_refused(cases[i].name, cases[i].value);
}
END_TEST

START_TEST(bad_messages)
{
    static const char *const cases[] = {
        "1", "\"x\"", "{}", "[1]", "[null]", "[[]]", "[\"a\"]", "[{}]", "[{\"role\":\"user\"}]",
        "[{\"content\":\"x\"}]", "[{\"role\":1,\"content\":\"x\"}]",
        "[{\"role\":\"\",\"content\":\"x\"}]", "[{\"role\":\"USER\",\"content\":\"x\"}]",
        "[{\"role\":\"user\",\"content\":1}]", "[{\"role\":\"user\",\"content\":{}}]",
        "[{\"role\":\"user\",\"content\":null}]", "[{\"role\":\"user\",\"content\":[1]}]",
        "[{\"role\":\"user\",\"content\":[{}]}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]}]",
        "[{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":\"1\"}]",
        "[{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[{\"id\":\"1\"}]}]",
        "[{\"role\":\"assistant\",\"content\":\"x\",\"prefix\":true}]",
        "[{\"role\":\"assistant\",\"content\":\"x\",\"reasoning_content\":1}]",
        "[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]",
        "[{\"role\":\"user\",\"content\":\"\\ud800\"}]",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"messages\":%s}", cases[i]);
        expect_400(CHAT, body);
    }
}
END_TEST

START_TEST(broken_json)
{
    static const char good[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":1}";
    static const char *const cases[] = {
        "", " ", "null", "1", "\"x\"", "[]", "[{}]", "{", "}", "{}{}", "{} x", "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "{\"a\":1 \"b\":2}", "{\"a\":01}",
        "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}", "{\"a\":1e}", "{\"a\":NaN}", "{\"a\":Infinity}",
        "{\"a\":1e400}", "{\"a\":99999999999999999999}", "{\"a\":tru}", "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\udc00\"}", "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}", "\xef\xbb\xbf{}", "/**/{}",
        "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_400(CHAT, cases[i]);
    for (size_t len = 1; len < sizeof good - 1; len++) {
        char body[sizeof good];
        snprintf(body, sizeof body, "%.*s", (int)len, good);
        expect_400(CHAT, body);
    }
}
END_TEST

static void repeated(struct buf *b, const char *open, const char *piece, int n, const char *close)
{
    buf_clear(b);
    buf_puts(b, open);
    for (int i = 0; i < n; i++)
        buf_puts(b, piece);
    buf_puts(b, close);
    expect_400(CHAT, buf_str(b));
}

START_TEST(json_bombs)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    repeated(&b, "{\"a\":", "[", 65, "");
    repeated(&b, "{\"a\":", "[", 100000, "");
    repeated(&b, "{\"a\":", "{\"a\":", 20000, "");
    repeated(&b, "{\"a\":[", "[],", 66667, "[]]}");
    repeated(&b, "{\"a\":[", "{},", 66667, "{}]}");
    repeated(&b, "{\"a\":", "9", 100000, "}");
    repeated(&b, "{\"messages\":[", "{\"role\":\"user\",\"content\":\"\"},", 5000,
             "{\"role\":\"user\",\"content\":\"\"}]}");
    buf_release(&b);
}
END_TEST

/* ---- random bytes ----------------------------------------------------------------------------- */

static uint32_t random_state = 20261123;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static void send_damaged(struct http_client *c)
{
    static const char good[] = POST HOST AUTH JSON "Content-Length: 14\r\n\r\n" BODY;
    char raw[sizeof good];
    memcpy(raw, good, sizeof good);
    for (uint32_t n = 1 + random_below(3); n; n--)
        raw[random_below(sizeof good - 1)] = (char)random_below(256);
    http_client_open(c, server.port);
    http_client_send(c, raw, random_below(4) ? sizeof good - 1 : random_below(sizeof good - 1));
}

/* Whatever comes, there is an answer or an end in time, and the server lives. Half a request is
 * ended by the deadline for heads and bodies, therefore many at a time. */
START_TEST(random_damage_to_heads_and_bodies)
{
    enum { ROUNDS = 8, BATCH = 50 };
    struct http_client c[BATCH];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BATCH; i++)
            send_damaged(&c[i]);
        for (int i = 0; i < BATCH; i++) {
            struct http_reply r;
            http_client_read(&c[i], &r, false, 5000);
            ck_assert_msg(r.status == 200 || (r.status >= 400 && r.status <= 505) ||
                              (r.status == 0 && c[i].eof),
                          "status %d in case %d of round %d", r.status, i, round);
            http_reply_release(&r);
            http_client_close(&c[i]);
        }
        test_good_request(&server);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http_bad");
    TCase *t = tcase_create("framing");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_loop_test(t, framing_cases, 0, N_FRAMINGS);
    tcase_add_test(t, nul_bytes_in_the_head);
    tcase_add_test(t, too_many_and_too_long_headers);
    suite_add_tcase(s, t);
    t = tcase_create("bodies");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, every_field_refuses_wrong_values);
    tcase_add_test(t, special_values_are_refused);
    tcase_add_test(t, bad_messages);
    tcase_add_test(t, broken_json);
    tcase_add_test(t, json_bombs);
    tcase_add_test(t, random_damage_to_heads_and_bodies);
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
