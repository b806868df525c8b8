// The nearest hit of a ray, the same whatever the BVH.
//
// Why no denormals: vertex coordinates and ray origins are multiples of 2^-42 up to 2^24, directions
// multiples of 2^-30 not above 1; so every product and difference below is 0 or a multiple of 2^-126.
//
// Why any BVH gives the same hit: a triangle counts only if the ray also passes the slab test of the
// triangle's own padded box, nearer than the hit. Rounding is monotonous, so the box of any node
// around it passes too. Ties go to the lower primitive index.
#ifndef BVH_GLSL
#define BVH_GLSL

const float FAR = 1.0995116e12;
// 1 + 2^-20: what the slab test allows for the rounding of a hit's distance.
const float SLACK = 1.00000095367431640625;
// Deepest BVH; the upload refuses deeper ones.
const uint STACK = 64u;

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
};

struct Hit {
    float distance;
    uint primitive;
    // Place in the triangle buffer.
    uint triangle;
};

// Direction as the intersection wants it: components multiples of 2^-30.
vec3 aimed(vec3 direction) {
    vec3 raised = direction + vec3(0.01171875);
    vec3 rounded = raised - vec3(0.01171875);
    return rounded;
}

float gridded(float x) {
    if (abs(x) >= 1.9073486328125e-6) return min(max(x, -16777216.0), 16777216.0);
    float raised = x + 2.86102294921875e-6;
    float rounded = raised - 2.86102294921875e-6;
    return rounded;
}

// Position as the intersection wants it: coordinates multiples of 2^-42.
vec3 placed(vec3 p) { return vec3(gridded(p.x), gridded(p.y), gridded(p.z)); }

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

bool crosses(vec3 corner, vec3 edge1, vec3 edge2, vec3 origin, vec3 direction, out Crossing c) {
    vec3 p = cross3(direction, edge2);
    float det = dot3(edge1, p);
    vec3 s = origin - corner;
    vec3 q = cross3(s, edge1);
    float u = dot3(s, p);
    float v = dot3(direction, q);
    float t = dot3(edge2, q);
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

bool meets_own_box(vec3 corner, vec3 edge1, vec3 edge2, vec3 origin, vec3 slope, float t) {
    vec3 second = corner + edge1;
    vec3 third = corner + edge2;
    float pad = uintBitsToFloat(parameters.padding);
    vec3 low = min(corner, min(second, third)) - vec3(pad);
    vec3 high = max(corner, max(second, third)) + vec3(pad);
    float slackened = t * SLACK;
    float enter;
    return enters(low, high, origin, slope, slackened, enter);
}

// The nearest hit. With `any`, an opaque hit within reach ends the search: only whether there is
// one, or else the nearest hit that is not opaque, is meant then. With `cull`, single-sided
// triangles are not seen from behind.
Hit trace(Ray ray, bool any, bool cull) {
    Hit hit = Hit(ray.reach, NONE, NONE);
    vec3 slope = slopes(ray.direction);
    uint stack[STACK];
    uint height = 0u;
    uint current = parameters.triangle_count == 0u ? NONE : 0u;
    while (current != NONE) {
        while (current < LEAF) {
            uvec4 a = nodes[current * 4u];
            uvec4 b = nodes[current * 4u + 1u];
            uvec4 c = nodes[current * 4u + 2u];
            uvec4 d = nodes[current * 4u + 3u];
            float nearest = hit.distance * SLACK;
            float enter_left;
            float enter_right;
            bool left = enters(floats(a), floats(b), ray.origin, slope, nearest, enter_left);
            bool right = enters(floats(c), floats(d), ray.origin, slope, nearest, enter_right);
            bool left_first = enter_left <= enter_right;
            if (left && right) {
                stack[height] = left_first ? c.w : a.w;
                height++;
                current = left_first ? a.w : c.w;
            } else if (left) {
                current = a.w;
            } else if (right) {
                current = c.w;
            } else if (height > 0u) {
                height--;
                current = stack[height];
            } else {
                current = NONE;
            }
        }
        uint count = current == NONE ? 0u : (current >> 23) & 255u;
        uint at = current & 0x7fffffu;
        while (count > 0u) {
            uvec4 first = triangles[at * 3u];
            uvec4 second = triangles[at * 3u + 1u];
            uvec4 third = triangles[at * 3u + 2u];
            vec3 corner = floats(first);
            vec3 edge1 = floats(second);
            vec3 edge2 = floats(third);
            Crossing c;
            bool met = crosses(corner, edge1, edge2, ray.origin, ray.direction, c);
            met = met && first.w != ray.leaves
                && !(cull && c.back && (third.w & SINGLE_SIDED) != 0u);
            if (met) {
                float t = crossing_distance(c);
                bool later = t > ray.start || (t == ray.start && first.w > ray.start_primitive);
                bool nearer =
                    t < hit.distance || (t == hit.distance && first.w < hit.primitive);
                if (later && nearer
                    && meets_own_box(corner, edge1, edge2, ray.origin, slope, t)) {
                    hit = Hit(t, first.w, at);
                    if (any && (third.w & NOT_OPAQUE) == 0u) {
                        count = 1u;
                        height = 0u;
                    }
                }
            }
            at++;
            count--;
        }
        if (current != NONE) {
            if (height > 0u) {
                height--;
                current = stack[height];
            } else {
                current = NONE;
            }
        }
    }
    return hit;
}

#endif
