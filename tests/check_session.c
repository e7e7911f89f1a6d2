/* Logging in, being slowed down (S11), and sessions: how long they hold and what ends them. */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/authority.h"
#include "auth/hasher.h"
#include "auth/lockout.h"
#include "auth/login.h"
#include "auth/password.h"
#include "auth/people.h"
#include "auth/session.h"
#include "auth_rig.h"
#include "base/clock.h"

static struct rig r;
static int64_t wang, now_s;
static const char right[] = "kq7w-zt2-right";

static void set_up(void)
{
    rig_open(&r, NULL);
    wang = rig_person(&r, "wang", r.works, ROLE_USER);
    rig_password(&r, wang, right);
    now_s = clock_wall_s();
}

static void tear_down(void)
{
    rig_close(&r);
}

static struct login_result try_from(const char *address, const char *login, const char *password)
{
    struct login_request q = {.login = login,
                              .password = password,
                              .address = address,
                              .agent = "browser",
                              .request_id = "req_1",
                              .now_s = now_s};
    struct login_result out;
    RIG_OK(login_with_password(r.auth, &q, &out, &r.err));
    return out;
}

static enum login_outcome log_in(const char *password)
{
    return try_from("10.0.0.1", "wang", password).outcome;
}

static struct session_secret open_session(void)
{
    struct session_secret s;
    RIG_OK(session_open(r.auth, wang, "10.0.0.1", "browser", "req_1", now_s, &s, &r.err));
    return s;
}

static bool holds(const struct session_secret *s)
{
    struct principal who;
    return session_check(r.auth, s->token, now_s, &who, &r.err);
}

static bool nothing(struct store_db *db, void *ctx, struct err *e)
{
    (void)db;
    (void)ctx;
    (void)e;
    return true;
}

static void settle(void) /* what was posted is done */
{
    RIG_OK(store_write(r.store, nothing, NULL, &r.err));
}

/* ---- logging in --------------------------------------------------------------------------------
 */

START_TEST(a_login_opens_a_session)
{
    struct login_result in = try_from("10.0.0.1", "wang", right);
    struct principal who;
    ck_assert_int_eq(in.outcome, LOGIN_OK);
    ck_assert_int_eq(in.person_id, wang);
    ck_assert(!in.must_change_password);
    RIG_OK(session_check(r.auth, in.secret.token, now_s, &who, &r.err));
    ck_assert_int_eq(who.person_id, wang);
    ck_assert_int_eq(who.key_id, 0);
    ck_assert_int_eq(who.department_id, r.works);
    ck_assert_int_eq(who.scopes, SCOPE_INFER | SCOPE_TEMPLATES | SCOPE_USAGE);
    ck_assert_str_eq(who.login, "wang");
    struct login_result again = try_from("10.0.0.1", "wang", right);
    ck_assert_str_ne(in.secret.token, again.secret.token);
    struct person p;
    RIG_OK(person_get(r.auth, wang, &p, &r.err));
    ck_assert_int_eq(p.last_login_at, now_s);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM audit WHERE action = 'session.open'"), 2);
}
END_TEST

START_TEST(wrong_ones_get_nothing)
{
    static const char *const logins[] = {"wang", "nobody", "", "a b", "x' OR '1'='1", "\xff"};
    static const struct session_secret none;
    for (size_t i = 0; i < sizeof logins / sizeof logins[0]; i++) {
        struct login_result out = try_from("10.0.0.1", logins[i], "wrong-wrong");
        ck_assert_int_eq(out.outcome, LOGIN_WRONG);
        ck_assert_mem_eq(&out.secret, &none, sizeof none);
    }
    char *longest = calloc(1, PASSWORD_MAX_BYTES + 2);
    memset(longest, 'x', PASSWORD_MAX_BYTES + 1);
    ck_assert_int_eq(log_in(longest), LOGIN_WRONG);
    free(longest);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM session"), 0);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, wang, 1, true, "", &r.err));
    ck_assert_int_eq(log_in(right), LOGIN_WRONG);
}
END_TEST

