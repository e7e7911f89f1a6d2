/* Owns: the issuer that check_oidc logs in at.
 * Refuses to know: the code under test. */
#include <config.h>

#include "issuer.h"

#include <arpa/inet.h>
#include <check.h>
#include <curl/curl.h>
#include <microhttpd.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BODY_BYTES = 16384 };

struct call {
    char body[BODY_BYTES];
    size_t len;
};

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(r, "Content-Type", "application/json");
    MHD_add_response_header(r, "Cache-Control", "no-store");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result answer_json(struct MHD_Connection *c, unsigned status, json_t *v)
{
    char *text = json_dumps(v, 0);
    enum MHD_Result rc = answer_text(c, status, text);
    free(text);
    json_decref(v);
    return rc;
}

static enum MHD_Result answer_redirect(struct MHD_Connection *c, const char *to)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(0, (void *)(uintptr_t) "",
                                                             MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(r, "Location", to);
    enum MHD_Result rc = MHD_queue_response(c, 302, r);
    MHD_destroy_response(r);
    return rc;
}

static json_t *endpoint(const struct issuer *i, const char *path)
{
    return json_sprintf("%s%s", i->url, path);
}

static enum MHD_Result on_discovery(struct issuer *i, struct MHD_Connection *c)
{
    json_t *doc = json_pack(
        "{s:s,s:o,s:o,s:o,s:[s],s:[s],s:[s],s:[s]}", "issuer",
        i->fault == FAULT_OTHER_ISSUER ? "https://other.example" : i->url, "authorization_endpoint",
        endpoint(i, "/authorize"), "token_endpoint",
        i->fault == FAULT_PLAIN_ENDPOINT ? json_string("http://192.0.2.1/token")
                                         : endpoint(i, "/token"),
        "jwks_uri", endpoint(i, "/keys"), "response_types_supported",
        i->fault == FAULT_NO_CODE ? "id_token" : "code", "code_challenge_methods_supported",
        i->fault == FAULT_NO_S256 ? "plain" : "S256", "id_token_signing_alg_values_supported",
        i->fault == FAULT_HS_ONLY ? "HS256" : i->alg, "token_endpoint_auth_methods_supported",
        i->auth_method);
    if (i->sends_iss)
        json_object_set_new(doc, "authorization_response_iss_parameter_supported", json_true());
    i->n_discovery++;
    if (i->fault == FAULT_HUGE) {
        char *x = calloc(1, 100001);
        memset(x, 'x', 100000);
        json_object_set_new(doc, "x", json_string(x));
        free(x);
    }
    if (i->fault == FAULT_SLOW)
        usleep(1500000);
    if (i->fault == FAULT_DUPLICATE) {
        char text[4096], *rest = json_dumps(doc, 0);
        snprintf(text, sizeof text, "{\"issuer\":\"https://other.example\",%s", rest + 1);
        free(rest);
        json_decref(doc);
        return answer_text(c, 200, text);
    }
    return answer_json(c, i->fault == FAULT_STATUS ? 500 : 200, doc);
}

static const char *query(struct MHD_Connection *c, const char *name)
{
    const char *v = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
    return v ? v : "";
}

static enum MHD_Result on_authorize(struct issuer *i, struct MHD_Connection *c)
{
    static unsigned n_codes;
    char to[1024];
    if (strcmp(query(c, "response_type"), "code") != 0 ||
        strcmp(query(c, "client_id"), i->client_id) != 0 ||
        strcmp(query(c, "redirect_uri"), i->redirect_uri) != 0 ||
        strcmp(query(c, "code_challenge_method"), "S256") != 0 ||
        strlen(query(c, "code_challenge")) != 43 || strlen(query(c, "state")) < 20 ||
        strlen(query(c, "nonce")) < 20 || !strstr(query(c, "scope"), "openid"))
        return answer_text(c, 400, "{\"error\":\"invalid_request\"}");
    snprintf(i->code, sizeof i->code, "code+%u/&=", ++n_codes);
    snprintf(i->challenge, sizeof i->challenge, "%s", query(c, "code_challenge"));
    snprintf(i->nonce, sizeof i->nonce, "%s", query(c, "nonce"));
    i->code_used = false;
    char *code = curl_easy_escape(NULL, i->code, 0);
    char *iss = curl_easy_escape(NULL, i->url, 0);
    snprintf(to, sizeof to, "%s?code=%s&state=%s%s%s", i->redirect_uri, code, query(c, "state"),
             i->sends_iss ? "&iss=" : "", i->sends_iss ? iss : "");
    curl_free(code);
    curl_free(iss);
    return answer_redirect(c, to);
}

