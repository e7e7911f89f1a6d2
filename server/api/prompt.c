/* Owns: the way from messages to prompt tokens, and the rule who may write special tokens.
 * Refuses to know: the template language, generation.
 *
 * How the rule works: every piece that the template itself wrote is tokenised with special tokens
 * recognised, which shows where they stand. The text between two of them, whoever wrote it, is then
 * tokenised as one stretch without special tokens, so that words are cut as in training and
 * "<｜User｜>" typed by a caller stays plain text. */
#include <config.h>

#include "api/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "api/messages.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "engine.h"
#include "template/chat.h"

enum { KNOWN_IDS = 64, STRETCH_MAX = 64 << 20 };

/* ---- tokens ----------------------------------------------------------------------------------- */

struct assembly {
    const struct engine *eng;
    struct buf stretch; /* plain text not yet tokenised */
    int32_t *ids;       /* owned */
    size_t n_ids, cap_ids;
    struct {
        int32_t id;
        bool special;
    } known[KNOWN_IDS]; /* answers of is_special so far */
    size_t n_known;
};

static bool add_ids(struct assembly *a, const int32_t *ids, size_t n, struct err *e)
{
    if (n > a->cap_ids - a->n_ids) {
        size_t cap = a->cap_ids * 2 > a->n_ids + n ? a->cap_ids * 2 : a->n_ids + n;
        int32_t *grown = mem_try_reallocarray(a->ids, cap, sizeof *grown);
        if (!grown)
            FAIL(e, ERR_NOMEM, "no memory for %zu prompt tokens", cap);
        a->ids = grown;
        a->cap_ids = cap;
    }
    if (n)
        memcpy(a->ids + a->n_ids, ids, n * sizeof *ids);
    a->n_ids += n;
    return true;
}

static bool flush_stretch(struct assembly *a, struct err *e)
{
    if (a->stretch.failed)
        FAIL(e, ERR_NOMEM, "no memory for the prompt text");
    if (!a->stretch.len)
        return true;
    int32_t *ids;
    size_t n;
    if (!engine_tokenize(a->eng, buf_str(&a->stretch), a->stretch.len, ENGINE_TOKENIZE_LITERAL,
                         SIZE_MAX, &ids, &n, e))
        return false;
    buf_clear(&a->stretch);
    bool ok = add_ids(a, ids, n, e);
    free(ids);
    return ok;
}

/* A token is special when its own text, written by a caller, would not give it. */
static bool ask_special(const struct engine *eng, int32_t id)
{
    size_t len = 0, n = 0;
    int32_t *ids = NULL;
    const char *bytes = engine_token_bytes(eng, id, &len);
    if (!bytes || !len || !utf8_valid(bytes, len))
        return false;
    bool plain = engine_tokenize(eng, bytes, len, ENGINE_TOKENIZE_LITERAL, SIZE_MAX, &ids, &n,
                                 NULL) && n == 1 && ids[0] == id;
    free(ids);
    if (plain)
        return false;
    ids = NULL;
    bool special = engine_tokenize(eng, bytes, len, ENGINE_TOKENIZE_SPECIAL, SIZE_MAX, &ids, &n,
                                   NULL) && n == 1 && ids[0] == id;
    free(ids);
    return special;
}

static bool is_special(struct assembly *a, int32_t id)
{
    for (size_t i = 0; i < a->n_known; i++)
        if (a->known[i].id == id)
            return a->known[i].special;
    bool special = ask_special(a->eng, id);
    if (a->n_known < KNOWN_IDS) {
        a->known[a->n_known].id = id;
        a->known[a->n_known++].special = special;
    }
    return special;
}

/* Splits a piece of the template at its special tokens. `ids` are its tokens; their texts put
 * together must be the piece again. */
static bool add_template_ids(struct assembly *a, const struct prompt_piece *p, const int32_t *ids,
                             size_t n, struct err *e)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        const char *bytes = engine_token_bytes(a->eng, ids[i], &len);
        if (!bytes || len > p->len - at || memcmp(bytes, p->text + at, len))
            FAIL(e, ERR_UNSUPPORTED, "the tokenizer changes the text of the chat template");
        if (is_special(a, ids[i])) {
            if (!flush_stretch(a, e) || !add_ids(a, &ids[i], 1, e))
                return false;
        } else {
            buf_append(&a->stretch, bytes, len);
        }
        at += len;
    }
    return true;
}

static bool add_template_piece(struct assembly *a, const struct prompt_piece *p, struct err *e)
{
    int32_t *ids;
    size_t n;
    if (!engine_tokenize(a->eng, p->text, p->len, ENGINE_TOKENIZE_SPECIAL, SIZE_MAX, &ids, &n, e))
        return false;
    bool ok = add_template_ids(a, p, ids, n, e);
    free(ids);
    return ok;
}

