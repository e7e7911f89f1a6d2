/* Login against a real slapd (slapd.c): plain, StartTLS and ldaps, groups both ways, and everything
 * that must be refused. */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/ldap.h"
#include "auth/principal.h"
#include "base/clock.h"
#include "slapd.h"

static struct slapd dir;

/* ---- helpers --------------------------------------------------------------------------------- */

static struct ldap_options options(const char *url)
{
    struct ldap_options opt = LDAP_OPTIONS_DEFAULT;
    opt.url = url;
    opt.ca_file = dir.ca_file;
    opt.bind_dn = SLAPD_SERVICE;
    opt.bind_password = "service-secret";
    opt.base_dn = SLAPD_BASE;
    opt.timeout_ms = 5000;
    return opt;
}

static struct err login_with(const struct ldap_options *opt, const char *login,
                             const char *password, struct identity *id)
{
    struct err e = ERR_INIT;
    struct ldap_directory *d = NULL;
    struct identity own;
    ck_assert_msg(ldap_directory_create(opt, &d, &e), "%s", e.msg);
    bool ok = ldap_directory_login(d, login, password, id ? id : &own, &e);
    ck_assert_int_eq(ok, e.code == ERR_NONE);
    if (!ok)
        ck_assert((id ? id : &own)->subject[0] == '\0' && e.msg[0]);
    else if (!id)
        identity_release(&own);
    ldap_directory_destroy(&d);
    return e;
}

static void expect(const struct ldap_options *opt, const char *login, const char *password,
                   enum err_code want)
{
    struct err e = login_with(opt, login, password, NULL);
    ck_assert_msg(e.code == want, "%s: %s instead of %s: %s", login, err_code_name(e.code),
                  err_code_name(want), e.msg);
}

static bool in_group(const struct identity *id, const char *group)
{
    for (size_t i = 0; i < id->n_groups; i++)
        if (strcmp(id->groups[i], group) == 0)
            return true;
    return false;
}

/* ---- logins ---------------------------------------------------------------------------------- */

static void expect_lin_wei(const struct identity *id)
{
    ck_assert_int_eq(id->source, IDENTITY_LDAP);
    ck_assert_str_eq(id->issuer, "ldap");
    ck_assert_uint_eq(strlen(id->subject), 36); /* a UUID */
    ck_assert_str_eq(id->login, "l.wei");
    ck_assert_str_eq(id->name, "Lin Wei \u6797\u7ef4");
    ck_assert_str_eq(id->email, "l.wei@plant.example");
    ck_assert_uint_eq(id->n_groups, 2);
    ck_assert(in_group(id, "cn=line3," SLAPD_GROUPS));
    ck_assert(in_group(id, "cn=\u7f16\u8f91," SLAPD_GROUPS));
}

START_TEST(logs_in_by_member_of)
{
    struct ldap_options opt = options(dir.plain_url);
    struct identity id;
    struct err e = login_with(&opt, "L.Wei", "blue horse 7", &id);
    ck_assert_msg(e.code == ERR_NONE, "%s", e.msg);
    expect_lin_wei(&id);
    identity_release(&id);
}
END_TEST

START_TEST(logs_in_by_group_search)
{
    struct ldap_options opt = options(dir.plain_url);
    struct identity id;
    opt.group_attribute = "";
    opt.group_base = SLAPD_GROUPS;
    struct err e = login_with(&opt, "l.wei", "blue horse 7", &id);
    ck_assert_msg(e.code == ERR_NONE, "%s", e.msg);
    expect_lin_wei(&id);
    identity_release(&id);
    opt.group_base = "";
    ck_assert_int_eq(login_with(&opt, "l.wei", "blue horse 7", &id).code, ERR_NONE);
    ck_assert_uint_eq(id.n_groups, 0);
    identity_release(&id);
}
END_TEST

START_TEST(maps_to_department)
{
    static const char map_text[] =
        "{\"groups\":[{\"group\":\"CN=Line3, OU=Groups, DC=plant, DC=example\","
        "\"department\":\"Works/Line 3\",\"roles\":[\"user\"]},"
        "{\"group\":\"cn=\u7f16\u8f91," SLAPD_GROUPS "\",\"roles\":[\"editor\"]}]}";
    struct ldap_options opt = options(dir.plain_url);
    struct identity id;
    struct identity_map *m;
    struct identity_place place;
    struct err e = login_with(&opt, "l.wei", "blue horse 7", &id);
    ck_assert_int_eq(e.code, ERR_NONE);
    ck_assert_msg(identity_map_parse(map_text, sizeof map_text - 1, &m, &e), "%s", e.msg);
    ck_assert_msg(identity_map_apply(m, &id, &place, &e), "%s", e.msg);
    ck_assert_str_eq(place.department, "Works/Line 3");
    ck_assert_uint_eq(place.roles, ROLE_USER | ROLE_EDITOR);
    identity_map_destroy(&m);
    identity_release(&id);
}
END_TEST

