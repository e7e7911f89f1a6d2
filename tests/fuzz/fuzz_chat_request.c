/* Fuzz target: any bytes as the body of a chat, completion, tokenize, detokenize or responses request
 * (the first byte chooses), against the scripted engine. Every request must end in a JSON answer or in
 * well-formed events, and leave nothing behind in the engine. */
#include <config.h>

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/api.h"
#include "api/generation.h"
#include "api/prompt.h"
#include "api/responses.h"
#include "base/log.h"
#include "fake_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 64 << 20, PATIENCE = 2000 /* ms */ };

static struct api_model model;

static void require(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_chat_request: %s\n", what);
        abort();
    }
}

static void start(void)
{
    struct err e = ERR_INIT;
    struct prompt_maker *prompt;
    log_set_level(LOG_ERROR + 1);
    model = (struct api_model){.engine = fake_engine_open(4096), .id = "fake", .created = 1};
    require(prompt_maker_create(model.engine, &prompt, &e), e.msg);
    model.prompt = prompt;
}

static void ignore(void *user)
{
    (void)user;
}

static void require_json(const char *text, size_t len)
{
    json_t *v = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    require(json_is_object(v), "an answer is not a JSON object");
    json_decref(v);
}

static void require_events(const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n"), *line = strchr(text, '\n');
        if (!strncmp(text, "event: ", 7))
            text = line + 1;
        require(end && !strncmp(text, "data: ", 6), "an event is malformed");
        if (strncmp(text, "data: [DONE]", 12))
            require_json(text + 6, (size_t)(end - text) - 6);
        text = end + 2;
    }
}

/* Reads the answer to its end. What the script asks for may take long, so it is cancelled soon. */
static void read_all(struct generation *g)
{
    struct buf out;
    buf_init(&out, OUT_MAX);
    int waited = 0;
    enum generation_state state;
    while ((state = generation_pull(g, &out)) != GENERATION_END) {
        if (state != GENERATION_WAIT)
            continue;
        if (++waited == 2)
            generation_cancel(g);
        require(waited < PATIENCE, "the answer does not end");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (generation_is_stream(g))
        require_events(buf_str(&out));
    else
        require_json(buf_str(&out), out.len);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static api_handler *const handlers[] = {api_chat, api_completion, api_tokenize, api_detokenize,
                                           api_responses};
    if (!model.engine)
        start();
    if (!size)
        return 0;
    struct api_call call = {.model = &model, .body = (const char *)data + 1,
                            .body_len = size - 1, .id = "fuzz", .notify = ignore};
    struct api_answer answer;
    api_answer_init(&answer);
    handlers[data[0] % (sizeof handlers / sizeof handlers[0])](&call, &answer);
    if (answer.run)
        read_all(answer.run);
    else
        require_json(buf_str(&answer.body), answer.body.len);
    require(answer.run || answer.status >= 200, "an answer without a status");
    api_answer_release(&answer);
    require(fake_engine_streams(model.engine) == 0, "a stream was left in the engine");
    return 0;
}
