/* Owns: the password policies, our use of scrypt, the table `password`.
 * Refuses to know: sessions' form, how attempts are counted. */
#include <config.h>

#include "auth/password.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>
#include <strings.h>

#include "auth/act.h"
#include "auth/auth.h"
#include "auth/hasher.h"
#include "auth/lockout.h"
#include "auth/people.h"
#include "auth/principal.h"
#include "auth/roster.h"
#include "auth/session.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "store/store.h"

enum { DAY_S = 86400, MAX_BYTES_OF_SCRYPT = 256 << 20 };

/* ---- policy ---------------------------------------------------------------------------------- */

bool password_profile_parse(const char *name, enum password_profile *out)
{
    if (strcmp(name, "asvs") == 0)
        *out = PASSWORD_ASVS;
    else if (strcmp(name, "dengbao3") == 0)
        *out = PASSWORD_DENGBAO3;
    else
        return false;
    return true;
}

/* How many of: lower case, upper case, digits, everything else (other scripts included). */
static int count_classes(const char *text)
{
    bool lower = false, upper = false, digit = false, other = false;
    for (const char *c = text; *c; c++) {
        lower |= *c >= 'a' && *c <= 'z';
        upper |= *c >= 'A' && *c <= 'Z';
        digit |= *c >= '0' && *c <= '9';
        other |= !((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                   (*c >= '0' && *c <= '9'));
    }
    return lower + upper + digit + other;
}

/* Characters; all the same character counts in *same. */
static size_t count_chars(const char *text, size_t len, bool *same)
{
    size_t n = 0, at = 0;
    uint32_t first = 0, cp = 0;
    *same = true;
    while (at < len) {
        size_t step = utf8_decode(text + at, len - at, &cp);
        if (step == 0)
            return 0;
        if (n == 0)
            first = cp;
        *same = *same && cp == first;
        at += step;
        n++;
    }
    return n;
}

static bool holds_login(const char *text, const char *login)
{
    size_t len = strlen(login);
    if (strcasecmp(text, login) == 0)
        return true;
    if (len < 4)
        return false;
    for (const char *c = text; strlen(c) >= len; c++)
        if (strncasecmp(c, login, len) == 0)
            return true;
    return false;
}

/* What fingers and alphabets run along; each goes round, "9012" is a run. */
static const char *const runs[] = {
    "abcdefghijklmnopqrstuvwxyz", "1234567890", "!@#$%^&*()", "qwertyuiop", "asdfghjkl", "zxcvbnm",
    "1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm",
};

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* How many characters from `text` on stand in `row` one after another, forwards or back. */
static size_t run_along(const char *text, const char *row, bool back)
{
    size_t n = strlen(row), len = 0;
    const char *first = strchr(row, lower(*text));
    for (size_t at = first ? (size_t)(first - row) : 0; first && text[len]; len++) {
        if (lower(text[len]) != row[at])
            break;
        at = (at + (back ? n - 1 : 1)) % n;
    }
    return len;
}

/* The longest run that begins at `text`; the same character again and again is one too. */
static size_t run_length(const char *text)
{
    size_t longest = 1;
    while (text[longest] == text[0])
        longest++;
    for (size_t i = 0; i < 2 * sizeof runs / sizeof runs[0]; i++) {
        size_t len = run_along(text, runs[i / 2], i % 2 != 0);
        longest = len > longest ? len : longest;
    }
    return longest;
}

/* Whether little is left without the runs of RUN_CHARS and more: "123456789012", "qwer!4321". */
static bool is_made_of_runs(const char *text)
{
    enum { RUN_CHARS = 3, LEFT_CHARS = 4 };
    size_t left = 0;
    for (size_t len; *text; text += len) {
        len = run_length(text);
        if (len >= RUN_CHARS)
            continue;
        len = 1;
        left += ((unsigned char)*text & 0xc0) != 0x80; /* characters, not bytes */
    }
    return left < LEFT_CHARS;
}

bool password_acceptable(enum password_profile profile, const char *text, const char *login,
                         struct err *e)
{
    bool same;
    size_t len = strlen(text);
    if (len > PASSWORD_MAX_BYTES || !utf8_valid(text, len))
        FAIL(e, ERR_ARG, "a password is UTF-8 text of at most %d bytes", PASSWORD_MAX_BYTES);
    size_t chars = count_chars(text, len, &same);
    if (chars < PASSWORD_MIN_CHARS || chars > PASSWORD_MAX_CHARS)
        FAIL(e, ERR_ARG, "a password has %d to %d characters", PASSWORD_MIN_CHARS,
             PASSWORD_MAX_CHARS);
    if (same || password_is_common(text) || is_made_of_runs(text))
        FAIL(e, ERR_ARG, "this password is among those that are guessed first: choose another");
    if (holds_login(text, login))
        FAIL(e, ERR_ARG, "a password must not contain the login name");
    if (profile == PASSWORD_DENGBAO3 && count_classes(text) < 3)
        FAIL(e, ERR_ARG,
             "a password needs three of: lower case, upper case, digits, other characters");
    return true;
}

bool password_must_change(enum password_profile profile, bool one_time, int64_t set_at,
                          int64_t now_s)
{
    return one_time ||
           (profile == PASSWORD_DENGBAO3 && now_s - set_at >= (int64_t)PASSWORD_DAYS * DAY_S);
}

bool password_lapsed(bool one_time, int64_t set_at, int64_t now_s)
{
    return one_time && now_s - set_at >= (int64_t)PASSWORD_ONE_TIME_DAYS * DAY_S;
}

/* ---- scrypt ---------------------------------------------------------------------------------- */

bool password_cost_valid(const struct password_cost *c)
{
    return c->n >= 1u << 10 && c->n <= 1u << 20 && (c->n & (c->n - 1)) == 0 && c->r >= 1 &&
           c->r <= 32 && c->p >= 1 && c->p <= 16 &&
           (uint64_t)128 * c->n * c->r <= MAX_BYTES_OF_SCRYPT;
}

bool password_derive(const struct password_cost *c, const uint8_t salt[PASSWORD_SALT_BYTES],
                     const char *text, size_t len, uint8_t hash[PASSWORD_HASH_BYTES], struct err *e)
{
    uint64_t n = c->n;
    uint32_t r = c->r, p = c->p;
    /* V (128 N r bytes) and some for the blocks; OpenSSL's own limit of 32 MiB is just too small.
     */
    uint64_t max_bytes = (uint64_t)128 * c->n * c->r + ((uint64_t)128 * c->r * c->p) + (1u << 20);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (char *)(uintptr_t)text, len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (uint8_t *)(uintptr_t)salt,
                                          PASSWORD_SALT_BYTES),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &max_bytes),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = password_cost_valid(c) ? EVP_KDF_fetch(NULL, "SCRYPT", NULL) : NULL;
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, hash, PASSWORD_HASH_BYTES, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    if (!ok)
        FAIL(e, ERR_INTERNAL, "OpenSSL cannot compute scrypt (no memory?)");
    return true;
}

