/* Owns: the order in which the parts of auth start and end. */
#include <config.h>

#include "auth/auth.h"

#include <stdlib.h>

#include "auth/hasher.h"
#include "auth/roster.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store.h"

static bool load(struct store_db *db, void *ctx, struct err *e)
{
    return roster_load(ctx, db, e);
}

bool auth_open(struct store *s, const struct auth_options *opt, struct auth **out, struct err *e)
{
    *out = NULL;
    if (!password_cost_valid(&opt->cost))
        FAIL(e, ERR_ARG, "the cost of password hashes is out of range");
    struct auth *a = mem_zalloc(sizeof *a);
    a->store = s;
    a->profile = opt->profile;
    a->cost = opt->cost;
    TRY(roster_create(&a->roster, e));
    TRY(store_read(s, load, a->roster, e));
    TRY(hasher_create(&a->hasher, e));
    *out = a;
    return true;
fail:
    auth_close(&a);
    return false;
}

/* When this job is done, everything posted before it is done too: no callback meets a roster that
 * is gone. */
static bool nothing(struct store_db *db, void *ctx, struct err *e)
{
    (void)db;
    (void)ctx;
    (void)e;
    return true;
}

void auth_close(struct auth **out)
{
    struct auth *a = *out;
    if (!a)
        return;
    struct err e = ERR_INIT;
    hasher_destroy(&a->hasher);
    if (!store_write(a->store, nothing, NULL, &e))
        LOG_W("auth", "the database takes no jobs any more error=%s", err_code_name(e.code));
    roster_destroy(&a->roster);
    free(a);
    *out = NULL;
}
