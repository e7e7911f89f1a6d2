#!/bin/sh
# R1: no committed usage row is lost or doubled by SIGKILL. Five rounds; with SEEKD_TEST_LONG 200.
set -eu

root=${SEEKD_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${SEEKD_BUILDDIR:-$(pwd)}
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
rounds=5
[ -z "${SEEKD_TEST_LONG:-}" ] || rounds=200
exec python3 -I "$root/tests/check_kill.py" "${SEEKD_SCRIPTED:-$build/tests/seekd_scripted}" "$rounds"
