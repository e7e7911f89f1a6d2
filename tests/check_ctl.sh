#!/bin/sh
# seekctl as a user meets it: every command on the golden models, its help in both languages, and one
# clear sentence with the right exit status for what cannot work.
set -u

root=${SEEKD_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
ctl=${SEEKD_BUILDDIR:-.}/seekctl
model=$root/tests/golden/models/v3/v3.gguf
expected=$root/tests/golden/models/v3/expected.json
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C
language=C
failures=0
checks=0

fail() {
    echo "FAIL: $*"
    sed 's/^/    /' "$tmp/out" "$tmp/err" | head -n 12
    failures=$((failures + 1))
}

# run STATUS ARGUMENTS...: output in $tmp/out and $tmp/err.
run() {
    wanted=$1
    shift
    checks=$((checks + 1))
    env LC_ALL="$language" "$ctl" "$@" > "$tmp/out" 2> "$tmp/err"
    status=$?
    [ "$status" = "$wanted" ] && return 0
    fail "seekctl $*: status $status, not $wanted"
    return 1
}

# has FILE PATTERN, has_not FILE PATTERN: the last run's output matches, or does not.
has_not() {
    checks=$((checks + 1))
    ! grep -q -- "$2" "$tmp/$1" || fail "\"$2\" in std$1"
}

has() {
    checks=$((checks + 1))
    grep -q -- "$2" "$tmp/$1" || fail "no \"$2\" in std$1"
}

# complains STATUS PATTERN ARGUMENTS...: the run ends so, with at most two lines on stderr that match,
# and nothing on stdout.
complains() {
    wanted=$1
    pattern=$2
    shift 2
    run "$wanted" "$@" || return
    checks=$((checks + 1))
    if [ -s "$tmp/out" ] || [ "$(wc -l < "$tmp/err")" -gt 2 ] ||
        ! grep -q -- "$pattern" "$tmp/err"; then
        fail "seekctl $*: not one clear complaint about $pattern"
    fi
}

# field CASE NAME: the numbers of a list of a prompt in expected.json, separated by blanks.
field() {
    sed -n "/\"name\": \"$1\"/,/\"min_greedy_gap\"/s/.*\"$2\": \[\(.*\)\],*\$/\1/p" "$expected" |
        tr -d ','
}

# ---- help and complaints ----
run 0 --help && has out 'Usage: seekctl COMMAND' && has out 'bench'
run 0 --version && has out '^seekctl [0-9]'
for command in generate tokenize inspect device logits bench; do
    run 0 $command --help && has out "Usage: seekctl $command"
    language=zh_CN.UTF-8
    run 0 $command --help && has out '用法'
    language=C
done
run 2 && has err 'Usage: seekctl COMMAND'
run 0 -h && has out 'Usage: seekctl COMMAND'
run 0 help generate && has out 'Usage: seekctl generate'
run 0 help user create && has out 'Usage: seekctl user create'
run 0 generate -h && has out 'Usage: seekctl generate'
complains 2 'unknown command "fly"' fly
complains 2 'unknown option --wings' generate --wings 2
complains 2 'MODEL\|--model' generate --prompt x
complains 2 '--prompt' generate --model "$model"
complains 2 '--model FILE and --prompt TEXT' generate
complains 2 'from 0 to 2, not "9"' generate --model "$model" --prompt x --temperature 9
complains 2 'not "-1"' generate --model "$model" --prompt x --max-tokens -1
complains 2 'not "12x"' bench --model "$model" --gen 12x
complains 2 '"1;2" is not a number' logits --model "$model" --tokens '1;2' --out "$tmp/l"
complains 2 'all or last' logits --model "$model" --tokens 1 --positions some --out "$tmp/l"
complains 2 'needs a value' tokenize --model
complains 2 'takes no value' tokenize --bos=1 x
complains 2 'unexpected argument' inspect "$model" "$model"
complains 2 'needs --chat' generate --model "$model" --prompt x --system y
complains 1 'nothing.gguf' inspect "$tmp/nothing.gguf"
complains 1 'nothing.gguf' generate --model "$tmp/nothing.gguf" --prompt x
head -c 5000 "$model" > "$tmp/cut.gguf"
complains 1 'cut.gguf' inspect "$tmp/cut.gguf"

# ---- what a file holds ----
run 0 inspect "$model" && has out 'deepseek2' && has out 'vocabulary.* 512'
run 0 inspect --tensors "$model" && has out 'blk.0.attn_norm.weight'

# ---- tokens ----
text='<｜begin▁of▁sentence｜>面包店的门打开了，价格是￥45.60元。面包店的门打开了，它只是水，流向大海。'
run 0 tokenize --model "$model" --special --ids "$text"
checks=$((checks + 1))
[ "$(cat "$tmp/out")" = "$(field chinese ids)" ] || fail "tokenize: other ids than the reference"
printf '%s' "$text" > "$tmp/text"
"$ctl" tokenize --model "$model" --special --ids - < "$tmp/text" > "$tmp/stdin" 2> "$tmp/err"
checks=$((checks + 1))
cmp -s "$tmp/out" "$tmp/stdin" || fail "tokenize -: standard input gives other ids"
run 0 tokenize --model "$model" --bos 'a
b' && has out '"<｜begin▁of▁sentence｜>"' && has out '"\\n"' && has out '4 tokens'

# ---- logits: the best token after every position, whatever the chunk ----
ids=$(field chinese ids | tr ' ' ',')
for chunk in 7 64; do
    run 0 logits --model "$model" --tokens "$ids" --chunk $chunk --out "$tmp/logits" &&
        has out '^\[68, 512\]$'
    od -An -v -tf4 -w2048 "$tmp/logits" | awk '{
        best = 1
        for (i = 2; i <= NF; i++)
            if ($i + 0 > $best + 0)
                best = i
        printf "%s%d", (NR > 1 ? " " : ""), best - 1
    }' > "$tmp/argmax"
    checks=$((checks + 1))
    [ "$(cat "$tmp/argmax")" = "$(field chinese argmax)" ] ||
        fail "logits --chunk $chunk: other best tokens than the reference"
