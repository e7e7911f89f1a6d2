/* Admission: the row of every generation and what stands in it, the last event after the commit, limits
 * and their refusals, disks that are full or slow, texts that are kept. Handlers run in this process on
 * the scripted engine, with a database behind a VFS that can fail. */
#include <config.h>

#include <check.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin_rig.h"
#include "api/generation.h"
#include "api/prompt.h"
#include "api/route.h"
#include "auth/auth.h"
#include "auth/authority.h"
#include "auth/people.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fake_engine.h"
#include "fault/vfs.h"
#include "service/service.h"
#include "store/store.h"
#include "testfile.h"
#include "usage/limits.h"

static const struct audit_actor actor = {.name = "test", .address = "local", .request_id = ""};
static const struct route chat_route = {.method = "POST", .path = "/v1/chat/completions"};
static const struct route text_route = {.method = "POST", .path = "/v1/completions"};

static char *folder, *path;
static struct service service;
static struct engine *engine;
static struct prompt_maker *prompts;
static struct api_model model;
static int64_t works, line, person, key_id;
static struct key_grant by_key, by_session;

/* ---- the service ------------------------------------------------------------------------------ */

static void open_service(unsigned queue_jobs)
{
    static const uint8_t seal[32] = {1, 2, 3};
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct auth_options auth = AUTH_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    uint64_t interrupted;
    opt.path = path;
    opt.vfs = VFS_NAME;
    opt.commit_ms = 2;
    opt.queue_jobs = queue_jobs;
    service = (struct service){.limits = limits_create(NULL)};
    ck_assert_msg(store_open(&opt, &service.store, &e), "%s", e.msg);
    ck_assert_msg(auth_open(service.store, &auth, &service.auth, &e), "%s", e.msg);
    ck_assert_msg(ledger_open(service.store, seal, &service.ledger, &interrupted, &e), "%s", e.msg);
    ck_assert_msg(limits_load(service.limits, service.store, &e), "%s", e.msg);
    ck_assert_uint_eq(interrupted, 0);
}

static void close_service(void)
{
    ledger_close(&service.ledger);
    limits_destroy(&service.limits);
    auth_close(&service.auth);
    store_close(&service.store);
}

static void reopen_service(unsigned queue_jobs)
{
    close_service();
    open_service(queue_jobs);
}

static void add_people(void)
{
    struct err e = ERR_INIT;
    ck_assert(department_ensure(service.auth, &actor, "Works", &works, &e));
    ck_assert(department_ensure(service.auth, &actor, "Works/Line", &line, &e));
    struct person_spec p = {.login = "li", .name = "Li", .email = "", .department_id = line,
                            .roles = ROLE_USER, .source = "local"};
    ck_assert_msg(person_create(service.auth, &actor, &p, &person, &e), "%s", e.msg);
}

static void add_key(const char *models, struct key_grant *grant)
{
    struct key_spec spec = {.name = "k", .scopes = SCOPE_INFER, .models = models};
    struct err e = ERR_INIT;
    char text[KEY_TEXT];
    int64_t id;
    ck_assert_msg(key_create(service.auth, &actor, person, &spec, &id, text, &e), "%s", e.msg);
    ck_assert(key_check(service.auth, text, strlen(text), "127.0.0.1", clock_wall_s(), grant, &e));
}

static void set_up(void)
{
    struct err e = ERR_INIT;
    log_set_level(LOG_ERROR);
    setenv("TZ", "Asia/Shanghai", 1);
    vfs_register();
    folder = testfile_make_dir();
    path = testfile_join(folder, "db");
    open_service(8192);
    add_people();
    add_key(NULL, &by_key);
    key_id = by_key.principal.key_id;
    by_session = (struct key_grant){.principal = by_key.principal};
    by_session.principal.key_id = 0;
    engine = fake_engine_open(4096);
    ck_assert_msg(prompt_maker_create(engine, &prompts, &e), "%s", e.msg);
    model = (struct api_model){.engine = engine, .prompt = prompts, .id = "fake", .created = 1};
}

static void tear_down(void)
{
    ck_assert_uint_eq(fake_engine_streams(engine), 0);
    key_grant_release(&by_key);
    prompt_maker_destroy(&prompts);
    fake_engine_close(&engine);
    close_service();
    testfile_remove_dir(folder);
    free(folder);
    free(path);
}

/* From here on the model begins its answers with reasoning. */
static void make_it_think(void)
{
    struct err e = ERR_INIT;
    prompt_maker_destroy(&prompts);
    fake_engine_set_thinking(engine, true);
    ck_assert(prompt_maker_create(engine, &prompts, &e));
    model.prompt = prompts;
}

/* ---- requests --------------------------------------------------------------------------------- */

struct request {
    struct api_call call;
    struct api_answer answer;
    struct buf out;
    char id[32];
    enum generation_state state; /* of the last pull */
    /* guarded by mu */
    pthread_mutex_t mu;
    pthread_cond_t wake;
    unsigned notified;
};

static void on_notify(void *user)
{
    struct request *r = user;
    pthread_mutex_lock(&r->mu);
    r->notified++;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->mu);
}

