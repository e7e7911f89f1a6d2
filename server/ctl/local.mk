bin_PROGRAMS += seekctl
seekctl_SOURCES = \
	server/ctl/args.c server/ctl/args.h \
	server/ctl/bench.c \
	server/ctl/command.h \
	server/ctl/device.c \
	server/ctl/generate.c \
	server/ctl/input.c server/ctl/input.h \
	server/ctl/inspect.c \
	server/ctl/logits.c \
	server/ctl/main.c \
	server/ctl/open.c server/ctl/open.h \
	server/ctl/tokenize.c
seekctl_LDADD = $(SERVER_LIBS)
