// What shading needs to know about a hit: place, normals, material with its textures applied.
#ifndef SURFACE_GLSL
#define SURFACE_GLSL

struct Surface {
    // On the triangle, pushed off it along the geometric normal by the rounding of its coordinates;
    // and pushed to the far side.
    vec3 place;
    vec3 under;
    // Both on the side the ray comes from.
    vec3 geometric;
    vec3 shading;
    // Shares of the triangle's corners in the place.
    vec3 weights;
    vec3 base;
    vec3 emissive;
    float alpha;
    float metallic;
    float roughness;
    // Alpha mode and cutoff of the material.
    uint alpha_mode;
    float cutoff;
    uint primitive;
    // The material's record of layers, or NONE.
    uint layer;
    // Whether the ray came from behind.
    bool back;
    // Its area over that which it has when the shutter opens.
    float spread;
};

float max_component(vec3 v) { return max(v.x, max(v.y, v.z)); }

// The power of two that brings the longest of components near 1.
int shift_near_one(vec3 v) { return 127 - int(floatBitsToUint(max_component(abs(v))) >> 23); }

vec3 shifted(vec3 v, int shift) {
    return tame3(
        vec3(scale(tidy(v.x), shift), scale(tidy(v.y), shift), scale(tidy(v.z), shift)));
}

// The unit vector along any finite v, whatever its length.
vec3 unit_of_any(vec3 v) { return unit(shifted(v, shift_near_one(v))); }

// What the surface record says at the hit.
struct Vertices {
    vec3 normal;
    // Texture places of slots 0 and 1.
    vec2 uv;
    vec2 uv1;
    vec3 tangent;
    float handed;
    // Linear colour and coverage, 1 where the mesh has none.
    vec4 color;
    uint material;
};

vec3 mixed3(vec3 a, vec3 b, vec3 c, vec3 weights) {
    vec3 value = tame3(a) * vec3(weights.x) + tame3(b) * vec3(weights.y)
        + tame3(c) * vec3(weights.z);
    return tame3(value);
}

const float SIXTEEN_BITS = 1.52590218966964e-5;

vec4 unpacked(uvec2 words) {
    vec4 counts = vec4(words.x & 65535u, words.x >> 16, words.y & 65535u, words.y >> 16);
    return counts * vec4(SIXTEEN_BITS);
}

void read_extra(uint extra, vec3 weights, inout Vertices vertices) {
    uvec4 a = FETCH_4(extras, extra * 3u);
    uvec4 b = FETCH_4(extras, extra * 3u + 1u);
    uvec4 c = FETCH_4(extras, extra * 3u + 2u);
    vec4 d = uintBitsToFloat(a);
    vec2 e = uintBitsToFloat(b.xy);
    vertices.uv1 = mixed3(vec3(d.xy, 0.0), vec3(d.zw, 0.0), vec3(e, 0.0), weights).xy;
    vec4 first = unpacked(b.zw);
    vec4 second = unpacked(c.xy);
    vec4 third = unpacked(c.zw);
    vec3 color = mixed3(first.xyz, second.xyz, third.xyz, weights);
    vec3 covered = mixed3(first.www, second.www, third.www, weights);
    vertices.color = min(vec4(color, covered.x), vec4(1.0));
}

Vertices vertices_of(uint primitive, vec3 weights) {
    uint at = primitive * 7u;
    vec4 a = uintBitsToFloat(FETCH_4(surfaces, at));
    vec4 b = uintBitsToFloat(FETCH_4(surfaces, at + 1u));
    vec4 c = uintBitsToFloat(FETCH_4(surfaces, at + 2u));
    vec4 d = uintBitsToFloat(FETCH_4(surfaces, at + 3u));
    vec4 e = uintBitsToFloat(FETCH_4(surfaces, at + 4u));
    vec4 f = uintBitsToFloat(FETCH_4(surfaces, at + 5u));
    uvec4 last = FETCH_4(surfaces, at + 6u);
    Vertices vertices;
    vertices.normal = mixed3(a.xyz, vec3(a.w, b.xy), vec3(b.zw, c.x), weights);
    vertices.uv =
        mixed3(vec3(c.yz, 0.0), vec3(c.w, d.x, 0.0), vec3(d.yz, 0.0), weights).xy;
    vertices.uv1 = vertices.uv;
    vertices.tangent = mixed3(vec3(d.w, e.xy), vec3(e.zw, f.x), f.yzw, weights);
    vertices.handed = (last.x & 0x80000000u) != 0u ? -1.0 : 1.0;
    vertices.color = vec4(1.0);
    vertices.material = last.y;
    if (last.z != NONE) read_extra(last.z, weights, vertices);
    return vertices;
}

