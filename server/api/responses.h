/* POST /v1/responses: OpenAI's newer form of a chat. Stateless: nothing is kept, so every request
 * brings the whole conversation in `input`, and every answer says "store": false.
 */
#ifndef SEEKD_API_RESPONSES_H
#define SEEKD_API_RESPONSES_H

#include <jansson.h>

#include "api/api.h"
#include "api/params.h"

api_handler api_responses;

/* The messages of a chat for `instructions` (NULL = none) and `input` (NULL = none): a new array, or
 * NULL with *e naming the item ("input[2].content"). */
json_t *responses_messages(const char *instructions, const json_t *input,
                           struct api_error *e) WARN_UNUSED;

/* State of WRITER_RESPONSES: what the answer repeats of the request. Owned; NULL = no memory. */
void *responses_state_create(const struct params *p, const json_t *request) WARN_UNUSED;

#endif
