/* Reading request fields through tables: one row per field says name, type, range, default and what
 * it means. The same rows print the documentation (`seekd --api-fields`) and drive the range tests.
 *
 * null counts as "not given" for every field. Fields without a row are accepted and ignored.
 * Thread: any, no state.
 */
#ifndef SEEKD_API_SCHEMA_H
#define SEEKD_API_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "api/errors.h"

enum schema_type {
    SCHEMA_BOOL,    /* -> bool */
    SCHEMA_INT,     /* -> int64_t; 3.0 counts as 3 */
    SCHEMA_NUMBER,  /* -> double */
    SCHEMA_STRING,  /* -> const char *, borrowed from the JSON; min..max bytes */
    SCHEMA_CUSTOM,  /* parse() decides */
    SCHEMA_IGNORED, /* accepted, has no effect here */
    SCHEMA_ELSEWHERE, /* read by the handler before the fields; `values` says what it accepts */
    SCHEMA_FIXED,   /* only the JSON value in `values` is possible, anything else is refused */
    SCHEMA_REFUSED, /* changes the meaning and is not supported: 400 unless false, 0, "" or empty */
    SCHEMA_TYPE_COUNT
};

struct schema_field {
    const char *name;
    enum schema_type type;
    double min, max;      /* inclusive; for SCHEMA_STRING the length in bytes */
    size_t offset;        /* of the member in the target struct */
    bool required;
    const char *values;   /* allowed values in words, or the JSON of SCHEMA_FIXED */
    /* Default, as documentation text; the target holds it beforehand. Of a required field: when it may
     * be left out all the same, because the handler puts it in. */
    const char *fallback;
    const char *doc;
    /* Reads a non-null value into `target`. */
    bool (*parse)(const struct schema_field *f, const json_t *value, void *target,
                  struct api_error *e);
};

struct schema {
    const char *title; /* "POST /v1/chat/completions" */
    const struct schema_field *fields;
    size_t n_fields;
};

/* Fills `target` from the object. False with *e naming the field at the first one that is wrong. */
bool schema_read(const struct schema *s, const json_t *object, void *target, struct api_error *e)
    WARN_UNUSED;

/* For parse functions: fails with "FIELD must be WHAT." */
bool schema_fail_type(const struct schema_field *f, const char *what, struct api_error *e);

/* Prints the rows as a Markdown table. */
void schema_print(const struct schema *s, FILE *out);

#endif
