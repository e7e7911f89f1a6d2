# Limits, usage and the audit log over HTTP.
check_PROGRAMS += tests/check_admin_audit tests/check_admin_ledger tests/check_admin_limits \
	tests/check_admin_usage
tests_check_admin_audit_SOURCES = tests/check_admin_audit.c $(admin_browser_sources)
tests_check_admin_audit_LDADD = $(SERVER_TEST_LDADD)
tests_check_admin_ledger_SOURCES = tests/check_admin_ledger.c $(admin_browser_sources)
tests_check_admin_ledger_LDADD = $(SERVER_TEST_LDADD)
tests_check_admin_limits_SOURCES = tests/check_admin_limits.c $(admin_browser_sources)
tests_check_admin_limits_LDADD = $(SERVER_TEST_LDADD)
tests_check_admin_usage_SOURCES = tests/check_admin_usage.c $(admin_browser_sources)
tests_check_admin_usage_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_admin_audit tests/check_admin_ledger tests/check_admin_limits \
	tests/check_admin_usage
