/* Typed variables of a prompt template: declarations, and values a caller gives, checked before
 * anything is queued. Declaration: {"name", "type", "required", "default", "min", "max", "pattern",
 * "options", "columns", "label", "help"}; value by type:
 *
 *   text, file   string; min, max: characters; text also `pattern` (PCRE2, must match the whole
 * value) number       number; min, max: value date         "YYYY-MM-DD", a day of the calendar;
 * min, max: dates choice       one of the strings in `options` table        array of objects,
 * column -> string or number, columns as in `columns`; min, max: rows
 *
 * Nothing is converted but whole numbers (3.0 becomes 3, as spreadsheets mean it). null and ""
 * count as not given. A variable that is not given takes its default; without one it stays
 * undefined, which renders as nothing.
 *
 * Thread: a struct variables is immutable. Owner: the caller.
 */
#ifndef SEEKD_TEMPLATE_VARIABLES_H
#define SEEKD_TEMPLATE_VARIABLES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "template/finding.h"

struct variables;

enum { VARIABLES_MAX = 100, VARIABLES_NAME_MAX = 64, VARIABLES_ROWS_MAX = 10000 };

/* Checks an array of declarations; every problem becomes an error in `f` at "variables.NAME". */
void variables_check(const json_t *declarations, struct findings *f);

/* Compiles checked declarations (shared reference to the JSON). Errors: ERR_FORMAT. */
bool variables_create(json_t *declarations, struct variables **out, struct err *e) WARN_UNUSED;
void variables_destroy(struct variables **v);

/* Checks `given` (object or NULL) and builds the values a render works on: declared variables in
 * the order of declaration, table rows in the order of columns, defaults filled in. *effective is
 * an owned reference; NULL when there are findings. A problem is an error in `f`, in English and
 * Chinese. */
void variables_read(const struct variables *v, const json_t *given, json_t **effective,
                    struct findings *f);

#endif
