/* What one version of a prompt template says, as a JSON object:
 *
 *   "messages"   [{"role": "system" | "user" | "assistant", "content": Jinja text} |
 *                 {"include": NAME, "label": LABEL} | {"include": NAME, "number": N}]
 *   "variables"  declarations (variables.h)       "title", "description"  {"zh", "en"}
 *   "lang"       "zh" | "en"                      "model"     name of a model
 *   "settings"   fields of a chat request         "tools"     as in a chat request
 *   "response_schema"  JSON Schema                "example"   {"variables": {…}}
 *   "tests"      [{"name", "variables", "checks", "form_only"}]
 *
 * All but "messages" may be missing. Stored versions include by number (registry.h). Its identity is
 * the SHA-256 of its canonical text: canonical JSON (canon.h) in which "tools" and "response_schema"
 * keep the order of their keys, because models are shown them in that order. The template's name,
 * its tags and a version's change note are no part of it.
 *
 * Thread: any, no state. JSON references are owned by whoever received them.
 */
#ifndef SEEKD_TEMPLATE_CONTENT_H
#define SEEKD_TEMPLATE_CONTENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "template/canon.h"
#include "template/finding.h"

enum {
    CONTENT_MAX_BYTES = 1 << 20, /* of the canonical text */
    CONTENT_MAX_MESSAGES = 64,
    CONTENT_MAX_TESTS = 200,
    CONTENT_NAME_MAX = 200, /* characters of a template's name */
    CONTENT_LABEL_MAX = 36
};

/* "office/minutes": parts of a-z 0-9 _ - between single '/'. */
bool content_is_name(const char *name);
/* 1 to CONTENT_LABEL_MAX of a-z 0-9 _ . - and not digits alone, which would read as a version. */
bool content_is_label(const char *label);

/* Checks the form of everything (not what templates mean: lint.h) and returns a copy in the form
 * that is stored: nulls and unknown-to-be-empty fields left out, line ends of messages turned into
 * \n. NULL when `f` got errors. */
json_t *content_check(const json_t *given, struct findings *f);

/* Canonical text (owned, free()) and its hash. Errors: ERR_LIMIT. */
bool content_canonical(const json_t *content, char **text, size_t *len,
                       uint8_t hash[CANON_HASH_BYTES], struct err *e) WARN_UNUSED;

/* How the keys of a field of the content (or of a head) are ordered in the canonical text. */
enum canon_keys content_key_order(const char *field);

#endif
