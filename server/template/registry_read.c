/* Owns: what administrators and editors see of the registry, as JSON. Refuses to know: acts. */
#include <config.h>

#include "base/hash.h"
#include "template/diff.h"
#include "template/registry_db.h"

enum { MAX_VERSIONS_SHOWN = 1000 };

struct read_call {
    const struct principal *who;
    const char *name;
    struct registry_ref ref, to;
    const struct registry_filter *filter;
    json_t **out;
};

/* Appends what `row` makes of each row to a new array. */
static bool collect(struct store_stmt *st, json_t *(*row_json)(struct store_stmt *st), json_t **out,
                    struct err *e)
{
    bool row = true, ok;
    *out = json_array();
    while ((ok = store_step(st, &row, e)) && row)
        json_array_append_new(*out, row_json(st));
    store_done(st);
    if (!ok) {
        json_decref(*out);
        *out = NULL;
    }
    return ok;
}

static json_t *hex_of(struct store_stmt *st, int column)
{
    char hex[CANON_HASH_HEX];
    size_t n;
    const void *blob = store_blob(st, column, &n);
    if (!blob || n != CANON_HASH_BYTES)
        return json_null();
    hash_hex(blob, hex);
    return json_string(hex);
}

/* ---- one template ---- */

static json_t *version_row(struct store_stmt *st)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "number", rdb_integer(st, 0), "hash",
                     hex_of(st, 1), "note", rdb_string(st, 2), "author_id", rdb_integer(st, 3),
                     "created_at", rdb_integer(st, 4), "state", rdb_string(st, 5));
}

static json_t *canary_of(struct store_stmt *st, int first)
{
    if (store_is_null(st, first))
        return json_null();
    if (!store_is_null(st, first + 2))
        return json_pack("{s:o, s:o}", "number", rdb_integer(st, first), "department_id",
                         rdb_integer(st, first + 2));
    return json_pack("{s:o, s:o}", "number", rdb_integer(st, first), "permille",
                     rdb_integer(st, first + 1));
}

static json_t *label_row(struct store_stmt *st)
{
    return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "label", rdb_string(st, 0), "number",
                     rdb_integer(st, 1), "protected", (int)(store_int(st, 2) != 0), "revision",
                     rdb_integer(st, 3), "moved_at", rdb_integer(st, 4), "moved_by",
                     rdb_integer(st, 5), "canary", canary_of(st, 6));
}

/* With "latest" in front, which is no row. */
static bool read_labels(struct store_db *db, int64_t id, json_t **out, struct err *e)
{
    struct store_stmt *st;
    int64_t newest;
    if (!rdb_newest(db, id, &newest, e) ||
        !rdb_query(db,
                   "SELECT label, number, protected, revision, moved_at, moved_by, canary_number,"
                   " canary_permille, canary_department_id FROM template_label"
                   " WHERE template_id = ?1 ORDER BY label",
                   &st, e, "i", id) ||
        !collect(st, label_row, out, e))
        return false;
    json_array_insert_new(*out, 0,
                          json_pack("{s:s, s:I, s:b, s:i, s:n, s:n, s:n}", "label", "latest",
                                    "number", (json_int_t)newest, "protected", 0, "revision", 0,
                                    "moved_at", "moved_by", "canary"));
    return true;
}

static bool read_tags(struct store_db *db, int64_t id, json_t **out, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!rdb_query(db, "SELECT tags FROM template WHERE id = ?1", &st, e, "i", id) ||
        !store_step(st, &row, e))
        return false;
    *out = row ? rdb_json(st, 0) : json_array();
    store_done(st);
    return true;
}

static json_t *or_null(int64_t v)
{
    return v ? json_integer(v) : json_null();
}

static bool read_template(struct store_db *db, void *ctx, struct err *e)
{
    const struct read_call *c = ctx;
    struct rdb_template t;
    struct store_stmt *st;
    json_t *tags = NULL, *versions = NULL, *labels = NULL;
    TRY(rdb_template(db, c->who, c->name, &t, e) && read_tags(db, t.id, &tags, e));
    TRY(rdb_query(db,
                  "SELECT number, hash, note, author_id, created_at, (SELECT r.state FROM"
                  " template_review r WHERE r.template_id = v.template_id AND r.number = v.number"
                  " ORDER BY r.id DESC LIMIT 1) FROM template_version v WHERE template_id = ?1"
                  " ORDER BY number DESC LIMIT ?2",
                  &st, e, "ii", t.id, (int64_t)MAX_VERSIONS_SHOWN) &&
        collect(st, version_row, &versions, e));
    TRY(read_labels(db, t.id, &labels, e));
    *c->out =
        json_pack("{s:I, s:s, s:o, s:I, s:o, s:o, s:I, s:b, s:I, s:o, s:o}", "id", (json_int_t)t.id,
                  "name", t.name, "tags", tags, "owner_id", (json_int_t)t.owner_id, "department_id",
                  or_null(t.department_id), "forked_from",
                  t.forked_from ? json_pack("{s:I, s:I}", "template_id", (json_int_t)t.forked_from,
                                            "number", (json_int_t)t.forked_version)
                                : json_null(),
                  "created_at", (json_int_t)t.created_at, "archived", (int)t.archived, "revision",
                  (json_int_t)t.revision, "versions", versions, "labels", labels);
    return true;
fail:
    json_decref(tags);
    json_decref(versions);
    json_decref(labels);
    return false;
}

