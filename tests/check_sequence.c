/* Sequences and streams without a device: stop strings over token borders, whole characters, end
 * marks, limits of requests, and the hand-over of events between two threads. */
#include <config.h>

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "format/gguf.h"
#include "golden.h"
#include "sched/sequence.h"
#include "sched/stream.h"

static struct tokenizer *tok;
static atomic_int wakes, notifies;

static void count_wake(void *user)
{
    (void)user;
    atomic_fetch_add(&wakes, 1);
}

static void count_notify(void *user)
{
    (void)user;
    atomic_fetch_add(&notifies, 1);
}

static void setup(void)
{
    struct gguf *g = NULL;
    struct err e = ERR_INIT;
    if (!gguf_open(golden_path("v3", "v3.gguf"), &g, &e) || !tokenizer_create(g, &tok, &e))
        ck_abort_msg("%s", e.msg);
    gguf_close(&g);
    wakes = notifies = 0;
}

static void teardown(void)
{
    tokenizer_destroy(&tok);
}

static const struct engine_request base = {
    .tokens = (const int32_t[]){0, 5}, .n_tokens = 2, .sampling = ENGINE_SAMPLING_DEFAULT};

static bool try_create(const struct engine_request *r, struct sequence **seq,
                       struct engine_stream **stream, struct err *e)
{
    *stream = stream_create(count_notify, NULL, count_wake, NULL);
    if (sequence_create(r, tok, 512, 100, *stream, seq, e))
        return true;
    stream_unref(*stream);
    stream_unref(*stream);
    return false;
}

/* Feeds the bytes of `text` token by token (single-byte tokens) and returns all text that came out;
 * *finish is the reason, COUNT when the sequence still runs. */
static char *feed(struct sequence *seq, struct engine_stream *stream, const char *text,
                  enum engine_finish *finish)
{
    static const struct dev_candidates c = {.n = 1, .sum_exp = 1, .sum_exp_1 = 1};
    struct buf out;
    struct engine_event ev;
    buf_init(&out, 1 << 20);
    *finish = ENGINE_FINISH_COUNT;
    int32_t *ids;
    size_t n;
    struct err e = ERR_INIT;
    ck_assert(tokenizer_encode(tok, text, strlen(text), 0, 10000, &ids, &n, &e));
    for (size_t i = 0; i < n; i++)
        if (!sequence_accept(seq, ids[i], &c, 0.0f))
            break;
    free(ids);
    while (engine_stream_next(stream, &ev)) {
        ck_assert_msg(ev.text_len == 0 || ev.text[ev.text_len] == '\0', "text is terminated");
        buf_append(&out, ev.text, ev.text_len);
        if (ev.kind == ENGINE_EVENT_DONE)
            *finish = ev.finish;
    }
    return buf_take(&out);
}

START_TEST(test_stop_strings)
{
    static const char *const stops[] = {"STOP", "\n\n"};
    static const struct {
        const char *in, *out;
        enum engine_finish finish;
    } cases[] = {
        {"hello STOP world", "hello ", ENGINE_FINISH_STOP},
        {"hello STO world", "hello STO world", ENGINE_FINISH_COUNT},
        {"a\n\nb", "a", ENGINE_FINISH_STOP},
        {"a\nb", "a\nb", ENGINE_FINISH_COUNT},
        {"SSTSTOSTOP", "SSTSTO", ENGINE_FINISH_STOP},
        {"\xe4\xbd\xa0\xe5\xa5\xbdSTOP", "\xe4\xbd\xa0\xe5\xa5\xbd", ENGINE_FINISH_STOP},
        {"ends with STO", "ends with ", ENGINE_FINISH_COUNT}, /* held back until the end */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct engine_request r = base;
        struct sequence *seq;
        struct engine_stream *stream;
        enum engine_finish finish;
        struct err e = ERR_INIT;
        r.stop = stops;
        r.n_stop = 2;
        ck_assert_msg(try_create(&r, &seq, &stream, &e), "%s", e.msg);
        char *out = feed(seq, stream, cases[i].in, &finish);
        ck_assert_str_eq(out, cases[i].out);
        ck_assert_int_eq(finish, cases[i].finish);
        free(out);
        if (finish == ENGINE_FINISH_COUNT) {
            struct engine_event ev;
            sequence_finish(seq, ENGINE_FINISH_CANCELLED, NULL);
            ck_assert(engine_stream_next(stream, &ev));
            if (i == 6)
                ck_assert_str_eq(ev.text, "STO");
        }
        sequence_destroy(&seq);
        engine_stream_release(&stream);
    }
}
END_TEST

