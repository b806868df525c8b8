// What moves while the shutter is open: cameras, lights and triangles at a number of keys, between
// which they go straight. A time is a number of keys, 0 to `motion_steps`. After these keys may come
// two more, the frames before and after, which only motion vectors ask for.
//
// Why boxes hold: rounding is monotonous, so a moving corner stays between its places at two keys,
// and a sum of two of them strays by less than the padding that its box has besides (grid.rs).
#ifndef MOTION_GLSL
#define MOTION_GLSL

#include "grid.glsl"

const uint MOTION_SHIFT = 2u;
const uint CAMERA_ROWS = 6u;
const uint KEY_ROWS = 7u;

// The way from the last key before a time to the next.
struct Leg {
    uint from;
    uint to;
    float share;
};

Leg leg_at(float time) {
#ifdef MOTION
    uint from = uint(time);
    uint to = min(from + 1u, parameters.motion_steps);
    return Leg(from, to, time - float(from));
#else
    return Leg(0u, 0u, 0.0);
#endif
}

vec3 between(vec3 a, vec3 b, float share) {
    vec3 way = (b - a) * vec3(share);
    return a + way;
}

vec3 tame_between(uvec3 a, uvec3 b, float share) {
    vec3 from = tame3(uintBitsToFloat(a));
#ifdef MOTION
    from = tame3(between(from, tame3(uintBitsToFloat(b)), share));
#endif
    return from;
}

// Whether a triangle moves; flags are those of its record.
bool moves(uint flags) {
#ifdef MOTION
    return (flags >> MOTION_SHIFT) != 0u;
#else
    return false;
#endif
}

uint key_row(uint flags, uint key) {
    uint keys = parameters.motion_keys;
    uint place = (flags >> MOTION_SHIFT) - 1u;
    return keys * CAMERA_ROWS + (place * keys + key) * KEY_ROWS;
}

struct Facet {
    vec3 corner;
    vec3 edge1;
    vec3 edge2;
};

Facet facet_at_key(uint row) {
    vec4 a = uintBitsToFloat(FETCH_4(motions, row));
    vec4 b = uintBitsToFloat(FETCH_4(motions, row + 1u));
    float c = uintBitsToFloat(FETCH_4(motions, row + 2u).x);
    return Facet(a.xyz, vec3(a.w, b.xy), vec3(b.zw, c));
}

// Where a triangle is; `still` is its own record.
Facet moved(Facet still, uint flags, Leg leg) {
#ifdef MOTION
    if (!moves(flags)) return still;
    Facet a = facet_at_key(key_row(flags, leg.from));
    Facet b = facet_at_key(key_row(flags, leg.to));
    return Facet(
        placed(between(a.corner, b.corner, leg.share)),
        placed(between(a.edge1, b.edge1, leg.share)),
        placed(between(a.edge2, b.edge2, leg.share)));
#else
    return still;
#endif
}

#endif
