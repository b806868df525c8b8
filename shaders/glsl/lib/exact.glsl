// Arithmetic with the same bits on every device. Built from f32 + - * alone (the compile step marks
// each of them NoContraction, and Vulkan rounds those correctly), comparisons, floor and integers.
// The twin in plain Rust is worker/src/render/exact.rs; a test demands equal bits of both.
//
// Every function is total and never leans on denormals, infinities, NaN or the sign of zero, which
// devices treat differently: denormal inputs count as 0, NaN as 0, infinities as the largest finite
// number, and results are +0 or normal finite numbers (too small: +0; too large: HUGEST).
// Angles are in turns: 1 is the full circle.
#ifndef EXACT_GLSL
#define EXACT_GLSL

const uint HUGEST = 0x7f7fffffu;

// Any bit pattern as a normal finite number or +0.
float tidy(float x) {
    uint bits = floatBitsToUint(x);
    uint size = bits & 0x7fffffffu;
    uint held = min(size, HUGEST) | (bits & 0x80000000u);
    // One comparison: what is too small wraps around.
    return uintBitsToFloat(size - 0x00800000u <= 0x7f000000u ? held : 0u);
}

// +0, or a magnitude in 2^-40 .. 2^40. Sums of products of two tame numbers are never denormal.
float tame(float x) {
    uint bits = floatBitsToUint(x);
    uint size = bits & 0x7fffffffu;
    uint held = min(size, 0x53800000u) | (bits & 0x80000000u);
    return uintBitsToFloat(size - 0x2b800000u <= 0x54000000u ? held : 0u);
}
vec2 tame2(vec2 v) { return vec2(tame(v.x), tame(v.y)); }
vec3 tame3(vec3 v) { return vec3(tame(v.x), tame(v.y), tame(v.z)); }
vec4 tame4(vec4 v) { return vec4(tame3(v.xyz), tame(v.w)); }

// x times 2^shift for a normal x or 0; saturates, and gives +0 below the normal range.
float scale(float x, int shift) {
    uint bits = floatBitsToUint(x);
    int exponent = int((bits >> 23) & 255u) + shift;
    uint most = (bits & 0x80000000u) | HUGEST;
    uint moved = bits + (uint(shift) << 23);
    uint held = exponent >= 255 ? most : moved;
    bool gone = exponent <= 0 || (bits & 0x7f800000u) == 0u;
    return uintBitsToFloat(gone ? 0u : held);
}

// 1/m for m in 1..2: a linear guess in the bits, then Newton's iteration.
float rcp_mantissa(float m) {
    float y = uintBitsToFloat(0x7ef311c7u - floatBitsToUint(m));
    y = y * (2.0 - m * y);
    y = y * (2.0 - m * y);
    y = y + y * (1.0 - m * y);
    return y;
}

// 1/x; the sign of 0 does not count: rcp(0) is HUGEST.
float rcp(float x) {
    uint bits = floatBitsToUint(tidy(x));
    int exponent = int((bits >> 23) & 255u);
    uint y = floatBitsToUint(rcp_mantissa(uintBitsToFloat((bits & 0x7fffffu) | 0x3f800000u)));
    int shift = 127 - exponent;
    // Never too large: the mantissa's is not above 1.
    uint moved = (y + (uint(shift) << 23)) | (bits & 0x80000000u);
    uint held = int(y >> 23) + shift > 0 ? moved : 0u;
    return uintBitsToFloat(exponent == 0 ? HUGEST : held);
}

