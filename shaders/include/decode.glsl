/* Decodes 32 weights of one row from the tiled layout (README.md) to floats, exactly as the format
 * defines them. Included once per weight operand with
 *   DEC_FN(name)  mangles function names    DEC_BUF   the uvec4 array of the operand
 *   DEC_TYPE      specialization constant: ABI_T_*; all other branches vanish in the driver
 * Use: half_open for each half group of 128 elements, then step for its 4 steps.
 */
#ifndef DECODE_GLSL
#define DECODE_GLSL

/* What a row needs for the current half group. */
struct half_ctx {
    uint at;    /* first quant unit of the half */
    uvec4 head; /* scales of the group */
    uvec4 high; /* high bits of the half */
    uvec4 more; /* Q6_K: high bits of steps 2 and 3 */
    float d;    /* Q6_K: block scale */
};

/* Nibbles of one word as floats: elements 0..3 and 4..7. */
vec4 nibbles_low(uint v)
{
    return vec4(ivec4(uvec4(v, v >> 4, v >> 8, v >> 12) & 15u));
}
vec4 nibbles_high(uint v)
{
    return nibbles_low(v >> 16);
}
/* Fifth bits (bits 0..3 of `bits`) added to nibbles 0..3 of v. */
ivec4 five_bits(uint v, uint bits)
{
    return ivec4((uvec4(v, v >> 4, v >> 8, v >> 12) & 15u) |
                 (uvec4(bits << 4, bits << 3, bits << 2, bits << 1) & 16u));
}
/* Two high bits each (bits 0..7 of `bits`) added to nibbles 0..3 of v. */
ivec4 six_bits(uint v, uint bits)
{
    return ivec4((uvec4(v, v >> 4, v >> 8, v >> 12) & 15u) |
                 (uvec4(bits << 4, bits << 2, bits, bits >> 2) & 48u));
}
vec4 signed_bytes(uint v)
{
    int s = int(v);
    return vec4(ivec4(s << 24, s << 16, s << 8, s) >> 24);
}
/* Word j (0..3, uniform) of v. */
uint word_of(uvec4 v, uint j)
{
    return j < 2u ? (j == 0u ? v.x : v.y) : (j == 2u ? v.z : v.w);
}
#endif

/* `row_at`: index of unit 0 of this row (tile base + row in tile). */
void DEC_FN(half_open)(out half_ctx c, uint row_at, uint group, uint hf)
{
    c.head = uvec4(0u);
    c.high = uvec4(0u);
    c.more = uvec4(0u);
    c.d = 0.0;
    if (DEC_TYPE == ABI_T_F32) {
        c.at = row_at + (group * ABI_UNITS_F32 + hf * 32u) * ABI_TILE;
    } else if (DEC_TYPE == ABI_T_F16 || DEC_TYPE == ABI_T_BF16) {
        c.at = row_at + (group * ABI_UNITS_F16 + hf * 16u) * ABI_TILE;
    } else if (DEC_TYPE == ABI_T_Q8_0) {
        uint at = row_at + group * (ABI_UNITS_Q8_0 * ABI_TILE);
        c.head = DEC_BUF[at];
        c.at = at + (1u + hf * 8u) * ABI_TILE;
    } else if (DEC_TYPE == ABI_T_Q4_0 || DEC_TYPE == ABI_T_Q4_K) {
        uint at = row_at + group * (ABI_UNITS_Q4 * ABI_TILE);
        c.head = DEC_BUF[at];
        c.at = at + (1u + hf * 4u) * ABI_TILE;
    } else if (DEC_TYPE == ABI_T_Q5_0 || DEC_TYPE == ABI_T_Q5_K) {
        uint at = row_at + group * (ABI_UNITS_Q5 * ABI_TILE);
        c.head = DEC_BUF[at];
        at += (1u + hf * 5u) * ABI_TILE;
        c.high = DEC_BUF[at];
        c.at = at + ABI_TILE;
    } else { /* Q6_K */
        uint super = row_at + (group / ABI_Q6_K_SUPER) *
                                  ((1u + ABI_Q6_K_SUPER * ABI_UNITS_Q6_K) * ABI_TILE);
        uint in_super = group % ABI_Q6_K_SUPER;
        uint d_word = word_of(DEC_BUF[super], in_super >> 1);
        c.d = unpackHalf2x16(d_word >> (16u * (in_super & 1u))).x;
        uint at = super + (1u + in_super * ABI_UNITS_Q6_K) * ABI_TILE;
        c.head = DEC_BUF[at];
        at += (1u + hf * 6u) * ABI_TILE;
        c.high = DEC_BUF[at];
        c.more = DEC_BUF[at + ABI_TILE];
        c.at = at + 2u * ABI_TILE;
    }
    if (hf != 0u) /* the scales of this half in x and y where they are 2 bytes or less per step */
        if (DEC_TYPE == ABI_T_Q8_0 || DEC_TYPE == ABI_T_Q4_0 || DEC_TYPE == ABI_T_Q5_0 ||
            DEC_TYPE == ABI_T_Q6_K)
            c.head.xy = c.head.zw;
}

