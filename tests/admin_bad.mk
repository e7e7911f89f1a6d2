# Attacks on administration over HTTP.
admin_attack_sources = tests/admin_attack.c tests/admin_attack.h $(admin_browser_sources)

check_PROGRAMS += tests/check_admin_bad tests/check_admin_faults tests/check_admin_rights
tests_check_admin_bad_SOURCES = tests/check_admin_bad.c $(admin_attack_sources)
tests_check_admin_bad_LDADD = $(SERVER_TEST_LDADD)
tests_check_admin_faults_SOURCES = tests/check_admin_faults.c $(admin_attack_sources)
tests_check_admin_faults_LDADD = $(SERVER_TEST_LDADD)
tests_check_admin_rights_SOURCES = tests/check_admin_rights.c $(admin_attack_sources)
tests_check_admin_rights_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_admin_bad tests/check_admin_faults tests/check_admin_rights
