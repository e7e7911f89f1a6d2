#!/bin/sh
# The test sets of the shipped templates on the demo model, as a user runs them: a real seekd on the
# software Vulkan driver, `seekctl template import`, then a run per template over the local socket.
# SEEKD_TEST_LONG=1: all templates instead of every sixth.
set -eu

root=${SEEKD_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${SEEKD_BUILDDIR:-$(pwd)}
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
"$build/seekctl" device --list 2>/dev/null | grep -qi 'vulkan\|llvmpipe' || {
    echo "SKIP: there is no Vulkan driver (Debian package mesa-vulkan-drivers)"
    exit 77
}

work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# A driver that is unloaded at the end leaves leak reports that no suppression can name.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
SEEKD_SOCKET=$work/data/seekd.sock
LC_ALL=C
export ASAN_OPTIONS SEEKD_SOCKET LC_ALL
unset SEEKD_API_KEY SEEKCTL_KEY || true

"$build/seekd" --model "$root/deploy/demo/seekd-demo.gguf" --listen 127.0.0.1:0 \
    --data-dir "$work/data" >"$work/out" 2>"$work/err" &
server=$!
waited=0
until grep -q '^URL' "$work/out"; do
    kill -0 "$server" 2>/dev/null || { cat "$work/out" "$work/err" >&2; exit 1; }
    [ "$waited" -lt 120 ] || { echo "seekd did not get ready in 2 minutes" >&2; exit 1; }
    sleep 1
    waited=$((waited + 1))
done

"$build/seekctl" template import "$root/prompts/library" --owner admin
status=0
python3 "$root/tests/check_library_runs.py" "$SEEKD_SOCKET" "$root/prompts/library" || status=1

kill -TERM "$server"
wait "$server" || { echo "seekd did not end cleanly" >&2; status=1; }
server=
[ "$status" = 0 ] || grep -v " http: request " "$work/err" >&2
exit "$status"
