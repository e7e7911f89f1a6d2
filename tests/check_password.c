/* Passwords: both policies, scrypt as Python computes it, one-time passwords, history, hashes of
 * older cost, the bounded worker, the first start. */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "auth/hasher.h"
#include "auth/login.h"
#include "auth/password.h"
#include "auth/people.h"
#include "auth/principal.h"
#include "auth/session.h"
#include "auth_rig.h"
#include "base/clock.h"

static struct rig r;
static const struct auth_options strict = {.profile = PASSWORD_DENGBAO3, .cost = {1024, 8, 1}};
static const struct auth_options dearer = {.profile = PASSWORD_ASVS, .cost = {2048, 8, 2}};

static void set_up(void)
{
    rig_open(&r, NULL);
}

static void set_up_strict(void)
{
    rig_open(&r, &strict);
}

static void tear_down(void)
{
    rig_close(&r);
}

static enum login_outcome log_in_at(const char *login, const char *password, int64_t now_s,
                                    bool *must_change)
{
    struct login_request q = {.login = login,
                              .password = password,
                              .address = "10.0.0.1",
                              .agent = "test",
                              .request_id = "req_1",
                              .now_s = now_s};
    struct login_result out;
    RIG_OK(login_with_password(r.auth, &q, &out, &r.err));
    if (must_change)
        *must_change = out.must_change_password;
    return out.outcome;
}

static enum login_outcome log_in(const char *login, const char *password)
{
    return log_in_at(login, password, clock_wall_s(), NULL);
}

/* ---- policy ------------------------------------------------------------------------------------
 */

