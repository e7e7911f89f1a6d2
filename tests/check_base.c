/* The base modules: errors, buffers, checked sizes, ids, UTF-8, digests, memory, log lines. */
#include <config.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"

/* ---- err ------------------------------------------------------------------------------------- */

static bool fails(struct err *e, int n)
{
    FAIL(e, ERR_LIMIT, "%d is too many", n);
}

static bool fails_with_os(struct err *e, int os)
{
    errno = os;
    FAIL_OS(e, "cannot open %s", "x");
}

static bool tries(struct err *e, bool *cleaned_up)
{
    TRY(fails(e, 3));
    return true;
fail:
    *cleaned_up = true;
    return false;
}

START_TEST(test_err)
{
    struct err e = ERR_INIT;
    bool cleaned_up = false;
    ck_assert(!tries(&e, &cleaned_up) && cleaned_up);
    ck_assert(e.code == ERR_LIMIT && e.os == 0 && e.line > 0);
    ck_assert_ptr_nonnull(strstr(e.file, "check_base.c"));
    ck_assert_str_eq(e.msg, "3 is too many");
    ck_assert(!err_prefix(&e, "file %s", "a"));
    ck_assert_str_eq(e.msg, "file a: 3 is too many");
    ck_assert_int_eq(e.code, ERR_LIMIT);
    ck_assert(!fails(NULL, 1) && !fails_with_os(NULL, EIO) && !err_prefix(NULL, "x"));
}
END_TEST

START_TEST(test_err_os)
{
    struct err e;
    ck_assert(!fails_with_os(&e, ENOENT));
    ck_assert(e.code == ERR_NOT_FOUND && e.os == ENOENT);
    ck_assert_str_eq(e.msg, "cannot open x: No such file or directory");
    fails_with_os(&e, ENOMEM);
    ck_assert_int_eq(e.code, ERR_NOMEM);
    fails_with_os(&e, EACCES);
    ck_assert_int_eq(e.code, ERR_IO);
}
END_TEST

