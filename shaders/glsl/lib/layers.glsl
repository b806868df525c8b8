// What a material has beyond metal and roughness: its record of layers with textures applied.
#ifndef LAYERS_GLSL
#define LAYERS_GLSL

// Words of a record: shaders::Layers.
const uint LAYER_WORDS = 48u;
const uint LAYER_IMAGES = 33u;
const uint LAYER_THIN = 1u;
const uint LAYER_GLOSSY = 2u;
const uint LAYER_UNLIT = 4u;

struct Layers {
    // The record, or NONE.
    uint id;
    uint flags;
    float ior;
    vec3 specular_color;
    float specular;
    float transmission;
    float coat;
    float coat_roughness;
    vec3 coat_normal;
    // Strength, and the direction in the tangent frame.
    float anisotropy;
    vec2 turn;
    vec3 sheen;
    float sheen_roughness;
    float film;
    float film_index;
    float film_thickness;
    vec3 behind_color;
    float behind;
};

float layer_value(uint at) { return tame(uintBitsToFloat(FETCH_1(layers, at))); }

vec3 layer_color(uint at) {
    return vec3(layer_value(at), layer_value(at + 1u), layer_value(at + 2u));
}

// No layers: the plain material of glTF.
Layers plain() {
    Layers own;
    own.id = NONE;
    own.flags = LAYER_THIN;
    own.ior = 1.5;
    own.specular_color = vec3(1.0);
    own.specular = 1.0;
    own.transmission = 0.0;
    own.coat = 0.0;
    own.coat_roughness = 0.0;
    own.coat_normal = vec3(0.0);
    own.anisotropy = 0.0;
    own.turn = vec2(1.0, 0.0);
    own.sheen = vec3(0.0);
    own.sheen_roughness = 0.0;
    own.film = 0.0;
    own.film_index = 1.3;
    own.film_thickness = 0.0;
    own.behind_color = vec3(1.0);
    own.behind = 0.0;
    return own;
}

// The record's factors, without its textures.
Layers layer_factors(uint id) {
    Layers own = plain();
    if (id == NONE) return own;
    uint at = id * LAYER_WORDS;
    own.id = id;
    own.flags = FETCH_1(layers, at);
    own.ior = layer_value(at + 2u);
    own.specular_color = layer_color(at + 4u);
    own.specular = layer_value(at + 7u);
    own.transmission = layer_value(at + 11u);
    own.coat = layer_value(at + 12u);
    own.coat_roughness = layer_value(at + 13u);
    own.anisotropy = layer_value(at + 15u);
    own.sheen = layer_color(at + 16u);
    own.sheen_roughness = layer_value(at + 19u);
    own.film = layer_value(at + 20u);
    own.film_index = layer_value(at + 21u);
    own.film_thickness = layer_value(at + 23u);
    own.behind_color = layer_color(at + 24u);
    own.behind = layer_value(at + 27u);
    own.turn = vec2(layer_value(at + 28u), layer_value(at + 29u));
    return own;
}

// Applies one texture; `kind` counts the fields of shaders::Layers::textures.
void apply_layer_texture(inout Layers own, inout float roughness, uint kind, vec4 value, uint at) {
    if (kind == 0u) own.specular = tame(own.specular * value.w);
    if (kind == 1u) {
        own.specular_color = tame3(own.specular_color * value.xyz);
        if ((own.flags & LAYER_GLOSSY) != 0u) roughness = 1.0 - tame((1.0 - roughness) * value.w);
    }
    if (kind == 2u) own.transmission = tame(own.transmission * value.x);
    if (kind == 3u) own.coat = tame(own.coat * value.x);
    if (kind == 4u) own.coat_roughness = tame(own.coat_roughness * value.y);
    if (kind == 6u) own.sheen = tame3(own.sheen * value.xyz);
    if (kind == 7u) own.sheen_roughness = tame(own.sheen_roughness * value.w);
    if (kind == 8u) own.film = tame(own.film * value.x);
    if (kind == 9u) {
        float least = layer_value(at + 22u);
        float thickness = least + (own.film_thickness - least) * value.y;
        own.film_thickness = tame(thickness);
    }
    if (kind == 10u) {
        vec2 along = value.xy * vec2(2.0) - vec2(1.0);
        vec2 turned = vec2(along.x * own.turn.x - along.y * own.turn.y,
            along.x * own.turn.y + along.y * own.turn.x);
        own.turn = tame2(turned);
        own.anisotropy = tame(own.anisotropy * value.z);
    }
    if (kind == 11u) own.behind = tame(own.behind * value.w);
    if (kind == 12u) own.behind_color = tame3(own.behind_color * value.xyz);
}

// The layers at a surface; `surface.roughness` may change too.
Layers layers_at(inout Surface surface, Vertices vertices) {
    Layers own = layer_factors(surface.layer);
    if (own.id == NONE) return own;
    uint at = own.id * LAYER_WORDS;
    vec3 normal = unit(vertices.normal);
    if (dot3(normal, normal) < 0.5) normal = surface.back ? -surface.geometric : surface.geometric;
    uint kinds = FETCH_1(layers, at + 32u);
    if (HAS_TEXTURES) do {
        if (kinds == 0u) break;
        uint kind = uint(findLSB(kinds));
        kinds &= kinds - 1u;
        vec4 value = sampled(FETCH_1(layers, at + LAYER_IMAGES + kind), vertices.uv, vertices.uv1);
        if (kind == 5u) {
            normal = mapped_normal(vertices, normal, value.xyz, layer_value(at + 14u));
        } else {
            apply_layer_texture(own, surface.roughness, kind, value, at);
        }
    } while (kinds != 0u);
    surface.roughness = min(max(surface.roughness, 0.0), 1.0);
    own.coat_roughness = min(own.coat_roughness, 1.0);
    own.coat_normal = surface.back ? -normal : normal;
    return own;
}

// The direction in which anisotropic facets are stretched; zero where the surface has no tangent.
vec3 stretch_direction(Layers own, Vertices vertices, vec3 normal) {
    vec3 bitangent = cross3(normal, vertices.tangent) * vec3(vertices.handed);
    vec3 along = vertices.tangent * vec3(own.turn.x) + tame3(bitangent) * vec3(own.turn.y);
    return tame3(along);
}

#endif
