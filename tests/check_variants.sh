#!/bin/sh
# The files generated from shaders/variants.tsv are up to date, and the generator refuses nonsense.
set -eu

root=${SEEKD_SRCDIR:-.}
failed=0

sh "$root/shaders/variants.sh" --check || failed=1

# A copy of the generator in a scratch tree, with one bad row at a time.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/shaders/x" "$tmp/engine/device/vulkan"
cp "$root/shaders/variants.sh" "$tmp/shaders/"
: > "$tmp/shaders/x/x.comp"

refuses() {
    printf '%b' "$2" > "$tmp/shaders/variants.tsv"
    if sh "$tmp/shaders/variants.sh" 2> "$tmp/message"; then
        echo "FAIL: accepted $1"
        failed=1
    elif ! grep -q "$3" "$tmp/message"; then
        echo "FAIL: $1: $(cat "$tmp/message")"
        failed=1
    fi
}
refuses 'three columns' 'a\tx/x.comp\t-\n' 'expected 4 columns'
refuses 'a missing source' 'a\tx/y.comp\t-\t-\n' 'no file shaders/x/y.comp'
refuses 'an unknown feature' 'a\tx/x.comp\t-\tWARP\n' 'unknown feature'
refuses 'a name twice' 'a\tx/x.comp\t-\t-\na\tx/x.comp\t-\t-\n' 'repeated name'
refuses 'a define with shell code' 'a\tx/x.comp\tA=1;x\t-\n' 'odd define'
refuses 'an empty table' '# nothing\n' 'no variants'

printf 'a\tx/x.comp\tA=1 B\tFLOAT16|INT8\n' > "$tmp/shaders/variants.tsv"
sh "$tmp/shaders/variants.sh"
sh "$tmp/shaders/variants.sh" --check
grep -q 'SHADER_A,' "$tmp/engine/device/vulkan/shader_ids.h" || { echo 'FAIL: ids'; failed=1; }
grep -q 'VK_FEAT_FLOAT16 | VK_FEAT_INT8' "$tmp/shaders/shader_table.c" ||
    { echo 'FAIL: features'; failed=1; }
grep -q -- '-DA=1 -DB$' "$tmp/shaders/variants.mk" || { echo 'FAIL: defines'; failed=1; }
exit $failed
