check_PROGRAMS += tests/check_jinja tests/fuzz/replay_jinja

tests_check_jinja_SOURCES = tests/check_jinja.c tests/testfile.c tests/testfile.h
tests_check_jinja_LDADD = $(SERVER_TEST_LDADD)

tests_fuzz_replay_jinja_SOURCES = tests/fuzz/fuzz_jinja.c tests/fuzz/replay.c
tests_fuzz_replay_jinja_CPPFLAGS = $(AM_CPPFLAGS) \
	-DREPLAY_CORPUS='"tests/fuzz/corpus/jinja"'
tests_fuzz_replay_jinja_LDADD = $(SERVER_TEST_LDADD)

TESTS += tests/check_jinja tests/fuzz/replay_jinja

if ENABLE_FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_jinja
tests_fuzz_fuzz_jinja_SOURCES = tests/fuzz/fuzz_jinja.c
tests_fuzz_fuzz_jinja_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_jinja_LDADD = $(SERVER_LIBS)
endif

EXTRA_DIST += \
	tests/golden/templates/README.md \
	tests/golden/templates/bombs.json \
	tests/golden/templates/language.json \
	tests/golden/templates/make_snippets.py \
	tests/golden/templates/snippets.json \
	tests/golden/templates/snippets.txt \
	tests/fuzz/corpus/jinja/chat \
	tests/fuzz/corpus/jinja/failing \
	tests/fuzz/corpus/jinja/filters \
	tests/fuzz/corpus/jinja/format \
	tests/fuzz/corpus/jinja/loops \
	tests/fuzz/corpus/jinja/macros \
	tests/fuzz/corpus/jinja/methods \
	tests/fuzz/corpus/jinja/numbers \
	tests/fuzz/corpus/jinja/recursion \
	tests/fuzz/corpus/jinja/sets \
	tests/fuzz/corpus/jinja/variables \
	tests/fuzz/corpus/jinja/white-space
