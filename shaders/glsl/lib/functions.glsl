// Functions that networks ask for, exact like exact.glsl, on which they are built. Arguments are
// tame. The twin in plain Rust is worker/src/infer/functions.rs.
#ifndef FUNCTIONS_GLSL
#define FUNCTIONS_GLSL
#include "lib/exact.glsl"

// a/b as it would be rounded, but for ties that rounding twice would decide otherwise: the first
// quotient is mended by what is left of a, known exactly (Dekker 1971).
float ratio(float a, float b) {
    float q = div(a, b);
    if (b == 0.0) return q;
    float wide_q = q * 4097.0;
    float high_q = wide_q - (wide_q - q);
    float low_q = q - high_q;
    float wide_b = b * 4097.0;
    float high_b = wide_b - (wide_b - b);
    float low_b = b - high_b;
    float whole = q * b;
    float part = high_q * high_b - whole;
    part = part + high_q * low_b;
    part = part + low_q * high_b;
    part = part + low_q * low_b;
    float left = (a - whole) - part;
    return q + div(left, b);
}

// e^x: the argument is reduced by ln 2 in two pieces (Cody and Waite 1980).
float exponential(float x) {
    if (x < -87.0) return 0.0;
    if (x > 88.0) return uintBitsToFloat(HUGEST);
    float shifted = x * 1.44269504089 + 0.5;
    float whole = floor(shifted);
    float rest = (x - whole * 0.693359375) + whole * 2.12194440055e-4;
    float f = rest * 1.44269504089;
    return scale(power_of_two(f), int(whole));
}

// Natural logarithm; of 0 and negative numbers as low as numbers go.
float natural_logarithm(float x) {
    float l = logarithm(x);
    if (l < -1.0e30) return l;
    return l * 0.69314718056;
}

// 1 / (1 + e^-x), with the steps of `exponential`, `power_of_two` and `div` that count here: below e^-80 nothing
// is left beside 1, no step leaves the normal range, and the reciprocal is that of 1 to 2.
float logistic(float x) {
    float a = max(-abs(x), -80.0);
    float shifted = a * 1.44269504089 + 0.5;
    float whole = floor(shifted);
    float rest = (a - whole * 0.693359375) + whole * 2.12194440055e-4;
    float t = rest * 1.44269504089;
    float more = floor(t + 0.5);
    float f = t - more;
    float e = 1.5453162939e-4;
    e = e * f + 1.3390863365e-3;
    e = e * f + 9.6180825573e-3;
    e = e * f + 5.5503571142e-2;
    e = e * f + 2.4022650761e-1;
    e = e * f + 6.9314718803e-1;
    e = e * f + 1.0;
    uint moved = floatBitsToUint(e) + (uint(int(whole) + int(more)) << 23);
    float y = rcp_mantissa(1.0 + uintBitsToFloat(moved));
    return x < 0.0 ? 1.0 - y : y;
}

float hyperbolic_tangent(float x) {
    float a = abs(x);
    float y;
    if (a < 0.1) {
        float s = a * a;
        float q = s * -0.05396825397 + 0.13333333333;
        q = q * s - 0.33333333333;
        y = a + a * (s * q);
    } else {
        float e = exponential(min(a, 20.0) * 2.0);
        y = 1.0 - div(2.0, e + 1.0);
    }
    return x < 0.0 ? -y : y;
}

// The error function: its series below 0.7, above it Abramowitz and Stegun 7.1.26.
float error_function(float x) {
    float a = abs(x);
    float y;
    if (a < 0.7) {
        float s = a * a;
        float q = s * 1.2055332981e-4 - 8.5483270234e-4;
        q = q * s + 5.2239776254e-3;
        q = q * s - 2.6866170645e-2;
        q = q * s + 1.1283791671e-1;
        q = q * s - 3.7612638903e-1;
        q = q * s + 1.1283791671;
        y = a * q;
    } else {
        a = min(a, 9.0);
        float t = div(1.0, 1.0 + 0.3275911 * a);
        float q = t * 1.061405429 - 1.453152027;
        q = q * t + 1.421413741;
        q = q * t - 0.284496736;
        q = q * t + 0.254829592;
        q = q * t;
        y = 1.0 - q * exponential(-(a * a));
    }
    return x < 0.0 ? -y : y;
}