static struct request *prepare(const struct key_grant *grant, const struct route *route,
                               const char *body)
{
    static atomic_uint count;
    struct request *r = mem_zalloc(sizeof *r);
    pthread_mutex_init(&r->mu, NULL);
    pthread_cond_init(&r->wake, NULL);
    buf_init(&r->out, (size_t)64 << 20);
    api_answer_init(&r->answer);
    snprintf(r->id, sizeof r->id, "%024x", atomic_fetch_add(&count, 1) + 1);
    r->call = (struct api_call){
        .model = &model, .service = &service, .route = route, .method = "POST", .path = route->path,
        .body = body, .body_len = strlen(body), .id = r->id, .grant = grant, .address = "127.0.0.1",
        .agent = "", .cookies = "", .reason = "", .notify = on_notify, .user = r,
        .session = grant->key ? NULL : "session"};
    return r;
}

static struct request *start(const struct key_grant *grant, const struct route *route,
                             const char *body)
{
    struct request *r = prepare(grant, route, body);
    (route == &chat_route ? api_chat : api_completion)(&r->call, &r->answer);
    return r;
}

static struct request *chat(const char *content, const char *more)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_printf(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}", content, more);
    struct request *r = start(&by_key, &chat_route, buf_str(&body));
    buf_release(&body);
    r->call.body = "";
    return r;
}

/* Waits for a notification that came after `seen`. */
static bool wait_notified(struct request *r, unsigned seen, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (until.tv_nsec + (long)ms * 1000000) / 1000000000;
    until.tv_nsec = (until.tv_nsec + (long)ms * 1000000) % 1000000000;
    pthread_mutex_lock(&r->mu);
    while (r->notified == seen && !pthread_cond_timedwait(&r->wake, &r->mu, &until))
        ;
    bool any = r->notified != seen;
    pthread_mutex_unlock(&r->mu);
    return any;
}

static unsigned notified(struct request *r)
{
    pthread_mutex_lock(&r->mu);
    unsigned n = r->notified;
    pthread_mutex_unlock(&r->mu);
    return n;
}

/* Pulls as the server does. False: nothing came for `ms`. */
static bool pull(struct request *r, int ms)
{
    ck_assert_msg(r->answer.run, "%s", buf_str(&r->answer.body));
    for (;;) {
        unsigned seen = notified(r);
        r->state = generation_pull(r->answer.run, &r->out);
        if (r->state == GENERATION_END)
            return true;
        if (r->state == GENERATION_WAIT && !wait_notified(r, seen, ms))
            return false;
    }
}

static unsigned status_of(struct request *r)
{
    return r->answer.run ? generation_status(r->answer.run, &r->answer.retry_after_s)
                         : r->answer.status;
}

static bool said(const struct request *r, const char *text)
{
    return strstr(buf_str(r->answer.run ? &r->out : &r->answer.body), text) != NULL;
}

static void end(struct request *r)
{
    api_answer_release(&r->answer);
    buf_release(&r->out);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->mu);
    free(r);
}

/* Runs to its end; its status. */
static unsigned run(struct request *r)
{
    if (r->answer.run)
        ck_assert(pull(r, 10000));
    unsigned status = status_of(r);
    end(r);
    return status;
}

/* ---- what the database says ------------------------------------------------------------------- */

struct row {
    char id[48], status[16], finish[16], endpoint[32], model[16], class[16], label[16];
    int64_t person, key, department, prompt, cached, completion, reasoning, queue_us, ttft_us, http,
        template, version, hash_bytes;
    bool found;
};

static void copy_text(struct store_stmt *st, int i, char *to, size_t bytes)
{
    const char *text = store_text(st, i);
    snprintf(to, bytes, "%s", text ? text : "-");
}

static bool read_row(struct store_db *db, void *ctx, struct err *e)
{
    struct row *r = ctx;
    struct store_stmt *st;
    size_t bytes = 0;
    if (!store_query(db,
                     "SELECT status, finish_reason, endpoint, model, class, template_label,"
                     " person_id, key_id, department_id, prompt_tokens, cached_tokens,"
                     " completion_tokens, reasoning_tokens, ifnull(queue_us, -1),"
                     " ifnull(ttft_us, -1), ifnull(http_status, 0), template_id, template_version,"
                     " variables_hash FROM usage WHERE request_id = ?1",
                     &st, e))
        return false;
    store_bind_text(st, 0, r->id);
    if (!store_step(st, &r->found, e))
        return false;
    if (r->found) {
        char *const texts[] = {r->status, r->finish, r->endpoint, r->model, r->class, r->label};
        static const size_t sizes[] = {16, 16, 32, 16, 16, 16};
        int64_t *const numbers[] = {&r->person, &r->key, &r->department, &r->prompt, &r->cached,
                                    &r->completion, &r->reasoning, &r->queue_us, &r->ttft_us,
                                    &r->http, &r->template, &r->version};
        for (int i = 0; i < 6; i++)
            copy_text(st, i, texts[i], sizes[i]);
        for (int i = 0; i < 12; i++)
            *numbers[i] = store_int(st, 6 + i);
        (void)store_blob(st, 18, &bytes);
        r->hash_bytes = (int64_t)bytes;
    }
    store_done(st);
    return true;
}

static bool nothing(struct store_db *db, void *ctx, struct err *e)
{
    (void)db, (void)ctx, (void)e;
    return true;
}

