//! What CPU and shaders must agree on: parameter structs, buffer layouts, and the compiled SPIR-V.
//! Knows no Vulkan, no files, no farm. Every struct here has its mirror in `glsl/lib/layout.glsl`.
#![forbid(unsafe_code)]

pub mod spirv;

use bytemuck::{Pod, Zeroable};

/// Pixels along one side of a block; a leaf is one block for one group of samples.
pub const BLOCK: u32 = 8;
/// Samples in one group; groups are summed in order.
pub const GROUP: u32 = 4;
/// "No texture" in a material, "no child" in a node.
pub const NONE: u32 = u32::MAX;

/// A BVH node with both child boxes. Leaves: `*_count > 0` triangles from `*_first`;
/// inner: `*_count == 0`, `*_first` is the child's node index.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Node {
    pub left_min: [f32; 3],
    pub left_first: u32,
    pub left_max: [f32; 3],
    pub left_count: u32,
    pub right_min: [f32; 3],
    pub right_first: u32,
    pub right_max: [f32; 3],
    pub right_count: u32,
}

/// Most triangles in a leaf of a [`WideNode`].
pub const WIDE_LEAF_MAX: u32 = 3;

/// A node as the device walks it: eight children, their boxes in bytes. A coordinate is
/// `origin + byte * 2^(exponent - 127)`. Of `meta`, 0 is no child; `1 << 5 | 24 + slot` an inner
/// node, the n-th of them at `child_first + n`; else the upper three bits are set once for each
/// triangle, from `triangle_first` and the lower five bits on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct WideNode {
    pub origin: [f32; 3],
    pub exponent: [u8; 3],
    /// Which slots are inner nodes.
    pub inner: u8,
    pub child_first: u32,
    pub triangle_first: u32,
    pub meta: [u8; 8],
    /// By axis, then slot.
    pub low: [[u8; 8]; 3],
    pub high: [[u8; 8]; 3],
}

/// A place where a mesh stands that is drawn many times: it lies among the nodes, as the inner node
/// of whatever is around it. Takes as many words as a [`WideNode`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Instance {
    /// The node at which the mesh's own hierarchy begins, in its own coordinates.
    pub root: u32,
    /// The number of its first triangle here; those of its own count from 0.
    pub primitive_first: u32,
    pub pad: u32,
    /// [`INSTANCE_MARK`], which no node has there.
    pub mark: u32,
    /// The columns of the matrix that takes it to the world, then the origin.
    pub columns: [[f32; 3]; 4],
    /// What makes of a triangle's number, by wrapping addition, the place of its surface.
    pub surface_shift: u32,
    /// 1 if its place mirrors it.
    pub mirrors: u32,
    /// Id of the object that stands here.
    pub object: u32,
    pub pad_end: u32,
}

/// Tells an [`Instance`] from a node.
pub const INSTANCE_MARK: u32 = u32::MAX;

/// A triangle for intersection, stored in BVH order. `primitive` is its place in the scene file's
/// order: it indexes [`Surface`] and breaks ties, so the hit does not depend on the BVH. Of a mesh
/// that is drawn many times `corner`, `edge1` and `edge2` are the three vertices.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Triangle {
    pub corner: [f32; 3],
    pub primitive: u32,
    pub edge1: [f32; 3],
    pub material: u32,
    pub edge2: [f32; 3],
    /// `TRIANGLE_*`; above them its place among the triangles that move, plus 1.
    pub flags: u32,
}

/// Flags in [`Triangle::flags`], set on the way to the device.
pub const TRIANGLE_SINGLE_SIDED: u32 = 1;
pub const TRIANGLE_NOT_OPAQUE: u32 = 2;
/// Above the flags of [`Triangle::flags`].
pub const TRIANGLE_MOTION_SHIFT: u32 = 2;

impl Triangle {
    /// Its place among the triangles that move.
    pub fn motion(&self) -> Option<usize> {
        (self.flags >> TRIANGLE_MOTION_SHIFT).checked_sub(1).map(|at| at as usize)
    }
}

