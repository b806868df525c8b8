#version 460
#extension GL_GOOGLE_include_directive : require
// The path tracer. A workgroup is a leaf: one block of 8×8 pixels for one group of 4 samples. Each
// turn of the main loop traces one ray, a path's next segment or a shadow ray. An invocation whose
// path ends goes on with the next one that nobody has begun, whatever its pixel, so that all have
// work to the end; what the paths of a pixel bring is added in the order of samples. On software
// devices a turn costs its instructions whoever needs them, and most of them shade: there it traces
// a segment and, after it, the shadow ray, unless that may pass surfaces, which is found by shading
// them.
#include "lib/exact.glsl"
#include "lib/layout.glsl"
#include "lib/rng.glsl"
#include "lib/bvh.glsl"
#include "lib/texture.glsl"
#include "lib/surface.glsl"
#include "lib/camera.glsl"
#include "lib/coverage.glsl"
#include "lib/lobes.glsl"
#include "lib/environment.glsl"
#include "lib/lights.glsl"

layout(local_size_x = 8, local_size_y = 8) in;

const uint GROUP = 4u;
// Words of one leaf's output: 64 pixels of 3 sums, then the rays traced.
const uint LEAF_WORDS = 193u;
const uint ROULETTE_FROM = 3u;

#ifdef TEXELS
const bool TWO_RAYS = !HAS_COVERAGE;
#else
const bool TWO_RAYS = false;
#endif

shared uint rays_traced;
shared uint paths_begun;
// What each path brings, by its number.
shared vec3 radiances[64u * GROUP];

struct Path {
    uvec3 key;
    Ray ray;
    vec3 throughput;
    vec3 radiance;
    // Segments before the one being traced.
    uint bounce;
    // Density by which the segment's direction was drawn; 0 for the camera's.
    float pdf;
    uint passed;
#ifdef LAYERED
    // What the path is inside of, what it goes on in, what lies on the far side of the surface; and
    // the only colour channel it carries, 3: all.
    uvec4 media;
    uvec4 next_media;
    uvec4 far_media;
    uint channel;
#endif
    // A shadow ray is being traced: what it brings, and how the path goes on after it.
    bool shadow;
    vec3 pending;
    vec3 next_origin;
    vec3 next_direction;
    float next_pdf;
    vec3 next_throughput;
    bool goes_on;
    bool ended;
};

Path begun(uvec2 pixel, uint sample_index) {
    Path path;
    path.key = sample_key(parameters.seed, parameters.frame, pixel, sample_index);
    path.ray = camera_ray(path.key, pixel);
    path.throughput = vec3(1.0);
    path.radiance = vec3(0.0);
    path.bounce = 0u;
    path.pdf = 0.0;
    path.passed = 0u;
#ifdef LAYERED
    path.media = NO_MEDIA;
    path.next_media = NO_MEDIA;
    path.far_media = NO_MEDIA;
    path.channel = 3u;
#endif
    path.shadow = false;
    path.pending = vec3(0.0);
    path.next_origin = vec3(0.0);
    path.next_direction = vec3(0.0);
    path.next_pdf = 0.0;
    path.next_throughput = vec3(0.0);
    path.goes_on = false;
    path.ended = false;
    return path;
}

// Weight of light that the BSDF's draw found, against next-event estimation that would have drawn it
// with density `rival` (balance heuristic). The camera's segments have no rival.
float own_weight(Path path, float rival) {
    if (path.pdf <= 0.0) return 1.0;
    float both = path.pdf + tame(rival * kind_odds());
    return tame(div(path.pdf, both));
}

// Takes up light that came over so many surfaces; what came over more than one is limited.
void take_up(inout Path path, vec3 light, uint surfaces) {
    if (HAS_CLAMP && surfaces > 1u) {
        float most = uintBitsToFloat(parameters.clamp_);
        float is = max_component(light);
        if (is > most) light = tame3(light * vec3(tame(div(most, is))));
    }
    vec3 total = path.radiance + light;
    path.radiance = total;
}

void gather(inout Path path, vec3 radiance, float weight) {
    vec3 share = path.throughput * vec3(weight);
    vec3 seen = tame3(share) * radiance;
    take_up(path, tame3(seen), path.bounce);
}

