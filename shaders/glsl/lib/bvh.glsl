// The nearest hit of a ray, the same whatever the BVH.
//
// Why no denormals: vertex coordinates and ray origins are multiples of 2^-42 up to 2^24, directions
// multiples of 2^-30 not above 1; so every product and difference below is 0 or a multiple of 2^-126.
//
// Why any BVH gives the same hit: a triangle counts only if the ray also passes the slab test of the
// triangle's own padded box, nearer than the hit. Rounding is monotonous, so the box of any node
// around it passes too, in bytes or not: its sides are computed before the ray's origin is taken
// away. Ties go to the lower primitive index.
#ifndef BVH_GLSL
#define BVH_GLSL

#include "motion.glsl"
#ifdef INSTANCED
#include "instance.glsl"
#endif

const float FAR = 1.0995116e12;
// 1 + 2^-20: what the slab test allows for the rounding of a hit's distance.
const float SLACK = 1.00000095367431640625;
// A hierarchy of eight is no deeper than the binary one it comes from (scene/bvh.rs); that of a mesh
// may stand in that of the scene.
#ifdef INSTANCED
const uint STACK = 128u;
#else
const uint STACK = 64u;
#endif

struct Ray {
    vec3 origin;
    vec3 direction;
    // Hits count if nearer than this.
    float reach;
    // Hits count from behind (start, start_primitive) on, in the order of (distance, primitive).
    float start;
    uint start_primitive;
    // The primitive the ray leaves; it is flat, so the ray cannot meet it again.
    uint leaves;
    // When it meets what moves.
    float time;
};

struct Hit {
    float distance;
    uint primitive;
    // Place in the triangle buffer.
    uint triangle;
#ifdef INSTANCED
    // The node of the place where its mesh stands, or NONE.
    uint stand;
#endif
};

// Where a triangle is, given its place in the buffer, and its flags.
Facet facet_of(Hit hit, Leg leg, out Facet still, out uint flags) {
    uvec4 third = FETCH_4(triangles, hit.triangle * 3u + 2u);
    flags = third.w;
    still = Facet(
        floats(FETCH_4(triangles, hit.triangle * 3u)),
        floats(FETCH_4(triangles, hit.triangle * 3u + 1u)),
        floats(third));
#ifdef INSTANCED
    if (hit.stand != NONE) {
        still = stood_facet(stand_at(hit.stand), still.corner, still.edge1, still.edge2);
        return still;
    }
#endif
    return moved(still, flags, leg);
}

// Reciprocal direction; an axis the ray does not move along gets a large finite number.
vec3 slopes(vec3 direction) {
    vec3 slope = vec3(2147483648.0);
    if (direction.x != 0.0) slope.x = rcp(direction.x);
    if (direction.y != 0.0) slope.y = rcp(direction.y);
    if (direction.z != 0.0) slope.z = rcp(direction.z);
    return slope;
}

// Whether the ray enters the box before `nearest`; `enter` is where.
bool enters(vec3 low, vec3 high, vec3 origin, vec3 slope, float nearest, out float enter) {
    vec3 a = (low - origin) * slope;
    vec3 b = (high - origin) * slope;
    vec3 near = min(a, b);
    vec3 far = max(a, b);
    enter = max(max(near.x, near.y), max(near.z, 0.0));
    return enter <= min(min(far.x, far.y), min(far.z, nearest));
}

// Möller and Trumbore's test; barycentric u, v and the distance are left undivided by `det`.
struct Crossing {
    float u;
    float v;
    float distance;
    float det;
    bool back;
};

bool crosses(Facet facet, vec3 origin, vec3 direction, out Crossing c) {
    vec3 p = cross3(direction, facet.edge2);
    float det = dot3(facet.edge1, p);
    vec3 s = origin - facet.corner;
    vec3 q = cross3(s, facet.edge1);
    float u = dot3(s, p);
    float v = dot3(direction, q);
    float t = dot3(facet.edge2, q);
    bool back = det < 0.0;
    c = Crossing(back ? -u : u, back ? -v : v, back ? -t : t, abs(det), back);
    float sum = c.u + c.v;
    return c.det > 0.0 && c.u >= 0.0 && c.v >= 0.0 && sum <= c.det && c.distance > 0.0;
}

// The hit's distance; FAR at most, so that nothing overflows. `det` is 0 or above 2^-115.
float crossing_distance(Crossing c) {
    float det = max(c.det, 2.4074124304840448e-35);
    float y = uintBitsToFloat(0x7ef311c7u - floatBitsToUint(det));
    y = y * (2.0 - det * y);
    y = y * (2.0 - det * y);
    y = y + y * (1.0 - det * y);
    return min(c.distance, det * FAR) * y;
}

bool meets_own_box(Facet facet, vec3 origin, vec3 slope, float t) {
    vec3 second = facet.corner + facet.edge1;
    vec3 third = facet.corner + facet.edge2;
    float pad = uintBitsToFloat(parameters.padding);
    vec3 low = min(facet.corner, min(second, third)) - vec3(pad);
    vec3 high = max(facet.corner, max(second, third)) + vec3(pad);
    float slackened = t * SLACK;
    float enter;
    return enters(low, high, origin, slope, slackened, enter);
}

