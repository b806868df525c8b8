// What all kernels of inference share: a list of parameters, three tensors in, one out. Tensors are
// 32-bit words: f32, always tame (so that no product is denormal), or whole numbers.
#include "lib/functions.glsl"
layout(std430, set = 0, binding = 0) readonly buffer Parameters { uint p[]; };
layout(std430, set = 0, binding = 1) readonly buffer First { uint a[]; };
layout(std430, set = 0, binding = 2) readonly buffer Second { uint b[]; };
layout(std430, set = 0, binding = 3) readonly buffer Third { uint c[]; };
layout(std430, set = 0, binding = 4) buffer Written { uint o[]; };

float fa(uint at) { return uintBitsToFloat(a[at]); }
float fb(uint at) { return uintBitsToFloat(b[at]); }
float fc(uint at) { return uintBitsToFloat(c[at]); }
void put(uint at, float x) { o[at] = floatBitsToUint(tame(x)); }
uint lanes() { return gl_NumWorkGroups.x * gl_WorkGroupSize.x; }
