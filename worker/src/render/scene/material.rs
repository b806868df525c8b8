//! Metallic-roughness materials (glTF 2.0 §3.9). Knows no pixels and no meshes.

use super::fault::{SceneError, malformed};
use super::gltf::{self, Document, TextureRef, item};
use super::notes::Notes;
use super::texture::Images;
use super::texture_use::{Placement, Slots};
use shaders::{ALPHA_BLEND, ALPHA_MASK, ALPHA_OPAQUE, Material};

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
    /// How its normal texture is laid out, if it has one.
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
    let bumps = entry.normal_texture.as_ref().map(|texture| Placement::of(texture, &slots));
    Ok(Usage { material: index, slots, textured: !all.is_empty(), bumps })
}

/// The textures of a material that are drawn, in a fixed order, and whether their colours are sRGB.
/// Only these are loaded.
pub fn references(material: &gltf::Material) -> Vec<(&TextureRef, bool)> {
    let pbr = &material.pbr_metallic_roughness;
    [
        (&pbr.base_color_texture, true),
        (&pbr.metallic_roughness_texture, false),
        (&material.normal_texture, false),
        (&material.emissive_texture, true),
    ]
    .into_iter()
    .filter_map(|(texture, srgb)| texture.as_ref().map(|texture| (texture, srgb)))
    .collect()
}

/// All materials of the file, then the default material.
pub fn convert(
    document: &Document,
    images: &Images,
    notes: &mut Notes,
) -> Result<Vec<Material>, SceneError> {
    let mut materials = Vec::new();
    for (index, entry) in document.materials.iter().enumerate() {
        materials.push(one(entry, images).ok_or_else(|| {
            let mode = entry.alpha_mode.as_deref().unwrap_or_default().escape_debug();
            malformed(format!("material {index} has the unknown alpha mode `{mode}`"))
        })?);
        let strength = entry.extensions.emissive_strength.emissive_strength.unwrap_or(1.0);
        if strength < 0.0 {
            notes.say(format!("material {index}: negative emissive strength counts as 0"));
        }
    }
    materials.extend(one(&gltf::Material::default(), images));
    Ok(materials)
}

fn one(entry: &gltf::Material, images: &Images) -> Option<Material> {
    let pbr = &entry.pbr_metallic_roughness;
    let strength = entry.extensions.emissive_strength.emissive_strength.unwrap_or(1.0);
    let emissive = entry.emissive_factor.unwrap_or([0.0; 3]);
    let texture = |at: &Option<TextureRef>, srgb| images.texture_use(entry, at.as_ref(), srgb);
    let alpha_mode = match entry.alpha_mode.as_deref() {
        None | Some("OPAQUE") => ALPHA_OPAQUE,
        Some("MASK") => ALPHA_MASK,
        Some("BLEND") => ALPHA_BLEND,
        Some(_) => return None,
    };
    let scale = entry.normal_texture.as_ref().and_then(|texture| texture.scale).unwrap_or(1.0);
    Some(Material {
        base_color: pbr.base_color_factor.unwrap_or([1.0; 4]).map(|c| within(c, 0.0, 1.0)),
        emissive: emissive.map(|c| within(c * strength, 0.0, EMISSION_MAX)),
        metallic: within(pbr.metallic_factor.unwrap_or(1.0), 0.0, 1.0),
        roughness: within(pbr.roughness_factor.unwrap_or(1.0), 0.0, 1.0),
        normal_scale: within(scale, -NORMAL_SCALE_MAX, NORMAL_SCALE_MAX),
        alpha_cutoff: within(entry.alpha_cutoff.unwrap_or(0.5), 0.0, 2.0),
        alpha_mode,
        double_sided: u32::from(entry.double_sided),
        base_color_texture: texture(&pbr.base_color_texture, true),
        metallic_roughness_texture: texture(&pbr.metallic_roughness_texture, false),
        normal_texture: texture(&entry.normal_texture, false),
        emissive_texture: texture(&entry.emissive_texture, true),
        pad: [0; 3],
    })
}

fn within(value: f64, low: f64, high: f64) -> f32 {
    super::matrix::single(value.clamp(low, high))
}
