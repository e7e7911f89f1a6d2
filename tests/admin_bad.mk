# Attacks on administration over HTTP.
check_PROGRAMS += tests/check_admin_bad
tests_check_admin_bad_SOURCES = tests/check_admin_bad.c $(admin_browser_sources)
tests_check_admin_bad_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_admin_bad
