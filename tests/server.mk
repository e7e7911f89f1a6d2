# The scripted engine and the HTTP client serve several test programs.
fake_engine_sources = tests/fake_engine.c tests/fake_engine.h
http_test_sources = \
	tests/http_client.c tests/http_client.h \
	tests/http_server.c tests/http_server.h \
	tests/testfile.c tests/testfile.h \
	$(fake_engine_sources)

# With a database and people of every role.
admin_test_sources = tests/admin_rig.c tests/admin_rig.h $(http_test_sources)

check_PROGRAMS += tests/check_http tests/check_http_bad
tests_check_http_SOURCES = tests/check_http.c $(http_test_sources)
tests_check_http_LDADD = $(SERVER_TEST_LDADD)
tests_check_http_bad_SOURCES = tests/check_http_bad.c $(http_test_sources)
tests_check_http_bad_LDADD = $(SERVER_TEST_LDADD)

check_PROGRAMS += tests/check_api tests/check_config tests/check_gate
tests_check_api_SOURCES = tests/check_api.c $(fake_engine_sources)
tests_check_api_LDADD = $(SERVER_TEST_LDADD)
tests_check_config_SOURCES = tests/check_config.c
tests_check_config_LDADD = $(SERVER_TEST_LDADD)
tests_check_gate_SOURCES = tests/check_gate.c
tests_check_gate_LDADD = $(SERVER_TEST_LDADD)

# The whole program on the scripted engine, for tests/check_seekd.sh.
check_PROGRAMS += tests/seekd_scripted
tests_seekd_scripted_SOURCES = server/main.c $(fake_engine_sources)
tests_seekd_scripted_LDADD = $(SERVER_LIBS)

check_PROGRAMS += tests/fuzz/replay_chat_request tests/fuzz/replay_json_prescan
tests_fuzz_replay_chat_request_SOURCES = \
	tests/fuzz/fuzz_chat_request.c tests/fuzz/replay.c $(fake_engine_sources)
tests_fuzz_replay_chat_request_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests \
	-DREPLAY_CORPUS='"tests/fuzz/corpus/chat_request"'
tests_fuzz_replay_chat_request_LDADD = $(SERVER_TEST_LDADD)
tests_fuzz_replay_json_prescan_SOURCES = tests/fuzz/fuzz_json_prescan.c tests/fuzz/replay.c
tests_fuzz_replay_json_prescan_CPPFLAGS = $(AM_CPPFLAGS) \
	-DREPLAY_CORPUS='"tests/fuzz/corpus/json_prescan"'
tests_fuzz_replay_json_prescan_LDADD = $(SERVER_TEST_LDADD)

if ENABLE_FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_chat_request tests/fuzz/fuzz_json_prescan
tests_fuzz_fuzz_chat_request_SOURCES = tests/fuzz/fuzz_chat_request.c $(fake_engine_sources)
tests_fuzz_fuzz_chat_request_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
tests_fuzz_fuzz_chat_request_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_chat_request_LDADD = $(SERVER_LIBS)
tests_fuzz_fuzz_json_prescan_SOURCES = tests/fuzz/fuzz_json_prescan.c
tests_fuzz_fuzz_json_prescan_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_json_prescan_LDADD = $(SERVER_LIBS)
endif

TESTS += \
	tests/check_api \
	tests/check_config \
	tests/check_gate \
	tests/check_http \
	tests/check_http_bad \
	tests/check_seekd.sh \
	tests/http/run.sh \
	tests/fuzz/replay_chat_request \
	tests/fuzz/replay_json_prescan

EXTRA_DIST += \
	tests/check_seekd.sh \
	tests/http/bad.test.mjs \
	tests/http/heldout.test.mjs \
	tests/http/openai.test.mjs \
	tests/http/package-lock.json \
	tests/http/package.json \
	tests/http/prompts.test.mjs \
	tests/http/run.sh \
	tests/fuzz/corpus/chat_request \
	tests/fuzz/corpus/json_prescan
