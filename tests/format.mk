check_PROGRAMS += tests/check_base tests/check_quant tests/check_gguf tests/fuzz/replay_gguf

tests_check_base_SOURCES = tests/check_base.c
tests_check_base_LDADD = $(ENGINE_TEST_LDADD)

tests_check_quant_SOURCES = tests/check_quant.c tests/testfile.c tests/testfile.h
tests_check_quant_LDADD = $(ENGINE_TEST_LDADD)

tests_check_gguf_SOURCES = tests/check_gguf.c \
	tests/gguf_corrupt.c tests/gguf_corrupt.h \
	tests/gguf_write.c tests/gguf_write.h \
	tests/testfile.c tests/testfile.h
tests_check_gguf_LDADD = $(ENGINE_TEST_LDADD)

tests_fuzz_replay_gguf_SOURCES = tests/fuzz/fuzz_gguf.c tests/fuzz/replay.c
tests_fuzz_replay_gguf_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_CORPUS='"tests/fuzz/corpus/gguf"'
tests_fuzz_replay_gguf_LDADD = $(ENGINE_TEST_LDADD)

TESTS += tests/check_base tests/check_quant tests/check_gguf tests/fuzz/replay_gguf

EXTRA_DIST += \
	tests/fuzz/corpus/gguf \
	tests/golden/zoo/zoo.f32 \
	tests/golden/zoo/zoo.gguf \
	tests/golden/zoo/zoo.json \
	tests/golden/zoo/README.md
