libengine_a_SOURCES += \
	engine/text/bpe.c engine/text/bpe.h \
	engine/text/classes.h \
	engine/text/detok.c \
	engine/text/pretok.c engine/text/pretok.h \
	engine/text/special.c engine/text/special.h \
	engine/text/tokenizer.c engine/text/tokenizer.h \
	engine/text/vocab.c engine/text/vocab.h

EXTRA_DIST += engine/text/README.md
