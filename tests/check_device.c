/* The Vulkan device on every driver there is: opening, buffers, copies, recorded plans, the
 * pipeline cache file, and what happens when the driver fails at any call.
 */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/each_driver.h"
#include "fault/vk_fault.h"

#include "base/hash.h"
#include "base/log.h"
#include "device/vulkan/runtime.h"

#define MIB ((uint64_t)1 << 20)

enum { WIDTH = 64, ROWS = 5, STAGES = 4 };

static struct dev *device;
static struct err err;

#define OK(call) ck_assert_msg((call), "%s", err.msg)

static struct dev *open_device(const char *cache_dir)
{
    struct dev_options opt = {.name = "vulkan", .cache_dir = cache_dir};
    struct dev *d = NULL;

    ck_assert_msg(dev_open(&opt, &d, &err), "%s", err.msg);
    return d;
}

static void setup(void)
{
    device = open_device(NULL);
}

static void teardown(void)
{
    dev_close(&device);
    ck_assert_ptr_null(device);
    vk_fault_disguise(false);
}

static void setup_disguised(void)
{
    vk_fault_install();
    vk_fault_disguise(true);
    setup();
    ck_assert(!dev_info(device)->software);
}

/* ---- a small plan -------------------------------------------------------------------------------
 * STAGES chained norms over two buffers: a -> b -> a -> b -> a. */

struct small {
    struct dev_step step;
    struct dev_buf *a, *b, *weight;
    struct plan *plan;
};

static float input_at(int i)
{
    return (float)(i % 7) - 2.5f;
}

static bool small_fill(struct dev *d, struct small *s, struct err *e)
{
    float values[ROWS * WIDTH], ones[WIDTH];
    struct dev_step_head head = {.n_rows = ROWS};

    for (int i = 0; i < ROWS * WIDTH; i++)
        values[i] = input_at(i);
    for (int i = 0; i < WIDTH; i++)
        ones[i] = 1.0f;
    memcpy(dev_buf_map(s->step.head), &head, sizeof head);
    return dev_buf_write(d, s->a, 0, values, sizeof values, e) &&
           dev_buf_write(d, s->weight, 0, ones, sizeof ones, e);
}

static bool small_record(struct dev *d, struct small *s, struct err *e)
{
    struct dev_view va = {s->a, 0, WIDTH}, vb = {s->b, 0, WIDTH};

    if (!plan_create(d, &s->step, ROWS, 1, &s->plan, e))
        return false;
    for (int i = 0; i < STAGES; i++) {
        struct op op = {.kind = OP_RMSNORM,
                        .label = "norm",
                        .u.rmsnorm = {.src = i % 2 ? vb : va,
                                      .dst = i % 2 ? va : vb,
                                      .weight = s->weight,
                                      .n = WIDTH,
                                      .eps = 1e-6f}};
        if (!plan_add(s->plan, &op, e))
            return false;
    }
    return plan_finish(s->plan, e);
}

static void small_close(struct dev *d, struct small *s)
{
    plan_destroy(&s->plan);
    dev_buf_destroy(d, &s->a);
    dev_buf_destroy(d, &s->b);
    dev_buf_destroy(d, &s->weight);
    dev_step_release(d, &s->step);
}

static bool small_open(struct dev *d, struct small *s, struct err *e)
{
    memset(s, 0, sizeof *s);
    s->step = (struct dev_step){.max_rows = ROWS, .max_out = 1, .max_seqs = 1, .table_stride = 1};
    if (dev_step_init(d, &s->step, e) &&
        dev_buf_create(d, ROWS * WIDTH * 4, DEV_MEM_DEVICE, "a", &s->a, e) &&
        dev_buf_create(d, ROWS * WIDTH * 4, DEV_MEM_DEVICE, "b", &s->b, e) &&
        dev_buf_create(d, WIDTH * 4, DEV_MEM_DEVICE, "weight", &s->weight, e) &&
        small_fill(d, s, e) && small_record(d, s, e))
        return true;
    small_close(d, s);
    return false;
}