// What of a moving triangle's vertices changes on its way.
void move_vertices(uint flags, float time, vec3 weights, inout Vertices vertices) {
#ifdef MOTION
    if (!moves(flags)) return;
    Leg leg = leg_at(time);
    for (uint end = 0u; end < 2u; end++) {
        uint row = key_row(flags, end == 0u ? leg.from : leg.to);
        vec3 c = uintBitsToFloat(FETCH_4(motions, row + 2u).yzw);
        vec4 d = uintBitsToFloat(FETCH_4(motions, row + 3u));
        vec4 e = uintBitsToFloat(FETCH_4(motions, row + 4u));
        vec4 f = uintBitsToFloat(FETCH_4(motions, row + 5u));
        vec3 g = uintBitsToFloat(FETCH_4(motions, row + 6u).xyz);
        vec3 normal = mixed3(c, d.xyz, vec3(d.w, e.xy), weights);
        vec3 tangent = mixed3(vec3(e.zw, f.x), f.yzw, g, weights);
        if (end == 0u) {
            vertices.normal = normal;
            vertices.tangent = tangent;
        } else {
            vertices.normal = tame3(between(vertices.normal, normal, leg.share));
            vertices.tangent = tame3(between(vertices.tangent, tangent, leg.share));
        }
    }
#endif
}

#ifdef INSTANCED
// Normals and tangents of a mesh where it stands; their lengths do not count.
void stand_vertices(uint node, uint surface, vec3 weights, inout Vertices vertices) {
    Stand stand = stand_at(node);
    int shift = shift_near_one(max(max(abs(stand.x), abs(stand.y)), abs(stand.z)));
    vec3 x = shifted(stand.x, shift);
    vec3 y = shifted(stand.y, shift);
    vec3 z = shifted(stand.z, shift);
    // By the cofactors, turned back where the place mirrors.
    float side = (FETCH_4(nodes, node * 5u + 4u).y & 1u) != 0u ? -1.0 : 1.0;
    vec3 yz = tame3(cross3(y, z) * vec3(side));
    vec3 zx = tame3(cross3(z, x) * vec3(side));
    vec3 xy = tame3(cross3(x, y) * vec3(side));
    uint at = surface * 7u;
    vec4 a = uintBitsToFloat(FETCH_4(surfaces, at));
    vec4 b = uintBitsToFloat(FETCH_4(surfaces, at + 1u));
    vec4 c = uintBitsToFloat(FETCH_4(surfaces, at + 2u));
    vec4 d = uintBitsToFloat(FETCH_4(surfaces, at + 3u));
    vec4 e = uintBitsToFloat(FETCH_4(surfaces, at + 4u));
    vec4 f = uintBitsToFloat(FETCH_4(surfaces, at + 5u));
    vec3 normals[3];
    vec3 tangents[3];
    for (uint corner = 0u; corner < 3u; corner++) {
        vec3 n = corner == 0u ? a.xyz : (corner == 1u ? vec3(a.w, b.xy) : vec3(b.zw, c.x));
        vec3 t = corner == 0u ? vec3(d.w, e.xy) : (corner == 1u ? vec3(e.zw, f.x) : f.yzw);
        n = tame3(n);
        t = tame3(t);
        vec3 normal = (yz * vec3(n.x) + zx * vec3(n.y)) + xy * vec3(n.z);
        vec3 tangent = (x * vec3(t.x) + y * vec3(t.y)) + z * vec3(t.z);
        normals[corner] = unit_of_any(normal);
        tangents[corner] = unit_of_any(tangent);
    }
    vertices.normal = mixed3(normals[0], normals[1], normals[2], weights);
    vertices.tangent = mixed3(tangents[0], tangents[1], tangents[2], weights);
}
#endif

