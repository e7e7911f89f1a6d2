libengine_a_SOURCES += \
	engine/format/gguf.c engine/format/gguf.h \
	engine/format/gguf_part.c engine/format/gguf_part.h \
	engine/format/map.c engine/format/map.h \
	engine/format/quant.c engine/format/quant.h

EXTRA_DIST += engine/format/README.md
