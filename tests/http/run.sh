#!/bin/sh
# Starts seekd and runs the tests of this folder against it: the official clients and raw
# sockets. Packages go into the build folder; without Node or the npm registry the tests are skipped.
#
#   SEEKD_BIN    the server      (default: seekd of the build folder)
#   SEEKD_MODEL  what it serves  (default: the demo model, else the golden model v3)
#   SEEKD_ARGS   more options of seekd, separated by blanks
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=${SEEKD_SRCDIR:-$(cd "$here/../.." && pwd)}
build=${SEEKD_BUILDDIR:-$root/build}
bin=${SEEKD_BIN:-$build/seekd}
demo=$root/deploy/demo/seekd-demo.gguf
model=${SEEKD_MODEL:-$([ -f "$demo" ] && echo "$demo" || echo "$root/tests/golden/models/v3/v3.gguf")}
work=$build/tests/client

skip() {
    echo "SKIP: $*"
    exit 77
}

command -v node >/dev/null || skip "node is not installed (Debian package nodejs)"
command -v npm >/dev/null || skip "npm is not installed (Debian package npm)"
[ -x "$bin" ] || { echo "there is no server at $bin; set SEEKD_BIN" >&2; exit 1; }

# The tests import "openai" from beside themselves, so they run from a copy next to node_modules.
mkdir -p "$work"
cp "$here/package.json" "$here/package-lock.json" "$here"/*.test.mjs "$work/"
if ! cmp -s "$work/package-lock.json" "$work/installed-lock.json"; then
    (cd "$work" && npm ci --prefer-offline --no-audit --no-fund >npm.log 2>&1) ||
        skip "npm cannot fetch the packages openai and @langfuse/client (see $work/npm.log)"
    cp "$work/package-lock.json" "$work/installed-lock.json"
fi
(cd "$work" && node --input-type=module -e 'import "openai"; import "@langfuse/client"' 2>node.log) ||
    skip "node $(node --version) is too old for the packages openai and @langfuse/client"

SEEKD_API_KEY=sk-test-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export SEEKD_API_KEY
# A driver that is unloaded at the end leaves leak reports that no suppression can name. Leaks of our
# own are looked for by the tests on the scripted engine.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
export ASAN_OPTIONS
rm -rf "$work/data"
SEEKD_SOCKET=$work/data/seekd.sock
export SEEKD_SOCKET
# shellcheck disable=SC2086 # SEEKD_ARGS is a list of words
LC_ALL=C "$bin" --model "$model" --listen 127.0.0.1:0 --data-dir "$work/data" ${SEEKD_ARGS:-} >"$work/seekd.out" 2>"$work/seekd.err" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT INT TERM

url=
waited=0
while [ -z "$url" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$work/seekd.out" "$work/seekd.err"; exit 1; }
    [ "$waited" -lt 600 ] || { echo "seekd did not get ready in 10 minutes" >&2; exit 1; }
    sleep 1
    waited=$((waited + 1))
    url=$(sed -n 's/^URL  *//p' "$work/seekd.out")
done

status=0
SEEKD_URL=$url SEEKD_HELDOUT=$root/deploy/demo/heldout.jsonl node --test "$work" || status=1

kill -TERM "$server"
if ! wait "$server"; then
    echo "seekd did not end cleanly" >&2
    tail -20 "$work/seekd.err"
    status=1
fi
trap - EXIT
if grep -q 'sk-test-' "$work/seekd.err"; then
    echo "the API key stands in the log" >&2
    status=1
fi
exit $status
