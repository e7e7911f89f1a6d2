libserver_a_SOURCES += \
	server/auth/keyring.c server/auth/keyring.h \
	server/auth/principal.h