START_TEST(a_confirmation_opens_nothing)
{
    struct login_request q = {.login = "wang",
                              .password = right,
                              .address = "10.0.0.1",
                              .agent = "",
                              .request_id = "",
                              .now_s = now_s};
    struct login_result out;
    RIG_OK(login_confirm(r.auth, &q, &out, &r.err));
    ck_assert_int_eq(out.outcome, LOGIN_OK);
    q.password = "wrong-wrong";
    for (int i = 0; i < LOCKOUT_FREE; i++)
        RIG_OK(login_confirm(r.auth, &q, &out, &r.err));
    ck_assert_int_eq(out.outcome, LOGIN_WRONG);
    RIG_OK(login_confirm(r.auth, &q, &out, &r.err));
    ck_assert_int_eq(out.outcome, LOGIN_LATER);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM session"), 0);
}
END_TEST

START_TEST(who_is_vouched_for_gets_a_session)
{
    struct login_request q = {.login = "fang",
                              .password = "",
                              .address = "10.0.0.1",
                              .agent = "",
                              .request_id = "",
                              .now_s = now_s};
    struct person_spec s = {.login = "fang",
                            .name = "",
                            .email = "",
                            .department_id = r.works,
                            .roles = ROLE_USER,
                            .source = "ldap",
                            .subject = "dir uid=fang"};
    struct login_result out;
    struct person p;
    int64_t fang, wait_s;
    RIG_OK(person_from_provider(r.auth, &RIG_ACTOR, &s, &fang, &r.err));
    RIG_OK(person_by_subject(r.auth, "ldap", "dir uid=fang", &p, &r.err));
    ck_assert_int_eq(p.id, fang);
    RIG_FAILS(person_by_subject(r.auth, "oidc", "dir uid=fang", &p, &r.err), ERR_NOT_FOUND);
    for (int i = 0; i < 3; i++)
        RIG_OK(lockout_begin(r.auth, "fang", "10.0.0.1", now_s, &wait_s, &r.err));
    RIG_OK(login_vouched(r.auth, &q, fang, &out, &r.err));
    ck_assert_int_eq(out.outcome, LOGIN_OK);
    ck_assert(holds(&out.secret));
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM login_failure WHERE address <> ''"), 0);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, fang, 1, true, "", &r.err));
    RIG_FAILS(login_vouched(r.auth, &q, fang, &out, &r.err), ERR_NOT_FOUND);
}
END_TEST

/* ---- being slowed down -------------------------------------------------------------------------
 */

START_TEST(five_wrong_ones_bring_growing_waits)
{
    static const int64_t waits[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
    for (int i = 0; i < LOCKOUT_FREE; i++)
        ck_assert_int_eq(log_in("wrong-wrong"), LOGIN_WRONG);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        struct login_result out = try_from("10.0.0.1", "wang", "wrong-wrong");
        ck_assert_int_eq(out.outcome, LOGIN_LATER);
        ck_assert_int_eq(out.retry_s, waits[i]);
        ck_assert_int_eq(log_in(right), LOGIN_LATER); /* even the right one */
        now_s += waits[i] - 1;
        if (waits[i] > 1)
            ck_assert_int_eq(log_in(right), LOGIN_LATER);
        now_s++;
        ck_assert_int_eq(log_in("wrong-wrong"), LOGIN_WRONG);
    }
    ck_assert_int_eq(try_from("10.0.0.2", "wang", right).outcome, LOGIN_OK); /* from elsewhere */
    now_s += 300;
    ck_assert_int_eq(log_in(right), LOGIN_OK);
    ck_assert_int_eq(log_in("wrong-wrong"), LOGIN_WRONG); /* forgotten: free ones again */
    ck_assert_int_eq(log_in(right), LOGIN_OK);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM audit WHERE action = 'login.slowed'"), 1);
}
END_TEST

