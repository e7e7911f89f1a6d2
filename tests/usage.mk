check_PROGRAMS += tests/check_limits tests/check_usage
tests_check_limits_SOURCES = tests/check_limits.c tests/ledger_rig.c tests/ledger_rig.h
tests_check_limits_LDADD = $(SERVER_TEST_LDADD)
tests_check_usage_SOURCES = tests/check_usage.c tests/ledger_rig.c tests/ledger_rig.h
tests_check_usage_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_limits tests/check_usage

# Rates of the ledger: `make tests/bench/bench_ledger`.
EXTRA_PROGRAMS += tests/bench/bench_ledger
tests_bench_bench_ledger_SOURCES = tests/bench/bench_ledger.c $(admin_test_sources)
tests_bench_bench_ledger_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
tests_bench_bench_ledger_LDADD = $(SERVER_TEST_LDADD)
CLEANFILES += tests/bench/bench_ledger
EXTRA_DIST += tests/bench/results/2026-11-24-ledger.md
