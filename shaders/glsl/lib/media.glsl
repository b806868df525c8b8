// What a path is inside of: at most four media, the last entered first, each named by its record of
// layers. Where several overlap, the one of highest priority fills the space (Schmidt and Budge
// 2002), among equals the one entered last. Boundaries that a medium of higher priority hides are
// passed as if they were not there.
#ifndef MEDIA_GLSL
#define MEDIA_GLSL

const uvec4 NO_MEDIA = uvec4(NONE);

float media_priority(uint id) { return layer_value(id * LAYER_WORDS + 1u); }

// The medium that fills the space, or NONE.
uint media_filling(uvec4 media) {
    uint found = media.x;
    if (found == NONE) return found;
    float most = media_priority(found);
    for (uint i = 1u; i < 4u; i++) {
        if (media[i] == NONE) break;
        float priority = media_priority(media[i]);
        if (priority > most) {
            found = media[i];
            most = priority;
        }
    }
    return found;
}

uvec4 media_entered(uvec4 media, uint id) { return uvec4(id, media.xyz); }

uvec4 media_left(uvec4 media, uint id) {
    if (media.x == id) return uvec4(media.yzw, NONE);
    if (media.y == id) return uvec4(media.x, media.zw, NONE);
    if (media.z == id) return uvec4(media.xy, media.w, NONE);
    if (media.w == id) return uvec4(media.xyz, NONE);
    return media;
}

// Index of refraction for a path that carries one channel: 3 is all of them.
float media_index(uint id, uint channel) {
    if (id == NONE) return 1.0;
    uint at = id * LAYER_WORDS;
    float ior = layer_value(at + 2u);
    if (!HAS_DISPERSION || channel > 2u) return ior;
    float spread = layer_value(at + 3u);
    return tame(ior + spread * (float(channel) - 1.0));
}

// The boundary of medium `id` met from outside or inside: the far index over the near one, and
// whether it is hidden.
float boundary_eta(uvec4 media, uint id, bool leaving, uint channel, out bool hidden) {
    uvec4 others = media_left(media, id);
    uint other = media_filling(leaving ? others : media);
    uint filling = media_filling(leaving ? media : media_entered(media, id));
    // A path that begins inside has not entered: what it leaves counts as filling.
    bool known = others != media;
    hidden = filling != id && (!leaving || known);
    float own = media_index(id, channel);
    float rest = media_index(other, channel);
    float eta = leaving ? div(rest, own) : div(own, rest);
    eta = min(max(tame(eta), 0.1), 10.0);
    return abs(eta - 1.0) < 0.001 ? 1.001 : eta;
}

// What a medium lets through over a distance (Beer and Lambert); its coefficients are in halvings.
vec3 let_through(uint id, float distance) {
    uint at = id * LAYER_WORDS + 8u;
    vec3 halvings = layer_color(at) * vec3(tame(distance));
    halvings = tame3(halvings);
    return tame3(vec3(
        power_of_two(-halvings.x), power_of_two(-halvings.y), power_of_two(-halvings.z)));
}

#endif