/* Runs it twice and leaves the result in out[ROWS * WIDTH]. */
static bool small_run(struct dev *d, struct small *s, float *out, struct err *e)
{
    return plan_run(s->plan, e) && plan_run(s->plan, e) &&
           dev_buf_read(d, s->a, 0, out, ROWS * WIDTH * 4, e);
}

/* After a norm every row has mean square 1, and the signs and ratios of the input. */
static void small_check(const float *out)
{
    for (int row = 0; row < ROWS; row++) {
        double sum = 0, in = 0;
        for (int i = row * WIDTH; i < (row + 1) * WIDTH; i++) {
            sum += (double)out[i] * out[i];
            in += (double)input_at(i) * input_at(i);
        }
        ck_assert_double_eq_tol(sum / WIDTH, 1.0, 1e-4);
        double scale = 1.0 / __builtin_sqrt(in / WIDTH);
        for (int i = row * WIDTH; i < (row + 1) * WIDTH; i++)
            ck_assert_double_eq_tol(out[i], input_at(i) * scale, 1e-4);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

static void expect_no_device(const char *name, enum err_code code, const char *part)
{
    struct dev_options opt = {.name = name};
    struct dev *d = NULL;

    ck_assert_msg(!dev_open(&opt, &d, &err), "opened %s", name);
    ck_assert_ptr_null(d);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.msg, part) != NULL, "%s", err.msg);
}

START_TEST(names_of_devices)
{
    expect_no_device("cuda", ERR_ARG, "unknown device \"cuda\"");
    expect_no_device("", ERR_ARG, "unknown device");
    expect_no_device("vulkan:", ERR_ARG, "unknown device");
    expect_no_device("vulkan:x", ERR_ARG, "unknown device");
    expect_no_device("vulkan:0x", ERR_ARG, "unknown device");
    expect_no_device("vulkan:-1", ERR_ARG, "unknown device");
    expect_no_device("vulkano", ERR_ARG, "unknown device");
    expect_no_device("vulkan:77", ERR_NOT_FOUND, "no device vulkan:77");
    expect_no_device("vulkan:99999999999999999999", ERR_NOT_FOUND, "no device vulkan:");
}
END_TEST

START_TEST(every_good_name_opens)
{
    const char *names[] = {"auto", "vulkan", "vulkan:0"};

    for (int i = 0; i < 3; i++) {
        struct dev_options opt = {.name = names[i]};
        struct dev *d = NULL;
        OK(dev_open(&opt, &d, &err));
        const struct dev_info *info = dev_info(d);
        ck_assert(info->name[0] && info->driver[0] && info->software);
        ck_assert_uint_gt(info->memory_bytes, 0);
        ck_assert_uint_ge(info->max_bind_bytes, 128 * MIB - 256);
        ck_assert_uint_ge(info->max_alloc_bytes, 1024 * MIB - 256);
        ck_assert(!dev_failed(d));
        dev_close(&d);
    }
}
END_TEST

START_TEST(no_driver_is_explained)
{
    char *files = getenv("VK_DRIVER_FILES"), *saved = files ? strdup(files) : NULL;

    setenv("VK_DRIVER_FILES", "/nonexistent/driver.json", 1);
    setenv("VK_ICD_FILENAMES", "/nonexistent/driver.json", 1);
    expect_no_device("vulkan", ERR_NOT_FOUND, "mesa-vulkan-drivers");
    if (saved) {
        setenv("VK_DRIVER_FILES", saved, 1);
        setenv("VK_ICD_FILENAMES", saved, 1);
    } else {
        unsetenv("VK_DRIVER_FILES");
        unsetenv("VK_ICD_FILENAMES");
    }
    free(saved);
}
END_TEST

