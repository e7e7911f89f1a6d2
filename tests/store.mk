# The database. The fault tests run their short form; with SEEKD_TEST_LONG set the full one.
store_test_sources = tests/store_rows.c tests/store_rows.h tests/testfile.c tests/testfile.h

check_PROGRAMS += tests/check_store
tests_check_store_SOURCES = tests/check_store.c $(store_test_sources)
tests_check_store_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_store
