// Random numbers: a hash of (seed, frame, pixel, sample, dimension), so that any sample of any pixel
// can be drawn alone. Nothing is carried from one draw to the next.
#ifndef RNG_GLSL
#define RNG_GLSL

// A bijection of 32 bits with low bias (multiply and xor-shift).
uint mixed(uint x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x;
}

// What the draws of one sample hang on.
uvec2 sample_key(uint seed, uint frame, uvec2 pixel, uint sample_index) {
    uint a = mixed(seed ^ 0x243f6a88u);
    a = mixed(a + frame);
    a = mixed(a + ((pixel.y << 16) ^ pixel.x));
    a = mixed(a + sample_index);
    uint b = mixed(a ^ pixel.x ^ 0x85a308d3u);
    return uvec2(a, b + pixel.y);
}

// 32 random bits for one dimension of a sample.
uint draw(uvec2 key, uint dimension) {
    return mixed(mixed(key.x + dimension * 0x9e3779b9u) ^ key.y);
}

// Random bits as a number in 0 <= x < 1, a multiple of 2^-24.
float fraction(uint bits) {
    float x = float(bits >> 8) * 5.9604644775390625e-8;
    return x;
}

// Random bits as an index below count.
uint below(uint bits, uint count) {
    uint high;
    uint low;
    umulExtended(bits, count, high, low);
    return high;
}

// Dimensions of a sample: two for the pixel, then a row for each bounce.
const uint PIXEL_X = 0u;
const uint PIXEL_Y = 1u;
const uint BOUNCE_FIRST = 2u;
const uint BOUNCE_ROW = 12u;
const uint LOBE = 0u;
const uint LOBE_U = 1u;
const uint LOBE_V = 2u;
const uint LIGHT_KIND = 3u;
const uint LIGHT_INDEX = 4u;
const uint LIGHT_ALIAS = 5u;
const uint LIGHT_U = 6u;
const uint LIGHT_V = 7u;
const uint ROULETTE = 8u;
const uint CHANNEL = 9u;

#endif