START_TEST(policies_accept_and_refuse)
{
    static const struct {
        const char *text;
        bool asvs, dengbao3;
    } cases[] = {
        {"correct horse battery", true, false},
        {"Correct horse battery", true, true},
        {"a1b2c3d", false, false},
        {"kq7w-zt2", true, true},
        {"kqxwvzty", true, false},
        {"kqxwvz77", true, false},
        {"Kqxwvz77", true, true},
        {"aaaaaaaa", false, false},
        {"Aa123456", false, false},
        {"password", false, false},
        {"Password1!", false, false},
        {"woaini1314", false, false},
        {"Woaini5201314", false, false},
        {"zhongguo2026", false, false},
        {"88888888", false, false},
        {"1qaz2wsx", false, false},
        {"123456789012", false, false},
        {"210987654321", false, false},
        {"567890123456", false, false},
        {"abcd!4321-X", false, false},
        {"lkjhgfdsapoiu", false, false},
        {"!QAZ@WSX#EDC", false, false},
        {"aaaabbbb7777x", false, false},
        {"Qwertz-12345", false, false},
        {"Qwertz-12345-uv4", true, true},
        {"1234 battery", true, true},
        {"好abc大123地", false, false},
        {"wangfang99", false, false},
        {"xWangFang!", false, false},
        {"我们今天去上海吃饭", true, false},
        {"我们今天去上海吃饭a1", true, true},
        {"我们今天去上", false, false},
        {"好好好好好好好好好", false, false},
        {"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool a = password_acceptable(PASSWORD_ASVS, cases[i].text, "wangfang", NULL);
        bool d = password_acceptable(PASSWORD_DENGBAO3, cases[i].text, "wangfang", NULL);
        ck_assert_msg(a == cases[i].asvs && d == cases[i].dengbao3, "%s: %d %d", cases[i].text, a,
                      d);
    }
    char longest[PASSWORD_MAX_CHARS + 2];
    for (int i = 0; i <= PASSWORD_MAX_CHARS; i++)
        longest[i] = (char)('a' + i * 7 % 26);
    longest[PASSWORD_MAX_CHARS + 1] = '\0';
    ck_assert(!password_acceptable(PASSWORD_ASVS, longest, "x", NULL));
    longest[PASSWORD_MAX_CHARS] = '\0';
    ck_assert(password_acceptable(PASSWORD_ASVS, longest, "x", NULL));
}
END_TEST

START_TEST(profiles_have_names)
{
    enum password_profile p;
    ck_assert(password_profile_parse("asvs", &p) && p == PASSWORD_ASVS);
    ck_assert(password_profile_parse("dengbao3", &p) && p == PASSWORD_DENGBAO3);
    ck_assert(!password_profile_parse("none", &p));
}
END_TEST

START_TEST(passwords_age)
{
    const int64_t day = 86400;
    ck_assert(!password_must_change(PASSWORD_ASVS, false, 0, 4000 * day));
    ck_assert(!password_must_change(PASSWORD_DENGBAO3, false, 0, 90 * day - 1));
    ck_assert(password_must_change(PASSWORD_DENGBAO3, false, 0, 90 * day));
    ck_assert(password_must_change(PASSWORD_ASVS, true, 0, 1));
    ck_assert(!password_lapsed(true, 0, 7 * day - 1) && password_lapsed(true, 0, 7 * day));
    ck_assert(!password_lapsed(false, 0, 4000 * day));
}
END_TEST

/* ---- hashing -----------------------------------------------------------------------------------
 */

/* "pleaseletmein" and the 16 bytes "SodiumChloride\0\0". Expected: hashlib.scrypt of Python 3.11.
 */
START_TEST(scrypt_is_scrypt)
{
    static const uint8_t salt[PASSWORD_SALT_BYTES] = "SodiumChloride";
    static const struct {
        struct password_cost cost;
        uint8_t hash[PASSWORD_HASH_BYTES];
    } want[] = {
        {{1024, 8, 16}, {0x0f, 0xc1, 0xe9, 0x0b, 0xf0, 0x89, 0xb2, 0xd2, 0xcd, 0xe8, 0x21,
                         0x8f, 0x24, 0x44, 0x1d, 0x2c, 0x1b, 0xf3, 0xb6, 0x8a, 0x25, 0x73,
                         0x79, 0xdd, 0x0c, 0xdc, 0xcc, 0x79, 0x24, 0x15, 0xfe, 0x84}},
        {{16384, 8, 1}, {0xf7, 0xd2, 0xbd, 0x1b, 0xef, 0xac, 0x5a, 0x5b, 0xd9, 0x50, 0xe5,
                         0x69, 0xaf, 0xa2, 0x33, 0xd0, 0x6a, 0xb5, 0x54, 0xe2, 0x5b, 0x45,
                         0x1d, 0x40, 0x27, 0xf2, 0x14, 0x20, 0x13, 0xbe, 0xae, 0xa3}},
        {{32768, 8, 3}, {0x45, 0x6d, 0x09, 0xe1, 0x22, 0xea, 0x1b, 0x8f, 0x72, 0x7e, 0x70,
                         0x84, 0xfb, 0xa9, 0xce, 0x6f, 0x0d, 0x7a, 0x21, 0x0a, 0xa3, 0xd7,
                         0xb8, 0x10, 0x14, 0xb8, 0xf2, 0xd1, 0xbd, 0x72, 0x90, 0x4b}},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        uint8_t hash[PASSWORD_HASH_BYTES];
        uint64_t begin = clock_now_us();
        RIG_OK(password_derive(&want[i].cost, salt, "pleaseletmein", 13, hash, &r.err));
        printf("scrypt N=%u r=%u p=%u: %.0f ms\n", want[i].cost.n, want[i].cost.r, want[i].cost.p,
               (double)(clock_now_us() - begin) / 1000);
        ck_assert_mem_eq(hash, want[i].hash, sizeof hash);
    }
}
END_TEST

START_TEST(costs_have_limits)
{
    static const struct password_cost bad[] = {{512, 8, 1},   {1025, 8, 1},    {1 << 21, 8, 1},
                                               {1024, 0, 1},  {1024, 33, 1},   {1024, 8, 0},
                                               {1024, 8, 17}, {1 << 20, 8, 1}, {0, 0, 0}};
    struct auth *a;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct auth_options opt = {.cost = bad[i]};
        ck_assert(!password_cost_valid(&bad[i]));
        RIG_FAILS(auth_open(r.store, &opt, &a, &r.err), ERR_ARG);
        ck_assert_ptr_null(a);
    }
    ck_assert(password_cost_valid(&PASSWORD_COST_DEFAULT));
}
END_TEST