bool registry_get(struct registry *r, const struct principal *who, const char *name, json_t **out,
                  struct err *e)
{
    struct read_call call = {.who = who, .name = name, .out = out};
    *out = NULL;
    return store_read(r->store, read_template, &call, e);
}

/* ---- one version ---- */

static json_t *review_row(struct store_stmt *st)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "state", rdb_string(st, 0), "by_id",
                     rdb_integer(st, 1), "at", rdb_integer(st, 2), "note", rdb_string(st, 3),
                     "evidence", rdb_json(st, 4));
}

static json_t *run_row(struct store_stmt *st)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "id", rdb_integer(st, 0), "at",
                     rdb_integer(st, 1), "by_id", rdb_integer(st, 2), "passed", rdb_integer(st, 3),
                     "failed", rdb_integer(st, 4));
}

static json_t *text_row(struct store_stmt *st)
{
    return rdb_string(st, 0);
}

/* What hangs on a version, into `version`. */
static bool add_history(struct store_db *db, int64_t id, int64_t number, json_t *version,
                        struct err *e)
{
    struct store_stmt *st;
    json_t *list;
    if (!rdb_query(db,
                   "SELECT state, by_id, at, note, evidence FROM template_review"
                   " WHERE template_id = ?1 AND number = ?2 ORDER BY id",
                   &st, e, "ii", id, number) ||
        !collect(st, review_row, &list, e))
        return false;
    json_object_set_new(version, "reviews", list);
    if (!rdb_query(db,
                   "SELECT id, at, by_id, passed, failed FROM template_run WHERE template_id = ?1"
                   " AND number = ?2 ORDER BY id DESC LIMIT 100",
                   &st, e, "ii", id, number) ||
        !collect(st, run_row, &list, e))
        return false;
    json_object_set_new(version, "runs", list);
    if (!rdb_query(db,
                   "SELECT label FROM template_label WHERE template_id = ?1 AND number = ?2"
                   " UNION ALL SELECT 'latest' WHERE ?2 = (SELECT max(number) FROM template_version"
                   " WHERE template_id = ?1) ORDER BY 1",
                   &st, e, "ii", id, number) ||
        !collect(st, text_row, &list, e))
        return false;
    json_object_set_new(version, "labels", list);
    return true;
}

static bool read_version(struct store_db *db, void *ctx, struct err *e)
{
    const struct read_call *c = ctx;
    struct rdb_template t;
    struct store_stmt *st;
    enum registry_state state;
    int64_t number;
    bool row = false;
    json_t *version = NULL;
    TRY(rdb_template(db, c->who, c->name, &t, e) && rdb_number(db, &t, c->ref, &number, e) &&
        rdb_state(db, t.id, number, &state, e));
    TRY(rdb_query(db,
                  "SELECT hash, note, author_id, created_at, content FROM template_version"
                  " WHERE template_id = ?1 AND number = ?2",
                  &st, e, "ii", t.id, number) &&
        store_step(st, &row, e));
    version = json_pack("{s:I, s:s, s:I, s:s, s:o, s:o, s:o, s:o, s:o}", "template_id",
                        (json_int_t)t.id, "name", t.name, "number", (json_int_t)number, "state",
                        registry_state_name(state), "hash", hex_of(st, 0), "note",
                        rdb_string(st, 1), "author_id", rdb_integer(st, 2), "created_at",
                        rdb_integer(st, 3), "content", rdb_json(st, 4));
    store_done(st);
    TRY(add_history(db, t.id, number, version, e));
    *c->out = version;
    return true;
fail:
    json_decref(version);
    return false;
}

bool registry_version(struct registry *r, const struct principal *who, const char *name,
                      struct registry_ref ref, json_t **out, struct err *e)
{
    struct read_call call = {.who = who, .name = name, .ref = ref, .out = out};
    *out = NULL;
    return store_read(r->store, read_version, &call, e);
}

/* ---- lists ---- */

struct runs_call {
    struct read_call of; /* ref.number of the version */
    int64_t before;
    unsigned limit;
};

static bool read_runs(struct store_db *db, void *ctx, struct err *e)
{
    const struct runs_call *c = ctx;
    struct rdb_template t;
    struct store_stmt *st;
    return rdb_template(db, c->of.who, c->of.name, &t, e) &&
           rdb_version(db, &t, c->of.ref.number, NULL, NULL, e) &&
           rdb_query(db,
                     "SELECT id, at, by_id, passed, failed FROM template_run WHERE template_id = ?1"
                     " AND number = ?2 AND (?3 = 0 OR id < ?3) ORDER BY id DESC LIMIT ?4",
                     &st, e, "iiii", t.id, c->of.ref.number, c->before, (int64_t)c->limit) &&
           collect(st, run_row, c->of.out, e);
}