// (cos, sin) of x radians; the turns are taken off in three pieces, the first two of so few digits
// that up to 4096 turns are taken off without rounding.
vec2 circle_of_radians(float x) {
    float shifted = x * 0.15915494309 + 0.5;
    float whole = floor(shifted);
    float rest = (x - whole * 6.28125) - whole * 1.93500518798828125e-3;
    rest = rest - whole * 3.019915981957e-7;
    return circle(rest * 0.15915494309);
}

float arc_tangent(float x) {
    return direction_turns(x, 1.0) * 6.28318530718;
}

float arc_sine(float x) {
    float c = min(max(x, -1.0), 1.0);
    float square = (1.0 - c) * (1.0 + c);
    return direction_turns(c, root(square)) * 6.28318530718;
}

float hyperbolic_sine(float x) {
    float a = abs(x);
    float y;
    if (a < 0.5) {
        float s = a * a;
        float q = s * 1.98412698e-4 + 8.33333333e-3;
        q = q * s + 1.66666667e-1;
        y = a + a * (s * q);
    } else {
        float e = exponential(a);
        y = 0.5 * (e - div(1.0, e));
    }
    return x < 0.0 ? -y : y;
}

float hyperbolic_cosine(float x) {
    float e = exponential(abs(x));
    return 0.5 * (e + div(1.0, e));
}

// ln(1 + x), also where x is small (Kahan's correction).
float logarithm_beside_one(float x) {
    float u = 1.0 + x;
    float d = u - 1.0;
    if (d == 0.0) return x;
    return div(natural_logarithm(u) * x, d);
}

float area_sine(float x) {
    float a = abs(x);
    float s = a * a;
    float y = logarithm_beside_one(a + div(s, 1.0 + root(1.0 + s)));
    return x < 0.0 ? -y : y;
}

float area_cosine(float x) {
    float t = max(x - 1.0, 0.0);
    return logarithm_beside_one(t + root(2.0 * t + t * t));
}

float area_tangent(float x) {
    float a = min(abs(x), 0.99999994);
    float y = 0.5 * logarithm_beside_one(div(2.0 * a, 1.0 - a));
    return x < 0.0 ? -y : y;
}

// To the nearest whole number, halves to the even one.
float nearest(float x) {
    if (abs(x) >= 8388608.0) return x;
    float whole = floor(x + 0.5);
    float half_way = whole - x;
    if (half_way == 0.5 && floor(whole * 0.5) * 2.0 != whole) return whole - 1.0;
    return whole;
}

// The remainder of a by b with the sign of b, or of a if `like_dividend`; 0 for b = 0.
float remainder_of(float a, float b, bool like_dividend) {
    if (b == 0.0) return 0.0;
    float q = div(a, b);
    float whole = like_dividend && q < 0.0 ? -floor(-q) : floor(q);
    float r = a - whole * b;
    // The quotient is rounded: mend what it was off by one.
    float size = abs(b);
    float sign = like_dividend ? (a < 0.0 ? -1.0 : 1.0) : (b < 0.0 ? -1.0 : 1.0);
    float along = r * sign;
    if (along < 0.0) along = along + size;
    if (along >= size) along = along - size;
    return along * sign;
}

// x^y of any x: of a negative one by whole y only, else 0.
float real_power(float x, float y) {
    if (x >= 0.0) return power(x, y);
    float whole = floor(y);
    if (whole != y) return 0.0;
    float magnitude = power(-x, y);
    return floor(y * 0.5) * 2.0 == y ? magnitude : -magnitude;
}

#endif
