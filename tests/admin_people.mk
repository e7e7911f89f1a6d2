# People over HTTP: logging in (password, issuer, directory) and administering persons and keys.
admin_browser_sources = tests/admin_browser.c tests/admin_browser.h $(admin_test_sources)

check_PROGRAMS += tests/check_admin_login tests/check_admin_people
tests_check_admin_login_SOURCES = tests/check_admin_login.c tests/issuer.c tests/issuer.h \
	tests/slapd.c tests/slapd.h \
	$(issuer_key_sources) $(admin_browser_sources)
tests_check_admin_login_LDADD = $(SERVER_TEST_LDADD)
tests_check_admin_people_SOURCES = tests/check_admin_people.c $(admin_browser_sources)
tests_check_admin_people_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_admin_login tests/check_admin_people

# S11: memory and other requests under a flood of logins; SEEKD_TEST_LONG bounds their times.
check_PROGRAMS += tests/check_login_flood
tests_check_login_flood_SOURCES = tests/check_login_flood.c $(admin_browser_sources)
tests_check_login_flood_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_login_flood
