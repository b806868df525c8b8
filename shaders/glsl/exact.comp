#version 460
#extension GL_GOOGLE_include_directive : require
// Every function of lib/exact.glsl over a buffer of inputs, for the comparison with its Rust twin.
#include "lib/exact.glsl"
layout(local_size_x = 64) in;
layout(std430, set = 0, binding = 0) readonly buffer Inputs { uint inputs[]; };
layout(std430, set = 0, binding = 1) writeonly buffer Outputs { uint outputs[]; };
layout(push_constant) uniform Parameters { uint count; };

const uint WORDS = 22u;

void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i >= count) return;
    float a = uintBitsToFloat(inputs[i * 2u]);
    float b = uintBitsToFloat(inputs[i * 2u + 1u]);
    uint at = i * WORDS;
    vec2 turned = circle(a);
    float x = tame(a);
    float y = tame(b);
    vec3 p = vec3(x, y, tame(circle(b).x));
    vec3 q = vec3(y, tame(circle(x).y), x);
    vec3 crossed = cross3(p, q);
    vec3 along = unit(p);
    outputs[at] = floatBitsToUint(tidy(a));
    outputs[at + 1u] = floatBitsToUint(x);
    outputs[at + 2u] = floatBitsToUint(rcp(a));
    outputs[at + 3u] = floatBitsToUint(div(a, b));
    outputs[at + 4u] = floatBitsToUint(root(a));
    outputs[at + 5u] = floatBitsToUint(rsqrt(a));
    outputs[at + 6u] = floatBitsToUint(power_of_two(a));
    outputs[at + 7u] = floatBitsToUint(logarithm(a));
    outputs[at + 8u] = floatBitsToUint(power(a, b));
    outputs[at + 9u] = floatBitsToUint(turned.x);
    outputs[at + 10u] = floatBitsToUint(turned.y);
    outputs[at + 11u] = floatBitsToUint(direction_turns(a, b));
    outputs[at + 12u] = floatBitsToUint(arc_cosine_turns(a));
    outputs[at + 13u] = floatBitsToUint(tidy(dot3(p, q)));
    outputs[at + 14u] = floatBitsToUint(tidy(crossed.x));
    outputs[at + 15u] = floatBitsToUint(tidy(crossed.y));
    outputs[at + 16u] = floatBitsToUint(tidy(crossed.z));
    outputs[at + 17u] = floatBitsToUint(along.x);
    outputs[at + 18u] = floatBitsToUint(along.y);
    outputs[at + 19u] = floatBitsToUint(along.z);
    outputs[at + 20u] = floatBitsToUint(scale(tame(b), int(inputs[i * 2u] & 511u) - 256));
    outputs[at + 21u] = floatBitsToUint(tidy(arc_cosine_turns(along.x)));
}
