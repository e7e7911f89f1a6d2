check_PROGRAMS += tests/check_admission
tests_check_admission_SOURCES = tests/check_admission.c tests/fault/vfs.c tests/fault/vfs.h \
	$(admin_test_sources)
tests_check_admission_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
tests_check_admission_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_admission

# What admission costs: `make tests/bench/bench_admission`.
EXTRA_PROGRAMS += tests/bench/bench_admission
tests_bench_bench_admission_SOURCES = tests/bench/bench_admission.c
tests_bench_bench_admission_CPPFLAGS = $(AM_CPPFLAGS) -DSOURCE_ROOT='"$(abs_top_srcdir)"'
tests_bench_bench_admission_LDADD = $(SERVER_LIBS)
CLEANFILES += tests/bench/bench_admission
EXTRA_DIST += tests/bench/results/2026-11-24-admission.md