START_TEST(test_ends_and_lengths)
{
    struct engine_request r = base;
    struct sequence *seq;
    struct engine_stream *stream;
    struct engine_event ev;
    struct err e = ERR_INIT;
    static const struct dev_candidates c = {.n = 2, .max_logit = 1.0f, .sum_exp = 1.5f,
                                            .sum_exp_1 = 1.5f, .best = {{7, 1.0f}, {8, 0.3f}}};
    /* the model's own end token */
    ck_assert(try_create(&r, &seq, &stream, &e));
    ck_assert_uint_eq(seq->weight, 1000);
    ck_assert(!sequence_accept(seq, tokenizer_eos(tok), &c, 1.0f));
    ck_assert(engine_stream_next(stream, &ev) && ev.kind == ENGINE_EVENT_DONE);
    ck_assert_int_eq(ev.finish, ENGINE_FINISH_STOP);
    ck_assert_uint_eq(ev.usage.prompt_tokens, 2);
    ck_assert_uint_eq(ev.usage.completion_tokens, 1);
    ck_assert(!engine_stream_next(stream, &ev));
    sequence_destroy(&seq);
    engine_stream_release(&stream);
    /* ignored; a stop token; log-probabilities; max_tokens */
    int32_t stop_token = 9;
    r.ignore_eos = true;
    r.stop_tokens = &stop_token;
    r.n_stop_tokens = 1;
    r.max_tokens = 3;
    r.logprobs = true;
    r.n_logprobs = 2;
    r.weight = 250;
    ck_assert(try_create(&r, &seq, &stream, &e));
    ck_assert_uint_eq(seq->weight, 250);
    ck_assert(sequence_accept(seq, tokenizer_eos(tok), &c, 1.0f));
    ck_assert(engine_stream_next(stream, &ev) && ev.kind == ENGINE_EVENT_TOKEN);
    ck_assert_uint_eq(ev.text_len, 0);
    ck_assert_uint_eq(ev.n_top, 2);
    ck_assert(fabsf(ev.logprob + logf(1.5f)) < 1e-6f && ev.top[1].token == 8);
    ck_assert(sequence_accept(seq, 100, &c, 0.0f));
    ck_assert(!sequence_accept(seq, 101, &c, 0.0f));
    ck_assert(engine_stream_next(stream, &ev) && engine_stream_next(stream, &ev));
    ck_assert(engine_stream_next(stream, &ev) && ev.finish == ENGINE_FINISH_LENGTH);
    sequence_destroy(&seq);
    engine_stream_release(&stream);
    ck_assert(try_create(&r, &seq, &stream, &e));
    ck_assert(!sequence_accept(seq, 9, &c, 0.0f));
    ck_assert(engine_stream_next(stream, &ev) && ev.finish == ENGINE_FINISH_STOP);
    sequence_destroy(&seq);
    engine_stream_release(&stream);
}
END_TEST

