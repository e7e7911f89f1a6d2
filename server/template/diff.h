/* What changed between two versions: lines of messages, values of fields. Pure.
 * Thread: any, no state.
 */
#ifndef SEEKD_TEMPLATE_DIFF_H
#define SEEKD_TEMPLATE_DIFF_H

#include <jansson.h>

struct buf;

/* Longer texts are compared as a whole where they differ: lines of one side times the other. */
enum { DIFF_MAX_CELLS = 4000000 };

/* An owned array, empty when nothing changed: {"path": "messages[1].content", "kind": "added" |
 * "removed" | "changed", "before", "after"}, without the side that does not exist. For texts of
 * several lines "lines" stands in place of both: [{"op": " " | "-" | "+", "text"}], all lines of
 * both. Messages are paired in order between equal beginnings and ends, variables and tests by
 * name. */
json_t *diff_content(const json_t *before, const json_t *after);

/* The same for people: a line per change, and lines with "-" and "+", three lines around changes.
 */
void diff_text(const json_t *changes, struct buf *out);

#endif
