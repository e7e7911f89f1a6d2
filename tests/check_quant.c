/* Element types: decoding against the values an independent implementation gives for the same bytes
 * (every type, encoder output and random blocks), 16-bit floats against their definition. */
#include <config.h>

#include "format/quant.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf.h"
#include "testfile.h"

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* ---- the zoo: one or two tensors of every type ----------------------------------------------- */

/* zoo.f32 holds the values of all tensors in the order of the file. */
static struct gguf *open_zoo(float **values, size_t *n_values)
{
    char *path = testfile_source("tests/golden/zoo/zoo.gguf");
    char *values_path = testfile_source("tests/golden/zoo/zoo.f32");
    struct gguf *g;
    struct err e = ERR_INIT;
    size_t n_bytes;
    ck_assert_msg(gguf_open(path, &g, &e), "%s", e.msg);
    *values = (float *)(void *)testfile_read(values_path, &n_bytes);
    ck_assert_ptr_nonnull(*values);
    *n_values = n_bytes / sizeof(float);
    free(path);
    free(values_path);
    return g;
}

START_TEST(test_decodes_exactly)
{
    float *expected;
    size_t n_expected, at = 0, n_tested = 0;
    struct gguf *g = open_zoo(&expected, &n_expected);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const struct quant_type *q = quant_type_get(t->type);
        size_t n = (size_t)t->n_elems;
        ck_assert_uint_le(at + n, n_expected);
        if (q->supported) {
            float *out = mem_alloc(n * sizeof *out);
            q->dequant(t->data, n / q->block_elems, out);
            for (size_t k = 0; k < n; k++)
                ck_assert_msg(bits_of(out[k]) == bits_of(expected[at + k]), "%s [%zu]: %a, not %a",
                              t->name, k, (double)out[k], (double)expected[at + k]);
            free(out);
            n_tested++;
        }
        at += n;
    }
    ck_assert_uint_eq(at, n_expected);
    ck_assert_uint_eq(n_tested, 15); /* nine types, six of them with random blocks as well */
    gguf_close(&g);
    free(expected);
}
END_TEST

/* The writer of the zoo placed its tensors without gaps: block sizes of all types show in that. */
START_TEST(test_block_sizes)
{
    float *expected;
    size_t n_expected;
    struct gguf *g = open_zoo(&expected, &n_expected);
    for (size_t i = 0; i + 1 < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i), *next = gguf_tensor_at(g, i + 1);
        uint64_t distance = (uint64_t)((const uint8_t *)next->data - (const uint8_t *)t->data);
        ck_assert_msg((t->bytes + 31) / 32 * 32 == distance, "%s: %llu bytes", t->name,
                      (unsigned long long)t->bytes);
    }
    gguf_close(&g);
    free(expected);
}
END_TEST

/* Decoding a tensor in one call or block by block, at any byte address, gives the same. */
START_TEST(test_blocks_are_independent)
{
    float *expected;
    size_t n_expected;
    struct gguf *g = open_zoo(&expected, &n_expected);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const struct quant_type *q = quant_type_get(t->type);
        if (!q->supported)
            continue;
        enum { BLOCKS = 5 };
        float together[BLOCKS * 256], alone[256];
        uint8_t shifted[256 + 1];
        q->dequant(t->data, BLOCKS, together);
        for (size_t k = 0; k < BLOCKS; k++) {
            memcpy(shifted + 1, (const uint8_t *)t->data + k * q->block_bytes, q->block_bytes);
            q->dequant(shifted + 1, 1, alone);
            ck_assert(!memcmp(alone, together + k * q->block_elems,
                              q->block_elems * sizeof(float)));
        }
        q->dequant(t->data, 0, alone);
    }
    gguf_close(&g);
    free(expected);
}
END_TEST

/* ---- the table ------------------------------------------------------------------------------- */

START_TEST(test_table)
{
    size_t n_known = 0, n_runs = 0;
    for (uint32_t id = 0; id < TENSOR_TYPE_END + 100; id++) {
        const struct quant_type *q = quant_type_get(id);
        if (!q)
            continue;
        n_known++;
        n_runs += q->supported;
        ck_assert(q->name[0] && q->block_elems && q->block_bytes);
        ck_assert(q->supported == (q->dequant != NULL));
        for (uint32_t other = 0; other < id; other++) {
            const struct quant_type *o = quant_type_get(other);
            ck_assert(!o || strcmp(o->name, q->name) != 0);
        }
    }
    ck_assert_uint_eq(n_known, 41);
    ck_assert_uint_eq(n_runs, 9);
    ck_assert_str_eq(quant_type_get(TENSOR_Q4_K)->name, "Q4_K");
    ck_assert_str_eq(quant_type_get(39)->name, "MXFP4");
    ck_assert_ptr_null(quant_type_get(4));
    ck_assert_ptr_null(quant_type_get(UINT32_MAX));
}
END_TEST

