bin_PROGRAMS += seekctl
seekctl_SOURCES = \
	server/ctl/args.c server/ctl/args.h \
	server/ctl/bench.c \
	server/ctl/client.c server/ctl/client.h \
	server/ctl/command.h \
	server/ctl/database.c \
	server/ctl/dept.c \
	server/ctl/device.c \
	server/ctl/doctor.c \
	server/ctl/generate.c \
	server/ctl/input.c server/ctl/input.h \
	server/ctl/inspect.c \
	server/ctl/key.c \
	server/ctl/local.c server/ctl/local.h \
	server/ctl/logits.c \
	server/ctl/main.c \
	server/ctl/modelsum.c server/ctl/modelsum.h \
	server/ctl/open.c server/ctl/open.h \
	server/ctl/password.c \
	server/ctl/quota.c \
	server/ctl/remote.c server/ctl/remote.h \
	server/ctl/table.c server/ctl/table.h \
	server/ctl/template.c \
	server/ctl/tokenize.c \
	server/ctl/usage.c \
	server/ctl/user.c
seekctl_LDADD = $(SERVER_LIBS)