START_TEST(names_that_do_not_exist_are_slowed_alike)
{
    for (int i = 0; i < LOCKOUT_FREE; i++)
        ck_assert_int_eq(try_from("10.0.0.1", "nobody", "wrong-wrong").outcome, LOGIN_WRONG);
    struct login_result out = try_from("10.0.0.1", "NoBody", "wrong-wrong");
    ck_assert_int_eq(out.outcome, LOGIN_LATER);
    ck_assert_int_eq(out.retry_s, 1);
    ck_assert_int_eq(log_in(right), LOGIN_OK);
}
END_TEST

START_TEST(an_account_takes_a_hundred_an_hour)
{
    char address[32];
    for (int i = 0; i < LOCKOUT_ACCOUNT; i++) {
        snprintf(address, sizeof address, "10.0.%d.1", i);
        ck_assert_int_eq(try_from(address, "wang", "wrong-wrong").outcome, LOGIN_WRONG);
    }
    struct login_result out = try_from("10.9.9.9", "wang", right);
    ck_assert_int_eq(out.outcome, LOGIN_LATER);
    ck_assert_int_eq(out.retry_s, 3600);
    now_s += 3600;
    ck_assert_int_eq(try_from("10.9.9.9", "wang", right).outcome, LOGIN_OK);
}
END_TEST

START_TEST(an_administrator_unlocks)
{
    bool found;
    for (int i = 0; i < LOCKOUT_FREE; i++)
        log_in("wrong-wrong");
    ck_assert_int_eq(log_in(right), LOGIN_LATER);
    RIG_OK(lockout_unlock(r.auth, &RIG_ACTOR, "Wang", "asked on the phone", &found, &r.err));
    ck_assert(found);
    ck_assert_int_eq(log_in(right), LOGIN_OK);
    RIG_OK(lockout_unlock(r.auth, &RIG_ACTOR, "nobody", "", &found, &r.err));
    ck_assert(!found);
    for (int i = 0; i < LOCKOUT_FREE; i++)
        log_in("wrong-wrong");
    char once[PASSWORD_ONE_TIME_TEXT];
    RIG_OK(password_reset(r.auth, &RIG_ACTOR, wang, "", once, &r.err)); /* lifts it too */
    ck_assert_int_eq(log_in(once), LOGIN_OK);
}
END_TEST

START_TEST(a_clock_set_back_prolongs_nothing)
{
    for (int i = 0; i < LOCKOUT_FREE + 3; i++, now_s += 300)
        log_in("wrong-wrong");
    now_s -= 86400;
    struct login_result out = try_from("10.0.0.1", "wang", right);
    ck_assert_int_eq(out.outcome, LOGIN_LATER);
    ck_assert_int_le(out.retry_s, 8);
    RIG_OK(lockout_purge(r.auth, now_s + 3 * 86400, &r.err));
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM login_failure"), 0);
}
END_TEST

static void *guess(void *arg)
{
    struct login_request q = {.login = "wang",
                              .password = "wrong-wrong",
                              .address = "10.0.0.1",
                              .agent = "",
                              .request_id = ""};
    struct login_result out;
    struct err e = ERR_INIT;
    int *n = arg;
    for (int i = 0; i < 10; i++) {
        q.now_s = clock_wall_s();
        if (!login_with_password(r.auth, &q, &out, &e))
            n[2]++; /* busy */
        else
            n[out.outcome == LOGIN_LATER]++;
    }
    return NULL;
}

/* S11: 100 wrong logins from ten threads at once, then one each second of a minute whose clock is
 * moved by hand. */