START_TEST(list_names_limits_and_variants)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    OK(dev_list(out, true, &err));
    fclose(out);
    const char *parts[] = {
        "vulkan:0 ", "type       software", "driver ", "Vulkan     1.", "memory ", "bind ",
        "subgroup",  "features ",           "rmsnorm", "matmul"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "no \"%s\" in:\n%s", parts[i], text);
    free(text);
}
END_TEST

START_TEST(feature_names)
{
    char text[128], tiny[8];

    ck_assert_str_eq(vk_feature_names(0, text, sizeof text), "");
    ck_assert_str_eq(vk_feature_names(VK_FEAT_INT8 | VK_FEAT_HARDWARE, text, sizeof text),
                     "INT8 HARDWARE");
    vk_feature_names(127, text, sizeof text);
    ck_assert_uint_lt(strlen(text), sizeof text - 1);
    vk_feature_names(127, tiny, sizeof tiny);
    ck_assert_uint_lt(strlen(tiny), sizeof tiny);
}
END_TEST

/* ---- buffers --------------------------------------------------------------------------------- */

START_TEST(buffers_start_zero_and_keep_what_is_written)
{
    static const enum dev_mem kinds[] = {DEV_MEM_DEVICE, DEV_MEM_STEP, DEV_MEM_RESULT};
    uint8_t in[1000], out[1000];

    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7 + 1);
    for (int k = 0; k < 3; k++) {
        struct dev_buf *b = NULL;
        OK(dev_buf_create(device, sizeof in, kinds[k], "test", &b, &err));
        ck_assert_uint_eq(dev_buf_bytes(b), sizeof in);
        ck_assert((dev_buf_map(b) != NULL) == (kinds[k] != DEV_MEM_DEVICE));
        OK(dev_buf_read(device, b, 0, out, sizeof out, &err));
        for (size_t i = 0; i < sizeof out; i++)
            ck_assert_uint_eq(out[i], 0);
        OK(dev_buf_write(device, b, 3, in, 990, &err));
        OK(dev_buf_read(device, b, 3, out, 990, &err));
        ck_assert_mem_eq(in, out, 990);
        OK(dev_buf_write(device, b, 0, in, 0, &err));
        dev_buf_destroy(device, &b);
        ck_assert_ptr_null(b);
    }
}
END_TEST

START_TEST(mapped_memory_is_the_buffer)
{
    struct dev_buf *b = NULL;
    uint32_t word = 0x12345678, back = 0;

    OK(dev_buf_create(device, 64, DEV_MEM_STEP, "test", &b, &err));
    memcpy((char *)dev_buf_map(b) + 8, &word, sizeof word);
    OK(dev_buf_read(device, b, 8, &back, sizeof back, &err));
    ck_assert_uint_eq(back, word);
    dev_buf_destroy(device, &b);
}
END_TEST

START_TEST(large_copies_cross_every_boundary)
{
    uint64_t bytes = 41 * MIB + 12; /* more than two staging halves, with a remainder */
    uint32_t *in = malloc(bytes), *out = calloc(1, bytes);
    struct dev_buf *b = NULL;

    for (uint64_t i = 0; i < bytes / 4; i++)
        in[i] = (uint32_t)i * 2654435761u;
    OK(dev_buf_create(device, bytes, DEV_MEM_DEVICE, "large", &b, &err));
    OK(dev_buf_write(device, b, 0, in, bytes, &err));
    OK(dev_buf_read(device, b, 0, out, bytes, &err));
    ck_assert_int_eq(memcmp(in, out, bytes), 0);
    OK(dev_buf_read(device, b, 17 * MIB, out, 20 * MIB, &err));
    ck_assert_int_eq(memcmp(in + 17 * MIB / 4, out, 20 * MIB), 0);
    dev_buf_destroy(device, &b);
    free(in);
    free(out);
}
END_TEST

