libengine_a_SOURCES += \
    engine/engine.h \
    engine/engine.c \
    engine/inspect.c \
    engine/vocabulary.c
EXTRA_DIST += engine/README.md
