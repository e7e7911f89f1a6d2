libserver_a_SOURCES += \
	server/auth/keyring.c server/auth/keyring.h \
	server/auth/principal.h

libserver_a_SOURCES += \
	server/auth/identity.c server/auth/identity.h \
	server/auth/jwt.c server/auth/jwt.h

libserver_a_SOURCES += \
	server/auth/fetch.c server/auth/fetch.h \
	server/auth/oidc.c server/auth/oidc.h
