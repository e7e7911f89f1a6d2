libserver_a_SOURCES += \
	server/auth/keyring.c server/auth/keyring.h \
	server/auth/principal.h

libserver_a_SOURCES += \
	server/auth/identity.c server/auth/identity.h \
	server/auth/jwt.c server/auth/jwt.h

libserver_a_SOURCES += \
	server/auth/fetch.c server/auth/fetch.h \
	server/auth/oidc.c server/auth/oidc.h

libserver_a_SOURCES += \
	server/auth/act.c server/auth/act.h \
	server/auth/ask.c server/auth/ask.h \
	server/auth/auth.c server/auth/auth.h \
	server/auth/authority.c server/auth/authority.h \
	server/auth/certificate.c server/auth/certificate.h \
	server/auth/common.c \
	server/auth/department.c \
	server/auth/hasher.c server/auth/hasher.h \
	server/auth/key.c server/auth/key.h \
	server/auth/lockout.c server/auth/lockout.h \
	server/auth/login.c server/auth/login.h \
	server/auth/password.c server/auth/password.h \
	server/auth/people.c server/auth/people.h \
	server/auth/roster.c server/auth/roster.h \
	server/auth/session.c server/auth/session.h \
	server/auth/token.c server/auth/token.h

libserver_a_SOURCES += server/auth/ldap.c server/auth/ldap.h
EXTRA_DIST += server/auth/README.md
