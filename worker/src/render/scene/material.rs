//! Metallic-roughness materials (glTF 2.0 §3.9). Knows no pixels and no meshes.

use super::fault::{SceneError, malformed};
use super::gltf::{self, Document, TextureRef, item};
use super::layers;
use super::names;
use super::notes::Notes;
use super::texture::Images;
use super::texture_use::{Placement, Slots};
use shaders::{ALPHA_BLEND, ALPHA_MASK, ALPHA_OPAQUE, Layers, Material, NONE};

/// Brightest emission, in W/(sr·m²).
const EMISSION_MAX: f64 = 1e9;
/// Largest scale of a normal texture.
const NORMAL_SCALE_MAX: f64 = 1e3;

/// What a primitive must know of its material.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub material: u32,
    /// The sets of texture places that its textures read.
    pub slots: Slots,
    pub textured: bool,
    /// How the texture is laid out that its tangents follow, if it needs them.
    pub bumps: Option<Placement>,
}

/// How a primitive uses its material; none is the default material, the last of the list.
pub fn usage(
    document: &Document,
    material: Option<u32>,
    notes: &mut Notes,
) -> Result<Usage, SceneError> {
    let Some(index) = material else {
        return Ok(Usage { material: document.materials.len() as u32, ..Usage::default() });
    };
    let entry = item(&document.materials, index, "material", "a primitive")?;
    let slots = Slots::of(entry);
    let all = references(entry);
    if let Some((other, _)) = all.iter().find(|(texture, _)| slots.find(texture.set()).is_none()) {
        notes.say(format!(
            "material {index} uses more than two sets of texture places: TEXCOORD_{} is read from \
             TEXCOORD_{}",
            other.set(),
            slots.set(0).unwrap_or(0)
        ));
    }
    let extensions = &entry.extensions.layers;
    let tangents = entry.normal_texture.as_ref().or(extensions.tangent_texture());
    let stretched = extensions.anisotropy.as_ref().map(|_| Placement::PLAIN);
    let bumps = tangents.map(|texture| Placement::of(texture, &slots)).or(stretched);
    Ok(Usage { material: index, slots, textured: !all.is_empty(), bumps })
}

/// The textures of a material that are drawn, in a fixed order, and whether their colours are sRGB.
/// Only these are loaded.
pub fn references(material: &gltf::Material) -> Vec<(&TextureRef, bool)> {
    let layers = &material.extensions.layers;
    let [base, rough] = base_textures(material);
    [
        (base, true),
        (rough, false),
        (material.normal_texture.as_ref(), false),
        (material.emissive_texture.as_ref(), true),
    ]
    .into_iter()
    .chain(layers.textures())
    .filter_map(|(texture, srgb)| texture.map(|texture| (texture, srgb)))
    .collect()
}

/// Textures of base colour, and of metal and roughness.
fn base_textures(material: &gltf::Material) -> [Option<&TextureRef>; 2] {
    let pbr = &material.pbr_metallic_roughness;
    match &material.extensions.layers.glossiness {
        Some(glossy) => [glossy.diffuse_texture.as_ref(), None],
        None => [pbr.base_color_texture.as_ref(), pbr.metallic_roughness_texture.as_ref()],
    }
}

/// All materials of the file, then the default material, and the layers of those that have more
/// than metal and roughness.
pub fn convert(
    document: &Document,
    images: &Images,
    notes: &mut Notes,
) -> Result<(Vec<Material>, Vec<Layers>), SceneError> {
    let mut materials = Vec::new();
    let mut layers = Vec::new();
    for (index, entry) in document.materials.iter().enumerate() {
        let mut material = one(entry, images).ok_or_else(|| {
            let mode = entry.alpha_mode.as_deref().unwrap_or_default().escape_debug();
            malformed(format!("material {index} has the unknown alpha mode `{mode}`"))
        })?;
        material.id = names::id(&entry.name, "material", index);
        let found =
            layers::convert(entry, |texture, srgb| images.texture_use(entry, texture, srgb));
        if let Some(found) = found {
            material.layers = layers.len() as u32;
            layers.push(found);
        }
        materials.push(material);
        let strength = entry.extensions.emissive_strength.emissive_strength.unwrap_or(1.0);
        if strength < 0.0 {
            notes.say(format!("material {index}: negative emissive strength counts as 0"));
        }
    }
    let id = names::id("", "material", materials.len());
    let default = one(&gltf::Material::default(), images);
    materials.extend(default.map(|default| Material { id, ..default }));
    Ok((materials, layers))
}

/// Base colour, metal and roughness; of the older extension those that come nearest.
fn surface(entry: &gltf::Material) -> ([f64; 4], f64, f64) {
    let pbr = &entry.pbr_metallic_roughness;
    match &entry.extensions.layers.glossiness {
        Some(glossy) => {
            let base = glossy.diffuse_factor.unwrap_or([1.0; 4]);
            (base, 0.0, 1.0 - glossy.glossiness_factor.unwrap_or(1.0))
        }
        None => {
            let base = pbr.base_color_factor.unwrap_or([1.0; 4]);
            (base, pbr.metallic_factor.unwrap_or(1.0), pbr.roughness_factor.unwrap_or(1.0))
        }
    }
}

fn one(entry: &gltf::Material, images: &Images) -> Option<Material> {
    let (base, metallic, roughness) = surface(entry);
    let strength = entry.extensions.emissive_strength.emissive_strength.unwrap_or(1.0);
    let unlit = entry.extensions.layers.unlit.is_some();
    let emissive = entry.emissive_factor.filter(|_| !unlit).unwrap_or([0.0; 3]);
    let texture = |at: Option<&TextureRef>, srgb| images.texture_use(entry, at, srgb);
    let [base_texture, rough_texture] = base_textures(entry);
    let alpha_mode = match entry.alpha_mode.as_deref() {
        None | Some("OPAQUE") => ALPHA_OPAQUE,
        Some("MASK") => ALPHA_MASK,
        Some("BLEND") => ALPHA_BLEND,
        Some(_) => return None,
    };
    let scale = entry.normal_texture.as_ref().and_then(|texture| texture.scale).unwrap_or(1.0);
    Some(Material {
        base_color: base.map(|c| within(c, 0.0, 1.0)),
        emissive: emissive.map(|c| within(c * strength, 0.0, EMISSION_MAX)),
        metallic: within(metallic, 0.0, 1.0),
        roughness: within(roughness, 0.0, 1.0),
        normal_scale: within(scale, -NORMAL_SCALE_MAX, NORMAL_SCALE_MAX),
        alpha_cutoff: within(entry.alpha_cutoff.unwrap_or(0.5), 0.0, 2.0),
        alpha_mode,
        double_sided: u32::from(entry.double_sided),
        base_color_texture: texture(base_texture, true),
        metallic_roughness_texture: texture(rough_texture, false),
        normal_texture: texture(entry.normal_texture.as_ref(), false),
        emissive_texture: texture(entry.emissive_texture.as_ref(), true),
        layers: NONE,
        id: 0,
        pad: 0,
    })
}

fn within(value: f64, low: f64, high: f64) -> f32 {
    super::matrix::single(value.clamp(low, high))
}
