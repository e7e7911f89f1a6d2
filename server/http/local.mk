libserver_a_SOURCES += \
	server/http/exchange.c server/http/exchange.h \
	server/http/gate.c server/http/gate.h \
	server/http/guard.c server/http/guard.h \
	server/http/http.h \
	server/http/identify.c server/http/identify.h \
	server/http/internal.h \
	server/http/listen.c server/http/listen.h \
	server/http/route.c server/http/route.h \
	server/http/server.c \
	server/http/watch.c server/http/watch.h \
	server/http/workers.c server/http/workers.h
