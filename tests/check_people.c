/* Departments and persons: the tree, names, revisions, roles, what disabling does, lists, and
 * people of identity providers. */
#include <config.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "auth/authority.h"
#include "auth/key.h"
#include "auth/people.h"
#include "auth/roster.h"
#include "auth/session.h"
#include "auth_rig.h"

static struct rig r;

static void set_up(void)
{
    rig_open(&r, NULL);
}

static void tear_down(void)
{
    rig_close(&r);
}

static struct department department_now(int64_t id)
{
    struct department d;
    RIG_OK(department_get(r.auth, id, &d, &r.err));
    return d;
}

static struct person person_now(int64_t id)
{
    struct person p;
    RIG_OK(person_get(r.auth, id, &p, &r.err));
    return p;
}

static bool change_department(int64_t id, int64_t revision, int64_t parent_id, const char *name)
{
    struct department_spec spec = {.parent_id = parent_id, .name = name, .keep_days = 30};
    return department_change(r.auth, &RIG_ACTOR, id, revision, &spec, "test", &r.err);
}

static struct person_spec spec_of(const struct person *p)
{
    return (struct person_spec){.login = p->login,
                                .name = p->name,
                                .email = p->email,
                                .department_id = p->department_id,
                                .roles = p->roles,
                                .source = p->source};
}

/* ---- departments -------------------------------------------------------------------------------
 */

START_TEST(department_is_created_renamed_and_moved)
{
    int64_t rows = rig_int(&r, "SELECT count(*) FROM audit");
    struct department d = department_now(r.line3);
    ck_assert_str_eq(d.name, "Line 3");
    ck_assert_int_eq(d.parent_id, r.works);
    ck_assert_int_eq(d.revision, 1);
    RIG_OK(change_department(r.line3, 1, r.office, "三号线"));
    d = department_now(r.line3);
    ck_assert_str_eq(d.name, "三号线");
    ck_assert_int_eq(d.parent_id, r.office);
    ck_assert_int_eq(d.revision, 2);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM audit"), rows + 1);
    ck_assert(roster_within(r.auth->roster, r.line3, r.office));
    ck_assert(!roster_within(r.auth->roster, r.line3, r.works));
}
END_TEST

START_TEST(department_never_lies_below_itself)
{
    RIG_FAILS(change_department(r.works, 1, r.line3, "Works"), ERR_ARG);
    RIG_FAILS(change_department(r.works, 1, r.works, "Works"), ERR_ARG);
    ck_assert_int_eq(department_now(r.works).revision, 1);
}
END_TEST

START_TEST(department_tree_has_a_bottom)
{
    int64_t id = 0, deepest = r.office;
    struct department_spec spec = {.name = "d", .keep_days = 30};
    for (int level = 2; level <= PEOPLE_DEPTH; level++) {
        spec.parent_id = deepest;
        RIG_OK(department_create(r.auth, &RIG_ACTOR, &spec, &deepest, &r.err));
    }
    spec.parent_id = deepest;
    RIG_FAILS(department_create(r.auth, &RIG_ACTOR, &spec, &id, &r.err), ERR_ARG);
    RIG_FAILS(change_department(r.office, 1, r.works, "Office"), ERR_ARG); /* 17 levels */
}
END_TEST

START_TEST(department_names_are_checked)
{
    static const char *const bad[] = {"", "a/b", " a", "a ", "a\nb", "\xff\xfe"};
    int64_t id;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct department_spec spec = {.name = bad[i], .keep_days = 30};
        RIG_FAILS(department_create(r.auth, &RIG_ACTOR, &spec, &id, &r.err), ERR_ARG);
    }
    struct department_spec twin = {.parent_id = r.works, .name = "Line 3", .keep_days = 30};
    RIG_FAILS(department_create(r.auth, &RIG_ACTOR, &twin, &id, &r.err), ERR_CONFLICT);
    twin.parent_id = r.office;
    RIG_OK(department_create(r.auth, &RIG_ACTOR, &twin, &id, &r.err));
    twin.parent_id = 4711;
    RIG_FAILS(department_create(r.auth, &RIG_ACTOR, &twin, &id, &r.err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(logins_are_checked)
{
    static const struct {
        const char *login;
        bool good;
    } tries[] = {{"李四", true}, {"o'neill_7@works", true}, {"-x", false}, {"a b", false},
                 {"a,b", false}, {"李四，", false}, {"ＬＩ", false}, {"李　四", false},
                 {"“li”", false}, {"x\xff", false}};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        int64_t id;
        const struct person_spec spec = {.login = tries[i].login, .name = "x", .email = "",
                                         .department_id = r.works, .roles = ROLE_USER,
                                         .source = "local"};
        if (tries[i].good)
            RIG_OK(person_create(r.auth, &RIG_ACTOR, &spec, &id, &r.err));
        else
            RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &spec, &id, &r.err), ERR_ARG);
    }
}
END_TEST

