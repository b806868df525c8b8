#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Elements moved, none computed: slices, paddings, transpositions, repetitions, shuffles of depth
// and space. For each dimension a table says how far each place moves in the tensor read.
#define PER_ID 0
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;

// Words: elements, dimensions (one at least), what stands outside, base of reading and of writing;
// then for each dimension its length, its stride in the tensor written, and where its table begins.
const uint DIMENSIONS = 5u;
const uint OUTSIDE = 0x80000000u;

void main() {
    uint count = p(0) / PER;
    uint last = DIMENSIONS + p(1) * 3u - 3u;
    for (uint item = gl_GlobalInvocationID.x; item < count; item += lanes()) {
        uint first = item * PER % p(last);
        uint rest = item * PER / p(last);
        uint from = p(3);
        uint to = p(4);
        bool inside = true;
        for (uint nth = p(1) - 1u; nth > 0u; nth--) {
            uint d = DIMENSIONS + (nth - 1u) * 3u;
            uint along = rest;
            if (nth > 1u) {
                along = rest % p(d);
                rest = rest / p(d);
            }
            uint moved = p(p(d + 2u) + along);
            inside = inside && moved != OUTSIDE;
            from += moved;
            to += along * p(d + 1u);
        }
        [[unroll]] for (uint n = 0u; n < PER; n++) {
            uint moved = p(p(last + 2u) + first + n);
            uint word = p(2);
            if (inside && moved != OUTSIDE) word = a(from + moved);
            o[to + (first + n) * p(last + 1u)] = word;
        }
    }
}
