#!/bin/sh
# The program seekd from start to end: options, keys, signals. Runs on the scripted engine
# (tests/seekd_scripted, the server's own main.c), so that no device is needed.
set -eu

build=${SEEKD_BUILDDIR:-$(pwd)}
bin=${SEEKD_SCRIPTED:-$build/tests/seekd_scripted}
bin_ctl=$build/seekctl
command -v curl >/dev/null || { echo "SKIP: curl is not installed"; exit 77; }
work=$(mktemp -d)
server=
LC_ALL=C
export LC_ALL
unset SEEKD_API_KEY

finish() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "check_seekd: $*" >&2
    for f in out err reply; do
        [ ! -f "$work/$f" ] || { echo "--- $f" >&2; cat "$work/$f" >&2; }
    done
    exit 1
}

# start OPTION...: sets $server and $url.
start() {
    : >"$work/out"
    "$bin" --model scripted.gguf --listen 127.0.0.1:0 "$@" >"$work/out" 2>"$work/err" &
    server=$!
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        url=$(sed -n 's/^URL  *//p' "$work/out")
        [ -z "$url" ] || return 0
        sleep 0.5
    done
    fail "does not get ready: $*"
}

# stop [SIGNAL]: the server must end with 0.
stop() {
    kill "-${1:-TERM}" "$server"
    rc=0
    wait "$server" || rc=$?
    server=
    [ "$rc" = 0 ] || fail "ended with $rc after SIG${1:-TERM}"
}

status() {
    curl -s -o "$work/reply" -w '%{http_code}' "$@"
}

expect() {
    [ "$1" = "$2" ] || fail "got $1, not $2: $3"
}

# ---- options
"$bin" --help | grep -q '^Usage: seekd' || fail "--help"
"$bin" --version | grep -q '^seekd ' || fail "--version"
# shellcheck disable=SC2016 # no expansion wanted
"$bin" --api-fields | grep -q '^| `temperature` | number 0 to 2 |' || fail "--api-fields"
"$bin" --print-config >"$work/conf"
"$bin" --config "$work/conf" --model x --check-config >/dev/null || fail "--check-config"
for options in '--nonsense' '--model x --listen nowhere' '--model x --no-auth --listen 0.0.0.0:0' \
    "--config $work/missing" '--model x --threads 0'; do
    rc=0
    # shellcheck disable=SC2086 # a list of words
    "$bin" $options >"$work/out" 2>"$work/err" || rc=$?
    expect "$rc" 64 "exit status of seekd $options"
    [ "$(wc -l <"$work/err")" = 1 ] || fail "not one line for: $options"
done
rc=0
"$bin" --model missing.gguf --listen 127.0.0.1:0 >"$work/out" 2>"$work/err" || rc=$?
expect "$rc" 65 "exit status without a model file"

# ---- the first administrator's password is not lost with a start that fails
rc=0
"$bin" --model missing.gguf --listen 127.0.0.1:0 --data-dir "$work/data" >"$work/out" 2>"$work/err" ||
    rc=$?
expect "$rc" 65 "exit status with a database and without a model file"
grep -q '^Admin  *login admin, one-time password' "$work/out" || fail "the password was not shown"
start --data-dir "$work/data"
! grep -q 'one-time password' "$work/out" || fail "a password is shown again"
line=$(sed -n 's/^  *for seekctl: \(export SEEKD_SOCKET=.*\)/\1/p' "$work/out")
[ -n "$line" ] || fail "what seekctl needs is not shown"
(eval "$line"; cd / && "$bin_ctl" dept list) >"$work/reply" 2>&1 || fail "the line for seekctl does not work"

