#version 460
#extension GL_GOOGLE_include_directive : require
// What next-event estimation aims at from one place, for tests: draws lights by numbers that are
// given, or evaluates a grid of the environment.
#include "lib/exact.glsl"
#include "lib/layout.glsl"
#include "lib/bvh.glsl"
#include "lib/texture.glsl"
#include "lib/rng.glsl"
#include "lib/surface.glsl"
#include "lib/environment.glsl"
#include "lib/lights.glsl"

layout(local_size_x = 64) in;

// Inputs: the place, as bits of floats; rows of the grid (0: draw); then two words of random bits
// for each draw.
const uint ROWS = 3u;
const uint DRAWS = 4u;
const uint WORDS = 8u;

// The middle of a cell of a grid of `rows` polar by twice as many azimuthal angles, +Y up.
vec3 grid_direction(uint index, uint rows) {
    uint row = index / (2u * rows);
    uint column = index - row * 2u * rows;
    float half_row = rcp(2.0 * float(rows));
    vec2 down = circle((float(row) + 0.5) * half_row);
    vec2 around = circle((float(column) + 0.5) * half_row);
    return tame3(vec3(down.y * around.x, down.x, down.y * around.y));
}

void main() {
    uint index = gl_GlobalInvocationID.x;
    uint rows = leaves[ROWS];
    Aim aim = no_aim();
    if (rows == 0u) {
        uint at = DRAWS + index * 2u;
        vec3 place = uintBitsToFloat(uvec3(leaves[0], leaves[1], leaves[2]));
        aim = aimed_light(uvec2(leaves[at], leaves[at + 1u]), tame3(place), 0.0);
    } else {
        Glow glow = glow_towards(grid_direction(index, rows));
        aim = Aim(glow.direction, FAR, glow.radiance, glow.pdf, true);
    }
    uint slot = index * WORDS;
    sums[slot] = floatBitsToUint(aim.direction.x);
    sums[slot + 1u] = floatBitsToUint(aim.direction.y);
    sums[slot + 2u] = floatBitsToUint(aim.direction.z);
    sums[slot + 3u] = floatBitsToUint(aim.distance);
    sums[slot + 4u] = floatBitsToUint(aim.density);
    sums[slot + 5u] = floatBitsToUint(aim.radiance.x);
    sums[slot + 6u] = floatBitsToUint(aim.radiance.y);
    sums[slot + 7u] = floatBitsToUint(aim.radiance.z);
}
