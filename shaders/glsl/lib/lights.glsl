// Lights that next-event estimation can draw: punctual lights (KHR_lights_punctual), triangles that
// glow, the environment.
#ifndef LIGHTS_GLSL
#define LIGHTS_GLSL

struct Beam {
    // Towards the light.
    vec3 direction;
    float distance;
    // Irradiance on a surface that faces the light.
    vec3 color;
};

const uint LIGHT_DIRECTIONAL = 0u;
const uint LIGHT_SPOT = 2u;

// A light as seen from a place at a time; the lights of a key follow those of the key before.
Beam beam_of(uint index, vec3 place, float time) {
    Leg leg = leg_at(time);
    uint row = (leg.from * parameters.light_count + index) * 4u;
    uint next = (leg.to * parameters.light_count + index) * 4u;
    uvec4 first = FETCH_4(lights, row);
    uvec4 second = FETCH_4(lights, row + 1u);
    uvec4 third = FETCH_4(lights, row + 2u);
    vec3 axis = tame_between(second.xyz, FETCH_4(lights, next + 1u).xyz, leg.share);
#ifdef MOTION
    axis = unit(axis);
#endif
    vec3 color = tame_between(third.xyz, FETCH_4(lights, next + 2u).xyz, leg.share);
    color = max(color, vec3(0.0));
    if (first.w == LIGHT_DIRECTIONAL) return Beam(unit(-axis), FAR, color);
    vec3 towards = tame_between(first.xyz, FETCH_4(lights, next).xyz, leg.share) - place;
    towards = tame3(towards);
    float square = tame(dot3(towards, towards));
    if (square == 0.0) return Beam(vec3(0.0, 1.0, 0.0), 0.0, vec3(0.0));
    vec3 direction = unit(towards);
    float distance = tame(root(square));
    float fade = tame(rcp(square));
    float range = tame(uintBitsToFloat(second.w));
    if (range > 0.0) {
        float share = tame(div(distance, range));
        share = tame(min(share, 1.0) * min(share, 1.0));
        share = tame(share * share);
        fade = tame(fade * (1.0 - share));
    }
    if (first.w == LIGHT_SPOT) {
        float cosine = tame(-dot3(axis, direction));
        float angle = cosine * tame(uintBitsToFloat(third.w))
            + tame(uintBitsToFloat(FETCH_4(lights, index * 4u + 3u).x));
        angle = tame(min(max(angle, 0.0), 1.0));
        fade = tame(fade * tame(angle * angle));
    }
    vec3 faded = color * vec3(fade);
    return Beam(direction, distance, tame3(faded));
}

// A light as seen from a place, and the ray that must be free for it.
struct Aim {
    vec3 direction;
    float distance;
    vec3 radiance;
    // Density of the direction per steradian; 1 for a punctual light, of which there is no density.
    // 0: nothing was drawn.
    float density;
    // Whether the BSDF might draw the same direction.
    bool shared_;
};

// How far before a glowing triangle a shadow ray ends: 1 - 2^-16.
const float SHORT = 0.9999847412109375;

Aim no_aim() { return Aim(vec3(0.0, 1.0, 0.0), FAR, vec3(0.0), 0.0, false); }

// Density per steradian of a point drawn on a triangle, from that per square metre.
float density_seen(float density, float distance, float cosine) {
    float square = tame(distance * distance);
    return tame(div(tame(density * square), abs(cosine)));
}

// Density per square metre of the points drawn on a triangle whose area has changed by a factor.
float emitter_density(uint primitive, float spread) {
    float density = tame(uintBitsToFloat(FETCH_1(densities, primitive)));
#ifdef MOTION
    density = tame(div(density, spread));
#endif
    return density;
}

Aim aim_at_emitter(uvec2 draws, vec3 place, float time) {
    uint index = below(draws.x, parameters.emitter_count);
    if (above(draws.x, FETCH_4(emitters, index * 4u + 1u).w)) {
        index = FETCH_4(emitters, index * 4u + 2u).w;
    }
    vec2 point = fractions(draws);
    uvec4 head = FETCH_4(emitters, index * 4u);
    Facet still = Facet(
        floats(head),
        floats(FETCH_4(emitters, index * 4u + 1u)),
        floats(FETCH_4(emitters, index * 4u + 2u)));
    uint flags = FETCH_4(emitters, index * 4u + 3u).x;
    Facet facet = moved(still, flags, leg_at(time));
    float across = tame(root(point.x));
    float along = tame(point.y * across);
    float rest = across - along;
    vec3 weights = tame3(vec3(1.0 - across, rest, along));
    vec3 spot = facet.corner + (facet.edge1 * vec3(weights.y) + facet.edge2 * vec3(weights.z));
    vec3 towards = spot - place;
    towards = tame3(towards);
    Aim aim = no_aim();
    float square = tame(dot3(towards, towards));
    if (square == 0.0) return aim;
    aim.direction = unit(towards);
    float distance = tame(root(square));
    aim.distance = distance * SHORT;
    float cosine = tame(dot3(unit_of_any(cross3(facet.edge1, facet.edge2)), aim.direction));
    float density = emitter_density(head.w, spread_of(facet, still, flags));
    aim.density = density_seen(density, distance, cosine);
    aim.radiance = glow_of_triangle(head.w, weights, cosine > 0.0);
    aim.shared_ = true;
    return aim;
}

Aim aim_at_light(uint pick, vec3 place, float time) {
    Beam beam = beam_of(below(pick, parameters.light_count), place, time);
    float density = rcp(float(parameters.light_count));
    return Aim(beam.direction, beam.distance, beam.color, density, false);
}

Aim aim_at_environment(uvec2 draws) {
    Glow glow = drawn_glow(draws);
    return Aim(glow.direction, FAR, glow.radiance, glow.pdf, true);
}

// Kinds of lights that are there; each is drawn as often.
uint kinds() {
    return (HAS_ENVIRONMENT ? 1u : 0u) + (HAS_LIGHTS ? 1u : 0u) + (HAS_EMITTERS ? 1u : 0u);
}

float kind_odds() { return kinds() < 2u ? 1.0 : (kinds() == 2u ? 0.5 : 0.333333343267440796); }

// Draws a light, and a place on it, as it is at a time.
Aim aimed_light(uvec2 draws, vec3 place, float time) {
    uint kind = below(draws.x, kinds());
    Aim aim = no_aim();
    if (HAS_ENVIRONMENT) {
        if (kind == 0u) aim = aim_at_environment(draws);
        kind--;
    }
    if (HAS_EMITTERS) {
        if (kind == 0u) aim = aim_at_emitter(draws, place, time);
        kind--;
    }
    if (HAS_LIGHTS) {
        if (kind == 0u) aim = aim_at_light(draws.x, place, time);
    }
    aim.density = tame(aim.density * kind_odds());
    return aim;
}

#endif
