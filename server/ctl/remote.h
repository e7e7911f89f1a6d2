/* Commands that ask a running server: one table per noun, one row per verb. A row says which request is
 * made of the arguments and how its answer is shown; what is more than one request has a function.
 *
 *   seekctl NOUN VERB [ARGUMENT...] [--option VALUE...]
 *
 * Thread: main.
 */
#ifndef SEEKD_CTL_REMOTE_H
#define SEEKD_CTL_REMOTE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/table.h"

struct remote;

/* How an option becomes a field of the body or of the query. "none" becomes null but for texts. */
enum remote_kind {
    REMOTE_TEXT,
    REMOTE_NUMBER,
    REMOTE_FLAG,       /* takes no value: true */
    REMOTE_SWITCH,     /* on, off */
    REMOTE_LIST,       /* a,b,c; "all" becomes null */
    REMOTE_TIME,       /* 2027-01-01, 2027-01-01T08:30:00 or seconds; in a query as it is */
    REMOTE_DEPARTMENT, /* path or id */
    REMOTE_PERSON,     /* login or id */
    REMOTE_KEY,        /* sk-PREFIX or id */
    REMOTE_TEMPLATE,   /* name or id */
    REMOTE_CALENDAR    /* name or id */
};

struct remote_option {
    const char *name; /* without the dashes */
    enum remote_kind kind;
    const char *field; /* NULL: only the verb's function looks at it */
    const char *meta, *help_en, *help_zh;
};

struct remote_verb {
    const char *name, *synopsis, *summary_en, *summary_zh;
    const char *options; /* names, by blanks; NULL = none */
    bool needs_option;   /* one of them at least: without any there is nothing to do */
    unsigned min_args, max_args;

    /* "users/{person}/unlock": braces take the next argument, resolved when they name a kind, else as
     * it is. Options go into the query of a GET, into the body otherwise. */
    const char *method, *path;
    const char *args;   /* options that the further arguments stand for, by blanks */
    const char *fixed;  /* JSON of fields that are always sent */
    bool revised;       /* the object is read first, for its revision */
    bool list;          /* the answer comes in pages; all are read */
    unsigned most;      /* but so many rows unless --limit says otherwise; 0 = all */
    bool csv;           /* --csv FILE asks for the same as CSV */
    const struct table_column *columns; /* of the answer; NULL = all its fields */
    const struct remote_part *parts;    /* below it; NULL = none */

    int (*run)(struct remote *r); /* NULL: what stands above is all */
};

struct remote_noun {
    struct ctl_command command; /* the first member: command.run gets back from it */
    const struct remote_verb *verbs;
    size_t n_verbs;
    const struct remote_option *options;
    size_t n_options;
};
#define REMOTE_TABLE(rows) rows, sizeof(rows) / sizeof(rows)[0]

extern const struct remote_noun ctl_dept, ctl_user, ctl_key, ctl_quota, ctl_calendar, ctl_template,
    ctl_usage, ctl_audit;

/* For command.run of every noun. */
int remote_run(const struct ctl_command *self, int argc, char **argv);

/* A list inside an answer, shown as a table of its own below it. A list of them ends like columns. */
struct remote_part {
    const char *field; /* "content.variables": a path */
    const struct table_column *columns;
};

/* A column list's end. */
#define REMOTE_END {.field = NULL}

/* ---- for the functions of verbs ---------------------------------------------------------------- */

const char *remote_arg(const struct remote *r, size_t i);              /* NULL beyond the last */
const char *remote_value(const struct remote *r, const char *option); /* NULL when not given */
bool remote_flag(const struct remote *r, const char *option);
/* Whether the command acts as the machine's administrator, who is no person. */
bool remote_is_local(const struct remote *r);

/* Id of what `text` names. */
bool remote_resolve(struct remote *r, enum remote_kind kind, const char *text, int64_t *id,
                    struct err *e) WARN_UNUSED;
/* The options that were given, as fields of `body`. */
bool remote_fields(struct remote *r, json_t *body, struct err *e) WARN_UNUSED;

/* Requests. `path` from behind "/admin/v1/". X-Reason is what --reason says. */
bool remote_get(struct remote *r, const char *path, json_t **out, int64_t *revision,
                struct err *e) WARN_UNUSED;
/* `body` NULL = none; *out (may be NULL) is owned, NULL when the answer is empty. */
bool remote_send(struct remote *r, const char *method, const char *path, const json_t *body,
                 int64_t revision, json_t **out, struct err *e) WARN_UNUSED;
/* Copies the answer of a GET into a new file ("-" = standard output). */
bool remote_save(struct remote *r, const char *path, const char *file, struct err *e) WARN_UNUSED;

/* Ends of a command: print and return the exit status. They take the JSON. */
int remote_show_take(struct remote *r, json_t *answer, const struct table_column *columns);
int remote_show_parts_take(struct remote *r, json_t *answer, const struct table_column *columns,
                           const struct remote_part *parts);
int remote_fail(struct remote *r, const struct err *e);
int remote_wrong(struct remote *r, const char *what);
bool remote_wants_json(const struct remote *r);

#endif