START_TEST(test_bad_requests)
{
    static const int32_t negative[] = {-1}, beyond[] = {512}, many[200] = {0};
    static const struct engine_bias bad_token = {600, 1.0f}, bad_bias = {1, 101.0f};
    static const char *const empty_stop[] = {""};
    struct engine_request r[24];
    size_t n = 0;
    for (size_t i = 0; i < 24; i++)
        r[i] = base;
    r[n++].n_tokens = 0;
    r[n].tokens = negative, r[n++].n_tokens = 1;
    r[n].tokens = beyond, r[n++].n_tokens = 1;
    r[n].tokens = many, r[n++].n_tokens = 100;
    r[n++].sampling.temperature = -0.1f;
    r[n++].sampling.temperature = 2.1f;
    r[n++].sampling.temperature = NAN;
    r[n++].sampling.top_p = 0.0f;
    r[n++].sampling.top_p = 1.1f;
    r[n++].sampling.top_p = NAN;
    r[n++].sampling.min_p = 1.0f;
    r[n++].sampling.min_p = -1.0f;
    r[n++].sampling.repetition_penalty = 0.0f;
    r[n++].sampling.repetition_penalty = INFINITY;
    r[n++].sampling.presence_penalty = 3.0f;
    r[n++].sampling.frequency_penalty = -3.0f;
    r[n].sampling.bias = &bad_token, r[n++].sampling.n_bias = 1;
    r[n].sampling.bias = &bad_bias, r[n++].sampling.n_bias = 1;
    r[n++].sampling.n_bias = ENGINE_MAX_BIAS + 1;
    r[n].stop = empty_stop, r[n++].n_stop = 1;
    r[n++].n_stop = ENGINE_MAX_STOP + 1;
    r[n++].n_stop_tokens = ENGINE_MAX_STOP_TOKENS + 1;
    r[n++].n_logprobs = 21;
    r[n++].weight = 1001;
    for (size_t i = 0; i < n; i++) {
        struct sequence *seq;
        struct engine_stream *stream;
        struct err e = ERR_INIT;
        ck_assert_msg(!try_create(&r[i], &seq, &stream, &e), "request %zu was accepted", i);
        ck_assert_msg((e.code == ERR_ARG || e.code == ERR_LIMIT) && e.msg[0], "request %zu", i);
    }
}
END_TEST

struct writer {
    struct engine_stream *s;
    int n;
};

static void *write_events(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < w->n; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d,", i);
        struct engine_event ev = {.token = i, .text = text, .text_len = strlen(text)};
        while (stream_is_full(w->s))
            usleep(100);
        stream_push_token(w->s, &ev);
    }
    struct engine_event done = {.finish = ENGINE_FINISH_STOP, .text = "end", .text_len = 3};
    stream_push_done(w->s, &done);
    stream_unref(w->s);
    return NULL;
}

START_TEST(test_threads)
{
    struct writer w = {stream_create(count_notify, NULL, count_wake, NULL), 20000};
    pthread_t thread;
    struct engine_event ev;
    pthread_create(&thread, NULL, write_events, &w);
    for (int i = 0; i < w.n; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d,", i);
        if (i == 5000)
            usleep(50000); /* let the queue fill */
        ck_assert(engine_stream_wait(w.s, &ev, 10000));
        ck_assert_int_eq(ev.token, i);
        ck_assert_str_eq(ev.text, text);
    }
    ck_assert(engine_stream_wait(w.s, &ev, 10000));
    ck_assert(ev.kind == ENGINE_EVENT_DONE);
    ck_assert_str_eq(ev.text, "end");
    ck_assert(!engine_stream_wait(w.s, &ev, 0));
    pthread_join(thread, NULL);
    ck_assert_int_gt(notifies, 0);
    int before = wakes;
    engine_stream_cancel(w.s); /* after the end: the engine is not woken any more */
    ck_assert_int_eq(wakes, before);
    engine_stream_release(&w.s);
    ck_assert_ptr_null(w.s);
}
END_TEST

START_TEST(test_wait_and_cancel)
{
    struct engine_stream *s = stream_create(NULL, NULL, count_wake, NULL);
    struct engine_event ev;
    ck_assert(!engine_stream_wait(s, &ev, 10));
    engine_stream_cancel(s);
    engine_stream_cancel(s);
    ck_assert_int_eq(wakes, 1);
    ck_assert(stream_is_cancelled(s));
    stream_unref(s);
    engine_stream_release(&s);
    engine_stream_release(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sequence");
    TCase *tc = tcase_create("sequence");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_stop_strings);
    tcase_add_test(tc, test_ends_and_lengths);
    tcase_add_test(tc, test_bad_requests);
    tcase_add_test(tc, test_threads);
    tcase_add_test(tc, test_wait_and_cancel);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
