// The buffers of the path tracer: the mirror of shaders/src/lib.rs. Buffers are declared as integers
// so that no load passes through a float register, which might flush bits it takes for a denormal.
//
// With TEXELS what is read lies in texel buffers, from which software devices fetch much faster: they
// gather, where they read storage buffers lane by lane. The bits are the same.
#ifndef LAYOUT_GLSL
#define LAYOUT_GLSL

const uint NONE = 0xffffffffu;
const uint ALPHA_OPAQUE = 0u;
const uint ALPHA_MASK = 1u;

// Triangle flags, set when the scene is uploaded.
const uint SINGLE_SIDED = 1u;
const uint NOT_OPAQUE = 2u;

#ifdef TEXELS
#define WORDS_4(place, name) layout(set = 0, binding = place) uniform utextureBuffer name
#define WORDS_1(place, name) layout(set = 0, binding = place) uniform utextureBuffer name
#define FETCH_4(name, at) texelFetch(name, int(at))
#define FETCH_1(name, at) texelFetch(name, int(at)).x
#else
#define WORDS_4(place, name) \
    layout(std430, set = 0, binding = place) restrict readonly buffer name##_words { uvec4 name[]; }
#define WORDS_1(place, name) \
    layout(std430, set = 0, binding = place) restrict readonly buffer name##_words { uint name[]; }
#define FETCH_4(name, at) name[at]
#define FETCH_1(name, at) name[at]
#endif

WORDS_4(0, nodes);
WORDS_4(1, triangles);
WORDS_4(2, surfaces);
WORDS_4(3, materials);
WORDS_4(4, textures);
WORDS_1(5, texels);
WORDS_4(6, lights);
WORDS_4(7, environment);
// The sRGB table, then those of directional albedo.
WORDS_1(8, constants);
WORDS_4(9, extras);
WORDS_4(10, emitters);
// By primitive: the density per square metre with which an emitter is drawn, as bits of a float.
WORDS_1(11, densities);
WORDS_1(12, layers);
// The cameras of all keys, then each moving triangle at all keys; see motion.glsl.
WORDS_4(13, motions);
WORDS_1(14, leaves);
layout(std430, set = 0, binding = 15) restrict writeonly buffer Sums { uint sums[]; };

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
const bool HAS_LENS = (FEATURES & 8192u) != 0u;
const bool HAS_CLAMP = (FEATURES & 16384u) != 0u;
// Bit 15 says that something moves; then the shader is compiled with MOTION.
const bool HAS_COVERAGE = (FEATURES & 65536u) != 0u;
const bool HAS_TEXTURES = (FEATURES & 131072u) != 0u;
const bool HAS_FAR_SIDE = HAS_TRANSMISSION || HAS_BEHIND;

const uint SRGB_TABLE = 0u;
// Two tables of 512 words, then one; see albedo.glsl.
const uint FACET_TABLE = 256u;
const uint SHEEN_TABLE = 1280u;

// Loops are written with their test last: where branches are masks, as on software devices, a loop's
// body runs once even where no invocation enters it, and as `while` once more for all that leave.

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
    // The most radiance that one path may bring indirectly, as bits of a float.
    uint clamp_;
    uint motion_steps;
    uint motion_keys;
} parameters;

vec3 floats(uvec4 words) { return uintBitsToFloat(words.xyz); }

#endif