/* The row as it is when all that was queued is written. */
static struct row row_of(const char *id)
{
    struct row r = {.found = false};
    struct err e = ERR_INIT;
    snprintf(r.id, sizeof r.id, "req_%s", id);
    while (!store_write(service.store, nothing, NULL, &e)) /* a queue of one place may be full */
        ck_assert_msg(e.code == ERR_BUSY, "%s", e.msg);
    ck_assert_msg(store_read(service.store, read_row, &r, &e), "%s", e.msg);
    return r;
}

static struct row ended(struct request *r)
{
    char id[32];
    memcpy(id, r->id, sizeof id);
    end(r);
    return row_of(id);
}

static void set_limit(enum quota_subject kind, int64_t id, enum quota_limit which, int64_t most,
                      bool soft)
{
    struct quota q = {.kind = kind, .subject_id = id, .soft = soft};
    struct err e = ERR_INIT;
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
        q.limit[i] = i == (int)which ? most : QUOTA_NONE;
    ck_assert_msg(quota_put(service.store, &actor, &q, "", &e), "%s", e.msg);
    ck_assert(limits_load(service.limits, service.store, &e));
}

static int64_t used(enum quota_subject kind, int64_t id, enum quota_limit which)
{
    struct limits_state s;
    ck_assert(limits_look(service.limits, kind, id, &s));
    return s.used[which];
}

/* ---- a writer that waits ---------------------------------------------------------------------- */

static pthread_mutex_t hold_mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hold_changed = PTHREAD_COND_INITIALIZER;
static bool held, holding;

static bool wait_held(struct store_db *db, void *ctx, struct err *e)
{
    (void)db, (void)ctx, (void)e;
    pthread_mutex_lock(&hold_mu);
    holding = true;
    pthread_cond_broadcast(&hold_changed);
    while (held)
        pthread_cond_wait(&hold_changed, &hold_mu);
    holding = false;
    pthread_mutex_unlock(&hold_mu);
    return true;
}

static void hold_writer(void)
{
    struct err e = ERR_INIT;
    held = true;
    ck_assert(store_post(service.store, wait_held, NULL, NULL, &e));
    pthread_mutex_lock(&hold_mu);
    while (!holding)
        pthread_cond_wait(&hold_changed, &hold_mu);
    pthread_mutex_unlock(&hold_mu);
}

static void let_writer_go(void)
{
    pthread_mutex_lock(&hold_mu);
    held = false;
    pthread_cond_broadcast(&hold_changed);
    pthread_mutex_unlock(&hold_mu);
}

/* ---- rows ------------------------------------------------------------------------------------- */

START_TEST(a_good_answer_has_its_row)
{
    struct request *r = chat("#reply=fine##queue_ms=20#", "");
    ck_assert(pull(r, 5000));
    ck_assert_uint_eq(status_of(r), 200);
    json_t *body = json_loads(buf_str(&r->out), 0, NULL);
    int64_t prompt_tokens = admin_number(body, "usage/prompt_tokens");
    ck_assert_int_eq(admin_number(body, "usage/completion_tokens"), 4);
    json_decref(body);
    struct row row = ended(r);
    ck_assert(row.found);
    ck_assert_str_eq(row.status, "finished");
    ck_assert_str_eq(row.finish, "stop");
    ck_assert_str_eq(row.endpoint, "/v1/chat/completions");
    ck_assert_str_eq(row.model, "fake");
    ck_assert_str_eq(row.class, "api");
    ck_assert_str_eq(row.label, "-");
    ck_assert_int_eq(row.person, person);
    ck_assert_int_eq(row.key, key_id);
    ck_assert_int_eq(row.department, line);
    ck_assert_int_eq(row.prompt, prompt_tokens);
    ck_assert_int_eq(row.cached, 0);
    ck_assert_int_eq(row.completion, 4);
    ck_assert_int_eq(row.reasoning, 0);
    ck_assert_int_ge(row.queue_us, 20000);
    ck_assert_int_ge(row.ttft_us, 20000);
    ck_assert_int_eq(row.http, 200);
    ck_assert_int_eq(row.template, 0);
}
END_TEST

START_TEST(a_session_and_several_choices)
{
    struct request *r = start(&by_session, &chat_route,
                              "{\"messages\":[{\"role\":\"user\",\"content\":\"#tokens=9#\"}],"
                              "\"n\":3,\"max_tokens\":5,\"stream\":true,"
                              "\"stream_options\":{\"include_usage\":true}}");
    ck_assert(pull(r, 5000));
    ck_assert(said(r, "\"completion_tokens\":15"));
    ck_assert(said(r, "data: [DONE]"));
    struct row row = ended(r);
    ck_assert_str_eq(row.status, "finished");
    ck_assert_str_eq(row.finish, "length");
    ck_assert_str_eq(row.class, "interactive");
    ck_assert_int_eq(row.key, 0);
    ck_assert_int_eq(row.completion, 15);
    ck_assert_int_eq(row.http, 200);
}
END_TEST

