#!/bin/sh
# Compares seekd with llama.cpp on the same file, the same driver and in the same session: the
# benchmark model "mini" (make_mini.py) on Mesa's software Vulkan driver, 128 prompt tokens and 32
# generated ones, one stream; then 16 streams of ours. Prints both CSV outputs and the ratios.
#
#   tests/bench/run_peer.sh [BUILD_TREE]        default: build
#
# Needs npm (llama.cpp comes prebuilt in the package node-llama-cpp) and python3-numpy; works below
# BUILD_TREE/bench, and offline once that folder is filled.
#
# Environment:
#   PEER_FLASH        off (default), on, auto: the peer's flash attention. On lavapipe 22.3 "on" and
#                     "auto" end llama.cpp with a segmentation fault inside the driver.
#   PEER_HIDE_AMX=1   hides the AMX build of the peer's CPU backend, which aborts on mixtures of
#                     experts on processors that have AMX
#   BENCH_DRIVER      ICD file of another Vulkan driver
#   BENCH_ROUNDS      alternating rounds (default 2); the best of each side counts
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build}" && pwd)
work=$build/bench
seekctl=$build/seekctl
rounds=${BENCH_ROUNDS:-2}
prompt=128
gen=32

[ -x "$seekctl" ] || {
    echo "run_peer: no $seekctl; build first" >&2
    exit 1
}
mkdir -p "$work"
cd "$work"
if [ ! -e mini.gguf ]; then
    python=python3 # or Debian's, where another one comes first in PATH
    "$python" -c 'import numpy' 2>/dev/null || python=/usr/bin/python3
    "$python" "$root/tests/bench/make_mini.py" mini.gguf
fi
if [ ! -d node_modules/node-llama-cpp ]; then
    [ -e package.json ] || echo '{"private": true}' > package.json
    npm install --no-audit --no-fund --ignore-scripts node-llama-cpp
fi
if [ "${PEER_HIDE_AMX:-}" = 1 ]; then
    find node_modules/@node-llama-cpp -name 'libggml-cpu-sapphirerapids.so' \
        -exec mv {} {}.hidden \;
fi

driver=${BENCH_DRIVER:-$(echo /usr/share/vulkan/icd.d/lvp_icd*.json)}
export VK_DRIVER_FILES="$driver" VK_ICD_FILENAMES="$driver" GGML_VK_VISIBLE_DEVICES=0

peer() {
    node "$root/tests/bench/peer_llama.mjs" --model mini.gguf --device vulkan \
        --prompt "$prompt" --gen "$gen" --repeat 1 --flash "${PEER_FLASH:-off}"
}
ours() {
    "$seekctl" bench --model mini.gguf --device vulkan --prompt "$prompt" --gen "$gen" --streams "$1"
}

: > peer.csv
: > ours.csv
round=1
while [ "$round" -le "$rounds" ]; do
    echo "round $round of $rounds: llama.cpp"
    peer | tee -a peer.csv
    echo "round $round of $rounds: seekd"
    ours 1,16 | tee -a ours.csv
    round=$((round + 1))
done

# Quoted fields hold commas: split them off before counting columns.
columns() {
    sed -e 's/"[^"]*"/text/g' "$1" | grep -v '^\(peer\|machine\),'
}
columns peer.csv > peer.rows
columns ours.csv > ours.rows
awk -F, '
    function max(a, b) { return a + 0 > b + 0 ? a : b }
    FILENAME == "peer.rows" { pp = max(pp, $6); tg = max(tg, $7); next }
    $7 == 1 { our_pp = max(our_pp, $8); our_tg = max(our_tg, $9) }
    $7 == 16 { many = max(many, $9) }
    END {
        printf "\n%-10s %14s %14s %10s\n", "", "llama.cpp", "seekd", "ratio"
        printf "%-10s %8.2f tok/s %8.2f tok/s %9.1fx\n", "prefill", pp, our_pp, our_pp / pp
        printf "%-10s %8.2f tok/s %8.2f tok/s %9.1fx\n", "decode", tg, our_tg, our_tg / tg
        printf "%-10s %14s %8.2f tok/s %9.1fx of one stream\n", "16 streams", "", many, many / our_tg
    }' peer.rows ours.rows
