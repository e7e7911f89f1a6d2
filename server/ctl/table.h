/* JSON as aligned text: lists as tables, objects as lines. Widths are those of a terminal: Chinese takes
 * two columns. Thread: main.
 */
#ifndef SEEKD_CTL_TABLE_H
#define SEEKD_CTL_TABLE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum table_kind {
    TABLE_TEXT,       /* scalars as they are, lists with commas, null as "-" */
    TABLE_TIME,       /* seconds since the epoch, in the local time zone */
    TABLE_TIME_US,    /* microseconds since the epoch */
    TABLE_YES,        /* true or false */
    TABLE_BYTES,
    TABLE_MS,         /* milliseconds, with one decimal */
    TABLE_STATE,      /* a state, a kind: the known ones in the language of the terminal */
    TABLE_WORDS,      /* {"en": ..., "zh": ...} */
    TABLE_DEPARTMENT, /* an id, shown by its path */
    TABLE_PERSON,     /* an id, shown by the login; 0 = who acts at the machine itself */
    TABLE_KEY,        /* an id, shown by the key's beginning */
    TABLE_CALENDAR,   /* an id, shown by the name */
    TABLE_SUBJECT     /* an id of what the row's "kind" says: key, person or department */
};

struct table_column {
    const char *field; /* "model.device": a path; its end is the list of columns */
    const char *title_en, *title_zh;
    enum table_kind kind;
};

/* What an id is called (owned by the caller), NULL when unknown. */
struct table_names {
    char *(*name)(void *ctx, enum table_kind kind, int64_t id);
    void *ctx;
};

/* `columns` ends with a row without a field. */
void table_print_list(FILE *out, const json_t *rows, const struct table_column *columns,
                      const struct table_names *names);
void table_print_object(FILE *out, const json_t *object, const struct table_column *columns,
                        const struct table_names *names);

/* What stands at a path such as "model.device"; borrowed, NULL when there is nothing. */
const json_t *table_find(const json_t *object, const char *path);

/* Text that came from elsewhere, with its line ends and tabs. What could move the cursor, hide or
 * reorder text on a terminal (other control characters, bidirectional overrides) becomes a blank:
 * who reads it may have to judge it. */
void table_write_text(FILE *out, const char *text);

/* Terminal columns of a text. */
size_t table_width(const char *text);

#endif
