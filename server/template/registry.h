/* The prompt registry: templates, their versions, labels, reviews, in the database.
 *
 * A template has a name with folders, tags, an owner and a department that sees it (none:
 * everybody). Versions are numbered from 1 and never change; numbers are never used twice. Each
 * begins as a draft and goes draft -> review -> approved or rejected (rejected -> review is
 * possible); whoever wrote a version never approves it. A label points to a version: "production",
 * "staging", any own name; "latest" always means the highest number and cannot be moved.
 * "production" is born protected: a protected label only points to approved versions whose includes
 * are approved too, and only an approver moves it. Rollback is moving a label back. An include that
 * names a label is saved as the version that the label means then: what a version says never
 * changes, and who approves it approves all of it.
 *
 * Who may: see = local administrator, ROLE_ADMIN, ROLE_AUDITOR, the owner, everybody in the
 * department or below it. Write (save, fork, move labels that are not protected, delete, tags) =
 * ROLE_EDITOR, whatever they see. Approve, protect labels and move protected ones = ROLE_APPROVER.
 * Take protection off = ROLE_ADMIN, or whoever writes and approves could publish alone. Give away
 * (owner, department, archive) = ROLE_ADMIN or the owner with ROLE_EDITOR. A template goes to
 * everybody, or to the department of whoever creates, forks or gives it, one above or one below
 * that; a new one belongs to whoever creates it. Only ROLE_ADMIN names other departments, and other
 * owners of new ones. The local administrator may all of it but approve: an approval has a person's
 * name. What one may not see does not exist (ERR_NOT_FOUND); what one may not do is ERR_DENIED.
 * Including a template needs the author to see it; whoever runs the result need not.
 *
 * Every act is one transaction with its audit row ("template.save", "label.move", …). Rows carry a
 * revision; acts take the one that was read and fail with ERR_STALE "changed meanwhile" when it
 * is another by now.
 *
 * Owner: the process. Thread: any, no call from inside a store callback. JSON results are owned
 * references; times in them are seconds since the epoch.
 */
#ifndef SEEKD_TEMPLATE_REGISTRY_H
#define SEEKD_TEMPLATE_REGISTRY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit.h"
#include "auth/principal.h"
#include "base/err.h"
#include "template/checks.h"
#include "template/content.h"
#include "template/finding.h"
#include "template/render.h"

struct registry;
struct store;

/* `tokens` (may be NULL) counts for lint; it is called on the writer thread. Both are borrowed. */
void registry_create(struct store *store, const struct token_counter *tokens,
                     struct registry **out);
void registry_destroy(struct registry **r);
/* Another model was loaded: counts differ from now on. */
void registry_set_tokens(struct registry *r, const struct token_counter *tokens);
const struct token_counter *registry_tokens(const struct registry *r); /* NULL = no model */

/* ERR_NOT_FOUND in the words that every such refusal has, whatever does not exist or may not be
 * seen: the template, or its label (NULL: the template). Always false. */
bool registry_fail_missing(const char *name, const char *label, struct err *e);

/* Who acts. All borrowed. */
struct registry_act {
    const struct principal *who;
    const struct audit_actor *actor;
    const char *reason; /* for the audit log, "" = none given */
    int64_t now_s;
};

/* ---- templates and versions ------------------------------------------------------------------ */

struct registry_save {
    const char *name;
    const json_t *content; /* as people send it; checked here */
    const char *note;      /* change note, 1..2000 bytes */
    const json_t *tags;    /* NULL: as they are; a new template: none */
    int64_t revision;      /* of the template as it was read; 0 = it must be new */
    /* of a new template only */
    int64_t owner_id;      /* 0: who acts */
    int64_t department_id; /* 0: everybody sees it */
};
struct registry_saved {
    int64_t template_id, number, revision; /* revision of the template now */
    char hash[CANON_HASH_HEX];
    bool unchanged;   /* the newest version says the same: nothing was saved */
    json_t *findings; /* owned: warnings, or why it was refused; may be NULL */
    json_t *measures; /* owned: see lint.h; may be NULL */
};
/* Saves a version. `out` must be released whether it succeeds or not: findings say what is wrong.
 * Errors: ERR_ARG (findings), ERR_CONFLICT, ERR_NOT_FOUND, ERR_DENIED. */
