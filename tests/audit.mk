check_PROGRAMS += tests/check_audit
tests_check_audit_SOURCES = tests/check_audit.c tests/ledger_rig.c tests/ledger_rig.h
tests_check_audit_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_audit
