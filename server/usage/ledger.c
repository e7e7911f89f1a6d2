/* Owns the way of a request's row into the database: a queue, and jobs that each take what is queued.
 * Refuses to know who may ask for what (limits.c), and how rows are read (query.c).
 *
 * Every request has three nodes that may stand in the queue: start, progress, end. The first node that
 * is queued posts a job, and so does every one that those on their way (`posted`) have no room for. A
 * job takes its nodes when it runs; under load it holds many rows, and a transaction many jobs. Jobs are
 * small because each is a savepoint: at the end of every statement in one, SQLite walks the list of all
 * pages saved since it began (jobs of 1,024, 2,048 and 4,096 nodes cost 65, 98 and 160 us a request).
 *
 * A start that is lost (the commit failed) is made good by the end, which holds the whole row.
 */
#include <config.h>

#include "usage/ledger.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth/vault.h"
#include "base/assert.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "usage/period.h"
#include "usage/row.h"

enum { JOB_NODES = 128, JOBS_POSTED = 16, HASH_BYTES = 32 };

enum node_kind { NODE_START, NODE_PROGRESS, NODE_END, NODE_KIND_COUNT };

struct node {
    struct node *next;
    struct ledger_request *request;
    enum node_kind kind;
};

struct ledger_request {
    struct ledger *ledger;
    struct ledger_row row; /* as it was at admission; strings owned */
    uint8_t hash[HASH_BYTES];
    struct node node[NODE_KIND_COUNT];
    /* guarded by ledger->mu */
    unsigned refs; /* nodes that are queued or taken, and the caller's handle */
    bool progress_queued; /* or taken: its node hangs in a list until node_done */
    bool progress_newer;  /* `progress` has changed since it was written */
    struct ledger_counts progress;
    /* writer thread only */
    const struct job *start_job; /* that took the start */
    bool together;               /* and took the end as well: one row is written, not two */
    /* set once, before the end is queued */
    struct ledger_row end; /* shares the strings of `row`; finish_reason owned */
    void *text;
    size_t text_bytes;
    ledger_done_fn *done;
    void *ctx;
};

struct ledger {
    struct store *store;
    bool keeps;
    uint8_t seal_key[VAULT_KEY_BYTES];
    pthread_mutex_t loading; /* one ledger_load_policies at a time, or an old reading wins; before mu */
    pthread_mutex_t mu;
    pthread_cond_t idle;
    /* guarded by mu */
    struct node *first, **last;
    unsigned posted; /* jobs that have not taken anything yet */
    unsigned jobs;   /* and those that are not done */
    struct ledger_stats stats;
    int64_t *keepers; /* owned: departments that keep texts, rising */
    size_t n_keepers;
};

struct job {
    struct ledger *ledger;
    struct node *nodes;
    bool taken;
};

/* ---- requests ---------------------------------------------------------------------------------- */

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

static void free_string(const char *s)
{
    free((void *)(uintptr_t)s);
}

static struct ledger_request *request_create(struct ledger *l, const struct ledger_start *s)
{
    struct ledger_request *r = mem_zalloc(sizeof *r);
    r->ledger = l;
    r->row = (struct ledger_row){
        .request_id = copy(s->request_id),
        .status = LEDGER_STARTED,
        .started_us = s->started_us,
        .person_id = s->person_id,
        .key_id = s->key_id,
        .department_id = s->department_id,
        .endpoint = copy(s->endpoint),
        .model = copy(s->model),
        .class = s->class,
        .template_id = s->template_id,
        .template_version = s->template_version,
        .template_label = copy(s->template_label),
        .counts = {.prompt_tokens = s->prompt_tokens},
        .queue_us = -1,
        .ttft_us = -1,
    };
    if (s->variables_hash) {
        memcpy(r->hash, s->variables_hash, sizeof r->hash);
        r->row.variables_hash = r->hash;
    }
    for (int i = 0; i < NODE_KIND_COUNT; i++)
        r->node[i] = (struct node){.request = r, .kind = (enum node_kind)i};
    return r;
}

