libserver_a_SOURCES += server/service/service.c server/service/service.h