/* Overlong text is cut, and never inside a character: messages go into JSON. */
START_TEST(test_err_long)
{
    char text[400];
    for (int shift = 0; shift < 3; shift++) {
        struct err e;
        memset(text, 'a', sizeof text);
        for (size_t i = (size_t)shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe4\xbd\xa0", 3);
        text[sizeof text - 1] = '\0';
        err_set(&e, ERR_FORMAT, 0, __FILE__, __LINE__, "%s", text);
        ck_assert(utf8_valid(e.msg, strlen(e.msg)));
        ck_assert_uint_ge(strlen(e.msg), sizeof e.msg - 3);
        err_prefix(&e, "p");
        ck_assert(utf8_valid(e.msg, strlen(e.msg)));
        ck_assert(!strncmp(e.msg, "p: ", 3));
        errno = EIO;
        err_set_os(&e, __FILE__, __LINE__, "%s", text);
        ck_assert(utf8_valid(e.msg, strlen(e.msg)));
        err_prefix(&e, "%s", text);
        ck_assert(utf8_valid(e.msg, strlen(e.msg)));
    }
}
END_TEST

START_TEST(test_err_names)
{
    for (int a = 0; a < ERR_CODE_COUNT; a++) {
        ck_assert_ptr_nonnull(err_code_name((enum err_code)a));
        for (int b = 0; b < a; b++)
            ck_assert_str_ne(err_code_name((enum err_code)a), err_code_name((enum err_code)b));
    }
    ck_assert_str_eq(err_code_name(ERR_FORMAT), "format");
    ck_assert_str_eq(err_code_name((enum err_code)999), "unknown");
}
END_TEST

/* ---- buf ------------------------------------------------------------------------------------- */

START_TEST(test_buf)
{
    struct buf b;
    buf_init(&b, 1000);
    ck_assert_str_eq(buf_str(&b), "");
    ck_assert(buf_puts(&b, "ab") && buf_putc(&b, 'c') && buf_append(&b, "d\0e", 3));
    ck_assert(buf_printf(&b, "%d|%s", 12, "x"));
    ck_assert_uint_eq(b.len, 10);
    ck_assert(!memcmp(buf_str(&b), "abcd\0e12|x", 11));
    buf_consume(&b, 6);
    ck_assert_str_eq(buf_str(&b), "12|x");
    buf_consume(&b, 0);
    buf_consume(&b, 4);
    ck_assert(b.len == 0 && *buf_str(&b) == '\0');
    ck_assert(buf_puts(&b, "again"));
    char *taken = buf_take(&b);
    ck_assert_str_eq(taken, "again");
    ck_assert_str_eq(buf_str(&b), "");
    free(taken);
    taken = buf_take(&b);
    ck_assert_str_eq(taken, "");
    free(taken);
    buf_release(&b);
    buf_release(&b);
}
END_TEST

/* At the maximum: a failed append changes nothing but `failed`, and every later one fails. */
START_TEST(test_buf_maximum)
{
    struct buf b;
    buf_init(&b, 8);
    ck_assert(buf_puts(&b, "12345678"));
    ck_assert(!b.failed && buf_append(&b, "", 0));
    ck_assert(!buf_putc(&b, '9') && b.failed);
    ck_assert(!buf_append(&b, "", 0) && !buf_puts(&b, "") && !buf_printf(&b, "x"));
    ck_assert_str_eq(buf_str(&b), "12345678");
    buf_clear(&b);
    ck_assert(!b.failed && b.len == 0);
    ck_assert(!buf_printf(&b, "%s", "123456789") && b.failed);
    ck_assert_str_eq(buf_str(&b), "");
    buf_clear(&b);
    ck_assert(!buf_append(&b, "x", SIZE_MAX));
    buf_clear(&b);
    ck_assert(buf_printf(&b, "%d", 12345678));
    buf_release(&b);
    buf_init(&b, 0);
    ck_assert(!buf_putc(&b, 'a'));
    buf_release(&b);
}
END_TEST

START_TEST(test_buf_grows)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++)
        ck_assert(buf_putc(&b, (char)('a' + i % 26)));
    for (int i = 0; i < 100000; i++)
        ck_assert_int_eq(b.data[i], 'a' + i % 26);
    ck_assert_int_eq(b.data[b.len], '\0');
    buf_release(&b);
}
END_TEST

/* ---- checked sizes, memory, clock ------------------------------------------------------------ */

START_TEST(test_checked)
{
    uint64_t r = 7;
    ck_assert(checked_add(UINT64_MAX - 1, 1, &r) && r == UINT64_MAX);
    ck_assert(checked_mul(1u << 31, 1u << 31, &r) && r == UINT64_C(1) << 62);
    ck_assert(checked_mul(0, UINT64_MAX, &r) && r == 0);
    ck_assert(checked_align(33, 32, &r) && r == 64);
    ck_assert(checked_align(64, 32, &r) && r == 64);
    ck_assert(checked_align(0, 4096, &r) && r == 0);
    ck_assert(checked_align(UINT64_MAX - 31, 32, &r) && r == UINT64_MAX - 31);
    r = 7;
    ck_assert(!checked_add(UINT64_MAX, 1, &r));
    ck_assert(!checked_mul(UINT64_C(1) << 32, UINT64_C(1) << 32, &r));
    ck_assert(!checked_mul(UINT64_MAX, 2, &r));
    ck_assert(!checked_align(UINT64_MAX - 30, 32, &r));
    ck_assert_uint_eq(r, 7);
}
END_TEST