static void request_destroy(struct ledger_request *r)
{
    free_string(r->row.request_id);
    free_string(r->row.endpoint);
    free_string(r->row.model);
    free_string(r->row.template_label);
    free_string(r->end.finish_reason);
    if (r->text)
        vault_wipe(r->text, r->text_bytes);
    free(r->text);
    free(r);
}

static void request_unref(struct ledger_request *r)
{
    pthread_mutex_lock(&r->ledger->mu);
    bool gone = --r->refs == 0;
    pthread_mutex_unlock(&r->ledger->mu);
    if (gone)
        request_destroy(r);
}

/* ---- the queue --------------------------------------------------------------------------------- */

static store_fn run_job;
static store_done_fn job_done;

/* Takes up to JOB_NODES nodes. */
static struct node *take_locked(struct ledger *l)
{
    struct node *head = l->first, **end = &head;
    for (unsigned n = 0; *end && n < JOB_NODES; n++) {
        end = &(*end)->next;
        l->stats.queued--;
    }
    l->first = *end;
    if (!l->first)
        l->last = &l->first;
    *end = NULL;
    return head;
}

/* Posts a job when more is queued than those on their way will take. False: nobody comes. */
static bool post_locked(struct ledger *l, struct err *e)
{
    if (l->stats.queued <= l->posted * JOB_NODES || l->posted == JOBS_POSTED)
        return true;
    struct job *j = mem_zalloc(sizeof *j);
    j->ledger = l;
    if (!store_post(l->store, run_job, j, job_done, e)) {
        free(j);
        return l->posted > 0;
    }
    l->posted++;
    l->jobs++;
    return true;
}

/* The node is in no list. */
static bool enqueue_locked(struct ledger *l, struct node *node, struct err *e)
{
    struct node **tail = l->last;
    node->next = NULL;
    *tail = node;
    l->last = &node->next;
    l->stats.queued++;
    bool ok = post_locked(l, e);
    if (ok) {
        node->request->refs++;
    } else {
        l->stats.queued--;
        *tail = NULL;
        l->last = tail;
    }
    return ok;
}

static bool enqueue(struct ledger *l, struct node *node, struct err *e)
{
    pthread_mutex_lock(&l->mu);
    bool ok = enqueue_locked(l, node, e);
    pthread_mutex_unlock(&l->mu);
    return ok;
}

/* ---- jobs: the writer thread ------------------------------------------------------------------- */

static bool keep_text(struct store_db *db, struct ledger_request *r, int64_t usage_id, struct err *e)
{
    struct ledger *l = r->ledger;
    struct store_stmt *st;
    bool row;
    if (!r->text || !l->keeps)
        return true;
    if (!store_query(db,
                     "SELECT keep_days FROM department WHERE id = ?1 AND keep_prompts = 1", &st, e))
        return false;
    store_bind_int(st, 0, r->row.department_id);
    if (!store_step(st, &row, e))
        return false;
    int64_t days = row ? store_int(st, 0) : 0;
    store_done(st);
    if (!row)
        return true;
    uint8_t nonce[VAULT_NONCE_BYTES];
    size_t sealed_bytes = r->text_bytes + VAULT_TAG_BYTES;
    uint8_t *sealed = mem_try_calloc(sealed_bytes, 1);
    if (!sealed)
        FAIL(e, ERR_NOMEM, "no memory to seal a text");
    bool ok = vault_close(l->seal_key, r->row.request_id, r->text, r->text_bytes, nonce, sealed, e) &&
              store_query(db,
                          "INSERT INTO usage_text (usage_id, nonce, sealed, delete_at)"
                          " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (usage_id) DO NOTHING",
                          &st, e);
    if (ok) {
        store_bind_int(st, 0, usage_id);
        store_bind_blob(st, 1, nonce, sizeof nonce);
        store_bind_blob(st, 2, sealed, sealed_bytes);
        store_bind_int(st, 3, r->end.finished_us / 1000000 + days * 86400);
        ok = store_run(db, st, NULL, e);
    }
    free(sealed);
    return ok;
}

