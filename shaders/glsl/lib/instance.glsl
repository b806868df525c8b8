// Meshes that are drawn many times: one hierarchy and one set of surfaces each, in the mesh's own
// coordinates, and for each place where one stands a record in the hierarchy of the scene. All that
// is compared is computed in world space, as for triangles that were put there one by one.
//
// Why boxes hold: rounding is monotonous, so the box around the eight corners of a node's box, taken
// to the world by the same operations as the vertices, holds every vertex under it. Edges and the
// grid then stray by less than the padding that it has besides.
//
// Why no denormals: what is below 2^-100 here vanishes on the grid of 2^-42, flushed or not.
#ifndef INSTANCE_GLSL
#define INSTANCE_GLSL

#include "grid.glsl"

// The last word of a node's first row, where it is a place and not a node.
const uint INSTANCE_MARK = 0xffffffffu;

// A place. The columns of its matrix, then its origin.
struct Stand {
    uint root;
    uint primitive_first;
    vec3 x;
    vec3 y;
    vec3 z;
    vec3 origin;
};

Stand stand_at(uint node) {
    uvec4 head = FETCH_4(nodes, node * 5u);
    vec4 a = uintBitsToFloat(FETCH_4(nodes, node * 5u + 1u));
    vec4 b = uintBitsToFloat(FETCH_4(nodes, node * 5u + 2u));
    vec4 c = uintBitsToFloat(FETCH_4(nodes, node * 5u + 3u));
    return Stand(head.x, head.y, a.xyz, vec3(a.w, b.xy), vec3(b.zw, c.x), c.yzw);
}

vec3 stood(Stand stand, vec3 p) {
    return ((stand.x * vec3(p.x) + stand.y * vec3(p.y)) + stand.z * vec3(p.z)) + stand.origin;
}

// The box around a box, taken to the world.
void stand_box(Stand stand, vec3 low, vec3 high, out vec3 least, out vec3 most) {
    vec3 a = stand.x * vec3(low.x);
    vec3 b = stand.x * vec3(high.x);
    vec3 c = stand.y * vec3(low.y);
    vec3 d = stand.y * vec3(high.y);
    vec3 e = stand.z * vec3(low.z);
    vec3 f = stand.z * vec3(high.z);
    float pad = 2.0 * uintBitsToFloat(parameters.padding);
    least = (((min(a, b) + min(c, d)) + min(e, f)) + stand.origin) - vec3(pad);
    most = (((max(a, b) + max(c, d)) + max(e, f)) + stand.origin) + vec3(pad);
}

// A triangle of a mesh, whose record has its vertices, where the mesh stands.
Facet stood_facet(Stand stand, vec3 first, vec3 second, vec3 third) {
    vec3 corner = stood(stand, first);
    return Facet(
        placed(corner),
        placed(stood(stand, second) - corner),
        placed(stood(stand, third) - corner));
}

#endif
