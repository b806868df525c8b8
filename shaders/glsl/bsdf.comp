#version 460
#extension GL_GOOGLE_include_directive : require
// One material with layers and without textures, for tests: draws directions, or evaluates a grid
// of them.
#include "lib/exact.glsl"
#include "lib/layout.glsl"
#include "lib/rng.glsl"
#include "lib/bvh.glsl"
#include "lib/texture.glsl"
#include "lib/surface.glsl"
#include "lib/lobes.glsl"

layout(local_size_x = 64) in;

// Inputs, as bits of floats: roughness, metallic, base colour, viewer; then as integers: whether
// the viewer is inside, rows of the grid (0: draw).
const uint BACK = 8u;
const uint ROWS = 9u;

float given(uint at) { return tame(uintBitsToFloat(leaves[at])); }

Bsdf given_bsdf() {
    Surface surface;
    surface.base = vec3(given(2u), given(3u), given(4u));
    surface.roughness = given(0u);
    surface.metallic = given(1u);
    Layers own = layer_factors(0u);
    own.coat_normal = vec3(0.0, 0.0, 1.0);
    float eta = 0.0;
    bool hidden;
    if (HAS_MEDIA) eta = boundary_eta(NO_MEDIA, 0u, leaves[BACK] != 0u, 3u, hidden);
    Frame frame = Frame(vec3(1.0, 0.0, 0.0), vec3(0.0, 1.0, 0.0), vec3(0.0, 0.0, 1.0));
    return bsdf_of(surface, own, frame, vec3(given(5u), given(6u), given(7u)), eta);
}

// The middle of a cell of a grid of `rows` polar by twice as many azimuthal angles.
vec3 grid_direction(uint index, uint rows) {
    uint row = index / (2u * rows);
    uint column = index - row * 2u * rows;
    float half_row = rcp(2.0 * float(rows));
    vec2 down = circle((float(row) + 0.5) * half_row);
    vec2 around = circle((float(column) + 0.5) * half_row);
    return tame3(vec3(down.y * around.x, down.y * around.y, down.x));
}

void main() {
    uint index = gl_GlobalInvocationID.x;
    Bsdf bsdf = given_bsdf();
    uint rows = leaves[ROWS];
    vec3 direction;
    if (rows == 0u) {
        uvec3 key = sample_key(parameters.seed, 0u, uvec2(0u), index);
        direction = scattered(bsdf, vec2(fraction(draw(key, 0u)), fraction(draw(key, 1u))));
    } else {
        direction = grid_direction(index, rows);
    }
    Scattering found = evaluated(bsdf, direction);
    sums[index * 5u] = floatBitsToUint(direction.x);
    sums[index * 5u + 1u] = floatBitsToUint(direction.y);
    sums[index * 5u + 2u] = floatBitsToUint(direction.z);
    sums[index * 5u + 3u] = floatBitsToUint(found.pdf);
    sums[index * 5u + 4u] = floatBitsToUint(found.value.y);
}