START_TEST(test_mem)
{
    ck_assert_ptr_null(mem_try_calloc(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(mem_try_reallocarray(NULL, SIZE_MAX / 8 + 1, 8));
    char *zeros = mem_calloc(5, 3);
    for (int i = 0; i < 15; i++)
        ck_assert_int_eq(zeros[i], 0);
    int *a = mem_try_calloc(2, sizeof *a);
    a[1] = 5;
    a = mem_try_reallocarray(a, 1000, sizeof *a);
    ck_assert_int_eq(a[1], 5);
    char *s = mem_strndup("abcdef", 3), *t = mem_strdup(s);
    ck_assert_str_eq(t, "abc");
    void *none[] = {mem_alloc(0), mem_zalloc(0), mem_try_calloc(0, 0), mem_realloc(NULL, 0)};
    for (int i = 0; i < 4; i++) {
        ck_assert_ptr_nonnull(none[i]);
        free(none[i]);
    }
    free(zeros);
    free(a);
    free(s);
    free(t);
}
END_TEST

START_TEST(test_clock)
{
    uint64_t a = clock_now_us();
    usleep(2000);
    uint64_t b = clock_now_us();
    ck_assert(b - a >= 2000 && b - a < 60000000);
    ck_assert_int_gt(clock_wall_s(), 1700000000);
}
END_TEST

/* ---- ids ------------------------------------------------------------------------------------- */

START_TEST(test_ids)
{
    static const int64_t ids[] = {INT64_MIN, -3, 1, 2, 5, 8, INT64_MAX};
    ck_assert(!ids_hold(NULL, 0, 1));
    for (size_t n = 0; n <= sizeof ids / sizeof ids[0]; n++) {
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
            ck_assert_int_eq(ids_hold(ids, n, ids[i]), i < n);
        ck_assert(!ids_hold(ids, n, 0) && !ids_hold(ids, n, 4) && !ids_hold(ids, n, 9));
    }
}
END_TEST

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

START_TEST(test_utf8_every_code_point)
{
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        char s[4];
        uint32_t back = 0;
        size_t n = utf8_encode(cp, s), k;
        if (cp >= 0xd800 && cp <= 0xdfff) {
            ck_assert(utf8_decode(s, n, &back) == 0 && !utf8_valid(s, n));
            continue;
        }
        size_t expected = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (n != expected || utf8_decode(s, n, &back) != n || back != cp)
            ck_abort_msg("U+%04X", cp);
        for (size_t cut = 1; cut < n; cut++) {
            if (utf8_classify(s, cut, &k) != UTF8_INCOMPLETE || k != cut || utf8_cut(s, cut) != 0)
                ck_abort_msg("U+%04X cut after %zu", cp, cut);
        }
    }
}
END_TEST

START_TEST(test_utf8_invalid)
{
    static const struct {
        const char *s;
        size_t len, skip; /* bytes that can never become valid */
    } cases[] = {
        {"\x80", 1, 1},             /* a continuation alone */
        {"\xbf\x80", 2, 1},
        {"\xc0\x80", 2, 1},         /* overlong */
        {"\xc1\xbf", 2, 1},
        {"\xe0\x80\x80", 3, 1},     /* overlong */
        {"\xe0\x9f\xbf", 3, 1},
        {"\xed\xa0\x80", 3, 1},     /* surrogate */
        {"\xf0\x8f\xbf\xbf", 4, 1}, /* overlong */
        {"\xf4\x90\x80\x80", 4, 1}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 1},
        {"\xff", 1, 1},
        {"\xe4\xbd" "a", 3, 2},     /* broken off */
        {"\xf0\x9f\x98" "a", 4, 3},
        {"\xc3(", 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = 0;
        uint32_t cp = 7;
        ck_assert_int_eq(utf8_classify(cases[i].s, cases[i].len, &n), UTF8_INVALID);
        ck_assert_uint_eq(n, cases[i].skip);
        ck_assert_uint_eq(utf8_decode(cases[i].s, cases[i].len, &cp), 0);
        ck_assert_uint_eq(cp, 7);
        ck_assert(!utf8_valid(cases[i].s, cases[i].len));
    }
    ck_assert(utf8_valid("", 0) && utf8_valid("a\0b", 3));
    ck_assert(!utf8_valid("ok\xe4\xbd", 4));
    uint32_t cp;
    ck_assert_uint_eq(utf8_decode("", 0, &cp), 0);
}
END_TEST

START_TEST(test_utf8_cut)
{
    static const char text[] = "a\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80" "b";
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    for (size_t len = 0; len < sizeof text; len++)
        ck_assert_uint_eq(utf8_cut(text, len), expected[len]);
    ck_assert_uint_eq(utf8_cut("a\x80\x80\x80\x80", 5), 5); /* not a cut: wrong from the start */
    ck_assert_uint_eq(utf8_cut("\xff", 1), 1);
}
END_TEST

/* ---- digests --------------------------------------------------------------------------------- */

START_TEST(test_hash)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    uint8_t digest[3][HASH_SHA256_BYTES];
    struct err e = ERR_INIT;
    for (int i = 0; i < 3; i++) {
        char hex[HASH_SHA256_HEX];
        ck_assert(hash_sha256(cases[i].text, strlen(cases[i].text), digest[i], &e));
        hash_hex(digest[i], hex);
        ck_assert_str_eq(hex, cases[i].hex);
    }
    ck_assert(hash_equal(digest[0], digest[0]) && !hash_equal(digest[0], digest[1]));
    memcpy(digest[1], digest[0], sizeof digest[0]);
    digest[1][HASH_SHA256_BYTES - 1] ^= 1;
    ck_assert(!hash_equal(digest[0], digest[1]));
}
END_TEST

