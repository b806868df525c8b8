#version 460
#extension GL_GOOGLE_include_directive : require
// Transposed convolution (ONNX ConvTranspose), gathered: each place written sums over channels,
// then rows and columns of the kernel, those that reach it, and begins with the bias.
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;

// Words: elements; channels read and written of a group, groups; height and width read; height and
// width written; kernel, stride, dilation (rows, columns each); the first row and column written,
// counted from the padding's end; the first row and column stored; base.
void main() {
    uint channels = p(1);
    for (uint at = gl_GlobalInvocationID.x; at < p(0); at += lanes()) {
        uint x = at % p(7);
        uint y = at / p(7) % p(6);
        uint channel = at / p(7) / p(6);
        uint written = p(2) * p(3);
        uint image = channel / written;
        channel = channel % written;
        uint group = channel / p(2);
        uint plane = p(4) * p(5);
        uint from = p(18) + (image * p(3) + group) * channels * plane;
        uint weight = group * channels * p(2) + channel % p(2);
        float sum = fc(channel);
        for (uint i = 0u; i < channels; i++) {
            for (uint ky = 0u; ky < p(8); ky++) {
                int v = int(y) + int(p(14)) - int(ky * p(12));
                int row = v / int(p(10)) - int(p(16));
                if (v < 0 || v % int(p(10)) != 0 || row < 0 || row >= int(p(4))) continue;
                for (uint kx = 0u; kx < p(9); kx++) {
                    int u = int(x) + int(p(15)) - int(kx * p(13));
                    int column = u / int(p(11)) - int(p(17));
                    if (u < 0 || u % int(p(11)) != 0 || column < 0 || column >= int(p(5))) continue;
                    float value = fa(from + i * plane + uint(row) * p(5) + uint(column));
                    uint w = ((weight + i * p(2)) * p(8) + ky) * p(9) + kx;
                    sum = sum + value * fb(w);
                }
            }
        }
        put(at, sum);
    }
}