bool prompt_tokenize(const struct engine *eng, const struct prompt_piece *pieces, size_t n_pieces,
                     int32_t **ids_take, size_t *n_ids, struct err *e)
{
    struct assembly a = {.eng = eng};
    buf_init(&a.stretch, STRETCH_MAX);
    bool ok = true;
    for (size_t i = 0; ok && i < n_pieces; i++) {
        if (pieces[i].from_caller)
            buf_append(&a.stretch, pieces[i].text, pieces[i].len);
        else
            ok = add_template_piece(&a, &pieces[i], e);
    }
    ok = ok && flush_stretch(&a, e);
    buf_release(&a.stretch);
    if (!ok) {
        free(a.ids);
        return false;
    }
    *ids_take = a.ids;
    *n_ids = a.n_ids;
    return true;
}

bool prompt_check_length(const struct engine *eng, size_t n_tokens, const char *param,
                         struct api_error *e)
{
    uint32_t context = engine_info(eng)->max_context;
    if (!n_tokens)
        return api_fail(e, API_INVALID_VALUE, param, "The prompt is empty.");
    if (n_tokens < context)
        return true;
    return api_fail(e, API_CONTEXT_LENGTH, param,
                    "The prompt has %zu tokens, but the context of this model holds %u tokens "
                    "including the answer; shorten it by at least %zu.",
                    n_tokens, context, n_tokens - context + 1);
}

/* ---- rendering -------------------------------------------------------------------------------- */

struct prompt_maker {
    const struct engine *eng;
    struct chat_template *chat; /* owned */
};

bool prompt_maker_create(const struct engine *eng, struct prompt_maker **out, struct err *e)
{
    const struct engine_info *info = engine_info(eng);
    struct chat_template *chat;
    if (!info->chat_template)
        FAIL(e, ERR_NOT_FOUND, "the model file has no chat template");
    if (!chat_template_create(info->chat_template, strlen(info->chat_template), info->bos_text,
                              info->eos_text, NULL, &chat, e))
        return err_prefix(e, "chat template of the model");
    struct prompt_maker *m = mem_zalloc(sizeof *m);
    m->eng = eng;
    m->chat = chat;
    *out = m;
    return true;
}

void prompt_maker_destroy(struct prompt_maker **m)
{
    if (!*m)
        return;
    chat_template_destroy(&(*m)->chat);
    free(*m);
    *m = NULL;
}

/* Cuts the rendered text at the bytes that the template did not write. Owned; NULL = no memory. */
static struct prompt_piece *cut_pieces(const struct chat_prompt *p, size_t *n)
{
    struct prompt_piece *pieces = mem_try_calloc(p->n_data * 2 + 1, sizeof *pieces);
    size_t at = 0;
    *n = 0;
    for (size_t i = 0; pieces && i < p->n_data; i++) {
        const struct chat_span *s = &p->data[i];
        if (s->begin > at)
            pieces[(*n)++] = (struct prompt_piece){p->text + at, s->begin - at, false};
        pieces[(*n)++] = (struct prompt_piece){p->text + s->begin, s->end - s->begin, true};
        at = s->end;
    }
    if (pieces && p->len > at)
        pieces[(*n)++] = (struct prompt_piece){p->text + at, p->len - at, false};
    return pieces;
}

static bool tokenize_rendered(const struct prompt_maker *m, const struct chat_prompt *rendered,
                              struct prompt *out, struct err *e)
{
    size_t n;
    struct prompt_piece *pieces = cut_pieces(rendered, &n);
    if (!pieces)
        FAIL(e, ERR_NOMEM, "no memory for the prompt");
    bool ok = prompt_tokenize(m->eng, pieces, n, &out->tokens, &out->n_tokens, e);
    free(pieces);
    struct chat_thinking thinking = chat_template_thinks(m->chat, rendered);
    out->mode = thinking.prompt_opens    ? STREAM_THINKING
                : thinking.template_tags ? STREAM_DETECT
                                         : STREAM_PLAIN;
    return ok;
}

static bool render(const struct prompt_maker *m, const struct params *p, json_t *messages,
                   struct prompt *out, struct api_error *e)
{
    struct err why = ERR_INIT;
    struct chat_prompt rendered;
    json_t *kwargs = NULL;
    if (p->thinking != PARAMS_THINKING_UNSET)
        kwargs = json_pack("{s:b}", "enable_thinking", p->thinking == PARAMS_THINKING_ON);
    struct chat_request request = {
        .messages = messages, .kwargs = kwargs, .add_generation_prompt = true};
    bool ok = chat_template_render(m->chat, &request, &rendered, &why);
    json_decref(kwargs);
    if (!ok) {
        /* Limits hit here are those of the template, not of the context. */
        if (why.code == ERR_LIMIT || why.code == ERR_FORMAT)
            why.code = ERR_ARG;
        api_fail_engine(e, &why);
        snprintf(e->param, sizeof e->param, "messages");
        return false;
    }
    ok = tokenize_rendered(m, &rendered, out, &why);
    chat_prompt_release(&rendered);
    return ok || api_fail_engine(e, &why);
}

bool prompt_make(const struct prompt_maker *m, const struct params *p, struct prompt *out,
                 struct api_error *e)
{
    json_t *messages = messages_normalise(p->messages, e);
    if (!messages)
        return false;
    bool ok = render(m, p, messages, out, e);
    json_decref(messages);
    if (ok && !prompt_check_length(m->eng, out->n_tokens, "messages", e)) {
        free(out->tokens);
        ok = false;
    }
    return ok;
}