bool password_hash(const struct auth *a, const char *text, struct password_row *out, struct err *e)
{
    *out = (struct password_row){.cost = a->cost, .set_at = clock_wall_s()};
    return hash_random(out->salt, sizeof out->salt, e) &&
           hasher_derive(a->hasher, &a->cost, out->salt, text, strlen(text), out->hash, e);
}

bool password_matches(const struct auth *a, const struct password_row *row, const char *text,
                      bool *same, struct err *e)
{
    uint8_t hash[PASSWORD_HASH_BYTES];
    *same = false;
    if (!hasher_derive(a->hasher, &row->cost, row->salt, text, strlen(text), hash, e))
        return false;
    *same = hash_equal(hash, row->hash);
    OPENSSL_cleanse(hash, sizeof hash);
    return true;
}

/* ---- the table ------------------------------------------------------------------------------- */

static bool read_row(struct store_stmt *st, struct password_row *row, struct err *e)
{
    size_t salt_bytes, hash_bytes;
    const void *salt = store_blob(st, 4, &salt_bytes), *hash = store_blob(st, 5, &hash_bytes);
    *row = (struct password_row){.id = store_int(st, 0),
                                 .cost = {.n = (uint32_t)store_int(st, 1),
                                          .r = (uint32_t)store_int(st, 2),
                                          .p = (uint32_t)store_int(st, 3)},
                                 .one_time = store_int(st, 6) != 0,
                                 .set_at = store_int(st, 7)};
    if (salt_bytes != sizeof row->salt || hash_bytes != sizeof row->hash ||
        !password_cost_valid(&row->cost))
        FAIL(e, ERR_FORMAT, "a stored password has an unknown form: reset it");
    memcpy(row->salt, salt, sizeof row->salt);
    memcpy(row->hash, hash, sizeof row->hash);
    return true;
}

