/* Character classes of the pre-tokenizer patterns, in PCRE2 notation, for use inside [...].
 *
 * PCRE2 10.42 knows Unicode 14. Models meet newer characters every day (the pink heart of Unicode
 * 15 is U+1FA77), so each general category is written as PCRE2's own property plus the characters
 * that Unicode 15.0 to 17.0 added to it. With a newer PCRE2 the additions are redundant, not wrong.
 * tests/check_tokenizer.c checks samples of them.
 *
 * WHITE is the White_Space property. It is spelt out because \s also takes U+180E under UCP.
 */
#ifndef SEEKD_TEXT_CLASSES_H
#define SEEKD_TEXT_CLASSES_H

#define WHITE                                                                                      \
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"        \
    "\\x{205f}\\x{3000}"

#define LETTER                                                                                     \
    "\\p{L}\\x{88f}\\x{c5c}\\x{cdc}\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cf}\\x{a7d2}\\x{a7d4}"       \
    "\\x{a7da}-\\x{a7dc}\\x{a7f1}\\x{105c0}-\\x{105f3}\\x{10940}-\\x{10959}"                       \
    "\\x{10d4a}-\\x{10d65}\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec7}\\x{1123f}-\\x{11240}"         \
    "\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}"           \
    "\\x{113d3}\\x{11bc0}-\\x{11be0}\\x{11db0}-\\x{11ddb}\\x{11f02}\\x{11f04}-\\x{11f10}"          \
    "\\x{11f12}-\\x{11f33}\\x{1342f}\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}"                    \
    "\\x{16100}-\\x{1611d}\\x{16d40}-\\x{16d6c}\\x{16ea0}-\\x{16eb8}\\x{16ebb}-\\x{16ed3}"         \
    "\\x{16ff2}-\\x{16ff3}\\x{187f8}-\\x{187ff}\\x{18cff}\\x{18d09}-\\x{18d1e}"                    \
    "\\x{18d80}-\\x{18df2}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}"          \
    "\\x{1e4d0}-\\x{1e4eb}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{1e6c0}-\\x{1e6de}"                    \
    "\\x{1e6e0}-\\x{1e6e2}\\x{1e6e4}-\\x{1e6e5}\\x{1e6e7}-\\x{1e6ed}\\x{1e6f0}-\\x{1e6f4}"         \
    "\\x{1e6fe}-\\x{1e6ff}\\x{2b739}-\\x{2b73f}\\x{2cea2}-\\x{2cead}\\x{2ebf0}-\\x{2ee5d}"         \
    "\\x{31350}-\\x{33479}"

#define MARK                                                                                       \
    "\\p{M}\\x{897}\\x{cf3}\\x{ece}\\x{1acf}-\\x{1add}\\x{1ae0}-\\x{1aeb}"                         \
    "\\x{10d69}-\\x{10d6d}\\x{10efa}-\\x{10eff}\\x{11241}\\x{113b8}-\\x{113c0}\\x{113c2}"          \
    "\\x{113c5}\\x{113c7}-\\x{113ca}\\x{113cc}-\\x{113d0}\\x{113d2}\\x{113e1}-\\x{113e2}"          \
    "\\x{11b60}-\\x{11b67}\\x{11f00}-\\x{11f01}\\x{11f03}\\x{11f34}-\\x{11f3a}"                    \
    "\\x{11f3e}-\\x{11f42}\\x{11f5a}\\x{13440}\\x{13447}-\\x{13455}\\x{1611e}-\\x{1612f}"          \
    "\\x{1e08f}\\x{1e4ec}-\\x{1e4ef}\\x{1e5ee}-\\x{1e5ef}\\x{1e6e3}\\x{1e6e6}"                     \
    "\\x{1e6ee}-\\x{1e6ef}\\x{1e6f5}"

#define NUMBER                                                                                     \
    "\\p{N}\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}"                        \
    "\\x{11de0}-\\x{11de9}\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}\\x{16d70}-\\x{16d79}"         \
    "\\x{16ff4}-\\x{16ff6}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}"         \
    "\\x{1e5f1}-\\x{1e5fa}"

#define PUNCT                                                                                      \
    "\\p{P}\\x{1b4e}-\\x{1b4f}\\x{1b7f}\\x{10d6e}\\x{10ed0}\\x{113d4}-\\x{113d5}"                  \
    "\\x{113d7}-\\x{113d8}\\x{11b00}-\\x{11b09}\\x{11be1}\\x{11f43}-\\x{11f4f}"                    \
    "\\x{16d6d}-\\x{16d6f}\\x{1e5ff}"

#define SYMBOL                                                                                     \
    "\\p{S}\\x{20c1}\\x{2427}-\\x{2429}\\x{2b96}\\x{2ffc}-\\x{2fff}\\x{31e4}-\\x{31e5}"            \
    "\\x{31ef}\\x{fbc3}-\\x{fbd2}\\x{fd90}-\\x{fd91}\\x{fdc8}-\\x{fdce}\\x{10d8e}-\\x{10d8f}"      \
    "\\x{10ed1}-\\x{10ed8}\\x{1cc00}-\\x{1ccef}\\x{1ccfa}-\\x{1ccfc}\\x{1cd00}-\\x{1ceb3}"         \
    "\\x{1ceba}-\\x{1ced0}\\x{1cee0}-\\x{1cef0}\\x{1f6d8}\\x{1f6dc}\\x{1f774}-\\x{1f77f}"          \
    "\\x{1f7d9}\\x{1f8b2}-\\x{1f8bb}\\x{1f8c0}-\\x{1f8c1}\\x{1f8d0}-\\x{1f8d8}"                    \
    "\\x{1fa54}-\\x{1fa57}\\x{1fa75}-\\x{1fa77}\\x{1fa87}-\\x{1fa8a}\\x{1fa8e}-\\x{1fa8f}"         \
    "\\x{1faad}-\\x{1faaf}\\x{1fabb}-\\x{1fabf}\\x{1fac6}\\x{1fac8}\\x{1facd}-\\x{1facf}"          \
    "\\x{1fada}-\\x{1fadc}\\x{1fadf}\\x{1fae8}-\\x{1faea}\\x{1faef}\\x{1faf7}-\\x{1faf8}"          \
    "\\x{1fbcb}-\\x{1fbef}\\x{1fbfa}"

/* The letters that deepseek-llm takes together: cased scripts, as its pattern lists them. */
#define CASED                                                                                      \
    "\\x{41}-\\x{5a}\\x{61}-\\x{7a}\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}"          \
    "\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}"         \
    "\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}"                  \
    "\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}"      \
    "\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}"                 \
    "\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}"                 \
    "\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}"        \
    "\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}"         \
    "\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}"                 \
    "\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}"                  \
    "\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}"                   \
    "\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}"        \
    "\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}"         \
    "\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}"                  \
    "\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}"                 \
    "\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}"               \
    "\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}"         \
    "\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"

#endif
