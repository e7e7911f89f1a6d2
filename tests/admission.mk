check_PROGRAMS += tests/check_admission
tests_check_admission_SOURCES = tests/check_admission.c tests/fault/vfs.c tests/fault/vfs.h \
	$(admin_test_sources)
tests_check_admission_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
tests_check_admission_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_admission
