#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SHARED
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
// Convolution (ONNX Conv). Each place written begins with the bias and adds over channels, then
// rows, then columns of the kernel, in this order; what lies outside counts as 0 there. A workgroup
// computes BLOCK channels of 64 times PIXELS places, which changes no order. Weights lie as
// [group][channels / BLOCK][channel read][row][column][BLOCK]. With SHARED the invocations of a
// subgroup load different weights and hand them to each other.
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ROWS = 1;
layout(constant_id = 1) const uint COLUMNS = 1;
layout(constant_id = 2) const uint STRIDE_X = 1;
layout(constant_id = 3) const uint DILATION_X = 1;
// 0: none, 1: negative values times the slope of their channel, 2: clamped to a range.
layout(constant_id = 4) const uint AFTER = 0;
layout(constant_id = 5) const uint WHOLE = 0;
layout(constant_id = 6) const uint BLOCK = 4;
// Invocations of a subgroup.
layout(constant_id = 7) const uint LANES = 1;

// Words: workgroups' worth of work; channels read and written of a group, groups; height and width
// read; height and width written; stride and dilation of rows; the first row and column read
// (signed); base; range; where the slopes begin.
const uint PIXELS = 4;
const uint QUADS = BLOCK / 4u;
// Columns that PIXELS places in a row read; if they are not too many, they are kept.
const uint REACH = (PIXELS - 1u) * STRIDE_X + (COLUMNS - 1u) * DILATION_X + 1u;
const bool KEPT = REACH <= 16u;
const uint LOADS = (COLUMNS * QUADS + LANES - 1u) / LANES;

uvec4 sums[QUADS * PIXELS];

uvec4 weights(uint at) {
#ifdef TEXELS
    return texelFetch(second, int(at));
#else
    return uvec4(b(at * 4u), b(at * 4u + 1u), b(at * 4u + 2u), b(at * 4u + 3u));
#endif
}

uvec4 plus(uvec4 sum, uvec4 w, uint value) {
    if (WHOLE == 1u) return sum + w * value;
    return floatBitsToUint(uintBitsToFloat(sum) + uintBitsToFloat(w) * vec4(uintBitsToFloat(value)));
}

float after(float x, uint channel) {
    if (AFTER == 1u && x < 0.0) return x * uintBitsToFloat(p(p(15) + channel));
    if (AFTER == 2u) return min(max(x, uintBitsToFloat(p(13))), uintBitsToFloat(p(14)));
    return x;
}

// A row of the kernel over PIXELS places in a row that is there or counts as 0.
void add_row(bool there, uint start, int left, int width, uint weight) {
    uint values[REACH];
    if (KEPT) {
        [[unroll]] for (uint n = 0u; n < REACH; n++) {
            int column = left + int(n);
            bool inside = there && column >= 0 && column < width;
            uint value = a(inside ? start + uint(column) : 0u);
            values[n] = inside ? value : 0u;
        }
#ifdef SHARED
        uvec4 held[LOADS];
        [[unroll]] for (uint n = 0u; n < LOADS; n++) {
            held[n] = weights(weight + n * LANES + gl_SubgroupInvocationID);
        }
#endif
        [[unroll]] for (uint kx = 0u; kx < COLUMNS; kx++) {
            [[unroll]] for (uint m = 0u; m < QUADS; m++) {
                uint at = kx * QUADS + m;
#ifdef SHARED
                uvec4 w = subgroupShuffle(held[at / LANES], at % LANES);
#else
                uvec4 w = weights(weight + at);
#endif
                [[unroll]] for (uint n = 0u; n < PIXELS; n++) {
                    uint value = values[n * STRIDE_X + kx * DILATION_X];
                    sums[m * PIXELS + n] = plus(sums[m * PIXELS + n], w, value);
                }
            }
        }
        return;
    }
    for (uint kx = 0u; kx < COLUMNS; kx++) {
        [[unroll]] for (uint n = 0u; n < PIXELS; n++) {
            int column = left + int(n * STRIDE_X + kx * DILATION_X);
            bool inside = there && column >= 0 && column < width;
            uint value = a(inside ? start + uint(column) : 0u);
            value = inside ? value : 0u;
            [[unroll]] for (uint m = 0u; m < QUADS; m++) {
                uvec4 w = weights(weight + kx * QUADS + m);
                sums[m * PIXELS + n] = plus(sums[m * PIXELS + n], w, value);
            }
        }
    }
}

// Writes what is there of the channels from `channel` on and of the places from `to` on.
void deliver(uint to, uint plane, uint places, uint channel, uint channels) {
    [[unroll]] for (uint m = 0u; m < BLOCK; m++) {
        [[unroll]] for (uint n = 0u; n < PIXELS; n++) {
            if (m < channels && n < places) {
                uint word = sums[m / 4u * PIXELS + n][m % 4u];
                if (WHOLE == 1u) o[to + m * plane + n] = word;
                else put(to + m * plane + n, after(uintBitsToFloat(word), channel + m));
            }
        }
    }
}

void main() {
    uint channels = p(1);
    uint written = p(2);
    uint height = p(4);
    uint width = p(5);
    uint rows = p(6);
    uint columns = p(7);
    uint across = (columns + PIXELS - 1u) / PIXELS;
    uint items = across * rows;
    uint pieces = (items + 63u) / 64u;
    uint blocks = (written + BLOCK - 1u) / BLOCK;
    for (uint nth = gl_WorkGroupID.x; nth < p(0); nth += groups()) {
        uint item = nth % pieces * 64u + gl_LocalInvocationID.x;
        uint block = nth / pieces % blocks;
        uint plane = nth / pieces / blocks;
        uint group = plane % p(3);
        // Those without a place of their own go along, so that all have somebody to ask.
        uint own = min(item, items - 1u);
        uint x = own % across * PIXELS;
        uint y = own / across;
        uint channel = group * written + block * BLOCK;
        uint kept = min(BLOCK, written - block * BLOCK);
        [[unroll]] for (uint m = 0u; m < BLOCK; m++) {
            uint bias = c(channel + min(m, kept - 1u));
            [[unroll]] for (uint n = 0u; n < PIXELS; n++) sums[m / 4u * PIXELS + n][m % 4u] = bias;
        }
        int left = int(x * STRIDE_X) + int(p(11));
        int top = int(y * p(8)) + int(p(10));
        uint from = p(12) + plane * channels * height * width;
        uint weight = (group * blocks + block) * channels * ROWS * COLUMNS * QUADS;
        for (uint i = 0u; i < channels; i++) {
            for (uint ky = 0u; ky < ROWS; ky++) {
                int row = top + int(ky * p(9));
                bool there = row >= 0 && row < int(height);
                add_row(there, from + uint(row) * width, left, int(width), weight);
                weight += COLUMNS * QUADS;
            }
            from += height * width;
        }
        uint to = ((plane * written + block * BLOCK) * rows + y) * columns + x;
        uint places = item < items ? columns - x : 0u;
        deliver(to, rows * columns, places, channel, kept);
    }
}
