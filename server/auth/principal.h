/* Who is asking, as every other module sees it. A value, no ownership.
 */
#ifndef SEEKD_AUTH_PRINCIPAL_H
#define SEEKD_AUTH_PRINCIPAL_H

#include <stdbool.h>
#include <stdint.h>

/* A person may have several. None implies another, and an auditor changes nothing. */
enum principal_role {
    ROLE_ADMIN = 1 << 0,
    ROLE_EDITOR = 1 << 1,   /* writes prompt templates */
    ROLE_APPROVER = 1 << 2, /* approves what somebody else wrote */
    ROLE_AUDITOR = 1 << 3,  /* reads the audit log and all usage */
    ROLE_USER = 1 << 4,
    ROLE_SERVICE = 1 << 5 /* a program: keys only, no login */
};

/* What a key may be used for; a session has what its roles allow. */
enum principal_scope {
    SCOPE_INFER = 1 << 0,     /* chat, completions, responses, tokenize, models */
    SCOPE_TEMPLATES = 1 << 1, /* run templates, fetch prompts */
    SCOPE_USAGE = 1 << 2,     /* own usage */
    SCOPE_EDIT = 1 << 3,      /* with ROLE_EDITOR or ROLE_APPROVER */
    SCOPE_AUDIT = 1 << 4,     /* with ROLE_AUDITOR */
    SCOPE_ADMIN = 1 << 5      /* with ROLE_ADMIN */
};

enum { PRINCIPAL_LOGIN_TEXT = 204 };

struct principal {
    int64_t person_id, department_id;
    int64_t key_id; /* 0 = by session, or local */
    uint32_t roles, scopes;
    bool local; /* through the UNIX socket, by the machine's administrator */
    bool must_change_password; /* may do nothing else */
    char login[PRINCIPAL_LOGIN_TEXT];
};

#endif
