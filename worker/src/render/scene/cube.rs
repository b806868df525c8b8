//! Light from six pictures around the scene (EXT_lights_image_based): the sharpest ones, made into
//! an environment. What is convolved besides, for renderers that cannot, is not needed.

use super::buffer::Buffers;
use super::bundle::Bundle;
use super::environment::{self, Environment};
use super::fault::{SceneError, malformed, too_large};
use super::gltf::{Document, List, item};
use super::matrix::{self, Affine, Vec3};
use super::node;
use super::picture::Pixels;
use super::radiance::Picture;
use super::texture;
use crate::render::exact;
use serde::Deserialize;
use std::f64::consts::PI;

/// Longest side of a face, in pixels.
pub const SIDE_MAX: u32 = 2048;

/// What the extension says at the top of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Extension {
    pub lights: List<Cube>,
}

/// A light as the file has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cube {
    pub intensity: Option<f64>,
    pub rotation: Option<[f64; 4]>,
    /// Images of the faces of a cube, by mip.
    pub specular_images: List<[u32; 6]>,
}

/// The light of a scene.
pub struct CubeLight<'a> {
    light: &'a Cube,
    /// What it is called in errors.
    name: String,
}

/// The light of the scene that is drawn, if it has one.
pub fn of_scene<'a>(
    document: &'a Document,
    wanted: Option<&str>,
) -> Result<Option<CubeLight<'a>>, SceneError> {
    let Some((index, scene)) = node::drawn_scene(document, wanted)? else { return Ok(None) };
    let Some(reference) = &scene.extensions.image_light else { return Ok(None) };
    let lights = &document.extensions.image_lights.lights;
    let owner = format!("scene {index}");
    let light = item(lights, reference.light, "image-based light", &owner)?;
    Ok(Some(CubeLight { light, name: format!("image-based light {}", reference.light) }))
}

impl CubeLight<'_> {
    /// Reads its pictures.
    pub fn environment(
        &self,
        document: &Document,
        buffers: &Buffers<'_>,
        bundle: &Bundle,
    ) -> Result<Environment, SceneError> {
        let Self { light, name } = self;
        let Some(images) = light.specular_images.first() else {
            return Err(malformed(format!("{name} has no images")));
        };
        let mut faces = Vec::with_capacity(images.len());
        for (face, image) in images.iter().enumerate() {
            let thing = format!("{name}, face {face}");
            let too_long = format!("{thing}: more than {SIDE_MAX} pixels a side");
            let not_square = format!("{thing} is not square");
            let allow = |width: u32, height: u32| match width {
                _ if width != height => Err(malformed(not_square)),
                _ if width > SIDE_MAX => Err(too_large(too_long)),
                _ => Ok(()),
            };
            faces.push(texture::image(document, buffers, bundle, (*image, thing), allow)?);
        }
        let rotation = light.rotation.unwrap_or([0.0, 0.0, 0.0, 1.0]);
        let turn = Affine::compose([0.0; 3], rotation, [1.0; 3])
            .ok_or_else(|| malformed(format!("the rotation of {name} is not a quaternion")))?;
        let mut picture = unrolled(&faces, &turn, light.intensity.unwrap_or(1.0));
        environment::clean(&mut picture.pixels);
        Ok(Environment::from_picture(&picture))
    }
}

/// An equirectangular picture as sharp as the faces.
fn unrolled(faces: &[Pixels], turn: &Affine, intensity: f64) -> Picture {
    let side = faces.iter().map(|face| face.width).max().unwrap_or(1);
    let (width, height) = (side * 4, side * 2);
    let decode: Vec<f64> = (0..=255).map(|byte| f64::from(exact::linear(byte))).collect();
    let pixel = |x: u32, y: u32| {
        let u = (f64::from(x) + 0.5) / f64::from(width);
        let v = (f64::from(y) + 0.5) / f64::from(height);
        let (around, down) = ((u - 0.5) * 2.0 * PI, v * PI);
        let ring = libm::sin(down);
        let direction = [ring * libm::cos(around), libm::cos(down), ring * libm::sin(around)];
        // Against the rotation, to where the pictures were taken.
        let [x, y, z] = [turn.x, turn.y, turn.z].map(|axis| matrix::dot(axis, direction));
        let (face, s, t) = place([x, y, -z]);
        sampled(&faces[face], s, t, &decode).map(|value| matrix::single(value * intensity))
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Picture { width, height, pixels: places.map(|(x, y)| pixel(x, y)).collect() }
}

/// The face that a direction meets, and where, from 0 to 1 (Vulkan 1.3 §16.5.4). Cube maps are
/// left-handed: their z is the other way round.
fn place([x, y, z]: Vec3) -> (usize, f64, f64) {
    let [ax, ay, az] = [x.abs(), y.abs(), z.abs()];
    let (face, across, down, most) = if ax >= ay && ax >= az {
        if x > 0.0 { (0, -z, -y, ax) } else { (1, z, -y, ax) }
    } else if ay >= az {
        if y > 0.0 { (2, x, z, ay) } else { (3, x, -z, ay) }
    } else if z > 0.0 {
        (4, x, -y, az)
    } else {
        (5, -x, -y, az)
    };
    (face, (across / most + 1.0) / 2.0, (down / most + 1.0) / 2.0)
}

/// Linear radiance, bilinear within the face. In pictures with alpha colours were multiplied by it,
/// so that they could be brighter than 1.
fn sampled(face: &Pixels, s: f64, t: f64, decode: &[f64]) -> [f64; 3] {
    let last = f64::from(face.width - 1);
    let along = |place: f64| (place * f64::from(face.width) - 0.5).clamp(0.0, last);
    let (x, y) = (along(s), along(t));
    let mut sum = [0.0; 3];
    for (column, row, share) in [
        (x.floor(), y.floor(), (1.0 - x.fract()) * (1.0 - y.fract())),
        (x.floor() + 1.0, y.floor(), x.fract() * (1.0 - y.fract())),
        (x.floor(), y.floor() + 1.0, (1.0 - x.fract()) * y.fract()),
        (x.floor() + 1.0, y.floor() + 1.0, x.fract() * y.fract()),
    ] {
        let at = row.min(last) * f64::from(face.width) + column.min(last);
        let [r, g, b, a] = face.texels[at as usize].to_le_bytes();
        let divisor = f64::from(a.max(1)) / 255.0;
        for (sum, byte) in sum.iter_mut().zip([r, g, b]) {
            *sum += share * decode[usize::from(byte)] / divisor;
        }
    }
    sum
}
