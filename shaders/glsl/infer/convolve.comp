#version 460
#extension GL_GOOGLE_include_directive : require
#ifdef SHARED
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
#endif
// Convolution (ONNX Conv). Each place written begins with the bias and adds over channels, then
// rows, then columns of the kernel, in this order; what lies outside counts as 0 there. Functions of
// one place may follow. A workgroup computes BLOCK channels of 64 times PIXELS places, which changes
// no order. Weights lie as [group][channels / BLOCK][channel read][row][column][BLOCK].
// With SHARED, for software renderers, images too are read in fours of words, and the invocations
// of a subgroup load different weights and hand them to each other. With BYTES each word read holds
// signed bytes of four channels, whose products are added; with DOT by the device's own instruction.
#ifdef SHARED
#define FIRST_IN_FOURS
#endif
#include "infer/tensor.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ROWS = 1;
layout(constant_id = 1) const uint COLUMNS = 1;
layout(constant_id = 2) const uint STRIDE_X = 1;
layout(constant_id = 3) const uint DILATION_X = 1;
layout(constant_id = 4) const uint FOLLOWERS = 0;
layout(constant_id = 5) const uint WHOLE = 0;
layout(constant_id = 6) const uint BLOCK = 4;
// What follows: the function (numbers of worker/src/infer/map.rs) and the two values it takes: 0 is
// the sum, n what the n-th made, then OTHER and OWN.
layout(constant_id = 11) const uint FUNCTION_1 = 0;
layout(constant_id = 12) const uint LEFT_1 = 0;
layout(constant_id = 13) const uint RIGHT_1 = 0;
layout(constant_id = 14) const uint FUNCTION_2 = 0;
layout(constant_id = 15) const uint LEFT_2 = 0;
layout(constant_id = 16) const uint RIGHT_2 = 0;
layout(constant_id = 17) const uint FUNCTION_3 = 0;
layout(constant_id = 18) const uint LEFT_3 = 0;
layout(constant_id = 19) const uint RIGHT_3 = 0;
layout(constant_id = 20) const uint FUNCTION_4 = 0;
layout(constant_id = 21) const uint LEFT_4 = 0;
layout(constant_id = 22) const uint RIGHT_4 = 0;
// The word that counts where there is none.
layout(constant_id = 23) const uint NOTHING = 0;
#ifdef SHARED
layout(constant_id = 7) const uint PIXELS = 4;
// Where among four words the first that a place reads lies, if that is the same for all; else 4.
layout(constant_id = 8) const uint PHASE = 4;
// Whether fours of places lie in fours of words, of what is written and of the fourth tensor.
layout(constant_id = 9) const uint FOURS_WRITTEN = 0;
layout(constant_id = 10) const uint FOURS_OTHER = 0;
// Invocations of a subgroup.
layout(constant_id = 24) const uint LANES = 1;
#else
const uint PIXELS = 4;
const uint FOURS_WRITTEN = 0;
const uint FOURS_OTHER = 0;
#endif

// Words: images times groups; channels read and written of a group, groups; height and width read;
// height and width written; stride and dilation of rows; the first row and column read (signed);
// base; for each of four functions that follow its two numbers and where its channels' numbers
// begin; base and strides (image, channel, row) of the fourth tensor.
const uint FOLLOW = 13u;
const uint FOURTH = 25u;
const uint QUADS = BLOCK / 4u;
// Columns that PIXELS places in a row read; if they are not too many, they are kept.
const uint REACH = (PIXELS - 1u) * STRIDE_X + (COLUMNS - 1u) * DILATION_X + 1u;
const bool KEPT = REACH <= 16u;
// The fourth tensor, which is as large as what is written; a number for each channel.
const uint OTHER = 4u;
const uint OWN = 5u;

uvec4 sums[QUADS * PIXELS];

uvec4 weights(uint at) {
#ifdef TEXELS
    return texelFetch(second, int(at));
#else
    return uvec4(b(at * 4u), b(at * 4u + 1u), b(at * 4u + 2u), b(at * 4u + 3u));
#endif
}

uint other(uint at) {
#ifdef SHARED
    return texelFetch(fourth, int(at / 4u))[at % 4u];
#elif defined(TEXELS)
    return texelFetch(fourth, int(at)).x;
#else
    return fourth[at];
#endif
}

#ifdef DOT
// OpSDotKHR (SPV_KHR_integer_dot_product) of four bytes in a word.
spirv_instruction(
    extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450
)
int dot_of_bytes(uint a, uint b, spirv_literal int format);
#endif

// What is multiplied of words, one part after the other: their signed bytes, or all of them.
#if defined(BYTES) && !defined(DOT)
const uint PARTS = 4u;
uvec4 part_of(uvec4 words, uint nth) { return uvec4(ivec4(words << (24u - nth * 8u)) >> 24); }
#else
const uint PARTS = 1u;
uvec4 part_of(uvec4 words, uint nth) { return words; }
#endif