/* Field of the form, decoded; "" when it is not there. Owned by the caller. */
static char *field(const char *body, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = body; at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL) {
        if (strncmp(at, name, n) != 0 || at[n] != '=')
            continue;
        int len;
        char *plain = curl_easy_unescape(NULL, at + n + 1, (int)strcspn(at + n + 1, "&"), &len);
        char *out = strdup(plain);
        curl_free(plain);
        return out;
    }
    return strdup("");
}

static bool field_is(const char *body, const char *name, const char *want)
{
    char *v = field(body, name);
    bool same = strcmp(v, want) == 0;
    free(v);
    return same;
}

static bool client_known(const struct issuer *i, struct MHD_Connection *c, const char *body)
{
    char *password = NULL;
    char *user = MHD_basic_auth_get_username_password(c, &password);
    bool ok;
    if (!i->client_secret) {
        ok = !user && field_is(body, "client_id", i->client_id);
    } else if (strcmp(i->auth_method, "client_secret_post") == 0) {
        ok = !user && field_is(body, "client_id", i->client_id) &&
             field_is(body, "client_secret", i->client_secret);
    } else {
        int n;
        char *u = curl_easy_unescape(NULL, user ? user : "", 0, &n);
        char *p = curl_easy_unescape(NULL, password ? password : "", 0, &n);
        ok = strcmp(u, i->client_id) == 0 && strcmp(p, i->client_secret) == 0 &&
             field_is(body, "client_secret", "");
        curl_free(u);
        curl_free(p);
    }
    MHD_free(user);
    MHD_free(password);
    return ok;
}

static bool verifier_fits(const struct issuer *i, const char *body)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char *verifier = field(body, "code_verifier");
    SHA256((const uint8_t *)verifier, strlen(verifier), digest);
    char *challenge = issuer_base64(digest, sizeof digest);
    bool ok = strlen(verifier) >= 43 && strcmp(challenge, i->challenge) == 0;
    free(verifier);
    free(challenge);
    return ok;
}

static char *make_token(const struct issuer *i)
{
    char header[128];
    time_t now = time(NULL);
    const char *alg = i->fault == FAULT_ALG_NONE ? "none"
                      : i->fault == FAULT_ALG_HS ? "HS256"
                                                 : i->alg;
    json_t *claims = json_pack(
        "{s:s,s:s,s:s,s:I,s:I,s:s,s:s}", "iss",
        i->fault == FAULT_TOKEN_ISSUER ? "https://other.example" : i->url, "sub", "sub-1", "aud",
        i->fault == FAULT_AUDIENCE ? "else" : i->client_id, "exp",
        (json_int_t)(now + (i->fault == FAULT_EXPIRED ? -120 : 300)), "iat", (json_int_t)now,
        "nonce", i->fault == FAULT_NONCE ? "replayed" : i->nonce, "preferred_username", "l.wei");
    if (i->claims)
        json_object_update(claims, i->claims);
    char *payload = json_dumps(claims, 0);
    snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, i->kid);
    char *token = issuer_sign(alg, i->fault == FAULT_FORGED ? i->other_key : i->key,
                              i->client_secret ? i->client_secret : "x", header, payload);
    free(payload);
    json_decref(claims);
    return token;
}