static atomic_int n_ok, n_busy, n_other;

static void *derive(void *arg)
{
    static const uint8_t salt[PASSWORD_SALT_BYTES];
    uint8_t hash[PASSWORD_HASH_BYTES];
    struct password_cost c = {8192, 8, 1};
    struct err e = ERR_INIT;
    if (hasher_derive(arg, &c, salt, "x", 1, hash, &e))
        n_ok++;
    else if (e.code == ERR_BUSY)
        n_busy++;
    else
        n_other++;
    return NULL;
}

START_TEST(one_worker_and_sixteen_wait)
{
    enum { N = 40 };
    pthread_t threads[N];
    struct hasher *h;
    n_ok = n_busy = n_other = 0;
    RIG_OK(hasher_create(&h, &r.err));
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, derive, h), 0);
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    printf("%d hashers at once: %d computed, %d refused as busy\n", N, (int)n_ok, (int)n_busy);
    ck_assert_int_eq(n_ok + n_busy, N);
    ck_assert_int_ge(n_ok, HASHER_QUEUE);
    ck_assert_int_ge(n_busy, 1);
    ck_assert_uint_eq(hasher_count(h), (unsigned)n_ok);
    hasher_destroy(&h);
}
END_TEST

static void *destroy(void *arg)
{
    hasher_destroy(arg);
    return NULL;
}

START_TEST(the_end_of_the_worker_wakes_who_waits)
{
    enum { N = 6 };
    pthread_t threads[N], ender;
    struct hasher *h, *mine;
    n_ok = n_busy = n_other = 0;
    RIG_OK(hasher_create(&h, &r.err));
    mine = h;
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, derive, mine), 0);
    while (hasher_count(mine) == 0 || hasher_waiting(mine) < N - 1)
        sched_yield();
    ck_assert_int_eq(pthread_create(&ender, NULL, destroy, &h), 0);
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    pthread_join(ender, NULL);
    ck_assert_ptr_null(h);
    ck_assert_int_eq(n_ok + n_other, N);
    ck_assert_int_ge(n_other, 1); /* ERR_CANCELLED */
}
END_TEST

/* ---- the life of a password --------------------------------------------------------------------
 */

START_TEST(the_first_start_makes_an_administrator_once)
{
    char once[PASSWORD_ONE_TIME_TEXT], again[PASSWORD_ONE_TIME_TEXT];
    bool created, must;
    RIG_OK(password_first_admin(r.auth, once, &created, &r.err));
    ck_assert(created);
    ck_assert_int_eq(strlen(once), PASSWORD_ONE_TIME_TEXT - 1);
    RIG_OK(password_first_admin(r.auth, again, &created, &r.err));
    ck_assert(!created);
    ck_assert_str_eq(again, "");
    ck_assert_int_eq(log_in_at("admin", once, clock_wall_s(), &must), LOGIN_OK);
    ck_assert(must);
    struct person p;
    RIG_OK(person_by_login(r.auth, "admin", &p, &r.err));
    ck_assert_int_eq(p.roles, ROLE_ADMIN);
    RIG_OK(password_change(r.auth, &RIG_ACTOR, p.id, once, "kq7w-zt2-gone", NULL, &r.err));
    ck_assert_int_eq(log_in("admin", once), LOGIN_WRONG);
    ck_assert_int_eq(log_in_at("admin", "kq7w-zt2-gone", clock_wall_s(), &must), LOGIN_OK);
    ck_assert(!must);
}
END_TEST