// The area of a triangle over that of its own record.
float spread_of(Facet facet, Facet still, uint flags) {
#ifdef MOTION
    if (!moves(flags)) return 1.0;
    vec3 a = cross3(facet.edge1, facet.edge2);
    vec3 b = cross3(still.edge1, still.edge2);
    int shift = shift_near_one(max(abs(a), abs(b)));
    a = shifted(a, shift);
    b = shifted(b, shift);
    float square = tame(div(tame(dot3(a, a)), tame(dot3(b, b))));
    return tame(root(square));
#else
    return 1.0;
#endif
}

// What a triangle sends from a point of it towards one side: its glow times its coverage.
vec3 glow_of_triangle(uint primitive, vec3 weights, bool back) {
    Vertices vertices = vertices_of(primitive, weights);
    uint at = vertices.material * 5u;
    uvec4 images = FETCH_4(materials, at + 3u);
    if (back && images.x == 0u) return vec3(0.0);
    vec3 glow = tame3(floats(FETCH_4(materials, at + 1u)));
    uint image = FETCH_4(materials, at + 4u).x;
    if (HAS_TEXTURES && image != NONE) {
        vec3 colored = glow * sampled(image, vertices.uv, vertices.uv1).xyz;
        glow = colored;
    }
    uint mode = FETCH_4(materials, at + 2u).w;
    if (mode != ALPHA_OPAQUE) {
        float alpha = tame(uintBitsToFloat(FETCH_4(materials, at).w)) * vertices.color.w;
        if (HAS_TEXTURES && images.y != NONE) {
            float covered = alpha * sampled(images.y, vertices.uv, vertices.uv1).w;
            alpha = tame(covered);
        }
        float cutoff = tame(uintBitsToFloat(FETCH_4(materials, at + 2u).z));
        if (mode == ALPHA_MASK) alpha = alpha < cutoff ? 0.0 : 1.0;
        vec3 covered = tame3(glow) * vec3(min(alpha, 1.0));
        glow = covered;
    }
    return max(tame3(glow), vec3(0.0));
}

// Applies a normal texture's value in the tangent frame of glTF 2.0 section 3.7.2.1.
vec3 mapped_normal(Vertices vertices, vec3 normal, vec3 value, float strength) {
    vec3 along = vertices.tangent;
    float handed = vertices.handed;
    float off = dot3(normal, along);
    vec3 flat_tangent = along - normal * vec3(off);
    vec3 tangent = unit(tame3(flat_tangent));
    vec3 bitangent = cross3(normal, tangent) * vec3(handed);
    float x = (value.x * 2.0 - 1.0) * strength;
    float y = (value.y * 2.0 - 1.0) * strength;
    float z = value.z * 2.0 - 1.0;
    vec3 bent = tame3(vec3(x, y, z));
    vec3 normal_sum = tangent * vec3(bent.x) + bitangent * vec3(bent.y) + normal * vec3(bent.z);
    vec3 result = unit(tame3(normal_sum));
    return dot3(result, result) > 0.5 ? result : normal;
}

// The shading normal on the viewer's side: bent towards the viewer where it would face away.
vec3 facing(vec3 shading, vec3 geometric, vec3 viewer) {
    vec3 normal = dot3(shading, geometric) > 0.0 ? shading : geometric;
    float cosine = dot3(normal, viewer);
    if (cosine < 0.01) {
        float lift = 0.01 - cosine;
        vec3 lifted = normal + viewer * vec3(lift);
        normal = unit(tame3(lifted));
        // Opposite vectors leave nothing to bend.
        if (dot3(normal, normal) < 0.5) normal = geometric;
    }
    return normal;
}

