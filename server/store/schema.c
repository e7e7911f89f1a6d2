/* Owns the tables. Times are microseconds since the epoch (UTC) where the name ends in _us, else
 * seconds. Lists (scopes, models, networks, tags) are JSON arrays of strings. Hashes are 32 bytes. */
#include <config.h>

#include "store/schema.h"

/* An object, an array or NULL. SQLite 3.40 does not allow json_valid() here when the schema is not
 * trusted; what stands between the brackets was printed by jansson. */
#define JSON_TEXT(c) "CHECK (" c " LIKE '{%}' OR " c " LIKE '[%]')"

static const char people[] =
    "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    /* ---- people ---- */
    "CREATE TABLE department ("
    " id INTEGER PRIMARY KEY,"
    " parent_id INTEGER REFERENCES department(id) ON DELETE RESTRICT,"
    " name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),"
    " keep_prompts INTEGER NOT NULL DEFAULT 0 CHECK (keep_prompts IN (0, 1)),"
    " keep_days INTEGER NOT NULL DEFAULT 30 CHECK (keep_days BETWEEN 1 AND 3650),"
    " created_at INTEGER NOT NULL, disabled_at INTEGER,"
    " revision INTEGER NOT NULL DEFAULT 1) STRICT;"
    "CREATE UNIQUE INDEX department_name ON department (coalesce(parent_id, 0), name);"
    /* roles: bits of enum principal_role */
    "CREATE TABLE person ("
    " id INTEGER PRIMARY KEY,"
    " login TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (length(login) BETWEEN 1 AND 200),"
    " name TEXT NOT NULL DEFAULT '', email TEXT NOT NULL DEFAULT '',"
    " department_id INTEGER NOT NULL REFERENCES department(id) ON DELETE RESTRICT,"
    " roles INTEGER NOT NULL CHECK (roles BETWEEN 0 AND 63),"
    " source TEXT NOT NULL CHECK (source IN ('local', 'ldap', 'oidc')),"
    " subject TEXT," /* what the identity provider calls this person: issuer, blank, sub */
    " created_at INTEGER NOT NULL, disabled_at INTEGER, last_login_at INTEGER,"
    " revision INTEGER NOT NULL DEFAULT 1) STRICT;"
    "CREATE UNIQUE INDEX person_subject ON person (source, subject) WHERE subject IS NOT NULL;"
    "CREATE INDEX person_department ON person (department_id);"
    /* hash: 32 bytes of scrypt with these parameters. The newest row of a person counts. */
    "CREATE TABLE password ("
    " id INTEGER PRIMARY KEY,"
    " person_id INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE,"
    " n INTEGER NOT NULL, r INTEGER NOT NULL, p INTEGER NOT NULL,"
    " salt BLOB NOT NULL, hash BLOB NOT NULL,"
    " one_time INTEGER NOT NULL DEFAULT 0 CHECK (one_time IN (0, 1)),"
    " set_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX password_person ON password (person_id, id);"
    "CREATE TABLE login_failure ("
    " login TEXT NOT NULL COLLATE NOCASE, address TEXT NOT NULL,"
    " failures INTEGER NOT NULL, window_at INTEGER NOT NULL, next_at INTEGER NOT NULL,"
    " PRIMARY KEY (login, address)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE session ("
    " token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),"
    " csrf_hash BLOB NOT NULL CHECK (length(csrf_hash) = 32),"
    " person_id INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE,"
    " created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, ends_at INTEGER NOT NULL,"
    " address TEXT NOT NULL, agent TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;"
    "CREATE INDEX session_person ON session (person_id, created_at);"
    /* lists: NULL = everything */
    "CREATE TABLE api_key ("
    " id INTEGER PRIMARY KEY,"
    " public_id TEXT NOT NULL UNIQUE CHECK (length(public_id) = 8),"
    " secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),"
    " name TEXT NOT NULL,"
    " person_id INTEGER NOT NULL REFERENCES person(id) ON DELETE RESTRICT,"
    " scopes INTEGER NOT NULL," /* bits of enum principal_scope */
    " models TEXT " JSON_TEXT("models") ","
    " templates TEXT " JSON_TEXT("templates") ","
    " networks TEXT " JSON_TEXT("networks") ","
    " created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER, last_used_at INTEGER,"
    " revision INTEGER NOT NULL DEFAULT 1) STRICT;"
    "CREATE INDEX api_key_person ON api_key (person_id);"
    /* ---- limits: NULL = no limit ---- */
    "CREATE TABLE calendar ("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " hours TEXT NOT NULL " JSON_TEXT("hours") ","
    " revision INTEGER NOT NULL DEFAULT 1) STRICT;"
    "CREATE TABLE quota ("
    " subject_kind TEXT NOT NULL CHECK (subject_kind IN ('key', 'person', 'department')),"
    " subject_id INTEGER NOT NULL,"
    " requests_per_minute INTEGER CHECK (requests_per_minute >= 0),"
    " tokens_per_minute INTEGER CHECK (tokens_per_minute >= 0),"
    " parallel INTEGER CHECK (parallel >= 0),"
    " tokens_per_day INTEGER CHECK (tokens_per_day >= 0),"
    " tokens_per_month INTEGER CHECK (tokens_per_month >= 0),"
    " soft INTEGER NOT NULL DEFAULT 0 CHECK (soft IN (0, 1)),"
    " calendar_id INTEGER REFERENCES calendar(id) ON DELETE RESTRICT,"
    " revision INTEGER NOT NULL DEFAULT 1,"
    " PRIMARY KEY (subject_kind, subject_id)) STRICT, WITHOUT ROWID;";

