/* Owns: waiting for a change to be durable, the form of auth's audit rows, what typed text may
 * hold. Refuses to know what the changes are. */
#include <config.h>

#include "auth/act.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

const struct audit_actor ACT_SEEKD = {
    .person_id = 0, .name = "seekd", .address = "local", .request_id = ""};

/* On the stack of who waits. */
struct act {
    store_fn *fn;
    act_apply_fn *apply;
    void *ctx;
    pthread_mutex_t mu; /* guards the rest */
    pthread_cond_t ended;
    bool done, ok;
    struct err err;
};

static bool run(struct store_db *db, void *ctx, struct err *e)
{
    struct act *act = ctx;
    return act->fn(db, act->ctx, e);
}

static void finish(void *ctx, bool ok, const struct err *e)
{
    struct act *act = ctx;
    if (ok && act->apply)
        act->apply(act->ctx);
    pthread_mutex_lock(&act->mu);
    act->done = true;
    act->ok = ok;
    if (!ok)
        act->err = *e;
    pthread_cond_signal(&act->ended);
    pthread_mutex_unlock(&act->mu);
}

bool act_commit(struct store *s, store_fn *fn, act_apply_fn *apply, void *ctx, struct err *e)
{
    struct act act = {.fn = fn, .apply = apply, .ctx = ctx};
    pthread_mutex_init(&act.mu, NULL);
    pthread_cond_init(&act.ended, NULL);
    bool ok = store_post(s, run, &act, finish, e);
    if (ok) {
        pthread_mutex_lock(&act.mu);
        while (!act.done)
            pthread_cond_wait(&act.ended, &act.mu);
        pthread_mutex_unlock(&act.mu);
        ok = act.ok;
        if (!ok && e)
            *e = act.err;
    }
    pthread_cond_destroy(&act.ended);
    pthread_mutex_destroy(&act.mu);
    return ok;
}

bool act_record_take(struct store_db *db, const struct audit_actor *actor, const char *action,
                     const char *kind, int64_t id, json_t *before, json_t *after,
                     const char *reason, struct err *e)
{
    char number[24];
    char *before_text = before ? json_dumps(before, JSON_COMPACT) : NULL;
    char *after_text = after ? json_dumps(after, JSON_COMPACT) : NULL;
    snprintf(number, sizeof number, "%" PRId64, id);
    struct audit_entry entry = {.action = action,
                                .object_kind = kind,
                                .object_id = number,
                                .before = before_text,
                                .after = after_text,
                                .reason = reason ? reason : ""};
    bool ok;
    if ((before && !before_text) || (after && !after_text))
        ok = err_set(e, ERR_INTERNAL, 0, __FILE__, __LINE__, "no JSON for the audit row of %s",
                     action);
    else
        ok = audit_append(db, actor, &entry, e);
    free(before_text);
    free(after_text);
    json_decref(before);
    json_decref(after);
    return ok;
}

bool act_page(struct store_stmt *st, unsigned limit, act_row_fn *row, void *ctx, int64_t *next,
              struct err *e)
{
    int64_t last = 0;
    bool more;
    for (unsigned n = 0;; n++) {
        if (!store_step(st, &more, e))
            return false;
        if (!more || n == limit)
            break;
        if (!row(ctx, st, &last, e)) {
            store_done(st);
            return false;
        }
    }
    *next = more ? last : 0;
    store_done(st);
    return true;
}

bool act_limit_valid(unsigned limit, unsigned most, struct err *e)
{
    if (limit < 1 || limit > most)
        FAIL(e, ERR_ARG, "a list has 1 to %u rows", most);
    return true;
}

/* What breaks lines or turns the direction of reading: a name with it looks like another one. */
static bool misleads(const char *text, size_t len)
{
    static const struct {
        uint32_t first, last;
    } bad[] = {{0x0000, 0x001f}, {0x007f, 0x009f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    uint32_t cp = 0;
    size_t n;
    for (size_t i = 0; i < len && (n = utf8_decode(text + i, len - i, &cp)) > 0; i += n)
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
            if (cp >= bad[k].first && cp <= bad[k].last)
                return true;
    return false;
}

bool act_text_valid(const char *text, size_t max_bytes, bool may_be_empty, const char *what,
                    struct err *e)
{
    size_t len = text ? strlen(text) : 0;
    if (len == 0 && !may_be_empty)
        FAIL(e, ERR_ARG, "%s must not be empty", what);
    if (len > max_bytes)
        FAIL(e, ERR_ARG, "%s is longer than %zu bytes", what, max_bytes);
    if (!utf8_valid(text ? text : "", len))
        FAIL(e, ERR_ARG, "%s is not UTF-8", what);
    if (misleads(text, len))
        FAIL(e, ERR_ARG, "%s holds a control character", what);
    if (len > 0 && (text[0] == ' ' || text[len - 1] == ' '))
        FAIL(e, ERR_ARG, "%s begins or ends with a blank", what);
    return true;
}
