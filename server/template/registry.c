/* Owns: writing templates and versions: save, change, fork, delete. Labels, reviews, reading and
 * resolving have files of their own.
 *
 * A save checks everything inside its transaction, because what it includes may change until then.
 */
#include <config.h>

#include "template/registry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "template/lint.h"
#include "template/promptfile.h"
#include "template/registry_db.h"

void registry_create(struct store *store, const struct token_counter *tokens, struct registry **out)
{
    struct registry *r = mem_zalloc(sizeof *r);
    r->store = store;
    atomic_init(&r->tokens, tokens);
    r->cache = cache_create();
    *out = r;
}

void registry_destroy(struct registry **r)
{
    if (!*r)
        return;
    cache_destroy(&(*r)->cache);
    free(*r);
    *r = NULL;
}

void registry_set_tokens(struct registry *r, const struct token_counter *tokens)
{
    atomic_store(&r->tokens, tokens);
}

const struct token_counter *registry_tokens(const struct registry *r)
{
    return atomic_load(&r->tokens);
}

void registry_saved_release(struct registry_saved *s)
{
    json_decref(s->findings);
    json_decref(s->measures);
    s->findings = s->measures = NULL;
}

/* ---- saving: includes ---- */

/* Longest chain of includes below and above a template, over all versions. */
static bool depths(struct store_db *db, int64_t id, int64_t *below, int64_t *above, struct err *e)
{
    struct store_stmt *st;
    return rdb_query(db,
                     "WITH RECURSIVE d(id, level) AS (SELECT ?1, 0 UNION"
                     " SELECT p.part_id, level + 1 FROM template_part p JOIN d"
                     " ON p.template_id = d.id WHERE level < 8) SELECT max(level) FROM d",
                     &st, e, "i", id) &&
           store_first_int(st, 0, below, e) &&
           rdb_query(db,
                     "WITH RECURSIVE d(id, level) AS (SELECT ?1, 0 UNION"
                     " SELECT p.template_id, level + 1 FROM template_part p JOIN d"
                     " ON p.part_id = d.id WHERE level < 8) SELECT max(level) FROM d",
                     &st, e, "i", id) &&
           store_first_int(st, 0, above, e);
}

/* Does some version of `part` lead to some version of `id`? Two templates never include each other,
 * whichever versions it were: nobody could follow that. */
static bool leads_to(struct store_db *db, int64_t part, int64_t id, bool *leads, struct err *e)
{
    struct store_stmt *st;
    int64_t found;
    if (!rdb_query(db,
                   "WITH RECURSIVE d(id) AS (SELECT ?1 UNION SELECT p.part_id FROM template_part p"
                   " JOIN d ON p.template_id = d.id) SELECT 1 FROM d WHERE id = ?2",
                   &st, e, "ii", part, id) ||
        !store_first_int(st, 0, &found, e))
        return false;
    *leads = found == 1;
    return true;
}

static bool check_include(struct store_db *db, const struct rdb_save *job, int64_t id,
                          const json_t *m, size_t index, struct err *e)
{
    const char *name = json_string_value(json_object_get(m, "include"));
    struct rdb_template part;
    bool leads = false;
    int64_t below = 0, above = 0, unused;
    char at[40];
    snprintf(at, sizeof at, "messages[%zu]", index);
    bool self = strcmp(name, job->save->name) == 0;
    if (!self && !rdb_template(db, job->act->who, name, &part, e)) {
        if (e && e->code != ERR_NOT_FOUND)
            return false;
        findings_add(job->findings, FINDING_ERROR, "bad-include", at,
                     "there is no template \"%.100s\"", "没有模板“%.100s”", name);
        return true;
    }
    if (!self && id &&
        (!leads_to(db, part.id, id, &leads, e) || !depths(db, id, &unused, &above, e)))
        return false;
    if (!self && !depths(db, part.id, &below, &unused, e))
        return false;
    if (self || leads)
        findings_add(job->findings, FINDING_ERROR, "include-cycle", at,
                     "\"%.100s\" leads back to this template", "“%.100s”又引用了本模板", name);
    else if (above + 1 + below > PROMPT_MAX_DEPTH)
        findings_add(job->findings, FINDING_ERROR, "include-depth", at,
                     "with \"%.100s\" includes would be nested deeper than %d",
                     "引用“%.100s”后，嵌套将超过 %d 层", name, PROMPT_MAX_DEPTH);
    return true;
}

