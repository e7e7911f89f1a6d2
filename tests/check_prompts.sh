#!/bin/sh
# The shipped prompt templates are well formed and keep the rules of their library; the checker first
# proves on broken copies that it can refuse.
set -eu

root=${SEEKD_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
if ! command -v python3 >/dev/null || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))'; then
    echo "SKIP: python3 (3.8 or later) is not installed"
    exit 77
fi
exec python3 -I "$root/tests/check_prompts.py" "$root/prompts/library"
