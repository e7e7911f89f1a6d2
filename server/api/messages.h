/* The messages of a chat request, checked and brought into the one form that templates see. */
#ifndef SEEKD_API_MESSAGES_H
#define SEEKD_API_MESSAGES_H

#include <jansson.h>

#include "api/errors.h"

enum { MESSAGES_MAX = 4096 };

/* Returns a new array of {"role","content"[,"reasoning_content"]} with text contents, where role is
 * system, user or assistant; NULL with *e naming the message ("messages[2].content") otherwise. */
json_t *messages_normalise(const json_t *messages, struct api_error *e) WARN_UNUSED;

#endif