static bool check_includes(struct store_db *db, const struct rdb_save *job, int64_t id,
                           struct err *e)
{
    size_t i;
    json_t *m;
    json_array_foreach (json_object_get(job->content, "messages"), i, m) {
        struct err why = ERR_INIT;
        if (json_object_get(m, "include") && !check_include(db, job, id, m, i, &why)) {
            if (e)
                *e = why;
            return false;
        }
    }
    return true;
}

static bool check_all(struct store_db *db, const struct rdb_save *job, int64_t id,
                      struct registry_saved *out, struct err *e)
{
    struct rdb_fetch fetch = {.db = db, .who = job->act->who};
    if (!check_includes(db, job, id, e))
        return false;
    if (job->findings->errors == 0)
        lint_content(job->content, rdb_fetch, &fetch, job->tokens, job->findings, &out->measures);
    return findings_ok(job->findings, e);
}

static bool insert_parts(struct store_db *db, const struct rdb_save *job, int64_t id,
                         int64_t number, struct err *e)
{
    size_t i;
    json_t *m;
    json_array_foreach (json_object_get(job->content, "messages"), i, m) {
        const char *name = json_string_value(json_object_get(m, "include"));
        if (name && !rdb_run(db,
                             "INSERT INTO template_part (template_id, number, part_id, part_number)"
                             " SELECT ?1, ?2, id, ?4 FROM template WHERE name = ?3",
                             e, "iiti", id, number, name,
                             (int64_t)json_integer_value(json_object_get(m, "number"))))
            return false;
    }
    return true;
}

/* ---- saving: rows ---- */

/* The local administrator is nobody in the table of people. */
static bool has_owner(int64_t owner, struct err *e)
{
    if (owner == 0)
        FAIL(e, ERR_ARG, "a template needs an owner: say who");
    return true;
}

static int64_t owner_of(const struct rdb_save *job)
{
    return job->save->owner_id ? job->save->owner_id : job->act->who->person_id;
}

/* Whose a new template is, and who sees it. */
static bool check_place(struct store_db *db, const struct rdb_save *job, struct err *e)
{
    int64_t owner = owner_of(job), department = job->save->department_id;
    return has_owner(owner, e) && rdb_may_give(db, job->act->who, owner, department, e) &&
           rdb_check_ids(db, owner, department, e);
}

static bool insert_template(struct store_db *db, const struct rdb_save *job, struct rdb_template *t,
                            struct err *e)
{
    const struct registry_save *s = job->save;
    json_t *none = json_array();
    char *tags = NULL;
    int64_t owner = owner_of(job);
    bool ok = canon_text(s->tags ? s->tags : none, &tags, NULL, e) &&
              rdb_run(db,
                      "INSERT INTO template (name, tags, owner_id, department_id, forked_from,"
                      " forked_version, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                      e, "ttizzzi", s->name, tags, owner, s->department_id, job->forked_from,
                      job->forked_version, job->act->now_s);
    free(tags);
    json_decref(none);
    if (!ok)
        return false;
    t->id = store_last_id(db);
    t->owner_id = owner;
    t->department_id = s->department_id;
    t->revision = 1;
    return true;
}

static bool update_template(struct store_db *db, const struct rdb_save *job, struct rdb_template *t,
                            struct err *e)
{
    char *tags = NULL;
    if (job->save->tags && !canon_text(job->save->tags, &tags, NULL, e))
        return false;
    bool ok = rdb_run(db,
                      "UPDATE template SET revision = revision + 1, tags = coalesce(?2, tags)"
                      " WHERE id = ?1",
                      e, "it", t->id, tags);
    free(tags);
    t->revision++;
    return ok;
}

