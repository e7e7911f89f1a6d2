/* Prompts of the registry in use: in chat, by run, and as Langfuse's clients fetch them. The scripted
 * engine answers with what it was asked, so the rendered messages can be seen. */
#include <config.h>

#include "admin_rig.h"

#include <string.h>

#include "auth/people.h"
#include "store/store.h"
#include "template/registry.h"

static struct admin_rig rig;

static void act_by(enum admin_who who, struct principal *p, struct audit_actor *actor,
                   struct registry_act *act)
{
    *p = (struct principal){.person_id = rig.person[who].id, .department_id = rig.works,
                            .roles = rig.person[who].roles,
                            .scopes = SCOPE_TEMPLATES | SCOPE_EDIT};
    *actor = (struct audit_actor){.person_id = p->person_id, .name = rig.person[who].login,
                                  .address = "local", .request_id = ""};
    *act = (struct registry_act){.who = p, .actor = actor, .reason = "", .now_s = 1};
}

/* Saves the next version and puts `label` on it (NULL = none). */
static void save(const char *name, const char *content, int64_t revision, const char *label)
{
    struct principal p;
    struct audit_actor actor;
    struct registry_act act;
    struct registry_saved saved;
    struct err e = ERR_INIT;
    act_by(BY_EDITOR, &p, &actor, &act);
    json_t *c = json_loads(content, 0, NULL);
    struct registry_save s = {.name = name, .content = c, .note = "n", .revision = revision,
                              .department_id = rig.works};
    ck_assert_ptr_nonnull(c);
    bool ok = registry_save(rig.server.service->registry, &act, &s, &saved, &e);
    ck_assert_msg(ok, "%s", e.msg);
    if (label)
        ck_assert_msg(registry_label_move(rig.server.service->registry, &act, name, label,
                                          saved.number, 0, &e), "%s", e.msg);
    registry_saved_release(&saved);
    json_decref(c);
}

#define GREET                                                                                      \
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be short.\"},"                               \
    "{\"role\":\"user\",\"content\":\"#reply=Hello {{ who }}#\"}],"                                 \
    "\"variables\":[{\"name\":\"who\",\"type\":\"text\",\"required\":true,"                         \
    "\"label\":{\"en\":\"Who\",\"zh\":\"谁\"}}],\"settings\":{\"max_tokens\":50}}"

