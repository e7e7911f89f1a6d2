# The list of endpoints.
check_PROGRAMS += tests/check_openapi
tests_check_openapi_SOURCES = tests/check_openapi.c
tests_check_openapi_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_openapi
