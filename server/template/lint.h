/* What an author should know before a version is saved: what cannot work (errors), what will
 * surprise (warnings), and what it costs: tokens, and how much of the prompt is the same for every
 * call and thus served from the prefix cache.
 *
 * Errors: a message that does not compile; a variable that is used but not declared; the time of
 * day (prompts are pure: use a date variable); an example or a test whose values do not fit the
 * variables or do not render; an include that cannot be resolved. Warnings: a declared variable
 * that no message uses; a variable before a long stretch of fixed text; tools, which requests are
 * still refused for.
 *
 * Thread: any, no state.
 */
#ifndef SEEKD_TEMPLATE_LINT_H
#define SEEKD_TEMPLATE_LINT_H

#include <jansson.h>
#include <stdbool.h>

#include "template/checks.h"
#include "template/finding.h"
#include "template/render.h"

/* Fixed text behind a variable that is worth a warning. */
enum { LINT_TAIL_TOKENS = 48 };

/* Looks at a checked content. `fetch` finds included versions, NULL: they are not looked at.
 * `tokens` may be NULL, bytes / 4 stand in then. *measures (owned reference):
 *   {"estimated": bool, "prefix_tokens": same for every call, from the start of the prompt,
 *    "fixed_tokens": all text outside of {{ }} and {% %} at the top of messages,
 *    "example_tokens": of the rendered example, null without one} */
void lint_content(const json_t *content, prompt_fetch_fn *fetch, void *ctx,
                  const struct token_counter *tokens, struct findings *f, json_t **measures);

#endif
