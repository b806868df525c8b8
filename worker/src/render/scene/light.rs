//! Punctual lights (KHR_lights_punctual) in world space. Knows no emissive surfaces.

use super::exporter;
use super::fault::{SceneError, malformed};
use super::gltf::{self, Document, item};
use super::matrix;
use super::node::Placed;
use super::notes::Notes;
use super::settings::LightUnit;
use shaders::{LIGHT_DIRECTIONAL, LIGHT_POINT, LIGHT_SPOT, Light};

/// Most lights of a scene.
pub const LIGHTS_MAX: usize = 4096;
/// By which photometric lights are divided: what Blender's exporter multiplies watts by.
const LUMENS_PER_WATT: f64 = 683.0;
/// Brightest light, in W/sr or W/m².
const INTENSITY_MAX: f64 = 1e12;

/// All lights of the placed nodes, in W/sr and W/m².
pub fn convert(
    document: &Document,
    placed: &[Placed],
    set: Option<LightUnit>,
    notes: &mut Notes,
) -> Result<Vec<Light>, SceneError> {
    let lights = placed.iter().filter_map(|place| document.nodes.get(place.node as usize));
    let count = lights.filter(|node| node.extensions.light.is_some()).count();
    let unit = match exporter::light_unit(document, set, count, notes) {
        LightUnit::Watts => 1.0,
        LightUnit::Lumens => 1.0 / LUMENS_PER_WATT,
    };
    let mut lights = Vec::new();
    for place in placed {
        let node = item(&document.nodes, place.node, "node", "the scene")?;
        let Some(reference) = &node.extensions.light else { continue };
        let owner = format!("node {}", place.node);
        let all = &document.extensions.lights.lights;
        let entry = item(all, reference.light, "light", &owner)?;
        if lights.len() == LIGHTS_MAX {
            notes.say(format!("only the first {LIGHTS_MAX} lights are drawn"));
            break;
        }
        let light = one(entry, place, unit);
        lights.push(light.ok_or_else(|| {
            let kind = entry.kind.escape_debug();
            malformed(format!("light {} ({kind}) of {owner} is not one", reference.light))
        })?);
    }
    Ok(lights)
}

fn one(entry: &gltf::Light, place: &Placed, unit: f64) -> Option<Light> {
    let kind = match entry.kind.as_str() {
        "directional" => LIGHT_DIRECTIONAL,
        "point" => LIGHT_POINT,
        "spot" => LIGHT_SPOT,
        _ => return None,
    };
    let direction = matrix::unit(matrix::scale(place.world.z, -1.0))
        .or_else(|| (kind == LIGHT_POINT).then_some([0.0, 0.0, -1.0]))?;
    let (angle_scale, angle_offset) =
        if kind == LIGHT_SPOT { cone(&entry.spot)? } else { (0.0, 0.0) };
    let intensity = entry.intensity.unwrap_or(1.0) * unit;
    let color = entry.color.unwrap_or([1.0; 3]);
    Some(Light {
        position: matrix::single3(place.world.origin),
        kind,
        direction: matrix::single3(direction),
        range: matrix::single(entry.range.unwrap_or(0.0).clamp(0.0, 1e9)),
        color: color.map(|c| matrix::single((c * intensity).clamp(0.0, INTENSITY_MAX))),
        angle_scale: matrix::single(angle_scale),
        angle_offset: matrix::single(angle_offset),
        pad: [0; 3],
    })
}

/// Scale and offset of the cosine to the axis (KHR_lights_punctual, "Inner and Outer Cone Angles").
fn cone(spot: &gltf::Spot) -> Option<(f64, f64)> {
    let inner = spot.inner_cone_angle.unwrap_or(0.0);
    let outer = spot.outer_cone_angle.unwrap_or(std::f64::consts::FRAC_PI_4);
    let half_turn = std::f64::consts::FRAC_PI_2;
    if !(inner >= 0.0 && inner <= outer && outer <= half_turn + 1e-6) {
        return None;
    }
    let (inner, outer) = (libm::cos(inner), libm::cos(outer));
    let scale = 1.0 / (inner - outer).max(0.001);
    Some((scale, -outer * scale))
}
