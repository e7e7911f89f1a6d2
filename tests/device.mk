# The compute device. check_plan needs no device; the others run once per Vulkan driver by
# themselves (tests/device/each_driver.h).
check_PROGRAMS += tests/check_plan tests/check_device
tests_check_plan_SOURCES = tests/check_plan.c
tests_check_plan_LDADD = $(ENGINE_TEST_LDADD)
tests_check_device_SOURCES = tests/check_device.c tests/device/each_driver.c \
	tests/device/each_driver.h tests/fault/vk_fault.c tests/fault/vk_fault.h
tests_check_device_LDADD = $(ENGINE_TEST_LDADD)
TESTS += tests/check_plan tests/check_device tests/check_variants.sh
EXTRA_DIST += tests/check_variants.sh
