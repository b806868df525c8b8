// The environment: an equirectangular map of constant texels, +Y up. Direction d lies at
// u = 0.5 + atan2(d.z, d.x) / 2 pi, v = acos(d.y) / pi; row 0 begins straight up. A texel in row r
// spans cosines from cos(pi r / height) to cos(pi (r + 1) / height); directions are drawn uniformly
// by solid angle within the texel that the alias table picks.
#ifndef ENVIRONMENT_GLSL
#define ENVIRONMENT_GLSL

struct Glow {
    vec3 direction;
    vec3 radiance;
    // Density per steradian.
    float pdf;
};

Glow glow_of(uint index, vec3 direction) {
    uvec4 head = FETCH_4(environment, index * 2u);
    return Glow(direction, max(tame3(floats(head)), vec3(0.0)), tame(uintBitsToFloat(head.w)));
}

// Radiance from a direction, and the density with which `drawn_glow` would draw it.
Glow glow_towards(vec3 direction) {
    float across = 0.5 + direction_turns(direction.z, direction.x);
    float down = 2.0 * arc_cosine_turns(direction.y);
    float x = tame(across) * float(parameters.environment_width);
    float y = tame(down) * float(parameters.environment_height);
    uint column = min(uint(max(x, 0.0)), parameters.environment_width - 1u);
    uint row = min(uint(max(y, 0.0)), parameters.environment_height - 1u);
    return glow_of(row * parameters.environment_width + column, direction);
}

Glow drawn_glow(uvec2 draws) {
    uint count = parameters.environment_width * parameters.environment_height;
    uint index = below(draws.x, count);
    uvec4 tail = FETCH_4(environment, index * 2u + 1u);
    if (above(draws.x, tail.x)) index = tail.y;
    vec2 inside = fractions(draws);
    uint row = index / parameters.environment_width;
    uint column = index - row * parameters.environment_width;
    float height = rcp(2.0 * float(parameters.environment_height));
    float top = float(row) * height;
    float bottom = float(row + 1u) * height;
    float high = circle(tame(top)).x;
    float low = circle(tame(bottom)).x;
    float y = high + (low - high) * inside.y;
    y = tame(y);
    float square = max(1.0 - y * y, 0.0);
    float radius = tame(root(square));
    float along = (float(column) + inside.x) * rcp(float(parameters.environment_width));
    vec2 around = circle(along - 0.5);
    vec3 direction = vec3(radius * around.x, y, radius * around.y);
    return glow_of(index, tame3(direction));
}

#endif
