/* The form of an answer, apart from what it says: any model in working order gives answers of good form
 * to a template that works. Good form is an answer that
 *
 *   - came at all: nothing refused the prompt or broke off the generation,
 *   - ended by itself or at its limit of tokens,
 *   - holds some text or a tool call; thoughts count, a small model may lose its way in them,
 *   - is valid UTF-8 without characters for the control of devices,
 *   - holds no text of a control token of the model.
 *
 * U+FFFD, which stands where a model wrote bytes that are no character, is content: small models write
 * it. JSON that has to fit a schema is content: nothing forces a model into one yet. Checks of the test
 * set (template/checks.h) judge it.
 *
 * A pure function of the answer and the model's vocabulary. Thread: any, no state.
 */
#ifndef SEEKD_ADMIN_FORM_H
#define SEEKD_ADMIN_FORM_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct engine;

/* Is a chat completion of good form? `reply` (NULL = none came) is the answer's body, or an error's.
 * When it is not, `e` says why. */
bool form_check(const struct engine *engine, const json_t *reply, struct err *e) WARN_UNUSED;

#endif
