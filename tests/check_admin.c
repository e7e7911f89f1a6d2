/* Who may call what, and on which port: the frame that all endpoints of administration stand in. */
#include <config.h>

#include "admin_rig.h"

#include <string.h>

#include "admin/admin.h"
#include "service/service.h"

static struct admin_rig rig;

static void setup(void)
{
    admin_rig_open(&rig);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

START_TEST(tells_who_asks)
{
    json_t *v = admin_call(&rig, BY_USER, "GET", "/admin/v1/me", NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "login"), "王伟");
    ck_assert_str_eq(admin_text(v, "roles/0"), "user");
    ck_assert_int_eq(admin_number(v, "id"), rig.person[BY_USER].id);
    json_decref(v);
    v = admin_call(&rig, BY_LOCAL, "GET", "/admin/v1/me", NULL, NULL, 200);
    ck_assert(json_is_true(admin_at(v, "local")));
    json_decref(v);
    admin_refused(&rig, BY_NOBODY, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
    admin_refused(&rig, BY_NOBODY, "GET", "/admin/v1/me", "Cookie: seekd_session=abc\r\n", NULL, 401,
                  "missing_api_key");
    admin_refused(&rig, BY_NOBODY, "GET", "/admin/v1/me",
                  "Authorization: Bearer sk-00000000abcdefghijklmnopqrstuvwxyz\r\n", NULL, 401,
                  "invalid_api_key");
}
END_TEST

/* base64 of "any:KEY" through the tool's own client would hide the point: it is written out here. */
START_TEST(takes_basic_credentials)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char plain[128], header[256] = "Authorization: Basic ";
    int n = snprintf(plain, sizeof plain, "pk-any:%s", rig.person[BY_USER].key);
    char *to = header + strlen(header);
    for (int i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)plain[i] << 16;
        v |= i + 1 < n ? (uint32_t)(unsigned char)plain[i + 1] << 8 : 0;
        v |= i + 2 < n ? (uint32_t)(unsigned char)plain[i + 2] : 0;
        for (int k = 0; k < 4; k++)
            *to++ = i + k > n ? '=' : digits[v >> (18 - 6 * k) & 63];
    }
    memcpy(to, "\r\n", 3);
    json_t *v = admin_call(&rig, BY_NOBODY, "GET", "/admin/v1/me", header, NULL, 200);
    ck_assert_int_eq(admin_number(v, "id"), rig.person[BY_USER].id);
    json_decref(v);
}
END_TEST

/* Every list that comes in pages, as the OpenAPI document's "list" says. */
START_TEST(lists_have_one_form)
{
    unsigned lists = 0;
    for (size_t i = 0; admin_route_at(i); i++) {
        const struct route *r = admin_route_at(i);
        if (!r->query || !strstr(r->query, "after") || !strstr(r->query, "limit") ||
            strchr(r->path, '{'))
            continue;
        enum admin_who who = r->object == AUTHORITY_AUDIT ? BY_AUDITOR : BY_ADMIN;
        json_t *v = admin_call(&rig, who, "GET", r->path, NULL, NULL, 200);
        ck_assert_str_eq(admin_text(v, "object"), "list");
        ck_assert_msg(json_is_array(admin_at(v, "data")), "%s", r->path);
        const json_t *next = admin_at(v, "next");
        ck_assert_msg(json_is_null(next) || json_is_integer(next) || json_is_string(next), "%s",
                      r->path);
        json_decref(v);
        lists++;
    }
    ck_assert_uint_ge(lists, 9);
}
END_TEST

START_TEST(refuses_odd_queries)
{
    admin_refused(&rig, BY_USER, "GET", "/admin/v1/me?x=1", NULL, NULL, 400, "invalid_value");
    admin_refused(&rig, BY_USER, "GET", "/admin/v1/me?x=%zz", NULL, NULL, 400, "bad_http_request");
    admin_refused(&rig, BY_USER, "GET", "/admin/v1/me/", NULL, NULL, 404, "unknown_url");
    admin_refused(&rig, BY_USER, "GET", "/admin/v1/%6De", NULL, NULL, 404, "unknown_url");
}
END_TEST

START_TEST(paths_stay_on_the_machine)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", "/admin/v1/status", NULL, NULL, 200);
    ck_assert_int_ge(admin_number(v, "database/commits"), 1);
    ck_assert_ptr_null(admin_at(v, "database/path"));
    ck_assert_ptr_null(admin_at(v, "files"));
    json_decref(v);
    v = admin_call(&rig, BY_LOCAL, "GET", "/admin/v1/status", NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "database/path"), rig.server.service->database);
    json_decref(v);
}
END_TEST

