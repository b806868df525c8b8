// What all kernels of inference share: a list of parameters, three tensors in, one out. Tensors are
// 32-bit words: f32, always tame (so that no product is denormal), or whole numbers. With TEXELS
// what is read lies in texel buffers, which software renderers read many times as fast.
#include "lib/functions.glsl"
#ifdef TEXELS
layout(set = 0, binding = 0) uniform usamplerBuffer parameters;
layout(set = 0, binding = 1) uniform usamplerBuffer first;
layout(set = 0, binding = 2) uniform usamplerBuffer second;
layout(set = 0, binding = 3) uniform usamplerBuffer third;
uint p(uint at) { return texelFetch(parameters, int(at)).x; }
uint a(uint at) { return texelFetch(first, int(at)).x; }
uint b(uint at) { return texelFetch(second, int(at)).x; }
uint c(uint at) { return texelFetch(third, int(at)).x; }
#else
layout(std430, set = 0, binding = 0) readonly buffer Parameters { uint parameters[]; };
layout(std430, set = 0, binding = 1) readonly buffer First { uint first[]; };
layout(std430, set = 0, binding = 2) readonly buffer Second { uint second[]; };
layout(std430, set = 0, binding = 3) readonly buffer Third { uint third[]; };
uint p(uint at) { return parameters[at]; }
uint a(uint at) { return first[at]; }
uint b(uint at) { return second[at]; }
uint c(uint at) { return third[at]; }
#endif
// Elements in a row that an invocation computes: where reading and writing are quick, finding out
// where takes longest.
#if defined(TEXELS) && defined(PER_ID)
layout(constant_id = PER_ID) const uint PER = 1;
#else
const uint PER = 1;
#endif
layout(std430, set = 0, binding = 4) buffer Written { uint o[]; };

float fa(uint at) { return uintBitsToFloat(a(at)); }
float fb(uint at) { return uintBitsToFloat(b(at)); }
float fc(uint at) { return uintBitsToFloat(c(at)); }
void put(uint at, float x) { o[at] = floatBitsToUint(tame(x)); }
// Workgroups that were asked for: p(0), or where that counts invocations, as many as hold so many
// (worker/src/infer/kernel.rs). Mesa's lavapipe 22.3 gives gl_NumWorkGroups wrong in loops.
const uint GROUPS_MAX = 65535u;
uint lanes() { return min((p(0) / PER + 63u) / 64u, GROUPS_MAX) * 64u; }
