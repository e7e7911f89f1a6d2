/* What is wrong, or could be better, in something a person wrote: in English and Chinese, with a
 * place. Collected rather than stopping at the first, so that a form or an editor can show them
 * all. Owner: whoever holds the struct. Thread: one at a time.
 */
#ifndef SEEKD_TEMPLATE_FINDING_H
#define SEEKD_TEMPLATE_FINDING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum finding_level { FINDING_ERROR, FINDING_WARNING, FINDING_NOTE };

/* At most FINDING_MAX are kept; `errors` counts all errors. */
enum { FINDING_MAX = 200 };
struct findings {
    json_t *list; /* array of {"level", "code", "at", "message": {"en", "zh"}}; owned */
    size_t errors;
};

void findings_init(struct findings *f);
void findings_release(struct findings *f);

/* `code`: stable name, "undeclared-variable". `at`: path of what is meant, "messages[1]",
 * "variables.x". Both formats take the same arguments in the same order. Invalid UTF-8 among them
 * is replaced. */
void findings_add(struct findings *f, enum finding_level level, const char *code, const char *at,
                  const char *en, const char *zh, ...) __attribute__((format(printf, 5, 7)))
__attribute__((format(printf, 6, 7)));

/* False with ERR_ARG and the first error's place and English text when there are errors. */
bool findings_ok(const struct findings *f, struct err *e) WARN_UNUSED;

#endif
