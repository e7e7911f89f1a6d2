/* Queries of the prompt registry over many versions. `bench_registry [VERSIONS [FOLDER]]`; 10,000
 * versions in the working directory unless told: a tenth of them of one template, the others ten
 * to a template.
 * Prints one line per figure: name, value, unit. */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"
#include "template/registry.h"

enum { WRITERS = 8, PER_TEMPLATE = 10, ROUNDS = 15, LINES = 40 };

static struct store *store;
static struct registry *registry;
static int n_templates, n_big; /* templates of PER_TEMPLATE versions, versions of "big" */

static const struct principal editor = {
    .person_id = 1, .department_id = 4, .roles = ROLE_EDITOR, .login = "bench"};
static const struct audit_actor actor = {1, "bench", "local", "", NULL};
static const struct registry_act act = {&editor, &actor, "", 1};

static void need(bool ok, const struct err *e)
{
    if (ok)
        return;
    fprintf(stderr, "bench_registry: %s\n", e->msg);
    exit(EXIT_FAILURE);
}

/* ---- writing ----------------------------------------------------------------------------------- */

static bool people(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    (void)ctx;
    return store_query(db,
                       "INSERT INTO department (id, parent_id, name, created_at) VALUES"
                       " (1, NULL, 'a', 0), (2, 1, 'b', 0), (3, 1, 'c', 0), (4, 2, 'd', 0)",
                       &st, e) &&
           store_run(db, st, NULL, e) &&
           store_query(db,
                       "INSERT INTO person (id, login, department_id, roles, source, created_at)"
                       " VALUES (1, 'bench', 4, 2, 'local', 0)",
                       &st, e) &&
           store_run(db, st, NULL, e);
}

/* Forty lines, one of which says which version it is. */
static json_t *content_of(int template, int number)
{
    char text[LINES * 80];
    size_t n = 0;
    for (int i = 0; i < LINES; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "Rule %d: %s%d.%d\n", i,
                              i == number % LINES ? "changed in " : "keep to the standard ",
                              template, i == number % LINES ? number : 0);
    return json_pack("{s:{s:s, s:s}, s:[{s:s, s:s}, {s:s, s:s}], s:[{s:s, s:s, s:b}]}", "title", "en",
                     "A template", "zh", "模板", "messages", "role", "system", "content", text, "role",
                     "user", "content", "{{ text }}", "variables", "name", "text", "type", "text",
                     "required", 1);
}

static void write_template(int template, const char *name, int versions)
{
    struct err e = ERR_INIT;
    int64_t revision = 0;
    json_t *tags = json_pack("[s]", template % 7 ? "common" : "rare");
    for (int number = 1; number <= versions; number++) {
        struct registry_saved saved;
        json_t *content = content_of(template, number);
        struct registry_save job = {.name = name, .content = content, .note = "bench", .tags = tags,
                                    .revision = revision, .department_id = template % 5};
        need(registry_save(registry, &act, &job, &saved, &e), &e);
        revision = saved.revision;
        registry_saved_release(&saved);
        json_decref(content);
    }
    need(registry_label_move(registry, &act, name, "staging", versions, 0, &e), &e);
    json_decref(tags);
}

static void name_of(int template, char out[64])
{
    snprintf(out, 64, "folder-%02d/template-%05d", template % 20, template);
}

static void *write_some(void *user)
{
    char name[64];
    for (int i = (int)(intptr_t)user; i < n_templates; i += WRITERS) {
        name_of(i, name);
        write_template(i, name, PER_TEMPLATE);
    }
    return NULL;
}

