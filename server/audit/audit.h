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
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/* Who does something, for the log. Strings borrowed, never NULL. */
struct audit_actor {
    int64_t person_id; /* 0 = the machine's administrator through the local socket, or seekd itself */
    const char *name;
    const char *address;    /* "10.1.2.3", "local" */
    const char *request_id; /* "" when there is none */
};

struct audit_entry {
    const char *action;      /* "key.create", "label.move": object, dot, verb */
    const char *object_kind; /* "key" */
    const char *object_id;
    const char *before, *after; /* JSON, NULL = nothing; never a secret */
    const char *reason;         /* "" when none was given */
};

/* Appends one row inside the caller's store_write callback. */
bool audit_append(struct store_db *db, const struct audit_actor *actor,
                  const struct audit_entry *entry, struct err *e) WARN_UNUSED;

struct audit_head {
    int64_t seq; /* 0 = the log is empty */
    uint8_t hash[32];
};

/* Walks the whole chain in order. *bad_seq = number of the first row that does not fit, 0 when all do.
 * With `known` (an exported head) the log must also still contain that row. */
bool audit_verify(struct store_db *db, const struct audit_head *known, struct audit_head *head,
                  int64_t *bad_seq, struct err *e) WARN_UNUSED;

/* "SEQ:64 hexadecimal digits", as syslog gets it. */
enum { AUDIT_HEAD_TEXT = 96 };
void audit_head_format(const struct audit_head *h, char text[AUDIT_HEAD_TEXT]);
bool audit_head_parse(const char *text, struct audit_head *h, struct err *e) WARN_UNUSED;

#endif
