# Logins from outside: tokens, an OIDC issuer (libmicrohttpd, in the test), a real slapd.
issuer_key_sources = tests/issuer_keys.c tests/issuer_keys.h

check_PROGRAMS += tests/check_jwt tests/check_ldap tests/check_oidc
tests_check_jwt_SOURCES = tests/check_jwt.c $(issuer_key_sources)
tests_check_jwt_LDADD = $(SERVER_TEST_LDADD)
tests_check_ldap_SOURCES = \
	tests/check_ldap.c tests/slapd.c tests/slapd.h $(issuer_key_sources)
tests_check_ldap_LDADD = $(SERVER_TEST_LDADD)
tests_check_oidc_SOURCES = \
	tests/check_oidc.c tests/issuer.c tests/issuer.h $(issuer_key_sources)
tests_check_oidc_LDADD = $(SERVER_TEST_LDADD)

TESTS += tests/check_jwt tests/check_ldap tests/check_oidc
