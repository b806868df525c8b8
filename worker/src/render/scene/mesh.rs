//! Meshes (glTF 2.0 §3.7): primitives of the placed nodes as world-space triangles and surfaces.
//! Knows no BVH and no textures.

use super::accessor::{Buffers, Reader};
use super::fault::{SceneError, malformed, too_large};
use super::gltf::{Document, Primitive, item};
use super::material;
use super::matrix::{self, Affine, Vec3};
use super::node::Placed;
use super::notes::Notes;
use super::texture_use::Placement;
use shaders::{NONE, Surface, SurfaceExtra, Triangle};

/// Most triangles: their surfaces (112 bytes each) fill a 128 MiB storage buffer.
pub const TRIANGLES_MAX: u64 = (128 << 20) / size_of::<Surface>() as u64;
/// Most vertices of all meshes.
pub const VERTICES_MAX: u64 = 1 << 24;
/// Farthest coordinate, in metres.
pub const COORDINATE_MAX: f64 = 1e9;
/// Triangles whose doubled area is not above this, in square metres, are dropped.
const AREA_MIN: f64 = 1e-24;

/// Triangles in file order and the box around them.
#[derive(Debug, Default)]
pub struct Geometry {
    pub triangles: Vec<Triangle>,
    pub surfaces: Vec<Surface>,
    pub extras: Vec<SurfaceExtra>,
    pub bounds: Bounds,
}

/// An axis-aligned box; empty while `min` is above `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub min: [f32; 3],
    pub max: [f32; 3],
}

impl Default for Bounds {
    fn default() -> Self {
        Self { min: [f32::INFINITY; 3], max: [f32::NEG_INFINITY; 3] }
    }
}

impl Bounds {
    /// Grows to hold a point.
    pub fn include(&mut self, point: [f32; 3]) {
        self.join(&Self { min: point, max: point });
    }

    /// Grows to hold a box.
    pub fn join(&mut self, other: &Self) {
        for axis in 0..3 {
            self.min[axis] = self.min[axis].min(other.min[axis]);
            self.max[axis] = self.max[axis].max(other.max[axis]);
        }
    }
}

/// A primitive's vertices in object space.
struct Shape {
    corners: Vec<[u32; 3]>,
    position: Vec<[f32; 3]>,
    normal: Option<Vec<[f32; 3]>>,
    /// By slot.
    uv: [Option<Vec<[f32; 2]>>; 2],
    color: Option<Vec<[f32; 4]>>,
    tangent: Option<Vec<[f32; 4]>>,
    material: u32,
    /// How the material's normal texture is laid out, if it has one.
    bumps: Option<Placement>,
}

/// What was left out, to be said once.
#[derive(Default)]
struct Lost {
    degenerate: u64,
    bad_normals: u64,
}

/// All triangles of the placed nodes. Every mesh of the file is read, drawn or not, so that damage
/// is found now. Errors if there are none.
pub fn gather(
    document: &Document,
    buffers: &Buffers<'_>,
    placed: &[Placed],
    notes: &mut Notes,
) -> Result<Geometry, SceneError> {
    let reader = Reader { document, buffers };
    let mut vertices_left = VERTICES_MAX;
    let mut meshes = Vec::new();
    for mesh in 0..document.meshes.len() {
        meshes.push(read_mesh(&reader, mesh, &mut vertices_left, notes)?);
    }
    let mut geometry = Geometry::default();
    let mut lost = Lost::default();
    let mut triangles_left = TRIANGLES_MAX;
    for place in placed {
        let node = item(&document.nodes, place.node, "node", "the scene")?;
        let Some(mesh) = node.mesh else { continue };
        for shape in item(&meshes, mesh, "mesh", format_args!("node {}", place.node))? {
            let count = shape.corners.len() as u64;
            triangles_left = triangles_left.checked_sub(count).ok_or_else(|| {
                too_large(format!(
                    "it has more than {TRIANGLES_MAX} triangles; simplify its meshes"
                ))
            })?;
            place_shape(shape, place, &mut geometry, &mut lost)?;
        }
    }
    if lost.degenerate > 0 {
        notes.say(format!("{} triangles without area were dropped", lost.degenerate));
    }
    if lost.bad_normals > 0 {
        notes.say(format!("{} normals without direction were replaced", lost.bad_normals));
    }
    if geometry.triangles.is_empty() {
        return Err(malformed("its scene has no triangles to draw"));
    }
    Ok(geometry)
}

fn read_mesh(
    reader: &Reader<'_>,
    mesh: usize,
    vertices_left: &mut u64,
    notes: &mut Notes,
) -> Result<Vec<Shape>, SceneError> {
    let mut shapes = Vec::new();
    for (at, primitive) in reader.document.meshes[mesh].primitives.iter().enumerate() {
        let owner = format!("mesh {mesh} primitive {at}");
        match primitive.mode {
            0 => notes.say("points are not drawn"),
            1..=3 => notes.say("lines are not drawn"),
            4..=6 => shapes.extend(read_shape(reader, primitive, &owner, vertices_left, notes)?),
            mode => return Err(malformed(format!("{owner} has the unknown mode {mode}"))),
        }
    }
    Ok(shapes)
}

