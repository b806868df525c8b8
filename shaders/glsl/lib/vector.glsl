// Motion vectors: how far things go in the image from the frame before and to the frame after.
#ifndef VECTOR_GLSL
#define VECTOR_GLSL

// Farthest that anything goes, in pixels.
const float VECTOR_MAX = 1048576.0;

// Where a camera without a lens shows a point, in pixels from the middle, right and up; or, with
// `far`, what lies endlessly far along `point`. False where it does not show it.
bool shown(vec3 point, bool far, Leg leg, out vec2 place) {
    vec3 forward = camera3(CAMERA_FORWARD, leg);
    vec3 right = camera3(CAMERA_RIGHT, leg);
    vec3 up = camera3(CAMERA_UP, leg);
    vec3 towards = far ? point : tame3(point - camera3(CAMERA_POSITION, leg));
    place = vec2(0.0);
    float across = 1.0;
    if (dot3(right, right) > 0.0) {
        across = tame(div(tame(dot3(towards, forward)), tame(dot3(forward, forward))));
        if (across <= 0.0) return false;
    } else {
        if (far) return false;
        right = camera3(CAMERA_ACROSS, leg);
        up = camera3(CAMERA_RISE, leg);
    }
    float x = tame(div(tame(dot3(towards, right)), tame(dot3(right, right))));
    float y = tame(div(tame(dot3(towards, up)), tame(dot3(up, up))));
    vec2 half_size = vec2(parameters.frame_width, parameters.frame_height) * vec2(0.5);
    x = tame(div(x, across)) * half_size.x;
    y = tame(div(y, across)) * half_size.y;
    place = vec2(tame(x), tame(y));
    return true;
}

vec3 point_on(Facet facet, vec3 weights) {
    vec3 point = facet.corner + (facet.edge1 * vec3(weights.y) + facet.edge2 * vec3(weights.z));
    return tame3(point);
}

// From the frame to the one after it, and to the one before it: of a point of the triangle that was
// met, or else of what lies endlessly far along `direction`.
vec4 vectors(Hit hit, bool met, vec3 weights, vec3 direction) {
    uint before = parameters.motion_steps + 1u;
    if (parameters.motion_keys <= before) return vec4(0.0);
    bool far = !met;
    if (far) {
        hit.triangle = 0u;
#ifdef INSTANCED
        hit.stand = NONE;
#endif
    }
    vec4 ways = vec4(0.0);
    vec2 here = vec2(0.0);
    bool is_shown = true;
    // The frame, the one after, the one before: in a loop, since compilers copy what is called.
    for (uint turn = 0u; turn < 3u; turn++) {
        Leg leg = Leg(before + 2u - turn, before + 2u - turn, 0.0);
        if (turn == 0u) leg = leg_at(0.5 * float(parameters.motion_steps));
        Facet still;
        uint flags;
        vec3 point = point_on(facet_of(hit, leg, still, flags), weights);
        vec2 place;
        bool there = shown(far ? direction : point, far, leg, place);
        if (turn == 0u) {
            here = place;
            is_shown = there;
        }
        vec2 way = min(max(place - here, vec2(-VECTOR_MAX)), vec2(VECTOR_MAX));
        if (!is_shown || !there) way = vec2(0.0);
        if (turn == 1u) ways.xy = way;
        if (turn == 2u) ways.zw = way;
    }
    return ways;
}

#endif
