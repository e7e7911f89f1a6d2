# People, keys, passwords and sessions on a real database. SEEKD_TEST_LONG: more samples of the times.
auth_rig_sources = tests/auth_rig.c tests/auth_rig.h

check_PROGRAMS += tests/check_people tests/check_keys tests/check_password tests/check_session
tests_check_people_SOURCES = tests/check_people.c $(auth_rig_sources)
tests_check_people_LDADD = $(SERVER_TEST_LDADD)
tests_check_keys_SOURCES = tests/check_keys.c $(auth_rig_sources)
tests_check_keys_LDADD = $(SERVER_TEST_LDADD)
tests_check_password_SOURCES = tests/check_password.c $(auth_rig_sources)
tests_check_password_LDADD = $(SERVER_TEST_LDADD)
tests_check_session_SOURCES = tests/check_session.c $(auth_rig_sources)
tests_check_session_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_people tests/check_keys tests/check_password tests/check_session
