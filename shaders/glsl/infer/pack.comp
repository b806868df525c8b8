#version 460
#extension GL_GOOGLE_include_directive : require
// Whole numbers of one byte, four channels to a word; the lowest byte is the first channel's, and
// channels that are not there count as 0.
#define PER_ID 0
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;

// Words: elements; words of channels, rows and columns written; channels read; strides (image,
// channel, row, column) and base of what is read; what is added to each number.
void main() {
    uint count = p(0) / PER;
    for (uint item = gl_GlobalInvocationID.x; item < count; item += lanes()) {
        uint rest = item * PER;
        uint x = rest % p(3);
        rest = rest / p(3);
        uint y = rest % p(2);
        rest = rest / p(2);
        uint channel = rest % p(1) * 4u;
        uint from = p(9) + rest / p(1) * p(5) + channel * p(6) + y * p(7) + x * p(8);
        uint words[PER];
        [[unroll]] for (uint n = 0u; n < PER; n++) {
            words[n] = 0u;
            [[unroll]] for (uint k = 0u; k < 4u; k++) {
                bool there = channel + k < p(4);
                uint number = a(there ? from + k * p(6) + n * p(8) : from) + p(10);
                words[n] |= there ? (number & 255u) << (k * 8u) : 0u;
            }
        }
        if (PER == 4u) {
            write_four(item * PER, uvec4(words[0], words[1 % PER], words[2 % PER], words[3 % PER]));
        } else {
            [[unroll]] for (uint n = 0u; n < PER; n++) write(item * PER + n, words[n]);
        }
    }
}