START_TEST(test_bytes)
{
    uint64_t b = 77;
    ck_assert(quant_bytes(TENSOR_F32, 3, &b) && b == 12);
    ck_assert(quant_bytes(TENSOR_Q8_0, 64, &b) && b == 68);
    ck_assert(quant_bytes(TENSOR_Q6_K, 0, &b) && b == 0);
    ck_assert(quant_bytes(TENSOR_Q6_K, 512, &b) && b == 420);
    b = 77;
    ck_assert(!quant_bytes(TENSOR_Q8_0, 33, &b));
    ck_assert(!quant_bytes(TENSOR_Q4_K, 128, &b));
    ck_assert(!quant_bytes(4, 32, &b));
    ck_assert(!quant_bytes(TENSOR_F32, UINT64_MAX / 4 + 1, &b));
    ck_assert(!quant_bytes(TENSOR_Q8_0, UINT64_MAX - 31, &b));
    ck_assert_uint_eq(b, 77);
    ck_assert(quant_bytes(TENSOR_F32, UINT64_MAX / 4, &b) && b == UINT64_MAX - 3);
}
END_TEST

/* ---- 16-bit floats --------------------------------------------------------------------------- */

/* The value of a half by its definition. */
static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

START_TEST(test_every_half)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float f = quant_f16_to_f32((uint16_t)h);
        if ((h & 0x7c00) == 0x7c00) {
            ck_assert(h & 0x3ff ? isnan(f) : isinf(f));
            ck_assert(!signbit(f) == !(h & 0x8000));
            uint16_t back = quant_f32_to_f16(f);
            ck_assert(h & 0x3ff ? (back & 0x7c00) == 0x7c00 && (back & 0x3ff) : back == h);
        } else {
            ck_assert_msg((double)f == half_value((uint16_t)h) && !signbit(f) == !(h & 0x8000),
                          "0x%04x gives %g", h, (double)f);
            ck_assert_uint_eq(quant_f32_to_f16(f), h);
        }
    }
}
END_TEST

/* Between two neighbours: the middle goes to the even one, anything else to the nearer one. */
START_TEST(test_half_rounding)
{
    for (uint32_t h = 0; h < 0x7c00; h++) {
        float low = quant_f16_to_f32((uint16_t)h);
        float high = h + 1 < 0x7c00 ? quant_f16_to_f32((uint16_t)(h + 1)) : 65536.0f;
        float middle = low + (high - low) / 2; /* exact: a half has 13 bits less */
        uint32_t even = h & 1 ? h + 1 : h;
        ck_assert_uint_eq(quant_f32_to_f16(middle), even);
        ck_assert_uint_eq(quant_f32_to_f16(-middle), even | 0x8000);
        ck_assert_uint_eq(quant_f32_to_f16(nextafterf(middle, 0.0f)), h);
        ck_assert_uint_eq(quant_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
    }
    ck_assert_uint_eq(quant_f32_to_f16(1e30f), 0x7c00);
    ck_assert_uint_eq(quant_f32_to_f16(-INFINITY), 0xfc00);
    ck_assert_uint_eq(quant_f32_to_f16(1e-30f), 0);
    ck_assert_uint_eq(quant_f32_to_f16(-1e-40f), 0x8000);
}
END_TEST

START_TEST(test_bfloat16)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float f = quant_bf16_to_f32((uint16_t)h);
        ck_assert_uint_eq(bits_of(f), h << 16);
        uint16_t back = quant_f32_to_bf16(f);
        ck_assert(isnan(f) ? (back & 0x7fff) > 0x7f80 && (back & 0x8000) == (h & 0x8000)
                           : back == h);
        if ((h & 0x7fff) >= 0x7f80)
            continue;
        uint32_t even = h & 1 ? h + 1 : h;
        float middle, above, below;
        memcpy(&middle, &(uint32_t){h << 16 | 0x8000}, 4);
        memcpy(&above, &(uint32_t){h << 16 | 0x8001}, 4);
        memcpy(&below, &(uint32_t){h << 16 | 0x7fff}, 4);
        ck_assert_uint_eq(quant_f32_to_bf16(middle), even);
        ck_assert_uint_eq(quant_f32_to_bf16(above), h + 1);
        ck_assert_uint_eq(quant_f32_to_bf16(below), h);
    }
    float nan_low_bits; /* the payload lies in the half that is dropped */
    memcpy(&nan_low_bits, &(uint32_t){0x7f800001}, 4);
    ck_assert_uint_gt(quant_f32_to_bf16(nan_low_bits), 0x7f80);
    ck_assert_uint_gt(quant_f32_to_f16(nan_low_bits), 0x7c00);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant");
    TCase *tc = tcase_create("zoo");
    tcase_add_test(tc, test_decodes_exactly);
    tcase_add_test(tc, test_block_sizes);
    tcase_add_test(tc, test_blocks_are_independent);
    suite_add_tcase(s, tc);
    tc = tcase_create("table");
    tcase_add_test(tc, test_table);
    tcase_add_test(tc, test_bytes);
    suite_add_tcase(s, tc);
    tc = tcase_create("half floats");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_every_half);
    tcase_add_test(tc, test_half_rounding);
    tcase_add_test(tc, test_bfloat16);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