/* The `max` newest, newest first. */
static bool read_newest(struct store_db *db, int64_t person_id, struct password_row *rows, int max,
                        int *n, struct err *e)
{
    struct store_stmt *st;
    bool row = true, ok = true;
    *n = 0;
    if (!store_query(db,
                     "SELECT id, n, r, p, salt, hash, one_time, set_at FROM password"
                     " WHERE person_id = ?1 ORDER BY id DESC LIMIT ?2",
                     &st, e))
        return false;
    store_bind_int(st, 0, person_id);
    store_bind_int(st, 1, max);
    while (ok && row) {
        if (!store_step(st, &row, e))
            return false;
        if (row)
            ok = read_row(st, &rows[(*n)++], e);
    }
    store_done(st);
    return ok;
}

bool password_newest(struct store_db *db, int64_t person_id, struct password_row *out,
                     struct err *e)
{
    int n;
    if (!read_newest(db, person_id, out, 1, &n, e))
        return false;
    if (n == 0)
        *out = (struct password_row){0};
    return true;
}

bool password_put(struct store_db *db, int64_t person_id, const struct password_row *row,
                  struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "INSERT INTO password (person_id, n, r, p, salt, hash, one_time, set_at)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                     &st, e))
        return false;
    store_bind_int(st, 0, person_id);
    store_bind_int(st, 1, row->cost.n);
    store_bind_int(st, 2, row->cost.r);
    store_bind_int(st, 3, row->cost.p);
    store_bind_blob(st, 4, row->salt, sizeof row->salt);
    store_bind_blob(st, 5, row->hash, sizeof row->hash);
    store_bind_int(st, 6, row->one_time);
    store_bind_int(st, 7, row->set_at);
    if (!store_run(db, st, NULL, e))
        return false;
    if (!store_query(
            db,
            "DELETE FROM password WHERE person_id = ?1 AND id NOT IN (SELECT id FROM password"
            " WHERE person_id = ?1 ORDER BY id DESC LIMIT ?2)",
            &st, e))
        return false;
    store_bind_int(st, 0, person_id);
    store_bind_int(st, 1, PASSWORD_HISTORY);
    return store_run(db, st, NULL, e);
}

bool password_renew(struct store_db *db, const struct password_row *row, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(
            db, "UPDATE password SET n = ?2, r = ?3, p = ?4, salt = ?5, hash = ?6 WHERE id = ?1",
            &st, e))
        return false;
    store_bind_int(st, 0, row->id);
    store_bind_int(st, 1, row->cost.n);
    store_bind_int(st, 2, row->cost.r);
    store_bind_int(st, 3, row->cost.p);
    store_bind_blob(st, 4, row->salt, sizeof row->salt);
    store_bind_blob(st, 5, row->hash, sizeof row->hash);
    return store_run(db, st, NULL, e);
}

/* ---- setting one ----------------------------------------------------------------------------- */

/* What a change works with, first read, then written. */
struct setting {
    const struct audit_actor *actor;
    int64_t person_id;
    struct person person;
    struct password_row old[PASSWORD_HISTORY], fresh;
    int n_old;
    const char *keep_token, *action, *reason;
};

static bool read_setting(struct store_db *db, void *ctx, struct err *e)
{
    struct setting *s = ctx;
    return person_read(db, s->person_id, &s->person, e) &&
           read_newest(db, s->person_id, s->old, PASSWORD_HISTORY, &s->n_old, e);
}

static bool write_setting(struct store_db *db, void *ctx, struct err *e)
{
    struct setting *s = ctx;
    struct password_row now;
    if (!person_read(db, s->person_id, &s->person, e) ||
        !password_newest(db, s->person_id, &now, e))
        return false;
    if (s->person.disabled_at)
        FAIL(e, ERR_NOT_FOUND, "this person is disabled");
    if (now.id != (s->n_old ? s->old[0].id : 0))
        FAIL(e, ERR_CONFLICT, "the password was changed meanwhile");
    if (s->fresh.one_time && !lockout_clear(db, s->person.login, e))
        return false;
    return password_put(db, s->person_id, &s->fresh, e) &&
           session_end_all(db, s->person_id, s->keep_token, NULL, e) &&
           act_record_take(db, s->actor, s->action, "person", s->person_id, NULL, NULL, s->reason,
                           e);
}

/* Against what is stored: ERR_ARG when `text` is one of those that must not come again. */
static bool check_history(const struct auth *a, const struct setting *s, const char *text,
                          struct err *e)
{
    int n = a->profile == PASSWORD_DENGBAO3 ? s->n_old : 1;
    for (int i = 0; i < n && i < s->n_old; i++) {
        bool same;
        if (!password_matches(a, &s->old[i], text, &same, e))
            return false;
        if (same)
            FAIL(e, ERR_ARG, "this password was used before: choose another");
    }
    return true;
}

