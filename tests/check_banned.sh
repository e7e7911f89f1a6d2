#!/bin/sh
# Calls that are easy to get wrong, words that mark unfinished work, and paths of somebody's machine
# must not appear in the sources.
set -eu

root=${SEEKD_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$root"
status=0

sources() {
    find engine server shaders tests deploy -type f "$@" \
        ! -path 'tests/golden/*' ! -path 'tests/fuzz/corpus/*' \
        ! -path '*/node_modules/*' | LC_ALL=C sort
}

# report WHAT PATTERN FILE...: comments in C files do not count for calls.
report() {
    what=$1
    pattern=$2
    shift 2
    hits=$(grep -nE -- "$pattern" "$@" /dev/null || true)
    [ -z "$hits" ] && return
    printf '%s:\n%s\n' "$what" "$hits"
    status=1
}

c_files=$(sources -name '*.[ch]')
calls='(strcpy|strcat|stpcpy|sprintf|vsprintf|strtok|localtime|gmtime|ctime|asctime|atoi|atol|atof|gets|alloca|system|popen|tmpnam|mktemp)'
# shellcheck disable=SC2086 # the names hold no blanks
hits=$(awk -v calls="(^|[^A-Za-z0-9_])$calls *[(]" '
    FNR == 1 { inside = 0 }
    {
        line = $0
        gsub(/"([^"\\]|\\.)*"/, "\"\"", line) # string literals
        gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line)
        if (inside) {
            if (!sub(/^.*\*\//, "", line))
                next
            inside = 0
        }
        if (sub(/\/\*.*$/, "", line))
            inside = 1
        if (line ~ calls)
            printf "%s:%d: %s\n", FILENAME, FNR, $0
    }' $c_files)
if [ -n "$hits" ]; then
    printf 'banned calls:\n%s\n' "$hits"
    status=1
fi

text_files=$(sources ! -name '*.gguf' ! -name '*.f32' ! -name '*.png' ! -name '*.bin')
code_files=$(printf '%s\n' "$text_files" | grep -E '\.(c|h|comp|glsl|sh|py|js|mjs|mk|jinja)$|/(quickstart|check)$' |
    grep -v '^tests/check_banned\.sh$')
# shellcheck disable=SC2086
report 'unfinished work' '(^|[^A-Za-z])(TODO|FIXME|XXX|HACK)([^A-Za-z]|$)|[Nn]ot implemented|[Pp]laceholder|(^|[^A-Za-z_])stubs?([^A-Za-z_]|$)' $code_files
# shellcheck disable=SC2086
report 'paths of one machine' '(^|[^A-Za-z0-9_.-])/(work|home|root)/' $code_files README.md CHANGELOG.md

exit $status
