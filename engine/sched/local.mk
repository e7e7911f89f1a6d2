libengine_a_SOURCES += \
    engine/sched/sched.c \
    engine/sched/sched.h \
    engine/sched/sequence.c \
    engine/sched/sequence.h \
    engine/sched/stream.c \
    engine/sched/stream.h
EXTRA_DIST += engine/sched/README.md