START_TEST(reasoning_and_plain_text_are_counted)
{
    make_it_think();
    struct request *r = chat("#reply=ab</think>cd#", "");
    ck_assert(pull(r, 5000));
    struct row row = ended(r);
    ck_assert_int_eq(row.completion, 5);
    ck_assert_int_eq(row.reasoning, 3); /* with its mark */
    r = start(&by_key, &text_route, "{\"prompt\":\"#reply=xyz#\"}");
    ck_assert(pull(r, 5000));
    row = ended(r);
    ck_assert_str_eq(row.endpoint, "/v1/completions");
    ck_assert_int_eq(row.completion, 3);
}
END_TEST

START_TEST(a_template_stands_in_the_row)
{
    struct use use = {.resolved = {.template_id = 7, .number = 3, .label = "production"}};
    struct params *p = mem_zalloc(sizeof *p);
    struct request *r = prepare(&by_key, &chat_route, "");
    static const int32_t tokens[] = {'a', 'b'};
    struct api_error e = API_ERROR_INIT;
    json_t *body = json_pack("{s:[]}", "messages");
    ck_assert(params_read(&PARAMS_CHAT_SCHEMA, body, p, &e) || e.code != API_OK);
    p->n = 1;
    struct generation_spec spec = {.model = &model, .call = &r->call, .use = &use,
                                   .class = LEDGER_BATCH, .writer = &WRITER_CHAT, .params = p,
                                   .tokens = tokens, .n_tokens = 2, .id = r->id,
                                   .notify = on_notify, .user = r};
    ck_assert_msg(generation_start(&spec, &r->answer.run, &e), "%s", e.message);
    ck_assert(pull(r, 5000));
    struct row row = ended(r);
    ck_assert_int_eq(row.template, 7);
    ck_assert_int_eq(row.version, 3);
    ck_assert_str_eq(row.label, "production");
    ck_assert_int_eq(row.hash_bytes, 32);
    ck_assert_str_eq(row.class, "batch");
    ck_assert_int_eq(row.prompt, 2);
    json_decref(body);
    free(p);
}
END_TEST

START_TEST(failures_have_their_rows)
{
    set_limit(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY, 100000, false);
    struct request *r = chat("#reply=abcdef##fail=2#", "");
    ck_assert(pull(r, 5000));
    ck_assert_uint_eq(status_of(r), 503);
    struct row row = ended(r);
    int64_t spent = row.prompt + 2;
    ck_assert_str_eq(row.status, "failed");
    ck_assert_str_eq(row.finish, "error");
    ck_assert_int_eq(row.completion, 2);
    ck_assert_int_eq(row.http, 503);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY), spent);
    r = chat("#reply=abcdef##fail=2#", ",\"stream\":true");
    ck_assert(pull(r, 5000));
    ck_assert(said(r, "engine_failed"));
    ck_assert(!said(r, "[DONE]"));
    row = ended(r);
    spent += row.prompt + 2;
    ck_assert_str_eq(row.status, "failed");
    ck_assert_int_eq(row.http, 200); /* which had been sent */
    r = chat("#busy#", "");
    ck_assert_uint_eq(status_of(r), 503);
    row = ended(r);
    ck_assert_str_eq(row.status, "failed");
    ck_assert_str_eq(row.finish, "-");
    ck_assert_int_eq(row.http, 503);
    ck_assert_int_eq(row.queue_us, -1);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY), spent);
}
END_TEST

START_TEST(what_was_cut_off_is_counted)
{
    struct request *r = chat("#tokens=4000##us=500#", ",\"stream\":true");
    while (r->out.len < 4000)
        if (generation_pull(r->answer.run, &r->out) == GENERATION_WAIT)
            ck_assert(wait_notified(r, notified(r), 1000));
    struct row row = ended(r);
    ck_assert_str_eq(row.status, "failed");
    ck_assert_str_eq(row.finish, "cancelled");
    ck_assert_int_gt(row.completion, 10);
    ck_assert_int_lt(row.completion, 4000);
    ck_assert_int_eq(row.http, 200);
    ck_assert_int_ge(row.ttft_us, 0);
    r = chat("#tokens=4000##us=500#", ""); /* nobody ever read */
    row = ended(r);
    ck_assert_str_eq(row.finish, "cancelled");
    ck_assert_int_eq(row.http, 0);
    ck_assert_int_eq(row.ttft_us, -1);
    ck_assert_int_gt(row.prompt, 0);
    r = chat("#tokens=4000##us=500#", ",\"stream\":true"); /* the server stops */
    generation_cancel(r->answer.run);
    ck_assert(pull(r, 5000));
    ck_assert(said(r, "shutting_down"));
    row = ended(r);
    ck_assert_str_eq(row.status, "failed");
    ck_assert_str_eq(row.finish, "cancelled");
}
END_TEST

START_TEST(who_leaves_the_queue_owes_nothing)
{
    set_limit(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY, 100000, false);
    int64_t spent = used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY);
    struct request *r = chat("#tokens=40##queue_ms=60000#", ",\"stream\":true");
    struct row row = ended(r);
    ck_assert_str_eq(row.finish, "cancelled");
    ck_assert_int_eq(row.prompt, 0);
    ck_assert_int_eq(row.completion, 0);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY), spent);
    r = chat("#tokens=40##prefill_ms=60000#", ",\"stream\":true"); /* at work when it is left */
    row = ended(r);
    ck_assert_int_gt(row.prompt, 0);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY), spent + row.prompt);
}
END_TEST