/// A triangle that moves, at one of the moments (keys) between which everything goes straight. The
/// record of [`Triangle`] itself is that of the first key.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct MotionKey {
    pub corner: [f32; 3],
    pub edge1: [f32; 3],
    pub edge2: [f32; 3],
    /// As in [`Surface`].
    pub normal: [[f32; 3]; 3],
    pub tangent: [[f32; 3]; 3],
    pub pad: u32,
}

/// What shading needs of a triangle, indexed by primitive. World space. `handed` is the sign of the
/// bitangent; tangents are zero where the material has no normal texture. `uv` is slot 0 of the
/// material's sets of texture places. `extra` indexes [`SurfaceExtra`] or is [`NONE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Surface {
    pub normal: [[f32; 3]; 3],
    pub uv: [[f32; 2]; 3],
    pub tangent: [[f32; 3]; 3],
    pub handed: f32,
    pub material: u32,
    pub extra: u32,
    /// Id of the object it belongs to, never 0.
    pub object: u32,
}

/// What few triangles have: slot 1 of the sets of texture places, and vertex colours, linear RGBA
/// as two words of two 16-bit fractions each, R in the low half of the first.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct SurfaceExtra {
    pub uv: [[f32; 2]; 3],
    pub color: [[u32; 2]; 3],
}

/// Alpha modes of [`Material::alpha_mode`] (glTF 2.0 §3.9.4). Blend is drawn as stochastic
/// coverage; mask compares with the cutoff.
pub const ALPHA_OPAQUE: u32 = 0;
pub const ALPHA_MASK: u32 = 1;
pub const ALPHA_BLEND: u32 = 2;

/// A metallic-roughness material (glTF 2.0 §3.9.2); what few materials have lies in [`Layers`].
/// Factors are linear; emissive already carries its strength. Texture fields index [`Texture`] or
/// are [`NONE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Material {
    pub base_color: [f32; 4],
    pub emissive: [f32; 3],
    pub metallic: f32,
    pub roughness: f32,
    pub normal_scale: f32,
    pub alpha_cutoff: f32,
    pub alpha_mode: u32,
    pub double_sided: u32,
    pub base_color_texture: u32,
    pub metallic_roughness_texture: u32,
    pub normal_texture: u32,
    pub emissive_texture: u32,
    /// Index of its [`Layers`], or [`NONE`].
    pub layers: u32,
    /// Id of its name, never 0.
    pub id: u32,
    pub pad: u32,
}

/// Flags of [`Layers::flags`]. Thin: light through the surface is not bent and enters nothing.
pub const LAYER_THIN: u32 = 1;
/// The alpha of the specular colour's texture is glossiness.
pub const LAYER_GLOSSY: u32 = 2;
/// Only its base colour is seen (KHR_materials_unlit).
pub const LAYER_UNLIT: u32 = 4;

/// What few materials have: the factors and textures of glTF's material extensions.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Layers {
    pub flags: u32,
    /// Of overlapping media the one of higher priority fills the space.
    pub priority: f32,
    /// Index of refraction; 0: the specular colour is what facets reflect.
    pub ior: f32,
    /// How far the indices of red and blue lie from that of green.
    pub dispersion: f32,
    pub specular_color: [f32; 3],
    pub specular: f32,
    /// Halvings of light per metre inside.
    pub absorption: [f32; 3],
    pub transmission: f32,
    pub coat: f32,
    pub coat_roughness: f32,
    pub coat_normal_scale: f32,
    pub anisotropy: f32,
    pub sheen: [f32; 3],
    pub sheen_roughness: f32,
    /// Share, index and thickness (nanometres) of a thin film.
    pub film: f32,
    pub film_index: f32,
    pub film_thickness_min: f32,
    pub film_thickness: f32,
    /// Diffuse transmission.
    pub behind_color: [f32; 3],
    pub behind: f32,
    /// Cosine and sine of the direction of anisotropy in the tangent frame.
    pub turn: [f32; 2],
    pub pad: [u32; 2],
    /// Bit n: `textures[n]` is there.
    pub textured: u32,
    /// Textures or [`NONE`], in the order of `LAYER_TEXTURE_*`.
    pub textures: [u32; 13],
    pub pad_end: [u32; 2],
}