static bool insert_version(struct store_db *db, const struct rdb_save *job, int64_t id,
                           int64_t number, const char *text, const uint8_t *hash, struct err *e)
{
    int64_t author = job->act->who->person_id;
    return rdb_run(db,
                   "INSERT INTO template_version (template_id, number, content, hash, note,"
                   " author_id, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                   e, "iithtii", id, number, text, hash, job->save->note, author,
                   job->act->now_s) &&
           rdb_run(db,
                   "INSERT INTO template_review (template_id, number, state, by_id, at)"
                   " VALUES (?1, ?2, 'draft', ?3, ?4)",
                   e, "iiii", id, number, author, job->act->now_s) &&
           insert_parts(db, job, id, number, e);
}

/* The row the save works on; t->id 0 = a new one. */
static bool find_row(struct store_db *db, const struct rdb_save *job, struct rdb_template *t,
                     struct err *e)
{
    const struct registry_save *s = job->save;
    bool found, sees = true;
    if (!rdb_template_any(db, s->name, t, &found, e) ||
        (found && !rdb_sees(db, job->act->who, t->owner_id, t->department_id, &sees, e)))
        return false;
    if (found && s->revision == 0)
        FAIL(e, ERR_CONFLICT, "there is a template \"%s\" already", s->name);
    if (s->revision != 0 && (!found || !sees))
        return registry_fail_missing(s->name, NULL, e);
    return !found || store_same_revision(s->revision, t->revision, e);
}

static bool store_version(struct store_db *db, const struct rdb_save *job, struct rdb_template *t,
                          const char *text, const uint8_t hash[CANON_HASH_BYTES],
                          struct registry_saved *out, struct err *e)
{
    char object[RDB_OBJECT_TEXT];
    bool is_new = t->id == 0;
    json_t *after = NULL;
    if (t->archived)
        FAIL(e, ERR_CONFLICT, "the template \"%s\" is archived: bring it back first",
             job->save->name);
    if (!(is_new ? insert_template(db, job, t, e) : update_template(db, job, t, e)) ||
        !insert_version(db, job, t->id, out->number, text, hash, e))
        return false;
    out->template_id = t->id;
    out->revision = t->revision;
    snprintf(object, sizeof object, "%s#%" PRId64, job->save->name, out->number);
    after = json_pack("{s:I, s:s, s:s, s:b}", "number", (json_int_t)out->number, "hash", out->hash,
                      "note", job->save->note, "new_template", (int)is_new);
    if (job->forked_from)
        json_object_set_new(after, "forked_from", json_integer(job->forked_from));
    return rdb_audit_take(db, job->act, "template.save", "template", object, NULL, after, e);
}

/* *newest = number of the newest version, 0 for a new template. When that version says the same,
 * it is the outcome. */
static bool compare_newest(struct store_db *db, const struct rdb_save *job,
                           const struct rdb_template *t, const uint8_t hash[CANON_HASH_BYTES],
                           int64_t *newest, struct registry_saved *out, struct err *e)
{
    uint8_t newest_hash[CANON_HASH_BYTES];
    *newest = 0;
    if (!t->id)
        return true;
    if (!rdb_newest(db, t->id, newest, e) || !rdb_version(db, t, *newest, NULL, newest_hash, e))
        return false;
    out->unchanged = !job->number && memcmp(hash, newest_hash, sizeof newest_hash) == 0;
    if (out->unchanged) {
        out->template_id = t->id;
        out->number = *newest;
        out->revision = t->revision;
    }
    return true;
}

static bool save_pinned(struct store_db *db, const struct rdb_save *job, struct registry_saved *out,
                        struct err *e)
{
    struct rdb_template t;
    uint8_t hash[CANON_HASH_BYTES];
    int64_t newest;
    char *text = NULL;
    size_t len;
    bool ok = false;
    TRY(find_row(db, job, &t, e) && (t.id || check_place(db, job, e)));
    TRY(content_canonical(job->content, &text, &len, hash, e));
    hash_hex(hash, out->hash);
    TRY(compare_newest(db, job, &t, hash, &newest, out, e));
    if (!out->unchanged) {
        TRY(check_all(db, job, t.id, out, e));
        out->number = job->number ? job->number : newest + 1;
        TRY(store_version(db, job, &t, text, hash, out, e));
    }
    ok = true;
fail:
    free(text);
    return ok;
}

