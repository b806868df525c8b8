// What all kernels of inference share: a list of parameters, four tensors in, one out. Tensors are
// 32-bit words: f32, always tame (so that no product is denormal), or whole numbers. With TEXELS
// they are texel buffers, which software renderers read and write many times as fast; with
// FIRST_IN_FOURS the first is read by fours of words.
#extension GL_EXT_control_flow_attributes : require
#include "lib/functions.glsl"
#ifdef TEXELS
layout(set = 0, binding = 0) uniform usamplerBuffer parameters;
layout(set = 0, binding = 1) uniform usamplerBuffer first;
layout(set = 0, binding = 2) uniform usamplerBuffer second;
layout(set = 0, binding = 3) uniform usamplerBuffer third;
layout(set = 0, binding = 4) uniform usamplerBuffer fourth;
// The same one twice, by words and by fours.
layout(r32ui, set = 0, binding = 5) uniform writeonly uimageBuffer written;
layout(rgba32ui, set = 0, binding = 6) uniform writeonly uimageBuffer written_fours;
uint p(uint at) { return texelFetch(parameters, int(at)).x; }
#ifdef FIRST_IN_FOURS
uvec4 a_four(uint at) { return texelFetch(first, int(at / 4u)); }
uint a(uint at) { return a_four(at)[at % 4u]; }
#else
uint a(uint at) { return texelFetch(first, int(at)).x; }
#endif
uint b(uint at) { return texelFetch(second, int(at)).x; }
uint c(uint at) { return texelFetch(third, int(at)).x; }
void write(uint at, uint word) { imageStore(written, int(at), uvec4(word)); }
// Words that begin at a multiple of four.
void write_four(uint at, uvec4 words) { imageStore(written_fours, int(at / 4u), words); }
#else
layout(std430, set = 0, binding = 0) readonly buffer Parameters { uint parameters[]; };
layout(std430, set = 0, binding = 1) readonly buffer First { uint first[]; };
layout(std430, set = 0, binding = 2) readonly buffer Second { uint second[]; };
layout(std430, set = 0, binding = 3) readonly buffer Third { uint third[]; };
layout(std430, set = 0, binding = 4) readonly buffer Fourth { uint fourth[]; };
layout(std430, set = 0, binding = 5) writeonly buffer Written { uint written[]; };
uint p(uint at) { return parameters[at]; }
uint a(uint at) { return first[at]; }
uvec4 a_four(uint at) { return uvec4(a(at), a(at + 1u), a(at + 2u), a(at + 3u)); }
uint b(uint at) { return second[at]; }
uint c(uint at) { return third[at]; }
void write(uint at, uint word) { written[at] = word; }
void write_four(uint at, uvec4 words) {
    [[unroll]] for (uint n = 0u; n < 4u; n++) write(at + n, words[n]);
}
#endif
// Elements in a row that an invocation computes: where reading and writing are quick, finding out
// where takes longest.
#if defined(TEXELS) && defined(PER_ID)
layout(constant_id = PER_ID) const uint PER = 1;
#else
const uint PER = 1;
#endif

float fa(uint at) { return uintBitsToFloat(a(at)); }
float fb(uint at) { return uintBitsToFloat(b(at)); }
float fc(uint at) { return uintBitsToFloat(c(at)); }
void put(uint at, float x) { write(at, floatBitsToUint(tame(x))); }
// Workgroups that were asked for: p(0), or where that counts invocations, as many as hold so many
// (worker/src/infer/kernel.rs). Mesa's lavapipe 22.3 gives gl_NumWorkGroups wrong in loops.
const uint GROUPS_MAX = 65535u;
uint lanes() { return min((p(0) / PER + 63u) / 64u, GROUPS_MAX) * 64u; }