START_TEST(a_one_time_password_lapses)
{
    char once[PASSWORD_ONE_TIME_TEXT];
    int64_t id = rig_person(&r, "wang", r.works, ROLE_USER), now_s = clock_wall_s();
    RIG_OK(password_reset(r.auth, &RIG_ACTOR, id, "new", once, &r.err));
    ck_assert_int_eq(log_in_at("wang", once, now_s + 8 * 86400, NULL), LOGIN_WRONG);
    ck_assert_int_eq(log_in_at("wang", once, now_s, NULL), LOGIN_OK);
    ck_assert_int_eq(
        rig_int(&r, "SELECT count(*) FROM audit WHERE action = 'person.password_reset'"), 1);
    ck_assert_int_eq(
        rig_int(&r,
                "SELECT count(*) FROM audit WHERE before IS NOT NULL AND action LIKE '%password%'"),
        0);
}
END_TEST

START_TEST(a_change_needs_the_old_one_and_ends_other_sessions)
{
    int64_t id = rig_person(&r, "wang", r.works, ROLE_USER);
    struct session_secret one, two;
    struct principal who;
    rig_password(&r, id, "kq7w-zt2-first");
    RIG_OK(session_open(r.auth, id, "10.0.0.1", "", "", 1000, &one, &r.err));
    RIG_OK(session_open(r.auth, id, "10.0.0.1", "", "", 1000, &two, &r.err));
    RIG_FAILS(password_change(r.auth, &RIG_ACTOR, id, "wrong", "kq7w-zt2-next", one.token, &r.err),
              ERR_NOT_FOUND);
    RIG_FAILS(password_change(r.auth, &RIG_ACTOR, id, "kq7w-zt2-first", "short", one.token, &r.err),
              ERR_ARG);
    RIG_FAILS(password_change(r.auth, &RIG_ACTOR, id, "kq7w-zt2-first", "kq7w-zt2-first", one.token,
                              &r.err),
              ERR_ARG);
    RIG_OK(session_check(r.auth, two.token, 1000, &who, &r.err));
    RIG_OK(password_change(r.auth, &RIG_ACTOR, id, "kq7w-zt2-first", "kq7w-zt2-next", one.token,
                           &r.err));
    RIG_OK(session_check(r.auth, one.token, 1000, &who, &r.err));
    RIG_FAILS(session_check(r.auth, two.token, 1000, &who, &r.err), ERR_NOT_FOUND);
    ck_assert_int_eq(log_in("wang", "kq7w-zt2-next"), LOGIN_OK);
    ck_assert_int_eq(log_in("WANG", "kq7w-zt2-next"), LOGIN_OK);
}
END_TEST

START_TEST(services_and_outsiders_have_no_password)
{
    char once[PASSWORD_ONE_TIME_TEXT];
    int64_t id = rig_person(&r, "robot", r.works, ROLE_SERVICE), fang;
    struct person_spec s = {.login = "fang",
                            .name = "",
                            .email = "",
                            .department_id = r.works,
                            .roles = ROLE_USER,
                            .source = "ldap",
                            .subject = "dir uid=fang"};
    RIG_FAILS(password_reset(r.auth, &RIG_ACTOR, id, "", once, &r.err), ERR_ARG);
    RIG_OK(person_from_provider(r.auth, &RIG_ACTOR, &s, &fang, &r.err));
    RIG_FAILS(password_reset(r.auth, &RIG_ACTOR, fang, "", once, &r.err), ERR_ARG);
    RIG_FAILS(password_change(r.auth, &RIG_ACTOR, fang, "", "kq7w-zt2-next", NULL, &r.err),
              ERR_NOT_FOUND);
    RIG_FAILS(password_reset(r.auth, &RIG_ACTOR, 999, "", once, &r.err), ERR_NOT_FOUND);
    ck_assert_int_eq(log_in("robot", "kq7w-zt2-next"), LOGIN_WRONG);
    ck_assert_int_eq(log_in("fang", "kq7w-zt2-next"), LOGIN_WRONG);
}
END_TEST

