/* A model's chat template at work: OpenAI-style messages in, prompt text out, with the bytes told
 * apart that users (or tools, or the model in earlier turns) wrote.
 *
 * Prompt injection: control tokens such as <|User|> are recognised in the text of a prompt. A
 * tokenizer must accept one only where none of its bytes lies in a data span; elsewhere the same
 * characters are plain text. Text next to a span border still belongs together: cut the prompt at
 * the control tokens found, not at the borders.
 *
 * Thread: immutable after creation, any thread may render.
 */
#ifndef SEEKD_TEMPLATE_CHAT_H
#define SEEKD_TEMPLATE_CHAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct chat_template;
struct jinja_limits;
struct tm;

struct chat_span { /* bytes [begin, end) */
    size_t begin;
    size_t end;
};

struct chat_prompt {
    char *text; /* owned, UTF-8, terminated */
    size_t len;
    struct chat_span *data; /* owned: bytes that the template did not write; ascending, apart */
    size_t n_data;
};

/* All borrowed until chat_template_render() returns. */
struct chat_request {
    /* Array of message objects, checked by the API layer. `content`: text, null, or an array of
     * {"type": "text", "text": …} whose texts are joined by line ends. Arguments of tool calls:
     * JSON text or object, whatever the template wants is made of it. Other fields pass through. */
    json_t *messages;
    json_t *tools; /* array; NULL = none */
    /* Object; NULL = none. Allowed are the scalars enable_thinking and thinking, passed on as they
     * are (templates know one or the other; a caller that knows neither gives both). */
    json_t *kwargs;
    bool add_generation_prompt;
    const struct tm *now; /* for templates that print the date; NULL = local time */
};

/* Compiles a template and tries out how it wants the arguments of tool calls. `bos`, `eos`: texts
 * of these tokens, copied; NULL = the model has none. `limits` are kept; NULL =
 * JINJA_LIMITS_DEFAULT. Errors: those of jinja_compile(). Cost: rare. *out is owned by the caller.
 */
bool chat_template_create(const char *src, size_t len, const char *bos, const char *eos,
                          const struct jinja_limits *limits, struct chat_template **out,
                          struct err *e) WARN_UNUSED;
void chat_template_destroy(struct chat_template **t);

/* Errors: ERR_ARG (with the template's own words, or for kwargs and content it cannot take),
 * ERR_UNSUPPORTED (content that is not text), else those of jinja_render(). *out is set on success
 * only; release with chat_prompt_release(). Cost: common. */
bool chat_template_render(const struct chat_template *t, const struct chat_request *request,
                          struct chat_prompt *out, struct err *e) WARN_UNUSED;
void chat_prompt_release(struct chat_prompt *p);

struct chat_thinking {
    bool prompt_opens;  /* the prompt ends inside a think block: the answer begins as reasoning */
    bool template_tags; /* the template mentions think tags: the model reasons between them */
};
/* `p` may be NULL: prompt_opens is then false. */
struct chat_thinking chat_template_thinks(const struct chat_template *t,
                                          const struct chat_prompt *p);

#endif
