libserver_a_SOURCES += \
	server/store/schema.c server/store/schema.h \
	server/store/store.h
