# The shipped templates: a strict reader of its own, and the registry that serves them.
check_PROGRAMS += tests/check_library
tests_check_library_SOURCES = tests/check_library.c tests/testfile.c tests/testfile.h
tests_check_library_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_library tests/check_prompts.sh
EXTRA_DIST += tests/check_prompts.py tests/check_prompts.sh