// A ray as boxes in bytes want it.
struct Walk {
    vec3 origin;
    vec3 slope;
    // For each axis, whether the ray goes towards minus: it meets high sides first.
    bvec3 minus;
    // What is XORed to the slots of children so that nearer ones come to higher bits.
    uint turn;
};

vec3 unpacked(vec3 base, vec3 steps, uint x, uint y, uint z, uint shift) {
    vec3 bytes = vec3(
        float((x >> shift) & 255u),
        float((y >> shift) & 255u),
        float((z >> shift) & 255u));
    vec3 offset = bytes * steps;
    return base + offset;
}

// Which of four children the ray enters before `nearest`: bits of inner nodes above bit 23, by
// nearness; bits of triangles below, by their place from the node's first.
uint entered_of_four(
    Walk walk, float nearest, vec3 base, vec3 steps, uint meta, uvec3 low, uvec3 high) {
    uvec3 first = uvec3(
        walk.minus.x ? high.x : low.x,
        walk.minus.y ? high.y : low.y,
        walk.minus.z ? high.z : low.z);
    uvec3 last = uvec3(
        walk.minus.x ? low.x : high.x,
        walk.minus.y ? low.y : high.y,
        walk.minus.z ? low.z : high.z);
    uint bits = 0u;
    for (uint shift = 0u; shift < 32u; shift += 8u) {
        uint own = (meta >> shift) & 255u;
        vec3 a = unpacked(base, steps, first.x, first.y, first.z, shift);
        vec3 b = unpacked(base, steps, last.x, last.y, last.z, shift);
        vec3 near = (a - walk.origin) * walk.slope;
        vec3 far = (b - walk.origin) * walk.slope;
        float enter = max(max(near.x, near.y), max(near.z, 0.0));
        float leave = min(min(far.x, far.y), min(far.z, nearest));
        uint place = own & 31u;
        place = place >= 24u ? place ^ walk.turn : place;
        bits |= enter <= leave ? (own >> 5) << place : 0u;
    }
    return bits;
}

#ifdef INSTANCED
// The same for a mesh where it stands.
uint entered_of_four_stood(
    Walk walk, Stand stand, float nearest, vec3 base, vec3 steps, uint meta, uvec3 low,
    uvec3 high) {
    uint bits = 0u;
    for (uint shift = 0u; shift < 32u; shift += 8u) {
        uint own = (meta >> shift) & 255u;
        vec3 least;
        vec3 most;
        stand_box(
            stand,
            unpacked(base, steps, low.x, low.y, low.z, shift),
            unpacked(base, steps, high.x, high.y, high.z, shift),
            least,
            most);
        float enter;
        bool within = enters(least, most, walk.origin, walk.slope, nearest, enter);
        uint place = own & 31u;
        place = place >= 24u ? place ^ walk.turn : place;
        bits |= within ? (own >> 5) << place : 0u;
    }
    return bits;
}

uvec4 entered_stood(Walk walk, Stand stand, float nearest, uint node) {
    uvec4 a = FETCH_4(nodes, node * 5u);
    uvec4 b = FETCH_4(nodes, node * 5u + 1u);
    uvec4 c = FETCH_4(nodes, node * 5u + 2u);
    uvec4 d = FETCH_4(nodes, node * 5u + 3u);
    uvec4 e = FETCH_4(nodes, node * 5u + 4u);
    vec3 base = floats(a);
    vec3 steps = uintBitsToFloat(
        uvec3((a.w & 255u) << 23, ((a.w >> 8) & 255u) << 23, ((a.w >> 16) & 255u) << 23));
    uint bits = 0u;
    // In a loop, since compilers copy what is called.
    for (uint half_ = 0u; half_ < 2u; half_++) {
        bool first = half_ == 0u;
        bits |= entered_of_four_stood(
            walk, stand, nearest, base, steps, first ? b.z : b.w,
            first ? uvec3(c.x, c.z, d.x) : uvec3(c.y, c.w, d.y),
            first ? uvec3(d.z, e.x, e.z) : uvec3(d.w, e.y, e.w));
    }
    return uvec4(b.x, (bits & 0xff000000u) | (a.w >> 24), b.y, bits & 0xffffffu);
}
#endif

// The children of a node that the ray enters: x is the first inner child, y their bits and which
// slots are inner; z is the first triangle, w the triangles' bits.
uvec4 entered(Walk walk, float nearest, uint node) {
    uvec4 a = FETCH_4(nodes, node * 5u);
    uvec4 b = FETCH_4(nodes, node * 5u + 1u);
    uvec4 c = FETCH_4(nodes, node * 5u + 2u);
    uvec4 d = FETCH_4(nodes, node * 5u + 3u);
    uvec4 e = FETCH_4(nodes, node * 5u + 4u);
    vec3 base = floats(a);
    vec3 steps = uintBitsToFloat(
        uvec3((a.w & 255u) << 23, ((a.w >> 8) & 255u) << 23, ((a.w >> 16) & 255u) << 23));
    uint bits = entered_of_four(
        walk, nearest, base, steps, b.z, uvec3(c.x, c.z, d.x), uvec3(d.z, e.x, e.z));
    bits |= entered_of_four(
        walk, nearest, base, steps, b.w, uvec3(c.y, c.w, d.y), uvec3(d.w, e.y, e.w));
    return uvec4(b.x, (bits & 0xff000000u) | (a.w >> 24), b.y, bits & 0xffffffu);
}

