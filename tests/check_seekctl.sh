#!/bin/sh
# seekctl against the real server program on the scripted engine: departments, people, keys, limits,
# templates with approval, usage, audit, backup and restore, doctor. Then both runbooks, every command
# of them as it stands there, with what it is said to print.
set -eu

root=${SEEKD_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${SEEKD_BUILDDIR:-$(pwd)}
ctl=$build/seekctl
command -v curl >/dev/null || { echo "SKIP: curl is not installed"; exit 77; }
work=$(mktemp -d)
server=
servers=
LC_ALL=C.UTF-8
SEEKD_SOCKET=$work/data/seekd.sock
export LC_ALL SEEKD_SOCKET
unset SEEKD_API_KEY

finish() {
    for pid in $server $servers; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "check_seekctl: $*" >&2
    for f in out err reply; do
        [ ! -f "$work/$f" ] || { echo "--- $f" >&2; tail -20 "$work/$f" >&2; }
    done
    exit 1
}

# ok TEXT ARGUMENT...: the command succeeds and prints TEXT.
ok() {
    text=$1
    shift
    "$ctl" "$@" >"$work/reply" 2>&1 || fail "seekctl $*"
    [ -z "$text" ] || grep -q -- "$text" "$work/reply" || fail "seekctl $* does not say: $text"
}

# refused TEXT ARGUMENT...: the command fails and says TEXT.
refused() {
    text=$1
    shift
    if "$ctl" "$@" >"$work/reply" 2>&1; then
        fail "seekctl $* succeeds"
    fi
    [ -z "$text" ] || grep -q -- "$text" "$work/reply" || fail "seekctl $* does not say: $text"
}

# start FOLDER [OPTION...]
start() {
    folder=$1
    shift
    : >"$work/out"
    [ -f "$work/scripted.gguf" ] || echo scripted >"$work/scripted.gguf"
    "$build/tests/seekd_scripted" --model "$work/scripted.gguf" --listen 127.0.0.1:0 \
        --data-dir "$folder" "$@" >"$work/out" 2>"$work/err" &
    server=$!
    url=
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        url=$(sed -n 's/^URL  *//p' "$work/out")
        [ -z "$url" ] || return 0
        sleep 0.5
    done
    fail "the server does not get ready"
}

stop() {
    kill -TERM "$server"
    wait "$server" || fail "the server ended with $?"
    server=
}

# call KEY METHOD PATH BODY STATUS
call() {
    status=$(curl -s -o "$work/reply" -w '%{http_code}' -X "$2" -H "Authorization: Bearer $1" \
        -H 'Content-Type: application/json' -d "$4" "${url%/v1}$3")
    [ "$status" = "$5" ] || fail "$2 $3: $status instead of $5"
}

refused 'seekd' dept list
start "$work/data"
grep -q 'one-time password' "$work/out" || fail "the first start shows no password"

# ---- people and keys
ok 'Works' dept create Works
ok 'Works' dept create "三号线" --parent Works
ok '三号线' dept list
ok 'wang.wei' user create wang.wei --name 王伟 --department Works/三号线 --roles user
ok 'li.na' user create li.na --name 李娜 --department Works --roles editor,user
ok 'chen.jie' user create chen.jie --name 陈杰 --department Works --roles approver,user
ok '王伟' user list
ok 'one-time password' user reset-password wang.wei
once=$(sed -n 's/.*one-time password.* \([^ ]*\)$/\1/p' "$work/reply")
[ -n "$once" ] || fail "no one-time password is shown"
printf '%s\n' "$once" 'a long new word' 'another new word' |
    refused 'differ' password wang.wei --server "$url"
printf '%s\n' "$once" short short | refused '' password wang.wei --server "$url"
printf '%s\n' "$once" 'a long new word' 'a long new word' |
    ok 'wang.wei: password changed' password wang.wei --server "$url"
printf '%s\n' "$once" 'a third new word' 'a third new word' |
    refused 'login or the password' password wang.wei --server "$url"
printf '%s\n' 'a long new word' 'a third new word' 'a third new word' |
    ok 'password changed' password wang.wei --server "$url"
ok '2002' user create 2002 --name 李明 --department Works --roles user
ok 'login *2002' user show 2002
refused '没有\|there is no department' user list --department Nowhere
refused ': --department is required$' user create nobody
refused ': --roles may hold: admin' user create nobody --department Works --roles boss
refused 'exists\|taken' user create wang.wei --name x --department Works --roles user
ok 'sk-' key create wang.wei --name "Excel 插件" --scopes infer,templates,usage
user=$(sed -n 's/.*\(sk-[A-Za-z0-9_-]*\)$/\1/p' "$work/reply")
ok 'sk-' key create chen.jie --name review --scopes edit,templates
approver=$(sed -n 's/.*\(sk-[A-Za-z0-9_-]*\)$/\1/p' "$work/reply")
call "$user" POST /v1/chat/completions '{"messages":[{"role":"user","content":"hi"}]}' 200

# ---- limits
ok '1' quota set person wang.wei --requests-per-minute 1
call "$user" POST /v1/chat/completions '{"messages":[{"role":"user","content":"hi"}]}' 200
call "$user" POST /v1/chat/completions '{"messages":[{"role":"user","content":"hi"}]}' 429
grep -q 'requests per minute of the person (id [0-9]*): 1 allowed' "$work/reply" || fail "the refusal names no limit"
ok 'WHOSE *wang.wei' quota show person wang.wei
ok 'person *wang.wei ' quota list
grep -q 'USED TODAY .*USED THIS MONTH' "$work/reply" || fail "two columns have one name"
ok '' quota delete person wang.wei

# ---- a template, its approval, its use
cat >"$work/my.prompt" <<'P'
{"name": "works/handover", "note": "first", "settings": {"max_tokens": 20},
 "variables": [{"name": "events", "type": "text", "required": true,
                "label": {"zh": "事件", "en": "Events"}}],
 "tests": [{"name": "one", "variables": {"events": "#reply=停机#"},
            "checks": [{"contains": "停机"}]}]}
--- user
{{ events }}
P
ok 'findings' template lint "$work/my.prompt"
ok 'works/handover\|version' template save works/handover "$work/my.prompt" --owner li.na --note first
ok 'passed *1' template run works/handover 1
ok "state  *review" template review works/handover 1 request
refused 'somebody else' template review works/handover 1 approve
call "$approver" POST /admin/v1/templates/works%2Fhandover/versions/1/review \
    '{"to":"approved","note":"read","evidence":{"read":true}}' 200
ok 'production' template label works/handover production 1
call "$user" POST /v1/templates/works%2Fhandover/run '{"variables":{"events":"#reply=fine#"}}' 200
grep -q 'fine' "$work/reply" || fail "the template was not used"
ok 'created  *42' template import "$root/prompts/library" --owner li.na
grep -q '42 drafts imported; request review: seekctl template review NAME' "$work/reply" ||
    fail "the import does not say what comes next"
ok 'unchanged  *42' template import "$root/prompts/library" --owner li.na
ok '42 labels skipped, the first because version 1 of .* is not approved' \
    template import "$root/prompts/library" --owner li.na --label production
ok '^zh/notice  *[^ ]' template list --prefix zh/notice
ok '^1  *draft  *this machine' template show zh/notice
! grep -q '[{}]' "$work/reply" || fail "a template is shown as JSON"
ok '^\[user\]' template get zh/notice 1
printf '{"name": "works/odd", "note": "n"}\n--- user\nseen \033[8mhidden\302\2332K\342\200\256 text\n' >"$work/odd.prompt"
ok 'version' template save works/odd "$work/odd.prompt" --owner li.na
ok 'seen  \[8mhidden 2K  text' template get works/odd 1
ok 'zh/notice' template list --prefix zh/
ok '' template export "$work/exported" --prefix zh/
ok 'version *1' template fork works/handover works/handover2 production
ok 'works/handover2' template list --prefix works/
ok 'tags  *day,night' template change works/handover2 --tags day,night --owner chen.jie
sed 's/Events/All events/; s/事件/全部事件/' "$work/my.prompt" >"$work/my2.prompt"
ok 'version *2' template save works/handover2 "$work/my2.prompt" --note second
ok '1 -> 2' template diff works/handover2 1 latest
echo '{"events":"pump 4 leaks"}' >"$work/variables.json"
ok 'pump 4 leaks' template render works/handover2 2 "$work/variables.json"
echo '{}' >"$work/variables.json"
refused 'render: variables.events: is required' template render works/handover2 2 "$work/variables.json"
[ "$(wc -l <"$work/reply")" = 1 ] || fail "what is missing is said twice"
LC_ALL=zh_CN.UTF-8 refused 'render: variables.events: 必须填写' template render works/handover2 2 \
    "$work/variables.json"
echo '{"events":' >"$work/variables.json"
refused 'line 2' template render works/handover2 2 "$work/variables.json"
ok '^1 ' template runs works/handover 1
ok 'pass' template report works/handover 1 1
ok 'done' template delete works/handover2 1
refused 'no version 1' template diff works/handover2 1 latest
[ -n "$(find "$work/exported" -name 'notice*' | head -1)" ] || fail "nothing was exported"

# who sees it: a department, everybody again; in the archive and back
ok 'Works' template change works/handover2 --department Works/三号线
ok '' template change works/handover2 --department none
grep -q 'seen by  *-$' "$work/reply" || fail "the template is not open to everybody"
ok 'archived  *yes' template archive works/handover2
ok 'archived  *no' template change works/handover2 --archived off
refused 'on, off' template change works/handover2 --archived none

# labels: there and back, some callers, and the one that cannot be moved
ok 'staging' template label works/handover2 staging 2
refused 'cannot be moved' template rollback works/handover2 latest
ok '1000 callers  *100' template canary works/handover2 staging 2 --permille 100
ok '1000 callers  *-$' template canary works/handover2 staging 2 --permille 0
ok 'unchanged: version 2' template save works/handover2 "$work/my2.prompt" --note again
refused 'cannot read .*No such file' calendar create hours "$work/nothing.json"
echo '{"mon": [["08:30", "17：30"]]}' >"$work/hours.json"
refused 'colon of ASCII' calendar create hours "$work/hours.json"
refused 'first moment that does not count' usage totals --from 2026-11-24 --to 2026-11-24

# nothing to change is said before anything is asked
for verb in 'user change wang.wei' 'key change 2' 'template change works/handover2' \
    'dept policy Works' 'quota set person wang.wei' 'user change nobody'; do
    # shellcheck disable=SC2086 # words
    refused 'nothing to change: give --' $verb
done
ok 'person.create|change' audit list --help
LC_ALL=zh_CN.UTF-8 refused '请给出 --name、' user change wang.wei

# ---- usage and audit
ok '三号线' usage totals --by department
grep -q '[0-9]\.[0-9][0-9]' "$work/reply" && fail "mean times have too many digits"
ok '/v1/chat/completions' usage requests
grep -q 'sk-[a-z0-9]* .* [0-9]*\.[0-9]$' "$work/reply" || fail "a request lacks its key or its time"
ok '' usage requests --template works/handover --csv "$work/of-template.csv"
[ "$(grep -c 'works/handover' "$work/of-template.csv")" -gt 0 ] || fail "no request of the template"
[ "$(grep -vc 'works/handover' "$work/of-template.csv")" = 1 ] || fail "not its requests alone"
ok '' usage totals --by template --template works/handover
refused 'no template' usage requests --template works/nothing
ok '' usage totals --by person --csv "$work/usage.csv"
grep -q 'wang.wei' "$work/usage.csv" || fail "the CSV lacks a person"
ok 'template.' audit list --from 2020-01-01
ok 'sound  *yes' audit verify
ok 'OK    database' doctor
ok 'WARN  model file' doctor
ok 'OK    model file' doctor --record

# ---- backup and restore
ok 'checked' backup "$work/plain.db"
ok 'encrypted' backup "$work/sealed" --key-file "$work/backup.key"
refused 'plain.db: .*exists' backup "$work/plain.db"
ok 'sound' restore "$work/plain.db" --check
refused 'README.md is not a backup of seekd' restore "$root/README.md" --check
ok 'sound' restore "$work/sealed" --check --key-file "$work/backup.key"
ok '' key revoke 1 --reason lost
call "$user" GET /v1/models '' 401
stop
mkdir -m 700 "$work/second"
ok 'restored' restore "$work/sealed" --to "$work/second/seekd.db" --key-file "$work/backup.key"
SEEKD_SOCKET=$work/second/seekd.sock
start "$work/second"
ok 'wang.wei' user list
call "$user" GET /v1/models '' 200 # as it was when the backup was made
stop
printf 'x' | dd of="$work/plain.db" bs=1 seek=5000 conv=notrunc 2>/dev/null
refused 'sha256' restore "$work/plain.db" --check
LC_ALL=zh_CN.UTF-8 "$ctl" --help | grep -q '用法' || fail "no Chinese help"

# ---- what a key is and where it may go
start "$work/second"
ok 'key written to' key create chen.jie --name cli --scopes edit,templates --save "$work/cli.key"
[ "$(stat -c %a "$work/cli.key")" = 600 ] || fail "others may read the new key"
refused 'cannot be created' key create chen.jie --name cli --scopes edit --save "$work/cli.key"
# kept texts are shown for reading, and to whom gives a reason
ok '3' dept policy Works/三号线 --keep-prompts on --keep-days 3
call "$user" POST /v1/chat/completions \
    '{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"#reply=fine#"}]}' 200
id=$("$ctl" usage requests --person wang.wei --limit 1 --json | sed -n 's/.*"request_id": "\(.*\)".*/\1/p')
ok '^Be brief\.$' usage text "$id" --reason asked
[ "$(sed -n '/^\[answer\]$/{n;p;}' "$work/reply")" = fine ] || fail "the answer does not stand alone"
ok '"text": ".*messages' usage text "$id" --reason asked --json
refused 'reason' usage text "$id"

# what a key does not see may be there all the same
SEEKCTL_SERVER=$url
export SEEKCTL_SERVER
printf '%s\n' "$user" >"$work/user.key"
chmod 600 "$work/user.key"
refused 'that this key may see' quota set person li.na --parallel 3 --key-file "$work/user.key"
ok 'works/handover' template list --key-file "$work/cli.key"
refused 'lacks the scope usage' user create x --department Works --roles user --key-file "$work/cli.key"
refused 'administrator' template list --key-file "$work/cli.key" --data-dir "$work/second"
refused 'needs a key' template list --server "$url"
refused 'in the clear' template list --key-file "$work/cli.key" --server http://192.0.2.7:8080
SEEKCTL_KEY=$(cat "$work/cli.key")
export SEEKCTL_KEY
ok 'works/handover' template list
ok 'OK    database' doctor
unset SEEKCTL_KEY
printf 'no key at all\n' >"$work/odd.key"
chmod 600 "$work/odd.key"
refused 'one API key' template list --key-file "$work/odd.key"
chmod 644 "$work/cli.key"
refused 'chmod go=' template list --key-file "$work/cli.key"
chmod 600 "$work/cli.key"
unset SEEKCTL_SERVER
sed 's/first/second/' "$work/my.prompt" | sed 's|works/handover|works/new|' >"$work/new.prompt"
ok 'new templates belong to admin' template save works/new "$work/new.prompt"
stop

# ---- certificates
# made NAME DAYS FROM TO: NAME.pem and NAME.key, for 127.0.0.1 and seekd.example.
made() {
    : >"$work/index"
    if ! openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=seekd $1" \
        -keyout "$work/$1.key" -out "$work/csr" 2>"$work/reply" ||
        ! openssl ca -batch -selfsign -config "$work/ca.cnf" -create_serial \
        -startdate "$2" -enddate "$3" -keyfile "$work/$1.key" -in "$work/csr" -notext \
        -out "$work/$1.pem" 2>"$work/reply"; then
        fail "openssl cannot make $1"
    fi
}

# Days from now as openssl wants them.
at() {
    date -u -d "$1 days" +%Y%m%d%H%M%SZ
}

# looked WHAT NAME KEY HOSTS: what the doctor says of a proxy with these.
looked() {
    start "$work/second" --proxy-certificate "$work/$2.pem" --proxy-certificate-key "$work/$3.key" \
        --allowed-hosts "$4"
    "$ctl" doctor >"$work/reply" 2>&1 && status=OK || status=FAIL
    case $1 in FAIL*) bad=FAIL ;; *) bad=OK ;; esac
    [ "$status" = "$bad" ] || fail "doctor ends with $status"
    grep -q "^$1" "$work/reply" || fail "doctor does not say: $1"
    stop
}

