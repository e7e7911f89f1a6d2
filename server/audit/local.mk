libserver_a_SOURCES += server/audit/audit.h
