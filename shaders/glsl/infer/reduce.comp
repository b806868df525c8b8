#version 460
#extension GL_GOOGLE_include_directive : require
// Sums, products, extremes over some dimensions. Of one element's terms, numbered row by row, lane
// n takes n, n + 64, n + 128 and so on in this order; then the lanes are taken in order.
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint OPERATION = 0;

// Words: elements, terms, kept dimensions, reduced dimensions, base; then for each kept and each
// reduced dimension its length and stride.
const uint DIMENSIONS = 5u;

shared uint partial[64];
shared uint places[64];

uint begun() {
    switch (OPERATION) {
    case 2: return floatBitsToUint(1.0);
    case 3: case 5: return floatBitsToUint(-3.0e38);
    case 4: case 6: return floatBitsToUint(3.0e38);
    case 8: return 0x80000000u;
    case 9: return 0x7fffffffu;
    case 10: return 1u;
    }
    return 0u;
}

// Whether another term takes the place of the greatest or least so far: of equal ones the first.
bool takes(uint so_far, uint place, uint term, uint other) {
    float x = uintBitsToFloat(so_far);
    float y = uintBitsToFloat(term);
    bool equal = x == y && other < place;
    return OPERATION == 5u ? y > x || equal : y < x || equal;
}

uint joined(uint so_far, uint term) {
    float x = uintBitsToFloat(so_far);
    float y = uintBitsToFloat(term);
    switch (OPERATION) {
    case 0: case 1: return floatBitsToUint(x + y);
    case 2: return floatBitsToUint(tame(x * y));
    case 3: return floatBitsToUint(max(x, y));
    case 4: return floatBitsToUint(min(x, y));
    case 7: return so_far + term;
    case 8: return uint(max(int(so_far), int(term)));
    case 9: return uint(min(int(so_far), int(term)));
    case 10: return so_far * term;
    }
    return so_far;
}

uint place_of(uint n, uint first, uint count, uint base) {
    uint rest = n;
    uint at = base;
    for (uint nth = count; nth > 0u; nth--) {
        uint d = first + (nth - 1u) * 2u;
        at += rest % p(d) * p(d + 1u);
        rest = rest / p(d);
    }
    return at;
}

void main() {
    uint lane = gl_LocalInvocationID.x;
    bool ranked = OPERATION == 5u || OPERATION == 6u;
    for (uint at = gl_WorkGroupID.x; at < p(0); at += min(p(0), GROUPS_MAX)) {
        uint base = place_of(at, DIMENSIONS, p(2), p(4));
        uint sum = begun();
        uint place = 0xffffffffu;
        for (uint n = lane; n < p(1); n += 64u) {
            uint term = a(place_of(n, DIMENSIONS + p(2) * 2u, p(3), base));
            if (ranked) {
                if (takes(sum, place, term, n)) { sum = term; place = n; }
            } else {
                sum = joined(sum, term);
            }
        }
        partial[lane] = sum;
        places[lane] = place;
        barrier();
        if (lane == 0u) {
            for (uint n = 1u; n < 64u; n++) {
                if (ranked) {
                    if (takes(sum, place, partial[n], places[n])) {
                        sum = partial[n];
                        place = places[n];
                    }
                } else {
                    sum = joined(sum, partial[n]);
                }
            }
            if (OPERATION == 0u) put(at, uintBitsToFloat(sum));
            else if (OPERATION == 1u) put(at, div(uintBitsToFloat(sum), float(p(1))));
            else if (ranked) write(at, place);
            else write(at, sum);
        }
        barrier();
    }
}
