/* Reading GGUF files: golden models, split sets, a file with every value type, and several thousand
 * corrupted files, each of which must give one clear error or load without harm. */
#include <config.h>

#include "format/gguf.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "gguf_corrupt.h"
#include "gguf_write.h"
#include "testfile.h"

static char *dir; /* per test */

static void setup(void)
{
    dir = testfile_make_dir();
}

static void teardown(void)
{
    testfile_remove_dir(dir);
    free(dir);
}

/* ---- helpers --------------------------------------------------------------------------------- */

static void put_file(const char *name, const struct buf *b)
{
    char *path = testfile_join(dir, name);
    ck_assert(testfile_write(path, buf_str(b), b->len));
    free(path);
}

static bool open_in_dir(const char *name, struct gguf **g, struct err *e)
{
    char *path = testfile_join(dir, name);
    *e = ERR_INIT;
    bool ok = gguf_open(path, g, e);
    free(path);
    return ok;
}

/* One non-empty line of valid text that is not cut and names the file. */
static void check_message(const struct err *e, const char *file, const char *what)
{
    size_t len = strlen(e->msg);
    ck_assert_msg(e->code != ERR_NONE && e->code != ERR_INTERNAL, "%s: code %d", what, e->code);
    ck_assert_msg(len > 20 && len < sizeof e->msg - 1, "%s: '%s'", what, e->msg);
    ck_assert_msg(utf8_valid(e->msg, len), "%s: '%s' is no UTF-8", what, e->msg);
    for (size_t i = 0; i < len; i++)
        ck_assert_msg((unsigned char)e->msg[i] >= 0x20, "%s: control character", what);
    ck_assert_msg(strstr(e->msg, file) != NULL, "%s: '%s' does not name %s", what, e->msg, file);
}

static void refused(const char *file, enum err_code code, const char *part_of_message)
{
    struct gguf *g;
    struct err e;
    ck_assert_msg(!open_in_dir(file, &g, &e), "%s loads, but must not", file);
    ck_assert_ptr_null(g);
    check_message(&e, file, file);
    ck_assert_msg(e.code == code && strstr(e.msg, part_of_message), "%s: %s: %s", file,
                  err_code_name(e.code), e.msg);
}

/* Reads every byte that the interface hands out, so that sanitizers see a wrong pointer. */
static uint64_t touch_everything(const struct gguf *g)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf_kv_count(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        const uint8_t *cursor = kv->data;
        for (uint64_t k = 0; k < kv->n; k++) {
            if (kv->elem_type == GGUF_STRING) {
                struct gguf_str s = gguf_array_next_str(&cursor);
                for (size_t j = 0; j < s.len; j++)
                    sum += (unsigned char)s.data[j];
            } else {
                sum += (uint64_t)gguf_array_i64(kv, k) + (gguf_array_f64(kv, k) > 0.0);
            }
        }
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const uint8_t *p = t->data;
        ck_assert_ptr_eq(gguf_tensor_find(g, t->name), t);
        for (uint64_t k = 0; k < t->bytes; k += 61)
            sum += p[k];
        sum += p[t->bytes - 1];
    }
    return sum;
}

static struct gguf *open_golden(const char *path)
{
    struct gguf *g;
    struct err e = ERR_INIT;
    ck_assert_msg(gguf_open(path, &g, &e), "%s", e.msg);
    return g;
}

