// Frames around a normal: local directions have z along it.
#ifndef FRAME_GLSL
#define FRAME_GLSL

struct Frame {
    vec3 tangent;
    vec3 bitangent;
    vec3 normal;
};

// Any right-handed frame around a unit vector (Duff et al. 2017).
Frame frame_around(vec3 n) {
    float side = n.z < 0.0 ? -1.0 : 1.0;
    float lifted = side + n.z;
    float a = -rcp(lifted);
    float b = n.x * n.y;
    b = b * a;
    float xx = n.x * n.x;
    float yy = n.y * n.y;
    float tx = 1.0 + (side * xx) * a;
    float ty = side * b;
    float tz = -(side * n.x);
    float by = side + yy * a;
    return Frame(tame3(vec3(tx, ty, tz)), tame3(vec3(b, by, -n.y)), n);
}

vec3 to_local(Frame frame, vec3 v) {
    return tame3(vec3(dot3(frame.tangent, v), dot3(frame.bitangent, v), dot3(frame.normal, v)));
}

vec3 to_world(Frame frame, vec3 v) {
    vec3 w = (frame.tangent * vec3(v.x) + frame.bitangent * vec3(v.y)) + frame.normal * vec3(v.z);
    return unit(tame3(w));
}

// The frame around n whose tangent lies as near to `along` as it can.
Frame frame_along(vec3 n, vec3 along) {
    float off = dot3(n, along);
    vec3 level = along - n * vec3(off);
    vec3 tangent = unit(tame3(level));
    if (dot3(tangent, tangent) < 0.5) return frame_around(n);
    return Frame(tangent, tame3(cross3(n, tangent)), n);
}

#endif