/* Elements of step j (0..3) of the half: w[i] = elements 4i..4i+3. */
void DEC_FN(step)(half_ctx c, uint hf, uint j, out vec4 w[8])
{
    if (DEC_TYPE == ABI_T_F32) {
        uint at = c.at + j * (8u * ABI_TILE);
        [[unroll]] for (int i = 0; i < 8; i++)
            w[i] = uintBitsToFloat(DEC_BUF[at + uint(i) * ABI_TILE]);
        return;
    }
    if (DEC_TYPE == ABI_T_F16 || DEC_TYPE == ABI_T_BF16) {
        uint at = c.at + j * (4u * ABI_TILE);
        [[unroll]] for (int i = 0; i < 4; i++) {
            uvec4 v = DEC_BUF[at + uint(i) * ABI_TILE];
            if (DEC_TYPE == ABI_T_F16) {
                w[2 * i] = vec4(unpackHalf2x16(v.x), unpackHalf2x16(v.y));
                w[2 * i + 1] = vec4(unpackHalf2x16(v.z), unpackHalf2x16(v.w));
            } else {
                w[2 * i] = uintBitsToFloat(uvec4(v.x << 16, v.x & 0xffff0000u, v.y << 16,
                                                 v.y & 0xffff0000u));
                w[2 * i + 1] = uintBitsToFloat(uvec4(v.z << 16, v.z & 0xffff0000u, v.w << 16,
                                                     v.w & 0xffff0000u));
            }
        }
        return;
    }
    uint pair = (j < 2u ? c.head.x : c.head.y) >> (16u * (j & 1u)); /* 16 bits of this step */
    if (DEC_TYPE == ABI_T_Q8_0) {
        float d = unpackHalf2x16(pair).x;
        uint at = c.at + j * (2u * ABI_TILE);
        uvec4 v = DEC_BUF[at];
        uvec4 u = DEC_BUF[at + ABI_TILE];
        [[unroll]] for (int i = 0; i < 4; i++) {
            w[i] = d * signed_bytes(v[i]);
            w[i + 4] = d * signed_bytes(u[i]);
        }
        return;
    }
    uvec4 v = DEC_BUF[c.at + j * ABI_TILE];
    if (DEC_TYPE == ABI_T_Q4_0) {
        float d = unpackHalf2x16(pair).x;
        [[unroll]] for (int i = 0; i < 4; i++) {
            w[2 * i] = d * (nibbles_low(v[i]) - 8.0);
            w[2 * i + 1] = d * (nibbles_high(v[i]) - 8.0);
        }
    } else if (DEC_TYPE == ABI_T_Q5_0) {
        float d = unpackHalf2x16(pair).x;
        uint high = word_of(c.high, j);
        [[unroll]] for (int i = 0; i < 4; i++) {
            w[2 * i] = d * (vec4(five_bits(v[i], high >> (8 * i))) - 16.0);
            w[2 * i + 1] = d * (vec4(five_bits(v[i] >> 16, high >> (8 * i + 4))) - 16.0);
        }
    } else if (DEC_TYPE == ABI_T_Q6_K) {
        ivec2 scale = ivec2(int(pair << 24), int(pair << 16)) >> 24;
        float d0 = c.d * float(scale.x);
        float d1 = c.d * float(scale.y);
        uvec4 bits = j < 2u ? c.high : c.more;
        uvec2 high = (j & 1u) == 0u ? bits.xy : bits.zw;
        [[unroll]] for (int i = 0; i < 4; i++) {
            float d = i < 2 ? d0 : d1;
            uint b = high[i / 2] >> (16 * (i & 1));
            w[2 * i] = d * vec4(six_bits(v[i], b) - 32);
            w[2 * i + 1] = d * vec4(six_bits(v[i] >> 16, b >> 8) - 32);
        }
    } else { /* Q4_K, Q5_K */
        uint s = 16u * hf + 4u * j;
        uint low = c.head.y >> s, min_low = c.head.z >> s, tops = c.head.w >> s;
        vec2 dd = unpackHalf2x16(c.head.x);
        float d = dd.x * float(int((low & 15u) | (tops & 3u) << 4));
        precise float base = dd.y * float(int((min_low & 15u) | (tops & 12u) << 2));
        uint high = DEC_TYPE == ABI_T_Q5_K ? word_of(c.high, j) : 0u;
        [[unroll]] for (int i = 0; i < 4; i++) {
            precise vec4 lo, hi;
            if (DEC_TYPE == ABI_T_Q5_K) {
                lo = d * vec4(five_bits(v[i], high >> (8 * i)));
                hi = d * vec4(five_bits(v[i] >> 16, high >> (8 * i + 4)));
            } else {
                lo = d * nibbles_low(v[i]);
                hi = d * nibbles_high(v[i]);
            }
            w[2 * i] = lo - base;
            w[2 * i + 1] = hi - base;
        }
    }
}
#undef DEC_FN
#undef DEC_BUF
#undef DEC_TYPE