START_TEST(department_changes_need_the_revision)
{
    RIG_OK(change_department(r.line3, 1, r.works, "Line 4"));
    RIG_FAILS(change_department(r.line3, 1, r.works, "Line 5"), ERR_STALE);
    ck_assert_ptr_nonnull(strstr(r.err.msg, "changed meanwhile"));
    ck_assert_str_eq(department_now(r.line3).name, "Line 4");
}
END_TEST

START_TEST(department_with_members_is_not_disabled)
{
    int64_t id, wang = rig_person(&r, "wang", r.line3, ROLE_USER);
    RIG_FAILS(department_disable(r.auth, &RIG_ACTOR, r.works, 1, true, "", &r.err), ERR_CONFLICT);
    RIG_FAILS(department_disable(r.auth, &RIG_ACTOR, r.line3, 1, true, "", &r.err), ERR_CONFLICT);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, wang, 1, true, "", &r.err));
    RIG_OK(department_disable(r.auth, &RIG_ACTOR, r.line3, 1, true, "closed", &r.err));
    struct person_spec spec = {
        .login = "li", .name = "", .email = "", .department_id = r.line3, .source = "local"};
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &spec, &id, &r.err), ERR_ARG);
    RIG_FAILS(person_disable(r.auth, &RIG_ACTOR, wang, 2, false, "", &r.err), ERR_ARG);
    RIG_OK(department_disable(r.auth, &RIG_ACTOR, r.works, 1, true, "", &r.err));
    RIG_FAILS(department_disable(r.auth, &RIG_ACTOR, r.line3, 2, false, "", &r.err), ERR_ARG);
    RIG_OK(department_disable(r.auth, &RIG_ACTOR, r.works, 2, false, "", &r.err));
    RIG_OK(department_disable(r.auth, &RIG_ACTOR, r.line3, 2, false, "", &r.err));
}
END_TEST

START_TEST(department_paths_are_found_and_made)
{
    int64_t id = 0, again = 0;
    RIG_OK(department_find(r.auth, "Works/Line 3", &id, &r.err));
    ck_assert_int_eq(id, r.line3);
    RIG_FAILS(department_find(r.auth, "Works/Line 9", &id, &r.err), ERR_NOT_FOUND);
    RIG_FAILS(department_find(r.auth, "Works//Line 3", &id, &r.err), ERR_ARG);
    RIG_OK(department_ensure(r.auth, &RIG_ACTOR, "Works/Line 9/Night", &id, &r.err));
    RIG_OK(department_ensure(r.auth, &RIG_ACTOR, "Works/Line 9/Night", &again, &r.err));
    ck_assert_int_eq(id, again);
    ck_assert(roster_within(r.auth->roster, id, r.works));
}
END_TEST

struct seen {
    int n;
    int64_t ids[16];
};

static bool see_department(void *ctx, const struct department *d, struct err *e)
{
    struct seen *s = ctx;
    (void)e;
    s->ids[s->n++] = d->id;
    return true;
}