/* A file with every value type, several arrays and four tensors. */
static void write_sample(struct gguf_writer *w)
{
    static const char *const tokens[] = {"<s>", "", "\xe4\xbd\xa0\xe5\xa5\xbd", "a"};
    static const uint64_t square[] = {64, 3}, vector[] = {5}, cube[] = {32, 2, 2};
    static const uint64_t halves[] = {16, 2};
    gguf_write_str(w, "general.architecture", "llama");
    gguf_write_u32(w, "general.alignment", w->alignment);
    gguf_write_raw(w, "t.u8", GGUF_U8, "\xff", 1);
    gguf_write_raw(w, "t.i8", GGUF_I8, "\xff", 1);
    gguf_write_raw(w, "t.u16", GGUF_U16, "\xff\xff", 2);
    gguf_write_raw(w, "t.i16", GGUF_I16, "\xfe\xff", 2);
    gguf_write_u32(w, "t.u32", 4000000000u);
    gguf_write_raw(w, "t.i32", GGUF_I32, "\xfd\xff\xff\xff", 4);
    gguf_write_f32(w, "t.f32", 0.5f);
    gguf_write_bool(w, "t.bool", true);
    gguf_write_raw(w, "t.u64", GGUF_U64, "\1\0\0\0\1\0\0\0", 8);
    gguf_write_raw(w, "t.i64", GGUF_I64, "\7\0\0\0\0\0\0\0", 8);
    gguf_write_raw(w, "t.f64", GGUF_F64, &(double){-0.25}, 8);
    gguf_write_raw(w, "t.nan", GGUF_F32, &(float){NAN}, 4);
    gguf_write_raw(w, "t.huge", GGUF_F64, &(double){1e300}, 8);
    gguf_write_strs(w, "tokens", tokens, 4);
    gguf_write_array(w, "types", GGUF_I32, (int32_t[]){3, -1, 1}, 3, 4);
    gguf_write_array(w, "scores", GGUF_F32, (float[]){1.5f, -2.0f}, 2, 4);
    gguf_write_array(w, "flags", GGUF_BOOL, (uint8_t[]){1, 0}, 2, 1);
    gguf_write_array(w, "empty", GGUF_STRING, NULL, 0, 0);
    gguf_write_tensor(w, "a.weight", TENSOR_F32, 2, square, NULL, 64 * 3 * 4);
    gguf_write_tensor(w, "b.bias", TENSOR_F32, 1, vector, (float[]){1, 2, 3, 4, 5}, 20);
    gguf_write_tensor(w, "c.weight", TENSOR_Q8_0, 3, cube, NULL, 4 * 34);
    gguf_write_tensor(w, "d.weight", TENSOR_F16, 2, halves, NULL, 16 * 2 * 2);
}

static void put_sample(const char *name, uint32_t version, uint32_t alignment)
{
    struct gguf_writer w;
    struct buf b;
    gguf_writer_init(&w);
    buf_init(&b, 1 << 20);
    w.version = version;
    w.alignment = alignment;
    write_sample(&w);
    gguf_write_finish(&w, &b);
    put_file(name, &b);
    gguf_writer_release(&w);
    buf_release(&b);
}

/* ---- well-formed files ----------------------------------------------------------------------- */

static void check_sample_values(const struct gguf *g)
{
    struct err e = ERR_INIT;
    uint32_t u;
    float f;
    bool b;
    struct gguf_str s;
    ck_assert(gguf_get_u32(g, "t.u8", &u, &e) && u == 255);
    ck_assert(gguf_get_u32(g, "t.u16", &u, &e) && u == 65535);
    ck_assert(gguf_get_u32(g, "t.u32", &u, &e) && u == 4000000000u);
    ck_assert(gguf_get_u32(g, "t.i64", &u, &e) && u == 7);
    ck_assert(gguf_get_f32(g, "t.f32", &f, &e) && f == 0.5f);
    ck_assert(gguf_get_f32(g, "t.f64", &f, &e) && f == -0.25f);
    ck_assert(gguf_get_bool(g, "t.bool", &b, &e) && b);
    ck_assert(gguf_get_str(g, "general.architecture", &s, &e));
    ck_assert(s.len == 5 && !memcmp(s.data, "llama", 5));
    ck_assert_int_eq(gguf_array_i64(gguf_find(g, "t.i8"), 0), -1);
    ck_assert_int_eq(gguf_array_i64(gguf_find(g, "t.i16"), 0), -2);
    ck_assert_int_eq(gguf_array_i64(gguf_find(g, "t.i32"), 0), -3);
    ck_assert_int_eq(gguf_array_i64(gguf_find(g, "t.u64"), 0), INT64_C(0x100000001));
}

