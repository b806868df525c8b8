//! What glTF's material extensions add to metal and roughness: coat, sheen, transmission, film and
//! the like, as records for the shader. Knows no pixels and no meshes.

use super::gltf::{Material, TextureRef};
use super::matrix::single;
use serde::{Deserialize, Deserializer};
use shaders::{LAYER_GLOSSY, LAYER_THIN, LAYER_UNLIT, Layers, NONE};

/// Extensions that this file reads.
pub const EXTENSIONS: [&str; 12] = [
    "KHR_materials_anisotropy",
    "KHR_materials_clearcoat",
    "KHR_materials_diffuse_transmission",
    "KHR_materials_dispersion",
    "KHR_materials_ior",
    "KHR_materials_iridescence",
    "KHR_materials_pbrSpecularGlossiness",
    "KHR_materials_sheen",
    "KHR_materials_specular",
    "KHR_materials_transmission",
    "KHR_materials_unlit",
    "KHR_materials_volume",
];
/// Largest index of refraction.
const IOR_MAX: f64 = 5.0;
/// Most halvings of light per metre.
const ABSORPTION_MAX: f64 = 1e6;
/// Thickest film, in nanometres.
const FILM_MAX: f64 = 1e4;
/// Index of refraction of a material that says none.
const IOR: f64 = 1.5;

/// The material extensions as written in the file; absent ones are `None`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Extensions {
    #[serde(rename = "KHR_materials_anisotropy")]
    pub anisotropy: Option<Anisotropy>,
    #[serde(rename = "KHR_materials_clearcoat")]
    pub clearcoat: Option<Clearcoat>,
    #[serde(rename = "KHR_materials_diffuse_transmission")]
    pub diffuse_transmission: Option<DiffuseTransmission>,
    #[serde(rename = "KHR_materials_dispersion")]
    pub dispersion: Option<Dispersion>,
    #[serde(rename = "KHR_materials_ior")]
    pub ior: Option<Ior>,
    #[serde(rename = "KHR_materials_iridescence")]
    pub iridescence: Option<Iridescence>,
    #[serde(rename = "KHR_materials_pbrSpecularGlossiness")]
    pub glossiness: Option<Glossiness>,
    #[serde(rename = "KHR_materials_sheen")]
    pub sheen: Option<Sheen>,
    #[serde(rename = "KHR_materials_specular")]
    pub specular: Option<Specular>,
    #[serde(rename = "KHR_materials_transmission")]
    pub transmission: Option<Transmission>,
    #[serde(rename = "KHR_materials_unlit")]
    pub unlit: Option<Unlit>,
    #[serde(rename = "KHR_materials_volume")]
    pub volume: Option<Volume>,
}

/// Declares an extension's JSON object: every member may be absent.
macro_rules! object {
    ($name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        #[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name { $(pub $field: Option<$kind>),* }
    };
}

object!(Anisotropy {
    anisotropy_strength: f64,
    anisotropy_rotation: f64,
    anisotropy_texture: TextureRef,
});
object!(Clearcoat {
    clearcoat_factor: f64,
    clearcoat_texture: TextureRef,
    clearcoat_roughness_factor: f64,
    clearcoat_roughness_texture: TextureRef,
    clearcoat_normal_texture: TextureRef,
});
object!(DiffuseTransmission {
    diffuse_transmission_factor: f64,
    diffuse_transmission_texture: TextureRef,
    diffuse_transmission_color_factor: [f64; 3],
    diffuse_transmission_color_texture: TextureRef,
});
object!(Dispersion { dispersion: f64 });
object!(EmissiveStrength { emissive_strength: f64 });
object!(Ior { ior: f64 });
object!(Iridescence {
    iridescence_factor: f64,
    iridescence_texture: TextureRef,
    iridescence_ior: f64,
    iridescence_thickness_minimum: f64,
    iridescence_thickness_maximum: f64,
    iridescence_thickness_texture: TextureRef,
});
object!(Glossiness {
    diffuse_factor: [f64; 4],
    diffuse_texture: TextureRef,
    specular_factor: [f64; 3],
    glossiness_factor: f64,
    specular_glossiness_texture: TextureRef,
});
object!(Sheen {
    sheen_color_factor: [f64; 3],
    sheen_color_texture: TextureRef,
    sheen_roughness_factor: f64,
    sheen_roughness_texture: TextureRef,
});
object!(Specular {
    specular_factor: f64,
    specular_texture: TextureRef,
    specular_color_factor: [f64; 3],
    specular_color_texture: TextureRef,
});
object!(Transmission { transmission_factor: f64, transmission_texture: TextureRef });
object!(Unlit {});
object!(Volume { thickness_factor: f64, attenuation_distance: f64, attenuation_color: [f64; 3] });

