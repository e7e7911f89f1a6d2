# The database. The fault tests run their short form; with SEEKD_TEST_LONG set the full one.
store_test_sources = tests/store_rows.c tests/store_rows.h tests/testfile.c tests/testfile.h

check_PROGRAMS += tests/check_store
tests_check_store_SOURCES = tests/check_store.c $(store_test_sources)
tests_check_store_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_store

check_PROGRAMS += tests/check_store_backup
tests_check_store_backup_SOURCES = tests/check_store_backup.c $(store_test_sources)
tests_check_store_backup_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_store_backup

check_PROGRAMS += tests/check_store_faults
tests_check_store_faults_SOURCES = tests/check_store_faults.c tests/fault/vfs.c tests/fault/vfs.h \
	$(store_test_sources)
tests_check_store_faults_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
tests_check_store_faults_LDADD = $(SERVER_TEST_LDADD)
TESTS += tests/check_store_faults
