/* Owns: our use of libldap: connections, the three steps of a login, reading of entries.
 * Refuses to know: people, departments, lockouts. */
#include <config.h>

#include "auth/ldap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ldap.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/mem.h"

enum { MAX_URLS = 4, OPTION_BYTES = 2048, ANSWER_BYTES = 4 << 20 /* one message */ };

struct ldap_directory {
    char *name, *urls, *ca_file, *bind_dn, *bind_password, *base_dn, *user_filter;
    char *subject_attribute, *login_attribute, *name_attribute, *email_attribute;
    char *group_attribute, *group_base, *group_filter;
    bool start_tls, tls;
    unsigned timeout_ms;
};

/* A connection; stands still while it is open, because libldap holds its address. */
struct link {
    LDAP *ld;
    int fd;
    uint64_t until_us; /* no reading and writing after that */
};

/* ---- filters --------------------------------------------------------------------------------- */

static void put_value(struct buf *out, const char *value)
{
    static const char hex[] = "0123456789abcdef";
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c >= 0x80 || strchr("-_.@", c);
        if (plain)
            buf_putc(out, (char)c);
        else
            buf_append(out, (char[]){'\\', hex[c >> 4], hex[c & 15]}, 3);
    }
}

bool ldap_filter_expand(struct buf *out, const char *filter, const char *login, const char *dn)
{
    while (*filter) {
        if (strncmp(filter, "{login}", 7) == 0) {
            put_value(out, login);
            filter += 7;
        } else if (strncmp(filter, "{dn}", 4) == 0) {
            put_value(out, dn);
            filter += 4;
        } else {
            buf_putc(out, *filter++);
        }
    }
    return !out->failed;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

/* Appends ldap://HOST:PORT to `out`; TLS is begun by us (handshake), not by libldap. */
static bool url_read(struct ldap_directory *d, const char *url, struct buf *out, struct err *e)
{
    LDAPURLDesc *u = NULL;
    const char *why = NULL;
    if (ldap_url_parse(url, &u) != LDAP_URL_SUCCESS)
        FAIL(e, ERR_ARG, "the LDAP URL %.100s is malformed", url);
    bool tls = strcmp(u->lud_scheme, "ldaps") == 0, plain = strcmp(u->lud_scheme, "ldap") == 0;
    if (!tls && !plain)
        why = "must begin with ldaps:// or ldap://";
    else if (!u->lud_host || !*u->lud_host)
        why = "names no host";
    else if ((u->lud_dn && *u->lud_dn) || u->lud_filter || u->lud_attrs || u->lud_exts)
        why = "must end after host and port";
    else if (plain && !d->start_tls && !is_loopback(u->lud_host))
        why = "would send passwords in the clear: use ldaps or StartTLS";
    else if (tls && d->start_tls)
        why = "uses TLS already: no StartTLS with ldaps";
    else if (out->len > 0 && tls != d->tls)
        why = "and the others must be all ldaps:// or all ldap://";
    d->tls = tls;
    if (!why) {
        bool v6 = strchr(u->lud_host, ':') != NULL;
        buf_printf(out, "%sldap://%s%s%s:%d", out->len > 0 ? " " : "", v6 ? "[" : "", u->lud_host,
                   v6 ? "]" : "",
                   u->lud_port ? u->lud_port
                   : tls       ? 636
                               : 389);
    }
    ldap_free_urldesc(u);
    if (why)
        FAIL(e, ERR_ARG, "the LDAP URL %.100s %s", url, why);
    return true;
}

/* Sets urls and tls. */
static bool urls_read(struct ldap_directory *d, const char *urls, struct err *e)
{
    size_t n_urls = 0;
    struct buf out;
    bool ok = true;
    buf_init(&out, OPTION_BYTES);
    for (const char *at = urls + strspn(urls, " "); ok && *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        char *url = mem_strndup(at, len);
        ok = ++n_urls <= MAX_URLS && url_read(d, url, &out, e);
        free(url);
        at += len;
    }
    d->urls = mem_strdup(buf_str(&out));
    bool full = out.failed;
    buf_release(&out);
    if (n_urls == 0 || n_urls > MAX_URLS || full)
        FAIL(e, ERR_ARG, "1 to %d LDAP URLs are needed", MAX_URLS);
    return ok;
}

/* "" is allowed where `needed` is false. */
static bool attribute_check(const char *name, const char *what, bool needed, struct err *e)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-;.";
    if (strspn(name, letters) != strlen(name) || strlen(name) > 64 || (needed && !*name))
        FAIL(e, ERR_ARG, "the LDAP attribute for the %s is not a name", what);
    return true;
}

