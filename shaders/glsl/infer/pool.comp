#version 460
#extension GL_GOOGLE_include_directive : require
// Windows that slide over up to three dimensions: the greatest, the mean, or the sum of powers.
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint OPERATION = 0;

// Words: elements, whether padding counts, unused, base; then for each of the three dimensions:
// places read, places written, window, stride, dilation, first place read (signed), and between
// which places (signed) a mean counts; then the planes' stride.
const uint DIMENSION = 4u;
const uint WORDS = 8u;

int of(uint dimension, uint word) { return int(p(DIMENSION + dimension * WORDS + word)); }

bool counts(uint d, int at) { return at >= of(d, 6u) && at < of(d, 7u); }

void main() {
    for (uint at = gl_GlobalInvocationID.x; at < p(0); at += lanes()) {
        uint rest = at;
        ivec3 first;
        for (uint nth = 3u; nth > 0u; nth--) {
            uint d = nth - 1u;
            int along = int(rest % uint(of(d, 1u)));
            rest = rest / uint(of(d, 1u));
            first[d] = along * of(d, 3u) + of(d, 5u);
        }
        uint plane = p(3) + rest * p(DIMENSION + 3u * WORDS);
        float sum = OPERATION == 0u ? -3.0e38 : 0.0;
        uint count = 0u;
        for (int u = 0; u < of(0u, 2u); u++)
        for (int v = 0; v < of(1u, 2u); v++)
        for (int w = 0; w < of(2u, 2u); w++) {
            int z = first.x + u * of(0u, 4u);
            int y = first.y + v * of(1u, 4u);
            int x = first.z + w * of(2u, 4u);
            bool inside = z >= 0 && z < of(0u, 0u) && y >= 0 && y < of(1u, 0u)
                && x >= 0 && x < of(2u, 0u);
            if (p(1) == 1u ? counts(0u, z) && counts(1u, y) && counts(2u, x) : inside) count++;
            if (!inside) continue;
            float value = fa(plane + uint((z * of(1u, 0u) + y) * of(2u, 0u) + x));
            if (OPERATION == 0u) sum = max(sum, value);
            else sum = sum + value;
        }
        if (OPERATION == 1u) sum = div(sum, float(count));
        put(at, sum);
    }
}
