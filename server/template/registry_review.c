/* Owns: the states of a version and who takes it from one to the next; the outcomes of test sets.
 *
 * States: draft -> review (an editor), review -> approved | rejected (an approver who is not the
 * author), rejected -> review (an editor), approved -> rejected (an approver: taken back, while
 * nothing protected relies on it). The newest row of template_review is the state; older rows are
 * its history. */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "template/registry_db.h"

struct review_call {
    const struct registry_act *act;
    const char *name;
    int64_t number;
    const struct registry_decision *d;
};

static bool check_step(enum registry_state from, enum registry_state to, struct err *e)
{
    static const bool steps[4][4] = {
        [STATE_DRAFT] = {[STATE_REVIEW] = true},
        [STATE_REVIEW] = {[STATE_APPROVED] = true, [STATE_REJECTED] = true},
        [STATE_APPROVED] = {[STATE_REJECTED] = true},
        [STATE_REJECTED] = {[STATE_REVIEW] = true},
    };
    if (!steps[from][to])
        FAIL(e, ERR_CONFLICT, "a version goes from draft to review to approved; this one is \"%s\"",
             registry_state_name(from));
    return true;
}

static bool check_four_eyes(struct store_db *db, const struct registry_act *act, int64_t id,
                            int64_t number, enum registry_state to, struct err *e)
{
    struct store_stmt *st;
    int64_t author;
    if (to == STATE_APPROVED && !act->who->person_id)
        FAIL(e, ERR_DENIED, "an approval is a person's: somebody else than the machine's "
             "administrator, with the role of a prompt approver");
    if (!rdb_query(db,
                   "SELECT author_id FROM template_version WHERE template_id = ?1 AND number = ?2",
                   &st, e, "ii", id, number) ||
        !store_first_int(st, -1, &author, e))
        return false;
    if (author == act->who->person_id)
        FAIL(e, ERR_DENIED, "whoever wrote a version cannot approve it: somebody else must");
    return true;
}

/* *run = the newest run as JSON, JSON null when there is none. *passed = it has no failures. */
static bool newest_run(struct store_db *db, int64_t id, int64_t number, json_t **run, bool *passed,
                       struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!rdb_query(db,
                   "SELECT id, at, by_id, passed, failed FROM template_run WHERE template_id = ?1"
                   " AND number = ?2 ORDER BY id DESC LIMIT 1",
                   &st, e, "ii", id, number) ||
        !store_step(st, &row, e))
        return false;
    *passed = row && store_int(st, 4) == 0;
    *run = row ? json_pack("{s:I, s:I, s:I, s:I, s:I}", "id", (json_int_t)store_int(st, 0), "at",
                           (json_int_t)store_int(st, 1), "by_id", (json_int_t)store_int(st, 2),
                           "passed", (json_int_t)store_int(st, 3), "failed",
                           (json_int_t)store_int(st, 4))
               : json_null();
    store_done(st);
    return true;
}

/* {"hash", "given", "run", "without_run"}; owned. */
static bool collect_evidence(struct store_db *db, const struct rdb_template *t,
                             const struct review_call *c, json_t **out, struct err *e)
{
    uint8_t hash[CANON_HASH_BYTES];
    char hex[CANON_HASH_HEX];
    json_t *content = NULL, *run = NULL;
    bool passed;
    if (!json_is_object(c->d->evidence))
        FAIL(e, ERR_ARG, "an approval needs evidence, an object that says what was looked at");
    if (!rdb_version(db, t, c->number, &content, hash, e))
        return false;
    bool has_tests = json_array_size(json_object_get(content, "tests")) > 0;
    json_decref(content);
    if (!newest_run(db, t->id, c->number, &run, &passed, e))
        return false;
    if (has_tests && !passed && !c->d->without_run) {
        bool none = json_is_null(run);
        json_decref(run);
        FAIL(e, ERR_CONFLICT, "the version's test set %s (seekctl template run; POST .../runs)",
             none ? "has not been run" : "did not pass in its newest run");
    }
    hash_hex(hash, hex);
    *out = json_pack("{s:s, s:O, s:o, s:b}", "hash", hex, "given", c->d->evidence, "run", run,
                     "without_run", (int)(has_tests && !passed));
    return true;
}

/* Taking an approval back must not leave a protected label on a version that is not approved. */
static bool check_not_relied_on(struct store_db *db, const struct rdb_template *t, int64_t number,
                                struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!rdb_query(db,
                   "SELECT label FROM template_label WHERE template_id = ?1 AND protected = 1"
                   " AND (number = ?2 OR canary_number = ?2)"
                   " UNION ALL SELECT t.name FROM template_part p JOIN template t"
                   " ON t.id = p.template_id WHERE p.part_id = ?1 AND p.part_number = ?2 AND"
                   " (SELECT v.state FROM template_review v WHERE v.template_id = p.template_id"
                   " AND v.number = p.number ORDER BY v.id DESC LIMIT 1) = 'approved'",
                   &st, e, "ii", t->id, number) ||
        !store_step(st, &row, e))
        return false;
    if (row)
        err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__,
                "\"%s\", protected or approved, relies on version %" PRId64, store_text(st, 0),
                number);
    store_done(st);
    return !row;
}

static bool insert_review(struct store_db *db, const struct review_call *c,
                          const struct rdb_template *t, const json_t *evidence, struct err *e)
{
    char *text = NULL;
    if (evidence && !canon_text(evidence, &text, NULL, e))
        return false;
    bool ok = rdb_run(db,
                      "INSERT INTO template_review (template_id, number, state, by_id, at, note,"
                      " evidence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                      e, "iitiitt", t->id, c->number, registry_state_name(c->d->to),
                      c->act->who->person_id, c->act->now_s, c->d->note ? c->d->note : "", text);
    free(text);
    return ok;
}