START_TEST(test_random)
{
    uint8_t a[32] = {0}, b[32] = {0};
    ck_assert(hash_random(a, sizeof a, NULL) && hash_random(b, sizeof b, NULL));
    ck_assert(memcmp(a, b, sizeof a) != 0);
    struct err e;
    ck_assert(!hash_random(a, SIZE_MAX, &e) && e.code == ERR_INTERNAL);
}
END_TEST

/* ---- log ------------------------------------------------------------------------------------- */

START_TEST(test_log_quote)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "\"\""},
        {"plain text", "\"plain text\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"x\ny\x7f\x1b[0m", "\"x\\u000ay\\u007f\\u001b[0m\""},
        {"\xe4\xbd\xa0", "\"\xe4\xbd\xa0\""},
        {"\xc2\x85\xe2\x80\xa8", "\"\\u0085\\u2028\""}, /* line ends of other kinds */
        {"a\xff" "b\xe4\xbd", "\"a\\ufffdb\\ufffd\\ufffd\""},
        {"id=1 level=error", "\"id=1 level=error\""},
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_ptr_eq(log_quote(out, sizeof out, cases[i].in), out);
        ck_assert_str_eq(out, cases[i].out);
    }
}
END_TEST

/* Whatever the room: terminated, quoted, no half escape, no half character, nothing overwritten. */
START_TEST(test_log_quote_small)
{
    static const char in[] = "ab\n\"\xe4\xbd\xa0\xf0\x9f\x98\x80z";
    for (size_t room = 0; room < 40; room++) {
        char out[48];
        memset(out, '#', sizeof out);
        log_quote(out, room, in);
        for (size_t i = room; i < sizeof out; i++)
            ck_assert_int_eq(out[i], '#');
        if (room < 3) {
            ck_assert(room == 0 || out[0] == '\0');
            continue;
        }
        size_t n = strlen(out);
        ck_assert(n >= 2 && n < room && out[0] == '"' && out[n - 1] == '"');
        ck_assert(utf8_valid(out, n));
        json_t *v = json_loads(out, JSON_DECODE_ANY, NULL);
        ck_assert_msg(json_is_string(v), "%s", out);
        ck_assert(!strncmp(json_string_value(v), in, json_string_length(v)));
        json_decref(v);
    }
}
END_TEST

