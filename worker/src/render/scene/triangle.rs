//! Triangles of posed shapes in world space, and what shading needs of them. Knows no files.

use super::deform::Posed;
use super::fault::{SceneError, malformed};
use super::matrix::{self, Vec3};
use super::mesh::{Shape, Vertices};
use super::notes::Notes;
use shaders::{NONE, Surface, SurfaceExtra, Triangle};

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
    /// Primitives without area, in order.
    pub degenerate: Vec<u32>,
}

impl Geometry {
    /// Leaves out primitives, which are in order; the others are numbered anew.
    pub fn leave_out(&mut self, primitives: &[u32]) {
        let mut left = primitives.iter().peekable();
        let mut keep = self.triangles.iter().map(|triangle| triangle.primitive);
        self.surfaces.retain(|_| left.next_if_eq(&&keep.next().unwrap_or(NONE)).is_none());
        let mut left = primitives.iter().peekable();
        self.triangles.retain(|triangle| left.next_if_eq(&&triangle.primitive).is_none());
        (0..).zip(&mut self.triangles).for_each(|(at, triangle)| triangle.primitive = at);
    }
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

/// What was left out or replaced, to be said once.
#[derive(Default)]
pub struct Lost {
    pub degenerate: u64,
    pub bad_normals: u64,
}

impl Lost {
    /// Tells the artist.
    pub fn say(&self, notes: &mut Notes) {
        if self.degenerate > 0 {
            notes.say(format!("{} triangles without area were dropped", self.degenerate));
        }
        if self.bad_normals > 0 {
            notes.say(format!("{} normals without direction were replaced", self.bad_normals));
        }
    }
}

/// The node that a shape is placed for: its number, for errors, and the id of its name.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub node: u32,
    pub id: u32,
}

/// Adds a shape whose vertices, as they are given, go through `world`.
pub fn place_shape(
    shape: &Shape<'_>,
    posed: &Posed<'_>,
    owner: Owner,
    geometry: &mut Geometry,
    lost: &mut Lost,
) -> Result<(), SceneError> {
    let world = &posed.world;
    for (triangle, &corners) in shape.corners.iter().enumerate() {
        let order = if posed.mirrors { [0, 2, 1] } else { [0, 1, 2] };
        let tangents = order.map(|at| posed.tangent(triangle, at, corners[at]));
        let corners = order.map(|at| corners[at]);
        let point = corners.map(|corner| {
            let point = world.point(matrix::double3(posed.vertices.position[corner as usize]));
            matrix::single3(point)
        });
        if point.iter().flatten().any(|c| f64::from(c.abs()).total_cmp(&COORDINATE_MAX).is_gt()) {
            return Err(malformed(format!(
                "node {} puts a vertex farther than {COORDINATE_MAX:e} metres away",
                owner.node
            )));
        }
        let edge = |to: usize| [0, 1, 2].map(|axis| settle(point[to][axis] - point[0][axis]));
        let (edge1, edge2) = (edge(1), edge(2));
        let across = matrix::cross(matrix::double3(edge1), matrix::double3(edge2));
        let area = matrix::dot(across, across).sqrt();
        let primitive = geometry.triangles.len() as u32;
        let flat = matrix::unit(across).filter(|_| area > AREA_MIN);
        match flat {
            Some(_) => point.iter().for_each(|point| geometry.bounds.include(*point)),
            None => geometry.degenerate.push(primitive),
        }
        let material = shape.material;
        geometry.triangles.push(Triangle {
            corner: point[0],
            primitive,
            edge1,
            material,
            edge2,
            flags: 0,
        });
        let edges = [matrix::double3(edge1), matrix::double3(edge2)];
        let extra = extra(&posed.vertices, corners, &mut geometry.extras);
        let mut unsaid = Lost::default();
        let lost = if flat.is_some() { &mut *lost } else { &mut unsaid };
        let flat = flat.unwrap_or([0.0, 0.0, 1.0]);
        let surface = surface(shape, posed, (corners, tangents), flat, edges, lost);
        geometry.surfaces.push(Surface { extra, object: owner.id, ..surface });
    }
    Ok(())
}

fn settle(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

fn surface(
    shape: &Shape<'_>,
    posed: &Posed<'_>,
    (corners, given): ([u32; 3], [Option<[f32; 4]>; 3]),
    flat: Vec3,
    edges: [Vec3; 2],
    lost: &mut Lost,
) -> Surface {
    let normal = corners.map(|corner| match &posed.vertices.normal {
        None => flat,
        Some(all) => {
            let normal = posed.world.normal(matrix::double3(all[corner as usize]));
            matrix::unit(normal).unwrap_or_else(|| {
                lost.bad_normals += 1;
                flat
            })
        }
    });
    let uv = uv(&posed.vertices, 0, corners);
    let mut tangents = [[0.0; 4]; 3];
    if let Some(bumps) = shape.bumps {
        let places = self::uv(&posed.vertices, bumps.slot as usize, corners);
        let derived = derived_tangent(edges, places.map(|uv| bumps.apply(uv.map(f64::from))));
        tangents = [0, 1, 2].map(|at| tangent(given[at], posed, normal[at], derived));
    }
    Surface {
        normal: normal.map(matrix::single3),
        uv,
        tangent: tangents.map(|[x, y, z, _]| [x, y, z]),
        handed: tangents[0][3],
        material: shape.material,
        extra: NONE,
        object: 0,
    }
}

fn uv(vertices: &Vertices, slot: usize, corners: [u32; 3]) -> [[f32; 2]; 3] {
    corners.map(|corner| match &vertices.uv[slot] {
        None => [0.0; 2],
        Some(all) => all[corner as usize].map(|c| settle(c.clamp(-32768.0, 32768.0))),
    })
}

/// Adds what only some surfaces have; gives its index.
fn extra(vertices: &Vertices, corners: [u32; 3], extras: &mut Vec<SurfaceExtra>) -> u32 {
    if vertices.uv[1].is_none() && vertices.color.is_none() {
        return NONE;
    }
    let color = corners.map(|corner| match &vertices.color {
        None => [u32::MAX; 2],
        Some(all) => {
            let [r, g, b, a] = all[corner as usize].map(sixteen_bits);
            [r | (g << 16), b | (a << 16)]
        }
    });
    extras.push(SurfaceExtra { uv: uv(vertices, 1, corners), color });
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
    posed: &Posed<'_>,
    normal: Vec3,
    derived: (Vec3, f64),
) -> [f32; 4] {
    let (along, sign) = match given {
        Some([x, y, z, w]) if [x, y, z] != [0.0; 3] => {
            let sign = if (w < 0.0) != posed.mirrors { -1.0 } else { 1.0 };
            (posed.world.direction(matrix::double3([x, y, z])), sign)
        }
        _ => derived,
    };
    let level = matrix::sub(along, matrix::scale(normal, matrix::dot(normal, along)));
    let [x, y, z] = matrix::single3(matrix::unit(level).unwrap_or_else(|| matrix::across(normal)));
    [x, y, z, sign as f32]
}