START_TEST(long_answers_tell_how_far_they_are)
{
    struct request *r = chat("#tokens=4000##us=2000#", "");
    struct row row = {.found = false};
    for (uint64_t start = clock_now_us(); clock_now_us() - start < 9000000 && !row.completion;) {
        if (generation_pull(r->answer.run, &r->out) == GENERATION_WAIT)
            wait_notified(r, notified(r), 50);
        if (clock_now_us() - start > 5000000)
            row = row_of(r->id);
    }
    ck_assert_str_eq(row.status, "started");
    ck_assert_int_gt(row.completion, 100);
    end(r);
}
END_TEST

/* ---- the commit and the end ------------------------------------------------------------------- */

static const struct {
    const char *more, *end;
} shapes[] = {{",\"stream\":true", "data: [DONE]"},
              {",\"stream\":true,\"stream_options\":{\"include_usage\":true}", "\"usage\":{"},
              {"", "\"choices\""}};

START_TEST(the_end_waits_for_the_commit)
{
    struct request *r = chat("#reply=some text#", shapes[_i].more);
    ck_assert_str_eq(row_of(r->id).status, "started");
    hold_writer();
    ck_assert(!pull(r, 200));
    ck_assert_int_eq(r->state, GENERATION_WAIT);
    ck_assert(!said(r, shapes[_i].end));
    ck_assert(!*shapes[_i].more || said(r, "text"));
    unsigned seen = notified(r);
    let_writer_go();
    ck_assert(wait_notified(r, seen, 5000));
    ck_assert(pull(r, 0));
    ck_assert(said(r, shapes[_i].end));
    ck_assert_str_eq(ended(r).status, "finished");
}
END_TEST

START_TEST(who_left_is_not_called)
{
    struct request *r = chat("#reply=some text#", ",\"stream\":true");
    char finished[32], cancelled[32];
    memcpy(finished, r->id, sizeof finished);
    hold_writer();
    ck_assert(!pull(r, 100));
    end(r); /* its memory is gone before the commit */
    r = chat("#tokens=100##us=1000#", "");
    memcpy(cancelled, r->id, sizeof cancelled);
    end(r);
    let_writer_go();
    ck_assert_str_eq(row_of(finished).status, "finished");
    ck_assert_str_eq(row_of(cancelled).status, "failed");
}
END_TEST

static atomic_bool enough;

static void *leave_early(void *user)
{
    unsigned seed = (unsigned)(uintptr_t)user;
    while (!atomic_load(&enough)) {
        struct request *r = prepare(&by_key, &chat_route,
                                    seed % 2 ? "{\"messages\":[{\"role\":\"user\",\"content\":"
                                               "\"#reply=abc#\"}],\"stream\":true}"
                                             : "{\"messages\":[{\"role\":\"user\",\"content\":"
                                               "\"#reply=abc##us=300#\"}]}");
        snprintf(r->id, sizeof r->id, "t%08x", seed);
        api_chat(&r->call, &r->answer);
        for (unsigned i = seed % 7; i; i--)
            if (generation_pull(r->answer.run, &r->out) == GENERATION_WAIT)
                wait_notified(r, notified(r), 2);
        end(r);
        seed += 2;
    }
    return NULL;
}

static bool count_rows(struct store_db *db, void *ctx, struct err *e)
{
    int64_t *n = ctx;
    struct store_stmt *st;
    bool row;
    if (!store_query(db, "SELECT count(*), count(*) FILTER (WHERE status = 'started') FROM usage",
                     &st, e) ||
        !store_step(st, &row, e))
        return false;
    n[0] = store_int(st, 0);
    n[1] = store_int(st, 1);
    store_done(st);
    return true;
}

START_TEST(leaving_at_any_moment_leaves_nothing)
{
    pthread_t thread[2];
    int64_t n[2];
    struct err e = ERR_INIT;
    set_limit(QUOTA_PERSON, person, QUOTA_PARALLEL, 100, false);
    atomic_store(&enough, false);
    for (uintptr_t i = 0; i < 2; i++)
        ck_assert(!pthread_create(&thread[i], NULL, leave_early, (void *)(0x1000 + i)));
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    atomic_store(&enough, true);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    ck_assert(store_write(service.store, nothing, NULL, &e));
    ck_assert(store_read(service.store, count_rows, n, &e));
    ck_assert_int_gt(n[0], 50);
    ck_assert_int_eq(n[1], 0);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_PARALLEL), 0);
}
END_TEST

/* ---- a database that refuses ------------------------------------------------------------------ */

