/* What every shader starts with: the shared definitions, the workgroup size as specialization
 * constants, the head of the step and small numeric helpers. A shader may define LOCAL_X/Y/Z never:
 * the host always sets constants 0..2.
 */
#include "abi.h"

layout(local_size_x_id = SPEC_LOCAL_X, local_size_y_id = SPEC_LOCAL_Y,
       local_size_z_id = SPEC_LOCAL_Z) in;

#define BUFFER(n, access, name, type, array)                                                       \
    layout(std430, set = 0, binding = n) access buffer name { type array[]; }

/* e^x within 2 units in the last place on every driver (the built-in may be off by hundreds):
 * x = n ln 2 + r, |r| <= ln 2 / 2, Taylor polynomial of degree 7 in r. Below -87: 0; above 88:
 * 2^127. */
float exp_f32(float x)
{
    float clamped = clamp(x, -87.0, 88.0);
    precise float n = floor(clamped * 1.44269504 + 0.5);
    precise float r = fma(n, -0.693359375, clamped);
    r = fma(n, 2.12194440e-4, r);
    float y = 1.9841270e-4;
    y = fma(y, r, 1.3888889e-3);
    y = fma(y, r, 8.3333333e-3);
    y = fma(y, r, 4.1666667e-2);
    y = fma(y, r, 1.6666667e-1);
    y = fma(y, r, 0.5);
    y = fma(y, r, 1.0);
    y = fma(y, r, 1.0);
    float e = y * uintBitsToFloat(uint(int(n) + 127) << 23);
    return x < -87.0 ? 0.0 : (isnan(x) ? x : e);
}

float silu(float g)
{
    return g / (1.0 + exp_f32(-g));
}

/* Bits of the half nearest to f, ties to even, overflow to infinity (packHalf2x16 may round
 * otherwise). */
uint half_bits(float f)
{
    uint bits = floatBitsToUint(f);
    uint sign = bits >> 16 & 0x8000u;
    uint mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u)
        return sign | 0x7e00u;
    if (mag >= 0x47800000u)
        return sign | 0x7c00u;
    if (mag >= 0x38800000u) {
        uint v = mag - (112u << 23);
        return sign | (v + 0xfffu + (v >> 13 & 1u)) >> 13;
    }
    if (mag < 0x33000000u)
        return sign;
    uint shift = 126u - (mag >> 23); /* 14..24 */
    uint v = (mag & 0x7fffffu) | 0x800000u;
    return sign | (v + (1u << (shift - 1u)) - 1u + (v >> shift & 1u)) >> shift;
}
