# The frame of administration over HTTP.
check_PROGRAMS += tests/check_access tests/check_admin tests/check_use
tests_check_admin_SOURCES = tests/check_admin.c $(admin_test_sources)
tests_check_admin_LDADD = $(SERVER_TEST_LDADD)
tests_check_use_SOURCES = tests/check_use.c $(admin_test_sources)
tests_check_use_LDADD = $(SERVER_TEST_LDADD)
tests_check_access_SOURCES = tests/check_access.c $(admin_browser_sources)
tests_check_access_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_access tests/check_admin tests/check_use
EXTRA_DIST += tests/access.txt

# SIGKILL under load; SEEKD_TEST_LONG: 200 times.
TESTS += tests/check_kill.sh
EXTRA_DIST += tests/check_kill.py tests/check_kill.sh

# What the runbook says, with seekctl.
TESTS += tests/check_seekctl.sh
EXTRA_DIST += tests/check_seekctl.sh