static bool write_progress(struct store_db *db, struct ledger_request *r, struct err *e)
{
    pthread_mutex_lock(&r->ledger->mu);
    struct ledger_counts c = r->progress;
    r->progress_newer = false;
    pthread_mutex_unlock(&r->ledger->mu);
    return ledger_row_progress(db, r->row.request_id, &c, e);
}

static bool write_end(struct store_db *db, struct ledger_request *r, struct period_cache *cache,
                      struct err *e)
{
    int64_t usage_id;
    if (!ledger_row_end(db, &r->end, r->together, &usage_id, e))
        return false;
    if (!usage_id) /* told before: counted before */
        return true;
    return ledger_row_total(db, &r->end, cache, e) && keep_text(db, r, usage_id, e);
}

static bool write_node(struct store_db *db, struct node *node, struct period_cache *cache,
                       struct err *e)
{
    struct ledger_request *r = node->request;
    switch (node->kind) {
    case NODE_START:
        return r->together || ledger_row_start(db, &r->row, e);
    case NODE_PROGRESS:
        return write_progress(db, r, e);
    case NODE_END:
        return write_end(db, r, cache, e);
    case NODE_KIND_COUNT:
        break;
    }
    ASSERT(false);
    return false;
}

/* A guess that costs nothing when it is wrong: a later job may lie where an earlier one lay. */
static void pair(const struct job *j)
{
    for (struct node *n = j->nodes; n; n = n->next) {
        struct ledger_request *r = n->request;
        if (n->kind == NODE_START)
            r->start_job = j;
        else if (n->kind == NODE_END)
            r->together = r->start_job == j;
    }
}

static bool run_job(struct store_db *db, void *ctx, struct err *e)
{
    struct job *j = ctx;
    struct ledger *l = j->ledger;
    struct period_cache cache = {0};
    pthread_mutex_lock(&l->mu);
    j->nodes = take_locked(l);
    l->posted--;
    pthread_mutex_unlock(&l->mu);
    j->taken = true;
    pair(j);
    for (struct node *n = j->nodes; n; n = n->next)
        if (!write_node(db, n, &cache, e))
            return false;
    return true;
}

/* Out of its job, the node may be queued again: for counts that came while it was in there. */
static void progress_done_locked(struct ledger_request *r)
{
    r->progress_queued = r->progress_newer &&
                         enqueue_locked(r->ledger, &r->node[NODE_PROGRESS], NULL);
    r->progress_newer = false;
}

static void node_done(struct node *n, bool ok, const struct err *e)
{
    struct ledger_request *r = n->request;
    struct ledger_stats *s = &r->ledger->stats;
    pthread_mutex_lock(&r->ledger->mu);
    if (n->kind == NODE_START)
        *(ok ? &s->begun : &s->lost_starts) += 1;
    if (n->kind == NODE_END)
        *(ok ? &s->ended : &s->lost_ends) += 1;
    if (n->kind == NODE_PROGRESS)
        progress_done_locked(r);
    pthread_mutex_unlock(&r->ledger->mu);
    if (n->kind == NODE_END && r->done)
        r->done(r->ctx, ok, e);
    request_unref(r);
}

static void nodes_done(struct node *n, bool ok, const struct err *e)
{
    while (n) {
        struct node *next = n->next;
        node_done(n, ok, e);
        n = next;
    }
}