START_TEST(a_full_disk_is_told_and_survived)
{
    struct engine_stats before, after;
    struct err e = ERR_INIT;
    struct request *stream = chat("#tokens=20##us=1000#", ",\"stream\":true");
    struct request *whole = chat("#tokens=20##us=1000#", "");
    ck_assert_str_eq(row_of(whole->id).status, "started");
    set_limit(QUOTA_PERSON, person, QUOTA_PARALLEL, 100, false);
    log_set_level(LOG_LEVEL_COUNT); /* what is expected */
    vfs_limit_space(0);
    ck_assert(pull(stream, 5000));
    ck_assert(said(stream, "storage_failed"));
    ck_assert(!said(stream, "[DONE]"));
    ck_assert(pull(whole, 5000));
    ck_assert_uint_eq(status_of(whole), 503);
    ck_assert_uint_gt(whole->answer.retry_after_s, 0);
    ck_assert(said(whole, "storage_failed"));
    ck_assert(!said(whole, "\"choices\""));
    end(stream);
    end(whole);
    engine_stats(engine, &before);
    ck_assert(store_write(service.store, nothing, NULL, &e)); /* proves nothing */
    for (int i = 0; i < 5; i++) {
        struct request *r = chat("#reply=never#", "");
        ck_assert_uint_eq(status_of(r), 503);
        ck_assert(said(r, "storage_failed"));
        end(r);
    }
    engine_stats(engine, &after);
    ck_assert_uint_eq(after.requests, before.requests);
    vfs_limit_space(-1);
    log_set_level(LOG_ERROR);
    struct request *r = chat("#reply=again#", ""); /* the very first one */
    ck_assert(pull(r, 5000));
    ck_assert_uint_eq(status_of(r), 200);
    ck_assert_str_eq(ended(r).status, "finished");
    struct store_stats stats;
    store_stats(service.store, &stats);
    ck_assert(!stats.read_only);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_PARALLEL), 0);
}
END_TEST

START_TEST(a_full_queue_admits_nobody)
{
    struct err e = ERR_INIT;
    set_limit(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY, 100000, false);
    reopen_service(1);
    hold_writer();
    ck_assert(store_post(service.store, nothing, NULL, NULL, &e)); /* takes the one place */
    struct request *r = chat("#reply=never#", "");
    ck_assert_uint_eq(status_of(r), 503);
    ck_assert(said(r, "overloaded"));
    ck_assert_uint_gt(r->answer.retry_after_s, 0);
    let_writer_go();
    ck_assert(!ended(r).found);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_DAY), 0);
}
END_TEST

/* ---- limits ----------------------------------------------------------------------------------- */

static void check_refusal(struct request *r, const char *code, const char *const words[4])
{
    json_t *body = json_loads(buf_str(&r->answer.body), 0, NULL);
    const char *message = admin_text(body, "error/message"), *again = strstr(message, "again at ");
    int year, month, day, hour, minute, second, zone_hour, zone_minute;
    char plus;
    ck_assert_uint_eq(status_of(r), 429);
    ck_assert_uint_gt(r->answer.retry_after_s, 0);
    ck_assert_str_eq(admin_text(body, "error/code"), code);
    for (int i = 0; i < 4; i++)
        ck_assert_msg(strstr(message, words[i]), "%s: %s", words[i], message);
    ck_assert_ptr_nonnull(again);
    ck_assert_int_eq(sscanf(again, "again at %4d-%2d-%2dT%2d:%2d:%2d%c%2d:%2d", &year, &month, &day,
                            &hour, &minute, &second, &plus, &zone_hour, &zone_minute), 9);
    ck_assert(plus == '+' && zone_hour == 8);
    if (!strcmp(code, "insufficient_quota"))
        ck_assert(hour == 0 && minute == 0 && second == 0); /* midnight in Shanghai */
    json_decref(body);
    ck_assert(!ended(r).found);
}

START_TEST(refusals_say_whose_limit_it_is)
{
    set_limit(QUOTA_KEY, key_id, QUOTA_REQUESTS_PER_MINUTE, 1, false);
    ck_assert_uint_eq(run(chat("#reply=a#", "")), 200);
    check_refusal(chat("#reply=a#", ""), "rate_limit_exceeded",
                  (const char *const[]){"the key", "requests per minute", ": 1 allowed",
                                        "1 counted now"});
    reopen_service(8192); /* windows of a minute begin anew, budgets do not */
    set_limit(QUOTA_DEPARTMENT, works, QUOTA_TOKENS_PER_DAY, 50, false);
    check_refusal(chat("#reply=a#", ",\"max_tokens\":100"), "insufficient_quota",
                  (const char *const[]){"the department", "tokens per day", ": 50 allowed",
                                        "counted now"});
    reopen_service(8192);
    check_refusal(chat("#reply=a#", ",\"max_tokens\":100"), "insufficient_quota",
                  (const char *const[]){"the department", "tokens per day", ": 50 allowed",
                                        "counted now"});
}
END_TEST

START_TEST(budgets_are_reserved_settled_and_survive)
{
    set_limit(QUOTA_PERSON, person, QUOTA_TOKENS_PER_MONTH, 1000000, false);
    struct request *r = chat("#reply=abc#", ",\"max_tokens\":100,\"n\":2");
    int64_t prompt = row_of(r->id).prompt;
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_MONTH), prompt + 200);
    ck_assert_uint_eq(run(r), 200);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_MONTH), prompt + 6);
    r = chat("#reply=abc#", ""); /* up to the end of the context */
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_MONTH), prompt + 6 + 4096);
    ck_assert_uint_eq(run(r), 200);
    reopen_service(8192);
    ck_assert_int_eq(used(QUOTA_PERSON, person, QUOTA_TOKENS_PER_MONTH), 2 * prompt + 9);
}
END_TEST