/// Reads `priority` out of a material's extras, whatever else they are.
pub fn priority<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let extras = serde_json::Value::deserialize(from)?;
    Ok(extras.get("priority").and_then(serde_json::Value::as_f64).unwrap_or(0.0))
}

impl Extensions {
    /// Its textures by their places in [`Layers::textures`], and whether their colours are sRGB.
    pub fn textures(&self) -> [(Option<&TextureRef>, bool); 13] {
        macro_rules! texture {
            ($extension:ident.$field:ident) => {
                self.$extension.as_ref().and_then(|found| found.$field.as_ref())
            };
        }
        let glossy = texture!(glossiness.specular_glossiness_texture);
        [
            (texture!(specular.specular_texture), false),
            (glossy.or(texture!(specular.specular_color_texture)), true),
            (texture!(transmission.transmission_texture), false),
            (texture!(clearcoat.clearcoat_texture), false),
            (texture!(clearcoat.clearcoat_roughness_texture), false),
            (texture!(clearcoat.clearcoat_normal_texture), false),
            (texture!(sheen.sheen_color_texture), true),
            (texture!(sheen.sheen_roughness_texture), false),
            (texture!(iridescence.iridescence_texture), false),
            (texture!(iridescence.iridescence_thickness_texture), false),
            (texture!(anisotropy.anisotropy_texture), false),
            (texture!(diffuse_transmission.diffuse_transmission_texture), false),
            (texture!(diffuse_transmission.diffuse_transmission_color_texture), true),
        ]
    }

    /// The texture whose tangents the material needs beside its normal texture's.
    pub fn tangent_texture(&self) -> Option<&TextureRef> {
        let coat = self.clearcoat.as_ref().and_then(|coat| coat.clearcoat_normal_texture.as_ref());
        coat.or(self.anisotropy.as_ref().and_then(|found| found.anisotropy_texture.as_ref()))
    }

    fn is_plain(&self) -> bool {
        let Self { anisotropy, clearcoat, diffuse_transmission, dispersion: _, .. } = self;
        let Self { ior, iridescence, glossiness, sheen, specular, .. } = self;
        let Self { transmission, unlit, volume, .. } = self;
        anisotropy.is_none()
            && clearcoat.is_none()
            && diffuse_transmission.is_none()
            && (ior.is_none() && iridescence.is_none() && glossiness.is_none())
            && (sheen.is_none() && specular.is_none() && transmission.is_none())
            && (unlit.is_none() && volume.is_none())
    }
}

/// The record of a material, if it has more than metal and roughness; `find` gives a texture's
/// place.
pub fn convert(
    material: &Material,
    find: impl Fn(Option<&TextureRef>, bool) -> u32,
) -> Option<Layers> {
    let entry = &material.extensions.layers;
    if entry.is_plain() {
        return None;
    }
    let mut layers = Layers { priority: within(material.priority, -1e6, 1e6), ..plain() };
    for (at, (texture, srgb)) in entry.textures().into_iter().enumerate() {
        layers.textures[at] = find(texture, srgb);
        layers.textured |= u32::from(layers.textures[at] != NONE) << at;
    }
    add_facets(&mut layers, entry);
    add_light_through(&mut layers, entry);
    add_tops(&mut layers, entry);
    if entry.unlit.is_some() {
        layers.flags |= LAYER_UNLIT;
    }
    Some(layers)
}

/// A record that changes nothing.
pub fn plain() -> Layers {
    Layers {
        flags: LAYER_THIN,
        ior: IOR as f32,
        specular_color: [1.0; 3],
        specular: 1.0,
        coat_normal_scale: 1.0,
        film_index: 1.3,
        behind_color: [1.0; 3],
        turn: [1.0, 0.0],
        textures: [NONE; 13],
        ..bytemuck::Zeroable::zeroed()
    }
}