uvec4 plus(uvec4 sum, uvec4 w, uint value) {
#ifdef DOT
    [[unroll]] for (uint n = 0u; n < 4u; n++) sum[n] += uint(dot_of_bytes(w[n], value, 0));
    return sum;
#endif
    if (WHOLE == 1u) return sum + w * value;
    return floatBitsToUint(uintBitsToFloat(sum) + uintBitsToFloat(w) * vec4(uintBitsToFloat(value)));
}

float applied(uint function, float x, float y, float alpha, float beta) {
    switch (function) {
    case 3: return max(x, 0.0);
    case 4: return x < 0.0 ? alpha * x : x;
    case 5: return logistic(x);
    case 6: return hyperbolic_tangent(x);
    case 16: return min(max(x, alpha), beta);
    case 28: { float z = alpha * x; return z + beta; }
    case 40: return x + y;
    case 41: return x - y;
    case 42: return x * y;
    case 47: return x < 0.0 ? x * y : x;
    }
    return x;
}

float follower(
    uint nth, uint function, uint left, uint right, float made[5], float beside, float own
) {
    float x = left == OTHER ? beside : (left == OWN ? own : made[min(left, 3u)]);
    float y = right == OTHER ? beside : (right == OWN ? own : made[min(right, 3u)]);
    float alpha = uintBitsToFloat(p(FOLLOW + nth * 3u));
    float beta = uintBitsToFloat(p(FOLLOW + nth * 3u + 1u));
    return tame(applied(function, x, y, alpha, beta));
}

// What a sum comes to; `own` are the channel's numbers.
uint followed(uint sum, uint beside, vec4 own) {
    if (WHOLE == 1u) return sum;
    float other = uintBitsToFloat(beside);
    float made[5];
    made[0] = tame(uintBitsToFloat(sum));
    if (FOLLOWERS > 0u) made[1] = follower(0u, FUNCTION_1, LEFT_1, RIGHT_1, made, other, own.x);
    if (FOLLOWERS > 1u) made[2] = follower(1u, FUNCTION_2, LEFT_2, RIGHT_2, made, other, own.y);
    if (FOLLOWERS > 2u) made[3] = follower(2u, FUNCTION_3, LEFT_3, RIGHT_3, made, other, own.z);
    if (FOLLOWERS > 3u) made[4] = follower(3u, FUNCTION_4, LEFT_4, RIGHT_4, made, other, own.w);
    return floatBitsToUint(made[FOLLOWERS]);
}

float number(uint nth, bool wanted, uint channel) {
    return wanted ? uintBitsToFloat(p(p(FOLLOW + nth * 3u + 2u) + channel)) : 0.0;
}

vec4 numbers(uint channel) {
    return vec4(
        number(0u, LEFT_1 == OWN || RIGHT_1 == OWN, channel),
        number(1u, LEFT_2 == OWN || RIGHT_2 == OWN, channel),
        number(2u, LEFT_3 == OWN || RIGHT_3 == OWN, channel),
        number(3u, LEFT_4 == OWN || RIGHT_4 == OWN, channel)
    );
}

bool is_other(uint left, uint right) { return left == OTHER || right == OTHER; }

// Four words in a row of the fourth tensor, of which so many are there.
uvec4 beside(uint at, uint there) {
    bool first_two = is_other(LEFT_1, RIGHT_1) || is_other(LEFT_2, RIGHT_2);
    if (!first_two && !is_other(LEFT_3, RIGHT_3) && !is_other(LEFT_4, RIGHT_4)) return uvec4(0u);
#ifdef SHARED
    if (FOURS_OTHER == 1u) return texelFetch(fourth, int(at / 4u));
#endif
    uvec4 words;
    [[unroll]] for (uint n = 0u; n < 4u; n++) words[n] = other(n < there ? at + n : at);
    return words;
}

// REACH words of a row from column `left` on; NOTHING where there are none.
void read_row(bool there, uint start, int left, int width, out uint values[REACH]) {
#ifdef SHARED
    if (PHASE < 4u) {
        // Fours are in the row or not.
        const uint FOURS = (PHASE % 4u + REACH + 3u) / 4u;
        uint words[FOURS * 4u];
        [[unroll]] for (uint n = 0u; n < FOURS; n++) {
            int column = left - int(PHASE) + int(n * 4u);
            bool inside = there && column >= 0 && column < width;
            uvec4 four = a_four(inside ? start + uint(column) : 0u);
            [[unroll]] for (uint m = 0u; m < 4u; m++) words[n * 4u + m] = inside ? four[m] : NOTHING;
        }
        [[unroll]] for (uint n = 0u; n < REACH; n++) values[n] = words[n + PHASE % 4u];
        return;
    }
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
        values[n] = inside ? value : NOTHING;
    }
}

