libserver_a_SOURCES += \
	server/admin/admin.h \
	server/admin/common.c \
	server/admin/me.c \
	server/admin/tables.c

EXTRA_DIST += server/admin/README.md
