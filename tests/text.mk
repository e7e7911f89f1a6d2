check_PROGRAMS += tests/check_tokenizer tests/check_detok tests/fuzz/replay_tokenizer

TEXT_SUPPORT = \
	tests/gguf_write.c tests/gguf_write.h \
	tests/testfile.c tests/testfile.h \
	tests/text_support.c tests/text_support.h

tests_check_tokenizer_SOURCES = tests/check_tokenizer.c $(TEXT_SUPPORT)
tests_check_tokenizer_LDADD = $(ENGINE_TEST_LDADD) $(JANSSON_LIBS)

tests_check_detok_SOURCES = tests/check_detok.c $(TEXT_SUPPORT)
tests_check_detok_LDADD = $(ENGINE_TEST_LDADD)

tests_fuzz_replay_tokenizer_SOURCES = tests/fuzz/fuzz_tokenizer.c tests/fuzz/replay.c $(TEXT_SUPPORT)
tests_fuzz_replay_tokenizer_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests \
	-DREPLAY_CORPUS='"tests/fuzz/corpus/tokenizer"'
tests_fuzz_replay_tokenizer_LDADD = $(ENGINE_TEST_LDADD)

TESTS += tests/check_tokenizer tests/check_detok tests/fuzz/replay_tokenizer

if ENABLE_FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_tokenizer
tests_fuzz_fuzz_tokenizer_SOURCES = tests/fuzz/fuzz_tokenizer.c $(TEXT_SUPPORT)
tests_fuzz_fuzz_tokenizer_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
tests_fuzz_fuzz_tokenizer_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_tokenizer_LDADD = $(ENGINE_LIBS)
endif

EXTRA_DIST += \
	tests/fuzz/corpus/tokenizer/bytes-invalid \
	tests/fuzz/corpus/tokenizer/file-qwen2 \
	tests/fuzz/corpus/tokenizer/text-chat \
	tests/fuzz/corpus/tokenizer/text-code \
	tests/fuzz/corpus/tokenizer/text-llama \
	tests/fuzz/corpus/tokenizer/text-llm \
	tests/fuzz/corpus/tokenizer/text-qwen \
	tests/golden/tokenizers/README.md \
	tests/golden/tokenizers/cases-tiny-llama3.json \
	tests/golden/tokenizers/cases-tiny-qwen2.json \
	tests/golden/tokenizers/cases-tiny-v3.json \
	tests/golden/tokenizers/pieces-deepseek-v3.json \
	tests/golden/tokenizers/pieces-llama-bpe.json \
	tests/golden/tokenizers/pieces-qwen2.json \
	tests/golden/tokenizers/tiny-llama3.gguf \
	tests/golden/tokenizers/tiny-qwen2.gguf \
	tests/golden/tokenizers/vocab_only.py