bool rdb_save(struct store_db *db, const struct rdb_save *job, struct registry_saved *out,
              struct err *e)
{
    struct rdb_save pinned = *job;
    json_t *content;
    if (!rdb_pin(db, job->act->who, job->content, &content, e))
        return false;
    pinned.content = content;
    bool ok = save_pinned(db, &pinned, out, e);
    json_decref(content);
    return ok;
}

/* ---- saving ---- */

struct save_call {
    struct rdb_save job;
    struct registry_saved *out;
};

static bool run_save(struct store_db *db, void *ctx, struct err *e)
{
    struct save_call *c = ctx;
    return rdb_save(db, &c->job, c->out, e);
}

static bool check_head(const struct registry_save *s, struct err *e)
{
    size_t note = s->note ? strlen(s->note) : 0;
    if (!content_is_name(s->name))
        FAIL(e, ERR_ARG, "a name is made of a-z, 0-9, '_' and '-', folders are parted by '/'");
    if (note < 1 || note > PROMPTFILE_NOTE_MAX)
        FAIL(e, ERR_ARG, "a version needs a note of 1 to %d bytes that says what changed",
             PROMPTFILE_NOTE_MAX);
    if (s->tags && !promptfile_tags_ok(s->tags))
        FAIL(e, ERR_ARG, "tags are an array of at most %d different short texts",
             PROMPTFILE_TAGS_MAX);
    return true;
}

bool registry_save(struct registry *r, const struct registry_act *act,
                   const struct registry_save *save, struct registry_saved *out, struct err *e)
{
    struct findings f;
    json_t *content = NULL;
    bool ok = false;
    *out = (struct registry_saved){.number = 0};
    findings_init(&f);
    TRY(rdb_may_write(act->who, e) && check_head(save, e));
    content = content_check(save->content, &f);
    TRY(findings_ok(&f, e));
    struct save_call call = {
        .job = {.act = act,
                .save = save,
                .content = content,
                .tokens = atomic_load(&r->tokens),
                .findings = &f},
        .out = out,
    };
    ok = store_write(r->store, run_save, &call, e);
fail:
    json_decref(content);
    out->findings = f.list;
    return ok;
}

/* ---- checking only ---- */

struct lint_call {
    struct rdb_save job;
    struct registry_saved *out;
};

static bool run_lint(struct store_db *db, void *ctx, struct err *e)
{
    struct lint_call *c = ctx;
    struct rdb_template t;
    struct err why = ERR_INIT;
    bool found;
    if (!rdb_template_any(db, c->job.save->name, &t, &found, e))
        return false;
    if (!check_all(db, &c->job, found ? t.id : 0, c->out, &why) && c->job.findings->errors == 0) {
        if (e)
            *e = why;
        return false;
    }
    return true;
}

bool registry_lint(struct registry *r, const struct principal *who, const char *name,
                   const json_t *content, struct registry_saved *out, struct err *e)
{
    struct findings f;
    bool ok = true;
    *out = (struct registry_saved){.number = 0};
    findings_init(&f);
    json_t *checked = content_check(content, &f);
    if (checked) {
        const struct registry_act act = {.who = who};
        const struct registry_save save = {.name = name};
        struct lint_call call = {
            .job = {.act = &act,
                    .save = &save,
                    .content = checked,
                    .tokens = atomic_load(&r->tokens),
                    .findings = &f},
            .out = out,
        };
        ok = store_read(r->store, run_lint, &call, e);
    }
    json_decref(checked);
    out->findings = f.list;
    return ok;
}

/* ---- forking ---- */

struct fork_call {
    const struct registry_act *act;
    const char *from;
    struct registry_ref ref;
    struct registry_save save;
    const struct token_counter *tokens;
    struct findings *findings;
    struct registry_saved *out;
};

