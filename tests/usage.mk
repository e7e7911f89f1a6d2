check_PROGRAMS += tests/check_usage
tests_check_usage_SOURCES = tests/check_usage.c tests/ledger_rig.c tests/ledger_rig.h
tests_check_usage_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_usage
