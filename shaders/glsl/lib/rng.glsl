// Random numbers: a function of (seed, frame, pixel, sample, dimension), so that any sample of any
// pixel can be drawn alone. Nothing is carried from one draw to the next.
#ifndef RNG_GLSL
#define RNG_GLSL

#include "exact.glsl"

// A bijection of 32 bits with low bias (multiply and xor-shift).
uint mixed(uint x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x;
}

// What the draws of one sample hang on: a hash of its pixel, a hash of the sample, and the bits of its
// index in reverse.
uvec3 sample_key(uint seed, uint frame, uvec2 pixel, uint sample_index) {
    uint own = mixed(seed ^ 0x243f6a88u);
    own = mixed(own + frame);
    own = mixed(own + pixel.x);
    own = mixed(own + pixel.y);
    return uvec3(own, mixed(own + sample_index), bitfieldReverse(sample_index));
}

// 32 random bits for one dimension of a sample.
uint draw(uvec3 key, uint dimension) {
    return mixed(mixed(key.y + dimension * 0x9e3779b9u) ^ key.x);
}

// Owen's scrambling of a number whose bits are in reverse: each bit is flipped, or not, by a hash of
// the bits below it (Laine and Karras 2011; this hash by Vegdahl 2021).
uint scrambled(uint bits, uint seed) {
    bits ^= bits * 0x3d20adeau;
    bits += seed;
    bits *= (seed >> 16) | 1u;
    bits ^= bits * 0x05526c56u;
    bits ^= bits * 0x53a22864u;
    return bits;
}

// The second dimension of Sobol's sequence, bits in reverse: the product of Pascal's triangle modulo
// 2 and the index, which is the sum over the supersets of each bit's number.
uint pascal(uint index) {
    index ^= (index >> 1) & 0x55555555u;
    index ^= (index >> 2) & 0x33333333u;
    index ^= (index >> 4) & 0x0f0f0f0fu;
    index ^= (index >> 8) & 0x00ff00ffu;
    return index ^ (index >> 16);
}

// 32 random bits for each of two dimensions of a sample, which over a pixel's samples fill the square
// evenly: Sobol's points, each dimension scrambled, in an order of this pair's own (Burley 2020,
// "Practical Hash-based Owen Scrambling").
uvec2 draw_pair(uvec3 key, uint dimension) {
    uint seed = mixed(key.x + dimension * 0x9e3779b9u);
    uint index = bitfieldReverse(scrambled(key.z, seed));
    uint first = scrambled(index, mixed(seed ^ 0x85a308d3u));
    uint second = scrambled(pascal(index), mixed(seed ^ 0x13198a2eu));
    return uvec2(bitfieldReverse(first), bitfieldReverse(second));
}

// Random bits as a number in 0 <= x < 1, a multiple of 2^-24.
float fraction(uint bits) {
    float x = float(bits >> 8) * 5.9604644775390625e-8;
    return x;
}

vec2 fractions(uvec2 bits) { return vec2(fraction(bits.x), fraction(bits.y)); }

// Random bits as an index below count; what is left of them is as random.
uint below(inout uint bits, uint count) {
    uint index;
    umulExtended(bits, count, index, bits);
    return index;
}

const float BELOW_ONE = 0.999999940395355225;

// Takes one of two ways, the first if the bits lie below the threshold; what is left is as random.
bool above(inout uint bits, uint threshold) {
    bool second = bits >= threshold;
    uint span = second ? 0u - threshold : threshold;
    uint rest = second ? bits - threshold : bits;
    float share = min(div(float(rest >> 8), float(span >> 8)), BELOW_ONE);
    bits = uint(share * 16777216.0) << 8;
    return second;
}

// Where x lies between two numbers, 0 <= result < 1: what is left of x once it chose this range.
float within(float x, float from, float to) {
    return min(max(tame(div(x - from, to - from)), 0.0), BELOW_ONE);
}

// Pairs of dimensions of a sample, for `draw_pair`: in the pixel, on the lens, the time, then for each
// bounce the lobe and its direction, and the light and the place on it. One number chooses and places, so
// that what is even over the square is even over the union of lights.
const uint PIXEL = 0u;
const uint LENS = 1u;
const uint TIME = 2u;
const uint BOUNCE_FIRST = 3u;
const uint BOUNCE_ROW = 2u;
const uint LOBE = 0u;
const uint LIGHT = 1u;
// Dimensions for `draw`, for each bounce.
const uint ROULETTE = 0x10000u;
const uint CHANNEL = 0x20000u;

#endif