/// Places in [`Layers::textures`].
pub const LAYER_TEXTURE_SPECULAR: usize = 0;
pub const LAYER_TEXTURE_SPECULAR_COLOR: usize = 1;
pub const LAYER_TEXTURE_TRANSMISSION: usize = 2;
pub const LAYER_TEXTURE_COAT: usize = 3;
pub const LAYER_TEXTURE_COAT_ROUGHNESS: usize = 4;
pub const LAYER_TEXTURE_COAT_NORMAL: usize = 5;
pub const LAYER_TEXTURE_SHEEN: usize = 6;
pub const LAYER_TEXTURE_SHEEN_ROUGHNESS: usize = 7;
pub const LAYER_TEXTURE_FILM: usize = 8;
pub const LAYER_TEXTURE_FILM_THICKNESS: usize = 9;
pub const LAYER_TEXTURE_ANISOTROPY: usize = 10;
pub const LAYER_TEXTURE_BEHIND: usize = 11;
pub const LAYER_TEXTURE_BEHIND_COLOR: usize = 12;

/// Wrap modes (glTF 2.0 §5.26).
pub const WRAP_REPEAT: u32 = 0;
pub const WRAP_CLAMP: u32 = 1;
pub const WRAP_MIRROR: u32 = 2;

/// One use of an image by a material: RGBA8 texels packed R in the low byte, rows from the top, and
/// how texture places become places in the image.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Texture {
    /// First texel in the texel buffer.
    pub first: u32,
    pub width: u32,
    pub height: u32,
    pub wrap_s: u32,
    pub wrap_t: u32,
    /// 1: nearest, 0: bilinear.
    pub nearest: u32,
    /// 1: decode R, G, B by the sRGB table.
    pub srgb: u32,
    /// Which slot of the surface's texture places it reads, 0 or 1.
    pub uv_slot: u32,
    /// `u' = t[0] u + t[1] v + t[2]`, `v' = t[3] u + t[4] v + t[5]` (KHR_texture_transform).
    pub transform: [f32; 6],
    /// 0: the transform is the identity.
    pub transformed: u32,
    pub pad: u32,
}

/// Kinds of [`Light::kind`] (KHR_lights_punctual).
pub const LIGHT_DIRECTIONAL: u32 = 0;
pub const LIGHT_POINT: u32 = 1;
pub const LIGHT_SPOT: u32 = 2;

/// A punctual light (KHR_lights_punctual), world space. `color` is multiplied by intensity:
/// radiant intensity (W/sr) for point and spot, irradiance (W/m²) for directional.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Light {
    pub position: [f32; 3],
    pub kind: u32,
    /// Unit vector the light shines along.
    pub direction: [f32; 3],
    /// Reach in metres; 0 is without end.
    pub range: f32,
    pub color: [f32; 3],
    /// Spot: `1 / max(0.001, cos(inner) - cos(outer))`.
    pub angle_scale: f32,
    /// Spot: `-cos(outer) * angle_scale`.
    pub angle_offset: f32,
    pub pad: [u32; 3],
}

/// A triangle that glows, as next-event estimation draws it: its place, and its row of the alias
/// table (Vose) over power. Textured emission counts by its picture's mean.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Emitter {
    pub corner: [f32; 3],
    /// Its place in the scene file's order.
    pub primitive: u32,
    pub edge1: [f32; 3],
    /// Keep this triangle if a 32-bit draw is below the threshold, else take `alias`.
    pub threshold: u32,
    pub edge2: [f32; 3],
    pub alias: u32,
    /// The flags of its triangle.
    pub flags: u32,
    pub pad: [u32; 3],
}

/// One texel of the environment: radiance, constant over the texel, and its row of the alias table
/// (Vose) over luminance × solid angle. Equirectangular, +Y up: direction d lies at
/// `u = 0.5 + atan2(d.z, d.x) / 2π`, `v = acos(d.y) / π`, row 0 at v = 0 (straight up). The solid
/// angle of a texel in row r is exactly
/// `2π / width * (cos(π r / height) - cos(π (r + 1) / height))`;
/// within a texel directions are drawn uniformly by solid angle. See `glsl/lib/environment.glsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct EnvironmentTexel {
    pub radiance: [f32; 3],
    /// Density of the directions drawn from this texel, per steradian: the texel's probability
    /// divided by its solid angle. A texel may be 0 only if its radiance is 0.
    pub pdf: f32,
    /// Keep this texel if a 32-bit draw is below the threshold, else take `alias`.
    pub threshold: u32,
    pub alias: u32,
    pub pad: [u32; 2],
}

