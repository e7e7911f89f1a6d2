#!/bin/sh
# Compiles one shader variant, validates it and writes its SPIR-V words as C initialisers.
#
#   embed.sh SHADERS_DIR SOURCE OUT.inc [-DNAME=VALUE ...]
#
# SOURCE is relative to SHADERS_DIR. Beside OUT.inc it writes OUT.d, a make rule that names every
# file the variant was made from. GLSLC and SPIRV_VAL name the tools. Nothing is left behind when a
# step fails.
set -eu

dir=$1
source=$2
out=$3
shift 3
base=${out%.inc}

trap 'rm -f "$base.spv" "$out.part"' EXIT
mkdir -p "$(dirname "$out")"
"${GLSLC:-glslc}" --target-env=vulkan1.1 -O -Werror -I"$dir/include" "$@" \
    -MD -MF "$base.d" -MT "$out" -o "$base.spv" "$dir/$source"
"${SPIRV_VAL:-spirv-val}" --target-env vulkan1.1 "$base.spv"
od -An -v -tx4 -w32 "$base.spv" | sed 's/ \([0-9a-f]*\)/0x\1,/g' > "$out.part"
mv "$out.part" "$out"
