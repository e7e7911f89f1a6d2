/* Owns: vocabularies for tests, as GGUF files in memory. */
#include <config.h>

#include "text_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "gguf_write.h"
#include "testfile.h"
#include "text/vocab.h"

uint64_t support_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_tokens(struct gguf_writer *w, const struct vocab_spec *spec)
{
    char letters[256][5] = {{0}};
    size_t n = 256 + spec->n_extra;
    const char **texts = mem_calloc(n, sizeof *texts);
    for (int byte = 0; byte < 256; byte++) {
        utf8_encode(alphabet_char((uint8_t)byte), letters[byte]);
        texts[byte] = byte == spec->drop_byte ? "\xe4\xb8\x80" : letters[byte];
    }
    for (size_t i = 0; i < spec->n_extra; i++)
        texts[256 + i] = spec->extra[i].text;
    gguf_write_strs(w, "tokenizer.ggml.tokens", texts, n);
    free(texts);
}

static void write_types(struct gguf_writer *w, const struct vocab_spec *spec)
{
    size_t n = 256 + spec->n_extra;
    int32_t *types = mem_calloc(n, sizeof *types);
    for (size_t id = 0; id < n; id++)
        types[id] = id < 256 ? TOKEN_NORMAL : spec->extra[id - 256].token_class;
    gguf_write_array(w, "tokenizer.ggml.token_type", GGUF_I32, types,
                     n - (size_t)spec->types_missing, sizeof *types);
    free(types);
}

static void write_name(struct gguf_writer *w, const char *key, const char *name, const char *usual)
{
    if (!name || *name)
        gguf_write_str(w, key, name ? name : usual);
}

static void write_id(struct gguf_writer *w, const char *key, int64_t id)
{
    if (id >= 0)
        gguf_write_u32(w, key, (uint32_t)id);
}

static void write_spec(const struct vocab_spec *spec, struct buf *file)
{
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_write_str(&w, "general.architecture", "none");
    write_name(&w, "tokenizer.ggml.model", spec->model, "gpt2");
    write_name(&w, "tokenizer.ggml.pre", spec->pre, "deepseek-v3");
    if (!spec->no_tokens_key)
        write_tokens(&w, spec);
    if (spec->types_missing >= 0)
        write_types(&w, spec);
    if (!spec->no_merges_key)
        gguf_write_strs(&w, "tokenizer.ggml.merges", spec->merges, spec->n_merges);
    write_id(&w, "tokenizer.ggml.bos_token_id", spec->bos);
    write_id(&w, "tokenizer.ggml.eos_token_id", spec->eos);
    gguf_write_finish(&w, file);
    gguf_writer_release(&w);
}

/* ---- opening --------------------------------------------------------------------------------- */

bool support_tokenizer_open(const char *path, struct tokenizer **out, struct err *e)
{
    struct gguf *g;
    *out = NULL;
    if (!gguf_open(path, &g, e))
        return false;
    bool ok = tokenizer_create(g, out, e);
    gguf_close(&g);
    return ok;
}

bool support_tokenizer_source(const char *relative, struct tokenizer **out, struct err *e)
{
    char *path = testfile_source(relative);
    bool ok = support_tokenizer_open(path, out, e);
    free(path);
    return ok;
}

bool support_tokenizer_from(const void *file, size_t n_bytes, struct tokenizer **out, struct err *e)
{
    *out = NULL;
    int fd = memfd_create("vocabulary.gguf", 0);
    bool ok = fd >= 0 && write(fd, file, n_bytes) == (ssize_t)n_bytes;
    if (ok) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ok = support_tokenizer_open(path, out, e);
    } else {
        err_set_os(e, __FILE__, __LINE__, "cannot write a file in memory");
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

bool support_tokenizer(const struct vocab_spec *spec, struct tokenizer **out, struct err *e)
{
    struct buf file;
    buf_init(&file, 1 << 25);
    write_spec(spec, &file);
    bool ok = support_tokenizer_from(file.data, file.len, out, e);
    buf_release(&file);
    return ok;
}

void support_replace_invalid(const char *text, size_t len, struct buf *out)
{
    for (size_t at = 0; at < len;) {
        size_t n;
        if (utf8_classify(text + at, len - at, &n) == UTF8_COMPLETE)
            buf_append(out, text + at, n);
        else
            buf_puts(out, "\xef\xbf\xbd");
        at += n;
    }
}