START_TEST(refuses_wrong_passwords)
{
    struct ldap_options opt = options(dir.plain_url);
    expect(&opt, "l.wei", "blue horse 8", ERR_NOT_FOUND);
    expect(&opt, "l.wei", "m-secret", ERR_NOT_FOUND);
    expect(&opt, "l.wei", "", ERR_NOT_FOUND); /* the directory would say yes */
    expect(&opt, "nopassword", "x", ERR_NOT_FOUND);
    expect(&opt, "nobody", "blue horse 7", ERR_NOT_FOUND);
    char big[LDAP_PASSWORD_BYTES + 2];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    expect(&opt, "l.wei", big, ERR_NOT_FOUND);
    struct err unknown = login_with(&opt, "nobody", "x", NULL),
               wrong = login_with(&opt, "l.wei", "x", NULL);
    ck_assert_str_eq(unknown.msg, wrong.msg);
}
END_TEST

START_TEST(takes_logins_literally)
{
    static const char *const bad[] = {
        "*",       "l.*",    "l.wei)(uid=*",      "*)(objectClass=*", "",
        "l.wei\n", "l.wei)", "\\6c.wei",          "l.wei\\00",        "{dn}",
        "{login}", "\xff",   "uid=l.wei," SLAPD_PEOPLE, "l.wei)(|(uid=*"};
    struct ldap_options opt = options(dir.plain_url);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect(&opt, bad[i], "blue horse 7", ERR_NOT_FOUND);
    struct identity id;
    struct err e = login_with(&opt, "a*b(c)\\d", "odd-secret", &id);
    ck_assert_msg(e.code == ERR_NONE, "%s", e.msg);
    ck_assert_str_eq(id.login, "a*b(c)\\d");
    ck_assert(in_group(&id, "cn=lab," SLAPD_GROUPS));
    identity_release(&id);
}
END_TEST

START_TEST(expands_filters)
{
    struct buf b;
    buf_init(&b, 64);
    ck_assert(
        ldap_filter_expand(&b, "(|(a={login})(m={dn})({x}))", "a*b(c)\\\x01", "cn=\u6797, x"));
    ck_assert_str_eq(buf_str(&b), "(|(a=a\\2ab\\28c\\29\\5c\\01)(m=cn\\3d\u6797\\2c\\20x)({x}))");
    buf_clear(&b);
    ck_assert(!ldap_filter_expand(&b, "({login}{login}{login}{login})", "********", ""));
    buf_release(&b);
}
END_TEST

START_TEST(refuses_ambiguous_and_odd_entries)
{
    struct ldap_options opt = options(dir.plain_url);
    opt.user_filter = "(mail={login})";
    expect(&opt, "shared@plant.example", "m-secret", ERR_CONFLICT);
    expect(&opt, "l.wei@plant.example", "blue horse 7", ERR_NONE);
    opt = options(dir.plain_url);
    opt.subject_attribute = "employeeNumber"; /* nobody has one */
    expect(&opt, "l.wei", "blue horse 7", ERR_FORMAT);
    opt = options(dir.plain_url);
    opt.user_filter = "(&(employeeType={login})";
    expect(&opt, "control", "control-secret", ERR_ARG); /* parentheses do not close */
}
END_TEST

START_TEST(reports_service_account)
{
    struct ldap_options opt = options(dir.plain_url);
    opt.bind_password = "wrong";
    struct err e = login_with(&opt, "l.wei", "blue horse 7", NULL);
    ck_assert_int_eq(e.code, ERR_ARG);
    ck_assert_ptr_nonnull(strstr(e.msg, "service account"));
    opt = options(dir.plain_url);
    opt.bind_dn = opt.bind_password = ""; /* anonymous: this directory shows nothing */
    expect(&opt, "l.wei", "blue horse 7", ERR_ARG);
    opt = options(dir.plain_url);
    opt.base_dn = "ou=nowhere," SLAPD_BASE;
    expect(&opt, "l.wei", "blue horse 7", ERR_ARG);
}
END_TEST

START_TEST(follows_no_referrals)
{
    struct ldap_options opt = options(dir.plain_url);
    opt.base_dn = "ou=elsewhere," SLAPD_BASE;
    expect(&opt, "l.wei", "blue horse 7", ERR_UNSUPPORTED);
}
END_TEST