static bool run_fork(struct store_db *db, void *ctx, struct err *e)
{
    struct fork_call *c = ctx;
    struct rdb_template t;
    json_t *content = NULL;
    int64_t number;
    char note[CONTENT_NAME_MAX + 40];
    if (!rdb_template(db, c->act->who, c->from, &t, e) || !rdb_number(db, &t, c->ref, &number, e) ||
        !rdb_version(db, &t, number, &content, NULL, e))
        return false;
    snprintf(note, sizeof note, "fork of %s#%" PRId64, c->from, number);
    c->save.note = note;
    struct rdb_save job = {
        .act = c->act,
        .save = &c->save,
        .content = content,
        .forked_from = t.id,
        .forked_version = number,
        .tokens = c->tokens,
        .findings = c->findings,
    };
    bool ok = rdb_save(db, &job, c->out, e);
    json_decref(content);
    return ok;
}

bool registry_fork(struct registry *r, const struct registry_act *act, const char *from,
                   struct registry_ref ref, const char *name, int64_t owner_id,
                   int64_t department_id, struct registry_saved *out, struct err *e)
{
    struct findings f;
    *out = (struct registry_saved){.number = 0};
    findings_init(&f);
    struct fork_call call = {
        .act = act,
        .from = from,
        .ref = ref,
        .save = {.name = name,
                 .note = "fork",
                 .owner_id = owner_id,
                 .department_id = department_id},
        .tokens = atomic_load(&r->tokens),
        .findings = &f,
        .out = out,
    };
    bool ok = rdb_may_write(act->who, e) && check_head(&call.save, e) &&
              store_write(r->store, run_fork, &call, e);
    out->findings = f.list;
    return ok;
}

/* ---- changing what is not part of versions ---- */

struct change_call {
    const struct registry_act *act;
    const char *name;
    int64_t revision;
    const struct registry_change *change;
};

static bool describe(struct store_db *db, int64_t id, json_t **out, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!rdb_query(db,
                   "SELECT tags, owner_id, department_id, archived_at FROM template WHERE id = ?1",
                   &st, e, "i", id) ||
        !store_step(st, &row, e))
        return false;
    *out = json_pack("{s:o, s:o, s:o, s:b}", "tags", rdb_json(st, 0), "owner_id",
                     rdb_integer(st, 1), "department_id", rdb_integer(st, 2), "archived",
                     (int)!store_is_null(st, 3));
    store_done(st);
    return true;
}

static bool may_change(struct store_db *db, const struct change_call *c,
                       const struct rdb_template *t, struct err *e)
{
    const struct principal *who = c->act->who;
    const struct registry_change *x = c->change;
    bool gives_away = x->owner_id >= 0 || x->department_id >= 0 || x->archived >= 0;
    bool is_owner = t->owner_id == who->person_id && (who->roles & ROLE_EDITOR);
    if (gives_away && !who->local && !(who->roles & ROLE_ADMIN) && !is_owner)
        FAIL(e, ERR_DENIED, "only its owner or an administrator may do this");
    if (x->department_id >= 0 && x->department_id != t->department_id &&
        !rdb_may_give(db, who, 0, x->department_id, e))
        return false;
    return gives_away && !x->tags ? true : rdb_may_write(who, e);
}

static bool run_change(struct store_db *db, void *ctx, struct err *e)
{
    const struct change_call *c = ctx;
    const struct registry_change *x = c->change;
    struct rdb_template t;
    json_t *before = NULL, *after = NULL;
    char *tags = NULL;
    bool ok = false;
    TRY(rdb_template(db, c->act->who, c->name, &t, e) && may_change(db, c, &t, e) &&
        store_same_revision(c->revision, t.revision, e) && describe(db, t.id, &before, e) &&
        (x->owner_id < 0 || has_owner(x->owner_id, e)) &&
        rdb_check_ids(db, x->owner_id > 0 ? x->owner_id : 0,
                      x->department_id > 0 ? x->department_id : 0, e));
    TRY(!x->tags || canon_text(x->tags, &tags, NULL, e));
    TRY(rdb_run(db,
                "UPDATE template SET revision = revision + 1, tags = coalesce(?2, tags),"
                " owner_id = ?3, department_id = ?4, archived_at = CASE WHEN ?5 IS NULL THEN NULL"
                " ELSE coalesce(archived_at, ?5) END WHERE id = ?1",
                e, "itizz", t.id, tags, x->owner_id >= 0 ? x->owner_id : t.owner_id,
                x->department_id >= 0 ? x->department_id : t.department_id,
                (x->archived >= 0 ? x->archived != 0 : t.archived) ? c->act->now_s : (int64_t)0));
    TRY(describe(db, t.id, &after, e));
    ok = rdb_audit_take(db, c->act, "template.change", "template", t.name, json_incref(before),
                        json_incref(after), e);
fail:
    json_decref(before);
    json_decref(after);
    free(tags);
    return ok;
}