static void check_sample_arrays(const struct gguf *g)
{
    const struct gguf_kv *kv;
    struct err e = ERR_INIT;
    ck_assert(gguf_get_array(g, "tokens", GGUF_STRING, &kv, &e) && kv->n == 4);
    static const size_t lengths[] = {3, 0, 6, 1};
    const uint8_t *cursor = kv->data;
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(gguf_array_next_str(&cursor).len, lengths[i]);
    ck_assert(gguf_get_array(g, "types", GGUF_I32, &kv, &e) && kv->n == 3);
    ck_assert_int_eq(gguf_array_i64(kv, 1), -1);
    ck_assert(gguf_get_array(g, "scores", GGUF_F32, &kv, &e) && kv->n == 2);
    ck_assert_double_eq(gguf_array_f64(kv, 1), -2.0);
    ck_assert(gguf_get_array(g, "empty", GGUF_STRING, &kv, &e) && kv->n == 0);
}

static void check_sample_tensors(const struct gguf *g, uint32_t alignment)
{
    ck_assert_uint_eq(gguf_tensor_count(g), 4);
    const struct gguf_tensor *t = gguf_tensor_find(g, "c.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert(t->type == TENSOR_Q8_0 && t->n_dims == 3 && t->n_elems == 128 && t->bytes == 136);
    ck_assert(t->ne[0] == 32 && t->ne[1] == 2 && t->ne[2] == 2 && t->ne[3] == 1);
    t = gguf_tensor_find(g, "b.bias");
    ck_assert(!memcmp(t->data, (float[]){1, 2, 3, 4, 5}, 20));
    ck_assert_uint_eq((uintptr_t)t->data % alignment, 0);
    ck_assert_ptr_null(gguf_tensor_find(g, "b.bia"));
    ck_assert_ptr_null(gguf_tensor_find(g, ""));
    gguf_tensor_prefetch(t);
    gguf_tensor_release_pages(t);
    ck_assert(!memcmp(t->data, (float[]){1, 2, 3, 4, 5}, 20));
}

START_TEST(test_sample)
{
    static const struct {
        uint32_t version, alignment;
    } cases[] = {{3, 32}, {2, 32}, {3, 8}, {3, 4096}};
    struct gguf *g;
    struct err e;
    put_sample("sample.gguf", cases[_i].version, cases[_i].alignment);
    ck_assert_msg(open_in_dir("sample.gguf", &g, &e), "%s", e.msg);
    ck_assert_uint_eq(gguf_kv_count(g), 20);
    check_sample_values(g);
    check_sample_arrays(g);
    check_sample_tensors(g, cases[_i].alignment);
    touch_everything(g);
    gguf_close(&g);
    ck_assert_ptr_null(g);
    gguf_close(&g);
}
END_TEST

/* Every getter on every key of a type it must not take: the message names file and key. */
START_TEST(test_getters_refuse)
{
    struct gguf *g;
    struct err e;
    put_sample("sample.gguf", 3, 32);
    ck_assert(open_in_dir("sample.gguf", &g, &e));
    size_t n_refused = 0;
    for (size_t i = 0; i < gguf_kv_count(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        char key[64];
        uint32_t u;
        float f;
        bool b;
        struct gguf_str s;
        const struct gguf_kv *a;
        snprintf(key, sizeof key, "%.*s", (int)kv->key.len, kv->key.data);
        struct err errs[5] = {ERR_INIT, ERR_INIT, ERR_INIT, ERR_INIT, ERR_INIT};
        bool ok[5] = {gguf_get_u32(g, key, &u, &errs[0]), gguf_get_f32(g, key, &f, &errs[1]),
                      gguf_get_bool(g, key, &b, &errs[2]), gguf_get_str(g, key, &s, &errs[3]),
                      gguf_get_array(g, key, GGUF_U16, &a, &errs[4])};
        ck_assert_msg(ok[0] + ok[1] + ok[2] + ok[3] + ok[4] <= 1, "%s has two types", key);
        for (int k = 0; k < 5; k++) {
            if (ok[k])
                continue;
            ck_assert_int_eq(errs[k].code, ERR_FORMAT);
            check_message(&errs[k], "sample.gguf", key);
            ck_assert_ptr_nonnull(strstr(errs[k].msg, key));
            n_refused++;
        }
    }
    ck_assert_uint_eq(n_refused, 20 * 5 - 9); /* u8 u16 u32 alignment i64, f32 f64, bool, string */
    uint32_t u;
    ck_assert(!gguf_get_u32(g, "no.such.key", &u, &e) && e.code == ERR_NOT_FOUND);
    ck_assert_str_eq(e.msg, "\"sample.gguf\": the metadata key \"no.such.key\" is missing");
    ck_assert(!gguf_get_u32(g, "t.i8", &u, NULL));
    gguf_close(&g);
}
END_TEST

START_TEST(test_no_such_file)
{
    struct gguf *g;
    struct err e;
    ck_assert(!open_in_dir("missing.gguf", &g, &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
    check_message(&e, "missing.gguf", "missing");
    ck_assert(!gguf_open(dir, &g, &e));
    ck_assert_int_eq(e.code, ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(e.msg, "directory"));
    ck_assert(!gguf_open(dir, &g, NULL));
}
END_TEST

/* ---- golden files ---------------------------------------------------------------------------- */

START_TEST(test_golden_models)
{
    static const struct {
        const char *path, *architecture;
        size_t n_keys, n_tensors;
    } cases[] = {
        {"models/v3/v3.gguf", "deepseek2", 49, 76},
        {"models/v2-lite/v2-lite.gguf", "deepseek2", 46, 44},
        {"models/v1-moe/v1-moe.gguf", "deepseek", 33, 38},
        {"models/qwen2/qwen2.gguf", "qwen2", 26, 39},
        {"models/llama3/llama3.gguf", "llama", 26, 31},
        {"models/v3-q4_k_m/v3-q4_k_m.gguf", "deepseek2", 48, 52},
        {"tokenizers/ggml-vocab-deepseek-llm.gguf", "llama", 23, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = testfile_fixture(cases[i].path);
        if (!path)
            return;
        struct gguf *g = open_golden(path);
        struct gguf_str s;
        struct err e = ERR_INIT;
        ck_assert_uint_eq(gguf_kv_count(g), cases[i].n_keys);
        ck_assert_uint_eq(gguf_tensor_count(g), cases[i].n_tensors);
        ck_assert_msg(gguf_get_str(g, "general.architecture", &s, &e), "%s", e.msg);
        ck_assert_uint_eq(s.len, strlen(cases[i].architecture));
        ck_assert(!memcmp(s.data, cases[i].architecture, s.len));
        touch_everything(g);
        gguf_close(&g);
        free(path);
    }
}
END_TEST

START_TEST(test_zoo)
{
    char *path = testfile_source("tests/golden/zoo/zoo.gguf");
    struct gguf *g = open_golden(path);
    ck_assert_uint_eq(gguf_tensor_count(g), 53);
    ck_assert_uint_eq(gguf_file_bytes(g), 373248);
    touch_everything(g);
    gguf_close(&g);
    free(path);
}
END_TEST

/* ---- split sets ------------------------------------------------------------------------------ */

static void check_same_model(const struct gguf *a, const struct gguf *b)
{
    ck_assert_uint_eq(gguf_tensor_count(a), gguf_tensor_count(b));
    for (size_t i = 0; i < gguf_tensor_count(a); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(a, i);
        const struct gguf_tensor *y = gguf_tensor_find(b, x->name);
        ck_assert_ptr_nonnull(y);
        ck_assert(x->type == y->type && x->bytes == y->bytes);
        ck_assert(!memcmp(x->ne, y->ne, sizeof x->ne));
        ck_assert(!memcmp(x->data, y->data, x->bytes));
    }
    for (size_t i = 0; i < gguf_kv_count(a); i++) {
        const struct gguf_kv *x = gguf_kv_at(a, i);
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)x->key.len, x->key.data);
        const struct gguf_kv *y = gguf_find(b, key);
        ck_assert_msg(y && x->type == y->type && x->n == y->n, "%s differs", key);
    }
}

START_TEST(test_golden_split)
{
    char *whole = testfile_fixture("models/qwen2-tied/qwen2-tied.gguf");
    if (!whole)
        return;
    struct gguf *a = open_golden(whole);
    for (int part = 1; part <= 3; part++) {
        char name[96];
        snprintf(name, sizeof name, "models/qwen2-tied/split/qwen2-tied-%05d-of-00003.gguf", part);
        char *path = testfile_fixture(name);
        ck_assert_ptr_nonnull(path);
        struct gguf *b = open_golden(path);
        check_same_model(a, b);
        ck_assert_uint_eq(gguf_file_bytes(b), 272896 + 345856 + 308416);
        gguf_close(&b);
        free(path);
    }
    gguf_close(&a);
    free(whole);
}
END_TEST

/* Part `no` (0-based) of a set of `count`; stated numbers below 0 are left out. */
static void put_part(const char *name, int no, int count, int stated_tensors)
{
    struct gguf_writer w;
    struct buf b;
    char tensor[32];
    gguf_writer_init(&w);
    buf_init(&b, 1 << 20);
    gguf_write_u32(&w, "only.in.part", (uint32_t)(no < 0 ? 0 : no));
    if (no >= 0)
        gguf_write_raw(&w, "split.no", GGUF_U16, &(uint16_t){(uint16_t)no}, 2);
    if (count >= 0)
        gguf_write_raw(&w, "split.count", GGUF_U16, &(uint16_t){(uint16_t)count}, 2);
    if (stated_tensors >= 0)
        gguf_write_raw(&w, "split.tensors.count", GGUF_I32, &stated_tensors, 4);
    snprintf(tensor, sizeof tensor, "part%d.weight", no);
    gguf_write_tensor(&w, tensor, TENSOR_F32, 1, (uint64_t[]){8}, NULL, 32);
    gguf_write_finish(&w, &b);
    put_file(name, &b);
    gguf_writer_release(&w);
    buf_release(&b);
}

#define PART(n) "m-0000" #n "-of-00003.gguf"

static void put_three_parts(void)
{
    put_part(PART(1), 0, 3, 3);
    put_part(PART(2), 1, 3, 3);
    put_part(PART(3), 2, 3, 3);
}

START_TEST(test_split_any_part)
{
    static const char *const names[] = {PART(1), PART(2), PART(3)};
    put_three_parts();
    for (int i = 0; i < 3; i++) {
        struct gguf *g;
        struct err e;
        uint32_t part;
        ck_assert_msg(open_in_dir(names[i], &g, &e), "%s", e.msg);
        ck_assert(gguf_get_u32(g, "only.in.part", &part, &e) && part == 0);
        ck_assert_uint_eq(gguf_tensor_count(g), 3);
        ck_assert_str_eq(gguf_tensor_at(g, 2)->name, "part2.weight");
        touch_everything(g);
        gguf_close(&g);
    }
}
END_TEST

START_TEST(test_split_missing_part)
{
    put_three_parts();
    char *path = testfile_join(dir, PART(2));
    ck_assert_int_eq(remove(path), 0);
    free(path);
    struct gguf *g;
    struct err e;
    ck_assert(!open_in_dir(PART(1), &g, &e) && e.code == ERR_NOT_FOUND);
    check_message(&e, PART(2), "missing part");
    ck_assert(!open_in_dir(PART(3), &g, &e) && e.code == ERR_NOT_FOUND);
    check_message(&e, PART(2), "missing part");
}
END_TEST

/* Writes one wrong file into a good set and opens the set from another part. */
static void wrong_part(const char *file, int no, int count, int stated, const char *opened,
                       const char *named, const char *message)
{
    struct gguf *g;
    struct err e;
    put_three_parts();
    put_part(file, no, count, stated);
    ck_assert_msg(!open_in_dir(opened, &g, &e), "%s loads", message);
    check_message(&e, named, message);
    ck_assert_msg(strstr(e.msg, message) != NULL, "'%s' does not say '%s'", e.msg, message);
}

START_TEST(test_split_disagreements)
{
    wrong_part(PART(2), 2, 3, 3, PART(1), PART(2), "the name says part 2 of 3");
    wrong_part(PART(2), 1, 4, 3, PART(1), PART(2), "say part 2 of 4");
    wrong_part(PART(2), 1, 1, 3, PART(1), PART(2), "is 1, but there are 1 parts");
    wrong_part(PART(2), 5, 3, 3, PART(3), PART(2), "is 5, but there are 3 parts");
    wrong_part(PART(1), 0, 3, 4, PART(3), PART(1), "\"split.tensors.count\" is 4");
    wrong_part(PART(1), 0, 3, 2, PART(1), PART(1), "\"split.tensors.count\" is 2");
    wrong_part("x.gguf", 1, 3, 3, "x.gguf", "x.gguf", "part 2 of 3");
    wrong_part("x-00001-of-00002.gguf", 0, 5000, 3, "x-00001-of-00002.gguf", "x-00001", "4096");
}
END_TEST

START_TEST(test_split_same_tensor_twice)
{
    struct gguf *g;
    struct err e;
    put_three_parts();
    put_part(PART(3), -1, 3, 3); /* says nothing of its number: the name decides */
    ck_assert_msg(open_in_dir(PART(1), &g, &e), "%s", e.msg);
    gguf_close(&g);
    put_part(PART(2), -1, 3, 3);
    refused(PART(1), ERR_FORMAT, "\"part-1.weight\" appears twice");
}
END_TEST

/* Parts recognised by their names alone, and a whole model that only looks like a part of one. */
START_TEST(test_split_by_name)
{
    struct gguf *g;
    struct err e;
    put_part(PART(1), -1, -1, -1);
    ck_assert(!open_in_dir(PART(1), &g, &e) && e.code == ERR_NOT_FOUND);
    check_message(&e, PART(2), "other parts missing");
    put_part(PART(2), 1, -1, -1);
    put_part(PART(3), 2, -1, -1);
    ck_assert_msg(open_in_dir(PART(2), &g, &e), "%s", e.msg);
    ck_assert_uint_eq(gguf_tensor_count(g), 3);
    gguf_close(&g);
    put_part("m-00001-of-00001.gguf", -1, -1, -1);
    ck_assert_msg(open_in_dir("m-00001-of-00001.gguf", &g, &e), "%s", e.msg);
    gguf_close(&g);
    put_part("m-00001-of-09999.gguf", -1, -1, -1);
    refused("m-00001-of-09999.gguf", ERR_LIMIT, "9999 parts");
    put_part("m-00000-of-00003.gguf", -1, -1, -1); /* not a part: parts count from 1 */
    ck_assert_msg(open_in_dir("m-00000-of-00003.gguf", &g, &e), "%s", e.msg);
    gguf_close(&g);
}
END_TEST

/* ---- corrupted files ------------------------------------------------------------------------- */

struct totals {
    size_t n, refused, loaded;
};

static void try_variant(const struct gguf_variant *v, struct totals *total)
{
    struct gguf *g;
    struct err e;
    char *path = testfile_join(dir, "case.gguf");
    ck_assert(testfile_write(path, v->bytes, v->n_bytes));
    free(path);
    bool ok = open_in_dir("case.gguf", &g, &e);
    total->n++;
    if (ok) {
        ck_assert_msg(v->expect != GGUF_REFUSED, "[%s] %s: loads", v->family, v->name);
        touch_everything(g);
        gguf_close(&g);
        total->loaded++;
    } else {
        ck_assert_msg(v->expect != GGUF_LOADS, "[%s] %s: %s", v->family, v->name, e.msg);
        ck_assert_ptr_null(g);
        check_message(&e, "case.gguf", v->name);
        total->refused++;
    }
    if (getenv("SEEKD_TEST_VERBOSE"))
        printf("%s | %s | %s\n", v->family, v->name, ok ? "loads" : e.msg);
}

static void keep_as_seed(const struct gguf_variant *v, size_t i)
{
    const char *seeds = getenv("SEEKD_FUZZ_SEEDS");
    char name[32];
    if (!seeds)
        return;
    snprintf(name, sizeof name, "gguf-%05zu", i);
    char *path = testfile_join(seeds, name);
    ck_assert(testfile_write(path, v->bytes, v->n_bytes));
    free(path);
}

static struct totals try_all(const uint8_t *bytes, size_t n_bytes, size_t n_random, size_t step)
{
    struct totals total = {0};
    struct gguf_corrupt *c = gguf_corrupt_create(bytes, n_bytes, n_random);
    ck_assert_ptr_nonnull(c);
    for (size_t i = 0; i < gguf_corrupt_count(c); i += step) {
        struct gguf_variant v;
        gguf_corrupt_make(c, i, &v);
        keep_as_seed(&v, i);
        try_variant(&v, &total);
        free(v.bytes);
    }
    gguf_corrupt_destroy(&c);
    return total;
}

START_TEST(test_corrupted_sample)
{
    put_sample("sample.gguf", 3, 32);
    char *path = testfile_join(dir, "sample.gguf");
    size_t n;
    uint8_t *bytes = testfile_read(path, &n);
    struct totals t = try_all(bytes, n, 3000, 1);
    printf("corrupted sample file: %zu variants, %zu refused, %zu harmless\n", t.n, t.refused,
           t.loaded);
    ck_assert_uint_ge(t.n, 3300);
    ck_assert_uint_ge(t.refused, 1000);
    ck_assert_uint_ge(t.loaded, 300);
    free(bytes);
    free(path);
}
END_TEST

START_TEST(test_corrupted_model)
{
    char *path = testfile_fixture("models/qwen2-tied/qwen2-tied.gguf");
    if (!path)
        return;
    size_t n;
    uint8_t *bytes = testfile_read(path, &n);
    struct totals t = try_all(bytes, n, 200, 13);
    printf("corrupted qwen2-tied: %zu variants, %zu refused, %zu harmless\n", t.n, t.refused,
           t.loaded);
    ck_assert_uint_ge(t.n, 300);
    free(bytes);
    free(path);
}
END_TEST

/* The same index gives the same bytes: another test, another day. */
START_TEST(test_variants_repeat)
{
    put_sample("sample.gguf", 3, 32);
    char *path = testfile_join(dir, "sample.gguf");
    size_t n;
    uint8_t *bytes = testfile_read(path, &n);
    struct gguf_corrupt *a = gguf_corrupt_create(bytes, n, 50);
    struct gguf_corrupt *b = gguf_corrupt_create(bytes, n, 50);
    ck_assert_uint_eq(gguf_corrupt_count(a), gguf_corrupt_count(b));
    size_t same_as_valid = 0;
    for (size_t i = 0; i < gguf_corrupt_count(a); i++) {
        struct gguf_variant x, y;
        gguf_corrupt_make(a, i, &x);
        gguf_corrupt_make(b, gguf_corrupt_count(b) - 1 - i, &y);
        free(y.bytes);
        gguf_corrupt_make(b, i, &y);
        ck_assert(x.n_bytes == y.n_bytes && !memcmp(x.bytes, y.bytes, x.n_bytes));
        ck_assert_str_eq(x.name, y.name);
        same_as_valid += x.n_bytes == n && !memcmp(x.bytes, bytes, n);
        free(x.bytes);
        free(y.bytes);
    }
    ck_assert_uint_le(same_as_valid, 2); /* a random edit may happen to change nothing */
    gguf_corrupt_destroy(&a);
    gguf_corrupt_destroy(&b);
    free(bytes);
    free(path);
}
END_TEST

/* Files that are consistent in themselves, but outside what the format allows. */
START_TEST(test_alignment_bounds)
{
    static const uint32_t alignments[] = {1, 4, 8192, 1 << 16};
    for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++) {
        put_sample("sample.gguf", 3, alignments[i]);
        refused("sample.gguf", ERR_FORMAT, "power of two between 8 and 4096");
    }
}
END_TEST

static void one_tensor_refused(uint32_t type, uint32_t n_dims, const uint64_t *ne, size_t n_bytes,
                               const char *part_of_message)
{
    struct gguf_writer w;
    struct buf b;
    gguf_writer_init(&w);
    buf_init(&b, 1 << 20);
    gguf_write_u32(&w, "a", 1);
    gguf_write_tensor(&w, "t", type, n_dims, ne, NULL, n_bytes);
    gguf_write_finish(&w, &b);
    put_file("one.gguf", &b);
    gguf_writer_release(&w);
    buf_release(&b);
    refused("one.gguf", ERR_FORMAT, part_of_message);
}

START_TEST(test_shape_bounds)
{
    one_tensor_refused(TENSOR_F32, 5, (uint64_t[]){8, 1, 1, 1, 1}, 32, "5 dimensions");
    one_tensor_refused(TENSOR_F32, 0, NULL, 4, "0 dimensions");
    one_tensor_refused(TENSOR_Q8_0, 2, (uint64_t[]){16, 4}, 68, "rows of 16 elements");
    one_tensor_refused(TENSOR_Q4_K, 2, (uint64_t[]){128, 2}, 144, "rows of 128 elements");
    one_tensor_refused(TENSOR_F32, 3, (uint64_t[]){1u << 31, 1u << 31, 4}, 32, "64 bits");
    one_tensor_refused(TENSOR_F32, 2, (uint64_t[]){1u << 31, 1u << 31}, 32, "64 bits");
    one_tensor_refused(TENSOR_F32, 1, (uint64_t[]){9}, 32, "reaches past the end");
}
END_TEST

/* A count is held against the bytes of the file before anything of its size is done. */
START_TEST(test_counts_against_file)
{
    enum { TENSORS_AT = 8, KEYS_AT = 16, FIRST_KEY_LEN_AT = 24 };
    static const struct {
        size_t at;
        uint64_t value;
        const char *message;
    } cases[] = {
        {TENSORS_AT, 100, "counts 100 tensors and 20 metadata entries, too many for"},
        {KEYS_AT, 60000, "counts 4 tensors and 60000 metadata entries, too many for"},
        {FIRST_KEY_LEN_AT, 1 << 20, "metadata entry 1 says it has 1048576 bytes, but the file has"},
    };
    put_sample("good.gguf", 3, 32);
    char *path = testfile_join(dir, "good.gguf"), *bad = testfile_join(dir, "bad.gguf");
    size_t n;
    uint8_t *bytes = testfile_read(path, &n);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t good;
        memcpy(&good, bytes + cases[i].at, sizeof good);
        memcpy(bytes + cases[i].at, &cases[i].value, sizeof good);
        ck_assert(testfile_write(bad, bytes, n));
        refused("bad.gguf", ERR_FORMAT, cases[i].message);
        memcpy(bytes + cases[i].at, &good, sizeof good);
    }
    /* the count of the array "tokens": behind the key, the type and the element type */
    uint8_t *tokens = memmem(bytes, n, "tokens\t\0\0\0\10\0\0\0", 14);
    ck_assert_ptr_nonnull(tokens);
    memcpy(tokens + 14, &(uint64_t){1000}, 8);
    ck_assert(testfile_write(bad, bytes, n));
    refused("bad.gguf", ERR_FORMAT, "\"tokens\" says it has 1000 elements, but the file has");
    free(bytes);
    free(path);
    free(bad);
}
END_TEST

/* Errors whose exact words matter to people. */
START_TEST(test_messages)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n");
    put_file("lfs.gguf", &b);
    refused("lfs.gguf", ERR_FORMAT, "Git LFS pointer");
    buf_clear(&b);
    put_file("empty.gguf", &b);
    refused("empty.gguf", ERR_FORMAT, "the file is empty");
    buf_append(&b, "GGUF\0\0\0\3", 8);
    put_file("big.gguf", &b);
    refused("big.gguf", ERR_UNSUPPORTED, "big-endian");
    buf_release(&b);
    put_sample("cut.gguf", 3, 32);
    char *path = testfile_join(dir, "cut.gguf");
    size_t n;
    uint8_t *bytes = testfile_read(path, &n);
    ck_assert(testfile_write(path, bytes, n - 10));
    refused("cut.gguf", ERR_FORMAT, "tensor \"d.weight\" (64 bytes at offset");
    free(bytes);
    free(path);
}
END_TEST

static TCase *add_case(Suite *s, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("gguf");
    TCase *tc = add_case(s, "well-formed");
    tcase_add_loop_test(tc, test_sample, 0, 4);
    tcase_add_test(tc, test_getters_refuse);
    tcase_add_test(tc, test_no_such_file);
    tc = add_case(s, "golden");
    tcase_add_test(tc, test_golden_models);
    tcase_add_test(tc, test_golden_split);
    tcase_add_test(tc, test_zoo);
    tc = add_case(s, "split");
    tcase_add_test(tc, test_split_any_part);
    tcase_add_test(tc, test_split_missing_part);
    tcase_add_test(tc, test_split_disagreements);
    tcase_add_test(tc, test_split_same_tensor_twice);
    tcase_add_test(tc, test_split_by_name);
    tc = add_case(s, "corrupted");
    tcase_add_test(tc, test_corrupted_sample);
    tcase_add_test(tc, test_corrupted_model);
    tcase_add_test(tc, test_variants_repeat);
    tcase_add_test(tc, test_alignment_bounds);
    tcase_add_test(tc, test_shape_bounds);
    tcase_add_test(tc, test_counts_against_file);
    tcase_add_test(tc, test_messages);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
