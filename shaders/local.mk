# SPIR-V of every row of variants.tsv, embedded. The rules are generated into variants.mk.
AM_V_GLSLC = $(AM_V_GLSLC_@AM_V@)
AM_V_GLSLC_ = $(AM_V_GLSLC_@AM_DEFAULT_V@)
AM_V_GLSLC_0 = @echo "  GLSLC   " $@;
AM_V_GLSLC_1 =
SHADER_EMBED = GLSLC="$(GLSLC)" SPIRV_VAL="$(SPIRV_VAL)" $(SHELL) $(srcdir)/shaders/embed.sh $(srcdir)/shaders

include shaders/variants.mk

libshaders_a_SOURCES += shaders/shader_table.c
libshaders_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(builddir)/shaders
shaders/libshaders_a-shader_table.$(OBJEXT): $(SHADER_INCS)

EXTRA_DIST += shaders/variants.tsv shaders/variants.sh shaders/embed.sh shaders/build.sh \
	shaders/README.md shaders/attn shaders/copy shaders/embed shaders/gemm shaders/include \
	shaders/moe shaders/norm shaders/rope shaders/sample
CLEANFILES += $(SHADER_INCS) $(SHADER_INCS:.inc=.d) shaders/spv/*.defs*

-include $(SHADER_INCS:.inc=.d)
