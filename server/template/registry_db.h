/* What the acts of the registry share: finding rows, deciding who may see and do what, the audit
 * row. Internal to the registry (registry*.c, transfer.c). Everything runs inside a store callback.
 */
#ifndef SEEKD_TEMPLATE_REGISTRY_DB_H
#define SEEKD_TEMPLATE_REGISTRY_DB_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/store.h"
#include "template/registry.h"

struct cache;

struct registry {
    struct store *store;                          /* borrowed */
    _Atomic(const struct token_counter *) tokens; /* borrowed, may be NULL */
    struct cache *cache;                          /* registry_resolve.c */
};

struct cache *cache_create(void);
void cache_destroy(struct cache **c);

/* ---- statements: what store.h has, in fewer lines -------------------------------------------- */

/* Prepares and binds: one letter per parameter, 'i' int64_t, 't' const char * (NULL binds NULL),
 * 'z' int64_t of which 0 binds NULL, 'h' 32 bytes. */
bool rdb_query(struct store_db *db, const char *sql, struct store_stmt **st, struct err *e,
               const char *types, ...) WARN_UNUSED;
/* The same for a statement without rows; runs it. */
bool rdb_run(struct store_db *db, const char *sql, struct err *e, const char *types,
             ...) WARN_UNUSED;
/* An owned JSON value from a column of JSON text; NULL JSON for NULL. */
json_t *rdb_json(struct store_stmt *st, int column);
/* An owned string or JSON null. */
json_t *rdb_string(struct store_stmt *st, int column);
/* An owned integer or JSON null. */
json_t *rdb_integer(struct store_stmt *st, int column);

/* ---- templates ------------------------------------------------------------------------------- */

struct rdb_template {
    int64_t id, owner_id, department_id, revision; /* department 0 = everybody */
    int64_t created_at, forked_from, forked_version;
    bool archived;
    char name[CONTENT_NAME_MAX + 1];
};

/* *found = there is one, whoever sees it. */
bool rdb_template_any(struct store_db *db, const char *name, struct rdb_template *out, bool *found,
                      struct err *e) WARN_UNUSED;
/* ERR_NOT_FOUND when there is none or `who` may not see it; `who` NULL sees everything. */
bool rdb_template(struct store_db *db, const struct principal *who, const char *name,
                  struct rdb_template *out, struct err *e) WARN_UNUSED;
bool rdb_sees(struct store_db *db, const struct principal *who, int64_t owner_id,
              int64_t department_id, bool *sees, struct err *e) WARN_UNUSED;
/* Sees all there is, whatever the department. */
bool rdb_sees_all(const struct principal *who);

/* ERR_NOT_FOUND when there is no such person or department; 0 is not looked at. */
bool rdb_check_ids(struct store_db *db, int64_t person_id, int64_t department_id,
                   struct err *e) WARN_UNUSED;

/* ERR_DENIED without the role. */
bool rdb_may_write(const struct principal *who, struct err *e) WARN_UNUSED;
/* May a template go from them to this department? `owner_id` of a new one, 0 = as it is. */
bool rdb_may_give(struct store_db *db, const struct principal *who, int64_t owner_id,
                  int64_t department_id, struct err *e) WARN_UNUSED;
bool rdb_may_approve(const struct principal *who, struct err *e) WARN_UNUSED;

/* ---- versions -------------------------------------------------------------------------------- */

/* 0 when there is none. */
bool rdb_newest(struct store_db *db, int64_t template_id, int64_t *number,
                struct err *e) WARN_UNUSED;
/* Strict; `t` for messages. */
bool rdb_number(struct store_db *db, const struct rdb_template *t, struct registry_ref ref,
                int64_t *number, struct err *e) WARN_UNUSED;
/* Either result may be NULL. *content is an owned reference. ERR_NOT_FOUND. */
bool rdb_version(struct store_db *db, const struct rdb_template *t, int64_t number,
                 json_t **content, uint8_t hash[CANON_HASH_BYTES], struct err *e) WARN_UNUSED;
bool rdb_state(struct store_db *db, int64_t template_id, int64_t number, enum registry_state *out,
               struct err *e) WARN_UNUSED;
/* May a protected label point there? ERR_CONFLICT says why not. */
bool rdb_fit_to_protect(struct store_db *db, const struct rdb_template *t, int64_t number,
                        struct err *e) WARN_UNUSED;

/* prompt_fetch_fn; ctx is a struct rdb_fetch. */
struct rdb_fetch {
    struct store_db *db;
    const struct principal *who; /* who must see the parts; NULL: nobody */
};
bool rdb_fetch(void *ctx, const char *name, const char *label, int64_t number,
               struct prompt_source *out, struct err *e);
/* Content in which every include names the version that its label means now, so that it means the
 * same ever after. Includes of what `who` does not find stay as they are: the checks of a save say
 * so. *out is owned. */
bool rdb_pin(struct store_db *db, const struct principal *who, const json_t *content, json_t **out,
             struct err *e) WARN_UNUSED;

/* ---- saving ---------------------------------------------------------------------------------- */

struct rdb_save {
    const struct registry_act *act;
    const struct registry_save *save;
    const json_t *content; /* checked */
    int64_t number;        /* 0 = the next one */
    int64_t forked_from, forked_version;
    const struct token_counter *tokens;
    struct findings *findings;
};
/* Everything a save does, inside a store_write callback; the content is pinned first. */
bool rdb_save(struct store_db *db, const struct rdb_save *job, struct registry_saved *out,
              struct err *e) WARN_UNUSED;

/* What registry_label_move() does, inside a store_write callback. */
bool rdb_label_move(struct store_db *db, const struct registry_act *act,
                    const struct rdb_template *t, const char *label, int64_t number,
                    int64_t revision, struct err *e) WARN_UNUSED;
/* Room for "NAME@LABEL" or "NAME#NUMBER", as the audit log calls them. */
enum { RDB_OBJECT_TEXT = CONTENT_NAME_MAX + CONTENT_LABEL_MAX + 24 };

/* ---- audit ----------------------------------------------------------------------------------- */

/* Appends the row; owns before and after (NULL = nothing). object: "office/minutes",
 * "office/minutes#3", "office/minutes@production". */
bool rdb_audit_take(struct store_db *db, const struct registry_act *act, const char *action,
                    const char *kind, const char *object, json_t *before, json_t *after,
                    struct err *e) WARN_UNUSED;

#endif
