/* Owns: folders of prompt files in both directions. Refuses to know: how versions are written as
 * text (promptfile.c) and what saving one means (registry.c).
 *
 * An import reads and parses every file first, then does everything in one job. Templates come in
 * an order in which what is included precedes what includes it, each with its labels, so that
 * includes resolve as they did where the files came from. A dry run is the same job, undone at its
 * end.
 *
 * An export reads a page of versions, writes their files, and reads the next. */
#include <config.h>

#include "template/transfer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "template/promptfile.h"
#include "template/registry_db.h"

static const char labels_name[] = "labels.json";
enum { LABELS_MAX_BYTES = 16 << 20 };

/* ---- files ---- */

static char *join(const char *folder, const char *name)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_printf(&b, "%s/%s", folder, name);
    if (!b.failed)
        return buf_take(&b);
    buf_release(&b);
    return mem_strdup("");
}

/* The whole regular file; `b` was initialised. */
static bool read_whole(const char *path, struct buf *b, struct err *e)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    char chunk[16384];
    ssize_t n = -1;
    if (fd < 0)
        FAIL_OS(e, "cannot open %s", path);
    bool looked = fstat(fd, &st) == 0, is_file = looked && S_ISREG(st.st_mode);
    while (is_file && (n = read(fd, chunk, sizeof chunk)) > 0 && buf_append(b, chunk, (size_t)n))
        continue;
    int why = errno;
    close(fd);
    errno = why;
    if (looked && !is_file)
        FAIL(e, ERR_FORMAT, "%s is not a file", path);
    if (n < 0)
        FAIL_OS(e, "cannot read %s", path);
    if (b->failed)
        FAIL(e, ERR_LIMIT, "%s is longer than %zu bytes", path, b->max_bytes);
    return true;
}

static bool write_whole(const char *path, const struct buf *b, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    size_t done = 0;
    if (fd < 0)
        FAIL_OS(e, "cannot create %s", path);
    while (done < b->len) {
        ssize_t n = write(fd, b->data + done, b->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int why = errno;
            close(fd);
            errno = why;
            FAIL_OS(e, "cannot write %s", path);
        }
        done += (size_t)n;
    }
    if (close(fd) != 0)
        FAIL_OS(e, "cannot write %s", path);
    return true;
}

/* ---- import: what was read ---- */

struct file {
    char *path;     /* owned */
    int64_t number; /* 0 = none */
    struct promptfile p;
};

struct import {
    struct registry *r;
    const struct registry_act *act;
    const struct transfer_options *opt;
    struct file *file; /* owned */
    size_t n_files, cap_files;
    json_t *templates;          /* of labels.json; owned, may be NULL */
    json_t *changes, *problems; /* owned */
    bool finished;              /* the job came to its end */
};

/* Owns `findings`, which may be NULL. */
static void problem(struct import *im, const char *path, const char *message, json_t *findings)
{
    json_t *text = json_string(message), *where = json_string(path);
    json_array_append_new(im->problems,
                          json_pack("{s:o, s:o, s:o}", "path", where ? where : json_string("?"),
                                    "message", text ? text : json_string("?"), "findings",
                                    findings ? findings : json_array()));
}

static void change(struct import *im, const char *name, const char *action, int64_t number,
                   const char *detail)
{
    json_array_append_new(im->changes,
                          json_pack("{s:s, s:s, s:I, s:s}", "template", name, "action", action,
                                    "number", (json_int_t)number, "detail", detail));
}

/* N of "N.prompt", 0 for other names. */
static int64_t number_of(const char *base)
{
    size_t digits = strspn(base, "0123456789");
    if (digits < 1 || digits > 9 || base[0] == '0' || strcmp(base + digits, ".prompt") != 0)
        return 0;
    return strtoll(base, NULL, 10);
}