static const char ledger[] =
    "CREATE TABLE usage ("
    " id INTEGER PRIMARY KEY," /* rises with admission */
    " request_id TEXT NOT NULL UNIQUE,"
    " status TEXT NOT NULL CHECK (status IN ('started', 'finished', 'failed', 'interrupted')),"
    " started_us INTEGER NOT NULL, finished_us INTEGER,"
    " person_id INTEGER, key_id INTEGER, department_id INTEGER," /* kept when those are deleted */
    " endpoint TEXT NOT NULL, model TEXT NOT NULL,"
    " class TEXT NOT NULL CHECK (class IN ('interactive', 'api', 'batch')),"
    " template_id INTEGER, template_version INTEGER, template_label TEXT, variables_hash BLOB,"
    " prompt_tokens INTEGER NOT NULL DEFAULT 0, cached_tokens INTEGER NOT NULL DEFAULT 0,"
    " completion_tokens INTEGER NOT NULL DEFAULT 0, reasoning_tokens INTEGER NOT NULL DEFAULT 0,"
    " queue_us INTEGER, ttft_us INTEGER, http_status INTEGER, finish_reason TEXT) STRICT;"
    "CREATE INDEX usage_time ON usage (started_us);"
    "CREATE INDEX usage_person ON usage (person_id, started_us);"
    "CREATE INDEX usage_key ON usage (key_id, started_us);"
    "CREATE INDEX usage_department ON usage (department_id, started_us);"
    "CREATE INDEX usage_template ON usage (template_id, template_version);"
    "CREATE INDEX usage_open ON usage (id) WHERE status = 'started';"
    /* what a department's policy keeps; AES-256-GCM, associated data = request_id */
    "CREATE TABLE usage_text ("
    " usage_id INTEGER PRIMARY KEY REFERENCES usage(id) ON DELETE CASCADE,"
    " nonce BLOB NOT NULL, sealed BLOB NOT NULL, delete_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX usage_text_due ON usage_text (delete_at);"
    /* 0 stands for none in the key columns */
    "CREATE TABLE usage_total ("
    " grain TEXT NOT NULL CHECK (grain IN ('minute', 'hour', 'day')),"
    " starts_at INTEGER NOT NULL,"
    " department_id INTEGER NOT NULL, person_id INTEGER NOT NULL, key_id INTEGER NOT NULL,"
    " model TEXT NOT NULL, template_id INTEGER NOT NULL, template_version INTEGER NOT NULL,"
    " requests INTEGER NOT NULL, failed INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,"
    " completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,"
    " queue_us INTEGER NOT NULL, ttft_us INTEGER NOT NULL, duration_us INTEGER NOT NULL,"
    " PRIMARY KEY (grain, starts_at, department_id, person_id, key_id, model, template_id,"
    "  template_version)) STRICT, WITHOUT ROWID;"
    /* ---- audit: rows are only ever added ---- */
    "CREATE TABLE audit ("
    " seq INTEGER PRIMARY KEY,"
    " at_us INTEGER NOT NULL,"
    " actor_id INTEGER, actor TEXT NOT NULL, address TEXT NOT NULL, request_id TEXT NOT NULL,"
    " action TEXT NOT NULL, object_kind TEXT NOT NULL, object_id TEXT NOT NULL,"
    " before TEXT, after TEXT, reason TEXT NOT NULL,"
    " previous BLOB NOT NULL CHECK (length(previous) = 32),"
    " hash BLOB NOT NULL CHECK (length(hash) = 32)) STRICT;"
    "CREATE INDEX audit_object ON audit (object_kind, object_id);"
    "CREATE TRIGGER audit_kept BEFORE UPDATE ON audit BEGIN"
    " SELECT raise(ABORT, 'audit rows are never changed'); END;";

