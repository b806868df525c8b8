#version 460
#extension GL_GOOGLE_include_directive : require
// Convolution (ONNX Conv). Each place written begins with the bias and adds over channels, then
// rows, then columns of the kernel, in this order; what lies outside counts as 0 there. An invocation
// computes four channels of PIXELS places in a row, which changes no order. Weights lie as
// [group][channels / 4][channel read][row][column][4].
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ROWS = 1;
layout(constant_id = 1) const uint COLUMNS = 1;
layout(constant_id = 2) const uint STRIDE_X = 1;
layout(constant_id = 3) const uint DILATION_X = 1;
// 0: none, 1: negative values times the slope of their channel, 2: clamped to a range.
layout(constant_id = 4) const uint AFTER = 0;
layout(constant_id = 5) const uint WHOLE = 0;

// Words: work items; channels read and written of a group, groups; height and width read; height
// and width written; stride and dilation of rows; the first row and column read (signed); base; range;
// where the slopes begin.
const int PIXELS = 4;

float after(float x, uint channel) {
    if (AFTER == 1u && x < 0.0) return x * uintBitsToFloat(p[p[15] + channel]);
    if (AFTER == 2u) return min(max(x, uintBitsToFloat(p[13])), uintBitsToFloat(p[14]));
    return x;
}

void main() {
    uint channels = p[1];
    uint height = p[4];
    uint width = p[5];
    uint across = (p[7] + uint(PIXELS) - 1u) / uint(PIXELS);
    uint quads = (p[2] + 3u) / 4u;
    for (uint item = gl_GlobalInvocationID.x; item < p[0]; item += lanes()) {
        uint x = item % across * uint(PIXELS);
        uint y = item / across % p[6];
        uint quad = item / across / p[6] % quads;
        uint plane = item / across / p[6] / quads;
        uint group = plane % p[3];
        uint from = p[12] + plane * channels * height * width;
        uint weight = (group * quads + quad) * channels * ROWS * COLUMNS * 4u;
        int left = int(x * STRIDE_X) + int(p[11]);
        int top = int(y * p[8]) + int(p[10]);
        uint channel = group * p[2] + quad * 4u;
        uint kept = min(4u, p[2] - quad * 4u);
        vec4 sums[PIXELS];
        uvec4 totals[PIXELS];
        vec4 bias = vec4(0.0);
        // Loops of constant length only, so that they are unrolled and sums stay in registers.
        for (uint n = 0u; n < 4u; n++) {
            if (n < kept) bias[n] = fc(channel + n);
        }
        for (int n = 0; n < PIXELS; n++) {
            sums[n] = bias;
            totals[n] = uvec4(0u);
        }
        for (uint i = 0u; i < channels; i++) {
            for (uint ky = 0u; ky < ROWS; ky++) {
                int row = top + int(ky * p[9]);
                uint start = from + uint(row) * width;
                bool there = row >= 0 && row < int(height);
                for (uint kx = 0u; kx < COLUMNS; kx++) {
                    uvec4 w = uvec4(b[weight], b[weight + 1u], b[weight + 2u], b[weight + 3u]);
                    weight += 4u;
                    for (int n = 0; n < PIXELS; n++) {
                        int column = left + n * int(STRIDE_X) + int(kx * DILATION_X);
                        uint value = 0u;
                        if (there && column >= 0 && column < int(width)) {
                            value = a[start + uint(column)];
                        }
                        if (WHOLE == 1u) totals[n] += w * value;
                        else sums[n] = sums[n] + uintBitsToFloat(w) * uintBitsToFloat(value);
                    }
                }
            }
            from += height * width;
        }
        uint to = ((plane * p[2] + quad * 4u) * p[6] + y) * p[7] + x;
        for (uint m = 0u; m < 4u; m++) {
            for (int n = 0; n < PIXELS; n++) {
                if (m >= kept || x + uint(n) >= p[7]) continue;
                uint at = to + m * p[6] * p[7] + uint(n);
                if (WHOLE == 1u) o[at] = totals[n][m];
                else put(at, after(sums[n][m], channel + m));
            }
        }
    }
}
