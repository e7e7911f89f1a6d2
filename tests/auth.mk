# People, keys, passwords and sessions on a real database.
auth_rig_sources = tests/auth_rig.c tests/auth_rig.h

check_PROGRAMS += tests/check_people
tests_check_people_SOURCES = tests/check_people.c $(auth_rig_sources)
tests_check_people_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_people