static const char registry[] =
    "CREATE TABLE template ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE," /* folders by '/' */
    " tags TEXT NOT NULL DEFAULT '[]' " JSON_TEXT("tags") ","
    " owner_id INTEGER NOT NULL REFERENCES person(id) ON DELETE RESTRICT,"
    " department_id INTEGER REFERENCES department(id) ON DELETE RESTRICT," /* NULL: everybody */
    " forked_from INTEGER, forked_version INTEGER,"
    " created_at INTEGER NOT NULL, archived_at INTEGER,"
    " revision INTEGER NOT NULL DEFAULT 1) STRICT;"
    /* content: the canonical JSON of everything that a version says; hash: its SHA-256 */
    "CREATE TABLE template_version ("
    " template_id INTEGER NOT NULL REFERENCES template(id) ON DELETE RESTRICT,"
    " number INTEGER NOT NULL CHECK (number >= 1),"
    " content TEXT NOT NULL " JSON_TEXT("content") ","
    " hash BLOB NOT NULL CHECK (length(hash) = 32),"
    " note TEXT NOT NULL, author_id INTEGER NOT NULL, created_at INTEGER NOT NULL,"
    " PRIMARY KEY (template_id, number)) STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER template_version_kept BEFORE UPDATE ON template_version BEGIN"
    " SELECT raise(ABORT, 'a template version is never changed'); END;"
    /* the newest row of a version is its state */
    "CREATE TABLE template_review ("
    " id INTEGER PRIMARY KEY,"
    " template_id INTEGER NOT NULL, number INTEGER NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('draft', 'review', 'approved', 'rejected')),"
    " by_id INTEGER NOT NULL, at INTEGER NOT NULL,"
    " note TEXT NOT NULL DEFAULT '', evidence TEXT " JSON_TEXT("evidence") ","
    " FOREIGN KEY (template_id, number) REFERENCES template_version (template_id, number)) STRICT;"
    "CREATE INDEX template_review_version ON template_review (template_id, number, id);"
    /* canary: part of the traffic, or one department, gets another version under the same label */
    "CREATE TABLE template_label ("
    " template_id INTEGER NOT NULL, label TEXT NOT NULL, number INTEGER NOT NULL,"
    " protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1)),"
    " canary_number INTEGER, canary_permille INTEGER CHECK (canary_permille BETWEEN 0 AND 1000),"
    " canary_department_id INTEGER REFERENCES department(id) ON DELETE RESTRICT,"
    " moved_at INTEGER NOT NULL, moved_by INTEGER NOT NULL,"
    " revision INTEGER NOT NULL DEFAULT 1,"
    " PRIMARY KEY (template_id, label),"
    " FOREIGN KEY (template_id, number) REFERENCES template_version (template_id, number),"
    " FOREIGN KEY (template_id, canary_number)"
    "  REFERENCES template_version (template_id, number)) STRICT, WITHOUT ROWID;"
    /* what a version includes */
    "CREATE TABLE template_part ("
    " template_id INTEGER NOT NULL, number INTEGER NOT NULL,"
    " part_id INTEGER NOT NULL REFERENCES template(id) ON DELETE RESTRICT,"
    " part_number INTEGER NOT NULL,"
    " FOREIGN KEY (template_id, number) REFERENCES template_version (template_id, number)) STRICT;"
    "CREATE INDEX template_part_of ON template_part (template_id, number);"
    "CREATE INDEX template_part_used ON template_part (part_id);"
    "CREATE TABLE template_run ("
    " id INTEGER PRIMARY KEY,"
    " template_id INTEGER NOT NULL, number INTEGER NOT NULL,"
    " at INTEGER NOT NULL, by_id INTEGER NOT NULL,"
    " passed INTEGER NOT NULL, failed INTEGER NOT NULL,"
    " report TEXT NOT NULL " JSON_TEXT("report") ","
    " FOREIGN KEY (template_id, number) REFERENCES template_version (template_id, number)) STRICT;"
    "CREATE INDEX template_run_version ON template_run (template_id, number, id);";

static const char *const first[] = {people, ledger, registry, NULL};

/* The token against forged requests is derived from that of the session: nobody read the hash. */
static const char *const session_without_csrf[] = {"ALTER TABLE session DROP COLUMN csrf_hash;", NULL};

const char *const *const SCHEMA_MIGRATIONS[] = {first, session_without_csrf};
const size_t SCHEMA_VERSION = sizeof SCHEMA_MIGRATIONS / sizeof SCHEMA_MIGRATIONS[0];
