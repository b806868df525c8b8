//! Meshes (glTF 2.0 §3.7): primitives as shapes, and the shapes of all placed nodes in their pose.
//! Knows no BVH and no textures.

use super::accessor::Reader;
use super::deform::{DEFORMATIONS_MAX, Deformer};
use super::fault::{SceneError, malformed, too_large};
use super::gltf::{self, Primitive, item};
use super::instances::{self, INSTANCES_MAX};
use super::material;
use super::matrix::Affine;
use super::names;
use super::node::{Nodes, Placed};
use super::notes::Notes;
use super::pose::Pose;
use super::repeated::Chosen;
use super::texture_use::Placement;
use super::triangle::{self, Geometry, Lost, Owner};
use super::variant;
use shaders::Surface;
use std::cell::OnceCell;

/// Most triangles: their surfaces (112 bytes each) fill a 128 MiB storage buffer.
pub const TRIANGLES_MAX: u64 = (128 << 20) / size_of::<Surface>() as u64;
/// Most vertices of all meshes.
pub const VERTICES_MAX: u64 = 1 << 24;

/// A primitive as the file has it.
pub struct Shape<'a> {
    pub primitive: &'a Primitive,
    /// What it is called in errors.
    pub owner: String,
    pub corners: Vec<[u32; 3]>,
    pub vertices: Vertices,
    /// Which set of texture places each slot of [`Vertices::uv`] has.
    pub uv_sets: [Option<u32>; 2],
    pub material: u32,
    /// How the material's normal texture is laid out, if it has one.
    pub bumps: Option<Placement>,
    /// Tangents that were made for it, kept between the nodes that show it.
    pub tangents: OnceCell<Option<Vec<[f32; 4]>>>,
}

/// What a pose changes of a shape.
#[derive(Clone, Debug, Default)]
pub struct Vertices {
    pub position: Vec<[f32; 3]>,
    pub normal: Option<Vec<[f32; 3]>>,
    pub tangent: Option<Vec<[f32; 4]>>,
    /// By slot.
    pub uv: [Option<Vec<[f32; 2]>>; 2],
    pub color: Option<Vec<[f32; 4]>>,
}

/// The shapes of each mesh. Every mesh of the file is read, drawn or not, so that damage is found
/// now.
pub fn read<'a>(
    reader: &Reader<'a>,
    variant: Option<u32>,
    notes: &mut Notes,
) -> Result<Vec<Vec<Shape<'a>>>, SceneError> {
    let mut reading = Reading { variant, vertices_left: VERTICES_MAX };
    let meshes = 0..reader.document.meshes.len();
    meshes.map(|mesh| read_mesh(reader, mesh, &mut reading, notes)).collect()
}

/// All triangles of the placed nodes, those without area among them, but for the shapes that are
/// kept once.
pub fn gather(
    reader: &Reader<'_>,
    meshes: &[Vec<Shape<'_>>],
    nodes: &Nodes,
    pose: &Pose,
    chosen: &Chosen,
) -> Result<(Geometry, Lost), SceneError> {
    let mut scene = Gathered {
        geometry: Geometry::default(),
        lost: Lost::default(),
        deformer: Deformer { reader: *reader, left: DEFORMATIONS_MAX },
        triangles_left: TRIANGLES_MAX,
        instances_left: INSTANCES_MAX,
    };
    for place in &nodes.placed {
        let node = item(&reader.document.nodes, place.node, "node", "the scene")?;
        let Some(mesh) = node.mesh else { continue };
        let all = item(meshes, mesh, "mesh", format_args!("node {}", place.node))?;
        let shapes = all.iter().enumerate().filter(|(at, _)| !chosen.contains(&(mesh, *at)));
        let shapes: Vec<_> = shapes.map(|(_, shape)| shape).collect();
        let weights = weights(reader, pose, place.node, mesh);
        scene.add(&shapes, place, node, &nodes.worlds, weights)?;
    }
    Ok((scene.geometry, scene.lost))
}

/// What is there already, and what there may still be.
struct Gathered<'a> {
    geometry: Geometry,
    lost: Lost,
    deformer: Deformer<'a>,
    triangles_left: u64,
    instances_left: u64,
}

impl Gathered<'_> {
    /// Adds a node's mesh, once or for each of the node's instances.
    fn add(
        &mut self,
        shapes: &[&Shape<'_>],
        place: &Placed,
        node: &gltf::Node,
        worlds: &[Affine],
        weights: &[f64],
    ) -> Result<(), SceneError> {
        if shapes.is_empty() {
            return Ok(());
        }
        let owner = format!("node {}", place.node);
        let id = names::id(&node.name, "node", place.node as usize);
        let named = Owner { node: place.node, id };
        let places =
            instances::places(&self.deformer.reader, node, &place.world, &mut self.instances_left)?;
        let joints = match node.skin {
            Some(skin) => Some(self.deformer.joints(skin, worlds, &owner)?),
            None => None,
        };
        for shape in shapes {
            let mut posed = self.deformer.pose(shape, place.world, weights, joints.as_deref())?;
            let once = std::slice::from_ref(&place.world);
            let places = places.as_deref().filter(|_| !posed.skinned).unwrap_or(once);
            for world in places {
                let count = shape.corners.len() as u64;
                self.triangles_left = self.triangles_left.checked_sub(count).ok_or_else(|| {
                    too_large(format!(
                        "it has more than {TRIANGLES_MAX} triangles; simplify its meshes"
                    ))
                })?;
                if !posed.skinned {
                    posed.put(*world);
                }
                let (geometry, lost) = (&mut self.geometry, &mut self.lost);
                triangle::place_shape(shape, &posed, named, geometry, lost)?;
            }
        }
        Ok(())
    }
}

