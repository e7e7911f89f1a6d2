libserver_a_SOURCES += \
	server/admin/admin.h \
	server/admin/common.c \
	server/admin/keys.c \
	server/admin/login.c \
	server/admin/login.h \
	server/admin/me.c \
	server/admin/oidc.c \
	server/admin/people.c \
	server/admin/tables.c

EXTRA_DIST += server/admin/README.md
