# model, kv, sample, sched, engine
check_PROGRAMS += \
    tests/check_pages \
    tests/check_sampler \
    tests/check_sequence \
    tests/check_model \
    tests/check_golden \
    tests/check_soak

GOLDEN_READER = tests/golden.c tests/golden.h

tests_check_pages_SOURCES = tests/check_pages.c
tests_check_pages_LDADD = $(ENGINE_TEST_LDADD)
tests_check_sampler_SOURCES = tests/check_sampler.c
tests_check_sampler_LDADD = $(ENGINE_TEST_LDADD)
tests_check_sequence_SOURCES = tests/check_sequence.c $(GOLDEN_READER)
tests_check_sequence_LDADD = $(ENGINE_TEST_LDADD)
tests_check_model_SOURCES = tests/check_model.c tests/gguf_corrupt.c tests/gguf_corrupt.h \
    $(GOLDEN_READER)
tests_check_model_LDADD = $(ENGINE_TEST_LDADD)
tests_check_golden_SOURCES = tests/check_golden.c $(GOLDEN_READER)
tests_check_golden_LDADD = $(ENGINE_TEST_LDADD)
tests_check_soak_SOURCES = tests/check_soak.c $(GOLDEN_READER)
tests_check_soak_LDADD = $(ENGINE_TEST_LDADD)

TESTS += \
    tests/check_pages \
    tests/check_sampler \
    tests/check_sequence \
    tests/check_model \
    tests/check_golden \
    tests/check_soak

DEVICE_TESTS += \
    tests/check_model \
    tests/check_golden \
    tests/check_soak

EXTRA_DIST += \
    tests/golden/models/v2/expected.json \
    tests/golden/models/v2/logits.f32 \
    tests/golden/models/v2/trace.f32 \
    tests/golden/models/v2/v2.gguf \
    tests/golden/models/v2-lite/expected.json \
    tests/golden/models/v2-lite/logits.f32 \
    tests/golden/models/v2-lite/trace.f32 \
    tests/golden/models/v2-lite/v2-lite.gguf \
    tests/golden/models/v2-lite/v2-lite-legacy.gguf \
    tests/golden/models/v3/expected.json \
    tests/golden/models/v3/logits.f32 \
    tests/golden/models/v3/trace.f32 \
    tests/golden/models/v3/v3.gguf \
    tests/golden/models/v3-q4_k_m/expected.json \
    tests/golden/models/v3-q4_k_m/logits.f32 \
    tests/golden/models/v3-q4_k_m/v3-q4_k_m.gguf \
    tests/golden/models/v3-q8_0/expected.json \
    tests/golden/models/v3-q8_0/logits.f32 \
    tests/golden/models/v3-q8_0/v3-q8_0.gguf
