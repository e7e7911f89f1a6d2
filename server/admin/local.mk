libserver_a_SOURCES += \
	server/admin/admin.h \
	server/admin/audit.c \
	server/admin/limits.c \
	server/admin/usage.c \
	server/admin/common.c \
	server/admin/form.c \
	server/admin/form.h \
	server/admin/keys.c \
	server/admin/labels.c \
	server/admin/login.c \
	server/admin/login.h \
	server/admin/me.c \
	server/admin/oidc.c \
	server/admin/openapi.c \
	server/admin/people.c \
	server/admin/runner.c \
	server/admin/runner.h \
	server/admin/runs.c \
	server/admin/server.c \
	server/admin/tables.c \
	server/admin/template_call.c \
	server/admin/template_call.h \
	server/admin/templates.c \
	server/admin/transfer.c

EXTRA_DIST += server/admin/README.md

# A row that does not say who may call it fails the build.
noinst_PROGRAMS += server/admin/check_routes
server_admin_check_routes_SOURCES = server/admin/check_routes.c
server_admin_check_routes_LDADD = $(SERVER_LIBS)
all-local: server/admin/routes.checked
server/admin/routes.checked: server/admin/check_routes$(EXEEXT)
	$(AM_V_GEN)server/admin/check_routes$(EXEEXT) && echo checked > $@
CLEANFILES += server/admin/routes.checked
