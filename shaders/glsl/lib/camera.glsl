// The rays that leave the camera. Knows no surfaces.
#ifndef CAMERA_GLSL
#define CAMERA_GLSL

vec3 constant3(uint at) {
    uvec3 words = uvec3(
        FETCH_1(constants, at), FETCH_1(constants, at + 1u), FETCH_1(constants, at + 2u));
    return tame3(uintBitsToFloat(words));
}

float constant(uint at) { return tame(uintBitsToFloat(FETCH_1(constants, at))); }

Ray ray_from(vec3 origin, vec3 direction, float reach, uint primitive) {
    return Ray(origin, aimed(direction), min(reach, FAR), 0.0, NONE, primitive);
}

// Moves a ray to a place on the lens; it meets the pinhole's ray again in the plane of focus.
void look_through_lens(uvec3 key, inout vec3 origin, inout vec3 direction) {
    float radius = constant(3u);
    if (radius <= 0.0) return;
    vec2 place = fractions(draw_pair(key, LENS));
    vec2 around = circle(place.y);
    radius = radius * tame(root(place.x));
    vec3 aside = unit(constant3(8u)) * vec3(tame(radius * around.x))
        + unit(constant3(12u)) * vec3(tame(radius * around.y));
    aside = tame3(aside);
    vec3 sharp = direction * vec3(constant(7u)) - aside;
    direction = tame3(sharp);
    origin = placed(origin + aside);
}

// The ray of one sample of a pixel: any shader that asks by the same key gets the same bits.
Ray camera_ray(uvec3 key, uvec2 pixel) {
    vec2 place = vec2(pixel) + fractions(draw_pair(key, PIXEL));
    float x = place.x * rcp(float(parameters.frame_width));
    float y = place.y * rcp(float(parameters.frame_height));
    x = tame(2.0 * x - 1.0);
    y = tame(1.0 - 2.0 * y);
    vec3 direction = constant3(4u) + (constant3(8u) * vec3(x) + constant3(12u) * vec3(y));
    vec3 aside = constant3(16u) * vec3(x) + constant3(20u) * vec3(y);
    vec3 origin = placed(constant3(0u) + tame3(aside));
    direction = tame3(direction);
    if (HAS_LENS) look_through_lens(key, origin, direction);
    return ray_from(origin, unit(direction), FAR, NONE);
}

#endif
