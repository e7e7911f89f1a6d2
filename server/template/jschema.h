/* A subset of JSON Schema, for checks of answers: type, enum, const, properties, required,
 * additionalProperties, items, minItems, maxItems, minimum, maximum, exclusiveMinimum,
 * exclusiveMaximum, minLength, maxLength, pattern. Annotations ($schema, $id, title, description,
 * default, examples, format, $comment) are accepted and mean nothing; any other keyword is refused
 * rather than ignored. Thread: any, no state.
 */
#ifndef SEEKD_TEMPLATE_JSCHEMA_H
#define SEEKD_TEMPLATE_JSCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

enum { JSCHEMA_MAX_DEPTH = 32 };

/* Is `schema` one that jschema_validate() understands fully? Errors: ERR_FORMAT, ERR_UNSUPPORTED,
 * ERR_LIMIT, with the place. */
bool jschema_check(const json_t *schema, struct err *e) WARN_UNUSED;

/* False with ERR_ARG, the place (a JSON pointer) and the reason when `value` does not fit; other
 * codes when the schema is wrong. */
bool jschema_validate(const json_t *schema, const json_t *value, struct err *e) WARN_UNUSED;

#endif
