/* JSON in and out of the API: bounded parsing (pre-scan, then jansson) and our own writer.
 * Thread: any, no state.
 */
#ifndef SEEKD_API_JSON_H
#define SEEKD_API_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/err.h"

/* Parses a request body: one JSON object, no duplicate keys, within the limits of prescan.h.
 * Returns an owned reference (json_decref) or NULL with *e filled (API_INVALID_JSON). */
json_t *json_parse_body(const char *text, size_t len, struct api_error *e) WARN_UNUSED;

/* Appends text as a JSON string with quotes. Invalid UTF-8 becomes U+FFFD. */
void json_put_string(struct buf *out, const char *text, size_t len);
/* The same without quotes. */
void json_put_escaped(struct buf *out, const char *text, size_t len);
/* Appends a finite number in the shortest form that keeps a float; infinities and NaN become
 * -9999.0, the value that the OpenAI API uses for "practically impossible". */
void json_put_logprob(struct buf *out, double value);

#endif