if command -v openssl >/dev/null; then
    cat >"$work/ca.cnf" <<C
[ca]
default_ca = d
[d]
database = $work/index
serial = $work/serial
new_certs_dir = $work
default_md = sha256
policy = p
x509_extensions = x
unique_subject = no
[p]
commonName = supplied
[x]
subjectAltName = DNS:seekd.example, IP:127.0.0.1
basicConstraints = CA:TRUE
C
    made good "$(at -1)" "$(at 300)"
    made soon "$(at -1)" "$(at 10)"
    made old "$(at -20)" "$(at -10)"
    made early "$(at 10)" "$(at 300)"
    chmod 600 "$work"/*.key
    looked 'OK    certificate  .*"seekd good", until' good good seekd.example
    looked 'WARN  certificate  .*"seekd soon" expires on .* in 9 days' soon soon ''
    looked 'FAIL  certificate  .*"seekd old" expired on' old old ''
    looked 'FAIL  certificate  .*"seekd early" is not valid before' early early ''
    looked 'FAIL  certificate  .*soon.key is not the private key of' good soon ''
    looked 'FAIL  certificate  .*does not hold for other.example' good good seekd.example,other.example
    chmod 644 "$work/good.key"
    looked 'FAIL  permissions  others may use .*good.key' good good ''
    chmod 600 "$work/good.key"
    cat "$work/good.pem" "$work/old.pem" >"$work/chain.pem"
    looked 'FAIL  certificate  .*"seekd old" expired on' chain good ''
    echo 'no certificate' >"$work/none.pem"
    looked 'FAIL  certificate  .*none.pem holds no certificate' none good ''

    # https: whose certificate is not vouched for gets no key
    port=$(sed -n 's|.*:\([0-9]*\)/v1$|\1|p' "$work/out")
    openssl s_server -accept "127.0.0.1:$port" -cert "$work/good.pem" -key "$work/good.key" -www -quiet \
        >"$work/tls" 2>&1 &
    servers=$!
    sleep 1
    refused 'certificate' template list --key-file "$work/cli.key" --server "https://127.0.0.1:$port"
    refused 'no JSON' template list --key-file "$work/cli.key" --server "https://127.0.0.1:$port" \
        --ca-file "$work/good.pem"
    kill "$servers"
    wait "$servers" || true
    servers=
else
    echo "SKIP: openssl is not installed, certificates are not looked at"
fi

# ---- the model file, the folder
start "$work/second"
ok 'SKIP  model file' doctor --quick
printf 'x' >>"$work/scripted.gguf"
refused 'FAIL  model file .* is not the file' doctor
rm "$work/scripted.gguf.sha256"
ok 'SHA-256 recorded in' doctor --record
(cd "$work" && sha256sum scripted.gguf >SHA256SUMS && rm scripted.gguf.sha256)
ok 'SHA-256 as in .*SHA256SUMS' doctor
echo 'nothing' >"$work/SHA256SUMS"
refused 'FAIL  model file .*says nothing about' doctor
rm "$work/SHA256SUMS"
chmod 755 "$work/second"
refused 'FAIL  permissions  others may use .*second: chmod go=' doctor
chmod 700 "$work/second"
ok 'OK    permissions' doctor
ok 'OK    kept texts' doctor
LC_ALL=zh_CN.UTF-8 ok 'OK    权限' doctor
stop
refused 'FAIL  server  .*no server answers' doctor --data-dir "$work/second"

# ---- the runbooks
# Commands are the indented lines; "# -> TEXT" is what they print. Servers of the book run on the scripted
# engine and a free port.
serve() {
    : >"$work/out"
    "$build/tests/seekd_scripted" --model deploy/demo/seekd-demo.gguf --listen 127.0.0.1:0 \
        --data-dir "$1" >"$work/out" 2>"$work/err" &
    servers="$servers $!"
    address=
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        address=$(sed -n 's|^URL  *http://\(.*\)/v1$|\1|p' "$work/out")
        [ -z "$address" ] || return 0
        sleep 0.5
    done
    fail "the server of $book does not get ready"
}

walk() {
    book=$1
    folder=$work/walk-$2
    mkdir -p "$folder/build"
    cd "$folder"
    ln -s "$root/deploy" "$root/prompts" .
    ln -s "$ctl" build/seekctl
    unset SEEKD_SOCKET
    LC_ALL=$2
    steps=0
    sed -n 's/^    //p' "$root/deploy/runbook/$book" >"$work/steps"
    while IFS= read -r line <&3; do
        command=${line%%# ->*}
        text=${line#"$command"}
        text=${text#"# -> "}
        steps=$((steps + 1))
        case $command in
        deploy/quickstart*)
            serve build/data
            first=$address
            SEEKCTL_SERVER=http://$first
            export SEEKCTL_SERVER
            ;;
        "seekd --data-dir "*) serve "$(printf '%s' "$command" | awk '{ print $3 }')" ;;
        *)
            command=$(printf '%s' "$command" | sed "s|127.0.0.1:8080|$first|")
            eval "$command" >"$work/reply" 2>&1 || fail "$book: $command"
            [ -z "$text" ] || grep -qF -- "$text" "$work/reply" ||
                fail "$book: $command does not print: $text"
            ;;
        esac
    done 3<"$work/steps"
    # shellcheck disable=SC2086 # a list of numbers
    kill -TERM $servers
    for pid in $servers; do
        wait "$pid" || fail "$book: a server ended with $?"
    done
    servers=
    cd "$build"
    [ "$steps" -ge 50 ] || fail "$book: only $steps commands were found"
    echo "$book: $steps commands work"
}

walk README.md C.UTF-8
walk README.zh.md zh_CN.UTF-8
