libbase_a_SOURCES += \
	engine/base/assert.h \
	engine/base/buf.c engine/base/buf.h \
	engine/base/checked.h \
	engine/base/clock.h \
	engine/base/err.c engine/base/err.h \
	engine/base/hash.c engine/base/hash.h \
	engine/base/hex.h \
	engine/base/ids.h \
	engine/base/log.c engine/base/log.h \
	engine/base/mem.c engine/base/mem.h \
	engine/base/thread.h \
	engine/base/utf8.c engine/base/utf8.h