static bool dn_check(const char *text, const char *what, struct err *e)
{
    LDAPDN dn = NULL;
    int rc = ldap_str2dn(text, &dn, LDAP_DN_FORMAT_LDAPV3);
    ldap_dnfree(dn);
    if (rc != LDAP_SUCCESS)
        FAIL(e, ERR_ARG, "the LDAP %s is not a DN", what);
    return true;
}

static bool is_filter(const char *text, const char *a, const char *b)
{
    size_t len = strlen(text);
    return len > 2 && text[0] == '(' && text[len - 1] == ')' &&
           (strstr(text, a) || strstr(text, b));
}

static bool options_check(const struct ldap_directory *d, struct err *e)
{
    if (!*d->name || strlen(d->name) > 64 || strchr(d->name, ' '))
        FAIL(e, ERR_ARG, "the name of the LDAP directory has 1 to 64 bytes and no blank");
    if (!*d->bind_dn != !*d->bind_password)
        FAIL(e, ERR_ARG, "the LDAP service account needs both a DN and a password, or neither");
    if (!*d->base_dn)
        FAIL(e, ERR_ARG, "an LDAP base DN is needed");
    if (!is_filter(d->user_filter, "{login}", "{login}"))
        FAIL(e, ERR_ARG, "the LDAP user filter must stand in parentheses and contain {login}");
    if (*d->group_base && !is_filter(d->group_filter, "{dn}", "{login}"))
        FAIL(e, ERR_ARG,
             "the LDAP group filter must stand in parentheses and contain {dn} or {login}");
    if (d->timeout_ms < 100 || d->timeout_ms > 60000)
        FAIL(e, ERR_ARG, "the LDAP time limit is 100 to 60000 ms");
    return dn_check(d->bind_dn, "service account", e) && dn_check(d->base_dn, "base", e) &&
           dn_check(d->group_base, "group base", e) &&
           attribute_check(d->subject_attribute, "subject", true, e) &&
           attribute_check(d->login_attribute, "login", true, e) &&
           attribute_check(d->name_attribute, "name", false, e) &&
           attribute_check(d->email_attribute, "e-mail address", false, e) &&
           attribute_check(d->group_attribute, "groups", false, e);
}

static char *copy(const char *text)
{
    return mem_strdup(text ? text : "");
}

static LDAP *handle_make(const struct ldap_directory *d, struct err *e);

bool ldap_directory_create(const struct ldap_options *opt, struct ldap_directory **out,
                           struct err *e)
{
    struct ldap_directory *d = mem_alloc(sizeof *d);
    *d = (struct ldap_directory){
        .name = copy(opt->name),
        .ca_file = copy(opt->ca_file),
        .bind_dn = copy(opt->bind_dn),
        .bind_password = copy(opt->bind_password),
        .base_dn = copy(opt->base_dn),
        .user_filter = copy(opt->user_filter),
        .subject_attribute = copy(opt->subject_attribute),
        .login_attribute = copy(opt->login_attribute),
        .name_attribute = copy(opt->name_attribute),
        .email_attribute = copy(opt->email_attribute),
        .group_attribute = copy(opt->group_attribute),
        .group_base = copy(opt->group_base),
        .group_filter = copy(opt->group_filter),
        .start_tls = opt->start_tls,
        .timeout_ms = opt->timeout_ms,
    };
    /* libldap initializes itself with its first handle: here, on one thread. */
    bool ok = urls_read(d, opt->url ? opt->url : "", e) && options_check(d, e);
    LDAP *first = ok ? handle_make(d, e) : NULL;
    if (!first) {
        ldap_directory_destroy(&d);
        *out = NULL;
        return false;
    }
    ldap_unbind_ext_s(first, NULL, NULL);
    *out = d;
    return true;
}

