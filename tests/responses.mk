# POST /v1/responses over HTTP.
check_PROGRAMS += tests/check_responses
tests_check_responses_SOURCES = tests/check_responses.c $(admin_test_sources)
tests_check_responses_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_responses