START_TEST(copies_outside_are_refused)
{
    struct dev_buf *b = NULL;
    uint8_t bytes[16] = {0};

    OK(dev_buf_create(device, 16, DEV_MEM_DEVICE, "test", &b, &err));
    ck_assert(!dev_buf_write(device, b, 1, bytes, 16, &err));
    ck_assert_int_eq(err.code, ERR_ARG);
    ck_assert(!dev_buf_read(device, b, 17, bytes, 0, &err));
    ck_assert(!dev_buf_read(device, b, UINT64_MAX - 3, bytes, 8, &err));
    ck_assert(!dev_failed(device));
    dev_buf_destroy(device, &b);
}
END_TEST

START_TEST(impossible_sizes)
{
    struct dev_buf *b = NULL;
    uint64_t max = dev_info(device)->max_alloc_bytes;

    ck_assert(!dev_buf_create(device, 0, DEV_MEM_DEVICE, "none", &b, &err));
    ck_assert_int_eq(err.code, ERR_ARG);
    ck_assert(!dev_buf_create(device, max + 1, DEV_MEM_DEVICE, "huge", &b, &err));
    ck_assert_int_eq(err.code, ERR_LIMIT);
    ck_assert(!dev_buf_create(device, UINT64_MAX, DEV_MEM_DEVICE, "huge", &b, &err));
    ck_assert_int_eq(err.code, ERR_LIMIT);
    ck_assert_ptr_null(b);
    ck_assert(!dev_failed(device));
}
END_TEST

START_TEST(small_buffers_share_slabs)
{
    struct dev_buf *b[100], *large = NULL;
    struct vk_mem_stats stats;

    for (int i = 0; i < 100; i++)
        OK(dev_buf_create(device, 1000, DEV_MEM_DEVICE, "small", &b[i], &err));
    vk_mem_stats(vk_of(device), &stats);
    ck_assert_uint_eq(stats.n_buffers, 100);
    ck_assert_uint_eq(stats.n_allocations, 1);
    OK(dev_buf_create(device, 80 * MIB, DEV_MEM_DEVICE, "large", &large, &err));
    vk_mem_stats(vk_of(device), &stats);
    ck_assert_uint_eq(stats.n_allocations, 2);
    ck_assert_uint_eq(stats.buffer_bytes, 100 * 1024 + 80 * MIB);
    for (int i = 0; i < 100; i++)
        dev_buf_destroy(device, &b[i]);
    dev_buf_destroy(device, &large);
    vk_mem_stats(vk_of(device), &stats);
    ck_assert_uint_eq(stats.n_buffers, 0);
    ck_assert_uint_le(stats.n_allocations, 0);
    ck_assert_uint_eq(stats.allocated_bytes, 0);
}
END_TEST

/* Buffers come and go in random order; none may ever see another one's bytes. */
START_TEST(slabs_never_overlap)
{
    enum { SLOTS = 40, TURNS = 600 };
    struct dev_buf *b[SLOTS] = {NULL};
    uint8_t mark[SLOTS] = {0};

    srand(7);
    for (int turn = 0; turn < TURNS; turn++) {
        int i = rand() % SLOTS;
        if (b[i]) {
            const uint8_t *p = dev_buf_map(b[i]);
            for (uint64_t k = 0; k < dev_buf_bytes(b[i]); k++)
                ck_assert_uint_eq(p[k], mark[i]);
            dev_buf_destroy(device, &b[i]);
        } else {
            uint64_t bytes = 1 + (uint64_t)rand() % (rand() % 8 == 0 ? 300000 : 3000);
            OK(dev_buf_create(device, bytes, DEV_MEM_STEP, "turn", &b[i], &err));
            mark[i] = (uint8_t)(1 + rand() % 255);
            memset(dev_buf_map(b[i]), mark[i], bytes);
        }
    }
    for (int i = 0; i < SLOTS; i++)
        dev_buf_destroy(device, &b[i]);
}
END_TEST