START_TEST(department_list_has_pages)
{
    struct department_filter f = {.parent_id = -1, .limit = 2};
    struct seen s = {0};
    int64_t next = 0;
    int pages = 0;
    do {
        f.after_id = next;
        RIG_OK(department_list(r.auth, &f, see_department, &s, &next, &r.err));
        pages++;
    } while (next);
    ck_assert_int_eq(pages, 2);
    ck_assert_int_eq(s.n, 3);
    static const struct {
        struct department_filter filter;
        int n;
    } cases[] = {
        {{.parent_id = 0, .limit = 9}, 2},
        {{.parent_id = -1, .state = PEOPLE_DISABLED, .limit = 9}, 0},
        {{.parent_id = -1, .state = PEOPLE_ACTIVE, .limit = 9}, 3},
        {{.parent_id = -1, .text = "LINE", .limit = 9}, 1},
        {{.parent_id = -1, .text = "%", .limit = 9}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        s.n = 0;
        RIG_OK(department_list(r.auth, &cases[i].filter, see_department, &s, &next, &r.err));
        ck_assert_int_eq(s.n, cases[i].n);
    }
    f.limit = 0;
    RIG_FAILS(department_list(r.auth, &f, see_department, &s, &next, &r.err), ERR_ARG);
}
END_TEST

/* ---- persons -----------------------------------------------------------------------------------
 */

START_TEST(person_fields_are_checked)
{
    struct person_spec good = {.login = "wang.fang",
                               .name = "王芳",
                               .email = "wang@example.cn",
                               .department_id = r.works,
                               .roles = ROLE_USER | ROLE_EDITOR,
                               .source = "local"};
    struct person_spec s = good;
    int64_t id;
    s.login = "wang fang";
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_ARG);
    s = good, s.login = "";
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_ARG);
    s = good, s.name = "a\tb";
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_ARG);
    s = good, s.roles = 1u << 9;
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_ARG);
    s = good, s.roles = ROLE_ADMIN | ROLE_AUDITOR;
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_ARG);
    s = good, s.roles = ROLE_SERVICE | ROLE_USER;
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_ARG);
    s = good, s.source = "saml";
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_ARG);
    s = good, s.subject = "x";
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_ARG);
    s = good, s.department_id = 99;
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &s, &id, &r.err), ERR_NOT_FOUND);
    RIG_OK(person_create(r.auth, &RIG_ACTOR, &good, &id, &r.err));
    good.login = "WANG.FANG";
    RIG_FAILS(person_create(r.auth, &RIG_ACTOR, &good, &id, &r.err), ERR_CONFLICT);
    struct person p;
    RIG_OK(person_by_login(r.auth, "Wang.Fang", &p, &r.err));
    ck_assert_str_eq(p.name, "王芳");
    RIG_FAILS(person_by_login(r.auth, "nobody", &p, &r.err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(person_changes_need_the_revision)
{
    int64_t id = rig_person(&r, "wang", r.works, ROLE_USER);
    struct person p = person_now(id);
    struct person_spec s = spec_of(&p);
    s.email = "w@example.cn";
    s.department_id = r.office;
    RIG_OK(person_change(r.auth, &RIG_ACTOR, id, p.revision, &s, "moved", &r.err));
    RIG_FAILS(person_change(r.auth, &RIG_ACTOR, id, p.revision, &s, "", &r.err), ERR_STALE);
    p = person_now(id);
    ck_assert_str_eq(p.email, "w@example.cn");
    ck_assert_int_eq(p.department_id, r.office);
    struct roster_person rp;
    ck_assert(roster_person(r.auth->roster, id, &rp));
    ck_assert_int_eq(rp.department_id, r.office);
}
END_TEST

START_TEST(disabling_ends_sessions_and_refuses_keys)
{
    int64_t key, id = rig_person(&r, "wang", r.works, ROLE_USER);
    struct key_spec ks = {.name = "k", .scopes = SCOPE_INFER};
    char text[KEY_TEXT];
    struct session_secret secret;
    struct principal who;
    struct key_grant grant;
    RIG_OK(key_create(r.auth, &RIG_ACTOR, id, &ks, &key, text, &r.err));
    RIG_OK(session_open(r.auth, id, "10.0.0.1", "test", "", 1000, &secret, &r.err));
    RIG_OK(session_check(r.auth, secret.token, 1000, &who, &r.err));
    RIG_OK(key_check(r.auth, text, KEY_CHARS, "10.0.0.1", 1000, &grant, &r.err));
    key_grant_release(&grant);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, id, 1, true, "left", &r.err));
    RIG_FAILS(session_check(r.auth, secret.token, 1000, &who, &r.err), ERR_NOT_FOUND);
    RIG_FAILS(key_check(r.auth, text, KEY_CHARS, "10.0.0.1", 1000, &grant, &r.err), ERR_NOT_FOUND);
    RIG_FAILS(session_open(r.auth, id, "10.0.0.1", "", "", 1000, &secret, &r.err), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM session"), 0);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, id, 2, false, "back", &r.err));
    RIG_OK(key_check(r.auth, text, KEY_CHARS, "10.0.0.1", 1000, &grant, &r.err));
    key_grant_release(&grant);
}
END_TEST

START_TEST(losing_a_role_ends_sessions)
{
    int64_t id = rig_person(&r, "wang", r.works, ROLE_USER | ROLE_EDITOR);
    struct session_secret secret;
    struct principal who;
    struct person p = person_now(id);
    struct person_spec s = spec_of(&p);
    RIG_OK(session_open(r.auth, id, "10.0.0.1", "", "", 1000, &secret, &r.err));
    s.roles = ROLE_USER | ROLE_EDITOR | ROLE_APPROVER;
    RIG_OK(person_change(r.auth, &RIG_ACTOR, id, 1, &s, "", &r.err));
    RIG_OK(session_check(r.auth, secret.token, 1000, &who, &r.err));
    ck_assert(who.roles & ROLE_APPROVER);
    s.roles = ROLE_USER;
    RIG_OK(person_change(r.auth, &RIG_ACTOR, id, 2, &s, "", &r.err));
    RIG_FAILS(session_check(r.auth, secret.token, 1000, &who, &r.err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(the_last_administrator_stays)
{
    int64_t one = rig_person(&r, "one", r.works, ROLE_ADMIN);
    struct person p = person_now(one);
    struct person_spec s = spec_of(&p);
    s.roles = ROLE_USER;
    RIG_FAILS(person_disable(r.auth, &RIG_ACTOR, one, 1, true, "", &r.err), ERR_CONFLICT);
    RIG_FAILS(person_change(r.auth, &RIG_ACTOR, one, 1, &s, "", &r.err), ERR_CONFLICT);
    int64_t two = rig_person(&r, "two", r.works, ROLE_ADMIN);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, one, 1, true, "", &r.err));
    RIG_FAILS(person_disable(r.auth, &RIG_ACTOR, two, 1, true, "", &r.err), ERR_CONFLICT);
}
END_TEST

static bool see_person(void *ctx, const struct person *p, struct err *e)
{
    struct seen *s = ctx;
    (void)e;
    ck_assert_int_lt(s->n, 16);
    s->ids[s->n++] = p->id;
    return true;
}

static int count(struct person_filter f)
{
    struct seen s = {0};
    int64_t next = f.after_id;
    do {
        f.after_id = next;
        RIG_OK(person_list(r.auth, &f, see_person, &s, &next, &r.err));
    } while (next);
    for (int i = 1; i < s.n; i++)
        ck_assert_int_lt(s.ids[i - 1], s.ids[i]);
    return s.n;
}

START_TEST(person_list_filters)
{
    rig_person(&r, "wang", r.works, ROLE_USER);
    rig_person(&r, "li", r.line3, ROLE_USER | ROLE_EDITOR);
    rig_person(&r, "zhang_1", r.office, ROLE_ADMIN);
    int64_t zhao = rig_person(&r, "zhao%", r.office, ROLE_USER);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, zhao, 1, true, "", &r.err));
    ck_assert_int_eq(count((struct person_filter){.limit = 1}), 4);
    ck_assert_int_eq(count((struct person_filter){.limit = 500}), 4);
    ck_assert_int_eq(count((struct person_filter){.limit = 9, .department_id = r.works}), 1);
    ck_assert_int_eq(
        count((struct person_filter){.limit = 9, .department_id = r.works, .below = true}), 2);
    ck_assert_int_eq(count((struct person_filter){.limit = 9, .roles = ROLE_ADMIN | ROLE_EDITOR}),
                     2);
    ck_assert_int_eq(count((struct person_filter){.limit = 9, .state = PEOPLE_DISABLED}), 1);
    ck_assert_int_eq(count((struct person_filter){.limit = 2, .state = PEOPLE_ACTIVE}), 3);
    ck_assert_int_eq(count((struct person_filter){.limit = 9, .source = "ldap"}), 0);
    ck_assert_int_eq(count((struct person_filter){.limit = 9, .text = "HAN"}), 1);
    ck_assert_int_eq(count((struct person_filter){.limit = 9, .text = "%"}), 1);
    ck_assert_int_eq(count((struct person_filter){.limit = 9, .text = "_"}), 1);
    ck_assert_int_eq(count((struct person_filter){.limit = 9, .text = "' OR 1=1 --"}), 0);
}
END_TEST