fn add_facets(layers: &mut Layers, entry: &Extensions) {
    if let Some(found) = &entry.ior {
        let ior = found.ior.unwrap_or(IOR);
        layers.ior = if ior < 1.0 { 0.0 } else { within(ior, 1.0, IOR_MAX) };
    }
    if let Some(found) = &entry.specular {
        layers.specular = within(found.specular_factor.unwrap_or(1.0), 0.0, 1.0);
        let color = found.specular_color_factor.unwrap_or([1.0; 3]);
        layers.specular_color = color.map(|c| within(c, 0.0, 1e3));
    }
    if let Some(found) = &entry.glossiness {
        layers.flags |= LAYER_GLOSSY;
        layers.ior = 0.0;
        let color = found.specular_factor.unwrap_or([1.0; 3]);
        layers.specular_color = color.map(|c| within(c, 0.0, 1.0));
    }
    if let Some(found) = &entry.anisotropy {
        layers.anisotropy = within(found.anisotropy_strength.unwrap_or(0.0), 0.0, 1.0);
        let angle = found.anisotropy_rotation.unwrap_or(0.0);
        layers.turn = [single(libm::cos(angle)), single(libm::sin(angle))];
    }
    if let Some(found) = &entry.iridescence {
        layers.film = within(found.iridescence_factor.unwrap_or(0.0), 0.0, 1.0);
        layers.film_index = within(found.iridescence_ior.unwrap_or(1.3), 1.0, IOR_MAX);
        let least = found.iridescence_thickness_minimum.unwrap_or(100.0);
        layers.film_thickness_min = within(least, 0.0, FILM_MAX);
        let most = found.iridescence_thickness_maximum.unwrap_or(400.0);
        layers.film_thickness = within(most, 0.0, FILM_MAX);
    }
}

fn add_light_through(layers: &mut Layers, entry: &Extensions) {
    if let Some(found) = &entry.transmission {
        layers.transmission = within(found.transmission_factor.unwrap_or(0.0), 0.0, 1.0);
    }
    if let Some(found) = &entry.diffuse_transmission {
        layers.behind = within(found.diffuse_transmission_factor.unwrap_or(0.0), 0.0, 1.0);
        let color = found.diffuse_transmission_color_factor.unwrap_or([1.0; 3]);
        layers.behind_color = color.map(|c| within(c, 0.0, 1.0));
    }
    let through = layers.transmission > 0.0 || layers.behind > 0.0;
    let Some(found) = entry.volume.as_ref().filter(|_| through) else { return };
    // No index of refraction bends nothing, so it has no inside either.
    if !(found.thickness_factor.unwrap_or(0.0) > 0.0 && layers.ior >= 1.0) {
        return;
    }
    layers.flags &= !LAYER_THIN;
    let distance = found.attenuation_distance.unwrap_or(f64::INFINITY);
    let color = found.attenuation_color.unwrap_or([1.0; 3]);
    layers.absorption = color.map(|c| {
        let halvings = -libm::log2(c.clamp(1e-9, 1.0)) / distance.max(1e-9);
        within(halvings, 0.0, ABSORPTION_MAX)
    });
    if let Some(found) = &entry.dispersion {
        let spread = (f64::from(layers.ior) - 1.0) * 0.025 * found.dispersion.unwrap_or(0.0);
        layers.dispersion = within(spread, 0.0, f64::from(layers.ior) - 1.0);
    }
}

fn add_tops(layers: &mut Layers, entry: &Extensions) {
    if let Some(found) = &entry.clearcoat {
        layers.coat = within(found.clearcoat_factor.unwrap_or(0.0), 0.0, 1.0);
        layers.coat_roughness = within(found.clearcoat_roughness_factor.unwrap_or(0.0), 0.0, 1.0);
        let normal = found.clearcoat_normal_texture.as_ref();
        let scale = normal.and_then(|texture| texture.scale).unwrap_or(1.0);
        layers.coat_normal_scale = within(scale, -1e3, 1e3);
    }
    if let Some(found) = &entry.sheen {
        let color = found.sheen_color_factor.unwrap_or([0.0; 3]);
        layers.sheen = color.map(|c| within(c, 0.0, 1.0));
        layers.sheen_roughness = within(found.sheen_roughness_factor.unwrap_or(0.0), 0.0, 1.0);
    }
}