static void expect_methods(const char *method, const char *path, const char *methods)
{
    char allow[64];
    json_t *v = admin_call(&rig, BY_ADMIN, method, path, NULL, NULL, 405);
    http_reply_header(&rig.last, "Allow", allow, sizeof allow);
    ck_assert_str_eq(allow, methods);
    ck_assert_ptr_nonnull(strstr(admin_text(v, "error/message"), methods));
    json_decref(v);
}

START_TEST(tells_all_methods_of_a_path)
{
    char path[64];
    snprintf(path, sizeof path, "/admin/v1/departments/%lld", (long long)rig.works);
    expect_methods("PUT", "/admin/v1/keys", "GET, HEAD, POST");
    expect_methods("POST", path, "GET, HEAD, PATCH");
    expect_methods("DELETE", "/admin/v1/me/password", "POST");
    expect_methods("BREW", "/admin/v1/quotas/key/1", "GET, HEAD, PUT, DELETE");
}
END_TEST

START_TEST(takes_no_body_as_an_empty_object)
{
    const char *path = "/admin/v1/audit/verify";
    admin_expect(&rig, BY_AUDITOR, "POST", path, NULL, NULL, 200);
    admin_expect(&rig, BY_AUDITOR, "POST", path, "Content-Length: 0\r\n", NULL, 200);
    admin_refused(&rig, BY_AUDITOR, "POST", path, "Content-Encoding: gzip\r\n", NULL, 415,
                  "unsupported_media_type");
    admin_refused(&rig, BY_NOBODY, "POST", "/admin/v1/login", NULL, NULL, 400,
                  "missing_required_parameter");
}
END_TEST

/* What cannot be printed must not get into the audit log, which would not be readable any more. */
START_TEST(refuses_odd_reasons)
{
    static const char *const bad[] = {"%FF", "\xff", "a%C0%AF", "%ED%A0%80", "a%1Bb", "a%7F"};
    char path[64], headers[64];
    snprintf(path, sizeof path, "/admin/v1/keys/%lld", (long long)rig.person[BY_USER].key_id);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(headers, sizeof headers, "X-Reason: %s\r\n", bad[i]);
        admin_refused(&rig, BY_ADMIN, "DELETE", path, headers, NULL, 400, "bad_http_request");
    }
    admin_expect(&rig, BY_ADMIN, "DELETE", path, "X-Reason: %E9%97%B2%E7%BD%AE\r\n", NULL, 200);
    json_t *v = admin_call(&rig, BY_AUDITOR, "GET", "/admin/v1/audit?action=key.revoke", NULL, NULL,
                           200);
    ck_assert_str_eq(admin_text(v, "data/0/reason"), "闲置");
    json_decref(v);
}
END_TEST

START_TEST(a_key_file_may_only_infer)
{
    struct http_reply r;
    http_get(rig.server.port, "/v1/models", TEST_KEY, &r);
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    http_get(rig.server.port, "/v1/models", rig.person[BY_AUDITOR].key, &r);
    ck_assert_int_eq(r.status, 403);
    http_reply_release(&r);
}
END_TEST

START_TEST(administration_has_a_port_of_its_own)
{
    struct test_server s;
    struct http_options opt = test_options();
    struct http_reply r;
    int admin_port;
    opt.admin_fd = test_listen(&admin_port);
    test_server_start(&s, &opt, TEST_DATA);
    static const struct {
        bool admin;
        const char *path;
        int status;
    } asked[] = {
        {false, "/admin/v1/me", 404}, {true, "/admin/v1/me", 200}, {false, "/v1/models", 200},
        {true, "/v1/models", 404},    {true, "/health", 200},      {false, "/health", 200},
    };
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        http_get(asked[i].admin ? admin_port : s.port, asked[i].path, TEST_KEY, &r);
        ck_assert_msg(r.status == asked[i].status, "%s: %d", asked[i].path, r.status);
        http_reply_release(&r);
    }
    test_server_stop(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin");
    TCase *tc = tcase_create("frame");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, tells_who_asks);
    tcase_add_test(tc, takes_basic_credentials);
    tcase_add_test(tc, lists_have_one_form);
    tcase_add_test(tc, refuses_odd_queries);
    tcase_add_test(tc, paths_stay_on_the_machine);
    tcase_add_test(tc, tells_all_methods_of_a_path);
    tcase_add_test(tc, takes_no_body_as_an_empty_object);
    tcase_add_test(tc, refuses_odd_reasons);
    tcase_add_test(tc, a_key_file_may_only_infer);
    suite_add_tcase(s, tc);
    tc = tcase_create("ports");
    tcase_add_test(tc, administration_has_a_port_of_its_own);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