/* ---- TLS, time, several servers -------------------------------------------------------------- */

START_TEST(logs_in_over_tls)
{
    struct ldap_options opt = options(dir.tls_url);
    expect(&opt, "l.wei", "blue horse 7", ERR_NONE);
    expect(&opt, "s.wu", "s-secret", ERR_NONE); /* shown over TLS only */
    expect(&opt, "s.wu", "x", ERR_NOT_FOUND);
    opt = options(dir.plain_url);
    expect(&opt, "s.wu", "s-secret", ERR_NOT_FOUND);
    opt.start_tls = true;
    expect(&opt, "s.wu", "s-secret", ERR_NONE);
}
END_TEST

START_TEST(checks_certificates)
{
    const char *const urls[] = {dir.tls_url, dir.plain_url};
    setenv("LDAPTLS_REQCERT", "never", 1); /* somebody's ldap.conf does not weaken ours */
    for (size_t i = 0; i < 2; i++) {
        struct ldap_options opt = options(urls[i]);
        opt.start_tls = i == 1;
        opt.ca_file = dir.other_ca_file;
        expect(&opt, "l.wei", "blue horse 7", ERR_IO);
        opt.ca_file = ""; /* the system's */
        expect(&opt, "l.wei", "blue horse 7", ERR_IO);
    }
    struct ldap_options opt = options(dir.wrong_host_url);
    expect(&opt, "l.wei", "blue horse 7", ERR_IO);
}
END_TEST

/* Says yes to StartTLS, and then nothing. */
static void *answer_once(void *ctx)
{
    static const char yes[] = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
    char request[256];
    int fd = accept(*(const int *)ctx, NULL, NULL);
    if (fd >= 0 && read(fd, request, sizeof request) > 0)
        (void)!write(fd, yes, sizeof yes - 1);
    while (fd >= 0 && read(fd, request, sizeof request) > 0)
        continue;
    close(fd);
    return NULL;
}

START_TEST(gives_up_in_handshake)
{
    unsigned port;
    char url[64];
    pthread_t thread;
    int fd = slapd_listen_free(&port);
    ck_assert_int_eq(pthread_create(&thread, NULL, answer_once, &fd), 0);
    snprintf(url, sizeof url, "ldap://127.0.0.1:%u", port);
    struct ldap_options opt = options(url);
    opt.start_tls = true;
    opt.timeout_ms = 400;
    uint64_t begun = clock_now_us();
    struct err e = login_with(&opt, "l.wei", "blue horse 7", NULL);
    ck_assert_int_eq(e.code, ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "TLS fails"));
    ck_assert_uint_lt(clock_now_us() - begun, 2500000);
    pthread_join(thread, NULL);
    close(fd);
}
END_TEST

START_TEST(gives_up_in_time)
{
    unsigned port;
    int fd = slapd_listen_free(&port);
    for (int way = 0; way < 3; way++) { /* plain, StartTLS, ldaps */
        char url[64];
        snprintf(url, sizeof url, "%s://127.0.0.1:%u", way == 2 ? "ldaps" : "ldap", port);
        struct ldap_options opt = options(url);
        opt.start_tls = way == 1;
        opt.timeout_ms = 400;
        uint64_t begun = clock_now_us();
        expect(&opt, "l.wei", "blue horse 7", ERR_IO);
        uint64_t took = clock_now_us() - begun;
        ck_assert_msg(took < 2500000, "way %d took %u ms", way, (unsigned)(took / 1000));
    }
    close(fd);
    struct ldap_options opt = options("ldap://127.0.0.1:1");
    expect(&opt, "l.wei", "blue horse 7", ERR_IO);
}
END_TEST

START_TEST(tries_servers_in_turn)
{
    char urls[200];
    snprintf(urls, sizeof urls, "ldap://127.0.0.1:1 %s", dir.plain_url);
    struct ldap_options opt = options(urls);
    expect(&opt, "l.wei", "blue horse 7", ERR_NONE);
}
END_TEST

struct crowd {
    struct ldap_directory *d;
    atomic_uint n_in, n_out;
};

static void *log_in_often(void *ctx)
{
    struct crowd *c = ctx;
    for (int i = 0; i < 6; i++) {
        struct identity id;
        bool right = i % 2 == 0;
        bool ok = ldap_directory_login(c->d, "m.chen", right ? "c-secret" : "x", &id, NULL);
        if (ok)
            identity_release(&id);
        if (ok && right)
            c->n_in++;
        else if (!ok && !right)
            c->n_out++;
    }
    return NULL;
}

