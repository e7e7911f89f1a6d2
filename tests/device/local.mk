# Kernels: check_ops runs every op and variant against tests/ref, once per Vulkan driver by itself.
# tests/bench/bench_ops uses rig.c too; tests/local.mk declares it.
check_PROGRAMS += tests/check_ops
tests_check_ops_SOURCES = tests/device/check_ops.c tests/device/rig.c tests/device/rig.h \
	tests/device/each_driver.c tests/device/each_driver.h tests/ref/ref.h tests/ref/gemm_ref.c \
	tests/ref/norm_ref.c tests/ref/attn_ref.c tests/ref/moe_ref.c tests/ref/sample_ref.c
tests_check_ops_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests -I$(srcdir)/tests/device
tests_check_ops_LDADD = $(ENGINE_TEST_LDADD)
TESTS += tests/check_ops
