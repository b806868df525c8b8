// The rays that leave the camera. Knows no surfaces.
#ifndef CAMERA_GLSL
#define CAMERA_GLSL

// A vector of the camera, by its row: the fields of `Camera` in shaders/src/lib.rs.
vec3 camera3(uint row, Leg leg) {
    uvec3 from = FETCH_4(motions, leg.from * CAMERA_ROWS + row).xyz;
    uvec3 to = FETCH_4(motions, leg.to * CAMERA_ROWS + row).xyz;
    return tame_between(from, to, leg.share);
}

const uint CAMERA_POSITION = 0u;
const uint CAMERA_FORWARD = 1u;
const uint CAMERA_RIGHT = 2u;
const uint CAMERA_UP = 3u;
const uint CAMERA_ACROSS = 4u;
const uint CAMERA_RISE = 5u;

// The last word of a row: a number that keeps its value while the shutter is open.
float camera_word(uint row) { return tame(uintBitsToFloat(FETCH_4(motions, row).w)); }

Ray ray_from(vec3 origin, vec3 direction, float reach, uint primitive, float time) {
    return Ray(origin, aimed(direction), min(reach, FAR), 0.0, NONE, primitive, time);
}

// Moves a ray to a place on the lens; it meets the pinhole's ray again in the plane of focus.
void look_through_lens(uvec3 key, Leg leg, inout vec3 origin, inout vec3 direction) {
    float radius = camera_word(CAMERA_POSITION);
    if (radius <= 0.0) return;
    vec2 place = fractions(draw_pair(key, LENS));
    vec2 around = circle(place.y);
    radius = radius * tame(root(place.x));
    vec3 aside = unit(camera3(CAMERA_RIGHT, leg)) * vec3(tame(radius * around.x))
        + unit(camera3(CAMERA_UP, leg)) * vec3(tame(radius * around.y));
    aside = tame3(aside);
    vec3 sharp = direction * vec3(camera_word(CAMERA_FORWARD)) - aside;
    direction = tame3(sharp);
    origin = placed(origin + aside);
}

// The ray of one sample of a pixel: any shader that asks by the same key gets the same bits.
Ray camera_ray(uvec3 key, uvec2 pixel) {
    float time = 0.0;
#ifdef MOTION
    time = fraction(draw_pair(key, TIME).x) * float(parameters.motion_steps);
#endif
    Leg leg = leg_at(time);
    vec2 place = vec2(pixel) + fractions(draw_pair(key, PIXEL));
    float x = place.x * rcp(float(parameters.frame_width));
    float y = place.y * rcp(float(parameters.frame_height));
    x = tame(2.0 * x - 1.0);
    y = tame(1.0 - 2.0 * y);
    vec3 direction = camera3(CAMERA_FORWARD, leg)
        + (camera3(CAMERA_RIGHT, leg) * vec3(x) + camera3(CAMERA_UP, leg) * vec3(y));
    vec3 aside =
        camera3(CAMERA_ACROSS, leg) * vec3(x) + camera3(CAMERA_RISE, leg) * vec3(y);
    vec3 origin = placed(camera3(CAMERA_POSITION, leg) + tame3(aside));
    direction = tame3(direction);
    if (HAS_LENS) look_through_lens(key, leg, origin, direction);
    return ray_from(origin, unit(direction), FAR, NONE, time);
}

#endif
