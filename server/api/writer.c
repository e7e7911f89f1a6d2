/* Owns: what all writers share. Refuses to know: protocols. */
#include <config.h>

#include "api/writer.h"

#include "api/json.h"

const char *writer_finish_name(enum engine_finish finish)
{
    static const char *const names[ENGINE_FINISH_COUNT] = {
        [ENGINE_FINISH_STOP] = "stop",           [ENGINE_FINISH_LENGTH] = "length",
        [ENGINE_FINISH_CANCELLED] = "cancelled", [ENGINE_FINISH_STALLED] = "stalled",
        [ENGINE_FINISH_ERROR] = "error",
    };
    return (unsigned)finish < ENGINE_FINISH_COUNT ? names[finish] : "error";
}

/* {"token":…,"logprob":…,"bytes":[…]  without the closing brace. */
static void put_logprob(const struct writing *w, struct buf *out, int32_t id, float logprob)
{
    size_t len = 0;
    const char *bytes = engine_token_bytes(w->model->engine, id, &len);
    buf_puts(out, "{\"token\":");
    json_put_string(out, bytes ? bytes : "", len);
    buf_puts(out, ",\"logprob\":");
    json_put_logprob(out, (double)logprob);
    buf_puts(out, ",\"bytes\":[");
    for (size_t i = 0; bytes && i < len; i++)
        buf_printf(out, "%s%u", i ? "," : "", (unsigned)(unsigned char)bytes[i]);
    buf_puts(out, "]");
}

void writer_add_logprob(const struct writing *w, struct choice *c, const struct engine_event *ev)
{
    struct buf *out = &c->logprobs;
    if (out->len)
        buf_putc(out, ',');
    put_logprob(w, out, ev->token, ev->logprob);
    buf_puts(out, ",\"top_logprobs\":[");
    for (uint32_t i = 0; i < ev->n_top; i++) {
        if (i)
            buf_putc(out, ',');
        put_logprob(w, out, ev->top[i].token, ev->top[i].logprob);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}