// The ray left the scene: the environment's radiance, weighted against next-event estimation.
void escape(inout Path path) {
    if (HAS_ENVIRONMENT) {
        Glow glow = glow_towards(path.ray.direction);
        gather(path, glow.radiance, own_weight(path, glow.pdf));
    }
    path.ended = true;
}

// The surface glows: weighted against next-event estimation if that can draw it.
void glow(inout Path path, Surface surface, float distance) {
    if (max_component(surface.emissive) <= 0.0) return;
    float weight = 1.0;
    if (HAS_EMITTERS) {
        float density = emitter_density(surface.primitive, surface.spread);
        float cosine = tame(dot3(surface.geometric, path.ray.direction));
        weight = own_weight(path, density_seen(density, tame(distance), cosine));
    }
    gather(path, surface.emissive, weight);
}

// After the shadow ray: the path's next segment, or its end.
void go_on(inout Path path) {
    path.shadow = false;
    if (path.goes_on) {
        path.ray = ray_from(
            path.next_origin, path.next_direction, FAR, path.ray.leaves, path.ray.time);
#ifdef LAYERED
        path.media = path.next_media;
#endif
        path.pdf = path.next_pdf;
        path.throughput = path.next_throughput;
        path.bounce++;
        path.passed = 0u;
    } else {
        path.ended = true;
    }
}

// Whether a direction lies on the same side of the shading normal and of the triangle.
bool one_side(vec3 local, vec3 world, Surface surface) {
    float side = dot3(surface.geometric, world);
    return side > 0.0 ? local.z > 0.0 : (HAS_FAR_SIDE && side < 0.0 && local.z < 0.0);
}

// What next-event estimation may bring, and the ray that must be free for it. `local` is the
// light's direction in the frame, `scattering` what the BSDF says of it.
bool draw_light(inout Path path, Surface surface, Aim aim, vec3 local, Scattering scattering) {
    if (aim.density <= 0.0 || !one_side(local, aim.direction, surface)) return false;
    // Balance heuristic: the density drawn by, plus that of the BSDF where it could draw the same.
    float both = aim.density + (aim.shared_ ? scattering.pdf : 0.0);
    vec3 lit = tame3(scattering.value) * tame3(aim.radiance);
    vec3 through = tame3(lit) * path.throughput;
    vec3 pending = tame3(through) * vec3(tame(rcp(both)));
    path.pending = tame3(pending);
    vec3 origin = local.z > 0.0 ? surface.place : surface.under;
#ifdef LAYERED
    if (HAS_MEDIA) {
        uint medium = media_filling(local.z > 0.0 ? path.media : path.far_media);
        if (medium != NONE && aim.distance < FAR)
            path.pending = tame3(path.pending * let_through(medium, aim.distance));
    }
#endif
    if (max_component(path.pending) <= 0.0) return false;
    path.ray =
        ray_from(origin, aim.direction, aim.distance, surface.primitive, path.ray.time);
    path.shadow = true;
    path.passed = 0u;
    return true;
}

// The next segment along `local`, which was drawn with the density of `scattering`; false if the
// path ends here.
bool draw_next(
    inout Path path, Surface surface, Frame frame, vec3 local, Scattering scattering) {
    if (scattering.pdf <= 0.0) return false;
    vec3 direction = to_world(frame, local);
    if (!one_side(local, direction, surface)) return false;
    vec3 ratio = scattering.value * vec3(tame(rcp(scattering.pdf)));
    vec3 next = path.throughput * tame3(ratio);
    next = tame3(next);
    float most = max_component(next);
    if (most <= 0.0) return false;
    if (path.bounce >= ROULETTE_FROM) {
        float survival = min(max(tame(root(most)), 0.05), 0.95);
        if (fraction(draw(path.key, ROULETTE + path.bounce)) >= survival) return false;
        next = next * vec3(rcp(survival));
    }
    path.next_origin = local.z > 0.0 ? surface.place : surface.under;
#ifdef LAYERED
    path.next_media = local.z > 0.0 ? path.media : path.far_media;
#endif
    path.next_direction = direction;
    path.next_pdf = scattering.pdf;
    path.next_throughput = tame3(next);
    return true;
}