START_TEST(memory_report_groups_tags)
{
    struct dev_buf *a = NULL, *b = NULL, *c = NULL;
    char *text = NULL;
    size_t bytes = 0;

    OK(dev_buf_create(device, 256, DEV_MEM_STEP, "kv", &a, &err));
    OK(dev_buf_create(device, 512, DEV_MEM_STEP, "kv", &b, &err));
    OK(dev_buf_create(device, 256, DEV_MEM_STEP, "norm", &c, &err));
    FILE *out = open_memstream(&text, &bytes);
    vk_mem_print(vk_of(device), out);
    fclose(out);
    ck_assert_msg(strstr(text, "kv                        2 buffers          768 bytes\n") != NULL,
                  "%s", text);
    free(text);
    dev_buf_destroy(device, &a);
    dev_buf_destroy(device, &b);
    dev_buf_destroy(device, &c);
}
END_TEST

/* ---- plans ----------------------------------------------------------------------------------- */

START_TEST(plans_compute)
{
    float out[ROWS * WIDTH];
    struct small s;

    OK(small_open(device, &s, &err));
    OK(small_run(device, &s, out, &err));
    small_check(out);
    small_close(device, &s);
}
END_TEST

START_TEST(plans_print_their_variants)
{
    struct small s;
    char *text = NULL;
    size_t bytes = 0;

    OK(small_open(device, &s, &err));
    FILE *out = open_memstream(&text, &bytes);
    plan_print(s.plan, out);
    fclose(out);
    ck_assert_msg(strstr(text, "ops=4 barriers=3") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "|    3 rmsnorm     norm                   rmsnorm") != NULL, "%s",
                  text);
    free(text);
    small_close(device, &s);
}
END_TEST

START_TEST(profile_times_every_op)
{
    double us[STAGES];
    struct small s;

    OK(small_open(device, &s, &err));
    ck_assert_uint_eq(plan_op_count(s.plan), STAGES);
    OK(plan_profile(s.plan, 3, us, &err));
    for (int i = 0; i < STAGES; i++)
        ck_assert_msg(us[i] > 0 && us[i] < 1e6, "op %d: %g us", i, us[i]);
    small_close(device, &s);
}
END_TEST

START_TEST(bad_dispatches_are_refused)
{
    struct dev_buf *b = NULL;
    struct vk_dispatch good = {.n_binds = 1, .groups = {1, 1, 1}}, x;

    OK(dev_buf_create(device, 1024, DEV_MEM_DEVICE, "test", &b, &err));
    good.bind[0] = (struct vk_range){b, 0, 1024};
    x = good;
    x.shader = vk_n_shaders;
    ck_assert(!vk_dispatch_run(device, &x, 1, &err));
    ck_assert_int_eq(err.code, ERR_INTERNAL);
    x = good;
    x.bind[0].bytes = 1040;
    ck_assert(!vk_dispatch_run(device, &x, 1, &err));
    ck_assert_int_eq(err.code, ERR_INTERNAL);
    x = good;
    x.bind[0].offset = 8;
    ck_assert(!vk_dispatch_run(device, &x, 1, &err));
    x = good;
    x.bind[0].bytes = vk_dev_caps(device)->max_bind_bytes + 16;
    ck_assert(!vk_dispatch_run(device, &x, 1, &err));
    ck_assert_int_eq(err.code, ERR_LIMIT);
    x = good;
    x.groups[1] = UINT32_MAX;
    if (vk_dev_caps(device)->max_workgroup_count[1] < UINT32_MAX) {
        ck_assert(!vk_dispatch_run(device, &x, 1, &err));
        ck_assert_int_eq(err.code, ERR_LIMIT);
    }
    x = good;
    x.indirect = b;
    x.indirect_offset = 1016;
    ck_assert(!vk_dispatch_run(device, &x, 1, &err));
    ck_assert(!dev_failed(device));
    dev_buf_destroy(device, &b);
}
END_TEST