START_TEST(leaving_frees_the_place)
{
    set_limit(QUOTA_PERSON, person, QUOTA_PARALLEL, 1, false);
    struct request *r = chat("#tokens=1000##us=1000#", ",\"stream\":true");
    check_refusal(chat("#reply=a#", ""), "rate_limit_exceeded",
                  (const char *const[]){"the person", "requests at the same time", ": 1 allowed",
                                        "1 counted now"});
    end(r);
    ck_assert_uint_eq(run(chat("#reply=a#", "")), 200);
    ck_assert_uint_eq(run(chat("#busy#", "")), 503);
    ck_assert_uint_eq(run(chat("#reply=a#", "")), 200);
}
END_TEST

START_TEST(soft_limits_lower_the_weight)
{
    ck_assert_uint_eq(run(chat("#reply=a#", "")), 200);
    ck_assert_uint_eq(fake_engine_weight(engine), 1000);
    set_limit(QUOTA_PERSON, person, QUOTA_REQUESTS_PER_MINUTE, 1, true);
    ck_assert_uint_eq(run(chat("#reply=a#", "")), 200);
    ck_assert_uint_eq(fake_engine_weight(engine), 1000);
    ck_assert_uint_eq(run(chat("#reply=a#", "")), 200);
    ck_assert_uint_eq(fake_engine_weight(engine), 250);
}
END_TEST

START_TEST(a_key_has_its_models)
{
    static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"#reply=a#\"}]}";
    struct key_grant other, some;
    add_key("[\"other\", \"another*\"]", &other);
    add_key("[\"fa*\"]", &some);
    struct request *r = start(&other, &chat_route, body);
    ck_assert_uint_eq(status_of(r), 404);
    ck_assert(said(r, "model_not_found"));
    ck_assert(!ended(r).found);
    ck_assert_uint_eq(run(start(&some, &chat_route, body)), 200);
    key_grant_release(&other);
    key_grant_release(&some);
}
END_TEST

/* ---- kept texts ------------------------------------------------------------------------------- */

static bool keep_line(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "UPDATE department SET keep_prompts = 1, keep_days = 3 WHERE id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, *(int64_t *)ctx);
    return store_run(db, st, NULL, e);
}

static json_t *kept_text(const char *id)
{
    struct err e = ERR_INIT;
    char request_id[48], *text;
    size_t bytes;
    snprintf(request_id, sizeof request_id, "req_%s", id);
    if (!ledger_text(service.ledger, &actor, request_id, "a test", &text, &bytes, &e))
        return NULL;
    json_t *v = json_loadb(text, bytes, 0, NULL);
    ck_assert_ptr_nonnull(v);
    free(text);
    return v;
}

static json_t *text_after(struct request *r)
{
    char id[32];
    memcpy(id, r->id, sizeof id);
    ck_assert(pull(r, 10000));
    end(r);
    return kept_text(id);
}

START_TEST(texts_are_kept_where_the_policy_says_so)
{
    struct err e = ERR_INIT;
    ck_assert_ptr_null(text_after(chat("#reply=secret#", "")));
    ck_assert(store_write(service.store, keep_line, &line, &e));
    ck_assert(ledger_load_policies(service.ledger, &e));
    ck_assert(!ledger_keeps(service.ledger, works));
    make_it_think();
    json_t *v = text_after(chat("#reply=hm</think>回答#", ",\"stream\":true"));
    ck_assert_str_eq(admin_text(v, "messages/0/content"), "#reply=hm</think>回答#");
    ck_assert_str_eq(admin_text(v, "answer"), "回答");
    ck_assert_str_eq(admin_text(v, "reasoning"), "hm");
    ck_assert_ptr_null(admin_at(v, "cut"));
    json_decref(v);
    struct request *r = start(&by_key, &text_route, "{\"prompt\":\"#reply=x\\\"y#\",\"n\":2}");
    v = text_after(r);
    ck_assert_str_eq(admin_text(v, "prompt"), "#reply=x\"y#");
    ck_assert_str_eq(admin_text(v, "answer/1"), "x\"y");
    json_decref(v);
}
END_TEST

START_TEST(kept_texts_are_bounded)
{
    struct err e = ERR_INIT;
    struct buf body;
    buf_init(&body, 4 << 20);
    ck_assert(store_write(service.store, keep_line, &line, &e));
    ck_assert(ledger_load_policies(service.ledger, &e));
    prompt_maker_destroy(&prompts);
    fake_engine_close(&engine);
    engine = fake_engine_open(2 << 20);
    ck_assert(prompt_maker_create(engine, &prompts, &e));
    model.engine = engine;
    model.prompt = prompts;
    buf_puts(&body, "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a");
    for (int i = 0; i < 250000; i++)
        buf_puts(&body, "器");
    buf_puts(&body, "\"}]}");
    json_t *v = text_after(start(&by_key, &chat_route, buf_str(&body)));
    ck_assert(json_is_true(admin_at(v, "cut")));
    size_t len = strlen(admin_text(v, "messages"));
    ck_assert_uint_le(len, 512 << 10);
    ck_assert_uint_ge(len, (512 << 10) - 3);
    ck_assert_str_eq(admin_text(v, "answer"), "H");
    json_decref(v);
    buf_release(&body);
}
END_TEST

/* ---- over HTTP -------------------------------------------------------------------------------- */

