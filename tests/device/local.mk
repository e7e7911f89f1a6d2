# Kernels: check_ops runs every op and variant against tests/ref, once per Vulkan driver by itself.
# bench_ops is built on request (make tests/bench/bench_ops) and run by hand.
check_PROGRAMS += tests/check_ops
tests_check_ops_SOURCES = tests/device/check_ops.c tests/device/rig.c tests/device/rig.h \
	tests/device/each_driver.c tests/device/each_driver.h tests/ref/ref.h tests/ref/gemm_ref.c \
	tests/ref/norm_ref.c tests/ref/attn_ref.c tests/ref/moe_ref.c tests/ref/sample_ref.c
tests_check_ops_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests -I$(srcdir)/tests/device
tests_check_ops_LDADD = $(ENGINE_TEST_LDADD)
TESTS += tests/check_ops

EXTRA_PROGRAMS += tests/bench/bench_ops
tests_bench_bench_ops_SOURCES = tests/bench/bench_ops.c tests/device/rig.c tests/device/rig.h
tests_bench_bench_ops_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests -I$(srcdir)/tests/device
tests_bench_bench_ops_LDADD = $(ENGINE_TEST_LDADD)

EXTRA_DIST += shaders/README.md shaders/include/abi.h shaders/include/base.glsl \
	shaders/include/decode.glsl shaders/include/reduce.glsl shaders/gemm/gemm.comp \
	shaders/embed/embed.comp shaders/norm/rmsnorm.comp shaders/rope/mla_prep.comp \
	shaders/attn/mla_attn.comp shaders/moe/route.comp shaders/moe/plan.comp \
	shaders/moe/combine.comp shaders/copy/gather.comp shaders/sample/edit.comp \
	shaders/sample/candidates.comp