// The next node of a group: takes the nearest of its bits.
uint next_node(inout uvec2 group, uint turn) {
    uint bit = uint(findMSB(group.y));
    group.y &= ~(1u << bit);
    uint slot = (bit - 24u) ^ turn;
    return group.x + uint(bitCount(group.y & ~(0xffffffffu << slot) & 255u));
}

// The nearest hit. With `any`, an opaque hit within reach ends the search: only whether there is
// one, or else the nearest hit that is not opaque, is meant then. With `cull`, single-sided
// triangles are not seen from behind.
Hit trace(Ray ray, bool any, bool cull) {
#ifdef INSTANCED
    Hit hit = Hit(ray.reach, NONE, NONE, NONE);
    Stand stand = Stand(0u, 0u, vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0));
    uint inside = NONE;
    // The stack's height when the mesh was entered.
    uint outside = NONE;
#else
    Hit hit = Hit(ray.reach, NONE, NONE);
#endif
    vec3 slope = slopes(ray.direction);
    bvec3 minus = lessThan(slope, vec3(0.0));
    uint octant = (minus.x ? 4u : 0u) | (minus.y ? 2u : 0u) | (minus.z ? 1u : 0u);
    Walk walk = Walk(ray.origin, slope, minus, 7u - octant);
    Leg leg = leg_at(ray.time);
    uvec2 stack[STACK];
    uint height = 0u;
    // Inner nodes still to visit: the first child of their parent, their bits, which are inner.
    uvec2 group = uvec2(0u, 0x80000000u);
    if (parameters.triangle_count == 0u) return hit;
    do {
        uint node = next_node(group, walk.turn);
        if (group.y > 0xffffffu) {
            stack[height] = group;
            height++;
        }
#ifdef INSTANCED
        if (FETCH_4(nodes, node * 5u).w == INSTANCE_MARK) {
            stand = stand_at(node);
            inside = node;
            outside = height;
            // The order of children does not change the hit: the transposed matrix will do.
            walk.turn = 7u ^ ((dot3(stand.x, ray.direction) < 0.0 ? 4u : 0u)
                | (dot3(stand.y, ray.direction) < 0.0 ? 2u : 0u)
                | (dot3(stand.z, ray.direction) < 0.0 ? 1u : 0u));
            group = uvec2(stand.root, 0x80000000u);
            continue;
        }
        uvec4 found;
        if (inside == NONE) found = entered(walk, hit.distance * SLACK, node);
        else found = entered_stood(walk, stand, hit.distance * SLACK, node);
#else
        uvec4 found = entered(walk, hit.distance * SLACK, node);
#endif
        group = found.xy;
        do {
            if (found.w == 0u) break;
            uint at = found.z + uint(findLSB(found.w));
            found.w &= found.w - 1u;
            uvec4 first = FETCH_4(triangles, at * 3u);
            uvec4 second = FETCH_4(triangles, at * 3u + 1u);
            uvec4 third = FETCH_4(triangles, at * 3u + 2u);
            Facet facet = Facet(floats(first), floats(second), floats(third));
            uint primitive = first.w;
#ifdef INSTANCED
            if (inside == NONE) {
                facet = moved(facet, third.w, leg);
            } else {
                facet = stood_facet(stand, facet.corner, facet.edge1, facet.edge2);
                primitive += stand.primitive_first;
            }
#else
            facet = moved(facet, third.w, leg);
#endif
            Crossing c;
            bool met = crosses(facet, ray.origin, ray.direction, c);
            met = met && primitive != ray.leaves
                && !(cull && c.back && (third.w & SINGLE_SIDED) != 0u);
            if (met) {
                float t = crossing_distance(c);
                bool later = t > ray.start || (t == ray.start && primitive > ray.start_primitive);
                bool nearer =
                    t < hit.distance || (t == hit.distance && primitive < hit.primitive);
                if (later && nearer && meets_own_box(facet, ray.origin, slope, t)) {
#ifdef INSTANCED
                    hit = Hit(t, primitive, at, inside);
#else
                    hit = Hit(t, primitive, at);
#endif
                    if (any && (third.w & NOT_OPAQUE) == 0u) {
                        // Nothing is left to visit.
                        found.w = 0u;
                        group.y = 0u;
                        height = 0u;
                    }
                }
            }
        } while (found.w != 0u);
#ifdef INSTANCED
        if (group.y <= 0xffffffu && height == outside) {
            inside = NONE;
            outside = NONE;
            walk.turn = 7u - octant;
        }
#endif
        if (group.y <= 0xffffffu && height > 0u) {
            height--;
            group = stack[height];
        }
    } while (group.y > 0xffffffu);
    return hit;
}

#endif