bool registry_save(struct registry *r, const struct registry_act *act,
                   const struct registry_save *save, struct registry_saved *out,
                   struct err *e) WARN_UNUSED;
void registry_saved_release(struct registry_saved *s);

/* Checks without saving: findings and measures as a save would give them (revision 0). */
bool registry_lint(struct registry *r, const struct principal *who, const char *name,
                   const json_t *content, struct registry_saved *out, struct err *e) WARN_UNUSED;

/* Changes what is not part of versions. NULL and -1: as it is; department_id 0 = everybody. */
struct registry_change {
    const json_t *tags;
    int64_t owner_id, department_id;
    int archived; /* 0, 1: archived templates are not listed and not resolved */
};
#define REGISTRY_CHANGE_NONE                                                                       \
    ((struct registry_change){.tags = NULL, .owner_id = -1, .department_id = -1, .archived = -1})
bool registry_change(struct registry *r, const struct registry_act *act, const char *name,
                     int64_t revision, const struct registry_change *change,
                     struct err *e) WARN_UNUSED;

/* A version by number, or by label; both zero: its newest. Both given: ERR_ARG. */
struct registry_ref {
    const char *label;
    int64_t number;
};

/* {"id", "name", "tags", "owner_id", "department_id", "forked_from", "created_at", "archived",
 *  "revision", "versions": [{"number", "hash", "note", "author_id", "created_at", "state"}] newest
 *  first, at most 1000, "labels": [{"label", "number", "protected", "revision", "moved_at",
 * "moved_by", "canary": {"number", "permille" | "department_id"} or null}]} ("latest" included). */
bool registry_get(struct registry *r, const struct principal *who, const char *name, json_t **out,
                  struct err *e) WARN_UNUSED;
/* {"template_id", "name", "number", "hash", "note", "author_id", "created_at", "state", "labels",
 *  "content", "reviews": [{"state", "by_id", "at", "note", "evidence"}], "runs": [{"id", "at",
 * "by_id", "passed", "failed"}] newest first}. */
bool registry_version(struct registry *r, const struct principal *who, const char *name,
                      struct registry_ref ref, json_t **out, struct err *e) WARN_UNUSED;

struct registry_filter {
    const char *prefix; /* folder ("office/") or any beginning of names, NULL = all */
    const char *tag;    /* NULL = any */
    const char *label;  /* only templates that have it, NULL = any */
    bool archived;      /* those instead of the living */
    bool versions;      /* rows have "versions": the numbers that there are, ascending */
    const char *after;  /* cursor: name of the last one of the page before, NULL = from the start */
    unsigned limit;     /* 1..1000 */
};
/* Array in order of names: {"id", "name", "tags", "owner_id", "department_id", "revision",
 * "latest", "title" (of the newest version), "labels": [{"label", "number"}], "updated_at"}, and
 * "versions" when the filter asks for them. */
bool registry_list(struct registry *r, const struct principal *who, const struct registry_filter *f,
                   json_t **out, struct err *e) WARN_UNUSED;

/* Refused (ERR_CONFLICT) while a label, "latest" included, or an include points to it. */
bool registry_delete_version(struct registry *r, const struct registry_act *act, const char *name,
                             int64_t number, struct err *e) WARN_UNUSED;

/* A new template whose version 1 is that version. owner_id 0: who acts. */
bool registry_fork(struct registry *r, const struct registry_act *act, const char *from,
                   struct registry_ref ref, const char *name, int64_t owner_id,
                   int64_t department_id, struct registry_saved *out, struct err *e) WARN_UNUSED;

/* diff_content() of two versions of one template: {"from", "to" (numbers), "changes"}. */
bool registry_diff(struct registry *r, const struct principal *who, const char *name,
                   struct registry_ref from, struct registry_ref to, json_t **out,
                   struct err *e) WARN_UNUSED;

/* ---- reviews --------------------------------------------------------------------------------- */

enum registry_state { STATE_DRAFT, STATE_REVIEW, STATE_APPROVED, STATE_REJECTED };
const char *registry_state_name(enum registry_state s);