// A row of the kernel over PIXELS places in a row that is there or counts as NOTHING.
void add_row(bool there, uint start, int left, int width, uint weight) {
    if (KEPT) {
        uint values[REACH];
        read_row(there, start, left, width, values);
#ifdef SHARED
        const uint COUNT = COLUMNS * QUADS;
        const uint LOADS = (COUNT + LANES - 1u) / LANES;
        uvec4 held[LOADS];
        [[unroll]] for (uint n = 0u; n < LOADS; n++) {
            held[n] = weights(weight + min(n * LANES + gl_SubgroupInvocationID, COUNT - 1u));
        }
#endif
        [[unroll]] for (uint part = 0u; part < PARTS; part++) {
            uint own[REACH];
            [[unroll]] for (uint n = 0u; n < REACH; n++) own[n] = part_of(uvec4(values[n]), part).x;
            [[unroll]] for (uint m = 0u; m < QUADS; m++) {
                uvec4 w[COLUMNS];
                [[unroll]] for (uint kx = 0u; kx < COLUMNS; kx++) {
#ifdef SHARED
                    uint at = kx * QUADS + m;
                    w[kx] = subgroupShuffle(part_of(held[at / LANES], part), at % LANES);
#else
                    w[kx] = part_of(weights(weight + kx * QUADS + m), part);
#endif
                }
                // Place by place, so that a sum stays in its register for a row.
                [[unroll]] for (uint n = 0u; n < PIXELS; n++) {
                    uvec4 sum = sums[m * PIXELS + n];
                    [[unroll]] for (uint kx = 0u; kx < COLUMNS; kx++) {
                        sum = plus(sum, w[kx], own[n * STRIDE_X + kx * DILATION_X]);
                    }
                    sums[m * PIXELS + n] = sum;
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
            value = inside ? value : NOTHING;
            [[unroll]] for (uint m = 0u; m < QUADS; m++) {
                uvec4 w = weights(weight + kx * QUADS + m);
                [[unroll]] for (uint part = 0u; part < PARTS; part++) {
                    uint own = part_of(uvec4(value), part).x;
                    sums[m * PIXELS + n] = plus(sums[m * PIXELS + n], part_of(w, part), own);
                }
            }
        }
    }
}

void add_kernel_row(
    uint ky, int top, uint from, int left, uint height, uint width, uint weight
) {
    int row = top + int(ky * p(9));
    bool there = row >= 0 && row < int(height);
    uint start = from + uint(row) * width;
    add_row(there, start, left, int(width), weight + ky * COLUMNS * QUADS);
}

// Writes what is there of the channels from `channel` on and of the places from `to` on; `from` is
// the first's in the fourth tensor.
void deliver(uint to, uint from, uint plane, uint places, uint channel, uint channels) {
    [[unroll]] for (uint m = 0u; m < BLOCK; m++) {
        vec4 own = numbers(channel + min(m, channels - 1u));
        [[unroll]] for (uint four = 0u; four < PIXELS; four += 4u) {
            if (m >= channels || four >= places) continue;
            uint at = from + min(m, channels - 1u) * p(FOURTH + 2u) + four;
            uvec4 others = beside(at, places - four);
            uvec4 words;
            [[unroll]] for (uint n = 0u; n < 4u; n++) {
                words[n] = followed(sums[m / 4u * PIXELS + four + n][m % 4u], others[n], own);
            }
            uint first_word = to + m * plane + four;
            if (FOURS_WRITTEN == 1u) {
                write_four(first_word, words);
                continue;
            }
            [[unroll]] for (uint n = 0u; n < 4u; n++) {
                if (four + n < places) write(first_word + n, words[n]);
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
    uint count = p(0) * blocks * pieces;
    for (uint nth = gl_WorkGroupID.x; nth < count; nth += min(count, GROUPS_MAX)) {
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
            // Unrolled as long as the loop fits where processors keep instructions.
            if (ROWS * PARTS <= 3u && KEPT) {
                [[unroll]] for (uint ky = 0u; ky < ROWS; ky++) {
                    add_kernel_row(ky, top, from, left, height, width, weight);
                }
            } else {
                for (uint ky = 0u; ky < ROWS; ky++) {
                    add_kernel_row(ky, top, from, left, height, width, weight);
                }
            }
            weight += ROWS * COLUMNS * QUADS;
            from += height * width;
        }
        uint to = ((plane * written + block * BLOCK) * rows + y) * columns + x;
        uint others = p(FOURTH) + plane / p(3) * p(FOURTH + 1u) + channel * p(FOURTH + 2u)
            + y * p(FOURTH + 3u) + x;
        uint places = item < items ? columns - x : 0u;
        deliver(to, others, rows * columns, places, channel, kept);
    }
}