// a/b; 0/0 is 0, a/0 is HUGEST with the sign of a.
float div(float a, float b) {
    uint top = floatBitsToUint(tidy(a));
    uint bottom = floatBitsToUint(tidy(b));
    uint sign = (top ^ bottom) & 0x80000000u;
    int exponent = int((top >> 23) & 255u);
    int below = int((bottom >> 23) & 255u);
    float m = uintBitsToFloat((bottom & 0x7fffffu) | 0x3f800000u);
    float n = uintBitsToFloat((top & 0x7fffffu) | 0x3f800000u);
    float q = n * rcp_mantissa(m);
    uint magnitude = floatBitsToUint(scale(q, exponent - below));
    uint held = magnitude == 0u ? 0u : magnitude | sign;
    uint most = (top & 0x80000000u) | HUGEST;
    held = below == 0 ? most : held;
    return uintBitsToFloat(exponent == 0 ? 0u : held);
}

// 1/sqrt(m) for m in 1..4.
float rsqrt_mantissa(float m) {
    float y = uintBitsToFloat(0x5f375a86u - (floatBitsToUint(m) >> 1));
    float h = 0.5 * m;
    y = y * (1.5 - h * (y * y));
    y = y * (1.5 - h * (y * y));
    y = y + y * (0.5 - h * (y * y));
    return y;
}

// The part of a positive normal number's bits in 1..4 that leaves an even exponent.
float even_mantissa(uint bits, out int half_exponent) {
    int exponent = int(bits >> 23) - 127;
    int odd = exponent & 1;
    half_exponent = (exponent - odd) >> 1;
    return uintBitsToFloat((bits & 0x7fffffu) | (uint(127 + odd) << 23));
}

// Square root; of negative numbers 0.
float root(float x) {
    uint bits = floatBitsToUint(tidy(x));
    int half_exponent;
    float m = even_mantissa(bits & 0x7fffffffu, half_exponent);
    float y = rsqrt_mantissa(m);
    float s = m * y;
    s = s + (0.5 * y) * (m - s * s);
    // Half an exponent never leaves the range.
    uint moved = floatBitsToUint(s) + (uint(half_exponent) << 23);
    return uintBitsToFloat(int(bits) <= 0 ? 0u : moved);
}

// 1/sqrt(x); of 0 HUGEST, of negative numbers 0.
float rsqrt(float x) {
    uint bits = floatBitsToUint(tidy(x));
    int half_exponent;
    float m = even_mantissa(bits & 0x7fffffffu, half_exponent);
    uint moved = floatBitsToUint(rsqrt_mantissa(m)) - (uint(half_exponent) << 23);
    uint held = int(bits) < 0 ? 0u : moved;
    return uintBitsToFloat(bits == 0u ? HUGEST : held);
}

// 2^x.
float power_of_two(float x) {
    float t = tidy(x);
    if (t < -126.5) return 0.0;
    if (t >= 128.0) return uintBitsToFloat(HUGEST);
    float shifted = t + 0.5;
    float whole = floor(shifted);
    float f = t - whole;
    float p = 1.5453162939e-4;
    p = p * f + 1.3390863365e-3;
    p = p * f + 9.6180825573e-3;
    p = p * f + 5.5503571142e-2;
    p = p * f + 2.4022650761e-1;
    p = p * f + 6.9314718803e-1;
    p = p * f + 1.0;
    return scale(p, int(whole));
}

// log2(x); of 0 and negative numbers -HUGEST.
float logarithm(float x) {
    uint bits = floatBitsToUint(tidy(x));
    if (bits == 0u || (bits & 0x80000000u) != 0u) return uintBitsToFloat(0x80000000u | HUGEST);
    int exponent = int(bits >> 23) - 127;
    uint mantissa = bits & 0x7fffffu;
    int up = mantissa > 0x3504f3u ? 1 : 0;
    float m = uintBitsToFloat(mantissa | (uint(127 - up) << 23));
    float above = m + 1.0;
    float below = m - 1.0;
    float t = div(below, above);
    float s = t * t;
    float p = 0.33665021188;
    p = p * s + 0.41189814879;
    p = p * s + 0.57707981866;
    p = p * s + 0.96179669215;
    float tail = (t * s) * p;
    float y = float(exponent + up) + (t * 2.8853900817 + tail);
    return tidy(y);
}