static void setup(void)
{
    admin_rig_open(&rig);
    save("office/greet", GREET, 0, "staging");
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

static void expect_answer(enum admin_who who, const char *path, const char *body, const char *text)
{
    json_t *v = admin_call(&rig, who, "POST", path, NULL, body, 200);
    ck_assert_str_eq(admin_text(v, "choices/0/message/content"), text);
    ck_assert_str_eq(admin_text(v, "prompt/id"), "office/greet"); /* what was resolved */
    ck_assert_str_eq(admin_text(v, "prompt/version"), "1");
    json_decref(v);
}

#define CHAT "/v1/chat/completions"

START_TEST(chat_takes_a_prompt)
{
    expect_answer(BY_USER, CHAT,
                  "{\"prompt\":{\"id\":\"office/greet\",\"label\":\"staging\","
                  "\"variables\":{\"who\":\"王\"}}}", "Hello 王");
    expect_answer(BY_USER, CHAT,
                  "{\"prompt\":{\"id\":\"office/greet\",\"version\":\"1\","
                  "\"variables\":{\"who\":{\"type\":\"input_text\",\"text\":\"you\"}}}}",
                  "Hello you");
    /* The caller's messages come behind the prompt's: the engine obeys the first order it reads. */
    expect_answer(BY_USER, CHAT,
                  "{\"prompt\":{\"id\":\"office/greet\",\"version\":1,\"variables\":{\"who\":\"a\"}},"
                  "\"messages\":[{\"role\":\"user\",\"content\":\"#reply=mine#\"}]}", "Hello a");
}
END_TEST

START_TEST(resolution_is_strict)
{
    static const struct {
        const char *prompt;
        int status;
        const char *code;
    } bad[] = {
        {"{\"id\":\"office/greet\"}", 404, "not_found"}, /* no production */
        {"{\"id\":\"office/greet\",\"label\":\"nope\"}", 404, "not_found"},
        {"{\"id\":\"office/greet\",\"version\":2}", 404, "not_found"},
        {"{\"id\":\"nope\",\"version\":1}", 404, "not_found"},
        {"{\"id\":\"office/greet\",\"version\":1,\"label\":\"staging\"}", 400, "invalid_value"},
        {"{\"id\":\"office/greet\",\"version\":\"one\"}", 400, "invalid_value"},
        {"{\"id\":\"office/greet\",\"version\":1}", 400, "invalid_value"}, /* `who` is missing */
        {"{\"id\":\"office/greet\",\"version\":1,\"variables\":{\"who\":3}}", 400, "invalid_value"},
        {"{\"id\":\"office/greet\",\"version\":1,\"variables\":[]}", 400, "invalid_value"},
        {"{\"id\":\"office/greet\",\"colour\":1}", 400, "invalid_value"},
        {"{\"version\":1}", 400, "invalid_value"},
        {"\"office/greet\"", 400, "invalid_value"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"prompt\":%s}", bad[i].prompt);
        admin_refused(&rig, BY_USER, "POST", CHAT, NULL, body, bad[i].status, bad[i].code);
    }
    admin_refused(&rig, BY_OTHER, "POST", CHAT, NULL,
                  "{\"prompt\":{\"id\":\"office/greet\",\"version\":1}}", 404, "not_found");
    admin_refused(&rig, BY_NOBODY, "POST", CHAT, "Authorization: Bearer " TEST_KEY "\r\n",
                  "{\"prompt\":{\"id\":\"office/greet\",\"version\":1}}", 403, "not_allowed");
}
END_TEST

/* A key reaches as far as its scopes, not as its person does by other keys. */
START_TEST(a_narrow_key_of_an_administrator_sees_what_people_see)
{
    struct key_spec spec = {.name = "narrow", .scopes = SCOPE_INFER | SCOPE_TEMPLATES};
    struct auth *a = rig.server.service->auth;
    struct audit_actor actor = {.name = "test", .address = "local", .request_id = ""};
    struct person_spec boss = {.login = "boss", .name = "", .email = "", .department_id = rig.office,
                               .roles = ROLE_ADMIN | ROLE_USER, .source = "local"};
    struct err e = ERR_INIT;
    char key[KEY_TEXT], header[128];
    int64_t person, id;
    ck_assert_msg(person_create(a, &actor, &boss, &person, &e), "%s", e.msg);
    ck_assert_msg(key_create(a, &actor, person, &spec, &id, key, &e), "%s", e.msg);
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", key);
    admin_refused(&rig, BY_NOBODY, "POST", CHAT, header,
                  "{\"prompt\":{\"id\":\"office/greet\",\"version\":1,"
                  "\"variables\":{\"who\":\"a\"}}}", 404, "not_found");
    admin_refused(&rig, BY_NOBODY, "GET", "/api/public/v2/prompts/office%2Fgreet?version=1", header,
                  NULL, 404, "not_found");
    json_t *v = admin_call(&rig, BY_NOBODY, "GET", "/api/public/v2/prompts", header, NULL, 200);
    ck_assert_int_eq(admin_number(v, "meta/totalItems"), 0);
    json_decref(v);
}
END_TEST

START_TEST(runs_a_template)
{
    const char *path = "/v1/templates/office%2Fgreet/run";
    expect_answer(BY_SERVICE, path, "{\"label\":\"staging\",\"variables\":{\"who\":\"line 3\"}}",
                  "Hello line 3");
    admin_refused(&rig, BY_USER, "POST", path, NULL, "{\"prompt\":{\"id\":\"x\"}}", 400,
                  "invalid_value");
    admin_refused(&rig, BY_USER, "POST", "/v1/templates/nope/run", NULL, "{}", 404, "not_found");
    admin_refused(&rig, BY_AUDITOR, "POST", path, NULL, "{\"version\":1}", 403, "not_allowed");
}
END_TEST

START_TEST(clients_of_langfuse_fetch_prompts)
{
    save("office/greet", "{\"messages\":[{\"role\":\"user\",\"content\":\"v2\"}]}", 1, "other");
    json_t *v = admin_call(&rig, BY_USER, "GET",
                           "/api/public/v2/prompts/office%2Fgreet?label=staging", NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "name"), "office/greet");
    ck_assert_str_eq(admin_text(v, "type"), "chat");
    ck_assert_int_eq(admin_number(v, "version"), 1);
    ck_assert_str_eq(admin_text(v, "prompt/1/content"), "#reply=Hello {{ who }}#");
    ck_assert_str_eq(admin_text(v, "labels/0"), "staging");
    ck_assert_int_eq(admin_number(v, "config/max_tokens"), 50);
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET", "/api/public/v2/prompts/office%2Fgreet?version=2", NULL,
                   NULL, 200);
    ck_assert_str_eq(admin_text(v, "prompt/0/content"), "v2");
    json_decref(v);
    const char *one = "/api/public/v2/prompts/office%2Fgreet";
    admin_refused(&rig, BY_USER, "GET", one, NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_USER, "GET", "/api/public/v2/prompts/office%2Fgreet?label=a&version=1",
                  NULL, NULL, 400, "invalid_value");
    v = admin_call(&rig, BY_USER, "GET", "/api/public/v2/prompts?limit=1", NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "meta/totalItems"), 1);
    ck_assert_str_eq(admin_text(v, "data/0/name"), "office/greet");
    json_decref(v);
    v = admin_call(&rig, BY_OTHER, "GET", "/api/public/v2/prompts", NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "meta/totalItems"), 0);
    json_decref(v);
}
END_TEST

