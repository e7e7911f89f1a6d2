/* Owns: the two steps of a login at an OpenID Connect issuer, as a browser walks them.
 * Refuses to know: the protocol (auth/oidc). */
#include <config.h>

#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "admin/login.h"
#include "auth/identity.h"
#include "auth/login.h"
#include "auth/vault.h"
#include "base/log.h"
#include "service/service.h"

/* Lax: the browser comes back from another site. It lives as long as the browser; the ticket in it has
 * a time of its own. */
#define TICKET_COOKIE "seekd_oidc"

static void ticket_cookie(const struct api_call *call, struct api_answer *answer,
                          const char *ticket)
{
    api_answer_header(answer, "Set-Cookie",
                      TICKET_COOKIE "=%s; Path=/admin/v1/oidc/;%s HttpOnly; SameSite=Lax%s",
                      ticket ? ticket : "", ticket ? "" : " Max-Age=0;",
                      call->service->secure_cookies ? "; Secure" : "");
}

static void redirect(struct api_answer *answer, const char *to)
{
    answer->status = 302;
    api_answer_header(answer, "Location", "%s", to);
}

static bool is_configured(const struct api_call *call, struct api_error *e)
{
    return call->service->oidc ||
           api_fail(e, API_NO_ROUTE, NULL, "Login at an issuer is not configured on this server.");
}

/* What the browser is told when the issuer, or what it says, is at fault; the log has the cause. */
static bool fail_issuer(const struct err *why, struct api_error *e)
{
    char cause[2 * sizeof why->msg];
    if (why->code == ERR_ARG)
        return api_fail(e, API_INVALID_VALUE, NULL, "%s", why->msg);
    LOG_E("admin", "login at the issuer failed cause=%s",
          log_quote(cause, sizeof cause, why->msg));
    if (why->code == ERR_IO || why->code == ERR_BUSY)
        return api_fail(e, API_OVERLOADED, NULL,
                        "The issuer cannot be asked at this moment; try again shortly.");
    return api_fail(e, API_WRONG_LOGIN, NULL,
                    "The issuer's answer cannot be trusted; the administrator finds details in the "
                    "log.");
}

/* ---- the way there ---------------------------------------------------------------------------- */

static bool ask_begin(const struct api_call *call, const char *next, struct oidc_start *start,
                      struct api_error *e)
{
    struct err why = ERR_INIT;
    if (!admin_outside_begin(call, e))
        return false;
    bool ok = oidc_begin(call->service->oidc, next, start, &why) || fail_issuer(&why, e);
    admin_outside_end(call);
    return ok;
}

static void begin(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct oidc_start start;
    const char *next = api_query(call, "next");
    if (!is_configured(call, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    if (!ask_begin(call, next ? next : "/", &start, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    ticket_cookie(call, answer, start.ticket);
    redirect(answer, start.url);
    free(start.url);
}

/* ---- the way back ----------------------------------------------------------------------------- */

/* Value of a cookie into `out`; false when it is missing or does not fit. */
static bool cookie_read(const char *cookies, const char *name, char *out, size_t out_bytes)
{
    size_t n = strlen(name);
    for (const char *at = cookies; *at;) {
        at += strspn(at, "; ");
        size_t len = strcspn(at, "; ");
        if (len > n && !strncmp(at, name, n) && at[n] == '=' && len - n - 1 < out_bytes) {
            memcpy(out, at + n + 1, len - n - 1);
            out[len - n - 1] = '\0';
            return true;
        }
        at += len;
    }
    return false;
}

static bool finish(const struct api_call *call, struct identity *id, char next[OIDC_NEXT_TEXT],
                   struct api_error *e)
{
    char ticket[OIDC_TICKET_TEXT];
    struct oidc_return back = {.ticket = ticket,
                               .state = api_query(call, "state"),
                               .code = api_query(call, "code"),
                               .iss = api_query(call, "iss")};
    struct err why = ERR_INIT;
    if (api_query(call, "error"))
        return api_fail(e, API_WRONG_LOGIN, NULL, "The issuer did not log you in; begin again.");
    if (!back.state || !back.code)
        return api_fail(e, API_MISSING_FIELD, back.state ? "code" : "state",
                        "The issuer sent no code; begin again.");
    if (!cookie_read(call->cookies, TICKET_COOKIE, ticket, sizeof ticket))
        return api_fail(e, API_INVALID_VALUE, NULL,
                        "This login was not begun in this browser; begin again.");
    if (!admin_outside_begin(call, e))
        return false;
    bool ok = oidc_finish(call->service->oidc, &back, id, next, &why) || fail_issuer(&why, e);
    admin_outside_end(call);
    return ok;
}

/* A person of ours and their session. */
static bool enter(const struct api_call *call, const struct identity *id, struct login_result *out,
                  struct api_error *e)
{
    struct login_request r = {.login = id->login,
                              .password = "",
                              .address = call->address,
                              .agent = call->agent,
                              .request_id = call->id,
                              .now_s = session_clock_s()};
    struct err why = ERR_INIT;
    int64_t person_id;
    if (admin_identity_person(call, id, &person_id, &why) &&
        login_vouched(call->service->auth, &r, person_id, out, &why))
        return true;
    if (why.code == ERR_NOT_FOUND)
        return api_fail(e, API_WRONG_LOGIN, NULL, "This account may not log in here.");
    return api_fail_act(e, &why);
}

static void end(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct login_result result = {.outcome = LOGIN_WRONG};
    struct identity id;
    char next[OIDC_NEXT_TEXT];
    bool ok = is_configured(call, &e) && finish(call, &id, next, &e);
    if (ok) {
        ok = enter(call, &id, &result, &e);
        identity_release(&id);
    }
    if (ok) {
        admin_session_cookie(call, answer, result.secret.token);
        redirect(answer, next);
    } else {
        api_answer_error(answer, &e);
    }
    ticket_cookie(call, answer, NULL);
    vault_wipe(&result, sizeof result);
}

/* What issuers add to the way back without our asking is allowed and not looked at. */
static const struct route rows[] = {
    {"GET", "/admin/v1/oidc/login", .access = ROUTE_PUBLIC, .place = ROUTE_LOGIN,
     .needs_database = true, .handler = begin, .query = "next",
     .summary = "Send the browser to the issuer; next = the page to return to"},
    {"GET", "/admin/v1/oidc/callback", .access = ROUTE_PUBLIC, .place = ROUTE_LOGIN,
     .needs_database = true, .handler = end,
     .query = "state code iss error error_description error_uri session_state scope authuser prompt "
              "hd client_info",
     .summary = "Where the issuer sends the browser back to; answers a cookie"},
};

const struct route_table ADMIN_OIDC = ROUTE_TABLE(rows);
