#version 460
#extension GL_GOOGLE_include_directive : require
// Along one dimension each place is a weighted sum of some places, in the order of its list.
#define PER_ID 0
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;

// Words: elements, rank, terms, base, the dimension's place in the list, its stride, where the list
// of places and that of weights begin, what stands outside; then for each dimension its length and
// stride (0 for the one resampled).
const uint DIMENSIONS = 9u;
const uint OUTSIDE = 0x80000000u;

void main() {
    uint count = p(0) / PER;
    for (uint item = gl_GlobalInvocationID.x; item < count; item += lanes()) {
        uint rest = item * PER;
        uint from = p(3);
        uint row = 0u;
        for (uint nth = p(1); nth > 0u; nth--) {
            uint d = DIMENSIONS + (nth - 1u) * 2u;
            uint along = rest % p(d);
            rest = rest / p(d);
            from += along * p(d + 1u);
            if (nth - 1u == p(4)) row = along * p(2);
        }
        // The last dimension's.
        uint step = p(DIMENSIONS + p(1) * 2u - 1u);
        uint step_of_row = p(4) == p(1) - 1u ? p(2) : 0u;
        [[unroll]] for (uint n = 0u; n < PER; n++) {
            uint own = row + n * step_of_row;
            float sum = 0.0;
            bool inside = p(p(6) + own) != OUTSIDE;
            for (uint t = 0u; inside && t < p(2); t++) {
                float value = fa(from + n * step + p(p(6) + own + t) * p(5));
                sum = sum + value * uintBitsToFloat(p(p(7) + own + t));
            }
            if (inside) put(item * PER + n, sum);
            else write(item * PER + n, p(8));
        }
    }
}