// Whether the ray passes this surface: a cutout, or stochastic coverage for blending.
bool passes(Path path, Surface surface) {
    uint ray = path.bounce * 2u + (path.shadow ? 1u : 0u);
    return is_passed(surface, path.key, ray, path.passed);
}

// The ray goes on behind the hit.
void pass(inout Path path, Hit hit) {
    path.ray.start = hit.distance;
    path.ray.start_primitive = hit.primitive;
    path.passed++;
}

// Draws a light and the next segment. Both are evaluated by one piece of code in a loop: compilers
// copy it for every call.
void scatter(inout Path path, Surface surface, Frame frame, Bsdf bsdf) {
    uint row = BOUNCE_FIRST + path.bounce * BOUNCE_ROW;
    Aim aim = aimed_light(draw_pair(path.key, row + LIGHT), surface.place, path.ray.time);
    vec3 aside = to_local(frame, aim.direction);
    vec3 ahead = scattered(bsdf, fractions(draw_pair(path.key, row + LOBE)));
    Scattering lit;
    Scattering next;
    for (uint turn = 0u; turn < 2u; turn++) {
        Scattering found = evaluated(bsdf, turn == 0u ? ahead : aside);
        if (turn == 0u) next = found;
        else lit = found;
    }
    path.goes_on = draw_next(path, surface, frame, ahead, next);
    if (!draw_light(path, surface, aim, aside, lit)) {
        path.ray.leaves = surface.primitive;
        go_on(path);
    }
}

// Takes up the surface's glow; true if no segment may follow.
bool ends(inout Path path, Surface surface, Hit hit) {
    glow(path, surface, hit.distance);
    path.ended = path.bounce + 1u >= parameters.depth;
    return path.ended;
}

#ifdef LAYERED
// What the medium around the ray takes since its last hit.
void absorb(inout Path path, float distance) {
    uint medium = media_filling(path.media);
    if (medium == NONE) return;
    vec3 left = path.throughput * let_through(medium, distance - path.ray.start);
    path.throughput = tame3(left);
}

// A path that meets a dispersive boundary carries one colour channel from there on.
void split_colors(inout Path path, uint layer) {
    if (layer_value(layer * LAYER_WORDS + 3u) <= 0.0 || path.channel != 3u) return;
    uint bits = draw(path.key, CHANNEL + path.bounce);
    path.channel = below(bits, 3u);
    vec3 kept = vec3(0.0);
    kept[path.channel] = 3.0;
    path.throughput = tame3(path.throughput * kept);
}

// The boundary of a medium: its far index over the near one. True if it is hidden and was passed.
bool meets_boundary(inout Path path, Surface surface, Layers own, Hit hit, out float eta) {
    eta = 0.0;
    path.far_media = path.media;
    if ((own.flags & LAYER_THIN) != 0u) return false;
    if (HAS_DISPERSION) split_colors(path, own.id);
    bool hidden;
    eta = boundary_eta(path.media, own.id, surface.back, path.channel, hidden);
    path.far_media = surface.back ? media_left(path.media, own.id)
        : media_entered(path.media, own.id);
    if (!hidden || path.passed >= PASSED_MAX) return false;
    path.media = path.far_media;
    // No light can be aimed at through it.
    path.pdf = 0.0;
    pass(path, hit);
    return true;
}