struct registry_decision {
    enum registry_state to; /* review (an editor), approved or rejected (an approver) */
    const char *note;       /* "" = none */
    const json_t *evidence; /* object; needed for approved */
    bool without_run; /* approve although the newest run of its test set did not pass, or there is
                       * none; noted in the evidence */
};
/* Approval stores the evidence with the version's hash and its newest run. Taking back an approval
 * (approved -> rejected) is refused while a protected label points there. ERR_DENIED: the author.
 * ERR_CONFLICT: not from this state, or the tests have not passed. */
bool registry_review(struct registry *r, const struct registry_act *act, const char *name,
                     int64_t number, const struct registry_decision *d, struct err *e) WARN_UNUSED;

/* Keeps the outcome of a test set: `report` any JSON. *id = number of the run. */
bool registry_record_run(struct registry *r, const struct registry_act *act, const char *name,
                         int64_t number, int64_t passed, int64_t failed, const json_t *report,
                         int64_t *id, struct err *e) WARN_UNUSED;
/* The runs of a version, newest first: an array of what registry_version has under "runs". `before` =
 * id of the last one of the page before, 0 = from the newest; limit 1..1000. */
bool registry_runs(struct registry *r, const struct principal *who, const char *name, int64_t number,
                   int64_t before, unsigned limit, json_t **out, struct err *e) WARN_UNUSED;
/* The report of a run, newest when id is 0. */
bool registry_run(struct registry *r, const struct principal *who, const char *name, int64_t number,
                  int64_t id, json_t **out, struct err *e) WARN_UNUSED;

/* ---- labels ---------------------------------------------------------------------------------- */

/* Puts a label on a version, creating it (revision 0) or moving it; a canary ends with that. */
bool registry_label_move(struct registry *r, const struct registry_act *act, const char *name,
                         const char *label, int64_t number, int64_t revision,
                         struct err *e) WARN_UNUSED;
/* Moves it back to where it pointed before its last move. *number = where it points now. */
bool registry_label_rollback(struct registry *r, const struct registry_act *act, const char *name,
                             const char *label, int64_t revision, int64_t *number,
                             struct err *e) WARN_UNUSED;
bool registry_label_protect(struct registry *r, const struct registry_act *act, const char *name,
                            const char *label, int64_t revision, bool protect,
                            struct err *e) WARN_UNUSED;
/* Protected labels must be unprotected first. */
bool registry_label_delete(struct registry *r, const struct registry_act *act, const char *name,
                           const char *label, int64_t revision, struct err *e) WARN_UNUSED;

/* Part of the traffic gets another version under the same label. */
struct registry_canary {
    int64_t number;        /* 0 = end it */
    unsigned permille;     /* 0..1000 of callers, by a stable hash of their key; 0 = end it; */
    int64_t department_id; /* or, when not 0, everybody in this department (not below it) */
};
bool registry_label_canary(struct registry *r, const struct registry_act *act, const char *name,
                           const char *label, int64_t revision, const struct registry_canary *c,
                           struct err *e) WARN_UNUSED;

/* ---- use ------------------------------------------------------------------------------------- */

struct registry_request {
    const char *name;
    struct registry_ref ref; /* neither: "production" */
    const char *caller; /* decides the canary: stable for one caller ("person:17"); NULL = never */
};
struct registry_resolved {
    struct prompt *prompt; /* owned: prompt_unref() */
    int64_t template_id, number;
    char name[CONTENT_NAME_MAX + 1];
    char label[CONTENT_LABEL_MAX + 1]; /* "" = asked for by number */
    char hash[CANON_HASH_HEX];         /* of the version */
    bool canary;
};
/* Strict: an unknown template, label or number is ERR_NOT_FOUND, label and number together ERR_ARG;
 * there is no falling back. Cost: common; prompts of versions that never change are kept compiled.
 */
bool registry_resolve(struct registry *r, const struct principal *who,
                      const struct registry_request *request, struct registry_resolved *out,
                      struct err *e) WARN_UNUSED;

/* Is this caller among `permille` of 1000? Stable over time, different for every template and
 * label. */
bool registry_in_canary(int64_t template_id, const char *label, const char *caller,
                        unsigned permille);

#endif