// The surface that `ray` met at `hit`.
Surface surface_at(Hit hit, Ray ray, out Vertices vertices) {
    Surface surface;
    vec3 direction = ray.direction;
    Facet still;
    uint flags;
    Facet facet = facet_of(hit, leg_at(ray.time), still, flags);
    uint primitive = hit.primitive;
    surface.primitive = primitive;
    surface.spread = HAS_EMITTERS ? spread_of(facet, still, flags) : 1.0;
    Crossing c;
    crosses(facet, ray.origin, direction, c);
    float u = tame(div(c.u, c.det));
    float v = tame(div(c.v, c.det));
    float rest = (1.0 - u) - v;
    vec3 weights = vec3(tame(max(rest, 0.0)), u, v);
    surface.weights = weights;

    vec3 geometric = unit_of_any(cross3(facet.edge1, facet.edge2));
    geometric = c.back ? -geometric : geometric;
#ifdef INSTANCED
    uint own = hit.primitive;
    if (hit.stand != NONE) own += FETCH_4(nodes, hit.stand * 5u + 4u).x;
    vertices = vertices_of(own, weights);
    if (hit.stand != NONE) stand_vertices(hit.stand, own, weights, vertices);
#else
    vertices = vertices_of(primitive, weights);
#endif
    move_vertices(flags, ray.time, weights, vertices);
    vec3 normal = unit(vertices.normal);
    if (dot3(normal, normal) < 0.5) normal = c.back ? -geometric : geometric;

    uint at = vertices.material * 5u;
    uvec4 base = FETCH_4(materials, at);
    uvec4 glow = FETCH_4(materials, at + 1u);
    uvec4 rough = FETCH_4(materials, at + 2u);
    uvec4 images = FETCH_4(materials, at + 3u);
    uvec4 last = FETCH_4(materials, at + 4u);
    vec4 tinted = vec4(tame3(floats(base)), tame(uintBitsToFloat(base.w))) * vertices.color;
    surface.base = tame3(tinted.xyz);
    surface.alpha = tame(tinted.w);
    surface.emissive = tame3(floats(glow));
    surface.metallic = tame(uintBitsToFloat(glow.w));
    surface.roughness = tame(uintBitsToFloat(rough.x));
    surface.alpha_mode = rough.w;
    surface.cutoff = tame(uintBitsToFloat(rough.z));
    surface.layer = last.y;
    surface.back = c.back;
    // Base colour, metallic-roughness, normal, emissive: those that are there, in this order.
    uint kinds = (images.y != NONE ? 1u : 0u) | (images.z != NONE ? 2u : 0u)
        | (images.w != NONE ? 4u : 0u) | (last.x != NONE ? 8u : 0u);
    if (HAS_TEXTURES) do {
        if (kinds == 0u) break;
        uint kind = uint(findLSB(kinds));
        kinds &= kinds - 1u;
        uint index = kind < 2u ? (kind == 0u ? images.y : images.z)
            : (kind == 2u ? images.w : last.x);
        vec4 value = sampled(index, vertices.uv, vertices.uv1);
        if (kind == 0u) {
            vec3 colored = surface.base * value.xyz;
            surface.base = colored;
            float covered = surface.alpha * value.w;
            surface.alpha = covered;
        } else if (kind == 1u) {
            vec2 scaled = vec2(surface.metallic, surface.roughness) * value.zy;
            surface.metallic = scaled.x;
            surface.roughness = scaled.y;
        } else if (kind == 2u) {
            float strength = tame(uintBitsToFloat(rough.y));
            normal = mapped_normal(vertices, normal, value.xyz, strength);
        } else {
            vec3 glowing = surface.emissive * value.xyz;
            surface.emissive = glowing;
        }
    } while (kinds != 0u);
    surface.base = min(max(tame3(surface.base), vec3(0.0)), vec3(1.0));
    surface.alpha = tame(surface.alpha);
    surface.metallic = min(max(tame(surface.metallic), 0.0), 1.0);
    surface.roughness = min(max(tame(surface.roughness), 0.0), 1.0);
    surface.emissive = max(tame3(surface.emissive), vec3(0.0));
    if (c.back && images.x == 0u) surface.emissive = vec3(0.0);

    normal = c.back ? -normal : normal;
    surface.geometric = geometric;
    surface.shading = facing(normal, geometric, -direction);
    vec3 across = facet.edge1 * vec3(u);
    vec3 along = facet.edge2 * vec3(v);
    vec3 place = facet.corner + (across + along);
    vec3 widest = max(abs(facet.corner), max(abs(facet.edge1), abs(facet.edge2)));
    float off = max_component(widest) * 1.9073486328125e-6;
    vec3 push = tame3(geometric) * vec3(tame(off));
    vec3 above = place + push;
    vec3 below = place - push;
    surface.place = placed(tame3(above));
    surface.under = placed(tame3(below));
    return surface;
}

#endif