static void write_all(void)
{
    pthread_t thread[WRITERS];
    uint64_t start = clock_now_us();
    for (int i = 0; i < WRITERS; i++)
        if (pthread_create(&thread[i], NULL, write_some, (void *)(intptr_t)i))
            exit(EXIT_FAILURE);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(thread[i], NULL);
    int written = n_templates * PER_TEMPLATE;
    printf("save,%.2f,ms per version by %d writers (%d versions)\n",
           (double)(clock_now_us() - start) / 1e3 / (written ? written : 1), WRITERS, written);
    start = clock_now_us();
    write_template(0, "big", n_big);
    printf("save,%.2f,ms per version by one writer (%d of one template)\n",
           (double)(clock_now_us() - start) / 1e3 / n_big, n_big);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static bool list_page(const struct registry_filter *f, struct err *e)
{
    json_t *out;
    bool ok = registry_list(registry, &editor, f, &out, e);
    json_decref(out);
    return ok;
}

static bool first_page(int i, struct err *e)
{
    (void)i;
    return list_page(&(struct registry_filter){.limit = 100}, e);
}

static bool middle_page(int i, struct err *e)
{
    (void)i;
    return list_page(&(struct registry_filter){.limit = 100, .after = "folder-10/"}, e);
}

static bool folder_page(int i, struct err *e)
{
    char prefix[16];
    snprintf(prefix, sizeof prefix, "folder-%02d/", i % 20);
    return list_page(&(struct registry_filter){.limit = 100, .prefix = prefix}, e);
}

static bool tag_page(int i, struct err *e)
{
    (void)i;
    return list_page(&(struct registry_filter){.limit = 500, .tag = "rare", .label = "staging"}, e);
}

static bool get_small(int i, struct err *e)
{
    char name[64];
    json_t *out;
    name_of(i * 37 % (n_templates / 5) * 5, name);
    bool ok = registry_get(registry, &editor, name, &out, e);
    json_decref(out);
    return ok;
}

static bool get_big(int i, struct err *e)
{
    json_t *out;
    (void)i;
    bool ok = registry_get(registry, &editor, "big", &out, e);
    json_decref(out);
    return ok;
}

static bool version(int i, struct err *e)
{
    json_t *out;
    struct registry_ref ref = {.number = 1 + i * 37 % n_big};
    bool ok = registry_version(registry, &editor, "big", ref, &out, e);
    json_decref(out);
    return ok;
}

static bool diff(int i, struct err *e)
{
    json_t *out;
    struct registry_ref from = {.number = 1 + i}, to = {.label = "latest"};
    bool ok = registry_diff(registry, &editor, "big", from, to, &out, e);
    json_decref(out);
    return ok;
}

static bool resolve(const char *name, struct registry_ref ref, struct err *e)
{
    struct registry_request request = {.name = name, .ref = ref, .caller = "person:1"};
    struct registry_resolved out;
    bool ok = registry_resolve(registry, &editor, &request, &out, e);
    prompt_unref(&out.prompt);
    return ok;
}

static bool resolve_new(int i, struct err *e)
{
    char name[64];
    name_of(i * 5, name);
    return resolve(name, (struct registry_ref){.number = 3}, e);
}

static bool resolve_known(int i, struct err *e)
{
    (void)i;
    return resolve("big", (struct registry_ref){.label = "staging"}, e);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void time_each(const char *name, bool (*fn)(int i, struct err *e))
{
    struct err e = ERR_INIT;
    double ms[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = clock_now_us();
        need(fn(i, &e), &e);
        ms[i] = (double)(clock_now_us() - start) / 1e3;
    }
    qsort(ms, ROUNDS, sizeof ms[0], compare);
    printf("%s,%.2f,ms median (%.2f worst)\n", name, ms[ROUNDS / 2], ms[ROUNDS - 1]);
}

static void remove_files(const char *folder, const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char side[320];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(side, sizeof side, "%s%s", path, ends[i]);
        unlink(side);
    }
    rmdir(folder);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*fn)(int i, struct err *e);
    } table[] = {
        {"list, first 100", first_page},
        {"list, 100 from the middle", middle_page},
        {"list, one folder", folder_page},
        {"list, by tag and label", tag_page},
        {"get, 10 versions", get_small},
        {"get, the big one", get_big},
        {"version", version},
        {"diff", diff},
        {"resolve, not compiled yet", resolve_new},
        {"resolve, known", resolve_known},
    };
    int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 10000;
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    char folder[256], path[300];
    snprintf(folder, sizeof folder, "%s/bench_registry.XXXXXX", argc > 2 ? argv[2] : ".");
    if (n < 1000 || n > 10000000 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: bench_registry [VERSIONS (1000 or more) [FOLDER]]\n");
        return EXIT_FAILURE;
    }
    log_set_level(LOG_WARN);
    snprintf(path, sizeof path, "%s/db", folder);
    n_big = n / 10;
    n_templates = (n - n_big) / PER_TEMPLATE;
    opt.path = path;
    need(store_open(&opt, &store, &e), &e);
    need(store_write(store, people, NULL, &e), &e);
    registry_create(store, NULL, &registry);
    write_all();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        time_each(table[i].name, table[i].fn);
    registry_destroy(&registry);
    store_close(&store);
    struct stat st;
    if (stat(path, &st) == 0)
        printf("file,%.1f,MiB\n", (double)st.st_size / (1 << 20));
    remove_files(folder, path);
    return EXIT_SUCCESS;
}
