/* A thousand requests through one engine: nothing grows, nothing stays behind. Short prompts and
 * long ones, cancels in every phase, stop strings, sampling with penalties; and the bound on
 * resident memory: weights x 1.15 + KV pool + 150 MB. */
#include <config.h>

#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "golden.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

/* The first requests fill what is kept for later (arenas, queues); a thousand after them count. Bytes
 * in use say whether something stays behind; resident bytes also move with the holes that the
 * allocator and the driver's threads happen to leave (5.3 MB were seen while bytes in use grew by
 * 7 KB), so their bound only catches what the allocator does not count.
 * A driver may fill tables of its own late (SwiftShader: one or two blocks of 2.1 MB, once): what stays
 * behind request by request grows in both halves of the thousand. */
enum { WARM = 500, HALF = WARM + 500, REQUESTS = WARM + 1000, PARALLEL = 10 };
enum { HEAP_GROWTH = 64 << 10, RESIDENT_GROWTH = 16 << 20 };

static size_t resident_bytes(void)
{
    unsigned long total, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%lu %lu", &total, &resident), 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Until nothing runs and every page is back. */
static void settle(struct engine *eng, struct engine_stats *st)
{
    for (int i = 0; i < 1000; i++) {
        engine_stats(eng, st);
        if (st->running + st->waiting + st->pages_used == 0)
            return;
        usleep(1000);
    }
}

static struct engine_stream *start(struct engine *eng, const struct golden_prompt *p, int i)
{
    static const char *const stop[] = {"zz", "\n\n"};
    struct engine_stream *s = NULL;
    struct err e = ERR_INIT;
    struct engine_request r = {.tokens = p->ids, .n_tokens = p->n,
                               .max_tokens = (uint32_t)(1 + i % 7),
                               .sampling = ENGINE_SAMPLING_DEFAULT, .ignore_eos = true,
                               .stop = stop, .n_stop = (size_t)(i % 3), .logprobs = i % 2,
                               .n_logprobs = i % 2 ? 5 : 0};
    r.sampling.temperature = i % 4 ? 1.0f : 0.0f;
    r.sampling.repetition_penalty = i % 5 ? 1.0f : 1.2f;
    r.sampling.seed = (uint64_t)i;
    r.sampling.has_seed = true;
    ck_assert_msg(engine_submit(eng, &r, &s, &e), "%s", e.msg);
    return s;
}

static void finish(struct engine_stream **s, int i)
{
    struct engine_event ev;
    if (i % 9 == 0) { /* leave without reading */
        engine_stream_release(s);
        return;
    }
    do {
        if (i % 11 == 0)
            engine_stream_cancel(*s);
        ck_assert(engine_stream_wait(*s, &ev, 120000));
    } while (ev.kind != ENGINE_EVENT_DONE);
    ck_assert_int_ne(ev.finish, ENGINE_FINISH_ERROR);
    engine_stream_release(s);
}

START_TEST(test_thousand_requests)
{
    struct golden g;
    struct err e = ERR_INIT;
    struct engine *eng = NULL;
    size_t before = resident_bytes(), warm = 0, warm_heap = 0, half_heap = 0;
    struct engine_stats st;
    golden_load("v3-q8_0", &g);
    struct engine_options opt = {.model_path = golden_path("v3-q8_0", "v3-q8_0.gguf"),
                                 .device = getenv("SEEKD_TEST_DEVICE"), .step_tokens = 64,
                                 .max_seqs = 8};
    ck_assert_msg(engine_open(&opt, &eng, &e), "%s", e.msg);
    for (uint32_t rows = 1; rows <= 64; rows *= 2) { /* the plan of every shape bucket */
        float *logits = NULL;
        size_t n = 0;
        ck_assert_msg(engine_logits(eng, g.prompts[3].ids, 64, false, rows, &logits, &n, &e), "%s",
                      e.msg);
        free(logits);
    }
    struct engine_stream *s[PARALLEL];
    for (int i = 0; i < REQUESTS; i += PARALLEL) {
        for (int k = 0; k < PARALLEL; k++)
            s[k] = start(eng, &g.prompts[(size_t)(i + k) % 3], i + k);
        for (int k = 0; k < PARALLEL; k++)
            finish(&s[k], i + k);
        if (i == WARM) {
            settle(eng, &st);
            warm = resident_bytes();
            warm_heap = heap_bytes();
        } else if (i == HALF) {
            settle(eng, &st);
            half_heap = heap_bytes();
        }
    }
    settle(eng, &st);
    size_t after = resident_bytes(), after_heap = heap_bytes();
    const struct engine_info *info = engine_info(eng);
    printf("resident: %.1f MB before loading, %.1f MB after %d requests, %.1f MB after %d\n",
           (double)before / 1e6, (double)warm / 1e6, WARM, (double)after / 1e6, REQUESTS);
    printf("heap in use: %zu bytes after %d requests, %zu after %d, %zu after %d\n", warm_heap, WARM,
           half_heap, HALF, after_heap, REQUESTS);
    ck_assert_uint_eq(st.requests, REQUESTS);
    ck_assert_uint_eq(st.pages_used, 0);
#if defined(SANITIZED)
    (void)info; /* shadow memory and quarantine would be counted */
#else
    ck_assert_msg(half_heap <= warm_heap + HEAP_GROWTH || after_heap <= half_heap + HEAP_GROWTH,
                  "the heap grew from %zu to %zu to %zu bytes", warm_heap, half_heap, after_heap);
    ck_assert_msg(after_heap <= warm_heap + RESIDENT_GROWTH, "the heap grew from %zu to %zu bytes",
                  warm_heap, after_heap);
    ck_assert_msg(after <= warm + RESIDENT_GROWTH, "resident memory grew from %zu to %zu bytes",
                  warm, after);
    size_t bound = (size_t)((double)info->weight_bytes * 1.15) + info->kv_bytes + 150000000;
    ck_assert_msg(after <= bound, "resident %zu bytes, bound %zu", after, bound);
#endif
    engine_close(&eng);
    golden_release(&g);
}
END_TEST

int main(void)
{
    struct err e = ERR_INIT;
    FILE *null = fopen("/dev/null", "w");
    bool have = null && engine_device_list(null, false, &e);
    if (null)
        fclose(null);
    if (!have) {
        printf("SKIP: no Vulkan device: %s\n", e.msg);
        return 77;
    }
    Suite *suite = suite_create("soak");
    TCase *tc = tcase_create("soak");
    tcase_add_test(tc, test_thousand_requests);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK); /* a device does not survive fork */
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
