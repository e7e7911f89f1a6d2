/* A real database in a temporary folder with people in it, for the tests of auth/. */
#ifndef SEEKD_TESTS_AUTH_RIG_H
#define SEEKD_TESTS_AUTH_RIG_H

#include <check.h>
#include <stdint.h>

#include "audit/audit.h"
#include "auth/auth.h"
#include "base/err.h"
#include "store/store.h"

struct rig {
    char folder[64], path[96];
    struct store *store;
    struct auth *auth;
    struct err err;
    int64_t works, line3, office; /* departments: Works, Works/Line 3, Office */
};

extern const struct audit_actor RIG_ACTOR;

/* Cheap hashes (N = 1024), unless `opt` says otherwise. */
void rig_open(struct rig *r, const struct auth_options *opt);
/* Also verifies the audit chain. */
void rig_close(struct rig *r);
/* Closes and opens database and auth again. */
void rig_restart(struct rig *r, const struct auth_options *opt);

/* A local person of `department_id` with these roles. */
int64_t rig_person(struct rig *r, const char *login, int64_t department_id, uint32_t roles);
/* Gives them a password by a reset and a change. */
void rig_password(struct rig *r, int64_t person_id, const char *password);
/* One number of the database. */
int64_t rig_int(struct rig *r, const char *sql);

#define RIG_OK(call) ck_assert_msg((call), "%s: %s", #call, r.err.msg)
#define RIG_FAILS(call, want)                                                                      \
    do {                                                                                           \
        r.err = ERR_INIT;                                                                          \
        ck_assert_msg(!(call), "%s succeeded", #call);                                             \
        ck_assert_msg(r.err.code == (want), "%s: %s: %s", #call, err_code_name(r.err.code),        \
                      r.err.msg);                                                                  \
    } while (0)

/* Runs one suite; the exit status of the program. */
int rig_main(Suite *s);

#endif