static void job_done(void *ctx, bool ok, const struct err *e)
{
    struct job *j = ctx;
    struct ledger *l = j->ledger;
    struct err again = ERR_INIT;
    struct node *rest = NULL;
    if (!ok)
        LOG_E("ledger", "usage rows were not written: %s", e ? e->msg : "");
    pthread_mutex_lock(&l->mu);
    if (!j->taken) { /* it never ran: what is queued goes with it */
        j->nodes = take_locked(l);
        l->posted--;
    }
    if (!post_locked(l, &again)) /* nobody else would come for these */
        while (l->first) {
            struct node *some = take_locked(l), **end = &some;
            while (*end)
                end = &(*end)->next;
            *end = rest;
            rest = some;
        }
    pthread_mutex_unlock(&l->mu);
    nodes_done(j->nodes, ok, e);
    nodes_done(rest, false, &again);
    free(j);
    pthread_mutex_lock(&l->mu);
    l->jobs--;
    pthread_cond_broadcast(&l->idle);
    pthread_mutex_unlock(&l->mu);
}

/* ---- the interface ----------------------------------------------------------------------------- */

static bool start_ok(const struct ledger_start *s)
{
    return s->request_id && s->request_id[0] && s->endpoint && s->model &&
           (unsigned)s->class < LEDGER_CLASS_COUNT && s->started_us > 0;
}

bool ledger_begin(struct ledger *l, const struct ledger_start *start, struct ledger_request **out,
                  struct err *e)
{
    *out = NULL;
    if (!start_ok(start))
        FAIL(e, ERR_ARG, "a usage row needs a request id, an endpoint, a model and a time");
    struct ledger_request *r = request_create(l, start);
    r->refs = 1;
    if (!enqueue(l, &r->node[NODE_START], e)) {
        request_destroy(r);
        return false;
    }
    *out = r;
    return true;
}

static bool start_now(struct store_db *db, void *ctx, struct err *e)
{
    const struct ledger_request *r = ctx;
    return ledger_row_start(db, &r->row, e);
}

bool ledger_begin_now(struct ledger *l, const struct ledger_start *start,
                      struct ledger_request **out, struct err *e)
{
    *out = NULL;
    if (!start_ok(start))
        FAIL(e, ERR_ARG, "a usage row needs a request id, an endpoint, a model and a time");
    struct ledger_request *r = request_create(l, start);
    r->refs = 1;
    bool ok = store_write(l->store, start_now, r, e);
    pthread_mutex_lock(&l->mu);
    *(ok ? &l->stats.begun : &l->stats.lost_starts) += 1;
    pthread_mutex_unlock(&l->mu);
    if (!ok) {
        request_destroy(r);
        return false;
    }
    *out = r;
    return true;
}

void ledger_progress(struct ledger_request *r, const struct ledger_counts *c)
{
    pthread_mutex_lock(&r->ledger->mu);
    r->progress = *c;
    r->progress_newer = true;
    if (!r->progress_queued)
        r->progress_queued = enqueue_locked(r->ledger, &r->node[NODE_PROGRESS], NULL);
    pthread_mutex_unlock(&r->ledger->mu);
}

static bool set_end(struct ledger_request *r, const struct ledger_end *end, struct err *e)
{
    r->end = r->row;
    r->end.status = end->failed ? LEDGER_FAILED : LEDGER_FINISHED;
    r->end.finished_us = end->finished_us;
    r->end.counts = end->counts;
    r->end.queue_us = end->queue_us;
    r->end.ttft_us = end->ttft_us;
    r->end.http_status = end->http_status;
    r->end.finish_reason = copy(end->finish_reason);
    if (!end->text || !r->ledger->keeps)
        return true;
    r->text = mem_try_calloc(end->text_bytes + 1, 1);
    if (!r->text)
        FAIL(e, ERR_NOMEM, "no memory to keep a text");
    memcpy(r->text, end->text, end->text_bytes);
    r->text_bytes = end->text_bytes;
    return true;
}