START_TEST(providers_bring_people)
{
    struct person_spec s = {.login = "fang",
                            .name = "Fang",
                            .email = "",
                            .department_id = r.works,
                            .roles = ROLE_USER,
                            .source = "oidc",
                            .subject = "https://id.example sub-1"};
    int64_t id = 0, again = 0;
    RIG_OK(person_from_provider(r.auth, &RIG_ACTOR, &s, &id, &r.err));
    RIG_OK(person_from_provider(r.auth, &RIG_ACTOR, &s, &again, &r.err));
    ck_assert_int_eq(id, again);
    ck_assert_int_eq(person_now(id).revision, 1);
    s.login = "renamed"; /* same subject: the same person, whose login here stays */
    s.roles = ROLE_USER | ROLE_EDITOR;
    s.department_id = r.office;
    RIG_OK(person_from_provider(r.auth, &RIG_ACTOR, &s, &again, &r.err));
    ck_assert_int_eq(id, again);
    struct person p = person_now(id);
    ck_assert_str_eq(p.login, "fang");
    ck_assert_int_eq(p.roles, ROLE_USER | ROLE_EDITOR);
    ck_assert_int_eq(p.department_id, r.office);
    s.login = "fang", s.subject = "https://id.example sub-2"; /* somebody else with that login */
    RIG_FAILS(person_from_provider(r.auth, &RIG_ACTOR, &s, &again, &r.err), ERR_CONFLICT);
    s.source = "ldap",
    s.subject = "https://id.example sub-1"; /* another source is another person */
    RIG_FAILS(person_from_provider(r.auth, &RIG_ACTOR, &s, &again, &r.err), ERR_CONFLICT);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, id, p.revision, true, "", &r.err));
    s.source = "oidc";
    RIG_FAILS(person_from_provider(r.auth, &RIG_ACTOR, &s, &again, &r.err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(everything_is_in_the_audit_log)
{
    int64_t rows = rig_int(&r, "SELECT count(*) FROM audit");
    int64_t id = rig_person(&r, "wang", r.works, ROLE_USER);
    RIG_OK(person_disable(r.auth, &RIG_ACTOR, id, 1, true, "left", &r.err));
    RIG_FAILS(person_disable(r.auth, &RIG_ACTOR, id, 1, true, "left", &r.err), ERR_STALE);
    ck_assert_int_eq(rig_int(&r, "SELECT count(*) FROM audit"), rows + 2);
    ck_assert_int_eq(
        rig_int(&r, "SELECT count(*) FROM audit WHERE action = 'person.disable' AND reason ="
                    " 'left' AND json_extract(before, '$.disabled') = 0"
                    " AND json_extract(after, '$.disabled') = 1"),
        1);
}
END_TEST

/* ---- who may act on whose objects --------------------------------------------------------------
 */

static struct principal session_of(int64_t id, int64_t department_id, uint32_t roles)
{
    return (struct principal){.person_id = id,
                              .department_id = department_id,
                              .roles = roles,
                              .scopes = authority_scopes(roles)};
}

START_TEST(roles_reach_what_the_table_says)
{
    /* role x object x own/other, reads then writes; a letter per role: n(one), o(wn), d(epartment),
     * a(ll) */
    static const struct {
        uint32_t role;
        const char *reads, *writes; /* key session password person department quota usage audit
                                       template approval server */
    } want[] = {
        {ROLE_ADMIN, "aanaaaanaaa", "aaaaaannana"},    {ROLE_EDITOR, "oonodoonaan", "ooonnnnnann"},
        {ROLE_APPROVER, "oonodoonaan", "ooonnnnnnnn"}, {ROLE_AUDITOR, "aonaaaaaaaa", "noonnnnnnnn"},
        {ROLE_USER, "oonodoonann", "ooonnnnnnnn"},     {ROLE_SERVICE, "oonodoonann", "noonnnnnnnn"},
    };
    static const char letters[] = "noda";
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        for (int o = 0; o < AUTHORITY_OBJECT_COUNT; o++) {
            struct principal p = session_of(7, r.works, want[i].role);
            char read = letters[authority_reach(&p, o, AUTHORITY_READ)];
            char write = letters[authority_reach(&p, o, AUTHORITY_WRITE)];
            ck_assert_msg(read == want[i].reads[o] && write == want[i].writes[o],
                          "role %x, %s: read %c, write %c", want[i].role, authority_object_name(o),
                          read, write);
            p.must_change_password = true;
            ck_assert_int_eq(authority_reach(&p, o, AUTHORITY_READ), AUTHORITY_NONE);
            ck_assert_int_eq(authority_reach(&p, o, AUTHORITY_WRITE),
                             o == AUTHORITY_PASSWORD ? AUTHORITY_OWN : AUTHORITY_NONE);
            p = (struct principal){.roles = want[i].role};
            ck_assert_int_eq(authority_reach(&p, o, AUTHORITY_READ), AUTHORITY_NONE);
        }
}
END_TEST

START_TEST(keys_reach_less_than_sessions)
{
    struct principal p = session_of(7, r.works, ROLE_USER | ROLE_ADMIN);
    p.key_id = 3;
    p.scopes = SCOPE_INFER;
    for (int o = 0; o < AUTHORITY_OBJECT_COUNT; o++) {
        ck_assert_int_eq(authority_reach(&p, o, AUTHORITY_READ), AUTHORITY_NONE);
        ck_assert_int_eq(authority_reach(&p, o, AUTHORITY_WRITE), AUTHORITY_NONE);
    }
    p.scopes = SCOPE_USAGE;
    ck_assert_int_eq(authority_reach(&p, AUTHORITY_USAGE, AUTHORITY_READ), AUTHORITY_OWN);
    ck_assert_int_eq(authority_reach(&p, AUTHORITY_KEY, AUTHORITY_WRITE), AUTHORITY_NONE);
    p.scopes = SCOPE_ADMIN;
    ck_assert_int_eq(authority_reach(&p, AUTHORITY_KEY, AUTHORITY_WRITE), AUTHORITY_ALL);
}
END_TEST

START_TEST(departments_are_seen_from_below)
{
    struct authority_owner works = {0, r.works}, line3 = {0, r.line3}, office = {0, r.office};
    struct principal p = session_of(7, r.line3, ROLE_USER);
    const struct auth *a = r.auth;
    ck_assert(authority_may(a, &p, AUTHORITY_DEPARTMENT, AUTHORITY_READ, &line3));
    ck_assert(authority_may(a, &p, AUTHORITY_DEPARTMENT, AUTHORITY_READ, &works));
    ck_assert(!authority_may(a, &p, AUTHORITY_DEPARTMENT, AUTHORITY_READ, &office));
    ck_assert(!authority_may(a, &p, AUTHORITY_DEPARTMENT, AUTHORITY_WRITE, &line3));
    ck_assert(!authority_may(NULL, &p, AUTHORITY_DEPARTMENT, AUTHORITY_READ, &line3));
    p.department_id = r.works;
    ck_assert(!authority_may(a, &p, AUTHORITY_DEPARTMENT, AUTHORITY_READ, &line3));
}
END_TEST

START_TEST(the_local_socket_administers)
{
    struct key_grant g;
    struct authority_owner somebody = {5, r.works};
    authority_local(&g);
    ck_assert(g.principal.local);
    ck_assert(authority_may(r.auth, &g.principal, AUTHORITY_PERSON, AUTHORITY_WRITE, &somebody));
    ck_assert(authority_may(r.auth, &g.principal, AUTHORITY_AUDIT, AUTHORITY_READ, &somebody));
    ck_assert(!authority_may(r.auth, &g.principal, AUTHORITY_AUDIT, AUTHORITY_WRITE, &somebody));
    ck_assert(key_allows_model(&g, "any"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("people");
    TCase *t = tcase_create("people");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, department_is_created_renamed_and_moved);
    tcase_add_test(t, department_never_lies_below_itself);
    tcase_add_test(t, department_tree_has_a_bottom);
    tcase_add_test(t, department_names_are_checked);
    tcase_add_test(t, logins_are_checked);
    tcase_add_test(t, department_changes_need_the_revision);
    tcase_add_test(t, department_with_members_is_not_disabled);
    tcase_add_test(t, department_paths_are_found_and_made);
    tcase_add_test(t, department_list_has_pages);
    tcase_add_test(t, person_fields_are_checked);
    tcase_add_test(t, person_changes_need_the_revision);
    tcase_add_test(t, disabling_ends_sessions_and_refuses_keys);
    tcase_add_test(t, losing_a_role_ends_sessions);
    tcase_add_test(t, the_last_administrator_stays);
    tcase_add_test(t, person_list_filters);
    tcase_add_test(t, providers_bring_people);
    tcase_add_test(t, everything_is_in_the_audit_log);
    tcase_add_test(t, roles_reach_what_the_table_says);
    tcase_add_test(t, keys_reach_less_than_sessions);
    tcase_add_test(t, departments_are_seen_from_below);
    tcase_add_test(t, the_local_socket_administers);
    suite_add_tcase(s, t);
    return rig_main(s);
}