static enum MHD_Result on_token(struct issuer *i, struct MHD_Connection *c, const char *body)
{
    i->n_tokens++;
    if (i->fault == FAULT_TOKEN_STATUS)
        return answer_text(c, 503, "{\"error\":\"<b>\\u001b[2J</b>\"}");
    if (i->fault == FAULT_TOKEN_NOT_JSON)
        return answer_text(c, 200, "<html>");
    if (!client_known(i, c, body))
        return answer_text(c, 401, "{\"error\":\"invalid_client\"}");
    if (!field_is(body, "grant_type", "authorization_code") || i->code_used ||
        !field_is(body, "code", i->code) || !field_is(body, "redirect_uri", i->redirect_uri) ||
        !verifier_fits(i, body))
        return answer_text(c, 400, "{\"error\":\"invalid_grant\"}");
    i->code_used = true;
    char *token = make_token(i);
    json_t *answer = json_pack("{s:s,s:s,s:i}", "access_token", "unused", "token_type",
                               i->fault == FAULT_TOKEN_TYPE ? "mac" : "bearer", "expires_in", 300);
    if (i->fault != FAULT_NO_ID_TOKEN)
        json_object_set_new(answer, "id_token", json_string(token));
    if (i->fault == FAULT_TOKEN_HUGE)
        json_object_set_new(answer, "x", json_sprintf("%0100000d", 0));
    free(token);
    return answer_json(c, 200, answer);
}

static enum MHD_Result on_keys(struct issuer *i, struct MHD_Connection *c)
{
    i->n_keys++;
    return answer_json(c, i->fault == FAULT_KEYS_STATUS ? 404 : 200,
                       json_pack("{s:O}", "keys", i->published));
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
    struct issuer *i = ctx;
    struct call *call = *state;
    (void)version;
    if (!call) {
        *state = calloc(1, sizeof *call);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*len > 0) {
        if (*len >= BODY_BYTES - call->len)
            return MHD_NO;
        memcpy(call->body + call->len, data, *len);
        call->len += *len;
        *len = 0;
        return MHD_YES;
    }
    bool get = strcmp(method, "GET") == 0;
    if (get && strcmp(path, "/.well-known/openid-configuration") == 0) {
        char to[128];
        snprintf(to, sizeof to, "%s/moved", i->url);
        return i->fault == FAULT_REDIRECT ? answer_redirect(c, to) : on_discovery(i, c);
    }
    if (get && strcmp(path, "/moved") == 0)
        return on_discovery(i, c);
    if (get && strcmp(path, "/authorize") == 0)
        return on_authorize(i, c);
    if (get && strcmp(path, "/keys") == 0)
        return on_keys(i, c);
    if (strcmp(method, "POST") == 0 && strcmp(path, "/token") == 0)
        return on_token(i, c, call->body);
    return answer_text(c, 404, "{}");
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)ctx;
    (void)c;
    (void)why;
    free(*state);
    *state = NULL;
}

void issuer_start(struct issuer *i, const struct issuer_tls *tls)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *i = (struct issuer){.client_id = "seekd web",
                         .client_secret = "s3:cr%t&",
                         .redirect_uri = "http://127.0.0.1:9/login/oidc",
                         .auth_method = "client_secret_basic",
                         .alg = "ES256"};
    struct MHD_OptionItem tls_options[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? tls->key : NULL},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? tls->cert : NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    i->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | (tls ? MHD_USE_TLS : 0), 0, NULL,
                                 NULL, on_request, i, MHD_OPTION_SOCK_ADDR, &any,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_ARRAY,
                                 tls ? tls_options : tls_options + 2, MHD_OPTION_END);
    ck_assert_ptr_nonnull(i->daemon);
    unsigned port = MHD_get_daemon_info(i->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    snprintf(i->url, sizeof i->url, "%s://127.0.0.1:%u", tls ? "https" : "http", port);
    i->published = json_array();
    i->other_key = issuer_ec("P-256");
    issuer_rotate(i, "k1", true, false);
}

void issuer_rotate(struct issuer *i, const char *kid, bool publish, bool drop_old)
{
    EVP_PKEY_free(i->key);
    i->key = issuer_ec("P-256");
    i->kid = kid;
    if (drop_old)
        json_array_clear(i->published);
    if (publish)
        json_array_append_new(i->published, issuer_jwk(i->key, kid));
}

void issuer_stop(struct issuer *i)
{
    MHD_stop_daemon(i->daemon);
    EVP_PKEY_free(i->key);
    EVP_PKEY_free(i->other_key);
    json_decref(i->published);
    json_decref(i->claims);
}