bool ledger_finish(struct ledger_request **request, const struct ledger_end *end,
                   ledger_done_fn *done, void *ctx, struct err *e)
{
    struct ledger_request *r = *request;
    *request = NULL;
    r->done = done;
    r->ctx = ctx;
    bool ok = set_end(r, end, e) && enqueue(r->ledger, &r->node[NODE_END], e);
    if (!ok) {
        pthread_mutex_lock(&r->ledger->mu);
        r->ledger->stats.lost_ends++;
        pthread_mutex_unlock(&r->ledger->mu);
    }
    request_unref(r);
    return ok;
}

/* ---- who keeps texts --------------------------------------------------------------------------- */

struct policies {
    int64_t *keepers; /* owned */
    size_t n;
};

static bool read_policies(struct store_db *db, void *ctx, struct err *e)
{
    struct policies *p = ctx;
    struct store_stmt *st;
    bool row;
    if (!store_query(db, "SELECT id FROM department WHERE keep_prompts = 1 ORDER BY id", &st, e) ||
        !store_step(st, &row, e))
        return false;
    while (row) {
        p->keepers = mem_realloc(p->keepers, (p->n + 1) * sizeof *p->keepers);
        p->keepers[p->n++] = store_int(st, 0);
        if (!store_step(st, &row, e))
            return false;
    }
    store_done(st);
    return true;
}

bool ledger_load_policies(struct ledger *l, struct err *e)
{
    struct policies p = {.n = 0};
    pthread_mutex_lock(&l->loading);
    bool ok = store_read(l->store, read_policies, &p, e);
    if (ok) {
        pthread_mutex_lock(&l->mu);
        int64_t *before = l->keepers;
        l->keepers = p.keepers;
        l->n_keepers = p.n;
        p.keepers = before;
        pthread_mutex_unlock(&l->mu);
    }
    pthread_mutex_unlock(&l->loading);
    free(p.keepers);
    return ok;
}

bool ledger_keeps(struct ledger *l, int64_t department_id)
{
    pthread_mutex_lock(&l->mu);
    bool keeps = l->keeps && ids_hold(l->keepers, l->n_keepers, department_id);
    pthread_mutex_unlock(&l->mu);
    return keeps;
}

struct store *ledger_store(const struct ledger *l)
{
    return l->store;
}

const uint8_t *ledger_key(const struct ledger *l)
{
    return l->keeps ? l->seal_key : NULL;
}

void ledger_stats(struct ledger *l, struct ledger_stats *out)
{
    pthread_mutex_lock(&l->mu);
    *out = l->stats;
    pthread_mutex_unlock(&l->mu);
}

bool ledger_open(struct store *s, const uint8_t *seal_key, struct ledger **out,
                 uint64_t *interrupted, struct err *e)
{
    *out = NULL;
    *interrupted = 0;
    if (!store_write(s, ledger_row_interrupt, interrupted, e))
        return false;
    struct ledger *l = mem_zalloc(sizeof *l);
    l->store = s;
    l->last = &l->first;
    if (seal_key) {
        l->keeps = true;
        memcpy(l->seal_key, seal_key, sizeof l->seal_key);
    }
    pthread_mutex_init(&l->loading, NULL);
    pthread_mutex_init(&l->mu, NULL);
    pthread_cond_init(&l->idle, NULL);
    *out = l;
    if (ledger_load_policies(l, e))
        return true;
    ledger_close(out);
    return false;
}

void ledger_close(struct ledger **ledger)
{
    struct ledger *l = *ledger;
    if (!l)
        return;
    pthread_mutex_lock(&l->mu);
    while (l->jobs)
        pthread_cond_wait(&l->idle, &l->mu);
    pthread_mutex_unlock(&l->mu);
    pthread_cond_destroy(&l->idle);
    pthread_mutex_destroy(&l->mu);
    pthread_mutex_destroy(&l->loading);
    vault_wipe(l->seal_key, sizeof l->seal_key);
    free(l->keepers);
    free(l);
    *ledger = NULL;
}
