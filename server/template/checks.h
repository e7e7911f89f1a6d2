/* Checks of an answer, as test sets hold them: an array of objects with one field each.
 *
 *   {"contains": TEXT}  {"not_contains": TEXT}  {"regex": PCRE2, anywhere in the answer}
 *   {"json_schema": SCHEMA (jschema.h): the whole answer is JSON that fits}
 *   {"max_tokens": N: at most so many tokens}
 *
 * A pure function of the answer. Thread: any, no state.
 */
#ifndef SEEKD_TEMPLATE_CHECKS_H
#define SEEKD_TEMPLATE_CHECKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "template/finding.h"

/* Number of tokens of a text. */
typedef size_t token_count_fn(void *ctx, const char *text, size_t len);
struct token_counter {
    token_count_fn *count; /* NULL: there is no tokenizer */
    void *ctx;
};

enum { CHECKS_MAX = 50 };

/* Are these checks well formed? Every problem becomes an error at "AT.checks[i]". */
void checks_check(const json_t *checks, const char *at, struct findings *f);

/* Runs all of them. *report (owned reference): array of {"check", "passed", "detail"}; detail only
 * where there is something to say. Returns true when every one passed; a check that cannot be
 * decided (max_tokens without a tokenizer, a regular expression beyond its limits) has not. */
bool checks_run(const json_t *checks, const char *answer, size_t len,
                const struct token_counter *tokens, json_t **report);

#endif
