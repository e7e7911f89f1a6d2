/* A database in a folder of its own, for the tests of audit/ and usage/. */
#ifndef SEEKD_TESTS_LEDGER_RIG_H
#define SEEKD_TESTS_LEDGER_RIG_H

#include <stdint.h>

#include "audit/audit.h"
#include "store/store.h"

struct rig {
    char folder[64], path[96];
    struct store *store;
};

void rig_open(struct rig *r);  /* a new folder in the working directory, an empty database */
void rig_close(struct rig *r); /* closes the store when it is open, deletes the folder */
void rig_reopen(struct rig *r);
/* Shut the store and look at, or change, the file behind its back. */
void rig_shut(struct rig *r);
void rig_sql(const struct rig *r, const char *sql);
/* The first column of the first row; fails the test without one. Works while the store is open. */
int64_t rig_number(const struct rig *r, const char *sql);
/* Through the store's writer. `sql` is a string literal. */
void rig_write(struct rig *r, const char *sql);

extern const struct audit_actor RIG_ACTOR;

#endif
