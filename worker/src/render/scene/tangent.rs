//! Tangents for normal textures where a file has none, by MikkTSpace (glTF 2.0 §3.7.2.1). Knows no
//! skins and no nodes.

use super::decoder::guarded;
use super::fault::SceneError;
use super::matrix;
use super::mesh::{Shape, Vertices};
use super::texture_use::Placement;
use bevy_mikktspace::{Geometry, Ops, TangentSpace, generate_tangents};
use std::collections::HashMap;

/// Most triangles around one point: MikkTSpace goes around it by recursion.
pub const FAN_MAX: u32 = 2048;

/// A tangent for each corner of each triangle; `None` where there is nothing to make them from. Of
/// zeros where a triangle has none.
pub fn generate(
    shape: &Shape<'_>,
    vertices: &Vertices,
) -> Result<Option<Vec<[f32; 4]>>, SceneError> {
    let (Some(bumps), Some(normal)) = (shape.bumps, &vertices.normal) else { return Ok(None) };
    let Some(uv) = &vertices.uv[bumps.slot as usize] else { return Ok(None) };
    if widest_fan(shape, vertices) > FAN_MAX {
        return Ok(None);
    }
    let mut faces = Faces {
        corners: &shape.corners,
        position: &vertices.position,
        normal,
        uv,
        bumps,
        tangents: vec![[0.0; 4]; shape.corners.len() * 3],
    };
    guarded(&format!("{}: its tangents", shape.owner), || {
        // The error type has no values.
        let _ = generate_tangents(&mut faces);
        Ok(Some(faces.tangents))
    })
}

/// Most triangles that meet in one place.
fn widest_fan(shape: &Shape<'_>, vertices: &Vertices) -> u32 {
    let mut fans: HashMap<[u32; 3], u32> = HashMap::new();
    for corner in shape.corners.iter().flatten() {
        *fans.entry(vertices.position[*corner as usize].map(f32::to_bits)).or_default() += 1;
    }
    fans.into_values().max().unwrap_or(0)
}

/// Square root and arc cosine with the same bits on every machine.
struct Portable;

impl Ops for Portable {
    fn sqrt(x: f32) -> f32 {
        x.sqrt()
    }

    fn acos(x: f32) -> f32 {
        libm::acos(f64::from(x)) as f32
    }
}

struct Faces<'a> {
    corners: &'a [[u32; 3]],
    position: &'a [[f32; 3]],
    normal: &'a [[f32; 3]],
    uv: &'a [[f32; 2]],
    bumps: Placement,
    tangents: Vec<[f32; 4]>,
}

impl Geometry<Portable> for Faces<'_> {
    fn num_faces(&self) -> usize {
        self.corners.len()
    }

    fn num_vertices_of_face(&self, _: usize) -> usize {
        3
    }

    fn position(&self, face: usize, corner: usize) -> [f32; 3] {
        self.position[self.corners[face][corner] as usize]
    }

    fn normal(&self, face: usize, corner: usize) -> [f32; 3] {
        let normal = self.normal[self.corners[face][corner] as usize];
        matrix::single3(matrix::unit(matrix::double3(normal)).unwrap_or([0.0; 3]))
    }

    /// Where the normal texture is read, its v growing upwards as MikkTSpace has it.
    fn tex_coord(&self, face: usize, corner: usize) -> [f32; 2] {
        let [u, v] = self.uv[self.corners[face][corner] as usize];
        let [u, v] = self.bumps.apply([f64::from(u), f64::from(v)]);
        [u as f32, (1.0 - v) as f32]
    }

    fn set_tangent(&mut self, tangent: Option<TangentSpace>, face: usize, corner: usize) {
        if let Some(tangent) = tangent {
            self.tangents[face * 3 + corner] = tangent.tangent_encoded();
        }
    }
}
