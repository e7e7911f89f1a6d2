libengine_a_SOURCES += \
    engine/model/arch.h \
    engine/model/arch_deepseek2.c \
    engine/model/hparams.c \
    engine/model/hparams.h \
    engine/model/model.c \
    engine/model/model.h \
    engine/model/weights.c \
    engine/model/weights.h
