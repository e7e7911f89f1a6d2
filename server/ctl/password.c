/* Owns: seekctl password. Refuses to know: which passwords are good (the server decides). */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "auth/ask.h"
#include "auth/password.h"
#include "ctl/args.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "lang.h"

struct words {
    char old[PASSWORD_MAX_BYTES + 2], fresh[PASSWORD_MAX_BYTES + 2], again[PASSWORD_MAX_BYTES + 2];
};

static bool ask(struct words *w, struct err *e)
{
    if (!ask_password(lang_pick("Present (or one-time) password: ", "当前（或一次性）密码："), w->old,
                      sizeof w->old, e) ||
        !ask_password(lang_pick("New password: ", "新密码："), w->fresh, sizeof w->fresh, e) ||
        !ask_password(lang_pick("New password again: ", "再次输入新密码："), w->again,
                      sizeof w->again, e))
        return false;
    if (strcmp(w->fresh, w->again))
        FAIL(e, ERR_ARG, "%s", lang_pick("the two new passwords differ; nothing was changed",
                                         "两次输入的新密码不同；未作任何更改"));
    return true;
}

/* `body` is consumed. */
static bool post(struct client *c, const char *path, json_t *body, struct err *e)
{
    struct client_reply reply;
    const struct client_call call = {.method = "POST", .path = path, .body = body};
    bool ok = client_send(c, &call, &reply, e);
    client_reply_release(&reply);
    json_decref(body);
    return ok;
}

static bool change(const struct client_where *where, const char *login, const struct words *w,
                   struct err *e)
{
    struct client *c;
    if (!client_open(where, &c, e))
        return false;
    bool ok = post(c, "/admin/v1/login",
                   json_pack("{s:s, s:s}", "login", login, "password", w->old), e);
    if (ok) {
        ok = post(c, "/admin/v1/me/password",
                  json_pack("{s:s, s:s}", "current", w->old, "new", w->fresh), e);
        struct err ignored = ERR_INIT; /* the session ends by itself too */
        (void)!post(c, "/admin/v1/logout", NULL, &ignored);
    }
    client_close(&c);
    return ok;
}

static int run(const struct ctl_command *self, int argc, char **argv)
{
    struct client_where where = {.session = true};
    const char *login[1];
    const struct args_option options[] = {
        {.name = "server", .kind = ARGS_STRING, .value = &where.server, .meta = "URL",
         .help_en = "the server; default $SEEKCTL_SERVER, else http://127.0.0.1:8080",
         .help_zh = "服务器地址；默认 $SEEKCTL_SERVER，否则 http://127.0.0.1:8080"},
        {.name = "ca-file", .kind = ARGS_STRING, .value = &where.ca_file, .meta = "FILE",
         .help_en = "certificate authority (PEM) that vouches for the server",
         .help_zh = "签发服务器证书的 CA 证书（PEM）"},
    };
    size_t n;
    enum args_result parsed = args_parse(self, options, sizeof options / sizeof options[0], argc,
                                         argv, login, 1, &n);
    if (parsed != ARGS_RUN)
        return parsed == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (!n)
        return args_wrong(self, "%s", lang_pick("name a login", "请给出登录名"));
    struct err e = ERR_INIT;
    struct words w = {0};
    bool ok = ask(&w, &e) && change(&where, login[0], &w, &e);
    explicit_bzero(&w, sizeof w);
    if (ok)
        printf(lang_pick("%s: password changed\n", "%s：密码已更改\n"), login[0]);
    return ok ? CTL_OK : args_failed(self, &e);
}

const struct ctl_command ctl_password = {
    .name = "password",
    .synopsis = "LOGIN [--server URL] [--ca-file FILE]",
    .summary_en = "Changes your own password at a running server; a one-time one first of all.",
    .summary_zh = "在运行中的服务器上更改自己的密码；首次使用一次性密码登录时用它。",
    .run = run,
};