START_TEST(serves_many_threads)
{
    pthread_t threads[4];
    struct crowd c = {0};
    struct err e = ERR_INIT;
    struct ldap_options opt = options(dir.tls_url);
    ck_assert_msg(ldap_directory_create(&opt, &c.d, &e), "%s", e.msg);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_in_often, &c), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(c.n_in, 12);
    ck_assert_uint_eq(c.n_out, 12);
    ldap_directory_destroy(&c.d);
}
END_TEST

/* ---- options --------------------------------------------------------------------------------- */

static enum err_code create_code(const struct ldap_options *opt)
{
    struct err e = ERR_INIT;
    struct ldap_directory *d = NULL;
    bool ok = ldap_directory_create(opt, &d, &e);
    ck_assert_int_eq(ok, d != NULL);
    ck_assert_int_eq(ok, e.code == ERR_NONE);
    ldap_directory_destroy(&d);
    return e.code;
}

START_TEST(checks_options)
{
    struct ldap_options good = options("ldaps://directory.example.com"), opt;
    ck_assert_int_eq(create_code(&good), ERR_NONE);
#define WRONG(member, value)                                                                       \
    do {                                                                                           \
        opt = good;                                                                                \
        opt.member = value;                                                                        \
        ck_assert_msg(create_code(&opt) == ERR_ARG, #member " " #value);                           \
    } while (0)
    WRONG(url, NULL);
    WRONG(url, "");
    WRONG(url, "directory.example.com");
    WRONG(url, "ldap://directory.example.com"); /* in the clear */
    WRONG(url, "ldaps://a.example.com ldap://b.example.com");
    WRONG(url, "ldapi:///");
    WRONG(url, "ldaps://");
    WRONG(url, "ldaps://a.example.com/dc=x");
    WRONG(url, "ldaps://a ldaps://b ldaps://c ldaps://d ldaps://e");
    WRONG(start_tls, true); /* over ldaps */
    WRONG(name, "");
    WRONG(name, "a b");
    WRONG(ca_file, "check_ldap.missing");
    WRONG(bind_password, "");
    WRONG(bind_dn, "");
    WRONG(bind_dn, "seekd");
    WRONG(base_dn, "");
    WRONG(base_dn, "plant");
    WRONG(group_base, "plant");
    WRONG(user_filter, "uid={login}");
    WRONG(user_filter, "(uid=x)");
    WRONG(subject_attribute, "");
    WRONG(login_attribute, "uid,cn");
    WRONG(email_attribute, "a b");
    WRONG(timeout_ms, 0);
#undef WRONG
    opt = good;
    opt.url = "ldap://directory.example.com";
    opt.start_tls = true;
    ck_assert_int_eq(create_code(&opt), ERR_NONE);
    opt.group_base = SLAPD_GROUPS;
    opt.group_filter = "(member=x)";
    ck_assert_int_eq(create_code(&opt), ERR_ARG);
}
END_TEST

static void directory_start(void)
{
    slapd_start(&dir);
}

static void directory_stop(void)
{
    slapd_stop(&dir);
}

int main(void)
{
    if (!slapd_is_installed()) {
        printf("SKIP: slapd and ldap-utils are not installed\n");
        return 77;
    }
    Suite *s = suite_create("ldap");
    TCase *c = tcase_create("logins");
    tcase_set_timeout(c, 20);
    tcase_add_unchecked_fixture(c, directory_start, directory_stop);
    tcase_add_test(c, logs_in_by_member_of);
    tcase_add_test(c, logs_in_by_group_search);
    tcase_add_test(c, maps_to_department);
    tcase_add_test(c, refuses_wrong_passwords);
    tcase_add_test(c, takes_logins_literally);
    tcase_add_test(c, expands_filters);
    tcase_add_test(c, refuses_ambiguous_and_odd_entries);
    tcase_add_test(c, reports_service_account);
    tcase_add_test(c, follows_no_referrals);
    suite_add_tcase(s, c);
    c = tcase_create("connections");
    tcase_set_timeout(c, 20);
    tcase_add_unchecked_fixture(c, directory_start, directory_stop);
    tcase_add_test(c, logs_in_over_tls);
    tcase_add_test(c, checks_certificates);
    tcase_add_test(c, gives_up_in_handshake);
    tcase_add_test(c, gives_up_in_time);
    tcase_add_test(c, tries_servers_in_turn);
    tcase_add_test(c, serves_many_threads);
    tcase_add_test(c, checks_options);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
