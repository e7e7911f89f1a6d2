libserver_a_SOURCES += \
	server/audit/audit.c server/audit/audit.h \
	server/audit/syslog.c