fn read_shape(
    reader: &Reader<'_>,
    primitive: &Primitive,
    owner: &str,
    vertices_left: &mut u64,
    notes: &mut Notes,
) -> Result<Option<Shape>, SceneError> {
    let indices = primitive.indices.map_or(Ok(0), |index| reader.count(index, owner))?;
    let Some(&position) = primitive.attributes.get("POSITION") else {
        notes.say(format!("{owner} has no positions: not drawn"));
        return Ok(None);
    };
    let count = reader.count(position, owner)?;
    *vertices_left = vertices_left
        .checked_sub(count.max(indices))
        .ok_or_else(|| too_large(format!("its meshes have more than {VERTICES_MAX} vertices")))?;
    if !primitive.targets.is_empty() {
        notes.say("morph targets are not applied");
    }
    let use_of = material::usage(reader.document, primitive.material, notes)?;
    let named = |name: &str| primitive.attributes.get(name).copied();
    let uv = |slot: usize| {
        let set = use_of.slots.set(slot);
        let index = set.and_then(|set| named(&format!("TEXCOORD_{set}")));
        vector(reader, index, owner, count)
    };
    let color = named("COLOR_0").map(|index| reader.colors(index, owner)).transpose()?;
    let tangent = named("TANGENT").filter(|_| named("NORMAL").is_some() && use_of.bumps.is_some());
    let shape = Shape {
        position: vector(reader, Some(position), owner, count)?.unwrap_or_default(),
        normal: vector(reader, named("NORMAL"), owner, count)?,
        uv: [uv(0)?, uv(1)?],
        color: counted(color, owner, count)?,
        tangent: vector(reader, tangent, owner, count)?,
        corners: corners(reader, primitive, count, owner)?,
        material: use_of.material,
        bumps: use_of.bumps,
    };
    check(&shape, owner)?;
    for slot in 0..2 {
        if let (Some(set), None) = (use_of.slots.set(slot), &shape.uv[slot]) {
            notes.say(format!("{owner} has no TEXCOORD_{set}: its textures there show one texel"));
        }
    }
    Ok(Some(shape))
}

fn vector<const N: usize>(
    reader: &Reader<'_>,
    index: Option<u32>,
    owner: &str,
    count: u64,
) -> Result<Option<Vec<[f32; N]>>, SceneError> {
    counted(index.map(|index| reader.floats(index, owner)).transpose()?, owner, count)
}

fn counted<T>(all: Option<Vec<T>>, owner: &str, count: u64) -> Result<Option<Vec<T>>, SceneError> {
    if all.as_ref().is_some_and(|all| all.len() as u64 != count) {
        return Err(malformed(format!("{owner}: its attributes have different counts")));
    }
    Ok(all)
}

fn check(shape: &Shape, owner: &str) -> Result<(), SceneError> {
    if let Some(at) = shape.position.iter().position(|p| p.iter().any(|c| !c.is_finite())) {
        return Err(malformed(format!("{owner}: the position of vertex {at} is not a number")));
    }
    for uv in shape.uv.iter().flatten() {
        if let Some(at) = uv.iter().position(|uv| uv.iter().any(|c| !c.is_finite())) {
            return Err(malformed(format!(
                "{owner}: the texture place of vertex {at} is no number"
            )));
        }
    }
    Ok(())
}

/// Corner indices of each triangle; strips and fans as in glTF 2.0 §3.7.2.1.
fn corners(
    reader: &Reader<'_>,
    primitive: &Primitive,
    count: u64,
    owner: &str,
) -> Result<Vec<[u32; 3]>, SceneError> {
    let order = match primitive.indices {
        Some(index) => reader.integers(index, owner)?,
        None => (0..count as u32).collect(),
    };
    if let Some(at) = order.iter().position(|&corner| u64::from(corner) >= count) {
        return Err(malformed(format!(
            "{owner}: index {at} is out of bounds: vertex {} of {count}",
            order[at]
        )));
    }
    Ok(match primitive.mode {
        4 => order.as_chunks::<3>().0.to_vec(),
        5 => (0..order.len().saturating_sub(2))
            .map(|i| [order[i], order[i + 1 + i % 2], order[i + 2 - i % 2]])
            .collect(),
        _ => {
            (1..order.len().saturating_sub(1)).map(|i| [order[i], order[i + 1], order[0]]).collect()
        }
    })
}

