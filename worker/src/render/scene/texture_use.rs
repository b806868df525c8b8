//! How a material uses a texture: which set of texture places, and where they lie in the image
//! (KHR_texture_transform). Knows no pixels.

use super::gltf::{self, TextureRef};
use super::material;
use super::matrix;

/// Farthest that a texture is moved, in its own sizes, and its largest scale.
const TRANSFORM_MAX: f64 = 16384.0;

/// The sets of texture places (TEXCOORD_n) that a material's textures read, by slot on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots([Option<u32>; 2]);

impl Slots {
    /// The first two sets that the material's textures name.
    pub fn of(material: &gltf::Material) -> Self {
        let mut slots = [None; 2];
        for (texture, _) in material::references(material) {
            let set = Some(texture.set());
            if slots.contains(&set) {
                continue;
            }
            if let Some(free) = slots.iter_mut().find(|slot| slot.is_none()) {
                *free = set;
            }
        }
        Self(slots)
    }

    /// The set in a slot.
    pub fn set(&self, slot: usize) -> Option<u32> {
        self.0[slot]
    }

    /// The slot of a set.
    pub fn find(&self, set: u32) -> Option<u32> {
        self.0.iter().position(|held| *held == Some(set)).map(|slot| slot as u32)
    }
}

/// Where a texture finds its places and how it lays them in the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    pub slot: u32,
    /// Rows of the 2×3 matrix of [`shaders::Texture::transform`].
    pub transform: [f32; 6],
}

impl Placement {
    pub const IDENTITY: [f32; 6] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    /// The first set as it is.
    pub const PLAIN: Self = Self { slot: 0, transform: Self::IDENTITY };

    /// The placement of a texture of a material with these slots.
    pub fn of(texture: &TextureRef, slots: &Slots) -> Self {
        Self { slot: slots.find(texture.set()).unwrap_or(0), transform: transform(texture) }
    }

    /// A texture place in the image.
    pub fn apply(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        let t = self.transform.map(f64::from);
        [t[0] * u + t[1] * v + t[2], t[3] * u + t[4] * v + t[5]]
    }
}

impl TextureRef {
    /// The set of texture places it reads; the extension's counts before its own.
    pub fn set(&self) -> u32 {
        let own = self.extensions.transform.as_ref().and_then(|transform| transform.tex_coord);
        own.unwrap_or(self.tex_coord)
    }
}

/// Translation × rotation × scale; angles turn the places counter-clockwise as seen with v up.
fn transform(texture: &TextureRef) -> [f32; 6] {
    let Some(entry) = &texture.extensions.transform else { return Placement::IDENTITY };
    let limited = |value: f64| value.clamp(-TRANSFORM_MAX, TRANSFORM_MAX);
    let [x, y] = entry.offset.unwrap_or([0.0; 2]).map(limited);
    let [width, height] = entry.scale.unwrap_or([1.0; 2]).map(limited);
    let angle = entry.rotation.unwrap_or(0.0);
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    [cos * width, sin * height, x, -sin * width, cos * height, y].map(matrix::single)
}
