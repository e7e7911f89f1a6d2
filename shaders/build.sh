#!/bin/sh
# Builds OUTDIR/libshaders.a without the configured build: for work on shaders. Only variants whose
# sources changed are compiled again.
#
#   shaders/build.sh OUTDIR [make options, e.g. -j2]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=$1
shift
sh "$root/shaders/variants.sh"
mkdir -p "$out/shaders"
: > "$out/shaders/config.h"
cat > "$out/shaders/build.mk" <<END
srcdir = $root
AM_V_GLSLC = @echo "  GLSLC   " \$@;
SHADER_EMBED = sh \$(srcdir)/shaders/embed.sh \$(srcdir)/shaders
libshaders.a: shaders/shader_table.o
	ar rcs \$@ \$<
include \$(srcdir)/shaders/variants.mk
shaders/shader_table.o: \$(srcdir)/shaders/shader_table.c \$(srcdir)/engine/device/vulkan/vk.h \$(SHADER_INCS)
	\$(CC) -std=c11 -O0 -Ishaders -I\$(srcdir)/engine -c -o \$@ \$<
-include \$(SHADER_INCS:.inc=.d)
END
exec make -C "$out" -s -f shaders/build.mk "$@" libshaders.a