void ldap_directory_destroy(struct ldap_directory **out)
{
    struct ldap_directory *d = *out;
    if (!d)
        return;
    OPENSSL_cleanse(d->bind_password, strlen(d->bind_password));
    char *texts[] = {d->name,
                     d->urls,
                     d->ca_file,
                     d->bind_dn,
                     d->bind_password,
                     d->base_dn,
                     d->user_filter,
                     d->subject_attribute,
                     d->login_attribute,
                     d->name_attribute,
                     d->email_attribute,
                     d->group_attribute,
                     d->group_base,
                     d->group_filter};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free(d);
    *out = NULL;
}

/* ---- connections ----------------------------------------------------------------------------- */

static bool fail_ldap(int rc, const char *what, struct err *e)
{
    enum err_code code = ERR_IO;
    if (rc == LDAP_REFERRAL)
        code = ERR_UNSUPPORTED;
    else if (rc == LDAP_FILTER_ERROR || rc == LDAP_NO_SUCH_OBJECT || rc == LDAP_INVALID_DN_SYNTAX ||
             rc == LDAP_INVALID_CREDENTIALS || rc == LDAP_INSUFFICIENT_ACCESS ||
             rc == LDAP_INAPPROPRIATE_AUTH)
        code = ERR_ARG;
    else if (rc == LDAP_SIZELIMIT_EXCEEDED)
        code = ERR_LIMIT;
    FAIL(e, code, "LDAP: %s: %s", what, ldap_err2string(rc));
}

static bool handle_set(const struct ldap_directory *d, LDAP *ld)
{
    int version = LDAP_VERSION3, never = LDAP_DEREF_NEVER, fresh = 0;
    int demand = LDAP_OPT_X_TLS_DEMAND, tls12 = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
    int seconds = (int)((d->timeout_ms + 999) / 1000);
    struct timeval tv = {d->timeout_ms / 1000, d->timeout_ms % 1000 * 1000};
    bool ok = ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS &&
              ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
              ldap_set_option(ld, LDAP_OPT_DEREF, &never) == LDAP_OPT_SUCCESS &&
              ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &tv) == LDAP_OPT_SUCCESS &&
              ldap_set_option(ld, LDAP_OPT_TIMEOUT, &tv) == LDAP_OPT_SUCCESS &&
              ldap_set_option(ld, LDAP_OPT_TIMELIMIT, &seconds) == LDAP_OPT_SUCCESS &&
              ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) == LDAP_OPT_SUCCESS &&
              ldap_set_option(ld, LDAP_OPT_X_TLS_PROTOCOL_MIN, &tls12) == LDAP_OPT_SUCCESS;
    if (ok && *d->ca_file)
        ok = ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, d->ca_file) == LDAP_OPT_SUCCESS;
    return ok && ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &fresh) == LDAP_OPT_SUCCESS;
}

/* Nothing is sent yet. NULL with `e` set. */
static LDAP *handle_make(const struct ldap_directory *d, struct err *e)
{
    LDAP *ld = NULL;
    int rc = ldap_initialize(&ld, d->urls);
    if (rc != LDAP_SUCCESS) {
        fail_ldap(rc, "cannot start", e);
        return NULL;
    }
    if (handle_set(d, ld))
        return ld;
    ldap_unbind_ext_s(ld, NULL, NULL);
    err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "LDAP: TLS does not start; can %.100s be read?",
            *d->ca_file ? d->ca_file : "the CA file of ldap.conf");
    return NULL;
}

static void step_begin(const struct ldap_directory *d, struct link *l)
{
    l->until_us = clock_now_us() + (uint64_t)d->timeout_ms * 1000;
}

/* The lowest layer of libldap's input and output, below TLS. libldap 2.5 has time limits for
 * connecting and for results but none that works for a TLS handshake: with a server that says
 * nothing it spins on a non-blocking socket for ever (seen with strace; tests/check_ldap.c,
 * gives_up_in_time). Here nothing lasts longer than its step, and no write raises SIGPIPE. */

static bool link_wait(const struct link *l, short events)
{
    uint64_t now = clock_now_us();
    struct pollfd p = {.fd = l->fd, .events = events};
    int ms = now < l->until_us ? (int)((l->until_us - now) / 1000) + 1 : 0;
    if (poll(&p, 1, ms) > 0)
        return true;
    errno = ETIMEDOUT;
    return false;
}