/// What of the path tracer these records need (`shaders::FEATURE_*`).
pub fn features(all: &[Layers]) -> u32 {
    let any = |is: fn(&Layers) -> bool, bit: u32| if all.iter().any(is) { bit } else { 0 };
    any(|_| true, shaders::FEATURE_LAYERS)
        | any(|l| l.coat > 0.0, shaders::FEATURE_COAT)
        | any(|l| l.sheen.iter().any(|c| *c > 0.0), shaders::FEATURE_SHEEN)
        | any(|l| l.transmission > 0.0, shaders::FEATURE_TRANSMISSION)
        | any(|l| l.behind > 0.0, shaders::FEATURE_BEHIND)
        | any(|l| l.flags & LAYER_THIN == 0, shaders::FEATURE_MEDIA)
        | any(|l| l.dispersion > 0.0, shaders::FEATURE_DISPERSION)
        | any(|l| l.film > 0.0, shaders::FEATURE_FILM)
        | any(|l| l.anisotropy > 0.0, shaders::FEATURE_ANISOTROPY)
        | any(|l| l.flags & LAYER_UNLIT != 0, shaders::FEATURE_UNLIT)
}

fn within(value: f64, low: f64, high: f64) -> f32 {
    single(if value.is_nan() { low } else { value.clamp(low, high) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Option<Layers> {
        let material: Material = serde_json::from_value(json).unwrap();
        convert(&material, |texture, _| texture.map_or(NONE, |texture| texture.index))
    }

    fn extended(name: &str, entry: serde_json::Value) -> Layers {
        read(serde_json::json!({ "extensions": { name: entry } })).unwrap()
    }

    #[test]
    fn a_material_without_extensions_has_no_record() {
        assert_eq!(read(serde_json::json!({ "extensions": { "KHR_other": {} } })), None);
        let strong = serde_json::json!({ "KHR_materials_emissive_strength": {} });
        assert_eq!(read(serde_json::json!({ "extensions": strong })), None);
    }

    #[test]
    fn glass_with_a_volume_absorbs_and_bends() {
        let glass = read(serde_json::json!({ "extras": { "priority": 3 }, "extensions": {
            "KHR_materials_transmission": { "transmissionFactor": 1 },
            "KHR_materials_ior": { "ior": 1.4 },
            "KHR_materials_dispersion": { "dispersion": 2 },
            "KHR_materials_volume": { "thicknessFactor": 0.1, "attenuationDistance": 0.5,
                "attenuationColor": [0.5, 0.25, 1.0] },
        } }))
        .unwrap();
        assert_eq!(glass.flags & LAYER_THIN, 0);
        assert_eq!((glass.ior, glass.priority), (1.4, 3.0));
        assert_eq!(glass.absorption, [2.0, 4.0, 0.0]);
        assert!((glass.dispersion - 0.02).abs() < 1e-6, "{}", glass.dispersion);
        let all = shaders::FEATURE_LAYERS | shaders::FEATURE_TRANSMISSION | shaders::FEATURE_MEDIA;
        assert_eq!(features(&[glass]), all | shaders::FEATURE_DISPERSION);
    }

    #[test]
    fn textures_are_named_by_their_bits() {
        let coat = serde_json::json!({ "clearcoatFactor": 1,
            "clearcoatNormalTexture": { "index": 7, "scale": 0.5 } });
        let coat = extended("KHR_materials_clearcoat", coat);
        assert_eq!(coat.textured, 1 << shaders::LAYER_TEXTURE_COAT_NORMAL);
        assert_eq!(coat.textures[shaders::LAYER_TEXTURE_COAT_NORMAL], 7);
        assert_eq!((coat.coat, coat.coat_normal_scale), (1.0, 0.5));
    }

    #[test]
    fn extremes_are_cut() {
        let ior = extended("KHR_materials_ior", serde_json::json!({ "ior": 0 }));
        assert_eq!(ior.ior, 0.0);
        let ior = extended("KHR_materials_ior", serde_json::json!({ "ior": 1e30 }));
        assert_eq!(ior.ior, 5.0);
        let volume = extended("KHR_materials_volume", serde_json::json!({ "thicknessFactor": 1 }));
        assert_eq!(volume.flags, LAYER_THIN, "nothing gets in");
    }
}
