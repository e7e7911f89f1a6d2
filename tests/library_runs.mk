# The test sets of the shipped templates on the demo model.
TESTS += tests/check_library_runs.sh
EXTRA_DIST += tests/check_library_runs.py tests/check_library_runs.sh

# The ten definitions of a good registry, over HTTP.
check_PROGRAMS += tests/check_registry_ten
tests_check_registry_ten_SOURCES = tests/check_registry_ten.c $(admin_test_sources)
tests_check_registry_ten_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_registry_ten
