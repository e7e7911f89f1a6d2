/* What a caller can ask of a generation: the fields of POST /v1/chat/completions, POST /v1/responses
 * and POST /v1/completions, read through schema tables into one struct. Thread: any, no state.
 */
#ifndef SEEKD_API_PARAMS_H
#define SEEKD_API_PARAMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/errors.h"
#include "api/schema.h"
#include "engine.h"

enum { PARAMS_MAX_CHOICES = 8, PARAMS_MAX_TOP_LOGPROBS = ENGINE_MAX_LOGPROBS };

enum params_thinking { PARAMS_THINKING_UNSET, PARAMS_THINKING_ON, PARAMS_THINKING_OFF };

/* Pointers are borrowed from the request's JSON, except the arrays held inside. */
struct params {
    const char *model; /* NULL when not given */
    const json_t *messages, *prompt;
    const json_t *input, *metadata; /* of responses */
    const char *instructions;       /* of responses; NULL when not given */

    bool stream, include_usage;
    int64_t n;
    int64_t max_tokens, max_completion_tokens; /* 0 = not given */

    double temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    int64_t top_k;
    bool has_seed;
    uint64_t seed;
    const char *stop[ENGINE_MAX_STOP];
    size_t n_stop;
    int32_t stop_tokens[ENGINE_MAX_STOP_TOKENS];
    size_t n_stop_tokens;
    struct engine_bias bias[ENGINE_MAX_BIAS];
    size_t n_bias;
    bool ignore_eos;

    bool logprobs;
    int64_t top_logprobs; /* 0..20 */

    enum params_thinking thinking;
    const char *reasoning_effort; /* NULL when not given; "none" has set `thinking` */
};

extern const struct schema PARAMS_CHAT_SCHEMA, PARAMS_RESPONSES_SCHEMA, PARAMS_COMPLETION_SCHEMA;

/* Sets defaults, reads the object through the schema and checks what spans several fields. */
bool params_read(const struct schema *schema, const json_t *object, struct params *out,
                 struct api_error *e) WARN_UNUSED;

/* Fills the engine's request with everything but the prompt; pointers into `p` stay borrowed.
 * `choice` varies the seed, so that the answers of n > 1 differ. */
void params_to_request(const struct params *p, unsigned choice, struct engine_request *out);

#endif
