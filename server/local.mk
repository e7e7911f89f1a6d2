libserver_a_SOURCES += \
	server/app.h \
	server/data.c server/data.h \
	server/lang.c server/lang.h \
	server/settings.c server/settings.h \
	server/version.h

bin_PROGRAMS += seekd
seekd_SOURCES = server/main.c
seekd_LDADD = $(SERVER_LIBS)

EXTRA_DIST += server/README.md
