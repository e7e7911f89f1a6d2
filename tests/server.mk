# The scripted engine and the HTTP client serve several test programs.
fake_engine_sources = tests/fake_engine.c tests/fake_engine.h
http_test_sources = \
	tests/http_client.c tests/http_client.h \
	tests/http_server.c tests/http_server.h \
	$(fake_engine_sources)

check_PROGRAMS += tests/check_http tests/check_http_bad
tests_check_http_SOURCES = tests/check_http.c $(http_test_sources)
tests_check_http_LDADD = $(SERVER_TEST_LDADD)
tests_check_http_bad_SOURCES = tests/check_http_bad.c $(http_test_sources)
tests_check_http_bad_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_http tests/check_http_bad
