/* The gate between a connection and its wakers, with microhttpd's two calls played by this program:
 * it watches that they come in the only order that microhttpd defines, and that no wake is lost. */
#include <config.h>

#include <check.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "http/gate.h"

static atomic_bool suspended;
static atomic_int suspends, resumes, wrong;

void MHD_suspend_connection(struct MHD_Connection *connection)
{
    (void)connection;
    atomic_fetch_add(&suspends, 1);
    if (atomic_exchange(&suspended, true))
        atomic_fetch_add(&wrong, 1);
}

void MHD_resume_connection(struct MHD_Connection *connection)
{
    (void)connection;
    atomic_fetch_add(&resumes, 1);
    if (!atomic_exchange(&suspended, false))
        atomic_fetch_add(&wrong, 1);
}

static struct gate gate;

static void set_up(void)
{
    suspended = false;
    suspends = resumes = wrong = 0;
    gate_init(&gate, NULL);
}

static void tear_down(void)
{
    gate_release(&gate);
    ck_assert_int_eq(wrong, 0);
}

static void expect(int n_suspends, int n_resumes, bool is_suspended)
{
    ck_assert_int_eq(suspends, n_suspends);
    ck_assert_int_eq(resumes, n_resumes);
    ck_assert_int_eq(suspended, is_suspended);
}

START_TEST(wait_then_wake)
{
    ck_assert(gate_wait(&gate));
    expect(1, 0, true);
    gate_wake(&gate);
    expect(1, 1, false);
    ck_assert(gate_wait(&gate));
    expect(2, 1, true);
}
END_TEST

START_TEST(wake_while_running_is_kept)
{
    gate_wake(&gate);
    gate_wake(&gate);
    expect(0, 0, false);
    ck_assert(!gate_wait(&gate));
    ck_assert(gate_wait(&gate));
    expect(1, 0, true);
}
END_TEST

START_TEST(two_wakes_resume_once)
{
    ck_assert(gate_wait(&gate));
    gate_wake(&gate);
    gate_wake(&gate);
    expect(1, 1, false);
    ck_assert(!gate_wait(&gate));
}
END_TEST

START_TEST(held_stays_suspended)
{
    gate_hold(&gate);
    gate_wake(&gate);
    gate_open(&gate);
    expect(1, 0, true);
    gate_let_go(&gate);
    expect(1, 1, false);
    ck_assert(!gate_wait(&gate));
    expect(1, 1, false);
}
END_TEST

START_TEST(open_lets_nobody_sleep)
{
    ck_assert(gate_wait(&gate));
    gate_open(&gate);
    expect(1, 1, false);
    for (int i = 0; i < 3; i++)
        ck_assert(!gate_wait(&gate));
    expect(1, 1, false);
}
END_TEST

/* ---- many wakes from another thread ----------------------------------------------------------- */

enum { N_ITEMS = 200000 };

static atomic_int produced;

static void *produce(void *user)
{
    (void)user;
    for (int i = 0; i < N_ITEMS; i++) {
        atomic_fetch_add(&produced, 1);
        gate_wake(&gate);
    }
    return NULL;
}

/* The connection's thread: takes what is there, suspends when there is nothing, goes on when it
 * was resumed. A lost wake leaves it suspended with items unread. */
START_TEST(no_wake_is_lost)
{
    pthread_t thread;
    int taken = 0, patience = 0;
    atomic_store(&produced, 0);
    ck_assert(!pthread_create(&thread, NULL, produce, NULL));
    while (taken < N_ITEMS) {
        int now = atomic_load(&produced);
        bool any = now > taken;
        taken = now;
        if (any || !gate_wait(&gate))
            continue;
        for (patience = 0; atomic_load(&suspended) && patience < 5000; patience++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        ck_assert_msg(patience < 5000, "suspended with %d of %d items taken", taken, N_ITEMS);
    }
    pthread_join(thread, NULL);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("gate");
    TCase *t = tcase_create("gate");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, wait_then_wake);
    tcase_add_test(t, wake_while_running_is_kept);
    tcase_add_test(t, two_wakes_resume_once);
    tcase_add_test(t, held_stays_suspended);
    tcase_add_test(t, open_lets_nobody_sleep);
    tcase_add_test(t, no_wake_is_lost);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(make_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
