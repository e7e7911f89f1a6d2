/* The audit log: every administrative act, one row each, chained by hashes so that a changed,
 * missing or reordered row shows.
 *
 * hash = SHA-256 of `previous` and of every other column in a fixed, length-prefixed form (audit.c); the
 * first row's `previous` is 32 zero bytes. The head is written to syslog once a day, which makes cut
 * tails show too. An act and its row are committed in one transaction: no row, no act.
 */
#ifndef SEEKD_AUDIT_AUDIT_H
#define SEEKD_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/* Who does something, for the log. Strings borrowed, never NULL. */
struct audit_actor {
    int64_t person_id; /* 0 = the machine's administrator through the local socket, or seekd itself */
    const char *name;
    const char *address;    /* "10.1.2.3", "local" */
    const char *request_id; /* "" when there is none */
    const char *reason;     /* of acts whose entry has none; NULL = none either */
};

struct audit_entry {
    const char *action;      /* "key.create", "label.move": object, dot, verb */
    const char *object_kind; /* "key" */
    const char *object_id;
    const char *before, *after; /* JSON, NULL = nothing; never a secret */
    const char *reason;         /* "": the actor's */
};

/* Appends one row inside the caller's store_write callback. ERR_ARG: a text is not UTF-8. */
bool audit_append(struct store_db *db, const struct audit_actor *actor,
                  const struct audit_entry *entry, struct err *e) WARN_UNUSED;

struct audit_head {
    int64_t seq; /* 0 = the log is empty */
    uint8_t hash[32];
};

/* Walks the whole chain in order. *bad_seq = number of the first row that does not fit, 0 when all do;
 * a row that is missing counts under its own number. With `known` (an exported head) the log must also
 * still contain that row with that hash. Inside a store_read callback. Cost: reads every row. */
bool audit_verify(struct store_db *db, const struct audit_head *known, struct audit_head *head,
                  int64_t *bad_seq, struct err *e) WARN_UNUSED;

/* The last row. Inside any store callback. */
bool audit_head_read(struct store_db *db, struct audit_head *head, struct err *e) WARN_UNUSED;

/* One row as it stands; strings borrowed until the callback returns. */
struct audit_row {
    int64_t seq, at_us;
    int64_t actor_id; /* 0 = none */
    const char *actor, *address, *request_id, *action, *object_kind, *object_id;
    const char *before, *after; /* JSON texts or NULL */
    const char *reason;
    const uint8_t *previous, *hash; /* 32 bytes each */
};

/* What to list. Text fields NULL and numbers 0 = everything. */
struct audit_filter {
    int64_t after_seq; /* rows above this one */
    int64_t from_us, to_us; /* at_us in [from, to); to 0 = no end */
    int64_t actor_id;
    const char *action, *object_kind, *object_id;
    unsigned limit; /* rows that fit the filter, at least 1 */
};
/* False ends the walk with that error. */
typedef bool audit_row_fn(void *ctx, const struct audit_row *row, struct err *e);
/* Rows in order of seq. *last_seq = the cursor for the next call (`after_seq`), 0 when the log's end
 * was reached. A page may hold fewer rows than `limit`, even none, before the end: at most
 * AUDIT_SCAN_ROWS rows are looked at in one call. Inside any store callback. */
enum { AUDIT_SCAN_ROWS = 50000 };
bool audit_list(struct store_db *db, const struct audit_filter *f, audit_row_fn *fn, void *ctx,
                int64_t *last_seq, struct err *e) WARN_UNUSED;

/* A row as one JSON object and a line feed; `before` and `after` are strings there, byte for byte
 * what the hash covers. Appends to `out`. */
struct buf;
bool audit_row_json(const struct audit_row *row, struct buf *out, struct err *e) WARN_UNUSED;
/* Every row that fits (`limit` is ignored), as JSON lines, in pages of about 64 KiB; each page's rows
 * are read in their own snapshot, which is sound because rows are never changed. `write` false: the
 * receiver left, ERR_CANCELLED. On the caller's thread, not in a store callback. */
typedef bool audit_write_fn(void *ctx, const void *bytes, size_t len);
bool audit_export(struct store *s, const struct audit_filter *f, audit_write_fn *write, void *ctx,
                  struct err *e) WARN_UNUSED;

/* The server calls this about once a minute: when the local day is another one than at the last
 * anchor (table `setting`, key "audit.anchor": "YYYY-MM-DD SEQ:HEX"), sends the head to syslog
 * (facility authpriv) and remembers it. Two anchors of one day are possible after a crash, none never.
 * `say` gets "SEQ:HEX"; audit_say_syslog in the server. Not in a store callback. */
typedef void audit_say_fn(void *ctx, const char *text);
void audit_say_syslog(void *ctx, const char *text); /* ctx unused */
bool audit_anchor(struct store *s, int64_t now_s, audit_say_fn *say, void *ctx,
                  struct err *e) WARN_UNUSED;

/* "SEQ:64 hexadecimal digits", as syslog gets it. */
enum { AUDIT_HEAD_TEXT = 96 };
void audit_head_format(const struct audit_head *h, char text[AUDIT_HEAD_TEXT]);
bool audit_head_parse(const char *text, struct audit_head *h, struct err *e) WARN_UNUSED;

#endif
