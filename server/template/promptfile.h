/* The text form of a template version, "*.prompt", for version control and editors: UTF-8, LF. One
 * JSON object (the head), then the messages, each after a line "--- system", "--- user", "---
 * assistant",
 * "--- include NAME@LABEL" or "--- include NAME@NUMBER". A message's text ends before the next such
 * line or at the end of the file, without its last line feed. A line of a text that begins with
 * "--- ", or with backslashes and "--- ", has one more backslash in front.
 *
 * The head has "name" and "note", may have "tags" and the fields of content.h but "messages". What
 * is written reads back as the same content, so hashes survive any number of round trips. Thread:
 * any, no state.
 */
#ifndef SEEKD_TEMPLATE_PROMPTFILE_H
#define SEEKD_TEMPLATE_PROMPTFILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "template/finding.h"

struct buf;

enum { PROMPTFILE_MAX_BYTES = 4 << 20, PROMPTFILE_NOTE_MAX = 2000, PROMPTFILE_TAGS_MAX = 50 };

struct promptfile {
    char *name;      /* owned */
    char *note;      /* owned, change note of the version */
    json_t *tags;    /* owned reference: array of texts; NULL when the head has none */
    json_t *content; /* owned reference, checked and normalised */
};

/* Reads a file (CRLF and a byte order mark are tolerated). Errors: ERR_FORMAT (not this format,
 * with the line), ERR_LIMIT, ERR_ARG (a field is wrong: the first of the findings). `f` receives
 * the findings. */
bool promptfile_parse(const char *text, size_t len, struct promptfile *out, struct findings *f,
                      struct err *e) WARN_UNUSED;
void promptfile_release(struct promptfile *p);

/* Appends the file. Check out->failed. */
void promptfile_write(const struct promptfile *p, struct buf *out);

/* Is this an array of at most PROMPTFILE_TAGS_MAX different texts of 1 to 64 bytes? */
bool promptfile_tags_ok(const json_t *tags);

#endif
