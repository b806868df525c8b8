#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SHARED
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
// Convolution (ONNX Conv). Each place written begins with the bias and adds over channels, then
// rows, then columns of the kernel, in this order; what lies outside counts as 0 there. A workgroup
// computes TOGETHER channels of 64 times PIXELS places, which changes no order. Weights lie as
// [group][channels / BLOCK][channel read][row][column][BLOCK]. With SHARED, for software renderers,
// images too are read in fours of words, and the invocations of a subgroup load different weights
// and hand them to each other.
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
#ifdef SHARED
layout(constant_id = 7) const uint TOGETHER = 4;
// Invocations of a subgroup.
layout(constant_id = 8) const uint LANES = 1;
#else
const uint TOGETHER = BLOCK;
#endif

// Words: workgroups' worth of work; channels read and written of a group, groups; height and width
// read; height and width written; stride and dilation of rows; the first row and column read
// (signed); base; range; where the slopes begin.
const uint PIXELS = 4;
const uint QUADS = TOGETHER / 4u;
const uint LAID = BLOCK / 4u;
// Columns that PIXELS places in a row read; if they are not too many, they are kept.
const uint REACH = (PIXELS - 1u) * STRIDE_X + (COLUMNS - 1u) * DILATION_X + 1u;
const bool KEPT = REACH <= 16u;

uvec4 sums[QUADS * PIXELS];

uvec4 weights(uint at) {
#ifdef TEXELS
    return texelFetch(second, int(at));
#else
    return uvec4(b(at * 4u), b(at * 4u + 1u), b(at * 4u + 2u), b(at * 4u + 3u));
#endif
}

uint image(uint at) {
#ifdef SHARED
    return texelFetch(first, int(at / 4u))[at % 4u];
#else
    return a(at);
#endif
}

uvec4 plus(uvec4 sum, uvec4 w, uint value) {
    if (WHOLE == 1u) return sum + w * value;
    return floatBitsToUint(uintBitsToFloat(sum) + uintBitsToFloat(w) * vec4(uintBitsToFloat(value)));
}

float after(float x, float slope) {
    if (AFTER == 1u && x < 0.0) return x * slope;
    if (AFTER == 2u) return min(max(x, uintBitsToFloat(p(13))), uintBitsToFloat(p(14)));
    return x;
}

// REACH words of a row from column `left` on; 0 where there are none.
void read_row(bool there, uint start, int left, int width, out uint values[REACH]) {
#ifdef SHARED
    // Fours that hold the words wherever among four the first lies.
    const uint FOURS = (REACH + 6u) / 4u;
    int at = int(start) + left;
    // The last that holds a word of the row; those beyond count for nothing.
    int most = there ? (int(start) + width - 1) >> 2 : 0;
    uint words[FOURS * 4u];
    [[unroll]] for (uint n = 0u; n < FOURS; n++) {
        uvec4 four = texelFetch(first, max(min((at >> 2) + int(n), most), 0));
        [[unroll]] for (uint m = 0u; m < 4u; m++) words[n * 4u + m] = four[m];
    }
    bool by_one = (at & 1) != 0;
    bool by_two = (at & 2) != 0;
    [[unroll]] for (uint n = 0u; n + 1u < FOURS * 4u; n++) {
        words[n] = by_one ? words[n + 1u] : words[n];
    }
#endif
    [[unroll]] for (uint n = 0u; n < REACH; n++) {
        int column = left + int(n);
        bool inside = there && column >= 0 && column < width;
#ifdef SHARED
        uint value = by_two ? words[n + 2u] : words[n];
#else
        uint value = a(inside ? start + uint(column) : 0u);
#endif
        values[n] = inside ? value : 0u;
    }
}

