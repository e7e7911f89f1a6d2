/* The parts of the running process. Visible to main.c and http/ only; every other module gets the
 * parts it needs handed in.
 */
#ifndef SEEKD_APP_H
#define SEEKD_APP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct api_model;
struct keyring;
struct service;

struct app {
    const struct keyring *keys; /* borrowed; NULL = no key file */
    struct service *service;    /* borrowed; NULL = no database */
    bool open_to_all;           /* no key is asked for */
    /* Set once, when the model has been loaded; borrowed. */
    _Atomic(const struct api_model *) model;
    atomic_bool load_failed;
    atomic_uint_least64_t loaded_bytes, total_bytes; /* progress while loading */
};

#endif
