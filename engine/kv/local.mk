libengine_a_SOURCES += \
    engine/kv/pages.c \
    engine/kv/pages.h
EXTRA_DIST += engine/kv/README.md
