/* The audit log: appending, the chain, tampering (promise S8), listing, export, the daily anchor. */
#include <config.h>

#include <check.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/buf.h"
#include "ledger_rig.h"

static struct rig rig;

static void set_up(void)
{
    setenv("TZ", "Asia/Shanghai", 1);
    rig_open(&rig);
}

static void tear_down(void)
{
    rig_close(&rig);
}

struct append {
    int from, n;
    bool fail;
};

static bool append_rows(struct store_db *db, void *ctx, struct err *e)
{
    const struct append *a = ctx;
    for (int i = a->from; i < a->from + a->n; i++) {
        char id[16], after[64];
        snprintf(id, sizeof id, "%d", i);
        snprintf(after, sizeof after, "{\"name\":\"\xe5\x90\x8d%d\"}", i);
        struct audit_entry entry = {.action = i % 3 ? "key.create" : "key.revoke",
                                    .object_kind = "key",
                                    .object_id = id,
                                    .before = i % 2 ? "{}" : NULL,
                                    .after = after,
                                    .reason = i % 5 ? "" : "asked for"};
        if (!audit_append(db, &RIG_ACTOR, &entry, e))
            return false;
    }
    if (a->fail)
        FAIL(e, ERR_CANCELLED, "the act failed");
    return true;
}

static void append(int from, int n)
{
    struct append a = {.from = from, .n = n};
    struct err e = ERR_INIT;
    ck_assert_msg(store_write(rig.store, append_rows, &a, &e), "%s", e.msg);
}

struct verdict {
    const struct audit_head *known;
    struct audit_head head;
    int64_t bad_seq;
};

static bool verify(struct store_db *db, void *ctx, struct err *e)
{
    struct verdict *v = ctx;
    return audit_verify(db, v->known, &v->head, &v->bad_seq, e);
}

static struct verdict verdict(const struct audit_head *known)
{
    struct verdict v = {.known = known};
    struct err e = ERR_INIT;
    ck_assert_msg(store_read(rig.store, verify, &v, &e), "%s", e.msg);
    return v;
}

START_TEST(appends_a_chain)
{
    ck_assert_int_eq(verdict(NULL).head.seq, 0);
    append(1, 20);
    struct verdict v = verdict(NULL);
    ck_assert_int_eq(v.bad_seq, 0);
    ck_assert_int_eq(v.head.seq, 20);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(DISTINCT hash) FROM audit"), 20);
    ck_assert_int_eq(rig_number(&rig, "SELECT previous = zeroblob(32) FROM audit WHERE seq = 1"), 1);
}
END_TEST

START_TEST(a_failed_act_leaves_no_row)
{
    struct append a = {.from = 1, .n = 3, .fail = true};
    struct err e = ERR_INIT;
    ck_assert(!store_write(rig.store, append_rows, &a, &e));
    append(1, 2);
    ck_assert_int_eq(verdict(NULL).head.seq, 2);
}
END_TEST

static bool append_odd(struct store_db *db, void *ctx, struct err *e)
{
    return audit_append(db, &RIG_ACTOR, ctx, e);
}

