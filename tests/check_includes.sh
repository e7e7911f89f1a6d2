#!/bin/sh
# Looks at the include lines of the C sources and says who includes whom against the order
#
#   base < format < device < text < kv < model < sample < sched < engine.h
#        < store < audit < auth < usage < template < service < api < admin < http < main, ctl
#
# and whether a library's header appears outside the folder that owns the library. Also: every .c
# begins with <config.h> and then its own header, and the readers of model files multiply no sizes
# by hand (base/checked.h does).
set -eu

root=${SEEKD_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$root"

files=$(find engine server tests -name '*.[ch]' | LC_ALL=C sort)

# shellcheck disable=SC2086 # the names hold no blanks
awk '
function fail(why) {
    printf "%s:%d: %s\n", FILENAME, FNR, why
    bad = 1
}
function folder_of(path,    part, n) {
    n = split(path, part, "/")
    if (part[1] == "tests")
        return part[2] == "device" ? "tests/device" : "tests"
    if (n == 2)
        return part[1] == "engine" ? "engine.h" : part[2] ~ /^(lang|version)\.[ch]$/ ? "terms" : "main"
    return part[2]
}
# The folder that an #include "..." leads to.
function target_of(name,    part) {
    if (name == "engine.h")
        return "engine.h"
    if (name ~ /^(lang|version)\.h$/)
        return "terms"
    if (name ~ /(^|shaders\/)include\/abi\.h$/)
        return "abi"
    if (name !~ /\//)
        return name ~ /^(app|data|settings)\.h$/ ? "main" : ""
    split(name, part, "/")
    return FILENAME ~ /^tests\// && part[1] ~ /^(ref|fault)$/ ? "" : part[1]
}
function may_include(from, to) {
    if (from ~ /^tests/)
        return to != "abi" || from == "tests/device"
    if (to == "abi")
        return FILENAME ~ /^engine\/(device\/vulkan|sample)\//
    if (FILENAME ~ /^server\//) { # of the engine: engine.h and base only
        if (rank[to] < rank["engine.h"] && to != "base")
            return 0
        if (to == "main")
            return from == "main" || from == "http"
    }
    if (from == "text" && to == "device")
        return 0
    if (from == "sched" && to == "engine.h") # the types of requests, events and sampling
        return 1
    return rank[to] < rank[from] || to == from
}
# Libraries and where their headers may be seen.
function library_ok(name) {
    if (FILENAME ~ /^tests\//)
        return 1
    if (name ~ /^vulkan\//)
        return FILENAME ~ /^engine\/device\/vulkan\//
    if (name == "microhttpd.h")
        return FILENAME ~ /^server\/http\//
    if (name == "jansson.h")
        return FILENAME ~ /^server\//
    if (name == "pcre2.h")
        return FILENAME ~ /^(engine\/text\/|server\/template\/regex\.c)/
    if (name ~ /^openssl\//)
        return FILENAME ~ /^(engine\/base\/hash\.c|server\/(auth|store)\/)/
    if (name == "sqlite3.h")
        return FILENAME ~ /^server\/store\//
    if (name == "curl/curl.h")
        return FILENAME ~ /^server\/(auth|ctl)\//
    if (name == "ldap.h")
        return FILENAME ~ /^server\/auth\//
    return 1
}
BEGIN {
    n = split("base format device text kv model sample sched engine.h terms store audit auth usage template service api admin http main ctl", order, " ")
    for (i = 1; i <= n; i++)
        rank[order[i]] = i
}
FNR == 1 {
    n_includes = 0
    from = folder_of(FILENAME)
    own = FILENAME
    sub(/^(engine|server|tests)\//, "", own)
    sub(/\.c$/, ".h", own)
    if (!(from in rank) && from !~ /^tests/)
        fail("the include order does not know this folder")
}
/^#include </ {
    n_includes++
    name = $2
    gsub(/[<>]/, "", name)
    if (FILENAME ~ /\.c$/ && n_includes == 1 && name != "config.h")
        fail("a .c file includes <config.h> first")
    if (!library_ok(name))
        fail("<" name "> does not belong here")
}
/^#include "/ {
    n_includes++
    name = $2
    gsub(/"/, "", name)
    if (FILENAME ~ /\.c$/ && n_includes == 1)
        fail("a .c file includes <config.h> first")
    if (FILENAME ~ /^(engine|server)\/.*\.c$/ && name == own && n_includes != 2)
        fail("a .c file includes its own header right behind <config.h>")
    to = target_of(name)
    if (name ~ /\.inc$/ || (name ~ /^\.\.?\// && to != "abi"))
        fail("include by the path from engine/ or server/")
    else if (to != "" && to != "abi" && !(to in rank))
        fail("\"" name "\" is in no folder of the include order")
    else if (to != "" && !may_include(from, to))
        fail(from " must not include \"" name "\"")
}
FILENAME ~ /^engine\/format\/(gguf|map)[a-z_]*\.c$/ && !/^ \*|\/\*/ &&
    /((^|[^A-Za-z])n_[a-z]+|count|size|total|ne\[[^]]*\])\)? \* |[A-Za-z0-9_)\]] \* \(?(n_[a-z]+|[a-z_>.-]*(count|size|total)|[a-z>.-]*ne\[)/ {
    fail("sizes from a file are multiplied by checked_mul()")
}
END { exit bad }
' $files
