#version 460
#extension GL_GOOGLE_include_directive : require
// What the camera sees first, besides its light: for the same leaf the same camera rays as the path
// tracer's, up to the surface that it shades first. It stands apart so that asking for it changes
// no bit of the picture.
#include "lib/exact.glsl"
#include "lib/layout.glsl"
#include "lib/rng.glsl"
#include "lib/bvh.glsl"
#include "lib/texture.glsl"
#include "lib/surface.glsl"
#include "lib/camera.glsl"
#include "lib/coverage.glsl"
#ifdef MOTION
#include "lib/vector.glsl"
#endif

layout(local_size_x = 8, local_size_y = 8) in;

const uint GROUP = 4u;
// Words of a pixel: sums of albedo and normal, the least depth, then object and material of each
// sample, then sums of motion.
const uint PIXEL_WORDS = 19u;
// Words of one leaf's output: 64 pixels, then the rays traced.
const uint LEAF_WORDS = 1217u;
// The depth of a pixel that sees nothing, metres.
const float NOWHERE = 1.0e10;

shared uint rays_traced;

struct Seen {
    vec3 albedo;
    vec3 normal;
    float depth;
    // Ids; 0 is none.
    uint object;
    uint material;
    vec4 motion;
};

const Seen NOTHING = Seen(vec3(0.0), vec3(0.0), NOWHERE, 0u, 0u, vec4(0.0));

// Along the camera's axis. A point of the image lies in the plane through the camera across that
// axis, wherever its ray begins.
float depth_of(Ray ray, float distance) {
    float along = tame(dot3(unit(camera3(CAMERA_FORWARD, leg_at(ray.time))), ray.direction));
    float depth = tame(distance) * along;
    return min(max(tame(depth), 0.0), NOWHERE);
}

// The object of a hit: that of its surface, or of the place where its mesh stands.
uint object_of(Hit hit) {
#ifdef INSTANCED
    if (hit.stand != NONE) return FETCH_4(nodes, hit.stand * 5u + 4u).z;
#endif
    return FETCH_4(surfaces, hit.primitive * 7u + 6u).w;
}

Seen seen_by(uvec2 pixel, uint sample_index) {
    Seen seen = NOTHING;
    uvec3 key = sample_key(parameters.seed, parameters.frame, pixel, sample_index);
    Ray ray = camera_ray(key, pixel);
    uint passed = 0u;
    bool met = false;
    Hit hit;
    vec3 weights = vec3(0.0);
    while (true) {
        hit = trace(ray, false, true);
        if (hit.primitive == NONE) break;
        Vertices vertices;
        Surface surface = surface_at(hit, ray, vertices);
        if (!is_passed(surface, key, 0u, passed)) {
            seen.albedo = surface.base;
            seen.normal = surface.shading;
            seen.depth = depth_of(ray, hit.distance);
            seen.object = object_of(hit);
            seen.material = FETCH_4(materials, vertices.material * 5u + 4u).z;
            met = true;
            weights = surface.weights;
            break;
        }
        ray.start = hit.distance;
        ray.start_primitive = hit.primitive;
        passed++;
    }
#ifdef MOTION
    seen.motion = vectors(hit, met, weights, ray.direction);
#endif
    return seen;
}

void put3(uint at, vec3 v) {
    sums[at] = floatBitsToUint(tidy(v.x));
    sums[at + 1u] = floatBitsToUint(tidy(v.y));
    sums[at + 2u] = floatBitsToUint(tidy(v.z));
}

void main() {
    if (gl_LocalInvocationIndex == 0u) rays_traced = 0u;
    barrier();
    uint leaf = FETCH_1(leaves, gl_WorkGroupID.x);
    uint block = leaf / parameters.groups;
    uint group = leaf - block * parameters.groups;
    uint block_y = block / parameters.blocks_across;
    uint block_x = block - block_y * parameters.blocks_across;
    uvec2 pixel = uvec2(parameters.tile_x + block_x * 8u, parameters.tile_y + block_y * 8u)
        + gl_LocalInvocationID.xy;
    bool inside = pixel.x < parameters.frame_width && pixel.y < parameters.frame_height;
    uint at = gl_WorkGroupID.x * LEAF_WORDS;
    uint slot = at + gl_LocalInvocationIndex * PIXEL_WORDS;
    Seen sum = NOTHING;
    for (uint turn = 0u; turn < GROUP; turn++) {
        Seen seen = NOTHING;
        if (inside) seen = seen_by(pixel, group * GROUP + turn);
        sum.albedo = sum.albedo + seen.albedo;
        sum.normal = sum.normal + seen.normal;
        sum.depth = min(sum.depth, seen.depth);
        sum.motion = sum.motion + seen.motion;
        sums[slot + 7u + turn] = seen.object;
        sums[slot + 11u + turn] = seen.material;
    }
    atomicAdd(rays_traced, inside ? GROUP : 0u);
    put3(slot, sum.albedo);
    put3(slot + 3u, sum.normal);
    sums[slot + 6u] = floatBitsToUint(tidy(sum.depth));
    for (uint word = 0u; word < 4u; word++)
        sums[slot + 15u + word] = floatBitsToUint(tidy(sum.motion[word]));
    barrier();
    if (gl_LocalInvocationIndex == 0u) sums[at + LEAF_WORDS - 1u] = rays_traced;
}
