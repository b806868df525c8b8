#version 460
#extension GL_GOOGLE_include_directive : require
// Element by element, with broadcasting. The numbers of operations are those of
// worker/src/infer/map.rs, which is the twin.
#define PER_ID 1
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint OPERATION = 0;

// Words: elements, rank, alpha, beta, three bases; then for each dimension its length and three
// strides.
const uint DIMENSIONS = 7u;

float of_one(float x, float alpha, float beta) {
    switch (OPERATION) {
    case 1: return -x;
    case 2: return abs(x);
    case 3: return max(x, 0.0);
    case 4: return x < 0.0 ? alpha * x : x;
    case 5: return logistic(x);
    case 6: return hyperbolic_tangent(x);
    case 7: return exponential(x);
    case 8: return natural_logarithm(x);
    case 9: return root(x);
    case 10: return rcp(x);
    case 11: return floor(x);
    case 12: return -floor(-x);
    case 13: return nearest(x);
    case 14: return error_function(x);
    case 15: return x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : 0.0);
    case 16: return min(max(x, alpha), beta);
    case 17: return circle_of_radians(x).y;
    case 18: return circle_of_radians(x).x;
    case 19: { vec2 t = circle_of_radians(x); return div(t.y, t.x); }
    case 20: return arc_sine(x);
    case 21: return arc_cosine_turns(x) * 6.28318530718;
    case 22: return arc_tangent(x);
    case 23: return hyperbolic_sine(x);
    case 24: return hyperbolic_cosine(x);
    case 25: return area_sine(x);
    case 26: return area_cosine(x);
    case 27: return area_tangent(x);
    case 28: { float y = alpha * x; return y + beta; }
    }
    return x;
}

float of_two(float x, float y) {
    switch (OPERATION) {
    case 40: return x + y;
    case 41: return x - y;
    case 42: return x * y;
    case 43: return ratio(x, y);
    case 44: return real_power(x, y);
    case 45: return min(x, y);
    case 46: return max(x, y);
    case 47: return x < 0.0 ? x * y : x;
    case 48: return remainder_of(x, y, false);
    case 49: return remainder_of(x, y, true);
    }
    return x;
}

bool holds(float x, float y) {
    switch (OPERATION) {
    case 60: return x == y;
    case 61: return x < y;
    case 62: return x > y;
    case 63: return x <= y;
    case 64: return x >= y;
    }
    return false;
}

// Division towards zero; by 0 it is 0, and the one that overflows wraps.
int quotient(int x, int y) {
    if (y == 0) return 0;
    if (y == -1) return int(0u - uint(x));
    uint high = uint(abs(x));
    uint low = uint(abs(y));
    uint q = high / low;
    return (x < 0) != (y < 0) ? int(0u - q) : int(q);
}

int whole_remainder(int x, int y, bool like_dividend) {
    if (y == 0) return 0;
    int r = int(uint(x) - uint(quotient(x, y)) * uint(y));
    if (!like_dividend && r != 0 && (r < 0) != (y < 0)) r += y;
    return r;
}

uint shifted(uint x, uint by, bool left) {
    if (by > 31u) return 0u;
    return left ? x << by : x >> by;
}

uint of_wholes(uint u, uint v) {
    int x = int(u);
    int y = int(v);
    switch (OPERATION) {
    case 80: return u + v;
    case 81: return u - v;
    case 82: return u * v;
    case 83: return uint(quotient(x, y));
    case 84: return uint(min(x, y));
    case 85: return uint(max(x, y));
    case 86: return uint(whole_remainder(x, y, false));
    case 87: return uint(whole_remainder(x, y, true));
    case 88: return u & v;
    case 89: return u | v;
    case 90: return u ^ v;
    case 91: return shifted(u, v, true);
    case 92: return shifted(u, v, false);
    case 93: return x == y ? 1u : 0u;
    case 94: return x < y ? 1u : 0u;
    case 95: return x > y ? 1u : 0u;
    case 96: return x <= y ? 1u : 0u;
    case 97: return x >= y ? 1u : 0u;
    }
    return u;
}

uint of_whole(uint u) {
    int x = int(u);
    switch (OPERATION) {
    case 110: return 0u - u;
    case 111: return x < 0 ? 0u - u : u;
    case 112: return u == 0u ? 1u : 0u;
    case 113: return ~u;
    case 114: return x > 0 ? 1u : (x < 0 ? 0xffffffffu : 0u);
    case 115: return u != 0u ? 1u : 0u;
    case 116: return floatBitsToUint(tame(float(x)));
    case 117: return (u & p(2)) | ((u & p(3)) != 0u ? ~p(2) : 0u);
    case 118: return uint(min(max(x, int(p(2))), int(p(3))));
    }
    return u;
}

uint computed(uint i, uint j, uint k) {
    float alpha = uintBitsToFloat(p(2));
    float beta = uintBitsToFloat(p(3));
    if (OPERATION == 0u) return a(i);
    if (OPERATION < 40u) return floatBitsToUint(tame(of_one(fa(i), alpha, beta)));
    if (OPERATION < 60u) return floatBitsToUint(tame(of_two(fa(i), fb(j))));
    if (OPERATION < 80u) return holds(fa(i), fb(j)) ? 1u : 0u;
    if (OPERATION < 110u) return of_wholes(a(i), b(j));
    if (OPERATION < 120u) return of_whole(a(i));
    if (OPERATION == 120u) return a(i) != 0u ? b(j) : c(k);
    // Towards zero, as far as whole numbers go.
    if (OPERATION == 121u) return uint(int(min(max(fa(i), -2147483520.0), 2147483520.0)));
    if (OPERATION == 122u) return fa(i) != 0.0 ? 1u : 0u;
    return 0u;
}

void main() {
    uint count = p(0) / PER;
    for (uint item = gl_GlobalInvocationID.x; item < count; item += lanes()) {
        uint rest = item * PER;
        uint i = p(4);
        uint j = p(5);
        uint k = p(6);
        for (uint nth = p(1); nth > 0u; nth--) {
            uint d = DIMENSIONS + (nth - 1u) * 4u;
            uint along = rest;
            if (nth > 1u) {
                along = rest % p(d);
                rest = rest / p(d);
            }
            i += along * p(d + 1u);
            j += along * p(d + 2u);
            k += along * p(d + 3u);
        }
        // The last dimension's; of none there is one element.
        uint d = DIMENSIONS + p(1) * 4u - 4u;
        uint words[PER];
        [[unroll]] for (uint n = 0u; n < PER; n++) {
            words[n] = computed(i + n * p(d + 1u), j + n * p(d + 2u), k + n * p(d + 3u));
        }
        if (PER == 4u) {
            write_four(item * PER, uvec4(words[0], words[1 % PER], words[2 % PER], words[3 % PER]));
        } else {
            [[unroll]] for (uint n = 0u; n < PER; n++) write(item * PER + n, words[n]);
        }
    }
}
