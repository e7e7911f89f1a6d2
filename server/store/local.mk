libserver_a_SOURCES += \
	server/store/backup.c server/store/backup.h \
	server/store/db.c server/store/db.h \
	server/store/lock.c server/store/lock.h \
	server/store/migrate.c server/store/migrate.h \
	server/store/schema.c server/store/schema.h \
	server/store/seal.c server/store/seal.h \
	server/store/snapshot.c server/store/snapshot.h \
	server/store/store.c server/store/store.h \
	server/store/writer.c server/store/writer.h
EXTRA_DIST += server/store/README.md
