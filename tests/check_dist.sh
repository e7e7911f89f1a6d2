#!/bin/sh
# The release tarball and the repository hold the same files: whatever git tracks is distributed
# (but for the files of the repository itself), and whatever is distributed is tracked or generated.
set -eu

root=${SEEKD_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${SEEKD_BUILDDIR:-.}
if [ ! -e "$root/.git" ] || ! command -v git >/dev/null; then
    echo "SKIP: not a git checkout"
    exit 77
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

git -C "$root" -c core.quotePath=off -c safe.directory="$root" ls-files |
    grep -vE '^(\.gitignore|\.gitattributes|\.ci/)' | LC_ALL=C sort > "$tmp/tracked"

# Some of the names are folders, which stand for all files in them.
MAKEFLAGS='' make -s -C "$build" print-distfiles | LC_ALL=C sort -u > "$tmp/named"
while read -r name; do
    if [ -d "$root/$name" ]; then
        (cd "$root" && find "$name" -type f)
    else
        echo "$name"
    fi
done < "$tmp/named" | LC_ALL=C sort -u > "$tmp/distributed"

generated='^(Makefile\.in|aclocal\.m4|config\.h\.in|configure|build-aux/.*)$'
grep -vE "$generated" "$tmp/distributed" > "$tmp/ours"

status=0
if LC_ALL=C comm -23 "$tmp/tracked" "$tmp/ours" | grep .; then
    echo "these files are tracked, but the release lacks them: name them in a local.mk"
    status=1
fi
if LC_ALL=C comm -13 "$tmp/tracked" "$tmp/ours" | grep .; then
    echo "these files are in the release, but git does not track them"
    status=1
fi
exit $status