/* What a client fetches is what the server would send: with the messages of included versions. */
START_TEST(langfuse_prompts_hold_what_they_include)
{
    save("office/house", "{\"messages\":[{\"role\":\"system\",\"content\":\"House style.\"},"
                         "{\"include\":\"office/greet\",\"label\":\"staging\"}]}", 0, "staging");
    save("office/top", "{\"messages\":[{\"include\":\"office/house\",\"number\":1},"
                       "{\"role\":\"user\",\"content\":\"hey\"}]}", 0, "staging");
    json_t *v = admin_call(&rig, BY_USER, "GET", "/api/public/v2/prompts/office%2Ftop?label=staging",
                           NULL, NULL, 200);
    static const char *const expected[] = {"House style.", "Be short.", "#reply=Hello {{ who }}#",
                                           "hey"};
    ck_assert_uint_eq(json_array_size(admin_at(v, "prompt")), 4);
    for (size_t i = 0; i < 4; i++) {
        char place[40];
        snprintf(place, sizeof place, "prompt/%zu/content", i);
        ck_assert_str_eq(admin_text(v, place), expected[i]);
    }
    ck_assert_str_eq(admin_text(v, "prompt/0/role"), "system");
    ck_assert_str_eq(admin_text(v, "prompt/3/role"), "user");
    ck_assert(json_is_null(admin_at(v, "resolutionGraph")));
    json_decref(v);
}
END_TEST

static bool run_sql(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    return store_query(db, ctx, &st, e) && store_run(db, st, NULL, e);
}

static void sql(const char *text)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_write(rig.server.service->store, run_sql, (void *)(uintptr_t)text, &e), "%s",
                  e.msg);
}

START_TEST(langfuse_lists_what_there_is)
{
    static const char two[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"v2\"}]}";
    struct principal p;
    struct audit_actor actor;
    struct registry_act act;
    struct err e = ERR_INIT;
    save("office/greet", two, 1, NULL);
    save("office/greet", GREET, 2, NULL);
    act_by(BY_EDITOR, &p, &actor, &act);
    ck_assert_msg(registry_delete_version(rig.server.service->registry, &act, "office/greet", 2, &e),
                  "%s", e.msg);
    json_t *v = admin_call(&rig, BY_USER, "GET", "/api/public/v2/prompts", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data/0/versions")), 2);
    ck_assert_int_eq(admin_number(v, "data/0/versions/0"), 1);
    ck_assert_int_eq(admin_number(v, "data/0/versions/1"), 3);
    json_decref(v);
    /* beyond what is read at once */
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO template (name, owner_id, created_at)"
        " SELECT printf('many/t%04d', i), 1, 0 FROM n");
    sql("INSERT INTO template_version SELECT id, 1, '{}', zeroblob(32), 'note', 1, 0 FROM template"
        " WHERE name LIKE 'many/%'");
    v = admin_call(&rig, BY_USER, "GET", "/api/public/v2/prompts?page=21&limit=100", NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "meta/totalItems"), 2001);
    ck_assert_int_eq(admin_number(v, "meta/totalPages"), 21);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 1);
    ck_assert_str_eq(admin_text(v, "data/0/name"), "office/greet"); /* the last by name */
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET", "/api/public/v2/prompts?page=2&limit=100&name=many/", NULL,
                   NULL, 200);
    ck_assert_int_eq(admin_number(v, "meta/totalItems"), 2000);
    ck_assert_str_eq(admin_text(v, "data/0/name"), "many/t0101");
    json_decref(v);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("use");
    TCase *tc = tcase_create("use");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, chat_takes_a_prompt);
    tcase_add_test(tc, resolution_is_strict);
    tcase_add_test(tc, a_narrow_key_of_an_administrator_sees_what_people_see);
    tcase_add_test(tc, runs_a_template);
    tcase_add_test(tc, clients_of_langfuse_fetch_prompts);
    tcase_add_test(tc, langfuse_prompts_hold_what_they_include);
    tcase_add_test(tc, langfuse_lists_what_there_is);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
