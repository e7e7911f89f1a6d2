/* Runs a Check suite once per Vulkan driver, each in a process of its own: the loader reads its
 * driver list from the environment, and a device does not survive a fork.
 *
 * Drivers: SEEKD_TEST_ICDS or SEEKD_TEST_DRIVER (driver manifests separated by ':', or "default"
 * for whatever the loader finds), else Mesa lavapipe and SwiftShader as far as they are installed.
 * The validation layer is on when installed, unless SEEKD_VK_VALIDATE says otherwise; a message
 * from it fails the run.
 */
#ifndef SEEKD_TESTS_EACH_DRIVER_H
#define SEEKD_TESTS_EACH_DRIVER_H

#include <check.h>

/* The whole of a test's main(): returns its exit status, 77 when there is no driver. */
int each_driver_main(char **argv, Suite *(*make_suite)(void));

#endif