void shade(inout Path path, Hit hit) {
    Vertices vertices;
    Surface surface = surface_at(hit, path.ray, vertices);
    if (HAS_MEDIA && !path.shadow) absorb(path, hit.distance);
    if (HAS_COVERAGE && passes(path, surface)) {
        pass(path, hit);
        return;
    }
    if (!TWO_RAYS && path.shadow) {
        go_on(path);
        return;
    }
    Layers own = layers_at(surface, vertices);
    float eta = 0.0;
    if (HAS_MEDIA && meets_boundary(path, surface, own, hit, eta)) return;
    if (HAS_UNLIT && (own.flags & LAYER_UNLIT) != 0u) {
        gather(path, surface.base, 1.0);
        path.ended = true;
        return;
    }
    if (ends(path, surface, hit)) return;
    vec3 along = vec3(0.0);
    if (HAS_ANISOTROPY) along = stretch_direction(own, vertices, surface.shading);
    Frame frame = frame_along(surface.shading, along);
    Bsdf bsdf = bsdf_of(surface, own, frame, -path.ray.direction, eta);
    scatter(path, surface, frame, bsdf);
}
#else
void shade(inout Path path, Hit hit) {
    Vertices vertices;
    Surface surface = surface_at(hit, path.ray, vertices);
    if (HAS_COVERAGE && passes(path, surface)) {
        pass(path, hit);
        return;
    }
    if (!TWO_RAYS && path.shadow) {
        go_on(path);
        return;
    }
    if (ends(path, surface, hit)) return;
    Frame frame = frame_around(surface.shading);
    scatter(path, surface, frame, bsdf_of(surface, frame, -path.ray.direction));
}
#endif

// The camera does not see single-sided triangles from behind, unless it looks out of a medium.
bool culls(Path path) {
    bool outside = true;
#ifdef LAYERED
    outside = path.media.x == NONE;
#endif
    return path.bounce == 0u && !path.shadow && outside;
}

// The path of that number, first those of all pixels' first samples; false if there are no more.
bool begin(uint number, uvec2 corner, uvec2 size, uint group, out Path path) {
    uint pixels = size.x * size.y;
    uint sample_index = number / pixels;
    uint place = number - sample_index * pixels;
    uint y = place / size.x;
    path = begun(corner + uvec2(place - y * size.x, y), group * GROUP + sample_index);
    return sample_index < GROUP;
}

void main() {
    if (gl_LocalInvocationIndex == 0u) {
        rays_traced = 0u;
        paths_begun = 64u;
    }
    barrier();
    uint leaf = FETCH_1(leaves, gl_WorkGroupID.x);
    uint block = leaf / parameters.groups;
    uint group = leaf - block * parameters.groups;
    uint block_y = block / parameters.blocks_across;
    uint block_x = block - block_y * parameters.blocks_across;
    uvec2 corner = uvec2(parameters.tile_x + block_x * 8u, parameters.tile_y + block_y * 8u);
    // What of the block is in the frame.
    uvec2 size = min(
        max(uvec2(parameters.frame_width, parameters.frame_height), corner) - corner, uvec2(8u));
    uint rays = 0u;
    uint number = gl_LocalInvocationIndex;
    Path path;
    bool running = begin(number, corner, size, group, path);
    if (running) do {
        if (path.ray.start_primitive == NONE) rays++;
        Hit hit = trace(path.ray, !TWO_RAYS && path.shadow, culls(path));
        if (hit.primitive != NONE) {
            shade(path, hit);
        } else if (!TWO_RAYS && path.shadow) {
            take_up(path, path.pending, path.bounce + 1u);
            go_on(path);
        } else {
            escape(path);
        }
        if (TWO_RAYS && path.shadow) {
            rays++;
            Hit between = trace(path.ray, true, false);
            if (between.primitive == NONE) take_up(path, path.pending, path.bounce + 1u);
            go_on(path);
        }
        if (path.ended) {
            radiances[number] = tame3(path.radiance);
            number = atomicAdd(paths_begun, 1u);
            running = begin(number, corner, size, group, path);
        }
    } while (running);
    atomicAdd(rays_traced, rays);
    barrier();
    vec3 sum = vec3(0.0);
    uvec2 own = gl_LocalInvocationID.xy;
    if (own.x < size.x && own.y < size.y) {
        for (uint nth = 0u; nth < GROUP; nth++)
            sum = sum + radiances[(nth * size.y + own.y) * size.x + own.x];
    }
    uint at = gl_WorkGroupID.x * LEAF_WORDS;
    uint slot = at + gl_LocalInvocationIndex * 3u;
    sums[slot] = floatBitsToUint(tidy(sum.x));
    sums[slot + 1u] = floatBitsToUint(tidy(sum.y));
    sums[slot + 2u] = floatBitsToUint(tidy(sum.z));
    if (gl_LocalInvocationIndex == 0u) sums[at + 192u] = rays_traced;
}
