libengine_a_SOURCES += engine/device/device.h engine/device/impl.h engine/device/device.c \
	engine/device/plan.c engine/device/step.c \
	engine/device/vulkan/vk.h engine/device/vulkan/funcs.h engine/device/vulkan/runtime.h \
	engine/device/vulkan/shader_ids.h engine/device/vulkan/instance.c \
	engine/device/vulkan/mem.c engine/device/vulkan/pipe.c engine/device/vulkan/cmd.c \
	engine/device/vulkan/device.c engine/device/vulkan/lower.c engine/device/vulkan/weight.c
EXTRA_DIST += engine/device/README.md
