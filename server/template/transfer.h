/* The registry as a folder of text files, for version control, other servers and shipped templates.
 *
 *   NAME/NUMBER.prompt   every version (promptfile.h); NAME has its folders
 *   labels.json          {"format": 1, "templates": {NAME: {"department": name or null, "tags":
 * […], "states": {"1": "approved", …}, "labels": {LABEL: {"number", "protected"}}}}}
 *
 * Importing what was exported gives the same numbers and the same hashes. Canaries, people and runs
 * stay behind: whoever imports is the author. Files without a number ("minutes.prompt") are the
 * next version of the template that their head names. Other files, names that begin with '.' and
 * symbolic links are not looked at.
 *
 * An import checks and lints its files in its one job on the writer thread, the exception to what
 * store.h asks of a callback: what they include may come with them, so nothing is known before. Until
 * it ends, everything else that is written waits.
 *
 * Thread: any, not from a store callback.
 */
#ifndef SEEKD_TEMPLATE_TRANSFER_H
#define SEEKD_TEMPLATE_TRANSFER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "template/registry.h"

enum { TRANSFER_MAX_FILES = 20000, TRANSFER_MAX_DEPTH = 24 };

struct transfer_options {
    bool dry_run; /* say what would happen, to the letter, and change nothing */
    /* Take over who approved what from labels.json (and approve files without a number) instead of
     * beginning with drafts. Only for the machine's administrator: else ERR_DENIED. */
    bool trust_states;
    const char *label;     /* for versions from files without a number, NULL = none */
    int64_t owner_id;      /* of new templates, 0 = who acts */
    int64_t department_id; /* of new templates without one in labels.json, 0 = everybody */
};

/* All or nothing, in one transaction with an audit row per act. *report (owned reference, also on
 * failure; NULL when it did not come so far):
 *   {"dry_run", "files", "changes": [{"template", "action", "number", "detail"}],
 *    "problems": [{"path", "message", "findings"}]}
 * action: created (template and version), added (version), unchanged, approved, label,
 * label_skipped (it is protected and the version not approved, or this actor may not; no problem by
 * itself). Errors: ERR_ARG (problems; nothing was imported), ERR_IO, ERR_LIMIT, ERR_DENIED, those
 * of the store. */
bool transfer_import(struct registry *r, const struct registry_act *act, const char *folder,
                     const struct transfer_options *opt, json_t **report,
                     struct err *e) WARN_UNUSED;

/* Writes what `who` sees and whose name begins with `prefix` (NULL = all) into a folder that does
 * not exist or is empty: the versions and labels that there are when it begins, without versions that
 * are deleted meanwhile. No reader of the store waits for the files. *n_versions may be NULL. Errors:
 * ERR_IO, ERR_CONFLICT (not empty). */
bool transfer_export(struct registry *r, const struct principal *who, const char *folder,
                     const char *prefix, size_t *n_versions, struct err *e) WARN_UNUSED;

#endif
