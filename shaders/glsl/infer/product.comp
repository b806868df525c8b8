#version 460
#extension GL_GOOGLE_include_directive : require
// Products of matrices, many at once: o[m, n] is the sum of a[m, k] b[k, n] in the order of k.
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint WHOLE = 0;

// Words: elements, columns, terms, bases of both, strides of a along m and k, of b along k and n,
// rank of the batch, rows; then for each dimension of the batch its length and two strides.
const uint DIMENSIONS = 11u;

void main() {
    for (uint at = gl_GlobalInvocationID.x; at < p(0); at += lanes()) {
        uint n = at % p(1);
        uint m = at / p(1) % p(10);
        uint rest = at / p(1) / p(10);
        uint i = p(3) + m * p(5);
        uint j = p(4) + n * p(8);
        for (uint nth = p(9); nth > 0u; nth--) {
            uint d = DIMENSIONS + (nth - 1u) * 3u;
            uint along = rest % p(d);
            rest = rest / p(d);
            i += along * p(d + 1u);
            j += along * p(d + 2u);
        }
        float sum = 0.0;
        uint total = 0u;
        for (uint k = 0u; k < p(2); k++) {
            if (WHOLE == 1u) total += a(i) * b(j);
            else sum = sum + fa(i) * fb(j);
            i += p(6);
            j += p(7);
        }
        if (WHOLE == 1u) write(at, total);
        else put(at, sum);
    }
}