bool password_change(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                     const char *current, const char *text, const char *keep_token, struct err *e)
{
    struct setting s = {.actor = actor,
                        .person_id = person_id,
                        .keep_token = keep_token,
                        .action = "person.password",
                        .reason = ""};
    bool same = false;
    if (strlen(current) > PASSWORD_MAX_BYTES)
        FAIL(e, ERR_NOT_FOUND, "the current password is wrong");
    if (!store_read(a->store, read_setting, &s, e))
        return false;
    if (strcmp(s.person.source, "local") != 0 || s.n_old == 0)
        FAIL(e, ERR_NOT_FOUND, "this person has no password here");
    if (!password_matches(a, &s.old[0], current, &same, e))
        return false;
    if (!same || password_lapsed(s.old[0].one_time, s.old[0].set_at, clock_wall_s()))
        FAIL(e, ERR_NOT_FOUND, "the current password is wrong");
    return password_acceptable(a->profile, text, s.person.login, e) &&
           check_history(a, &s, text, e) && password_hash(a, text, &s.fresh, e) &&
           act_commit(a->store, write_setting, NULL, &s, e);
}

/* 20 characters of 32 without look-alikes: 100 bits. */
static bool make_one_time(char text[PASSWORD_ONE_TIME_TEXT], struct err *e)
{
    static const char digits[] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t random[20];
    size_t n = 0;
    _Static_assert(sizeof digits == 33, "five bits each");
    if (!hash_random(random, sizeof random, e))
        return false;
    for (size_t i = 0; i < sizeof random; i++) {
        if (i > 0 && i % 4 == 0)
            text[n++] = '-';
        text[n++] = digits[random[i] & 31];
    }
    text[n] = '\0';
    OPENSSL_cleanse(random, sizeof random);
    return true;
}

bool password_reset(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                    const char *reason, char text[PASSWORD_ONE_TIME_TEXT], struct err *e)
{
    struct setting s = {.actor = actor,
                        .person_id = person_id,
                        .action = "person.password_reset",
                        .reason = reason};
    if (!store_read(a->store, read_setting, &s, e))
        return false;
    if (strcmp(s.person.source, "local") != 0)
        FAIL(e, ERR_ARG, "the password of this person is kept by the identity provider");
    if (s.person.roles & ROLE_SERVICE)
        FAIL(e, ERR_ARG, "a service has keys and no password");
    if (!make_one_time(text, e) || !password_hash(a, text, &s.fresh, e))
        return false;
    s.fresh.one_time = true;
    return act_commit(a->store, write_setting, NULL, &s, e);
}

/* ---- first start ----------------------------------------------------------------------------- */

struct first {
    struct roster *roster;
    struct password_row row;
    struct roster_person person;
    int64_t department_id;
    bool created;
};

static bool count_people(struct store_db *db, int64_t *n, struct err *e)
{
    struct store_stmt *st;
    return store_query(db, "SELECT count(*) FROM person", &st, e) && store_first_int(st, 0, n, e);
}

static bool nobody_yet(struct store_db *db, void *ctx, struct err *e)
{
    return count_people(db, ctx, e);
}

static bool create_first(struct store_db *db, void *ctx, struct err *e)
{
    struct first *f = ctx;
    int64_t n, id;
    if (!count_people(db, &n, e))
        return false;
    if (n > 0)
        return true;
    struct person_spec spec = {.login = "admin",
                               .name = "Administrator",
                               .email = "",
                               .roles = ROLE_ADMIN,
                               .source = "local"};
    if (!department_put_path(db, &ACT_SEEKD, "Main", &spec.department_id, e) ||
        !person_put(db, &ACT_SEEKD, &spec, &id, e) || !password_put(db, id, &f->row, e) ||
        !roster_read_person(db, id, &f->person, e))
        return false;
    f->department_id = spec.department_id;
    f->created = true;
    return true;
}

static void apply_first(void *ctx)
{
    struct first *f = ctx;
    if (!f->created)
        return;
    roster_put_department(f->roster, f->department_id, 0);
    roster_put_person(f->roster, &f->person);
}

bool password_first_admin(const struct auth *a, char text[PASSWORD_ONE_TIME_TEXT], bool *created,
                          struct err *e)
{
    struct first f = {.roster = a->roster};
    int64_t n;
    *created = false;
    text[0] = '\0';
    if (!store_read(a->store, nobody_yet, &n, e))
        return false;
    if (n > 0)
        return true;
    bool ok = make_one_time(text, e) && password_hash(a, text, &f.row, e);
    f.row.one_time = true;
    ok = ok && act_commit(a->store, create_first, apply_first, &f, e);
    *created = ok && f.created;
    if (!*created)
        OPENSSL_cleanse(text, PASSWORD_ONE_TIME_TEXT);
    return ok;
}
