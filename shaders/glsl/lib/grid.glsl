// Coordinates as the intersection wants them; bvh.glsl says why.
#ifndef GRID_GLSL
#define GRID_GLSL

// Direction: components multiples of 2^-30.
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

// Position: coordinates multiples of 2^-42.
vec3 placed(vec3 p) { return vec3(gridded(p.x), gridded(p.y), gridded(p.z)); }

#endif