static ber_slen_t link_read(Sockbuf_IO_Desc *io, void *bytes, ber_len_t len)
{
    const struct link *l = io->sbiod_pvt;
    for (;;) {
        ssize_t n = link_wait(l, POLLIN) ? recv(l->fd, bytes, len, MSG_DONTWAIT) : -1;
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            return n;
    }
}

static ber_slen_t link_write(Sockbuf_IO_Desc *io, void *bytes, ber_len_t len)
{
    const struct link *l = io->sbiod_pvt;
    for (;;) {
        ssize_t n = link_wait(l, POLLOUT) ? send(l->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                          : -1;
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            return n;
    }
}

static int link_setup(Sockbuf_IO_Desc *io, void *link)
{
    io->sbiod_pvt = link;
    return 0;
}

static int link_control(Sockbuf_IO_Desc *io, int option, void *arg)
{
    return io->sbiod_next ? io->sbiod_next->sbiod_io->sbi_ctrl(io->sbiod_next, option, arg) : 0;
}

static int link_nothing(Sockbuf_IO_Desc *io)
{
    (void)io;
    return 0;
}

static Sockbuf_IO link_layer = {.sbi_setup = link_setup,
                                .sbi_remove = link_nothing,
                                .sbi_ctrl = link_control,
                                .sbi_read = link_read,
                                .sbi_write = link_write,
                                .sbi_close = link_nothing};

static bool link_layer_add(struct link *l)
{
    Sockbuf *sb = NULL;
    ber_len_t most = ANSWER_BYTES;
    return ldap_get_option(l->ld, LDAP_OPT_DESC, &l->fd) == LDAP_OPT_SUCCESS &&
           ldap_get_option(l->ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS && sb &&
           ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &most) >= 0 &&
           ber_sockbuf_add_io(sb, &link_layer, LBER_SBIOD_LEVEL_PROVIDER + 1, l) == 0;
}

static bool fail_os(int rc, const char *what, struct err *e)
{
    fail_ldap(rc, what, e);
    if (e)
        e->code = ERR_IO;
    return false;
}

static bool tls_begin(const struct ldap_directory *d, struct link *l, struct err *e)
{
    char *oid = NULL;
    struct berval *data = NULL;
    int rc = LDAP_SUCCESS;
    if (d->start_tls)
        rc = ldap_extended_operation_s(l->ld, LDAP_EXOP_START_TLS, NULL, NULL, NULL, &oid, &data);
    ldap_memfree(oid);
    ber_bvfree(data);
    if (rc != LDAP_SUCCESS)
        return fail_os(rc, "StartTLS is refused", e);
    rc = d->start_tls || d->tls ? ldap_install_tls(l->ld) : LDAP_SUCCESS;
    return rc == LDAP_SUCCESS ||
           fail_os(rc, "TLS fails; does the certificate fit the host and the CA file?", e);
}

static void link_close(struct link *l)
{
    ldap_unbind_ext_s(l->ld, NULL, NULL);
    l->ld = NULL;
}

static bool link_open(const struct ldap_directory *d, struct link *l, struct err *e)
{
    *l = (struct link){.ld = handle_make(d, e), .fd = -1};
    if (!l->ld)
        return false;
    int rc = ldap_connect(l->ld);
    step_begin(d, l);
    bool ok = rc == LDAP_SUCCESS || fail_os(rc, "no connection", e);
    if (ok && !link_layer_add(l))
        ok = fail_ldap(LDAP_OTHER, "no access to the connection", e);
    if (ok && tls_begin(d, l, e))
        return true;
    link_close(l);
    return false;
}

/* A simple bind; the result code. The library does not change the password. */
static int bind_as(const struct ldap_directory *d, struct link *l, const char *dn,
                   const char *password)
{
    struct berval secret = {strlen(password), (char *)(uintptr_t)password};
    step_begin(d, l);
    return ldap_sasl_bind_s(l->ld, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* First value as text, or as hex for the two binary names of persons; "" when there is none or it
 * has a NUL. Owned by the caller. */
static char *value_text(LDAP *ld, LDAPMessage *entry, const char *attribute)
{
    bool binary = strcasecmp(attribute, "objectGUID") == 0 ||
                  strcasecmp(attribute, "objectSid") == 0;
    struct berval **values = *attribute ? ldap_get_values_len(ld, entry, attribute) : NULL;
    struct buf b;
    buf_init(&b, IDENTITY_GROUP_TEXT);
    if (values && values[0]) {
        const char *bytes = values[0]->bv_val;
        size_t len = values[0]->bv_len;
        for (size_t i = 0; binary && i < len; i++)
            buf_printf(&b, "%02x", (unsigned char)bytes[i]);
        if (!binary && !memchr(bytes, '\0', len))
            buf_append(&b, bytes, len);
    }
    if (values)
        ldap_value_free_len(values);
    char *text = mem_strdup(buf_str(&b));
    buf_release(&b);
    return text;
}

static bool entry_groups(LDAP *ld, LDAPMessage *entry, const char *attribute, struct identity *id,
                         struct err *e)
{
    bool ok = true;
    struct berval **values = *attribute ? ldap_get_values_len(ld, entry, attribute) : NULL;
    for (size_t i = 0; ok && values && values[i]; i++) {
        char *group = mem_strndup(values[i]->bv_val, values[i]->bv_len);
        ok = identity_add_group(id, group, e);
        free(group);
    }
    if (values)
        ldap_value_free_len(values);
    return ok;
}

static bool entry_read(const struct ldap_directory *d, LDAP *ld, LDAPMessage *entry,
                       struct identity *id, struct err *e)
{
    char *subject = value_text(ld, entry, d->subject_attribute);
    char *login = value_text(ld, entry, d->login_attribute);
    char *name = value_text(ld, entry, d->name_attribute);
    char *email = value_text(ld, entry, d->email_attribute);
    bool ok = identity_set_issuer(id, d->name, e) && identity_set_subject(id, subject, e) &&
              identity_set_login(id, login, e) &&
              entry_groups(ld, entry, d->group_attribute, id, e);
    identity_set_name(id, name);
    identity_set_email(id, email);
    free(subject);
    free(login);
    free(name);
    free(email);
    return ok;
}

/* ---- login ----------------------------------------------------------------------------------- */

static int search(const struct ldap_directory *d, struct link *l, const char *base,
                  const char *filter, char **attributes, int max_entries, LDAPMessage **found)
{
    struct timeval tv = {d->timeout_ms / 1000, d->timeout_ms % 1000 * 1000};
    step_begin(d, l);
    return ldap_search_ext_s(l->ld, base, LDAP_SCOPE_SUBTREE, filter, attributes, 0, NULL, NULL,
                             &tv, max_entries, found);
}

/* Fills `id` from the one entry that fits; *dn (owned, ldap_memfree) is NULL when none does. */
static bool person_find(const struct ldap_directory *d, struct link *l, const char *login,
                        struct identity *id, char **dn, struct err *e)
{
    char *attributes[] = {d->subject_attribute, d->login_attribute, NULL, NULL, NULL, NULL};
    char *optional[] = {d->name_attribute, d->email_attribute, d->group_attribute};
    LDAPMessage *found = NULL;
    struct buf filter;
    *dn = NULL;
    for (size_t i = 0, n = 2; i < 3; i++)
        if (*optional[i])
            attributes[n++] = optional[i];
    buf_init(&filter, LDAP_FILTER_BYTES);
    if (!ldap_filter_expand(&filter, d->user_filter, login, "")) {
        buf_release(&filter);
        FAIL(e, ERR_LIMIT, "the LDAP user filter is too large");
    }
    int rc = search(d, l, d->base_dn, buf_str(&filter), attributes, 2, &found);
    int n = rc == LDAP_SUCCESS ? ldap_count_entries(l->ld, found) : 0;
    bool ok = n == 0;
    if (rc == LDAP_SIZELIMIT_EXCEEDED || n > 1) {
        err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__, "several LDAP entries have this login");
        ok = false;
    } else if (rc != LDAP_SUCCESS) {
        ok = fail_ldap(rc, "the search for the person failed", e);
    } else if (n == 1) {
        LDAPMessage *entry = ldap_first_entry(l->ld, found);
        *dn = ldap_get_dn(l->ld, entry);
        ok = *dn && **dn ? entry_read(d, l->ld, entry, id, e)
                         : fail_ldap(LDAP_DECODING_ERROR, "an entry without a name", e);
    }
    ldap_msgfree(found);
    buf_release(&filter);
    return ok;
}

static bool groups_find(const struct ldap_directory *d, struct link *l, const char *dn,
                        struct identity *id, struct err *e)
{
    char nothing[] = LDAP_NO_ATTRS, *attributes[] = {nothing, NULL};
    LDAPMessage *found = NULL;
    struct buf filter;
    if (!*d->group_base)
        return true;
    buf_init(&filter, LDAP_FILTER_BYTES);
    if (!ldap_filter_expand(&filter, d->group_filter, id->login, dn)) {
        buf_release(&filter);
        FAIL(e, ERR_LIMIT, "the LDAP group filter is too large");
    }
    int rc = search(d, l, d->group_base, buf_str(&filter), attributes, IDENTITY_MAX_GROUPS, &found);
    bool ok = rc == LDAP_SUCCESS || fail_ldap(rc, "the search for groups failed", e);
    for (LDAPMessage *m = ok ? ldap_first_entry(l->ld, found) : NULL; ok && m;
         m = ldap_next_entry(l->ld, m)) {
        char *group = ldap_get_dn(l->ld, m);
        ok = identity_add_group(id, group, e);
        ldap_memfree(group);
    }
    ldap_msgfree(found);
    buf_release(&filter);
    return ok;
}

static bool is_refusal(int rc)
{
    return rc == LDAP_INVALID_CREDENTIALS || rc == LDAP_NO_SUCH_OBJECT ||
           rc == LDAP_INAPPROPRIATE_AUTH || rc == LDAP_INSUFFICIENT_ACCESS ||
           rc == LDAP_UNWILLING_TO_PERFORM || rc == LDAP_CONSTRAINT_VIOLATION ||
           rc == LDAP_INVALID_DN_SYNTAX;
}

#define WRONG_LOGIN "login or password is wrong"

/* `dn` NULL: nobody was found; the same exchanges with a name that does not exist, so that time
 * does not tell. */
static bool password_check(const struct ldap_directory *d, const char *dn, const char *password,
                           struct err *e)
{
    struct buf nobody;
    buf_init(&nobody, OPTION_BYTES);
    buf_printf(&nobody, "cn=nobody,%s", d->base_dn);
    struct link l;
    if (!link_open(d, &l, e)) {
        buf_release(&nobody);
        return false;
    }
    int rc = bind_as(d, &l, dn ? dn : buf_str(&nobody), password);
    link_close(&l);
    buf_release(&nobody);
    if (!dn || is_refusal(rc))
        FAIL(e, ERR_NOT_FOUND, WRONG_LOGIN);
    return rc == LDAP_SUCCESS || fail_ldap(rc, "the person cannot bind", e);
}

static bool login_run(const struct ldap_directory *d, struct link *l, const char *login,
                      const char *password, struct identity *id, struct err *e)
{
    char *dn;
    int rc = bind_as(d, l, d->bind_dn, d->bind_password);
    if (rc != LDAP_SUCCESS)
        return fail_ldap(rc, "the service account cannot bind", e);
    bool ok = person_find(d, l, login, id, &dn, e) && password_check(d, dn, password, e) &&
              groups_find(d, l, dn, id, e);
    ldap_memfree(dn);
    return ok;
}

bool ldap_directory_login(struct ldap_directory *d, const char *login, const char *password,
                          struct identity *id, struct err *e)
{
    identity_init(id, IDENTITY_LDAP);
    if (!*password || strlen(password) > LDAP_PASSWORD_BYTES ||
        !identity_set_login(id, login, NULL)) {
        identity_release(id);
        FAIL(e, ERR_NOT_FOUND, WRONG_LOGIN);
    }
    struct link l;
    bool ok = link_open(d, &l, e);
    if (ok) {
        ok = login_run(d, &l, login, password, id, e);
        link_close(&l);
    }
    if (!ok)
        identity_release(id);
    return ok;
}
