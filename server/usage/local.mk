libserver_a_SOURCES += \
	server/auth/vault.c server/auth/vault.h \
	server/usage/calendar.c server/usage/calendar.h \
	server/usage/csv.c \
	server/usage/ledger.c server/usage/ledger.h \
	server/usage/limits.c server/usage/limits.h \
	server/usage/period.c server/usage/period.h \
	server/usage/query.c server/usage/query.h \
	server/usage/quota.c server/usage/quota.h \
	server/usage/retain.c \
	server/usage/row.c server/usage/row.h
