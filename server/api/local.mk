libserver_a_SOURCES += \
	server/api/admission.c server/api/admission.h \
	server/api/answer.c server/api/api.h \
	server/api/chat.c server/api/chat.h \
	server/api/completions.c \
	server/api/errors.c server/api/errors.h \
	server/api/generation.c server/api/generation.h \
	server/api/json.c server/api/json.h \
	server/api/kept.c server/api/kept.h \
	server/api/messages.c server/api/messages.h \
	server/api/models.c \
	server/api/params.c server/api/params.h \
	server/api/prescan.c server/api/prescan.h \
	server/api/prompt.c server/api/prompt.h \
	server/api/request.c \
	server/api/responses.c server/api/responses.h \
	server/api/route.h server/api/routes.c \
	server/api/schema.c server/api/schema.h \
	server/api/stream.c server/api/stream.h \
	server/api/templates.c server/api/templates.h \
	server/api/tokens.c server/api/tokens.h \
	server/api/use.c server/api/use.h \
	server/api/writer.c server/api/writer.h \
	server/api/writer_completions.c \
	server/api/writer_responses.c
