// Punctual lights (KHR_lights_punctual).
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

Beam beam_of(uint index, vec3 place) {
    uvec4 first = lights[index * 4u];
    uvec4 second = lights[index * 4u + 1u];
    uvec4 third = lights[index * 4u + 2u];
    vec3 axis = tame3(floats(second));
    vec3 color = max(tame3(floats(third)), vec3(0.0));
    if (first.w == LIGHT_DIRECTIONAL) return Beam(unit(-axis), FAR, color);
    vec3 towards = tame3(floats(first)) - place;
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
            + tame(uintBitsToFloat(lights[index * 4u + 3u].x));
        angle = tame(min(max(angle, 0.0), 1.0));
        fade = tame(fade * tame(angle * angle));
    }
    vec3 faded = color * vec3(fade);
    return Beam(direction, distance, tame3(faded));
}

#endif