// A row of the kernel over PIXELS places in a row that is there or counts as 0. Weights of the next
// block lie `apart` further on.
void add_row(bool there, uint start, int left, int width, uint weight, uint apart) {
    if (KEPT) {
        uint values[REACH];
        read_row(there, start, left, width, values);
#ifdef SHARED
        const uint COUNT = COLUMNS * QUADS;
        const uint LOADS = (COUNT + LANES - 1u) / LANES;
        uvec4 held[LOADS];
        [[unroll]] for (uint n = 0u; n < LOADS; n++) {
            uint own = min(n * LANES + gl_SubgroupInvocationID, COUNT - 1u);
            uint m = own % QUADS;
            held[n] = weights(weight + m / LAID * apart + own / QUADS * LAID + m % LAID);
        }
#endif
        [[unroll]] for (uint m = 0u; m < QUADS; m++) {
            uvec4 w[COLUMNS];
            [[unroll]] for (uint kx = 0u; kx < COLUMNS; kx++) {
#ifdef SHARED
                uint at = kx * QUADS + m;
                w[kx] = subgroupShuffle(held[at / LANES], at % LANES);
#else
                w[kx] = weights(weight + kx * LAID + m);
#endif
            }
            // Place by place, so that a sum stays in its register for a row.
            [[unroll]] for (uint n = 0u; n < PIXELS; n++) {
                uvec4 sum = sums[m * PIXELS + n];
                [[unroll]] for (uint kx = 0u; kx < COLUMNS; kx++) {
                    sum = plus(sum, w[kx], values[n * STRIDE_X + kx * DILATION_X]);
                }
                sums[m * PIXELS + n] = sum;
            }
        }
        return;
    }
    for (uint kx = 0u; kx < COLUMNS; kx++) {
        [[unroll]] for (uint n = 0u; n < PIXELS; n++) {
            int column = left + int(n * STRIDE_X + kx * DILATION_X);
            bool inside = there && column >= 0 && column < width;
            uint value = image(inside ? start + uint(column) : 0u);
            value = inside ? value : 0u;
            [[unroll]] for (uint m = 0u; m < QUADS; m++) {
                uvec4 w = weights(weight + m / LAID * apart + kx * LAID + m % LAID);
                sums[m * PIXELS + n] = plus(sums[m * PIXELS + n], w, value);
            }
        }
    }
}

void add_kernel_row(
    uint ky, int top, uint from, int left, uint height, uint width, uint weight, uint apart
) {
    int row = top + int(ky * p(9));
    bool there = row >= 0 && row < int(height);
    uint start = from + uint(row) * width;
    add_row(there, start, left, int(width), weight + ky * COLUMNS * LAID, apart);
}

// Writes what is there of the channels from `channel` on and of the places from `to` on.
void deliver(uint to, uint plane, uint places, uint channel, uint channels) {
    [[unroll]] for (uint m = 0u; m < TOGETHER; m++) {
        float slope = 0.0;
        if (AFTER == 1u) slope = uintBitsToFloat(p(p(15) + channel + min(m, channels - 1u)));
        [[unroll]] for (uint n = 0u; n < PIXELS; n++) {
            if (m < channels && n < places) {
                uint word = sums[m / 4u * PIXELS + n][m % 4u];
                if (WHOLE == 1u) o[to + m * plane + n] = word;
                else put(to + m * plane + n, after(tame(uintBitsToFloat(word)), slope));
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
    uint laid = (written + BLOCK - 1u) / BLOCK;
    uint blocks = (written + TOGETHER - 1u) / TOGETHER;
    // p(0) counts those with a BLOCK of channels each.
    uint count = p(0) / laid * blocks;
    for (uint nth = gl_WorkGroupID.x; nth < count; nth += min(count, GROUPS_MAX)) {
        uint item = nth % pieces * 64u + gl_LocalInvocationID.x;
        uint block = nth / pieces % blocks;
        uint plane = nth / pieces / blocks;
        uint group = plane % p(3);
        // Those without a place of their own go along, so that all have somebody to ask.
        uint own = min(item, items - 1u);
        uint x = own % across * PIXELS;
        uint y = own / across;
        uint channel = group * written + block * TOGETHER;
        uint kept = min(TOGETHER, written - block * TOGETHER);
        [[unroll]] for (uint m = 0u; m < TOGETHER; m++) {
            uint bias = c(channel + min(m, kept - 1u));
            [[unroll]] for (uint n = 0u; n < PIXELS; n++) sums[m / 4u * PIXELS + n][m % 4u] = bias;
        }
        int left = int(x * STRIDE_X) + int(p(11));
        int top = int(y * p(8)) + int(p(10));
        uint from = p(12) + plane * channels * height * width;
        uint apart = channels * ROWS * COLUMNS * LAID;
        uint weight = (group * laid + block * (TOGETHER / BLOCK)) * apart;
        for (uint i = 0u; i < channels; i++) {
            if (ROWS <= 3u && KEPT) {
                [[unroll]] for (uint ky = 0u; ky < ROWS; ky++) {
                    add_kernel_row(ky, top, from, left, height, width, weight, apart);
                }
            } else {
                for (uint ky = 0u; ky < ROWS; ky++) {
                    add_kernel_row(ky, top, from, left, height, width, weight, apart);
                }
            }
            weight += ROWS * COLUMNS * LAID;
            from += height * width;
        }
        uint to = ((plane * written + block * TOGETHER) * rows + y) * columns + x;
        uint places = item < items ? columns - x : 0u;
        deliver(to, rows * columns, places, channel, kept);
    }
}