START_TEST(a_login_renews_hashes_of_another_cost)
{
    int64_t id = rig_person(&r, "wang", r.works, ROLE_USER);
    rig_password(&r, id, "kq7w-zt2-first");
    int64_t rows = rig_int(&r, "SELECT count(*) FROM password");
    rig_restart(&r, &dearer);
    ck_assert_int_eq(log_in("wang", "wrong-wrong"), LOGIN_WRONG);
    ck_assert_int_eq(rig_int(&r, "SELECT n FROM password ORDER BY id DESC"), 1024);
    ck_assert_int_eq(log_in("wang", "kq7w-zt2-first"), LOGIN_OK);
    ck_assert_int_eq(rig_int(&r, "SELECT n FROM password ORDER BY id DESC"), 2048);
    ck_assert_int_eq(rig_int(&r, "SELECT p FROM password ORDER BY id DESC"), 2);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM password"), rows);
    ck_assert_int_eq(log_in("wang", "kq7w-zt2-first"), LOGIN_OK);
    ck_assert_int_eq(log_in("wang", "kq7w-zt2-firsT"), LOGIN_WRONG);
}
END_TEST

START_TEST(five_passwords_must_not_come_again)
{
    static const char *const texts[] = {"Kq7w-zt2-0", "Kq7w-zt2-1", "Kq7w-zt2-2",
                                        "Kq7w-zt2-3", "Kq7w-zt2-4", "Kq7w-zt2-5"};
    int64_t id = rig_person(&r, "wang", r.works, ROLE_USER);
    rig_password(&r, id, texts[0]);
    for (int i = 1; i < 5; i++)
        RIG_OK(password_change(r.auth, &RIG_ACTOR, id, texts[i - 1], texts[i], NULL, &r.err));
    for (int i = 0; i < 5; i++)
        RIG_FAILS(password_change(r.auth, &RIG_ACTOR, id, texts[4], texts[i], NULL, &r.err),
                  ERR_ARG);
    RIG_OK(password_change(r.auth, &RIG_ACTOR, id, texts[4], texts[5], NULL, &r.err));
    RIG_OK(password_change(r.auth, &RIG_ACTOR, id, texts[5], texts[0], NULL, &r.err));
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM password"), PASSWORD_HISTORY);
    RIG_FAILS(password_change(r.auth, &RIG_ACTOR, id, texts[0], "onlylower1", NULL, &r.err),
              ERR_ARG);
}
END_TEST

START_TEST(ninety_days_later_it_must_be_changed)
{
    bool must;
    int64_t id = rig_person(&r, "wang", r.works, ROLE_USER), now_s = clock_wall_s();
    rig_password(&r, id, "Kq7w-zt2-0");
    ck_assert_int_eq(log_in_at("wang", "Kq7w-zt2-0", now_s + 89 * 86400, &must), LOGIN_OK);
    ck_assert(!must);
    ck_assert_int_eq(log_in_at("wang", "Kq7w-zt2-0", now_s + 91 * 86400, &must), LOGIN_OK);
    ck_assert(must);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("password");
    TCase *t = tcase_create("asvs");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, policies_accept_and_refuse);
    tcase_add_test(t, profiles_have_names);
    tcase_add_test(t, passwords_age);
    tcase_add_test(t, scrypt_is_scrypt);
    tcase_add_test(t, costs_have_limits);
    tcase_add_test(t, one_worker_and_sixteen_wait);
    tcase_add_test(t, the_end_of_the_worker_wakes_who_waits);
    tcase_add_test(t, the_first_start_makes_an_administrator_once);
    tcase_add_test(t, a_one_time_password_lapses);
    tcase_add_test(t, a_change_needs_the_old_one_and_ends_other_sessions);
    tcase_add_test(t, services_and_outsiders_have_no_password);
    tcase_add_test(t, a_login_renews_hashes_of_another_cost);
    suite_add_tcase(s, t);
    t = tcase_create("dengbao3");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up_strict, tear_down);
    tcase_add_test(t, five_passwords_must_not_come_again);
    tcase_add_test(t, ninety_days_later_it_must_be_changed);
    suite_add_tcase(s, t);
    return rig_main(s);
}