/// The weights of a node's morph targets: animated, its own, or its mesh's.
fn weights<'a>(reader: &Reader<'a>, pose: &'a Pose, node: u32, mesh: u32) -> &'a [f64] {
    if let Some(weights) = pose.weights.get(&node) {
        return weights;
    }
    let document = reader.document;
    let own = document.nodes.get(node as usize).map(|node| &*node.weights).unwrap_or_default();
    if !own.is_empty() {
        return own;
    }
    document.meshes.get(mesh as usize).map(|mesh| &*mesh.weights).unwrap_or_default()
}

/// Which material variant is read, and how many vertices there may still be.
struct Reading {
    variant: Option<u32>,
    vertices_left: u64,
}

fn read_mesh<'a>(
    reader: &Reader<'a>,
    mesh: usize,
    reading: &mut Reading,
    notes: &mut Notes,
) -> Result<Vec<Shape<'a>>, SceneError> {
    let mut shapes = Vec::new();
    for (at, primitive) in reader.document.meshes[mesh].primitives.iter().enumerate() {
        let owner = format!("mesh {mesh} primitive {at}");
        match primitive.mode {
            0 => notes.say("points are not drawn"),
            1..=3 => notes.say("lines are not drawn"),
            4..=6 => shapes.extend(read_shape(reader, primitive, &owner, reading, notes)?),
            mode => return Err(malformed(format!("{owner} has the unknown mode {mode}"))),
        }
    }
    Ok(shapes)
}

fn read_shape<'a>(
    reader: &Reader<'a>,
    primitive: &'a Primitive,
    owner: &str,
    reading: &mut Reading,
    notes: &mut Notes,
) -> Result<Option<Shape<'a>>, SceneError> {
    let indices = primitive.indices.map_or(Ok(0), |index| reader.count(index, owner))?;
    let Some(&position) = primitive.attributes.get("POSITION") else {
        notes.say(format!("{owner} has no positions: not drawn"));
        return Ok(None);
    };
    let count = reader.count(position, owner)?;
    reading.vertices_left = reading
        .vertices_left
        .checked_sub(count.max(indices))
        .ok_or_else(|| too_large(format!("its meshes have more than {VERTICES_MAX} vertices")))?;
    check_targets(reader, primitive, owner, count, notes)?;
    let use_of =
        material::usage(reader.document, variant::material(primitive, reading.variant), notes)?;
    let named = |name: &str| primitive.attributes.get(name).copied();
    let uv = |slot: usize| {
        let set = use_of.slots.set(slot);
        let index = set.and_then(|set| named(&format!("TEXCOORD_{set}")));
        vector(reader, index, owner, count)
    };
    let color = named("COLOR_0").map(|index| reader.colors(index, owner, 1.0)).transpose()?;
    let tangent = named("TANGENT").filter(|_| named("NORMAL").is_some() && use_of.bumps.is_some());
    let shape = Shape {
        primitive,
        owner: owner.to_owned(),
        vertices: Vertices {
            position: vector(reader, Some(position), owner, count)?.unwrap_or_default(),
            normal: vector(reader, named("NORMAL"), owner, count)?,
            tangent: vector(reader, tangent, owner, count)?,
            uv: [uv(0)?, uv(1)?],
            color: counted(color, owner, count)?,
        },
        uv_sets: [use_of.slots.set(0), use_of.slots.set(1)],
        corners: corners(reader, primitive, count, owner)?,
        material: use_of.material,
        bumps: use_of.bumps,
        tangents: OnceCell::new(),
    };
    check(&shape, owner)?;
    for slot in 0..2 {
        if let (Some(set), None) = (use_of.slots.set(slot), &shape.vertices.uv[slot]) {
            notes.say(format!("{owner} has no TEXCOORD_{set}: its textures there show one texel"));
        }
    }
    Ok(Some(shape))
}

/// Morph targets are read when they are used; now only whether they could be.
fn check_targets(
    reader: &Reader<'_>,
    primitive: &Primitive,
    owner: &str,
    count: u64,
    notes: &mut Notes,
) -> Result<(), SceneError> {
    for (name, &index) in primitive.targets.iter().flatten() {
        let components = match name.split('_').next() {
            Some("POSITION" | "NORMAL" | "TANGENT") => 3,
            Some("TEXCOORD") => 2,
            Some("COLOR") => reader.color_components(index, owner)?,
            _ => {
                let name = name.get(..40).unwrap_or(name).escape_debug();
                notes.say(format!("morph targets of {name} are not applied"));
                continue;
            }
        };
        if reader.check(index, owner, components)? != count {
            return Err(malformed(format!("{owner}: its morph targets have different counts")));
        }
    }
    Ok(())
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

fn check(shape: &Shape<'_>, owner: &str) -> Result<(), SceneError> {
    if let Some(at) = shape.vertices.position.iter().position(|p| p.iter().any(|c| !c.is_finite()))
    {
        return Err(malformed(format!("{owner}: the position of vertex {at} is not a number")));
    }
    for uv in shape.vertices.uv.iter().flatten() {
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
