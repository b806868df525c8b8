//! Triangles that glow, as lights to be drawn: an alias table over their power. Knows no BVH and no
//! punctual lights.

use super::environment::luminance;
use super::notes::Notes;
use super::{alias, matrix};
use shaders::{Emitter, Material, NONE, Texture, Triangle};

/// Most emitters: their records fill a 128 MiB storage buffer. The rest glows too, but is found by
/// chance only.
pub const EMITTERS_MAX: usize = (128 << 20) / size_of::<Emitter>();

/// What next-event estimation draws of a scene's glowing triangles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emission {
    pub emitters: Vec<Emitter>,
    /// By primitive: density per square metre of the points drawn; 0 for what is never drawn.
    /// Empty if there are no emitters.
    pub densities: Vec<f32>,
}

impl Emission {
    /// Gathers the triangles, in file order, whose material glows.
    pub fn of(
        triangles: &[Triangle],
        materials: &[Material],
        textures: &[Texture],
        texels: &[u32],
        notes: &mut Notes,
    ) -> Self {
        let glow: Vec<f64> =
            materials.iter().map(|material| power(material, textures, texels)).collect();
        let glows = |triangle: &&Triangle| glow[triangle.material as usize] > 0.0;
        let mut found: Vec<&Triangle> = triangles.iter().filter(glows).collect();
        found.sort_by_key(|triangle| triangle.primitive);
        if found.len() > EMITTERS_MAX {
            notes.say(format!(
                "only {EMITTERS_MAX} of {} glowing triangles are aimed at",
                found.len()
            ));
            found.truncate(EMITTERS_MAX);
        }
        let weights: Vec<f64> =
            found.iter().map(|of| area(of) * glow[of.material as usize]).collect();
        let Some(rows) = alias::table(&weights) else { return Self::default() };
        let total: f64 = weights.iter().sum();
        let mut densities = vec![0.0; triangles.len()];
        let mut emitters = Vec::with_capacity(found.len());
        for (triangle, row) in found.into_iter().zip(rows) {
            let density = glow[triangle.material as usize] / total;
            densities[triangle.primitive as usize] = matrix::single(density);
            emitters.push(Emitter {
                corner: triangle.corner,
                primitive: triangle.primitive,
                edge1: triangle.edge1,
                threshold: row.threshold,
                edge2: triangle.edge2,
                alias: row.alias,
                flags: triangle.flags,
                pad: [0; 3],
            });
        }
        Self { emitters, densities }
    }
}

/// Luminance of a material's glow, both sides together.
fn power(material: &Material, textures: &[Texture], texels: &[u32]) -> f64 {
    let sides = if material.double_sided == 0 { 1.0 } else { 2.0 };
    let mut glow = material.emissive;
    let picture = textures.get(material.emissive_texture as usize);
    if let Some(picture) = picture.filter(|_| material.emissive_texture != NONE) {
        let mean = mean(picture, texels);
        glow = [0, 1, 2].map(|channel| glow[channel] * mean[channel]);
    }
    luminance(glow) * sides
}

/// Mean of a picture's colours. sRGB is taken as a square here: this decides odds only.
fn mean(picture: &Texture, texels: &[u32]) -> [f32; 3] {
    let count = picture.width as usize * picture.height as usize;
    let first = picture.first as usize;
    let mut sums = [0_u64; 3];
    for texel in texels.get(first..first + count).unwrap_or_default() {
        for (sum, byte) in sums.iter_mut().zip(texel.to_le_bytes()) {
            let byte = u64::from(byte);
            *sum += if picture.srgb == 0 { byte * 255 } else { byte * byte };
        }
    }
    sums.map(|sum| (sum as f64 / (count.max(1) * 255 * 255) as f64) as f32)
}

fn area(triangle: &Triangle) -> f64 {
    let across = matrix::cross(matrix::double3(triangle.edge1), matrix::double3(triangle.edge2));
    matrix::dot(across, across).sqrt() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    fn triangle(primitive: u32, side: f32, material: u32) -> Triangle {
        let (edge1, edge2) = ([side, 0.0, 0.0], [0.0, side, 0.0]);
        Triangle { primitive, edge1, edge2, material, ..Triangle::zeroed() }
    }

    fn glowing(glow: f32, double_sided: u32) -> Material {
        let emissive = [glow; 3];
        Material { emissive, double_sided, emissive_texture: NONE, ..Material::zeroed() }
    }

    #[test]
    fn triangles_are_drawn_by_power_wherever_the_hierarchy_put_them() {
        let materials = [glowing(0.0, 0), glowing(2.0, 0), glowing(1.0, 1)];
        let triangles =
            [triangle(3, 1.0, 2), triangle(0, 1.0, 1), triangle(2, 9.0, 0), triangle(1, 3.0, 1)];
        let found = Emission::of(&triangles, &materials, &[], &[], &mut Notes::default());
        let order: Vec<u32> = found.emitters.iter().map(|emitter| emitter.primitive).collect();
        assert_eq!(order, [0, 1, 3]);
        // Powers 1, 9 and 1 over areas 0.5, 4.5 and 0.5.
        let expected = [2.0 / 11.0, 2.0 / 11.0, 0.0, 2.0 / 11.0];
        for (found, expected) in found.densities.iter().zip(expected) {
            assert!((found - expected as f32).abs() < 1e-7, "{found} {expected}");
        }
    }

    #[test]
    fn a_picture_dims_what_it_covers() {
        let picture = Texture { first: 1, width: 2, height: 1, ..Texture::zeroed() };
        let mut material = glowing(1.0, 0);
        material.emissive_texture = 0;
        let texels = [0, 0xffff_ffff, 0xff00_0000];
        assert!((power(&material, &[picture], &texels) - 0.5).abs() < 1e-6);
        let mut notes = Notes::default();
        let dark = Emission::of(&[triangle(0, 1.0, 0)], &[glowing(0.0, 1)], &[], &[], &mut notes);
        assert_eq!(dark, Emission::default());
    }
}
