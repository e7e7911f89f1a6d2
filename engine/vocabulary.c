/* Owns: a model's tokenizer without the model. Refuses to know: devices, weights. */
#include <config.h>

#include "engine.h"

#include <stdlib.h>

#include "base/mem.h"
#include "format/gguf.h"
#include "text/tokenizer.h"

struct engine_vocabulary {
    struct tokenizer *tok;
};

bool engine_vocabulary_open(const char *model_path, struct engine_vocabulary **out, struct err *e)
{
    struct gguf *g = NULL;
    struct tokenizer *tok = NULL;
    *out = NULL;
    bool ok = gguf_open(model_path, &g, e) && tokenizer_create(g, &tok, e);
    gguf_close(&g);
    if (!ok)
        return false;
    *out = mem_zalloc(sizeof **out);
    (*out)->tok = tok;
    return true;
}

void engine_vocabulary_close(struct engine_vocabulary **out)
{
    struct engine_vocabulary *v = *out;
    if (!v)
        return;
    tokenizer_destroy(&v->tok);
    free(v);
    *out = NULL;
}

bool engine_vocabulary_tokenize(const struct engine_vocabulary *v, const char *text, size_t len,
                                unsigned flags, size_t max_ids, int32_t **ids_take, size_t *n,
                                struct err *e)
{
    unsigned f = (flags & ENGINE_TOKENIZE_SPECIAL ? TOKENIZE_SPECIAL : 0) |
                 (flags & ENGINE_TOKENIZE_BOS ? TOKENIZE_BOS : 0) |
                 (flags & ENGINE_TOKENIZE_LITERAL ? TOKENIZE_LITERAL : 0);
    return tokenizer_encode(v->tok, text, len, f, max_ids, ids_take, n, e);
}

const char *engine_vocabulary_bytes(const struct engine_vocabulary *v, int32_t id, size_t *len)
{
    return tokenizer_bytes(v->tok, id, len);
}