bool registry_runs(struct registry *r, const struct principal *who, const char *name, int64_t number,
                   int64_t before, unsigned limit, json_t **out, struct err *e)
{
    struct runs_call call = {{.who = who, .name = name, .ref = {.number = number}, .out = out},
                             before, limit};
    *out = NULL;
    if (limit < 1 || limit > 1000)
        FAIL(e, ERR_ARG, "a page has 1 to 1000 runs");
    return store_read(r->store, read_runs, &call, e);
}

static json_t *list_row(struct store_stmt *st)
{
    json_t *row = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                            rdb_integer(st, 0), "name", rdb_string(st, 1), "tags", rdb_json(st, 2),
                            "owner_id", rdb_integer(st, 3), "department_id", rdb_integer(st, 4),
                            "revision", rdb_integer(st, 5), "latest", rdb_integer(st, 6), "title",
                            rdb_json(st, 7), "updated_at", rdb_integer(st, 8), "labels",
                            rdb_json(st, 9));
    if (!store_is_null(st, 10))
        json_object_set_new(row, "versions", rdb_json(st, 10));
    return row;
}

static bool read_list(struct store_db *db, void *ctx, struct err *e)
{
    const struct read_call *c = ctx;
    const struct registry_filter *f = c->filter;
    struct store_stmt *st;
    return rdb_query(
               db,
               "WITH RECURSIVE up(id) AS (SELECT ?1 UNION SELECT d.parent_id FROM department d"
               " JOIN up ON d.id = up.id WHERE d.parent_id IS NOT NULL)"
               " SELECT t.id, t.name, t.tags, t.owner_id, t.department_id, t.revision, v.number,"
               " json_extract(v.content, '$.title'), v.created_at,"
               " (SELECT json_group_array(json_object('label', l.label, 'number', l.number))"
               "  FROM template_label l WHERE l.template_id = t.id),"
               " CASE WHEN ?10 THEN (SELECT json_group_array(number) FROM (SELECT number"
               "  FROM template_version x WHERE x.template_id = t.id ORDER BY number)) END"
               " FROM template t JOIN template_version v ON v.template_id = t.id AND v.number ="
               " (SELECT max(number) FROM template_version w WHERE w.template_id = t.id)"
               " WHERE (?2 OR t.department_id IS NULL OR t.owner_id = ?3"
               "  OR t.department_id IN (SELECT id FROM up))"
               " AND (?4 IS NULL OR t.name > ?4)"
               " AND (?5 IS NULL OR substr(t.name, 1, length(?5)) = ?5)"
               " AND (?6 IS NULL OR EXISTS (SELECT 1 FROM json_each(t.tags) g"
               "  WHERE g.value = ?6))"
               " AND (?7 IS NULL OR ?7 = 'latest' OR EXISTS (SELECT 1 FROM template_label l"
               "  WHERE l.template_id = t.id AND l.label = ?7))"
               " AND (t.archived_at IS NOT NULL) = ?8 ORDER BY t.name LIMIT ?9",
               &st, e, "iiittttiii", c->who->department_id, (int64_t)rdb_sees_all(c->who),
               c->who->person_id, f->after, f->prefix, f->tag, f->label, (int64_t)f->archived,
               (int64_t)f->limit, (int64_t)f->versions) &&
           collect(st, list_row, c->out, e);
}

bool registry_list(struct registry *r, const struct principal *who, const struct registry_filter *f,
                   json_t **out, struct err *e)
{
    struct read_call call = {.who = who, .filter = f, .out = out};
    *out = NULL;
    if (f->limit < 1 || f->limit > 1000)
        FAIL(e, ERR_ARG, "a page has 1 to 1000 templates");
    return store_read(r->store, read_list, &call, e);
}

/* ---- differences ---- */

static bool read_diff(struct store_db *db, void *ctx, struct err *e)
{
    const struct read_call *c = ctx;
    struct rdb_template t;
    int64_t from, to;
    json_t *a = NULL, *b = NULL;
    bool ok = rdb_template(db, c->who, c->name, &t, e) && rdb_number(db, &t, c->ref, &from, e) &&
              rdb_number(db, &t, c->to, &to, e) && rdb_version(db, &t, from, &a, NULL, e) &&
              rdb_version(db, &t, to, &b, NULL, e);
    if (ok)
        *c->out = json_pack("{s:I, s:I, s:o}", "from", (json_int_t)from, "to", (json_int_t)to,
                            "changes", diff_content(a, b));
    json_decref(a);
    json_decref(b);
    return ok;
}

bool registry_diff(struct registry *r, const struct principal *who, const char *name,
                   struct registry_ref from, struct registry_ref to, json_t **out, struct err *e)
{
    struct read_call call = {.who = who, .name = name, .ref = from, .to = to, .out = out};
    *out = NULL;
    return store_read(r->store, read_diff, &call, e);
}
