//! Meshes that are drawn many times: which of them are kept once, their triangles in their own
//! coordinates, and the places where they stand. `shaders/glsl/lib/instance.glsl` draws them, with
//! the bits of triangles that were put there one by one. Knows no rays.

use super::accessor::Reader;
use super::bvh;
use super::deform::{DEFORMATIONS_MAX, Deformer};
use super::fault::{SceneError, too_large};
use super::gltf::{Document, item};
use super::instances::{self, INSTANCES_MAX};
use super::matrix::{self, Affine};
use super::mesh::{Shape, TRIANGLES_MAX};
use super::motion::Moving;
use super::names;
use super::node::Nodes;
use super::triangle::{self, Bounds, Geometry, Lost, Owner};
use shaders::{NONE, Node, Surface, SurfaceExtra, Triangle};
use std::collections::{BTreeMap, BTreeSet};

/// Fewest triangles that must be saved for a shape to be kept once: triangles that stand in the
/// world are traced three times as fast.
pub const SAVED_MIN: u64 = 1 << 19;
/// The same for scenes that would have too many triangles otherwise.
pub const SAVED_MIN_CROWDED: u64 = 1 << 12;
/// Most places of all shapes that are kept once.
pub const PLACES_MAX: usize = 1 << 20;
/// Most triangles, each counted wherever it stands: they are numbered by 32 bits.
pub const PRIMITIVES_MAX: u64 = 1 << 31;
/// Farthest coordinate of a shape that is kept once, in metres; others stand in the world.
const REACH_MAX: f64 = 4_194_304.0;

/// A shape in its own coordinates.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// BVH2; node 0 is the root.
    pub nodes: Vec<Node>,
    /// In BVH order. Their corners and edges are their three vertices, their primitives count from
    /// 0.
    pub triangles: Vec<Triangle>,
    /// The surface of the first primitive.
    pub surface_first: u32,
    pub bounds: Bounds,
}

/// A place where a pattern stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub pattern: u32,
    /// The columns of its matrix, then its origin.
    pub columns: [[f32; 3]; 4],
    pub mirrors: bool,
    /// The number of the pattern's first triangle here, among all of the scene.
    pub primitive_first: u32,
    /// Id of the object that stands here.
    pub object: u32,
}

impl Place {
    /// A vertex taken to the world, by the same operations as in the shader.
    pub fn point(&self, p: [f32; 3]) -> [f32; 3] {
        let [x, y, z, origin] = self.columns;
        [0, 1, 2].map(|axis| ((x[axis] * p[0] + y[axis] * p[1]) + z[axis] * p[2]) + origin[axis])
    }

    /// A pattern's triangle as it stands in the world.
    pub fn triangle(&self, own: &Triangle) -> Triangle {
        let corner = self.point(own.corner);
        let edge = |to| {
            let to = self.point(to);
            [0, 1, 2].map(|axis| to[axis] - corner[axis])
        };
        Triangle {
            corner,
            primitive: own.primitive + self.primitive_first,
            edge1: edge(own.edge1),
            edge2: edge(own.edge2),
            ..*own
        }
    }

    /// The box around a box, taken to the world; what is in the one is in the other.
    pub fn around(&self, own: &Bounds) -> Bounds {
        let [x, y, z, origin] = self.columns;
        let side = |axis: usize, pick: fn(f32, f32) -> f32| {
            let reach = |column: [f32; 3], at: usize| {
                pick(column[axis] * own.min[at], column[axis] * own.max[at])
            };
            ((reach(x, 0) + reach(y, 1)) + reach(z, 2)) + origin[axis]
        };
        Bounds {
            min: [0, 1, 2].map(|axis| side(axis, f32::min)),
            max: [0, 1, 2].map(|axis| side(axis, f32::max)),
        }
    }
}

/// What a scene draws many times.
#[derive(Clone, Debug, Default)]
pub struct Repeated {
    pub patterns: Vec<Pattern>,
    /// In the order of their triangles' numbers.
    pub places: Vec<Place>,
}

/// The shapes that are kept once, as (mesh, shape).
pub type Chosen = BTreeSet<(u32, usize)>;

/// Where a mesh stands, once for each node or instance, and whether joints or weights deform it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Standing {
    worlds: Vec<Affine>,
    deformed: bool,
}

