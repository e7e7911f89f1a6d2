/* From chat messages to prompt tokens, through the model's own chat template.
 *
 * The text a template renders is partly its own (with the model's special tokens) and partly the
 * caller's. Only the template's own text may become special tokens; what a caller writes never does,
 * however it looks.
 */
#ifndef SEEKD_API_PROMPT_H
#define SEEKD_API_PROMPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/errors.h"
#include "api/params.h"
#include "api/stream.h"
#include "base/err.h"

struct engine;
struct prompt_maker;

/* Compiles the loaded model's template. ERR_NOT_FOUND when the model has none. The engine must
 * outlive the maker. Thread: rare, one; the maker is then read-only and shared by all. */
bool prompt_maker_create(const struct engine *eng, struct prompt_maker **out, struct err *e)
    WARN_UNUSED;
void prompt_maker_destroy(struct prompt_maker **m);

struct prompt {
    int32_t *tokens; /* owned: free() */
    size_t n_tokens;
    enum stream_mode mode; /* how the answer has to be read */
};

/* Renders and tokenises; checks the length against the context (API_CONTEXT_LENGTH with both
 * counts). Thread: any. */
bool prompt_make(const struct prompt_maker *m, const struct params *p, struct prompt *out,
                 struct api_error *e) WARN_UNUSED;

/* Fails with API_CONTEXT_LENGTH naming both counts when a prompt leaves no room for an answer. */
bool prompt_check_length(const struct engine *eng, size_t n_tokens, const char *param,
                         struct api_error *e) WARN_UNUSED;

/* A piece of rendered text and who wrote it. */
struct prompt_piece {
    const char *text; /* borrowed */
    size_t len;
    bool from_caller;
};

/* Tokenises rendered text: special tokens are looked for in the template's pieces only, and the
 * text between two special tokens is tokenised as one, across pieces, as in training.
 * *ids_take: malloc'ed. */
bool prompt_tokenize(const struct engine *eng, const struct prompt_piece *pieces, size_t n_pieces,
                     int32_t **ids_take, size_t *n_ids, struct err *e) WARN_UNUSED;

#endif
