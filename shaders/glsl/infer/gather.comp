#version 460
#extension GL_GOOGLE_include_directive : require
// Elements chosen along one dimension by numbers that a tensor holds; negative ones count from the
// end.
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;

// Words: elements, elements below the dimension, places written, places read, whether each element
// has a number of its own.
void main() {
    for (uint at = gl_GlobalInvocationID.x; at < p(0); at += lanes()) {
        uint inner = at % p(1);
        uint nth = at / p(1) % p(2);
        uint outer = at / p(1) / p(2);
        int index = int(b(p(4) == 1u ? at : nth));
        if (index < 0) index += int(p(3));
        index = min(max(index, 0), int(p(3)) - 1);
        write(at, a((outer * p(3) + uint(index)) * p(1) + inner));
    }
}