/* It could never be listed or exported. */
START_TEST(refuses_what_is_not_utf8)
{
    struct audit_entry odd[] = {
        {.action = "key.revoke", .object_kind = "key", .object_id = "1", .reason = "\xff"},
        {.action = "key.revoke", .object_kind = "key", .object_id = "a\xc0\xaf"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct err e = ERR_INIT;
        ck_assert(!store_write(rig.store, append_odd, &odd[i], &e));
        ck_assert_int_eq(e.code, ERR_ARG);
    }
    ck_assert_int_eq(verdict(NULL).head.seq, 0);
}
END_TEST

START_TEST(head_has_a_text_form)
{
    char text[AUDIT_HEAD_TEXT];
    struct audit_head back;
    append(1, 12);
    struct verdict v = verdict(NULL);
    audit_head_format(&v.head, text);
    ck_assert_int_eq(strncmp(text, "12:", 3), 0);
    ck_assert_uint_eq(strlen(text), 3 + 64);
    ck_assert(audit_head_parse(text, &back, NULL));
    ck_assert_int_eq(back.seq, 12);
    ck_assert_mem_eq(back.hash, v.head.hash, 32);
    static const char *const bad[] = {"", "12", "12:", ":", "x:00", "12:00", "-1:",
                                      "1234567890123456789012:00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!audit_head_parse(bad[i], &back, NULL), "%s", bad[i]);
    text[10] = 'G';
    ck_assert(!audit_head_parse(text, &back, NULL));
}
END_TEST

/* ---- S8: somebody with the file changes it ----------------------------------------------------- */

enum { ROWS = 60, TAMPERINGS = 100, CUTS = 20 };

/* Makes tampering number `t`; returns the row that must be named. */
static int64_t tamper(int t, char *sql, size_t bytes)
{
    static const char *const edits[] = {
        "at_us = at_us + 1",     "actor_id = 8",       "actor_id = NULL",     "actor = 'root'",
        "address = '10.0.0.2'",  "request_id = ''",    "action = 'key.list'", "object_kind = 'k'",
        "object_id = object_id || '0'", "before = '{\"a\":1}'", "after = NULL", "reason = reason || ' '",
        "previous = zeroblob(32)", "hash = zeroblob(32)", "after = after || ' '",
        "action = action || object_kind, object_kind = ''"};
    int row = 2 + t * 37 % (ROWS - 3), n_edits = (int)(sizeof edits / sizeof edits[0]);
    int kind = t % 20;
    int n = 0;
    if (kind < n_edits) {
        n = snprintf(sql, bytes, "DROP TRIGGER audit_kept; UPDATE audit SET %s WHERE seq = %d",
                     edits[kind], row);
    } else if (kind == 16) {
        n = snprintf(sql, bytes, "DELETE FROM audit WHERE seq = %d", row);
    } else if (kind == 17) {
        row = 1;
        n = snprintf(sql, bytes, "DELETE FROM audit WHERE seq < %d", 2 + t % 7);
    } else if (kind == 18) { /* two rows change places */
        n = snprintf(sql, bytes,
                     "DROP TRIGGER audit_kept; UPDATE audit SET seq = -1 WHERE seq = %d;"
                     " UPDATE audit SET seq = %d WHERE seq = %d; UPDATE audit SET seq = %d WHERE"
                     " seq = -1",
                     row, row, row + 1, row + 1);
    } else { /* one is taken out and the rest moves up, from below so that no number is there twice */
        n = snprintf(sql, bytes,
                     "DROP TRIGGER audit_kept; DELETE FROM audit WHERE seq = %d;"
                     " UPDATE audit SET seq = -seq WHERE seq > %d;"
                     " UPDATE audit SET seq = -seq - 1 WHERE seq < 0",
                     row, row);
    }
    ck_assert_int_lt(n, (int)bytes);
    return row;
}

START_TEST(every_tampering_is_found)
{
    append(1, ROWS);
    struct verdict v = verdict(NULL);
    rig_shut(&rig);
    char keep[200];
    snprintf(keep, sizeof keep, "VACUUM INTO '%s/clean'", rig.folder);
    rig_sql(&rig, keep);
    for (int t = 0; t < TAMPERINGS; t++) {
        char sql[600];
        struct rig other = rig;
        snprintf(other.path, sizeof other.path, "%s/changed", rig.folder);
        struct rig clean = rig;
        snprintf(clean.path, sizeof clean.path, "%s/clean", rig.folder);
        snprintf(sql, sizeof sql, "VACUUM INTO '%s'", other.path);
        rig_sql(&clean, sql);
        int64_t row = tamper(t, sql, sizeof sql);
        rig_sql(&other, sql);
        rig = other;
        rig_reopen(&rig);
        struct verdict found = verdict(&v.head);
        ck_assert_msg(found.bad_seq == row, "tampering %d (%s): row %" PRId64, t, sql, found.bad_seq);
        rig_shut(&rig);
        ck_assert_int_eq(remove(other.path), 0);
    }
    printf("S8: %d changes found, each with its row\n", TAMPERINGS);
}
END_TEST

START_TEST(every_cut_tail_is_found)
{
    append(1, ROWS);
    struct verdict v = verdict(NULL);
    rig_shut(&rig);
    for (int cut = 1; cut <= CUTS; cut++) {
        char sql[80];
        snprintf(sql, sizeof sql, "DELETE FROM audit WHERE seq > %d", ROWS - cut);
        rig_sql(&rig, sql);
        rig_reopen(&rig);
        ck_assert_int_eq(verdict(NULL).bad_seq, 0); /* by itself the rest is a sound chain */
        ck_assert_int_eq(verdict(&v.head).bad_seq, ROWS - cut + 1);
        rig_shut(&rig);
    }
    /* and one that grew again after the cut */
    rig_reopen(&rig);
    append(100, CUTS + 5);
    ck_assert_int_eq(verdict(NULL).bad_seq, 0);
    ck_assert_int_eq(verdict(&v.head).bad_seq, ROWS);
    printf("S8: %d cut tails found against the exported head\n", CUTS);
}
END_TEST

static bool update_row(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    (void)ctx;
    return store_query(db, "UPDATE audit SET actor = 'nobody' WHERE seq = 2", &st, e) &&
           store_run(db, st, NULL, e);
}

START_TEST(rows_can_not_be_updated)
{
    struct err e = ERR_INIT;
    append(1, 3);
    ck_assert(!store_write(rig.store, update_row, NULL, &e));
    ck_assert_int_eq(verdict(NULL).bad_seq, 0);
}
END_TEST

/* ---- listing and export ------------------------------------------------------------------------ */

struct listing {
    struct audit_filter filter;
    int64_t seqs[100], last;
    unsigned n;
};

static bool take_row(void *ctx, const struct audit_row *row, struct err *e)
{
    struct listing *l = ctx;
    (void)e;
    l->seqs[l->n++] = row->seq;
    return true;
}

static bool list(struct store_db *db, void *ctx, struct err *e)
{
    struct listing *l = ctx;
    return audit_list(db, &l->filter, take_row, l, &l->last, e);
}

START_TEST(lists_in_pages)
{
    struct err e = ERR_INIT;
    append(1, 30);
    struct listing l = {.filter = {.limit = 7, .action = "key.revoke"}};
    ck_assert_msg(store_read(rig.store, list, &l, &e), "%s", e.msg);
    ck_assert_uint_eq(l.n, 7);
    ck_assert_int_eq(l.seqs[6], 21);
    ck_assert_int_eq(l.last, 21);
    l.filter.after_seq = l.last;
    ck_assert(store_read(rig.store, list, &l, &e));
    ck_assert_uint_eq(l.n, 10);
    ck_assert_int_eq(l.seqs[9], 30);
    ck_assert_int_eq(l.last, 0);
    struct listing one = {.filter = {.limit = 5, .object_kind = "key", .object_id = "11"}};
    ck_assert(store_read(rig.store, list, &one, &e));
    ck_assert_uint_eq(one.n, 1);
    struct listing nobody = {.filter = {.limit = 5, .actor_id = 8}};
    ck_assert(store_read(rig.store, list, &nobody, &e));
    ck_assert_uint_eq(nobody.n, 0);
}
END_TEST

static bool to_buf(void *ctx, const void *bytes, size_t len)
{
    return buf_append(ctx, bytes, len);
}

static bool refuse(void *ctx, const void *bytes, size_t len)
{
    (void)ctx, (void)bytes, (void)len;
    return false;
}

START_TEST(exports_json_lines)
{
    struct err e = ERR_INIT;
    struct buf out;
    append(1, 40);
    buf_init(&out, 1 << 20);
    struct audit_filter f = {.after_seq = 10};
    ck_assert_msg(audit_export(rig.store, &f, to_buf, &out, &e), "%s", e.msg);
    int line = 10;
    for (char *at = out.data, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        ck_assert_ptr_nonnull(end);
        json_t *j = json_loadb(at, (size_t)(end - at), 0, NULL);
        ck_assert_ptr_nonnull(j);
        ck_assert_int_eq(json_integer_value(json_object_get(j, "seq")), ++line);
        ck_assert_uint_eq(json_string_length(json_object_get(j, "hash")), 64);
        ck_assert_str_eq(json_string_value(json_object_get(j, "actor")), "admin");
        ck_assert_int_eq(json_is_null(json_object_get(j, "before")), line % 2 == 0);
        ck_assert(json_is_string(json_object_get(j, "after")));
        json_decref(j);
    }
    ck_assert_int_eq(line, 40);
    buf_release(&out);
    ck_assert(!audit_export(rig.store, &f, refuse, NULL, &e));
    ck_assert_int_eq(e.code, ERR_CANCELLED);
}
END_TEST

/* ---- the anchor -------------------------------------------------------------------------------- */

struct said {
    int n;
    char last[AUDIT_HEAD_TEXT];
};

static void hear(void *ctx, const char *text)
{
    struct said *s = ctx;
    s->n++;
    snprintf(s->last, sizeof s->last, "%s", text);
}

START_TEST(anchors_once_a_day)
{
    struct err e = ERR_INIT;
    struct said said = {0};
    struct audit_head head;
    const int64_t midnight = 1795363200; /* 2026-11-23 00:00 in Shanghai */
    append(1, 4);
    for (int64_t t = midnight + 3600; t < midnight + 3600 + 600; t += 60)
        ck_assert_msg(audit_anchor(rig.store, t, hear, &said, &e), "%s", e.msg);
    ck_assert_int_eq(said.n, 1);
    ck_assert(audit_head_parse(said.last, &head, NULL));
    ck_assert_int_eq(head.seq, 4);
    append(5, 2);
    ck_assert(audit_anchor(rig.store, midnight + 86399, hear, &said, &e));
    ck_assert_int_eq(said.n, 1);
    rig_shut(&rig);
    rig_reopen(&rig);
    ck_assert(audit_anchor(rig.store, midnight + 86400, hear, &said, &e));
    ck_assert_int_eq(said.n, 2);
    ck_assert(audit_head_parse(said.last, &head, NULL));
    ck_assert_int_eq(head.seq, 6);
    ck_assert_int_eq(verdict(&head).bad_seq, 0);
}
END_TEST

static Suite *suite(void)
{
    const struct {
        const char *name;
        const TTest *test;
    } cases[] = {
        {"appends_a_chain", appends_a_chain},
        {"a_failed_act_leaves_no_row", a_failed_act_leaves_no_row},
        {"refuses_what_is_not_utf8", refuses_what_is_not_utf8},
        {"head_has_a_text_form", head_has_a_text_form},
        {"every_tampering_is_found", every_tampering_is_found},
        {"every_cut_tail_is_found", every_cut_tail_is_found},
        {"rows_can_not_be_updated", rows_can_not_be_updated},
        {"lists_in_pages", lists_in_pages},
        {"exports_json_lines", exports_json_lines},
        {"anchors_once_a_day", anchors_once_a_day},
    };
    Suite *s = suite_create("audit");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TCase *t = tcase_create(cases[i].name);
        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, cases[i].test);
        suite_add_tcase(s, t);
    }
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