done
run 0 logits --model "$model" --tokens "$ids" --positions last --out "$tmp/last" &&
    has out '^\[1, 512\]$'
checks=$((checks + 1))
tail -c 2048 "$tmp/logits" | cmp -s - "$tmp/last" || fail "logits: last differs from all"
complains 1 'cannot create' logits --model "$model" --tokens 1 --out "$tmp/none/l.f32"
complains 1 '512' logits --model "$model" --tokens 1,512 --out "$tmp/l"

# ---- generation ----
run 0 generate --model "$model" --special --no-bos --prompt "$text" --max-tokens 12 --ignore-eos &&
    has err '68 prompt tokens' && has err '12 new tokens'
cp "$tmp/out" "$tmp/first"
run 0 generate --model "$model" --special --no-bos --prompt "$text" --max-tokens 12 --ignore-eos --quiet
checks=$((checks + 1))
if [ ! -s "$tmp/out" ] || ! cmp -s "$tmp/out" "$tmp/first"; then
    fail "generate: two greedy answers differ"
fi
for seed in 1 1 2; do
    run 0 generate --model "$model" --prompt 'The river' --max-tokens 16 --temperature 1 \
        --seed $seed --quiet --ignore-eos
    mv "$tmp/out" "$tmp/seeded.$checks"
done
checks=$((checks + 1))
set -- "$tmp"/seeded.*
: > "$tmp/out"
if ! cmp -s "$1" "$2" || cmp -s "$2" "$3"; then
    fail "generate: a seed does not decide what is drawn"
fi
run 0 generate --model "$model" --chat --system 'Be brief.' --prompt 'Hello' --max-tokens 4 &&
    has err ' new tokens'

# ---- devices and rates ----
run 0 device --list && has out '^vulkan:0' && has_not out '\[matmul'
run 0 device --list --kernels && has out '\[matmul'
run 0 bench --model "$model" --prompt 20 --gen 4 --streams 1,3
checks=$((checks + 1))
sed 's/"[^"]*"/text/g' "$tmp/out" | awk -F, '
    NF != 17 || (NR > 1 && !($8 > 0 && $9 > 0 && $11 > 0 && $15 > 0)) { bad = 1 }
    END { exit bad || NR != 3 }' || fail "bench: not three lines of 17 columns with rates"

echo "$checks checks, $failures failures"
[ "$failures" = 0 ]