static bool run_review(struct store_db *db, void *ctx, struct err *e)
{
    const struct review_call *c = ctx;
    struct rdb_template t;
    enum registry_state from;
    json_t *evidence = NULL;
    char object[RDB_OBJECT_TEXT];
    bool ok = false;
    TRY(rdb_template(db, c->act->who, c->name, &t, e) &&
        rdb_version(db, &t, c->number, NULL, NULL, e) && rdb_state(db, t.id, c->number, &from, e) &&
        check_step(from, c->d->to, e));
    TRY(c->d->to == STATE_REVIEW || check_four_eyes(db, c->act, t.id, c->number, c->d->to, e));
    TRY(from != STATE_APPROVED || check_not_relied_on(db, &t, c->number, e));
    if (c->d->to == STATE_APPROVED)
        TRY(collect_evidence(db, &t, c, &evidence, e));
    else
        evidence = c->d->evidence ? json_incref(json_iterable(c->d->evidence)) : NULL;
    TRY(insert_review(db, c, &t, evidence, e));
    snprintf(object, sizeof object, "%s#%" PRId64, t.name, c->number);
    json_t *after = json_pack("{s:s, s:s}", "state", registry_state_name(c->d->to), "note",
                              c->d->note ? c->d->note : "");
    if (evidence)
        json_object_set(after, "evidence", evidence);
    ok = rdb_audit_take(db, c->act, "template.review", "template", object,
                        json_pack("{s:s}", "state", registry_state_name(from)), after, e);
fail:
    json_decref(evidence);
    return ok;
}

bool registry_review(struct registry *r, const struct registry_act *act, const char *name,
                     int64_t number, const struct registry_decision *d, struct err *e)
{
    struct review_call call = {act, name, number, d};
    if (d->to == STATE_DRAFT)
        FAIL(e, ERR_ARG, "a version does not become a draft again: save a new one");
    if (d->to == STATE_REJECTED && (!d->note || !*d->note))
        FAIL(e, ERR_ARG, "a rejection needs a note that tells the author why");
    return (d->to == STATE_REVIEW ? rdb_may_write(act->who, e) : rdb_may_approve(act->who, e)) &&
           store_write(r->store, run_review, &call, e);
}

/* ---- runs of test sets ---- */

struct run_call {
    const struct registry_act *act;
    const struct principal *who;
    const char *name;
    int64_t number, passed, failed, id;
    const json_t *report;
    json_t **out;
};

static bool run_record(struct store_db *db, void *ctx, struct err *e)
{
    struct run_call *c = ctx;
    struct rdb_template t;
    char *text = NULL, object[RDB_OBJECT_TEXT];
    bool ok = rdb_template(db, c->act->who, c->name, &t, e) &&
              rdb_version(db, &t, c->number, NULL, NULL, e) &&
              canon_text(c->report, &text, NULL, e) &&
              rdb_run(db,
                      "INSERT INTO template_run (template_id, number, at, by_id, passed, failed,"
                      " report) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                      e, "iiiiiit", t.id, c->number, c->act->now_s, c->act->who->person_id,
                      c->passed, c->failed, text);
    free(text);
    if (!ok)
        return false;
    c->id = store_last_id(db);
    snprintf(object, sizeof object, "%s#%" PRId64, t.name, c->number);
    return rdb_audit_take(db, c->act, "template.run", "template", object, NULL,
                          json_pack("{s:I, s:I, s:I}", "run", (json_int_t)c->id, "passed",
                                    (json_int_t)c->passed, "failed", (json_int_t)c->failed),
                          e);
}

bool registry_record_run(struct registry *r, const struct registry_act *act, const char *name,
                         int64_t number, int64_t passed, int64_t failed, const json_t *report,
                         int64_t *id, struct err *e)
{
    struct run_call call = {.act = act,
                            .name = name,
                            .number = number,
                            .passed = passed,
                            .failed = failed,
                            .report = report};
    bool ok = (rdb_may_write(act->who, NULL) || rdb_may_approve(act->who, e)) &&
              store_write(r->store, run_record, &call, e);
    *id = ok ? call.id : 0;
    return ok;
}

static bool read_run(struct store_db *db, void *ctx, struct err *e)
{
    struct run_call *c = ctx;
    struct rdb_template t;
    struct store_stmt *st;
    bool row;
    if (!rdb_template(db, c->who, c->name, &t, e) ||
        !rdb_query(db,
                   "SELECT id, at, by_id, passed, failed, report FROM template_run"
                   " WHERE template_id = ?1 AND number = ?2 AND (?3 = 0 OR id = ?3)"
                   " ORDER BY id DESC LIMIT 1",
                   &st, e, "iii", t.id, c->number, c->id) ||
        !store_step(st, &row, e))
        return false;
    if (row)
        *c->out = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "id", (json_int_t)store_int(st, 0),
                            "at", (json_int_t)store_int(st, 1), "by_id",
                            (json_int_t)store_int(st, 2), "passed", (json_int_t)store_int(st, 3),
                            "failed", (json_int_t)store_int(st, 4), "report", rdb_json(st, 5));
    store_done(st);
    if (!row)
        FAIL(e, ERR_NOT_FOUND, "version %" PRId64 " of \"%s\" has no such run", c->number, c->name);
    return true;
}

bool registry_run(struct registry *r, const struct principal *who, const char *name, int64_t number,
                  int64_t id, json_t **out, struct err *e)
{
    struct run_call call = {.who = who, .name = name, .number = number, .id = id, .out = out};
    *out = NULL;
    return store_read(r->store, read_run, &call, e);
}
