# All tests: the C programs of each part in their own fragment, and the shell tests that look at the
# tree and at the finished programs.
include tests/format.mk
include tests/text.mk
include tests/engine.mk
include tests/device.mk
include tests/device/local.mk
include tests/template.mk
include tests/server.mk
include tests/admin.mk
include tests/responses.mk
include tests/ctl_admin.mk
include tests/admin_bad.mk
include tests/admin_people.mk
include tests/admin_templates.mk
include tests/admin_usage.mk
include tests/admission.mk
include tests/store.mk
include tests/audit.mk
include tests/auth.mk
include tests/identity.mk
include tests/usage.mk
include tests/registry.mk
include tests/prompts.mk
include tests/library_runs.mk

TESTS += \
	tests/check_banned.sh \
	tests/check_ctl.sh \
	tests/check_dist.sh \
	tests/check_includes.sh \
	tests/check_style.sh

EXTRA_DIST += \
	tests/check_banned.sh \
	tests/check_ctl.sh \
	tests/check_dist.sh \
	tests/check_includes.sh \
	tests/check_style.sh \
	tests/lsan.supp \
	tests/tsan.supp \
	tests/bench/make_mini.py \
	tests/bench/peer_llama.mjs \
	tests/bench/results/2026-11-23-lavapipe.md \
	tests/bench/results/2026-11-24-lavapipe.md \
	tests/bench/run_peer.sh

# Rates of single ops: `make tests/bench/bench_ops`.
EXTRA_PROGRAMS += tests/bench/bench_ops
tests_bench_bench_ops_SOURCES = tests/bench/bench_ops.c tests/device/rig.c tests/device/rig.h
tests_bench_bench_ops_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests -I$(srcdir)/tests/device
tests_bench_bench_ops_LDADD = $(ENGINE_LIBS)
CLEANFILES += tests/bench/bench_ops

# Fuzz targets: tests/fuzz/fuzz_<name>.c. With --enable-fuzz each becomes a libFuzzer program; the
# replay_<name> programs of the fragments above run the same code over its corpus in `make check`.
if ENABLE_FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_gguf
tests_fuzz_fuzz_gguf_SOURCES = tests/fuzz/fuzz_gguf.c
tests_fuzz_fuzz_gguf_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_gguf_LDADD = $(ENGINE_LIBS)
endif

# Computing on a device named by VK_DRIVER_FILES; tests/device/ picks its drivers itself.
DEVICE_TESTS += \
	tests/check_ctl.sh \
	tests/check_golden \
	tests/check_model \
	tests/check_sequence
