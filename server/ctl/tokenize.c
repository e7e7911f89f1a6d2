/* Owns: `seekctl tokenize`: how a model's tokenizer cuts a text. Refuses to know chat templates. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "ctl/args.h"
#include "ctl/input.h"
#include "engine.h"
#include "lang.h"

/* Prints the piece in quotes; what is not a whole printable character comes out as \xNN. */
static void print_piece(const char *bytes, size_t len)
{
    putchar('"');
    while (len > 0) {
        uint32_t cp;
        size_t n = utf8_decode(bytes, len, &cp);
        unsigned char first = (unsigned char)bytes[0];
        if (n == 0 || (n == 1 && (first < 0x20 || first == 0x7f))) {
            n = 1;
            printf(first == '\n' ? "\\n" : "\\x%02x", first);
        } else if (first == '"' || first == '\\') {
            printf("\\%c", first);
        } else {
            fwrite(bytes, 1, n, stdout);
        }
        bytes += n;
        len -= n;
    }
    putchar('"');
}

static int print_tokens(const struct ctl_command *self, const struct engine_vocabulary *v,
                        const struct buf *text, unsigned flags, bool ids_only)
{
    struct err e = ERR_INIT;
    int32_t *ids = NULL;
    size_t n = 0;
    if (!engine_vocabulary_tokenize(v, buf_str(text), text->len, flags, CTL_INPUT_MAX_BYTES, &ids, &n,
                                    &e))
        return args_failed(self, &e);
    for (size_t i = 0; i < n; i++) {
        if (ids_only) {
            printf("%s%d", i ? " " : "", ids[i]);
            continue;
        }
        size_t len = 0;
        const char *bytes = engine_vocabulary_bytes(v, ids[i], &len);
        printf("%8d  ", ids[i]);
        print_piece(bytes, bytes ? len : 0);
        putchar('\n');
    }
    if (ids_only)
        putchar('\n');
    else
        printf(lang_pick("%zu tokens\n", "共 %zu 个词元\n"), n);
    free(ids);
    return CTL_OK;
}

static int run(const struct ctl_command *self, int argc, char **argv)
{
    const char *model = NULL;
    bool special = false, bos = false, ids_only = false;
    const struct args_option options[] = {
        {.name = "model", .kind = ARGS_STRING, .value = &model, .meta = "FILE",
         .help_en = "GGUF file (any part of a split set); its weights are not read",
         .help_zh = "GGUF 文件（分卷时任一卷）；不读取权重"},
        {.name = "special", .kind = ARGS_FLAG, .value = &special,
         .help_en = "recognise control tokens in the text", .help_zh = "识别文本中的控制词元"},
        {.name = "bos", .kind = ARGS_FLAG, .value = &bos,
         .help_en = "add the tokens that the vocabulary wants at the beginning and end",
         .help_zh = "按词表要求在首尾加上词元"},
        {.name = "ids", .kind = ARGS_FLAG, .value = &ids_only,
         .help_en = "print the ids alone, on one line", .help_zh = "只在一行内显示编号"},
    };
    const char *text[1];
    size_t n_text;
    enum args_result r = args_parse(self, options, sizeof options / sizeof options[0], argc, argv,
                                    text, 1, &n_text);
    if (r != ARGS_RUN)
        return r == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (!model)
        return args_wrong(self, "%s", lang_pick("--model FILE is required", "必须给出 --model 文件"));
    if (n_text == 0)
        return args_wrong(self, "%s", lang_pick("give a TEXT, or - to read standard input",
                                                "请给出文本，或用 - 读取标准输入"));
    struct buf input;
    struct err e = ERR_INIT;
    if (!ctl_input_read(text[0], &input, &e))
        return args_failed(self, &e);
    struct engine_vocabulary *v = NULL;
    unsigned flags = (special ? ENGINE_TOKENIZE_SPECIAL : 0u) | (bos ? ENGINE_TOKENIZE_BOS : 0u);
    int status = engine_vocabulary_open(model, &v, &e)
                     ? print_tokens(self, v, &input, flags, ids_only)
                     : args_failed(self, &e);
    engine_vocabulary_close(&v);
    buf_release(&input);
    return status;
}

const struct ctl_command ctl_tokenize = {
    .name = "tokenize",
    .synopsis = "--model FILE [options] TEXT|-",
    .summary_en = "Prints the tokens of a text: id and piece, one per line.",
    .summary_zh = "显示文本的词元：每行一个编号和片段。",
    .run = run,
};