START_TEST(a_hundred_wrong_logins_cost_twelve_hashes)
{
    enum { N = 10 };
    pthread_t threads[N];
    int n[N][3] = {{0}}, sums[3] = {0};
    uint64_t before = hasher_count(r.auth->hasher);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, guess, n[i]), 0);
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        for (int k = 0; k < 3; k++)
            sums[k] += n[i][k];
    }
    uint64_t burst = hasher_count(r.auth->hasher) - before;
    now_s = clock_wall_s();
    for (int second = 0; second < 60; second++, now_s++)
        log_in("wrong-wrong");
    uint64_t all = hasher_count(r.auth->hasher) - before;
    printf(
        "S11: 100 wrong logins at once: %d checked, %d told to wait, %d busy, %llu hashes; with 60 "
        "more over a minute %llu hashes (limit 12)\n",
        sums[0], sums[1], sums[2], (unsigned long long)burst, (unsigned long long)all);
    ck_assert_int_eq(sums[0] + sums[1] + sums[2], 100);
    ck_assert_uint_le(all, 12);
}
END_TEST

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Times n wrong logins of nobody and of somebody, alternating; us[0] and us[1] come back sorted. */
static void time_logins(int n, uint64_t *us[2])
{
    static int hour;
    char address[32];
    for (int i = 0; i < n; i++)
        for (int turn = 0; turn < 2; turn++) {
            int who = turn ^ (i & 1); /* what follows what matters too */
            snprintf(address, sizeof address, "10.1.%d.%d", i, who);
            now_s = clock_wall_s() + 3600 * ++hour;
            uint64_t begin = clock_now_us();
            ck_assert_int_eq(try_from(address, who ? "wang" : "nobody", "wrong-wrong").outcome,
                             LOGIN_WRONG);
            us[who][i] = clock_now_us() - begin;
        }
    for (int who = 0; who < 2; who++)
        qsort(us[who], (size_t)n, sizeof us[0][0], by_size);
}

/* A wrong login of somebody and of nobody, with real hashes: the medians of 200 in the long form,
 * the fastest of 5 in the short one, which other programs on the machine disturb least. */
START_TEST(nobody_takes_as_long_as_somebody)
{
    enum { MOST = 200 };
    const struct auth_options real = {.cost = PASSWORD_COST_DEFAULT};
    bool full = getenv("SEEKD_TEST_LONG");
    int n = full ? MOST : 5;
    double limit = full ? 0.05 : 0.2, apart = 1;
    uint64_t nobody[MOST], somebody[MOST], *us[2] = {nobody, somebody};
    rig_restart(&r, &real);
    ck_assert_int_eq(log_in(right), LOGIN_OK); /* renews the hash at this cost */
    for (int i = 0; i < 3 && apart > limit; i++) {
        time_logins(n, us);
        double a = (double)nobody[full ? n / 2 : 0], b = (double)somebody[full ? n / 2 : 0];
        apart = (a > b ? a - b : b - a) / b;
        printf(
            "S4 login over 2 x %d: nobody %.1f ms, somebody %.1f ms, apart %.1f%% (limit %.0f%%)\n",
            n, a / 1000, b / 1000, 100 * apart, 100 * limit);
    }
    ck_assert_double_le(apart, limit);
}
END_TEST

/* ---- sessions ----------------------------------------------------------------------------------
 */

START_TEST(a_session_ends_when_idle)
{
    struct session_secret s = open_session();
    for (int i = 0; i < 4; i++) {
        now_s += SESSION_IDLE_S - 1;
        ck_assert(holds(&s));
        settle(); /* seen */
    }
    now_s += SESSION_IDLE_S;
    ck_assert(!holds(&s));
    settle();
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM session"),
                     0); /* deleted: no clock revives it */
    now_s -= SESSION_IDLE_S;
    ck_assert(!holds(&s));
}
END_TEST

START_TEST(a_session_ends_after_eight_hours)
{
    struct session_secret s = open_session();
    int64_t end = now_s + SESSION_LIFE_S;
    while (now_s + 600 < end) {
        now_s += 600;
        ck_assert(holds(&s));
        settle();
    }
    now_s = end - 1;
    ck_assert(holds(&s));
    now_s = end;
    ck_assert(!holds(&s));
}
END_TEST

START_TEST(a_session_from_the_future_is_ended)
{
    struct session_secret s = open_session();
    now_s -= 86400;
    ck_assert(!holds(&s));
    settle();
    now_s += 86400;
    ck_assert(!holds(&s));
}
END_TEST

START_TEST(the_sixth_login_ends_the_first)
{
    struct session_secret s[7];
    for (int i = 0; i < 7; i++, now_s++)
        s[i] = open_session();
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(holds(&s[i]), i >= 2);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM session"), SESSION_MAX);
}
END_TEST

