/* Page pool: ownership, exhaustion, and a random walk against a simple model. */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kv/pages.h"

enum { PAGES = 10, SEQS = 4, STRIDE = 8 };
static uint32_t table[SEQS * STRIDE];

START_TEST(test_counts)
{
    ck_assert_uint_eq(pages_for(0), 0);
    ck_assert_uint_eq(pages_for(1), 1);
    ck_assert_uint_eq(pages_for(64), 1);
    ck_assert_uint_eq(pages_for(65), 2);
    ck_assert_uint_eq(pages_for(UINT32_MAX), 1u << 26);
}
END_TEST

START_TEST(test_exhaustion)
{
    struct pages *p = pages_create(PAGES, SEQS, STRIDE, table);
    int32_t a = pages_open_seq(p), b = pages_open_seq(p);
    ck_assert(a != b && a >= 0 && b >= 0);
    ck_assert(pages_reserve(p, a, 64 * 7));
    ck_assert_uint_eq(pages_free(p), 3);
    ck_assert_uint_eq(pages_reservable(p, b), 3 * 64);
    ck_assert_uint_eq(pages_reservable(p, a), STRIDE * 64);
    ck_assert(!pages_reserve(p, b, 64 * 3 + 1));
    ck_assert_uint_eq(pages_free(p), 3);
    ck_assert(pages_reserve(p, b, 64 * 3));
    ck_assert_uint_eq(pages_free(p), 0);
    ck_assert(pages_reserve(p, b, 1));
    pages_close_seq(p, a);
    ck_assert_uint_eq(pages_free(p), 7);
    int32_t c = pages_open_seq(p), d = pages_open_seq(p), e = pages_open_seq(p);
    ck_assert(c >= 0 && d >= 0 && e >= 0);
    ck_assert_int_eq(pages_open_seq(p), -1);
    pages_destroy(&p);
    ck_assert_ptr_null(p);
    pages_destroy(&p);
}
END_TEST

/* No page may ever stand in two rows; counts add up. */
START_TEST(test_random_walk)
{
    srand(7);
    struct pages *p = pages_create(PAGES, SEQS, STRIDE, table);
    uint32_t tokens[SEQS] = {0};
    bool open[SEQS] = {false};
    for (int step = 0; step < 20000; step++) {
        int what = rand() % 3, s = rand() % SEQS;
        if (what == 0) {
            int32_t got = pages_open_seq(p);
            if (got >= 0) {
                ck_assert(!open[got]);
                open[got] = true;
                tokens[got] = 0;
            }
        } else if (what == 1 && open[s]) {
            uint32_t want = (uint32_t)(rand() % (STRIDE * 64)) + 1;
            bool fits = want <= pages_reservable(p, s);
            ck_assert(pages_reserve(p, s, want) == fits);
            if (fits && want > tokens[s])
                tokens[s] = want;
        } else if (what == 2 && open[s]) {
            pages_close_seq(p, s);
            open[s] = false;
            tokens[s] = 0;
        }
        bool used[PAGES] = {false};
        uint32_t n_used = 0;
        for (int i = 0; i < SEQS; i++) {
            for (uint32_t k = 0; open[i] && k < pages_for(tokens[i]); k++) {
                uint32_t page = table[i * STRIDE + (int)k];
                ck_assert_uint_lt(page, PAGES);
                ck_assert(!used[page]);
                used[page] = true;
                n_used++;
            }
        }
        ck_assert_uint_eq(n_used + pages_free(p), PAGES);
    }
    pages_destroy(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pages");
    TCase *tc = tcase_create("pages");
    tcase_add_test(tc, test_counts);
    tcase_add_test(tc, test_exhaustion);
    tcase_add_test(tc, test_random_walk);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