bool registry_change(struct registry *r, const struct registry_act *act, const char *name,
                     int64_t revision, const struct registry_change *change, struct err *e)
{
    struct change_call call = {act, name, revision, change};
    if (change->tags && !promptfile_tags_ok(change->tags))
        FAIL(e, ERR_ARG, "tags are an array of at most %d different short texts",
             PROMPTFILE_TAGS_MAX);
    return store_write(r->store, run_change, &call, e);
}

/* ---- deleting a version ---- */

struct delete_call {
    const struct registry_act *act;
    const char *name;
    int64_t number;
};

/* ERR_CONFLICT while something points to the version. */
static bool check_unused(struct store_db *db, const struct rdb_template *t, int64_t number,
                         struct err *e)
{
    struct store_stmt *st;
    int64_t newest;
    bool row;
    if (!rdb_newest(db, t->id, &newest, e))
        return false;
    if (newest == number)
        FAIL(e, ERR_CONFLICT, "the label \"latest\" points to version %" PRId64, number);
    if (!rdb_query(db,
                   "SELECT label FROM template_label WHERE template_id = ?1"
                   " AND (number = ?2 OR canary_number = ?2)",
                   &st, e, "ii", t->id, number) ||
        !store_step(st, &row, e))
        return false;
    if (row)
        err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__,
                "the label \"%s\" points to version %" PRId64, store_text(st, 0), number);
    store_done(st);
    if (row ||
        !rdb_query(db,
                   "SELECT t.name, p.number FROM template_part p JOIN template t"
                   " ON t.id = p.template_id WHERE p.part_id = ?1 AND p.part_number = ?2",
                   &st, e, "ii", t->id, number) ||
        !store_step(st, &row, e))
        return false;
    if (row)
        err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__, "version %" PRId64 " of \"%s\" includes it",
                store_int(st, 1), store_text(st, 0));
    store_done(st);
    return !row;
}

static bool run_delete(struct store_db *db, void *ctx, struct err *e)
{
    const struct delete_call *c = ctx;
    struct rdb_template t;
    uint8_t hash[CANON_HASH_BYTES];
    char hex[CANON_HASH_HEX], object[RDB_OBJECT_TEXT];
    if (!rdb_template(db, c->act->who, c->name, &t, e) ||
        !rdb_version(db, &t, c->number, NULL, hash, e) || !check_unused(db, &t, c->number, e))
        return false;
    hash_hex(hash, hex);
    snprintf(object, sizeof object, "%s#%" PRId64, t.name, c->number);
    return rdb_run(db, "DELETE FROM template_part WHERE template_id = ?1 AND number = ?2", e, "ii",
                   t.id, c->number) &&
           rdb_run(db, "DELETE FROM template_run WHERE template_id = ?1 AND number = ?2", e, "ii",
                   t.id, c->number) &&
           rdb_run(db, "DELETE FROM template_review WHERE template_id = ?1 AND number = ?2", e,
                   "ii", t.id, c->number) &&
           rdb_run(db, "DELETE FROM template_version WHERE template_id = ?1 AND number = ?2", e,
                   "ii", t.id, c->number) &&
           rdb_run(db, "UPDATE template SET revision = revision + 1 WHERE id = ?1", e, "i", t.id) &&
           rdb_audit_take(db, c->act, "template.delete_version", "template", object,
                          json_pack("{s:I, s:s}", "number", (json_int_t)c->number, "hash", hex),
                          NULL, e);
}

bool registry_delete_version(struct registry *r, const struct registry_act *act, const char *name,
                             int64_t number, struct err *e)
{
    struct delete_call call = {act, name, number};
    return rdb_may_write(act->who, e) && store_write(r->store, run_delete, &call, e);
}
