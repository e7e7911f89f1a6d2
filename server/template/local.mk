libserver_a_SOURCES += \
	server/template/chat.c server/template/chat.h \
	server/template/jarena.c server/template/jarena.h \
	server/template/jarith.c \
	server/template/jast.h \
	server/template/jbuiltin.c server/template/jbuiltin.h \
	server/template/jeval.c server/template/jeval.h \
	server/template/jfilter.c \
	server/template/jformat.c \
	server/template/jfunction.c \
	server/template/jinja.c server/template/jinja.h \
	server/template/jjson.c server/template/jjson.h \
	server/template/jlex.c server/template/jlex.h \
	server/template/jmethod.c \
	server/template/jparse.c server/template/jparse.h \
	server/template/jrun.c server/template/jrun.h \
	server/template/jseq.c server/template/jseq.h \
	server/template/jsort.c server/template/jsort.h \
	server/template/jstr.c server/template/jstr.h \
	server/template/jtest.c \
	server/template/jtext.c server/template/jtext.h \
	server/template/jval.c server/template/jval.h
EXTRA_DIST += server/template/README.md
libserver_a_SOURCES += \
	server/template/canon.c server/template/canon.h \
	server/template/checks.c server/template/checks.h \
	server/template/content.c server/template/content.h \
	server/template/diff.c server/template/diff.h \
	server/template/finding.c server/template/finding.h \
	server/template/jschema.c server/template/jschema.h \
	server/template/lint.c server/template/lint.h \
	server/template/promptfile.c server/template/promptfile.h \
	server/template/regex.c server/template/regex.h \
	server/template/registry.c server/template/registry.h \
	server/template/registry_db.c server/template/registry_db.h \
	server/template/registry_label.c \
	server/template/registry_read.c \
	server/template/registry_resolve.c \
	server/template/registry_review.c \
	server/template/render.c server/template/render.h \
	server/template/transfer.c server/template/transfer.h \
	server/template/variables.c server/template/variables.h
