libengine_a_SOURCES += \
    engine/sample/sampler.c \
    engine/sample/sampler.h
