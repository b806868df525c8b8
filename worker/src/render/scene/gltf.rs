//! The glTF 2.0 document as written in its JSON (glTF 2.0 §5), with limits on every list.
//! Knows no buffers and no meaning: checks between parts are made where the parts are used.

use super::cube;
use super::fault::{SceneError, malformed, too_large, unsupported};
use super::layers;
use super::notes::Notes;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Largest JSON text, in bytes.
pub const JSON_BYTES_MAX: usize = 32 << 20;
/// Longest list in the JSON.
pub const LIST_MAX: usize = 1 << 18;

/// Extensions drawn as they are meant.
const SUPPORTED: &[&str] = &[
    "EXT_lights_image_based",
    "EXT_mesh_gpu_instancing",
    "EXT_meshopt_compression",
    "EXT_texture_webp",
    "KHR_animation_pointer",
    "KHR_draco_mesh_compression",
    "KHR_lights_punctual",
    "KHR_materials_emissive_strength",
    "KHR_materials_variants",
    "KHR_mesh_quantization",
    "KHR_texture_basisu",
    "KHR_texture_transform",
];

fn is_supported(extension: &str) -> bool {
    SUPPORTED.contains(&extension) || layers::EXTENSIONS.contains(&extension)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Document {
    pub asset: Asset,
    pub extensions_used: List<String>,
    pub extensions_required: List<String>,
    pub scene: Option<u32>,
    pub scenes: List<SceneEntry>,
    pub nodes: List<Node>,
    pub meshes: List<Mesh>,
    pub accessors: List<Accessor>,
    pub buffer_views: List<BufferView>,
    pub buffers: List<Buffer>,
    pub materials: List<Material>,
    pub textures: List<Texture>,
    pub images: List<Image>,
    pub samplers: List<Sampler>,
    pub cameras: List<Camera>,
    pub animations: List<Animation>,
    pub skins: List<Skin>,
    pub extensions: DocumentExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asset {
    pub version: String,
    pub generator: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DocumentExtensions {
    #[serde(rename = "KHR_lights_punctual")]
    pub lights: Lights,
    #[serde(rename = "KHR_materials_variants")]
    pub variants: Variants,
    #[serde(rename = "EXT_lights_image_based")]
    pub image_lights: cube::Extension,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Variants {
    pub variants: List<Variant>,
}

#[derive(Debug, Deserialize)]
pub struct Variant {
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Lights {
    pub lights: List<Light>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SceneEntry {
    pub name: String,
    pub nodes: List<u32>,
    pub extensions: SceneExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SceneExtensions {
    #[serde(rename = "EXT_lights_image_based")]
    pub image_light: Option<NodeLight>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    pub name: String,
    pub children: List<u32>,
    pub mesh: Option<u32>,
    pub camera: Option<u32>,
    pub skin: Option<u32>,
    pub matrix: Option<[f64; 16]>,
    pub translation: Option<[f64; 3]>,
    pub rotation: Option<[f64; 4]>,
    pub scale: Option<[f64; 3]>,
    pub weights: List<f64>,
    pub extensions: NodeExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeExtensions {
    #[serde(rename = "KHR_lights_punctual")]
    pub light: Option<NodeLight>,
    #[serde(rename = "EXT_mesh_gpu_instancing")]
    pub instancing: Option<Instancing>,
}

#[derive(Debug, Deserialize)]
pub struct Instancing {
    pub attributes: BTreeMap<String, u32>,
}

#[derive(Debug, Deserialize)]
pub struct NodeLight {
    pub light: u32,
}

#[derive(Debug, Deserialize)]
pub struct Mesh {
    pub primitives: List<Primitive>,
    #[serde(default)]
    pub weights: List<f64>,
}

#[derive(Debug, Deserialize)]
pub struct Primitive {
    pub attributes: BTreeMap<String, u32>,
    pub indices: Option<u32>,
    pub material: Option<u32>,
    #[serde(default = "triangles")]
    pub mode: u32,
    #[serde(default)]
    pub targets: List<BTreeMap<String, u32>>,
    #[serde(default)]
    pub extensions: PrimitiveExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PrimitiveExtensions {
    #[serde(rename = "KHR_draco_mesh_compression")]
    pub draco: Option<DracoPrimitive>,
    #[serde(rename = "KHR_materials_variants")]
    pub variants: VariantMappings,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DracoPrimitive {
    pub buffer_view: u32,
    /// Draco's numbers of attributes, by their names in glTF.
    pub attributes: BTreeMap<String, u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VariantMappings {
    pub mappings: List<VariantMapping>,
}

#[derive(Debug, Deserialize)]
pub struct VariantMapping {
    pub material: u32,
    pub variants: List<u32>,
}

fn triangles() -> u32 {
    4
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accessor {
    pub buffer_view: Option<u32>,
    #[serde(default)]
    pub byte_offset: u64,
    pub component_type: u32,
    #[serde(default)]
    pub normalized: bool,
    pub count: u64,
    #[serde(rename = "type")]
    pub shape: String,
    pub sparse: Option<Sparse>,
}

#[derive(Debug, Deserialize)]
pub struct Sparse {
    pub count: u64,
    pub indices: SparseIndices,
    pub values: SparseValues,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SparseIndices {
    pub buffer_view: u32,
    #[serde(default)]
    pub byte_offset: u64,
    pub component_type: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SparseValues {
    pub buffer_view: u32,
    #[serde(default)]
    pub byte_offset: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BufferView {
    pub buffer: u32,
    #[serde(default)]
    pub byte_offset: u64,
    pub byte_length: u64,
    pub byte_stride: Option<u64>,
    #[serde(default)]
    pub extensions: BufferViewExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BufferViewExtensions {
    #[serde(rename = "EXT_meshopt_compression")]
    pub meshopt: Option<MeshoptView>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshoptView {
    pub buffer: u32,
    #[serde(default)]
    pub byte_offset: u64,
    pub byte_length: u64,
    pub byte_stride: u64,
    pub count: u64,
    pub mode: String,
    pub filter: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Buffer {
    pub uri: Option<String>,
    pub byte_length: u64,
    #[serde(default)]
    pub extensions: BufferExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BufferExtensions {
    #[serde(rename = "EXT_meshopt_compression")]
    pub meshopt: MeshoptBuffer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct MeshoptBuffer {
    /// Its bytes need not be there: all views of it are compressed elsewhere.
    pub fallback: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skin {
    pub inverse_bind_matrices: Option<u32>,
    pub joints: List<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Animation {
    pub name: String,
    pub channels: List<Channel>,
    pub samplers: List<AnimationSampler>,
}

#[derive(Debug, Deserialize)]
pub struct Channel {
    pub sampler: u32,
    pub target: ChannelTarget,
}

#[derive(Debug, Deserialize)]
pub struct ChannelTarget {
    pub node: Option<u32>,
    pub path: String,
    #[serde(default)]
    pub extensions: ChannelTargetExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChannelTargetExtensions {
    #[serde(rename = "KHR_animation_pointer")]
    pub pointer: Option<AnimationPointer>,
}

#[derive(Debug, Deserialize)]
pub struct AnimationPointer {
    pub pointer: String,
}

#[derive(Debug, Deserialize)]
pub struct AnimationSampler {
    pub input: u32,
    pub output: u32,
    pub interpolation: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Material {
    pub name: String,
    pub pbr_metallic_roughness: MetallicRoughness,
    pub normal_texture: Option<TextureRef>,
    pub emissive_texture: Option<TextureRef>,
    pub emissive_factor: Option<[f64; 3]>,
    pub alpha_mode: Option<String>,
    pub alpha_cutoff: Option<f64>,
    pub double_sided: bool,
    pub extensions: MaterialExtensions,
    #[serde(rename = "extras", deserialize_with = "layers::priority")]
    pub priority: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetallicRoughness {
    pub base_color_factor: Option<[f64; 4]>,
    pub base_color_texture: Option<TextureRef>,
    pub metallic_factor: Option<f64>,
    pub roughness_factor: Option<f64>,
    pub metallic_roughness_texture: Option<TextureRef>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct MaterialExtensions {
    #[serde(rename = "KHR_materials_emissive_strength")]
    pub emissive_strength: layers::EmissiveStrength,
    #[serde(flatten)]
    pub layers: layers::Extensions,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextureRef {
    pub index: u32,
    #[serde(default)]
    pub tex_coord: u32,
    pub scale: Option<f64>,
    #[serde(default)]
    pub extensions: TextureRefExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TextureRefExtensions {
    #[serde(rename = "KHR_texture_transform")]
    pub transform: Option<TextureTransform>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TextureTransform {
    pub offset: Option<[f64; 2]>,
    pub rotation: Option<f64>,
    pub scale: Option<[f64; 2]>,
    pub tex_coord: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Texture {
    pub sampler: Option<u32>,
    pub source: Option<u32>,
    pub extensions: TextureExtensions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TextureExtensions {
    #[serde(rename = "KHR_texture_basisu")]
    pub basisu: Option<TextureSource>,
    #[serde(rename = "EXT_texture_webp")]
    pub webp: Option<TextureSource>,
}

#[derive(Debug, Deserialize)]
pub struct TextureSource {
    pub source: u32,
}

impl Texture {
    /// Its image: an extension's counts before the plain one.
    pub fn image(&self) -> Option<u32> {
        let own = &self.extensions;
        let other = own.basisu.as_ref().or(own.webp.as_ref()).map(|texture| texture.source);
        other.or(self.source)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    pub uri: Option<String>,
    pub buffer_view: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sampler {
    pub mag_filter: Option<u32>,
    pub wrap_s: Option<u32>,
    pub wrap_t: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub struct Camera {
    #[serde(default)]
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub perspective: Option<Perspective>,
    pub orthographic: Option<Orthographic>,
}

#[derive(Debug, Deserialize)]
pub struct Orthographic {
    pub xmag: f64,
    pub ymag: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Perspective {
    pub yfov: f64,
    pub aspect_ratio: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub struct Light {
    #[serde(rename = "type")]
    pub kind: String,
    pub color: Option<[f64; 3]>,
    pub intensity: Option<f64>,
    pub range: Option<f64>,
    #[serde(default)]
    pub spot: Spot,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spot {
    pub inner_cone_angle: Option<f64>,
    pub outer_cone_angle: Option<f64>,
}

impl Document {
    /// Reads the JSON text and checks its version and required extensions.
    pub fn parse(json: &[u8]) -> Result<Self, SceneError> {
        if json.len() > JSON_BYTES_MAX {
            return Err(too_large(format!(
                "its JSON has {} bytes, more than {JSON_BYTES_MAX}; keep mesh data in a .bin or \
                 .glb",
                json.len()
            )));
        }
        if json.is_empty() {
            return Err(malformed("the file is empty"));
        }
        let document: Self = serde_json::from_slice(json).map_err(not_a_document)?;
        let version = &document.asset.version;
        if version.split('.').next() != Some("2") {
            return Err(unsupported(format!(
                "glTF version `{}`; export it as glTF 2.0",
                version.escape_debug()
            )));
        }
        for name in &*document.extensions_required {
            if !is_supported(name) {
                return Err(unsupported(format!(
                    "it requires the extension {}, which is not supported; export without it",
                    name.escape_debug()
                )));
            }
        }
        Ok(document)
    }

    /// Reads a document that was parsed and checked before, and changed since.
    pub fn read(json: serde_json::Value) -> Result<Self, SceneError> {
        serde_json::from_value(json).map_err(not_a_document)
    }

    /// Says which parts of the file are left out.
    pub fn note_unsupported(&self, notes: &mut Notes) {
        for name in &*self.extensions_used {
            if !is_supported(name) {
                notes.say(format!("extension {} is not supported: ignored", name.escape_debug()));
            }
        }
    }
}

fn not_a_document(error: serde_json::Error) -> SceneError {
    malformed(format!("its JSON is not a glTF document: {error}"))
}

/// A list of at most [`LIST_MAX`] items.
#[derive(Debug)]
pub struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> std::ops::Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Items(PhantomData))
    }
}

struct Items<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
    type Value = List<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<List<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            if items.len() == LIST_MAX {
                return Err(de::Error::custom(format!("a list has more than {LIST_MAX} items")));
            }
            items.push(item);
        }
        Ok(List(items))
    }
}

/// The item a reference points at; `what` and `owner` name both ends in the error.
pub fn item<'a, T>(
    list: &'a [T],
    index: u32,
    what: &str,
    owner: impl fmt::Display,
) -> Result<&'a T, SceneError> {
    list.get(index as usize).ok_or_else(|| {
        malformed(format!("{owner} names {what} {index}, but there are {} of them", list.len()))
    })
}
