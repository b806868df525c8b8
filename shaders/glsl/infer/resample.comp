#version 460
#extension GL_GOOGLE_include_directive : require
// Along one dimension each place is a weighted sum of some places, in the order of its list.
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;

// Words: elements, rank, terms, base, the dimension's place in the list, its stride, where the list
// of places and that of weights begin, what stands outside; then for each dimension its length and
// stride (0 for the one resampled).
const uint DIMENSIONS = 9u;
const uint OUTSIDE = 0x80000000u;

void main() {
    for (uint at = gl_GlobalInvocationID.x; at < p(0); at += lanes()) {
        uint rest = at;
        uint from = p(3);
        uint row = 0u;
        for (uint nth = p(1); nth > 0u; nth--) {
            uint d = DIMENSIONS + (nth - 1u) * 2u;
            uint along = rest % p(d);
            rest = rest / p(d);
            from += along * p(d + 1u);
            if (nth - 1u == p(4)) row = along * p(2);
        }
        float sum = 0.0;
        bool inside = p(p(6) + row) != OUTSIDE;
        for (uint t = 0u; inside && t < p(2); t++) {
            float value = fa(from + p(p(6) + row + t) * p(5));
            sum = sum + value * uintBitsToFloat(p(p(7) + row + t));
        }
        if (inside) put(at, sum);
        else o[at] = p(8);
    }
}