static struct admin_rig rig;

static void limit_user(enum quota_limit which, int64_t most)
{
    struct quota q = {.kind = QUOTA_PERSON, .subject_id = rig.person[BY_USER].id};
    struct err e = ERR_INIT;
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
        q.limit[i] = i == (int)which ? most : QUOTA_NONE;
    ck_assert_msg(quota_put(rig.server.service->store, &actor, &q, "", &e), "%s", e.msg);
    service_limits_changed(rig.server.service);
}

static const char *const good = "{\"messages\":[{\"role\":\"user\",\"content\":\"#reply=fine#\"}]}";

START_TEST(refusals_carry_retry_after)
{
    char value[32];
    admin_rig_open(&rig);
    limit_user(QUOTA_TOKENS_PER_DAY, 10);
    admin_refused(&rig, BY_USER, "POST", "/v1/chat/completions", NULL, good, 429,
                  "insufficient_quota");
    ck_assert(http_reply_header(&rig.last, "Retry-After", value, sizeof value));
    long seconds = strtol(value, NULL, 10);
    ck_assert(seconds >= 1 && seconds <= 90000);
    admin_expect(&rig, BY_OTHER, "POST", "/v1/chat/completions", NULL, good, 200);
    admin_rig_close(&rig);
}
END_TEST

static bool one_row(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db, "SELECT request_id FROM usage WHERE status = 'finished'", &st, e) ||
        !store_step(st, &row, e))
        return false;
    snprintf(ctx, 48, "%s", row ? store_text(st, 0) : "");
    store_done(st);
    return true;
}

START_TEST(the_row_bears_the_id_of_the_header)
{
    char header[48], stored[48];
    struct err e = ERR_INIT;
    admin_rig_open(&rig);
    admin_expect(&rig, BY_USER, "POST", "/v1/chat/completions", NULL, good, 200);
    ck_assert(http_reply_header(&rig.last, "X-Request-Id", header, sizeof header));
    ck_assert(store_read(rig.server.service->store, one_row, stored, &e)); /* committed before */
    ck_assert_str_eq(header, stored);
    admin_rig_close(&rig);
}
END_TEST

START_TEST(hanging_up_frees_the_place)
{
    struct http_client c;
    struct buf text;
    int status = 0;
    admin_rig_open(&rig);
    limit_user(QUOTA_PARALLEL, 1);
    buf_init(&text, 1 << 16);
    http_write_post(&text, "/v1/chat/completions", rig.person[BY_USER].key,
                    "{\"messages\":[{\"role\":\"user\",\"content\":\"#tokens=8000##us=2000#\"}],"
                    "\"stream\":true}");
    http_client_open(&c, rig.server.port);
    ck_assert(http_client_send(&c, buf_str(&text), text.len));
    ck_assert(http_client_wait_for(&c, "x ", 5000));
    admin_refused(&rig, BY_USER, "POST", "/v1/chat/completions", NULL, good, 429,
                  "rate_limit_exceeded");
    http_client_close(&c);
    for (int i = 0; i < 40 && status != 200; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        admin_send(&rig, BY_USER, "POST", "/v1/chat/completions", NULL, good);
        status = rig.last.status;
    }
    ck_assert_int_eq(status, 200);
    buf_release(&text);
    admin_rig_close(&rig);
}
END_TEST

/* ---- all -------------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    suite_add_tcase(s, tc);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("admission");
    TCase *tc = add_case(s, "rows");
    tcase_add_test(tc, a_good_answer_has_its_row);
    tcase_add_test(tc, a_session_and_several_choices);
    tcase_add_test(tc, reasoning_and_plain_text_are_counted);
    tcase_add_test(tc, a_template_stands_in_the_row);
    tcase_add_test(tc, failures_have_their_rows);
    tcase_add_test(tc, what_was_cut_off_is_counted);
    tcase_add_test(tc, who_leaves_the_queue_owes_nothing);
    tcase_add_test(tc, long_answers_tell_how_far_they_are);
    tc = add_case(s, "commit");
    tcase_add_loop_test(tc, the_end_waits_for_the_commit, 0, 3);
    tcase_add_test(tc, who_left_is_not_called);
    tcase_add_test(tc, leaving_at_any_moment_leaves_nothing);
    tc = add_case(s, "refusing database");
    tcase_add_test(tc, a_full_disk_is_told_and_survived);
    tcase_add_test(tc, a_full_queue_admits_nobody);
    tc = add_case(s, "limits");
    tcase_add_test(tc, refusals_say_whose_limit_it_is);
    tcase_add_test(tc, budgets_are_reserved_settled_and_survive);
    tcase_add_test(tc, leaving_frees_the_place);
    tcase_add_test(tc, soft_limits_lower_the_weight);
    tcase_add_test(tc, a_key_has_its_models);
    tc = add_case(s, "texts");
    tcase_add_test(tc, texts_are_kept_where_the_policy_says_so);
    tcase_add_test(tc, kept_texts_are_bounded);
    tc = tcase_create("http");
    tcase_add_test(tc, refusals_carry_retry_after);
    tcase_add_test(tc, the_row_bears_the_id_of_the_header);
    tcase_add_test(tc, hanging_up_frees_the_place);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
