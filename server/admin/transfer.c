/* Owns: import and export of the registry over the local socket. Refuses to know: files.
 *
 * The folders are the server's own; that is why only the machine's administrator may name them. An
 * export's audit row is committed before its first file is written. */
#include <config.h>

#include "admin/admin.h"

#include <errno.h>

#include "admin/template_call.h"
#include "api/schema.h"
#include "template/transfer.h"

struct transfer_body {
    const char *folder, *label, *prefix;
    bool dry_run, trust_states;
    int64_t owner_id, department_id; /* 0 = not given */
};

#define AT(member) .offset = offsetof(struct transfer_body, member)
#define FOLDER_FIELD(text)                                                                         \
    {.name = "folder", .type = SCHEMA_STRING, .min = 1, .max = 4096, AT(folder), .required = true, \
     .doc = text}

static const struct schema_field import_fields[] = {
    FOLDER_FIELD("a folder of the server's machine, absolute or as the server sees it"),
    {.name = "dry_run", .type = SCHEMA_BOOL, AT(dry_run), .fallback = "false",
     .doc = "say what would happen, change nothing"},
    {.name = "trust_states", .type = SCHEMA_BOOL, AT(trust_states), .fallback = "false",
     .doc = "take approvals over from labels.json, and approve files without a number"},
    {.name = "label", .type = SCHEMA_STRING, .min = 1, .max = CONTENT_LABEL_MAX, AT(label),
     .doc = "for versions from files without a number"},
    {.name = "owner_id", .type = SCHEMA_INT, .min = 1, .max = ADMIN_ID_MAX, AT(owner_id),
     .doc = "the person who owns new templates; needed when there are any"},
    {.name = "department_id", .type = SCHEMA_INT, .min = 0, .max = ADMIN_ID_MAX, AT(department_id),
     .fallback = "0", .doc = "of new templates without one in labels.json; 0 = everybody"},
};
static const struct schema_field export_fields[] = {
    FOLDER_FIELD("one that does not exist yet, or is empty"),
    {.name = "prefix", .type = SCHEMA_STRING, .min = 0, .max = CONTENT_NAME_MAX, AT(prefix),
     .fallback = "all templates", .doc = "beginning of names"},
};

static const struct schema IMPORT = {"POST /admin/v1/templates/import", import_fields,
                                     sizeof import_fields / sizeof import_fields[0]};
static const struct schema EXPORT = {"POST /admin/v1/templates/export", export_fields,
                                     sizeof export_fields / sizeof export_fields[0]};

/* Whoever sits at the machine may know what is wrong with the folder that they named. */
static void blame_folder(struct err *why)
{
    static const int wrong[] = {ENOTDIR, EACCES, EPERM, ELOOP, ENAMETOOLONG, EROFS, EINVAL};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (why->code == ERR_IO && why->os == wrong[i])
            why->code = ERR_ARG;
}

static void import_folder(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct transfer_body b = {0};
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *report, *body = api_body(call, &IMPORT, &b, &e);
    if (!body) {
        api_answer_error(answer, &e);
        return;
    }
    struct transfer_options opt = {.dry_run = b.dry_run,
                                   .trust_states = b.trust_states,
                                   .label = b.label,
                                   .owner_id = b.owner_id,
                                   .department_id = b.department_id};
    template_call_init(&t, call);
    if (transfer_import(t.registry, &t.act, b.folder, &opt, &report, &why)) {
        api_answer_json_take(answer, 200, report);
    } else {
        blame_folder(&why);
        template_answer_refused_take(answer, &why, "report", report);
    }
    json_decref(body);
}

static void export_folder(const struct api_call *call, struct api_answer *answer)
{
    struct template_call t;
    struct transfer_body b = {0};
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    size_t n = 0;
    json_t *body = api_body(call, &EXPORT, &b, &e);
    if (!body) {
        api_answer_error(answer, &e);
        return;
    }
    template_call_init(&t, call);
    json_t *asked = json_pack("{s:s, s:s*}", "folder", b.folder, "prefix", b.prefix);
    if (admin_record_take(call, "template.export", "server", "templates", asked, &why) &&
        transfer_export(t.registry, &t.who, b.folder, b.prefix, &n, &why)) {
        api_answer_json_take(answer, 200, json_pack("{s:s, s:I}", "folder", b.folder, "versions",
                                                    (json_int_t)n));
    } else {
        blame_folder(&why);
        api_answer_act(answer, &why);
    }
    json_decref(body);
}

#define LOCAL .access = ROUTE_LOCAL, .place = ROUTE_SLOW, .needs_database = true

static const struct route rows[] = {
    {"POST", "/admin/v1/templates/import", LOCAL, .body_bytes = ADMIN_BODY,
     .handler = import_folder, .body = &IMPORT, .summary = "Take over a folder of prompt files"},
    {"POST", "/admin/v1/templates/export", LOCAL, .body_bytes = ADMIN_BODY,
     .handler = export_folder, .body = &EXPORT, .summary = "Write templates to a folder"},
};

const struct route_table ADMIN_TRANSFER = ROUTE_TABLE(rows);