static bool add_file(struct import *im, const char *path, const char *base, struct err *e)
{
    struct buf b;
    struct findings f;
    struct err why = ERR_INIT;
    struct file file = {.number = number_of(base)};
    if (im->n_files == TRANSFER_MAX_FILES)
        FAIL(e, ERR_LIMIT, "the folder has more than %d prompt files", TRANSFER_MAX_FILES);
    findings_init(&f);
    buf_init(&b, PROMPTFILE_MAX_BYTES);
    if (read_whole(path, &b, &why) && promptfile_parse(buf_str(&b), b.len, &file.p, &f, &why)) {
        if (im->n_files == im->cap_files) {
            im->cap_files = im->cap_files ? im->cap_files * 2 : 64;
            im->file = mem_realloc(im->file, im->cap_files * sizeof *im->file);
        }
        file.path = mem_strdup(path);
        im->file[im->n_files++] = file;
    } else {
        problem(im, path, why.msg, json_incref(f.list));
    }
    buf_release(&b);
    findings_release(&f);
    return true;
}

static int is_visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static bool read_folder(struct import *im, const char *path, unsigned depth, struct err *e)
{
    struct dirent **list;
    bool ok = true;
    if (depth > TRANSFER_MAX_DEPTH)
        FAIL(e, ERR_LIMIT, "folders are nested deeper than %d", TRANSFER_MAX_DEPTH);
    int n = scandir(path, &list, is_visible, alphasort);
    if (n < 0)
        FAIL_OS(e, "cannot read the folder %s", path);
    for (int i = 0; i < n; i++) {
        const char *base = list[i]->d_name;
        size_t len = strlen(base);
        char *inner = join(path, base);
        struct stat st;
        if (ok && lstat(inner, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                ok = read_folder(im, inner, depth + 1, e);
            else if (S_ISREG(st.st_mode) && len > 7 && strcmp(base + len - 7, ".prompt") == 0)
                ok = add_file(im, inner, base, e);
        }
        free(inner);
        free(list[i]);
    }
    free(list);
    return ok;
}

static bool is_labels(const json_t *j)
{
    return json_is_object(j) && json_integer_value(json_object_get(j, "format")) == 1 &&
           json_is_object(json_object_get(j, "templates"));
}

static void read_labels(struct import *im, const char *folder)
{
    char *path = join(folder, labels_name);
    struct buf b;
    struct err why = ERR_INIT;
    buf_init(&b, LABELS_MAX_BYTES);
    if (read_whole(path, &b, &why)) {
        json_t *j = canon_parse(buf_str(&b), b.len, &why);
        if (is_labels(j))
            im->templates = json_incref(json_object_get(j, "templates"));
        else
            problem(im, path, j ? "needs \"format\": 1 and \"templates\"" : why.msg, NULL);
        json_decref(j);
    } else if (why.os != ENOENT) {
        problem(im, path, why.msg, NULL);
    }
    buf_release(&b);
    free(path);
}

/* By name; numbers ascending, files without one last. */
static int by_name(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    int c = strcmp(x->p.name, y->p.name);
    if (c)
        return c;
    if (x->number && y->number)
        return x->number < y->number ? -1 : x->number > y->number;
    return (x->number == 0) - (y->number == 0);
}

static void find_twins(struct import *im)
{
    for (size_t i = 1; i < im->n_files; i++) {
        if (by_name(&im->file[i - 1], &im->file[i]) == 0)
            problem(im, im->file[i].path,
                    "another file holds the same version of the same template", NULL);
    }
}

/* ---- import: one template ---- */

/* Its files are [first, end). */
struct group {
    size_t first, end;
    const char *name;     /* borrowed */
    const json_t *record; /* of labels.json, may be NULL */
};

static bool department_of(struct store_db *db, struct import *im, const struct group *g,
                          int64_t *id, struct err *e)
{
    const char *name = json_string_value(json_object_get(g->record, "department"));
    struct store_stmt *st;
    *id = im->opt->department_id;
    if (!name || *id)
        return true;
    if (!rdb_query(db,
                   "SELECT CASE count(*) WHEN 1 THEN max(id) END FROM department WHERE name = ?1",
                   &st, e, "t", name) ||
        !store_first_int(st, 0, id, e))
        return false;
    if (*id == 0)
        problem(im, g->name,
                "its department is not there, or several have its name: create it, or "
                "say which department gets the templates",
                NULL);
    return true;
}

static bool set_approved(struct store_db *db, struct import *im, const struct rdb_template *t,
                         int64_t number, struct err *e)
{
    enum registry_state state;
    char object[RDB_OBJECT_TEXT];
    if (!rdb_state(db, t->id, number, &state, e))
        return false;
    if (state == STATE_APPROVED)
        return true;
    snprintf(object, sizeof object, "%s#%" PRId64, t->name, number);
    change(im, t->name, "approved", number, "");
    return rdb_run(db,
                   "INSERT INTO template_review (template_id, number, state, by_id, at, note,"
                   " evidence) VALUES (?1, ?2, 'approved', ?3, ?4, 'import', '{\"import\":true}')",
                   e, "iiii", t->id, number, im->act->who->person_id, im->act->now_s) &&
           rdb_audit_take(db, im->act, "template.review", "template", object,
                          json_pack("{s:s}", "state", registry_state_name(state)),
                          json_pack("{s:s, s:s}", "state", "approved", "note", "import"), e);
}

/* Is the version there already, and the same? *done = nothing more to do. */
static bool compare_version(struct store_db *db, struct import *im, const struct file *f,
                            const struct rdb_template *t, bool *done, struct err *e)
{
    uint8_t mine[CANON_HASH_BYTES], there[CANON_HASH_BYTES];
    struct err why = ERR_INIT;
    int64_t newest;
    char *text = NULL;
    size_t len;
    *done = false;
    if (!f->number || !t->id)
        return true;
    if (!content_canonical(f->p.content, &text, &len, mine, e))
        return false;
    free(text);
    if (rdb_version(db, t, f->number, NULL, there, &why)) {
        *done = true;
        if (memcmp(mine, there, sizeof mine) == 0)
            change(im, t->name, "unchanged", f->number, "");
        else
            problem(im, f->path, "this version says something else in the registry", NULL);
        return true;
    }
    if (why.code != ERR_NOT_FOUND) {
        if (e)
            *e = why;
        return false;
    }
    if (!rdb_newest(db, t->id, &newest, e))
        return false;
    *done = f->number < newest;
    if (*done)
        problem(im, f->path, "the registry has newer versions of this template", NULL);
    return true;
}

/* Its includes name versions from now on, as those in the registry do. */
static bool pin_file(struct store_db *db, const struct import *im, struct file *f, struct err *e)
{
    json_t *pinned;
    if (!rdb_pin(db, im->act->who, f->p.content, &pinned, e))
        return false;
    json_decref(f->p.content);
    f->p.content = pinned;
    return true;
}

/* What a file says is its problem, what the disk says ends the import. */
static bool is_about_content(enum err_code code)
{
    return code == ERR_ARG || code == ERR_CONFLICT || code == ERR_NOT_FOUND || code == ERR_LIMIT ||
           code == ERR_DENIED || code == ERR_FORMAT;
}

static bool save_file(struct store_db *db, struct import *im, const struct group *g, struct file *f,
                      int64_t department, struct err *e)
{
    struct rdb_template t;
    bool found, done = false, ok;
    struct findings findings;
    struct err why = ERR_INIT;
    struct registry_saved out = {.number = 0};
    json_t *tags = json_object_get(g->record, "tags");
    if (!rdb_template_any(db, g->name, &t, &found, e) || !pin_file(db, im, f, e) ||
        !compare_version(db, im, f, &t, &done, e))
        return false;
    if (done)
        return true;
    const struct registry_save save = {
        .name = g->name,
        .content = f->p.content,
        .note = f->p.note,
        .tags = f->p.tags                  ? f->p.tags
                : promptfile_tags_ok(tags) ? tags
                                           : NULL,
        .revision = t.revision,
        .owner_id = im->opt->owner_id,
        .department_id = department,
    };
    findings_init(&findings);
    const struct rdb_save job = {.act = im->act,
                                 .save = &save,
                                 .content = f->p.content,
                                 .number = f->number,
                                 .findings = &findings};
    ok = rdb_save(db, &job, &out, &why);
    if (ok)
        change(im, g->name,
               out.unchanged ? "unchanged"
               : found       ? "added"
                             : "created",
               out.number, out.hash);
    else
        problem(im, f->path, why.msg, json_incref(findings.list));
    f->number = f->number ? f->number : -out.number; /* negative: given here */
    registry_saved_release(&out);
    findings_release(&findings);
    if (!ok && !is_about_content(why.code)) {
        if (e)
            *e = why;
        return false;
    }
    return true;
}

static bool take_states(struct store_db *db, struct import *im, const struct group *g,
                        const struct rdb_template *t, struct err *e)
{
    const json_t *states = json_object_get(g->record, "states");
    for (size_t i = g->first; i < g->end; i++) {
        const struct file *f = &im->file[i];
        char number[24];
        snprintf(number, sizeof number, "%" PRId64, f->number);
        const char *state = json_string_value(json_object_get(states, number));
        bool approved = f->number < 0 || (state && strcmp(state, "approved") == 0);
        if (approved && f->number && !set_approved(db, im, t, llabs(f->number), e))
            return false;
    }
    return true;
}

/* ---- import: labels ---- */

static bool protect(struct store_db *db, struct import *im, const struct rdb_template *t,
                    const char *label, int64_t number, struct err *e)
{
    char object[RDB_OBJECT_TEXT];
    snprintf(object, sizeof object, "%s@%s", t->name, label);
    return rdb_run(db,
                   "UPDATE template_label SET protected = 1, revision = revision + 1"
                   " WHERE template_id = ?1 AND label = ?2",
                   e, "it", t->id, label) &&
           rdb_audit_take(db, im->act, "label.protect", "label", object, NULL,
                          json_pack("{s:I, s:b}", "number", (json_int_t)number, "protected", 1), e);
}

static bool put_label(struct store_db *db, struct import *im, const struct rdb_template *t,
                      const char *label, int64_t number, bool is_protected, struct err *e)
{
    struct store_stmt *st;
    struct err why = ERR_INIT;
    int64_t revision = 0, at = 0;
    bool row, was_protected = false;
    if (!rdb_query(db,
                   "SELECT revision, number, protected FROM template_label WHERE template_id = ?1"
                   " AND label = ?2",
                   &st, e, "it", t->id, label) ||
        !store_step(st, &row, e))
        return false;
    if (row) {
        revision = store_int(st, 0);
        at = store_int(st, 1);
        was_protected = store_int(st, 2) != 0;
    }
    store_done(st);
    if (at == number && (was_protected || !is_protected))
        return true;
    /* "production" is born protected. What can not be protected does not move either. */
    bool protects = is_protected && !was_protected && (row || strcmp(label, "production") != 0);
    bool ok = (!protects || (rdb_may_approve(im->act->who, &why) &&
                             rdb_fit_to_protect(db, t, number, &why))) &&
              rdb_label_move(db, im->act, t, label, number, revision, &why) &&
              (!protects || protect(db, im, t, label, number, &why));
    if (!ok && !is_about_content(why.code)) {
        if (e)
            *e = why;
        return false;
    }
    change(im, t->name, ok ? "label" : "label_skipped", number, ok ? label : why.msg);
    return true;
}

static bool put_labels(struct store_db *db, struct import *im, const struct group *g,
                       const struct rdb_template *t, struct err *e)
{
    const char *label;
    json_t *x;
    json_object_foreach (json_object_get(g->record, "labels"), label, x) {
        int64_t number = json_integer_value(json_object_get(x, "number"));
        bool is_protected = json_is_true(json_object_get(x, "protected"));
        if (!put_label(db, im, t, label, number, is_protected, e))
            return false;
    }
    for (size_t i = g->first; im->opt->label && i < g->end; i++) {
        if (im->file[i].number < 0 &&
            !put_label(db, im, t, im->opt->label, -im->file[i].number, false, e))
            return false;
    }
    return true;
}

static bool import_group(struct store_db *db, struct import *im, const struct group *g,
                         struct err *e)
{
    struct rdb_template t;
    int64_t department;
    bool found, sees;
    if (!rdb_template_any(db, g->name, &t, &found, e) ||
        (found && !rdb_sees(db, im->act->who, t.owner_id, t.department_id, &sees, e)))
        return false;
    if (found && !sees) {
        problem(im, im->file[g->first].path, "a template of this name exists already", NULL);
        return true;
    }
    if (!department_of(db, im, g, &department, e))
        return false;
    for (size_t i = g->first; i < g->end; i++) {
        if (!save_file(db, im, g, &im->file[i], department, e))
            return false;
    }
    if (!rdb_template_any(db, g->name, &t, &found, e))
        return false;
    return !found || ((!im->opt->trust_states || take_states(db, im, g, &t, e)) &&
                      put_labels(db, im, g, &t, e));
}

/* ---- import: the order ---- */

static size_t group_end(const struct import *im, size_t first)
{
    size_t end = first + 1;
    while (end < im->n_files && strcmp(im->file[end].p.name, im->file[first].p.name) == 0)
        end++;
    return end;
}

/* First file of a template in the sorted list, n_files when it is not among them. */
static size_t find_name(const struct import *im, const char *name)
{
    size_t low = 0, high = im->n_files;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(im->file[middle].p.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < im->n_files && strcmp(im->file[low].p.name, name) == 0 ? low : im->n_files;
}

/* Are all templates that these versions include imported, as far as they are among the files? */
static bool is_ready(const struct import *im, size_t first, size_t end, const bool *done)
{
    for (size_t i = first; i < end; i++) {
        const json_t *messages = json_object_get(im->file[i].p.content, "messages");
        for (size_t k = 0; k < json_array_size(messages); k++) {
            const char *name =
                json_string_value(json_object_get(json_array_get(messages, k), "include"));
            size_t at = name ? find_name(im, name) : im->n_files;
            if (at < im->n_files && at != first && !done[at])
                return false;
        }
    }
    return true;
}

/* Rounds over what is left; a round that gets nowhere has met a cycle, whose saves say so. */
static bool import_all(struct store_db *db, struct import *im, bool *done, struct err *e)
{
    size_t left = im->n_files;
    for (bool force = false, progress = true; left; force = !progress) {
        progress = false;
        for (size_t first = 0, end; first < im->n_files; first = end) {
            end = group_end(im, first);
            if (done[first] || (!force && !is_ready(im, first, end, done)))
                continue;
            const char *name = im->file[first].p.name;
            const struct group g = {first, end, name, json_object_get(im->templates, name)};
            if (!import_group(db, im, &g, e))
                return false;
            done[first] = progress = true;
            left -= end - first;
        }
    }
    return true;
}

static bool run_import(struct store_db *db, void *ctx, struct err *e)
{
    struct import *im = ctx;
    bool *done = mem_calloc(im->n_files + 1, sizeof *done);
    bool ok = import_all(db, im, done, e);
    free(done);
    if (!ok)
        return false;
    im->finished = true;
    if (json_array_size(im->problems) || im->opt->dry_run)
        FAIL(e, ERR_CANCELLED, "undone");
    return true;
}

static bool judge(const struct import *im, struct err *e)
{
    size_t n = json_array_size(im->problems);
    const json_t *first = json_array_get(im->problems, 0);
    if (n == 0)
        return true;
    FAIL(e, ERR_ARG, "%zu problems, nothing was imported; the first: %.60s: %s", n,
         json_string_value(json_object_get(first, "path")),
         json_string_value(json_object_get(first, "message")));
}

static void release(struct import *im)
{
    for (size_t i = 0; i < im->n_files; i++) {
        free(im->file[i].path);
        promptfile_release(&im->file[i].p);
    }
    free(im->file);
    json_decref(im->templates);
}

bool transfer_import(struct registry *r, const struct registry_act *act, const char *folder,
                     const struct transfer_options *opt, json_t **report, struct err *e)
{
    struct import im = {.r = r, .act = act, .opt = opt};
    struct err why = ERR_INIT;
    bool ok = false;
    *report = NULL;
    if (opt->trust_states && !act->who->local)
        FAIL(e, ERR_DENIED, "only the machine's administrator may import approvals");
    if (!rdb_may_write(act->who, e))
        return false;
    im.changes = json_array();
    im.problems = json_array();
    TRY(read_folder(&im, folder, 0, e));
    read_labels(&im, folder);
    if (im.n_files)
        qsort(im.file, im.n_files, sizeof *im.file, by_name);
    find_twins(&im);
    *report = json_pack("{s:b, s:I, s:O, s:O}", "dry_run", (int)opt->dry_run, "files",
                        (json_int_t)im.n_files, "changes", im.changes, "problems", im.problems);
    ok = json_array_size(im.problems) > 0 || store_write(r->store, run_import, &im, &why) ||
         im.finished;
    if (!ok && e)
        *e = why;
    ok = ok && judge(&im, e);
fail:
    json_decref(im.changes);
    json_decref(im.problems);
    release(&im);
    return ok;
}

/* ---- export ---- */

/* One template of it. */
struct exported {
    int64_t id, newest; /* number of its newest version when the export began */
    json_t *record;     /* of labels.json; borrowed */
    char name[CONTENT_NAME_MAX + 1];
};

struct export
{
    struct registry *r;
    const struct principal *who;
    const char *folder, *prefix;
    struct exported *list; /* owned */
    size_t n, cap;
    json_t *templates; /* of labels.json; owned */
    size_t n_versions;
};

/* What one callback reads: files are written outside, where nobody waits for them. */
enum { EXPORT_PAGE = 16 };
struct page {
    const struct exported *of;
    int64_t after; /* number of the last one of the page before */
    size_t n;
    struct version {
        int64_t number;
        char *text, *note; /* owned */
        json_t *state;     /* owned */
    } version[EXPORT_PAGE];
};

/* Creates every folder of "office/minutes" below the root. */
static bool make_folders(const char *root, const char *name, struct err *e)
{
    char *path = join(root, name);
    size_t base = strlen(root) + 1;
    bool ok = true;
    for (size_t i = base; ok && i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char end = path[i];
        path[i] = '\0';
        ok = mkdir(path, 0750) == 0 || errno == EEXIST;
        if (!ok)
            err_set_os(e, __FILE__, __LINE__, "cannot create the folder %s", path);
        path[i] = end;
    }
    free(path);
    return ok;
}

static bool export_version(struct export *x, const struct exported *t, const struct version *v,
                           struct err *e)
{
    char file[40];
    json_t *tags = json_object_get(t->record, "tags");
    struct promptfile p = {.name = mem_strdup(t->name),
                           .note = mem_strdup(v->note),
                           .tags = json_array_size(tags) ? json_incref(tags) : NULL};
    struct buf b;
    snprintf(file, sizeof file, "%" PRId64 ".prompt", v->number);
    char *folder = join(x->folder, t->name), *path = join(folder, file);
    buf_init(&b, PROMPTFILE_MAX_BYTES);
    p.content = canon_parse(v->text, strlen(v->text), e);
    bool ok = p.content != NULL;
    if (ok) {
        promptfile_write(&p, &b);
        if (b.failed)
            ok = err_set(e, ERR_LIMIT, 0, __FILE__, __LINE__, "%s is too long for a file", path);
        else
            ok = write_whole(path, &b, e);
    }
    x->n_versions += ok;
    buf_release(&b);
    promptfile_release(&p);
    free(folder);
    free(path);
    return ok;
}

static bool run_page(struct store_db *db, void *ctx, struct err *e)
{
    struct page *p = ctx;
    struct store_stmt *st;
    bool row = true, ok;
    if (!rdb_query(db,
                   "SELECT number, content, note, (SELECT r.state FROM template_review r"
                   " WHERE r.template_id = v.template_id AND r.number = v.number ORDER BY r.id DESC"
                   " LIMIT 1) FROM template_version v WHERE template_id = ?1 AND number > ?2"
                   " AND number <= ?3 ORDER BY number LIMIT ?4",
                   &st, e, "iiii", p->of->id, p->after, p->of->newest, (int64_t)EXPORT_PAGE))
        return false;
    while ((ok = store_step(st, &row, e)) && row)
        p->version[p->n++] = (struct version){.number = store_int(st, 0),
                                              .text = mem_strdup(store_text(st, 1)),
                                              .note = mem_strdup(store_text(st, 2)),
                                              .state = rdb_string(st, 3)};
    store_done(st);
    return ok;
}

/* Writes the versions that were read, when that went well, and forgets them. */
static bool write_page(struct export *x, struct page *p, bool ok, struct err *e)
{
    json_t *states = json_object_get(p->of->record, "states");
    for (size_t i = 0; i < p->n; i++) {
        struct version *v = &p->version[i];
        char number[24];
        snprintf(number, sizeof number, "%" PRId64, v->number);
        json_object_set(states, number, v->state);
        ok = ok && export_version(x, p->of, v, e);
        p->after = v->number;
        free(v->text);
        free(v->note);
        json_decref(v->state);
    }
    return ok;
}

static bool export_versions(struct export *x, const struct exported *t, struct err *e)
{
    struct page p = {.of = t};
    bool ok;
    do {
        p.n = 0;
        ok = store_read(x->r->store, run_page, &p, e);
        ok = write_page(x, &p, ok, e);
    } while (ok && p.n == EXPORT_PAGE);
    return ok;
}

static bool export_labels(struct store_db *db, int64_t id, json_t *record, struct err *e)
{
    struct store_stmt *st;
    json_t *labels = json_object();
    bool row = true, ok;
    json_object_set_new(record, "labels", labels);
    if (!rdb_query(db,
                   "SELECT label, number, protected FROM template_label WHERE template_id = ?1"
                   " ORDER BY label",
                   &st, e, "i", id))
        return false;
    while ((ok = store_step(st, &row, e)) && row)
        json_object_set_new(labels, store_text(st, 0),
                            json_pack("{s:o, s:b}", "number", rdb_integer(st, 1), "protected",
                                      (int)(store_int(st, 2) != 0)));
    store_done(st);
    return ok;
}

static bool outline_template(struct store_db *db, struct export *x, struct store_stmt *st,
                             struct err *e)
{
    struct exported t = {.id = store_int(st, 0), .newest = store_int(st, 6)};
    bool sees;
    if (!rdb_sees(db, x->who, store_int(st, 3), store_int(st, 4), &sees, e))
        return false;
    if (!sees)
        return true;
    snprintf(t.name, sizeof t.name, "%s", store_text(st, 1));
    t.record = json_pack("{s:o, s:o, s:{}}", "tags", rdb_json(st, 2), "department",
                         rdb_string(st, 5), "states");
    json_object_set_new(x->templates, t.name, t.record);
    if (x->n == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 64;
        x->list = mem_realloc(x->list, x->cap * sizeof *x->list);
    }
    x->list[x->n++] = t;
    return export_labels(db, t.id, t.record, e);
}

static bool write_labels(const struct export *x, struct err *e)
{
    char *path = join(x->folder, labels_name);
    json_t *all = json_pack("{s:i, s:O}", "format", 1, "templates", x->templates);
    struct buf b;
    buf_init(&b, LABELS_MAX_BYTES);
    canon_append_pretty(&b, all, CANON_SORTED, 0);
    buf_putc(&b, '\n');
    bool ok = b.failed ? err_set(e, ERR_LIMIT, 0, __FILE__, __LINE__, "there are too many labels")
                       : write_whole(path, &b, e);
    buf_release(&b);
    json_decref(all);
    free(path);
    return ok;
}

/* All but what versions say, in one snapshot. */
static bool run_outline(struct store_db *db, void *ctx, struct err *e)
{
    struct export *x = ctx;
    struct store_stmt *st;
    bool row = true, ok;
    if (!rdb_query(
            db,
            "SELECT t.id, t.name, t.tags, t.owner_id, t.department_id, d.name, (SELECT max(number)"
            " FROM template_version v WHERE v.template_id = t.id) FROM template t"
            " LEFT JOIN department d ON d.id = t.department_id"
            " WHERE ?1 IS NULL OR substr(t.name, 1, length(?1)) = ?1 ORDER BY t.name",
            &st, e, "t", x->prefix))
        return false;
    while ((ok = store_step(st, &row, e)) && row) {
        if (!outline_template(db, x, st, e))
            return false;
    }
    store_done(st);
    return ok;
}

static bool prepare_folder(const char *folder, struct err *e)
{
    struct dirent **list;
    if (mkdir(folder, 0750) == 0)
        return true;
    int n = errno == EEXIST ? scandir(folder, &list, is_visible, NULL) : -1;
    if (n < 0)
        FAIL_OS(e, "cannot write into the folder %s", folder);
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
    if (n > 0)
        FAIL(e, ERR_CONFLICT, "the folder %s is not empty", folder);
    return true;
}

bool transfer_export(struct registry *r, const struct principal *who, const char *folder,
                     const char *prefix, size_t *n_versions, struct err *e)
{
    struct export x = {.r = r, .who = who, .folder = folder, .prefix = prefix};
    x.templates = json_object();
    bool ok = prepare_folder(folder, e) && store_read(r->store, run_outline, &x, e);
    for (size_t i = 0; ok && i < x.n; i++)
        ok = make_folders(folder, x.list[i].name, e) && export_versions(&x, &x.list[i], e);
    ok = ok && write_labels(&x, e);
    if (n_versions)
        *n_versions = x.n_versions;
    json_decref(x.templates);
    free(x.list);
    return ok;
}