fn place_shape(
    shape: &Shape,
    place: &Placed,
    geometry: &mut Geometry,
    lost: &mut Lost,
) -> Result<(), SceneError> {
    let world = &place.world;
    for &corners in &shape.corners {
        let corners = if world.mirrors() { [corners[0], corners[2], corners[1]] } else { corners };
        let point = corners.map(|corner| {
            let point = world.point(matrix::double3(shape.position[corner as usize]));
            matrix::single3(point)
        });
        if point.iter().flatten().any(|c| f64::from(c.abs()).total_cmp(&COORDINATE_MAX).is_gt()) {
            return Err(malformed(format!(
                "node {} puts a vertex farther than {COORDINATE_MAX:e} metres away",
                place.node
            )));
        }
        let edge = |to: usize| [0, 1, 2].map(|axis| settle(point[to][axis] - point[0][axis]));
        let (edge1, edge2) = (edge(1), edge(2));
        let across = matrix::cross(matrix::double3(edge1), matrix::double3(edge2));
        let area = matrix::dot(across, across).sqrt();
        let Some(flat) = matrix::unit(across).filter(|_| area > AREA_MIN) else {
            lost.degenerate += 1;
            continue;
        };
        let primitive = geometry.triangles.len() as u32;
        let material = shape.material;
        geometry.triangles.push(Triangle {
            corner: point[0],
            primitive,
            edge1,
            material,
            edge2,
            pad: 0,
        });
        point.iter().for_each(|point| geometry.bounds.include(*point));
        let edges = [matrix::double3(edge1), matrix::double3(edge2)];
        let extra = extra(shape, corners, &mut geometry.extras);
        let surface = surface(shape, corners, world, flat, edges, lost);
        geometry.surfaces.push(Surface { extra, ..surface });
    }
    Ok(())
}

fn settle(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

fn surface(
    shape: &Shape,
    corners: [u32; 3],
    world: &Affine,
    flat: Vec3,
    edges: [Vec3; 2],
    lost: &mut Lost,
) -> Surface {
    let normal = corners.map(|corner| match &shape.normal {
        None => flat,
        Some(all) => {
            let normal = world.normal(matrix::double3(all[corner as usize]));
            matrix::unit(normal).unwrap_or_else(|| {
                lost.bad_normals += 1;
                flat
            })
        }
    });
    let uv = uv(shape, 0, corners);
    let mut tangents = [[0.0; 4]; 3];
    if let Some(bumps) = shape.bumps {
        let places = self::uv(shape, bumps.slot as usize, corners);
        let derived = derived_tangent(edges, places.map(|uv| bumps.apply(uv.map(f64::from))));
        tangents = [0, 1, 2].map(|at| {
            let given = shape.tangent.as_ref().map(|all| all[corners[at] as usize]);
            tangent(given, world, normal[at], derived)
        });
    }
    Surface {
        normal: normal.map(matrix::single3),
        uv,
        tangent: tangents.map(|[x, y, z, _]| [x, y, z]),
        handed: tangents[0][3],
        material: shape.material,
        extra: NONE,
        pad: 0,
    }
}

fn uv(shape: &Shape, slot: usize, corners: [u32; 3]) -> [[f32; 2]; 3] {
    corners.map(|corner| match &shape.uv[slot] {
        None => [0.0; 2],
        Some(all) => all[corner as usize].map(|c| settle(c.clamp(-32768.0, 32768.0))),
    })
}

/// Adds what only some surfaces have; gives its index.
fn extra(shape: &Shape, corners: [u32; 3], extras: &mut Vec<SurfaceExtra>) -> u32 {
    if shape.uv[1].is_none() && shape.color.is_none() {
        return NONE;
    }
    let color = corners.map(|corner| match &shape.color {
        None => [u32::MAX; 2],
        Some(all) => {
            let [r, g, b, a] = all[corner as usize].map(sixteen_bits);
            [r | (g << 16), b | (a << 16)]
        }
    });
    extras.push(SurfaceExtra { uv: uv(shape, 1, corners), color });
    extras.len() as u32 - 1
}

fn sixteen_bits(value: f32) -> u32 {
    (value.clamp(0.0, 1.0) * 65535.0 + 0.5) as u32
}

/// Direction of growing u over a triangle, and the sign of the bitangent: glTF's v grows down the
/// image while its normal textures have green up (glTF 2.0 §3.9.3).
fn derived_tangent(edges: [Vec3; 2], uv: [[f64; 2]; 3]) -> (Vec3, f64) {
    let d = |to: usize, axis: usize| uv[to][axis] - uv[0][axis];
    let (u1, v1, u2, v2) = (d(1, 0), d(1, 1), d(2, 0), d(2, 1));
    let turn = u1 * v2 - u2 * v1;
    let along = matrix::sub(matrix::scale(edges[0], v2), matrix::scale(edges[1], v1));
    let sign = if turn < 0.0 { -1.0 } else { 1.0 };
    (matrix::scale(along, sign), -sign)
}

fn tangent(
    given: Option<[f32; 4]>,
    world: &Affine,
    normal: Vec3,
    derived: (Vec3, f64),
) -> [f32; 4] {
    let (along, sign) = match given {
        Some([x, y, z, w]) => {
            let sign = if (w < 0.0) != world.mirrors() { -1.0 } else { 1.0 };
            (world.direction(matrix::double3([x, y, z])), sign)
        }
        None => derived,
    };
    let level = matrix::sub(along, matrix::scale(normal, matrix::dot(normal, along)));
    let [x, y, z] = matrix::single3(matrix::unit(level).unwrap_or_else(|| matrix::across(normal)));
    [x, y, z, sign as f32]
}