START_TEST(other_texts_are_no_tokens)
{
    struct session_secret s = open_session();
    struct principal who;
    char text[TOKEN_TEXT];
    for (int i = 0; i < TOKEN_CHARS; i++) {
        memcpy(text, s.token, sizeof text);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        RIG_FAILS(session_check(r.auth, text, now_s, &who, &r.err), ERR_NOT_FOUND);
        ck_assert_int_eq(who.person_id, 0);
    }
    RIG_FAILS(session_check(r.auth, "", now_s, &who, &r.err), ERR_NOT_FOUND);
    RIG_FAILS(session_check(r.auth, "' OR 1=1 --", now_s, &who, &r.err), ERR_NOT_FOUND);
    RIG_FAILS(session_check(r.auth, s.csrf, now_s, &who, &r.err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(csrf_tokens_belong_to_one_session)
{
    struct session_secret one = open_session(), two = open_session();
    char again[TOKEN_TEXT];
    ck_assert(session_csrf_holds(one.token, one.csrf));
    ck_assert(!session_csrf_holds(one.token, two.csrf));
    ck_assert(!session_csrf_holds(one.token, one.token));
    ck_assert(!session_csrf_holds(one.token, ""));
    ck_assert(!session_csrf_holds("", ""));
    RIG_OK(session_csrf(one.token, again, &r.err));
    ck_assert_str_eq(again, one.csrf);
    RIG_FAILS(session_csrf("short", again, &r.err), ERR_ARG);
}
END_TEST

struct seen {
    int n;
    char id[8][SESSION_ID_TEXT];
};

static bool see(void *ctx, const struct session_row *s, struct err *e)
{
    struct seen *all = ctx;
    (void)e;
    ck_assert_int_eq(s->person_id, wang);
    ck_assert_str_eq(s->address, "10.0.0.1");
    ck_assert_str_eq(s->agent, "browser");
    memcpy(all->id[all->n++], s->id, sizeof s->id);
    return true;
}

START_TEST(sessions_are_listed_and_ended_one_by_one)
{
    struct session_secret one = open_session();
    now_s++;
    struct session_secret two = open_session();
    struct seen all = {0};
    int64_t n = 0, li = rig_person(&r, "li", r.office, ROLE_USER);
    RIG_OK(session_list(r.auth, wang, now_s, see, &all, &r.err));
    ck_assert_int_eq(all.n, 2);
    RIG_FAILS(session_kill(r.auth, &RIG_ACTOR, li, all.id[0], "", &r.err), ERR_NOT_FOUND);
    RIG_FAILS(session_kill(r.auth, &RIG_ACTOR, wang, "0", "", &r.err), ERR_NOT_FOUND);
    ck_assert(holds(&one));
    RIG_OK(session_kill(r.auth, &RIG_ACTOR, wang, all.id[0], "", &r.err));
    ck_assert(!holds(&one) && holds(&two));
    RIG_OK(session_kill_all(r.auth, &RIG_ACTOR, wang, "", &n, &r.err));
    ck_assert_int_eq(n, 1);
    ck_assert(!holds(&two));
    one = open_session();
    RIG_OK(session_close(r.auth, &RIG_ACTOR, one.token, &r.err));
    RIG_OK(session_close(r.auth, &RIG_ACTOR, one.token, &r.err));
    RIG_OK(session_close(r.auth, &RIG_ACTOR, "junk", &r.err));
    ck_assert(!holds(&one));
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM audit WHERE action = 'session.end'"), 3);
}
END_TEST

START_TEST(use_is_noted_once_a_minute)
{
    struct session_secret s = open_session();
    struct store_stats before, after;
    settle();
    store_stats(r.store, &before);
    for (int i = 0; i < 100; i++)
        ck_assert(holds(&s));
    store_stats(r.store, &after);
    ck_assert_uint_eq(after.jobs, before.jobs);
    now_s += SESSION_SEEN_S;
    ck_assert(holds(&s));
    settle();
    ck_assert_int_eq(rig_int(&r, "SELECT seen_at - created_at FROM session"), SESSION_SEEN_S);
    now_s += SESSION_IDLE_S;
    RIG_OK(session_purge(r.auth, now_s, &r.err));
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM session"), 0);
}
END_TEST

START_TEST(a_new_password_is_asked_for)
{
    char once[PASSWORD_ONE_TIME_TEXT];
    struct key_grant g;
    RIG_OK(password_reset(r.auth, &RIG_ACTOR, wang, "", once, &r.err));
    struct login_result in = try_from("10.0.0.1", "wang", once);
    ck_assert(in.must_change_password);
    RIG_OK(authority_by_session(r.auth, in.secret.token, now_s, &g, &r.err));
    ck_assert(g.principal.must_change_password);
    ck_assert_int_eq(authority_reach(&g.principal, AUTHORITY_USAGE, AUTHORITY_READ),
                     AUTHORITY_NONE);
    ck_assert_int_eq(authority_reach(&g.principal, AUTHORITY_PASSWORD, AUTHORITY_WRITE),
                     AUTHORITY_OWN);
    RIG_OK(
        password_change(r.auth, &RIG_ACTOR, wang, once, "kq7w-zt2-next", in.secret.token, &r.err));
    RIG_OK(authority_by_session(r.auth, in.secret.token, now_s, &g, &r.err));
    ck_assert(!g.principal.must_change_password);
    key_grant_release(&g);
}
END_TEST

START_TEST(agents_are_cut_and_cleaned)
{
    struct session_secret s;
    char agent[1000];
    for (size_t i = 0; i + 3 < sizeof agent; i += 3)
        memcpy(agent + i, "中", 3);
    agent[sizeof agent - 1] = '\0';
    RIG_OK(session_open(r.auth, wang, "10.0.0.1", agent, "", now_s, &s, &r.err));
    ck_assert_int_eq(rig_int(&r, "SELECT length(agent) FROM session"), SESSION_AGENT_BYTES / 3);
    RIG_OK(session_kill_all(r.auth, &RIG_ACTOR, wang, "", NULL, &r.err));
    RIG_OK(session_open(r.auth, wang, "10.0.0.1", "\xff\xfe", "", now_s, &s, &r.err));
    ck_assert_int_eq(rig_int(&r, "SELECT length(agent) FROM session"), 0);
    ck_assert_int_ge(session_clock_s(), clock_wall_s() - 2);
    ck_assert_int_le(session_clock_s(), clock_wall_s() + 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("login");
    tcase_set_timeout(t, 900);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_login_opens_a_session);
    tcase_add_test(t, wrong_ones_get_nothing);
    tcase_add_test(t, a_confirmation_opens_nothing);
    tcase_add_test(t, who_is_vouched_for_gets_a_session);
    tcase_add_test(t, five_wrong_ones_bring_growing_waits);
    tcase_add_test(t, names_that_do_not_exist_are_slowed_alike);
    tcase_add_test(t, an_account_takes_a_hundred_an_hour);
    tcase_add_test(t, an_administrator_unlocks);
    tcase_add_test(t, a_clock_set_back_prolongs_nothing);
    tcase_add_test(t, a_hundred_wrong_logins_cost_twelve_hashes);
    tcase_add_test(t, nobody_takes_as_long_as_somebody);
    suite_add_tcase(s, t);
    t = tcase_create("session");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_session_ends_when_idle);
    tcase_add_test(t, a_session_ends_after_eight_hours);
    tcase_add_test(t, a_session_from_the_future_is_ended);
    tcase_add_test(t, the_sixth_login_ends_the_first);
    tcase_add_test(t, other_texts_are_no_tokens);
    tcase_add_test(t, csrf_tokens_belong_to_one_session);
    tcase_add_test(t, sessions_are_listed_and_ended_one_by_one);
    tcase_add_test(t, use_is_noted_once_a_minute);
    tcase_add_test(t, a_new_password_is_asked_for);
    tcase_add_test(t, agents_are_cut_and_cleaned);
    suite_add_tcase(s, t);
    return rig_main(s);
}
