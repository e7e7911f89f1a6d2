/* Owns: reading golden records (see golden.h). */
#include <config.h>

#include "golden.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *what, const char *path)
{
    fprintf(stderr, "golden data: %s: %s\n", path, what);
    exit(1);
}

const char *golden_path(const char *model, const char *file)
{
    static char path[4096];
    const char *src = getenv("SEEKD_SRCDIR");
    snprintf(path, sizeof path, "%s/tests/golden/models/%s/%s", src ? src : ".", model, file);
    return path;
}

static float *read_floats(const char *path, size_t n)
{
    FILE *f = fopen(path, "rb");
    float *out = malloc(n * sizeof *out);
    if (!f || !out || fread(out, sizeof *out, n, f) != n)
        die("cannot read", path);
    fclose(f);
    return out;
}

static int32_t *read_ids(json_t *a, size_t *n)
{
    *n = json_array_size(a);
    int32_t *out = calloc(*n + 1, sizeof *out);
    for (size_t i = 0; i < *n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(a, i));
    return out;
}

static void read_prompt(json_t *p, struct golden_prompt *out)
{
    size_t n;
    snprintf(out->name, sizeof out->name, "%s", json_string_value(json_object_get(p, "name")));
    out->ids = read_ids(json_object_get(p, "ids"), &out->n);
    out->positions = read_ids(json_object_get(p, "positions"), &out->n_positions);
    out->rows = read_ids(json_object_get(p, "rows"), &n);
    out->argmax = read_ids(json_object_get(p, "argmax"), &n);
    int32_t *greedy = read_ids(json_object_get(p, "greedy"), &out->n_greedy);
    if (out->n_greedy > 64)
        out->n_greedy = 64;
    memcpy(out->greedy, greedy, out->n_greedy * sizeof *greedy);
    free(greedy);
}

static void read_trace(const char *model, json_t *t, struct golden *g)
{
    json_t *stages = json_object_get(t, "stages"), *shape = json_object_get(t, "shape");
    g->n_stages = json_array_size(stages);
    size_t positions = (size_t)json_integer_value(json_array_get(shape, 1));
    g->hidden = (size_t)json_integer_value(json_array_get(shape, 2));
    g->stages = calloc(g->n_stages + 1, sizeof *g->stages);
    for (size_t i = 0; i < g->n_stages; i++)
        snprintf(g->stages[i], sizeof g->stages[i], "%s",
                 json_string_value(json_array_get(stages, i)));
    const char *prompt = json_string_value(json_object_get(t, "prompt"));
    for (size_t i = 0; i < g->n_prompts; i++)
        if (!strcmp(g->prompts[i].name, prompt))
            g->trace_prompt = i;
    g->trace = read_floats(golden_path(model, "trace.f32"), g->n_stages * positions * g->hidden);
}

void golden_load(const char *model, struct golden *g)
{
    memset(g, 0, sizeof *g);
    snprintf(g->name, sizeof g->name, "%s", model);
    json_error_t je;
    json_t *root = json_load_file(golden_path(model, "expected.json"), 0, &je);
    if (!root)
        die(je.text, golden_path(model, "expected.json"));
    json_t *prompts = json_object_get(root, "prompts");
    g->n_prompts = json_array_size(prompts);
    g->prompts = calloc(g->n_prompts, sizeof *g->prompts);
    for (size_t i = 0; i < g->n_prompts; i++)
        read_prompt(json_array_get(prompts, i), &g->prompts[i]);
    json_t *shape = json_object_get(root, "logits_shape");
    size_t rows = (size_t)json_integer_value(json_array_get(shape, 0));
    g->vocab = (size_t)json_integer_value(json_array_get(shape, 1));
    g->logits = read_floats(golden_path(model, "logits.f32"), rows * g->vocab);
    json_t *trace = json_object_get(root, "trace");
    if (trace)
        read_trace(model, trace, g);
    json_decref(root);
}

void golden_release(struct golden *g)
{
    for (size_t i = 0; i < g->n_prompts; i++) {
        free(g->prompts[i].ids);
        free(g->prompts[i].positions);
        free(g->prompts[i].rows);
        free(g->prompts[i].argmax);
    }
    free(g->prompts);
    free(g->logits);
    free(g->trace);
    free(g->stages);
}

double golden_max_rel(const float *a, const float *b, size_t n)
{
    double diff = 0.0, top = 0.0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= diff))
            diff = d; /* NaN stays */
        top = fmax(top, fabs((double)a[i]));
    }
    return diff / top;
}
