/* Owns: the temporary folder and the people of the tests of auth/. */
#include <config.h>

#include "auth_rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/password.h"
#include "auth/people.h"
#include "base/log.h"

const struct audit_actor RIG_ACTOR = {
    .person_id = 0, .name = "test", .address = "local", .request_id = ""};

static const struct auth_options cheap = {.profile = PASSWORD_ASVS, .cost = {1024, 8, 1}};

static void start(struct rig *r, const struct auth_options *opt)
{
    struct store_options so = STORE_OPTIONS_DEFAULT;
    so.path = r->path;
    so.commit_ms = 1;
    ck_assert_msg(store_open(&so, &r->store, &r->err), "%s", r->err.msg);
    ck_assert_msg(auth_open(r->store, opt ? opt : &cheap, &r->auth, &r->err), "%s", r->err.msg);
}

static int64_t department(struct rig *r, int64_t parent_id, const char *name)
{
    struct department_spec spec = {.parent_id = parent_id, .name = name, .keep_days = 30};
    int64_t id = 0;
    ck_assert_msg(department_create(r->auth, &RIG_ACTOR, &spec, &id, &r->err), "%s", r->err.msg);
    return id;
}

void rig_open(struct rig *r, const struct auth_options *opt)
{
    const char *tmp = getenv("TMPDIR");
    *r = (struct rig){.err = ERR_INIT};
    log_set_level(LOG_ERROR);
    snprintf(r->folder, sizeof r->folder, "%.40s/seekd-auth-XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(r->folder));
    snprintf(r->path, sizeof r->path, "%s/seekd.db", r->folder);
    start(r, opt);
    r->works = department(r, 0, "Works");
    r->line3 = department(r, r->works, "Line 3");
    r->office = department(r, 0, "Office");
}

static bool verify(struct store_db *db, void *ctx, struct err *e)
{
    struct audit_head head;
    return audit_verify(db, NULL, &head, ctx, e);
}

static void stop(struct rig *r)
{
    int64_t bad = 0;
    ck_assert_msg(store_read(r->store, verify, &bad, &r->err), "%s", r->err.msg);
    ck_assert_int_eq(bad, 0);
    auth_close(&r->auth);
    store_close(&r->store);
}

void rig_restart(struct rig *r, const struct auth_options *opt)
{
    stop(r);
    start(r, opt);
}

void rig_close(struct rig *r)
{
    stop(r);
    DIR *d = opendir(r->folder);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *f; (f = readdir(d));)
        if (f->d_name[0] != '.')
            ck_assert_int_eq(unlinkat(dirfd(d), f->d_name, 0), 0);
    closedir(d);
    ck_assert_int_eq(rmdir(r->folder), 0);
}

int64_t rig_person(struct rig *r, const char *login, int64_t department_id, uint32_t roles)
{
    struct person_spec spec = {.login = login,
                               .name = login,
                               .email = "",
                               .department_id = department_id,
                               .roles = roles,
                               .source = "local"};
    int64_t id = 0;
    ck_assert_msg(person_create(r->auth, &RIG_ACTOR, &spec, &id, &r->err), "%s", r->err.msg);
    return id;
}

void rig_password(struct rig *r, int64_t person_id, const char *password)
{
    char once[PASSWORD_ONE_TIME_TEXT];
    ck_assert_msg(password_reset(r->auth, &RIG_ACTOR, person_id, "test", once, &r->err), "%s",
                  r->err.msg);
    ck_assert_msg(password_change(r->auth, &RIG_ACTOR, person_id, once, password, NULL, &r->err),
                  "%s", r->err.msg);
}

struct number {
    const char *sql;
    int64_t value;
};

static bool read_int(struct store_db *db, void *ctx, struct err *e)
{
    struct number *n = ctx;
    struct store_stmt *st;
    bool row;
    if (!store_query(db, n->sql, &st, e) || !store_step(st, &row, e))
        return false;
    n->value = row ? store_int(st, 0) : 0;
    store_done(st);
    return true;
}

int64_t rig_int(struct rig *r, const char *sql)
{
    struct number n = {.sql = sql};
    ck_assert_msg(store_read(r->store, read_int, &n, &r->err), "%s: %s", sql, r->err.msg);
    return n.value;
}

int rig_main(Suite *s)
{
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
