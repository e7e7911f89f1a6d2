/* See each_driver.h. */
#include <config.h>

#include "each_driver.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/vulkan/runtime.h"

enum { MAX_DRIVERS = 8, EXIT_SKIP = 77 };

static const char child_mark[] = "SEEKD_TEST_CHILD_OF";

/* Memory that drivers and their libraries keep is not ours to free. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libvulkan\nleak:libLLVM\nleak:libvk_swiftshader\nleak:libVkLayer\n"
           "leak:<unknown module>\n";
}

/* Stays open: the loader would otherwise unload the driver with every device that is closed, which
 * takes time and leaves leak reports without a module name. */
static struct vk_instance kept;

static int run_here(Suite *(*make_suite)(void))
{
    struct err e = ERR_INIT;

    if (!vk_instance_open(&kept, &e)) {
        printf("SKIP: %s\n", e.msg);
        return EXIT_SKIP;
    }
    if (kept.n_devices == 0) {
        printf("SKIP: this driver has no device\n");
        return EXIT_SKIP;
    }
    SRunner *runner = srunner_create(make_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (vk_validation_count() > 0) {
        printf("FAIL: %u messages of the validation layer\n", vk_validation_count());
        failed++;
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_child(char **argv, const char *driver)
{
    int status = 0;

    printf("driver %s\n", driver);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setenv(child_mark, driver, 1);
        if (strcmp(driver, "default") != 0) {
            setenv("VK_DRIVER_FILES", driver, 1);
            setenv("VK_ICD_FILENAMES", driver, 1); /* the name that older loaders know */
        }
        execv("/proc/self/exe", argv);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAILURE;
    if (pid < 0 || !WIFEXITED(status)) {
        printf("FAIL: driver %s ended by signal %d\n", driver, pid < 0 ? 0 : WTERMSIG(status));
        return EXIT_FAILURE;
    }
    return WEXITSTATUS(status);
}

static size_t find_drivers(char list[][512], size_t max)
{
    static const char *const known[] = {"/usr/share/vulkan/icd.d/lvp_icd*.json",
                                        "/usr/lib/chromium/vk_swiftshader_icd.json"};
    const char *asked = getenv("SEEKD_TEST_ICDS");
    size_t n = 0;

    if (!asked)
        asked = getenv("SEEKD_TEST_DRIVER");
    while (asked && *asked && n < max) {
        size_t len = strcspn(asked, ":");
        snprintf(list[n++], sizeof list[0], "%.*s", (int)len, asked);
        asked += len + (asked[len] == ':');
    }
    if (n > 0)
        return n;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        glob_t found;
        if (glob(known[i], 0, NULL, &found) == 0 && found.gl_pathc > 0 && n < max)
            snprintf(list[n++], sizeof list[0], "%s", found.gl_pathv[0]);
        globfree(&found);
    }
    return n;
}

int each_driver_main(char **argv, Suite *(*make_suite)(void))
{
    char drivers[MAX_DRIVERS][512];
    int result = EXIT_SKIP;

    if (getenv(child_mark))
        return run_here(make_suite);
    setenv("SEEKD_VK_VALIDATE", vk_validation_available() ? "1" : "0", 0);
    size_t n = find_drivers(drivers, MAX_DRIVERS);
    for (size_t i = 0; i < n; i++) {
        int r = run_child(argv, drivers[i]);
        if (r != EXIT_SKIP && result != EXIT_FAILURE)
            result = r;
        if (r != EXIT_SKIP && r != EXIT_SUCCESS)
            result = EXIT_FAILURE;
    }
    if (n == 0)
        printf("SKIP: no Vulkan driver; install mesa-vulkan-drivers (lavapipe), and chromium for "
               "SwiftShader\n");
    return result;
}
