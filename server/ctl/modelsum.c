/* Owns: where the digests of model files are recorded, and in which form.
 * Refuses to know: when they are compared, and what follows. */
#include <config.h>

#include "ctl/modelsum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"

/* ---- parts of a set ----------------------------------------------------------------------------- */

static bool five_digits(const char *p)
{
    return strspn(p, "0123456789") == 5;
}

bool modelsum_part(const char *model, unsigned i, char part[PATH_MAX])
{
    static const char shape[] = "-00000-of-00000.gguf";
    size_t len = strlen(model), tail = sizeof shape - 1;
    const char *p = len > tail ? model + len - tail : "";
    bool set = *p == '-' && five_digits(p + 1) && !strncmp(p + 6, "-of-", 4) && five_digits(p + 10) &&
               !strcmp(p + 15, ".gguf");
    unsigned long n = set ? strtoul(p + 10, NULL, 10) : 1;
    if (i >= n)
        return false;
    int made = set ? snprintf(part, PATH_MAX, "%.*s-%05u-of-%05lu.gguf", (int)(p - model), model, i + 1,
                              n)
                   : snprintf(part, PATH_MAX, "%s", model);
    return made > 0 && made < PATH_MAX;
}

/* ---- records ------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A line "DIGEST  NAME" or "DIGEST *NAME" about `name`. */
static bool line_says(char *line, const char *name, uint8_t digest[HASH_SHA256_BYTES])
{
    line[strcspn(line, "\r\n")] = '\0';
    const char *rest = line + 2 * HASH_SHA256_BYTES;
    return hex_read(line, digest, HASH_SHA256_BYTES) && rest[0] == ' ' &&
           (rest[1] == ' ' || rest[1] == '*') && !strcmp(base_name(rest + 2), name);
}

static enum modelsum_found look(const char *from, const char *name,
                                uint8_t digest[HASH_SHA256_BYTES])
{
    char line[PATH_MAX + 2 * HASH_SHA256_BYTES + 4];
    enum modelsum_found found = MODELSUM_BAD;
    FILE *in = fopen(from, "re");
    if (!in)
        return errno == ENOENT ? MODELSUM_NONE : MODELSUM_BAD;
    while (found == MODELSUM_BAD && fgets(line, sizeof line, in))
        if (line_says(line, name, digest))
            found = MODELSUM_FOUND;
    fclose(in);
    return found;
}

enum modelsum_found modelsum_find(const char *part, uint8_t digest[HASH_SHA256_BYTES],
                                  char from[PATH_MAX])
{
    const char *name = base_name(part);
    if (snprintf(from, PATH_MAX, "%s.sha256", part) >= PATH_MAX)
        return MODELSUM_NONE;
    enum modelsum_found found = look(from, name, digest);
    if (found != MODELSUM_NONE ||
        snprintf(from, PATH_MAX, "%.*sSHA256SUMS", (int)(name - part), part) >= PATH_MAX)
        return found;
    return look(from, name, digest);
}

bool modelsum_record(const char *part, const uint8_t digest[HASH_SHA256_BYTES], char to[PATH_MAX],
                     struct err *e)
{
    char hex[HASH_SHA256_HEX];
    hash_hex(digest, hex);
    if (snprintf(to, PATH_MAX, "%s.sha256", part) >= PATH_MAX)
        FAIL(e, ERR_ARG, "the path of the model is too long");
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out)
        FAIL_OS(e, "cannot create %s", to);
    bool ok = fprintf(out, "%s  %s\n", hex, base_name(part)) > 0;
    if (fclose(out) || !ok)
        FAIL_OS(e, "cannot write %s", to);
    return true;
}
