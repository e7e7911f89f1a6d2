/* Owns: what a department that keeps texts gets of one generation.
 * Refuses to know: who decides that, and where it goes. */
#include <config.h>

#include "api/kept.h"

#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { HALF = KEPT_BYTES / 2 };

struct kept {
    bool chat, cut, input_cut;
    char *input; /* owned: JSON, cut when input_cut; NULL = there was none */
    unsigned n;
    size_t answer_bytes; /* of all texts below */
    struct buf answer[PARAMS_MAX_CHOICES], reasoning[PARAMS_MAX_CHOICES];
};

struct kept *kept_create(const struct params *p)
{
    struct kept *k = mem_zalloc(sizeof *k);
    const json_t *input = p->messages ? p->messages : p->prompt;
    k->chat = p->messages != NULL;
    k->n = (unsigned)p->n;
    k->input = input ? json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (k->input && strlen(k->input) > HALF) {
        k->cut = k->input_cut = true;
        k->input[utf8_cut(k->input, HALF)] = '\0';
    }
    for (unsigned i = 0; i < k->n; i++) {
        buf_init(&k->answer[i], KEPT_BYTES);
        buf_init(&k->reasoning[i], KEPT_BYTES);
    }
    return k;
}

void kept_destroy(struct kept **out)
{
    struct kept *k = *out;
    if (!k)
        return;
    for (unsigned i = 0; i < k->n; i++) {
        buf_release(&k->answer[i]);
        buf_release(&k->reasoning[i]);
    }
    free(k->input);
    free(k);
    *out = NULL;
}

void kept_add(struct kept *k, unsigned choice, bool reasoning, const char *text, size_t len)
{
    if (len > HALF - k->answer_bytes) {
        k->cut = true;
        k->answer_bytes = HALF; /* nothing after a gap */
        return;
    }
    k->answer_bytes += len;
    buf_append(reasoning ? &k->reasoning[choice] : &k->answer[choice], text, len);
}

static void put_texts(const struct buf *texts, unsigned n, struct buf *out)
{
    for (unsigned i = 0; i < n; i++) {
        buf_puts(out, i ? "," : n > 1 ? "[" : "");
        json_put_string(out, texts[i].len ? texts[i].data : "", texts[i].len);
    }
    buf_puts(out, n > 1 ? "]" : "");
}

void kept_write(const struct kept *k, struct buf *out)
{
    size_t reasoning = 0;
    for (unsigned i = 0; i < k->n; i++)
        reasoning += k->reasoning[i].len;
    buf_puts(out, k->chat ? "{\"messages\":" : "{\"prompt\":");
    if (k->input_cut)
        json_put_string(out, k->input, strlen(k->input));
    else
        buf_puts(out, k->input ? k->input : "null");
    buf_puts(out, ",\"answer\":");
    put_texts(k->answer, k->n, out);
    if (reasoning) {
        buf_puts(out, ",\"reasoning\":");
        put_texts(k->reasoning, k->n, out);
    }
    buf_puts(out, k->cut ? ",\"cut\":true}" : "}");
}