/* Runs log_line with stderr redirected; gives the line without its newline. */
static void capture(char *out, size_t out_bytes, enum log_level level, const char *text)
{
    int ends[2], saved = dup(STDERR_FILENO);
    ck_assert(saved >= 0 && pipe(ends) == 0);
    ck_assert(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    ck_assert(dup2(ends[1], STDERR_FILENO) >= 0);
    log_line(level, "test", "event %s", text);
    ck_assert(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t n = read(ends[0], out, out_bytes - 1);
    out[n > 0 ? n - 1 : 0] = '\0';
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

START_TEST(test_log_lines)
{
    char line[4096], module[16], level[16], text[64];
    int year, day;
    capture(line, sizeof line, LOG_WARN, "id=1");
    ck_assert_int_eq(sscanf(line, "%d-%*d-%dT%*d:%*d:%*f%*[Z] %15s %15[^:]: %63[^\n]", &year, &day,
                            level, module, text), 5);
    ck_assert_str_eq(level, "warn");
    ck_assert_str_eq(module, "test");
    ck_assert_str_eq(text, "event id=1");
    ck_assert(year > 2023 && day >= 1 && day <= 31);
    capture(line, sizeof line, LOG_DEBUG, "hidden");
    ck_assert_str_eq(line, "");
    log_set_level(LOG_DEBUG);
    capture(line, sizeof line, LOG_DEBUG, "shown");
    ck_assert_ptr_nonnull(strstr(line, "shown"));
    log_set_level(LOG_ERROR);
    capture(line, sizeof line, LOG_WARN, "hidden");
    ck_assert_str_eq(line, "");
    log_set_level(LOG_INFO);
}
END_TEST

START_TEST(test_log_json)
{
    char line[4096], longest[3000];
    memset(longest, '"', sizeof longest);
    memcpy(longest + 1, "\xe4\xbd\xa0\n\xff", 5);
    longest[sizeof longest - 1] = '\0';
    const char *const texts[] = {"id=1", "a\"b\\c\n", "\xff\xfe", longest, longest + 2700};
    log_set_json(true);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_error_t error;
        capture(line, sizeof line, LOG_INFO, texts[i]);
        json_t *v = json_loads(line, 0, &error);
        ck_assert_msg(v != NULL, "%s in %s", error.text, line);
        ck_assert_str_eq(json_string_value(json_object_get(v, "level")), "info");
        ck_assert_str_eq(json_string_value(json_object_get(v, "module")), "test");
        const char *msg = json_string_value(json_object_get(v, "msg"));
        ck_assert(!strncmp(msg, "event ", 6));
        json_decref(v);
    }
    log_set_json(false);
}
END_TEST

START_TEST(test_log_levels)
{
    enum log_level level = LOG_INFO;
    ck_assert(log_level_parse("debug", &level) && level == LOG_DEBUG);
    ck_assert(log_level_parse("error", &level) && level == LOG_ERROR);
    ck_assert(!log_level_parse("loud", &level) && level == LOG_ERROR);
    ck_assert(!log_level_parse("", &level));
}
END_TEST

static TCase *add_case(Suite *s, const char *name)
{
    TCase *tc = tcase_create(name);
    suite_add_tcase(s, tc);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("base");
    TCase *tc = add_case(s, "err");
    tcase_add_test(tc, test_err);
    tcase_add_test(tc, test_err_os);
    tcase_add_test(tc, test_err_long);
    tcase_add_test(tc, test_err_names);
    tc = add_case(s, "buf");
    tcase_add_test(tc, test_buf);
    tcase_add_test(tc, test_buf_maximum);
    tcase_add_test(tc, test_buf_grows);
    tc = add_case(s, "sizes");
    tcase_add_test(tc, test_checked);
    tcase_add_test(tc, test_mem);
    tcase_add_test(tc, test_clock);
    tc = add_case(s, "ids");
    tcase_add_test(tc, test_ids);
    tc = add_case(s, "utf8");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_utf8_every_code_point);
    tcase_add_test(tc, test_utf8_invalid);
    tcase_add_test(tc, test_utf8_cut);
    tc = add_case(s, "hash");
    tcase_add_test(tc, test_hash);
    tcase_add_test(tc, test_random);
    tc = add_case(s, "log");
    tcase_add_test(tc, test_log_quote);
    tcase_add_test(tc, test_log_quote_small);
    tcase_add_test(tc, test_log_lines);
    tcase_add_test(tc, test_log_json);
    tcase_add_test(tc, test_log_levels);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