// x^y for x >= 0; negative x counts as 0. 0^0 is 1, 0 to a negative power HUGEST.
float power(float x, float y) {
    float base = tidy(x);
    float by = tidy(y);
    if (by == 0.0) return 1.0;
    if (base <= 0.0) return by > 0.0 ? 0.0 : uintBitsToFloat(HUGEST);
    float l = logarithm(base);
    if (l == 0.0) return 1.0;
    // Beyond this every power but that of 1 saturates; the product below stays finite.
    by = min(max(by, -4.0e9), 4.0e9);
    float e = by * l;
    return power_of_two(e);
}

// (cos, sin) of x turns.
vec2 circle(float x) {
    float turn = tidy(x);
    if (abs(turn) >= 4194304.0) return vec2(1.0, 0.0);
    float quarters = turn * 4.0;
    float nearest = floor(quarters + 0.5);
    float rest = quarters - nearest;
    float a = rest * 1.57079632679;
    float b = a * a;
    float s = b * 2.7249424178e-6 - 1.9840081331e-4;
    s = s * b + 8.3333318581e-3;
    s = s * b - 1.6666666667e-1;
    s = a + a * (b * s);
    float c = b * -2.7296809949e-7 + 2.4800555315e-5;
    c = c * b - 1.3888887532e-3;
    c = c * b + 4.1666666667e-2;
    c = c * b - 0.5;
    c = c * b + 1.0;
    float sine = tidy(s);
    float cosine = tidy(c);
    int quadrant = int(nearest) & 3;
    float u = (quadrant & 1) == 0 ? cosine : sine;
    float v = (quadrant & 1) == 0 ? sine : cosine;
    // Negating 0 must not leave -0.
    if ((quadrant == 1 || quadrant == 2) && u != 0.0) u = -u;
    if (quadrant >= 2 && v != 0.0) v = -v;
    return vec2(u, v);
}

// Turns of the arc tangent for t in 0..1.
float arc(float t) {
    float shifted = 0.0;
    float u = t;
    if (t > 0.41421356) {
        float below = t - 1.0;
        float above = t + 1.0;
        u = div(below, above);
        shifted = 0.125;
    }
    float s = u * u;
    float p = s * -1.0247651904e-2 + 1.7091070090e-2;
    p = p * s - 2.2700739366e-2;
    p = p * s + 3.1830206577e-2;
    p = p * s - 5.3051644527e-2;
    p = p * s;
    float y = u * 0.15915494309 + u * p;
    y = shifted + y;
    return y;
}

// Direction of (x, y) in turns, in -1/2..1/2; of (0, 0) it is 0.
float direction_turns(float y, float x) {
    float v = tidy(y);
    float u = tidy(x);
    if (u == 0.0 && v == 0.0) return 0.0;
    float high = max(abs(u), abs(v));
    float low = min(abs(u), abs(v));
    float turns = arc(div(low, high));
    if (abs(v) > abs(u)) turns = 0.25 - turns;
    if (u < 0.0) turns = 0.5 - turns;
    turns = tidy(turns);
    if (v < 0.0 && turns != 0.0) turns = -turns;
    return turns;
}

// acos(x) in turns, 0..1/2; x is clamped to -1..1.
float arc_cosine_turns(float x) {
    float c = min(max(tidy(x), -1.0), 1.0);
    float below = 1.0 - c;
    float above = 1.0 + c;
    float square = below * above;
    return direction_turns(root(square), c);
}

// The vector functions ask for tame components.
float dot3(vec3 a, vec3 b) {
    float s = (a.x * b.x + a.y * b.y) + a.z * b.z;
    return s;
}

vec3 cross3(vec3 a, vec3 b) {
    vec3 c = vec3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
    return c;
}

// The unit vector along v; of the zero vector the zero vector.
vec3 unit(vec3 v) {
    float r = rsqrt(dot3(v, v));
    vec3 u = v * vec3(r);
    return tame3(u);
}

#endif
