# The prompt registry over HTTP.
check_PROGRAMS += tests/check_admin_templates
tests_check_admin_templates_SOURCES = tests/check_admin_templates.c $(admin_test_sources)
tests_check_admin_templates_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_admin_templates

# Queries over many versions: `make tests/bench/bench_registry`.
EXTRA_PROGRAMS += tests/bench/bench_registry
tests_bench_bench_registry_SOURCES = tests/bench/bench_registry.c
tests_bench_bench_registry_LDADD = $(SERVER_LIBS)
CLEANFILES += tests/bench/bench_registry