/// A camera. A ray through image point (x, y) in -1..1 (right, up) begins at
/// `position + x * across + y * rise` and goes along `forward + x * right + y * up`. In perspective
/// `right` and `up` carry the tangents of the half angles; in an orthographic view `across` and
/// `rise` carry half the width and height, in metres. The other two are zero. Through a thin lens
/// of `lens_radius` metres the plane `focus` metres ahead is sharp; a radius of 0 is a pinhole.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Camera {
    pub position: [f32; 3],
    pub lens_radius: f32,
    pub forward: [f32; 3],
    pub focus: f32,
    pub right: [f32; 3],
    pub pad2: u32,
    pub up: [f32; 3],
    pub pad3: u32,
    pub across: [f32; 3],
    pub pad4: u32,
    pub rise: [f32; 3],
    pub pad5: u32,
}

/// Push constants of the path tracer: which tile of which frame, and the sizes of the buffers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct PathParameters {
    pub tile_x: u32,
    pub tile_y: u32,
    /// Blocks along the tile's width.
    pub blocks_across: u32,
    /// Groups of samples of each pixel.
    pub groups: u32,
    pub frame_width: u32,
    pub frame_height: u32,
    pub frame: u32,
    pub seed: u32,
    /// Longest path in segments.
    pub depth: u32,
    pub triangle_count: u32,
    pub light_count: u32,
    pub emitter_count: u32,
    pub environment_width: u32,
    pub environment_height: u32,
    /// How far boxes stand off their triangles, metres.
    pub padding: f32,
    /// The most radiance that one path may bring indirectly.
    pub clamp: f32,
    /// Straight pieces of all motion while the shutter is open.
    pub motion_steps: u32,
    /// Keys of everything that may move: those of the shutter's time, then, if they are there, the
    /// frame before and the frame after.
    pub motion_keys: u32,
}

/// What a scene asks of the path tracer: bits of its specialisation constant 0. Code for what is
/// not there is not compiled. The bits of a picture do not depend on it.
pub const FEATURE_ENVIRONMENT: u32 = 1;
pub const FEATURE_LIGHTS: u32 = 1 << 1;
pub const FEATURE_EMITTERS: u32 = 1 << 2;
pub const FEATURE_LAYERS: u32 = 1 << 3;
pub const FEATURE_COAT: u32 = 1 << 4;
pub const FEATURE_SHEEN: u32 = 1 << 5;
pub const FEATURE_TRANSMISSION: u32 = 1 << 6;
/// Diffuse transmission.
pub const FEATURE_BEHIND: u32 = 1 << 7;
pub const FEATURE_MEDIA: u32 = 1 << 8;
pub const FEATURE_DISPERSION: u32 = 1 << 9;
pub const FEATURE_FILM: u32 = 1 << 10;
pub const FEATURE_ANISOTROPY: u32 = 1 << 11;
pub const FEATURE_UNLIT: u32 = 1 << 12;
pub const FEATURE_LENS: u32 = 1 << 13;
pub const FEATURE_CLAMP: u32 = 1 << 14;
pub const FEATURE_MOTION: u32 = 1 << 15;
/// Materials that rays may pass: cutouts and those that blend.
pub const FEATURE_COVERAGE: u32 = 1 << 16;
pub const FEATURE_TEXTURES: u32 = 1 << 17;

/// Words that the path tracer writes for a leaf: 64 pixels of 3 sums as bits of f32, then the rays
/// traced.
pub const LEAF_WORDS: u32 = 193;
/// Words that `aov.comp` writes for each pixel of a leaf, as bits of f32: sums of 3 of albedo and 3
/// of the normal, the least depth; 4 ids of objects and 4 of materials, by sample; sums of 4 of
/// motion.
pub const AOV_PIXEL_WORDS: u32 = 19;
/// Words that it writes for a leaf: 64 pixels, then the rays traced.
pub const AOV_LEAF_WORDS: u32 = 64 * AOV_PIXEL_WORDS + 1;
