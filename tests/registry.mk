check_PROGRAMS += tests/check_promptfile tests/check_registry tests/check_variables
tests_check_promptfile_SOURCES = tests/check_promptfile.c
tests_check_promptfile_LDADD = $(SERVER_TEST_LDADD)
tests_check_registry_SOURCES = tests/check_registry.c tests/testfile.c tests/testfile.h
tests_check_registry_LDADD = $(SERVER_TEST_LDADD)
tests_check_variables_SOURCES = tests/check_variables.c
tests_check_variables_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_promptfile tests/check_registry tests/check_variables
