/* POST /v1/chat/completions for those who have the body already. */
#ifndef SEEKD_API_CHAT_H
#define SEEKD_API_CHAT_H

#include <jansson.h>

#include "api/api.h"
#include "usage/ledger.h"

/* Starts the chat that `body` (borrowed, an object) describes, its `prompt` included. `class`: as in
 * generation.h. */
void chat_answer(const struct api_call *call, const json_t *body, enum ledger_class class,
                 struct api_answer *answer);

#endif