# ---- a taken port: the remedy is named, no database comes into being
port=${url#http://}
rc=0
"$bin" --model scripted.gguf --listen "${port%/v1}" --data-dir "$work/never" >"$work/out" \
    2>"$work/err" || rc=$?
expect "$rc" 71 "exit status with a taken port"
grep -q 'cannot listen on 127.*; choose another address with --listen' "$work/err" ||
    fail "a taken port's remedy is not named"
[ ! -e "$work/never" ] || fail "a start on a taken port made a database"
LC_ALL=zh_CN.UTF-8 "$bin" --model scripted.gguf --listen "${port%/v1}" >"$work/out" 2>"$work/err" ||
    :
grep -q '无法监听 127.*；请用 --listen 指定其他地址' "$work/err" || fail "not in Chinese"
stop

# ---- a folder that takes no key file is told of before the model is loaded
rc=0
"$bin" --model missing.gguf --listen 127.0.0.1:0 --api-key-file "$work/nowhere/key" >"$work/out" \
    2>"$work/err" || rc=$?
expect "$rc" 71 "exit status with a key file that cannot be made"
grep -q "cannot create $work/nowhere/key" "$work/err" || fail "the key file is not named"

# ---- a key of its own, shown once
start
key=$(sed -n 's/^API key  *\(sk-[0-9a-f]*\) .*/\1/p' "$work/out")
[ -n "$key" ] || fail "no key is shown"
expect "$(status "$url/models")" 401 "without a key"
expect "$(status -H "Authorization: Bearer $key" "$url/models")" 200 "with the key"
line=$(grep -A 3 '^curl ' "$work/out")
eval "$line" >"$work/reply" 2>/dev/null || fail "the curl line to paste does not work"
grep -q '"chat.completion"' "$work/reply" || fail "the curl line to paste gets no answer"
expect "$(status -H "Authorization: Bearer $key" "$url/usage/me")" 501 "usage without a database"
grep -q 'start it with --data-dir' "$work/reply" || fail "the missing database is not named"
stop INT
! grep -q "$key" "$work/err" || fail "the key stands in the log"

# ---- a name of the model in any language
start --no-auth --model-name 演示/模型
expect "$(status "$url/models/%E6%BC%94%E7%A4%BA/%e6%a8%a1%e5%9e%8b")" 200 "the model by its name"
grep -q '"id":"演示/模型"' "$work/reply" || fail "the model's name has changed"
expect "$(status "$url/models/%E6%BC%94%E7%A4%BA%2F%e6%a8%a1%e5%9e%8b")" 200 "with an encoded slash"
expect "$(status "$url/models/%E6%BC%94")" 404 "a model that is not there"
stop
rc=0
"$bin" --model scripted.gguf --model-name 'a b' >"$work/out" 2>"$work/err" || rc=$?
expect "$rc" 64 "a name with a blank"

# ---- a limit of file sizes: acts fail as on a full disk, and succeed when it is lifted
start --data-dir "$work/data"
admin="$bin_ctl dept create --data-dir $work/data"
$admin before >/dev/null || fail "no department can be made"
prlimit --pid "$server" --fsize="$(stat -c %s "$work/data/seekd.db-wal")":unlimited
n=0
while [ "$n" -lt 20 ] && $admin "full $n" >/dev/null 2>"$work/reply"; do
    n=$((n + 1))
done
[ "$n" -lt 20 ] || fail "the limit of file sizes has no effect"
kill -0 "$server" || fail "a limit of file sizes ends the server"
grep -q 'database\|disk' "$work/reply" || fail "the refusal does not say why"
LC_ALL=C $bin_ctl doctor --data-dir "$work/data" >"$work/reply" 2>&1 || :
grep -q 'make room, and seekd goes on by itself' "$work/reply" || fail "doctor does not say what to do"
prlimit --pid "$server" --fsize=unlimited
$admin after >/dev/null || fail "no recovery when there is room again"
$bin_ctl audit verify --data-dir "$work/data" >/dev/null || fail "the audit chain is broken"
stop

# ---- a key file: made at the first start, used at the second
start --api-key-file "$work/keys"
key=$(sed -n 's/^API key  *\(sk-[0-9a-f]*\) .*/\1/p' "$work/out")
stop
expect "$(stat -c %a "$work/keys")" 600 "mode of the key file"
! grep -q "$key" "$work/keys" || fail "the key file holds the key itself"
start --api-key-file "$work/keys"
! grep -q "$key" "$work/out" || fail "the key is shown again"
expect "$(status -H "x-api-key: $key" "$url/models")" 200 "with the stored key"

# ---- reload
printf '[model]\nmodel = scripted.gguf\n[server]\nlisten = 127.0.0.1:0\n[auth]\nno_auth = true\n' \
    >"$work/conf"
stop
"$bin" --config "$work/conf" >"$work/out" 2>"$work/err" &
server=$!
sleep 1
url=$(sed -n 's/^URL  *//p' "$work/out")
expect "$(status "$url/models")" 200 "with no_auth"
expect "$(status -H 'Host: evil.example' "$url/models")" 403 "with a strange Host"
printf '[log]\nlog_level = error\n' >>"$work/conf"
kill -HUP "$server"
sleep 0.5
before=$(wc -l <"$work/err")
expect "$(status "$url/models")" 200 "after a reload"
expect "$(wc -l <"$work/err")" "$before" "log lines at level error"
sed 's/level = error/level = debug/; s/^listen.*/&\nthreads = 3/' "$work/conf" >"$work/new"
cp "$work/new" "$work/conf"
kill -HUP "$server"
sleep 0.5
grep -q 'configuration reloaded level=debug needing_restart=threads' "$work/err" ||
    fail "a reload does not name what changed"
printf 'nonsense\n' >>"$work/conf"
kill -HUP "$server"
sleep 0.5
grep -q 'configuration not reloaded' "$work/err" || fail "a broken file is not reported"
expect "$(status "$url/models")" 200 "after a broken reload"

# ---- the end: a stream runs on, a second signal cuts it
slow='{"stream":true,"messages":[{"role":"user","content":"#tokens=4000##us=20000#"}]}'
curl -sN -H 'Content-Type: application/json' -d "$slow" "$url/chat/completions" >"$work/reply" &
client=$!
sleep 1
kill -TERM "$server"
sleep 1
kill -0 "$server" 2>/dev/null || fail "did not wait for the running stream"
stop
wait "$client" || fail "the stream was not ended properly"
grep -q '"content":"x' "$work/reply" || fail "the stream had no content"
grep -q 'shutting_down' "$work/reply" || fail "the stream was not told why it ended"
echo "seekd: options, keys, reload and stop are right"
