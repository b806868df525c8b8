#version 460
#extension GL_GOOGLE_include_directive : require
// Elements moved, none computed: slices, paddings, transpositions, repetitions, shuffles of depth
// and space. For each dimension a table says how far each place moves in the tensor read.
#define PER_ID 0
#define FIRST_IN_FOURS
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;
// Whether fours of places in a row are read from fours of words.
layout(constant_id = 1) const uint FOURS_READ = 0;
// Whether they are written to such.
layout(constant_id = 2) const uint FOURS_WRITTEN = 0;

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
        uint words[PER];
        if (PER == 4u && FOURS_READ == 1u) {
            uvec4 four = a_four(inside ? from + p(p(last + 2u) + first) : 0u);
            [[unroll]] for (uint n = 0u; n < PER; n++) words[n] = inside ? four[n] : p(2);
        } else {
            [[unroll]] for (uint n = 0u; n < PER; n++) {
                uint moved = p(p(last + 2u) + first + n);
                bool there = inside && moved != OUTSIDE;
                words[n] = there ? a(from + moved) : p(2);
            }
        }
        if (PER == 4u && FOURS_WRITTEN == 1u) {
            write_four(to + first, uvec4(words[0], words[1 % PER], words[2 % PER], words[3 % PER]));
        } else {
            [[unroll]] for (uint n = 0u; n < PER; n++) {
                write(to + (first + n) * p(last + 1u), words[n]);
            }
        }
    }
}