/// Where each mesh stands at a moment.
fn standing(reader: &Reader<'_>, nodes: &Nodes) -> Result<BTreeMap<u32, Standing>, SceneError> {
    let mut all: BTreeMap<u32, Standing> = BTreeMap::new();
    let mut left = INSTANCES_MAX;
    for place in &nodes.placed {
        let node = item(&reader.document.nodes, place.node, "node", "the scene")?;
        let Some(mesh) = node.mesh else { continue };
        let own = all.entry(mesh).or_default();
        own.deformed |= node.skin.is_some();
        match instances::places(reader, node, &place.world, &mut left)? {
            Some(worlds) => own.worlds.extend(worlds),
            None => own.worlds.push(place.world),
        }
    }
    Ok(all)
}

/// Which shapes are worth being kept once: those that stand still in many places, keep their form
/// and do not glow. `moments` are all that the frame looks at.
pub fn choose(
    moments: &[(Reader<'_>, &Nodes)],
    meshes: &[Vec<Shape<'_>>],
) -> Result<Chosen, SceneError> {
    let mut chosen = Chosen::new();
    let Some(((reader, nodes), later)) = moments.split_first() else { return Ok(chosen) };
    let mut first = standing(reader, nodes)?;
    let each = first.iter().map(|(mesh, standing)| {
        let shapes = meshes.get(*mesh as usize).into_iter().flatten();
        let count: u64 = shapes.map(|shape| shape.corners.len() as u64).sum();
        count.saturating_mul(standing.worlds.len() as u64)
    });
    let crowded = each.fold(0, u64::saturating_add) > TRIANGLES_MAX;
    let least = if crowded { SAVED_MIN_CROWDED } else { SAVED_MIN };
    let worth = |shape: &Shape<'_>, places: usize| {
        shape.corners.len() as u64 * (places as u64).saturating_sub(1) >= least
    };
    first.retain(|mesh, standing| {
        let shapes = meshes.get(*mesh as usize);
        let count = standing.worlds.len();
        !standing.deformed && shapes.is_some_and(|all| all.iter().any(|one| worth(one, count)))
    });
    for (reader, nodes) in if first.is_empty() { &[] } else { later } {
        let other = standing(reader, nodes)?;
        first.retain(|mesh, standing| other.get(mesh) == Some(standing));
    }
    for (mesh, standing) in &first {
        for (at, shape) in meshes[*mesh as usize].iter().enumerate() {
            if worth(shape, standing.worlds.len())
                && shape.primitive.targets.is_empty()
                && !glows(reader.document, shape)
                && are_near(shape, &standing.worlds)
            {
                chosen.insert((*mesh, at));
            }
        }
    }
    Ok(chosen)
}

fn glows(document: &Document, shape: &Shape<'_>) -> bool {
    let material = document.materials.get(shape.material as usize);
    let glow = material.and_then(|material| material.emissive_factor);
    glow.is_some_and(|glow| glow.iter().any(|channel| *channel > 0.0))
}

/// Whether nothing of it lies so far away that f32 would have to give up digits.
fn are_near(shape: &Shape<'_>, worlds: &[Affine]) -> bool {
    let mut reach = [0.0_f64; 3];
    for point in &shape.vertices.position {
        reach = [0, 1, 2].map(|axis| reach[axis].max(f64::from(point[axis].abs())));
    }
    let is_near = |world: &Affine, axis: usize| {
        let turned = world.x[axis].abs() * reach[0]
            + world.y[axis].abs() * reach[1]
            + world.z[axis].abs() * reach[2];
        turned + world.origin[axis].abs() <= REACH_MAX
    };
    reach.iter().all(|own| *own <= REACH_MAX)
        && worlds.iter().all(|world| (0..3).all(|axis| is_near(world, axis)))
}

/// Puts the chosen shapes, whose surfaces come behind those of `geometry`, where nodes show them.
pub fn place(
    reader: &Reader<'_>,
    nodes: &Nodes,
    meshes: &[Vec<Shape<'_>>],
    chosen: &Chosen,
    geometry: &mut Geometry,
    lost: &mut Lost,
) -> Result<Repeated, SceneError> {
    let mut repeated = Repeated::default();
    let mut known: BTreeMap<(u32, usize, bool), u32> = BTreeMap::new();
    let (mut left, mut primitive) = (INSTANCES_MAX, geometry.triangles.len() as u64);
    for placed in &nodes.placed {
        let node = item(&reader.document.nodes, placed.node, "node", "the scene")?;
        let Some(mesh) = node.mesh else { continue };
        let own = chosen.range((mesh, 0)..(mesh + 1, 0)).map(|(_, at)| *at);
        let own: Vec<usize> = own.collect();
        if own.is_empty() {
            continue;
        }
        let id = names::id(&node.name, "node", placed.node as usize);
        let owner = Owner { node: placed.node, id };
        let worlds = instances::places(reader, node, &placed.world, &mut left)?;
        for at in own {
            let shape = &meshes[mesh as usize][at];
            for world in worlds.as_deref().unwrap_or(std::slice::from_ref(&placed.world)) {
                let mirrors = world.mirrors();
                let pattern = match known.get(&(mesh, at, mirrors)) {
                    Some(pattern) => *pattern,
                    None => {
                        let pattern = pattern(reader, shape, owner, mirrors, geometry, lost)?;
                        repeated.patterns.push(pattern);
                        let last = repeated.patterns.len() as u32 - 1;
                        known.insert((mesh, at, mirrors), last);
                        last
                    }
                };
                let Pattern { triangles, bounds, .. } = &repeated.patterns[pattern as usize];
                if bounds.min[0] > bounds.max[0] {
                    continue;
                }
                let columns = [world.x, world.y, world.z, world.origin].map(matrix::single3);
                let primitive_first = primitive as u32;
                let object = id;
                primitive += triangles.len() as u64;
                check(primitive, repeated.places.len())?;
                let place = Place { pattern, columns, mirrors, primitive_first, object };
                geometry.bounds.join(&place.around(bounds));
                repeated.places.push(place);
            }
        }
    }
    Ok(repeated)
}

fn check(primitives: u64, places: usize) -> Result<(), SceneError> {
    if primitives > PRIMITIVES_MAX {
        return Err(too_large(format!(
            "its instances have more than {PRIMITIVES_MAX} triangles; leave some out"
        )));
    }
    if places >= PLACES_MAX {
        return Err(too_large(format!(
            "its meshes stand in more than {PLACES_MAX} places; leave some out"
        )));
    }
    Ok(())
}

/// A shape in its own coordinates, for places that mirror or for those that do not.
fn pattern(
    reader: &Reader<'_>,
    shape: &Shape<'_>,
    owner: Owner,
    mirrors: bool,
    geometry: &mut Geometry,
    lost: &mut Lost,
) -> Result<Pattern, SceneError> {
    let mut deformer = Deformer { reader: *reader, left: DEFORMATIONS_MAX };
    let posed = deformer.pose(shape, Affine::IDENTITY, &[], None)?;
    let mut own = Geometry::default();
    triangle::place_shape(shape, &posed, owner, &mut own, lost)?;
    let dropped = std::mem::take(&mut own.degenerate);
    let kept = (0..).zip(&shape.corners).filter(|(at, _)| dropped.binary_search(at).is_err());
    let position = |corner: u32| shape.vertices.position[corner as usize];
    let single = |corner: u32| matrix::single3(matrix::double3(position(corner)));
    let vertices: Vec<[[f32; 3]; 3]> = kept.map(|(_, corners)| corners.map(single)).collect();
    lost.degenerate += dropped.len() as u64;
    own.leave_out(&dropped);
    if geometry.surfaces.len() + own.surfaces.len() > TRIANGLES_MAX as usize {
        return Err(too_large(format!(
            "it has more than {TRIANGLES_MAX} triangles; simplify its meshes"
        )));
    }
    let (nodes, ordered) = bvh::build(&own.triangles, &Moving::default());
    let stored = ordered.iter().map(|triangle| {
        let mut corners = vertices.get(triangle.primitive as usize).copied().unwrap_or_default();
        if mirrors {
            corners.swap(1, 2);
        }
        let [corner, edge1, edge2] = corners;
        Triangle { corner, edge1, edge2, ..*triangle }
    });
    let triangles = stored.collect();
    let (surface_first, extra_first) = (geometry.surfaces.len(), geometry.extras.len() as u32);
    let shift = |surface: Surface| Surface {
        extra: if surface.extra == NONE { NONE } else { surface.extra + extra_first },
        ..surface
    };
    let surfaces = own.surfaces.into_iter().map(shift);
    geometry.surfaces.extend(surfaces.map(|one| if mirrors { turned_over(one) } else { one }));
    let extras = own.extras.into_iter();
    geometry.extras.extend(extras.map(|one| if mirrors { swapped(one) } else { one }));
    let mut bounds = Bounds::default();
    vertices.iter().flatten().for_each(|vertex| bounds.include(*vertex));
    Ok(Pattern { nodes, triangles, surface_first: surface_first as u32, bounds })
}

/// With its second and third corner changed over, as triangles are in a mirror.
fn turned_over(mut surface: Surface) -> Surface {
    surface.normal.swap(1, 2);
    surface.uv.swap(1, 2);
    surface.tangent.swap(1, 2);
    Surface { handed: -surface.handed, ..surface }
}

fn swapped(mut extra: SurfaceExtra) -> SurfaceExtra {
    extra.uv.swap(1, 2);
    extra.color.swap(1, 2);
    extra
}
