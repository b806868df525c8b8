// The buffers of the path tracer: the mirror of shaders/src/lib.rs. Buffers are declared as integers
// so that no load passes through a float register, which might flush bits it takes for a denormal.
#ifndef LAYOUT_GLSL
#define LAYOUT_GLSL

const uint NONE = 0xffffffffu;
const uint ALPHA_OPAQUE = 0u;
const uint ALPHA_MASK = 1u;

// Triangle flags, set when the scene is uploaded.
const uint SINGLE_SIDED = 1u;
const uint NOT_OPAQUE = 2u;

layout(std430, set = 0, binding = 0) restrict readonly buffer Nodes { uvec4 nodes[]; };
layout(std430, set = 0, binding = 1) restrict readonly buffer Triangles { uvec4 triangles[]; };
layout(std430, set = 0, binding = 2) restrict readonly buffer Surfaces { uvec4 surfaces[]; };
layout(std430, set = 0, binding = 3) restrict readonly buffer Materials { uvec4 materials[]; };
layout(std430, set = 0, binding = 4) restrict readonly buffer Textures { uvec4 textures[]; };
layout(std430, set = 0, binding = 5) restrict readonly buffer Texels { uint texels[]; };
layout(std430, set = 0, binding = 6) restrict readonly buffer Lights { uvec4 lights[]; };
layout(std430, set = 0, binding = 7) restrict readonly buffer Environment { uvec4 environment[]; };
// Camera in words 0 to 23, then the sRGB table and those of directional albedo.
layout(std430, set = 0, binding = 8) restrict readonly buffer Constants { uint constants[]; };
layout(std430, set = 0, binding = 9) restrict readonly buffer Extras { uvec4 extras[]; };
layout(std430, set = 0, binding = 10) restrict readonly buffer Emitters { uvec4 emitters[]; };
// By primitive: the density per square metre with which an emitter is drawn, as bits of a float.
layout(std430, set = 0, binding = 11) restrict readonly buffer Densities { uint densities[]; };
layout(std430, set = 0, binding = 12) restrict readonly buffer LayerWords { uint layers[]; };
layout(std430, set = 0, binding = 13) restrict readonly buffer Leaves { uint leaves[]; };
layout(std430, set = 0, binding = 14) restrict writeonly buffer Sums { uint sums[]; };

// What the scene asks for: bits of `FEATURE_*` in shaders/src/lib.rs.
layout(constant_id = 0) const uint FEATURES = 0xffffffffu;
const bool HAS_ENVIRONMENT = (FEATURES & 1u) != 0u;
const bool HAS_LIGHTS = (FEATURES & 2u) != 0u;
const bool HAS_EMITTERS = (FEATURES & 4u) != 0u;
// Bit 3 says that materials have layers; then the shader is compiled with LAYERED.
const bool HAS_COAT = (FEATURES & 16u) != 0u;
const bool HAS_SHEEN = (FEATURES & 32u) != 0u;
const bool HAS_TRANSMISSION = (FEATURES & 64u) != 0u;
const bool HAS_BEHIND = (FEATURES & 128u) != 0u;
const bool HAS_MEDIA = (FEATURES & 256u) != 0u;
const bool HAS_DISPERSION = (FEATURES & 512u) != 0u;
const bool HAS_FILM = (FEATURES & 1024u) != 0u;
const bool HAS_ANISOTROPY = (FEATURES & 2048u) != 0u;
const bool HAS_UNLIT = (FEATURES & 4096u) != 0u;
const bool HAS_FAR_SIDE = HAS_TRANSMISSION || HAS_BEHIND;

const uint SRGB_TABLE = 24u;
// Two tables of 512 words, then one; see albedo.glsl.
const uint FACET_TABLE = 280u;
const uint SHEEN_TABLE = 1304u;

layout(push_constant) uniform Parameters {
    uint tile_x;
    uint tile_y;
    uint blocks_across;
    uint groups;
    uint frame_width;
    uint frame_height;
    uint frame;
    uint seed;
    uint depth;
    uint triangle_count;
    uint light_count;
    uint emitter_count;
    uint environment_width;
    uint environment_height;
    // How far boxes stand off their triangles, as bits of a float.
    uint padding;
} parameters;

vec3 floats(uvec4 words) { return uintBitsToFloat(words.xyz); }

#endif