START_TEST(missing_features_are_named)
{
    struct vk_dispatch x = {.groups = {1, 1, 1}};

    vk_of(device)->adapter.caps.features = 0;
    while (x.shader < vk_n_shaders && vk_shaders[x.shader].features == 0)
        x.shader++;
    ck_assert_uint_lt(x.shader, vk_n_shaders);
    ck_assert(!vk_dispatch_run(device, &x, 1, &err));
    ck_assert_int_eq(err.code, ERR_UNSUPPORTED);
    ck_assert_msg(strstr(err.msg, "the device lacks ") != NULL, "%s", err.msg);
}
END_TEST

/* ---- pipeline cache -------------------------------------------------------------------------- */

static char cache_dir[64];
static char cache_file[512];

static void setup_cache(void)
{
    log_set_level(LOG_WARN);
    snprintf(cache_dir, sizeof cache_dir, "seekd-cache-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(cache_dir));
}

static void teardown_cache(void)
{
    unlink(cache_file);
    ck_assert_int_eq(rmdir(cache_dir), 0); /* and no temporary file is left */
    log_set_level(LOG_INFO);
}

/* Opens with the cache, runs the small plan, closes; returns what the file was good for. */
static enum vk_cache_state cached_run(void)
{
    float out[ROWS * WIDTH];
    struct small s;
    struct dev *d = open_device(cache_dir);
    enum vk_cache_state state = vk_pipes_cache_state(vk_of(d));

    snprintf(cache_file, sizeof cache_file, "%s", vk_pipes_cache_path(vk_of(d)));
    OK(small_open(d, &s, &err));
    OK(small_run(d, &s, out, &err));
    small_check(out);
    small_close(d, &s);
    dev_close(&d);
    return state;
}

static size_t slurp(uint8_t *data, size_t max)
{
    FILE *f = fopen(cache_file, "rb");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(data, 1, max, f);
    fclose(f);
    return n;
}

static void spill(const uint8_t *data, size_t bytes)
{
    FILE *f = fopen(cache_file, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

START_TEST(cache_is_written_and_used)
{
    struct stat st;

    ck_assert_int_eq(cached_run(), VK_CACHE_ABSENT);
    ck_assert_int_eq(stat(cache_file, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(cached_run(), VK_CACHE_USED);
}
END_TEST

static uint8_t whole[4 << 20], broken[(4 << 20) + 1];

static void expect_rejected(const uint8_t *data, size_t bytes)
{
    spill(data, bytes);
    ck_assert_int_eq(cached_run(), VK_CACHE_REJECTED);
    ck_assert_int_eq(cached_run(), VK_CACHE_USED); /* it was written anew */
}

START_TEST(cache_of_wrong_length)
{
    cached_run();
    size_t n = slurp(whole, sizeof whole), lengths[] = {1, 8, 100, n / 2, n - 1, n + 1};

    ck_assert_uint_gt(n, 144);
    memcpy(broken, whole, n);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        expect_rejected(broken, lengths[i]);
    spill(broken, 0); /* an empty file is like none */
    ck_assert_int_ne(cached_run(), VK_CACHE_USED);
    ck_assert_int_eq(cached_run(), VK_CACHE_USED);
}
END_TEST

/* One flipped bit in every header field and in the payload. */
START_TEST(cache_with_flipped_bits)
{
    static const size_t at[] = {0, 8, 12, 16, 20, 24, 28, 32, 48, 64, 96, 104, 135, 136};

    cached_run();
    size_t n = slurp(whole, sizeof whole);
    for (size_t i = 0; i < sizeof at / sizeof at[0] + 1; i++) {
        memcpy(broken, whole, n);
        broken[i < sizeof at / sizeof at[0] ? at[i] : n - 1] ^= 4;
        expect_rejected(broken, n);
    }
}
END_TEST

/* A well-formed file of another driver version: only the comparison can tell. */
START_TEST(cache_of_another_driver)
{
    cached_run();
    size_t n = slurp(whole, sizeof whole);
    memcpy(broken, whole, n);
    broken[24]++;
    expect_rejected(broken, n);
}
END_TEST

START_TEST(cache_folder_that_cannot_be_written)
{
    struct dev_options opt = {.name = "vulkan", .cache_dir = "no/such/folder"};
    float out[ROWS * WIDTH];
    struct dev *d = NULL;
    struct small s;

    cached_run(); /* for the fixture */
    log_set_level(LOG_ERROR);
    OK(dev_open(&opt, &d, &err));
    OK(small_open(d, &s, &err));
    OK(small_run(d, &s, out, &err));
    small_check(out);
    small_close(d, &s);
    dev_close(&d);
}
END_TEST

/* ---- driver faults --------------------------------------------------------------------------- */

static const char *fault_cache; /* cache folder of the scenario, or NULL */

/* Everything a device does in its life. */
static bool scenario(struct err *e)
{
    struct dev_options opt = {.name = "vulkan", .cache_dir = fault_cache};
    float out[ROWS * WIDTH];
    double us[STAGES];
    struct small s;
    struct dev *d = NULL;

    if (!dev_open(&opt, &d, e))
        return false;
    bool ok = small_open(d, &s, e);
    if (ok) {
        ok = small_run(d, &s, out, e) && plan_profile(s.plan, 1, us, e);
        if (!ok && e->code == ERR_NOMEM) { /* the device stays usable */
            struct err again = ERR_INIT;
            ck_assert(!dev_failed(d));
            ck_assert_msg(small_fill(d, &s, &again) && small_run(d, &s, out, &again), "%s",
                          again.msg);
            small_check(out);
        } else if (!ok) {
            ck_assert_int_eq(e->code, ERR_DEVICE);
            ck_assert(dev_failed(d));
            ck_assert(!plan_run(s.plan, NULL));
        }
        small_close(d, &s);
    } else {
        ck_assert_int_eq(dev_failed(d), e->code == ERR_DEVICE);
    }
    dev_close(&d);
    return ok;
}

static void loop_over_calls(size_t point, VkResult result)
{
    for (unsigned k = 0; k < 200; k++) {
        struct err e = ERR_INIT;
        vk_fault_arm(point, k, result);
        bool ok = scenario(&e);
        vk_fault_disarm();
        if (!vk_fault_fired()) {
            ck_assert_msg(ok, "%s", e.msg);
            return;
        }
        if (!ok)
            ck_assert_msg(e.code == ERR_NOMEM || e.code == ERR_DEVICE || e.code == ERR_LIMIT,
                          "%s: %s", vk_fault_point_name(point), e.msg);
    }
    ck_abort_msg("%s is called without end", vk_fault_point_name(point));
}

static void setup_faults(void)
{
    vk_fault_install();
    setup_cache();
    log_set_level(LOG_ERROR);
    fault_cache = cache_dir;
    cached_run();
}

static void teardown_faults(void)
{
    vk_fault_disarm();
    vk_fault_disguise(false);
    teardown_cache();
}

START_TEST(device_lost_at_every_submit)
{
    loop_over_calls(vk_fault_point("QueueSubmit"), VK_ERROR_DEVICE_LOST);
}
END_TEST

START_TEST(no_memory_at_every_submit)
{
    loop_over_calls(vk_fault_point("QueueSubmit"), VK_ERROR_OUT_OF_DEVICE_MEMORY);
}
END_TEST

START_TEST(device_lost_at_every_wait)
{
    loop_over_calls(vk_fault_point("WaitForFences"), VK_ERROR_DEVICE_LOST);
}
END_TEST

START_TEST(timeout_at_every_wait)
{
    loop_over_calls(vk_fault_point("WaitForFences"), VK_TIMEOUT);
}
END_TEST

START_TEST(no_memory_at_every_allocation)
{
    loop_over_calls(vk_fault_point("AllocateMemory"), VK_ERROR_OUT_OF_DEVICE_MEMORY);
    loop_over_calls(vk_fault_point("AllocateMemory"), VK_ERROR_TOO_MANY_OBJECTS);
}
END_TEST

START_TEST(every_entry_point_fails_once)
{
    loop_over_calls((size_t)_i, VK_ERROR_OUT_OF_HOST_MEMORY);
}
END_TEST

START_TEST(staged_copies_survive_faults)
{
    vk_fault_disguise(true);
    loop_over_calls(vk_fault_point("QueueSubmit"), VK_ERROR_DEVICE_LOST);
    loop_over_calls(vk_fault_point("WaitForFences"), VK_TIMEOUT);
    loop_over_calls(vk_fault_point("AllocateMemory"), VK_ERROR_OUT_OF_DEVICE_MEMORY);
}
END_TEST

/* ---- suite ----------------------------------------------------------------------------------- */

static void add_buffer_tests(TCase *t)
{
    tcase_add_test(t, buffers_start_zero_and_keep_what_is_written);
    tcase_add_test(t, mapped_memory_is_the_buffer);
    tcase_add_test(t, large_copies_cross_every_boundary);
    tcase_add_test(t, copies_outside_are_refused);
    tcase_add_test(t, impossible_sizes);
    tcase_add_test(t, plans_compute);
}

static Suite *make_suite(void)
{
    Suite *s = suite_create("device");
    TCase *names = tcase_create("open"), *buffers = tcase_create("buffers"),
          *staged = tcase_create("staged"), *plans = tcase_create("plans"),
          *cache = tcase_create("cache"), *faults = tcase_create("faults");
    TCase *cases[] = {names, buffers, staged, plans, cache, faults};

    tcase_add_test(names, names_of_devices);
    tcase_add_test(names, every_good_name_opens);
    tcase_add_test(names, no_driver_is_explained);
    tcase_add_test(names, list_names_limits_and_variants);
    tcase_add_test(names, feature_names);
    tcase_add_checked_fixture(buffers, setup, teardown);
    add_buffer_tests(buffers);
    tcase_add_test(buffers, small_buffers_share_slabs);
    tcase_add_test(buffers, slabs_never_overlap);
    tcase_add_test(buffers, memory_report_groups_tags);
    tcase_add_checked_fixture(staged, setup_disguised, teardown);
    add_buffer_tests(staged);
    tcase_add_checked_fixture(plans, setup, teardown);
    tcase_add_test(plans, plans_print_their_variants);
    tcase_add_test(plans, profile_times_every_op);
    tcase_add_test(plans, bad_dispatches_are_refused);
    tcase_add_test(plans, missing_features_are_named);
    tcase_add_checked_fixture(cache, setup_cache, teardown_cache);
    tcase_add_test(cache, cache_is_written_and_used);
    tcase_add_test(cache, cache_of_wrong_length);
    tcase_add_test(cache, cache_with_flipped_bits);
    tcase_add_test(cache, cache_of_another_driver);
    tcase_add_test(cache, cache_folder_that_cannot_be_written);
    tcase_add_checked_fixture(faults, setup_faults, teardown_faults);
    tcase_add_test(faults, device_lost_at_every_submit);
    tcase_add_test(faults, no_memory_at_every_submit);
    tcase_add_test(faults, device_lost_at_every_wait);
    tcase_add_test(faults, timeout_at_every_wait);
    tcase_add_test(faults, no_memory_at_every_allocation);
    tcase_add_loop_test(faults, every_entry_point_fails_once, 0, (int)vk_fault_points());
    tcase_add_test(faults, staged_copies_survive_faults);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        suite_add_tcase(s, cases[i]);
    return s;
}

int main(int argc, char **argv)
{
    (void)argc;
    return each_driver_main(argv, make_suite);
}
