#version 460
#extension GL_GOOGLE_include_directive : require
// Elements moved, none computed: slices, paddings, transpositions, repetitions, shuffles of depth
// and space. For each dimension a table says how far each place moves in the tensor read.
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;

// Words: elements, rank, what stands outside, base of reading and of writing; then for each
// dimension its length, its stride in the tensor written, and where its table begins.
const uint DIMENSIONS = 5u;
const uint OUTSIDE = 0x80000000u;

void main() {
    for (uint at = gl_GlobalInvocationID.x; at < p(0); at += lanes()) {
        uint rest = at;
        uint from = p(3);
        uint to = p(4);
        bool inside = true;
        for (uint nth = p(1); nth > 0u; nth--) {
            uint d = DIMENSIONS + (nth - 1u) * 3u;
            uint along = rest % p(d);
            rest = rest / p(d);
            uint moved = p(p(d + 2u) + along);
            inside = inside && moved != OUTSIDE;
            from += moved;
            to += along * p(d + 1u);
        }
        uint word = p(2);
        if (inside) word = a(from);
        o[to] = word;
    }
}
