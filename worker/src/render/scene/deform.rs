//! Vertices in a pose: morph targets (glTF 2.0 §3.7.2.2), then skins (§3.7.3.3). Knows no
//! triangles.

use super::accessor::Reader;
use super::fault::{SceneError, malformed, too_large};
use super::gltf::item;
use super::matrix::{self, Affine, Vec3};
use super::mesh::{Shape, Vertices};
use super::tangent;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most vertices that all morph targets and sets of joints of a frame move.
pub const DEFORMATIONS_MAX: u64 = 1 << 28;
/// Most vertices of one skinned shape, times its sets of joints.
pub const SKINNED_MAX: u64 = 1 << 24;

/// A shape's vertices where one node shows them: `vertices` still go through `world`.
pub struct Posed<'a> {
    pub vertices: Cow<'a, Vertices>,
    /// By corner, where there are none by vertex.
    pub tangents: Option<Cow<'a, [[f32; 4]]>>,
    pub world: Affine,
    /// Whether triangles turn over on the way.
    pub mirrors: bool,
    /// Whether joints have placed it in the world already.
    pub skinned: bool,
}

impl Posed<'_> {
    /// Puts it somewhere else.
    pub fn put(&mut self, world: Affine) {
        (self.world, self.mirrors) = (world, world.mirrors());
    }

    /// The tangent at a corner of a triangle, if the file has one or one could be made.
    pub fn tangent(&self, triangle: usize, corner: usize, vertex: u32) -> Option<[f32; 4]> {
        match (&self.vertices.tangent, &self.tangents) {
            (Some(all), _) => all.get(vertex as usize).copied(),
            (None, Some(all)) => all.get(triangle * 3 + corner).copied(),
            (None, None) => None,
        }
    }
}

/// Poses shapes; counts what that costs.
pub struct Deformer<'a> {
    pub reader: Reader<'a>,
    pub left: u64,
}

impl Deformer<'_> {
    /// A shape under a node's matrix with the weights of its morph targets; joints, where it is
    /// skinned, take the place of the node's matrix.
    pub fn pose<'s>(
        &mut self,
        shape: &'s Shape<'_>,
        world: Affine,
        weights: &[f64],
        joints: Option<&[Affine]>,
    ) -> Result<Posed<'s>, SceneError> {
        let vertices = self.morph(shape, weights)?;
        let tangents = tangents(shape, &vertices)?;
        let sets = joint_sets(shape);
        match joints {
            Some(joints) if sets > 0 => {
                self.spend(shape, sets)?;
                let sets = self.influences(shape, joints.len(), sets)?;
                let map = |vertex: usize| blend(&sets, vertex, joints);
                let corners = shape.corners.iter().flatten().map(|vertex| map(*vertex as usize));
                let tangents = tangents.map(|all| all.iter().zip(corners).map(turned).collect());
                Ok(Posed {
                    vertices: Cow::Owned(skin(&vertices, map)),
                    tangents,
                    world: Affine::IDENTITY,
                    // A skin mirrors if its first joint does.
                    mirrors: joints.first().is_some_and(Affine::mirrors),
                    skinned: true,
                })
            }
            _ => Ok(Posed { vertices, tangents, world, mirrors: world.mirrors(), skinned: false }),
        }
    }

    fn spend(&mut self, shape: &Shape<'_>, times: usize) -> Result<(), SceneError> {
        let cost = shape.vertices.position.len() as u64 * times as u64;
        self.left = self.left.checked_sub(cost).ok_or_else(too_much)?;
        Ok(())
    }

    fn morph<'s>(
        &mut self,
        shape: &'s Shape<'_>,
        weights: &[f64],
    ) -> Result<Cow<'s, Vertices>, SceneError> {
        let targets = shape.primitive.targets.iter().zip(weights).filter(|(_, by)| **by != 0.0);
        let targets: Vec<_> = targets.collect();
        if targets.is_empty() {
            return Ok(Cow::Borrowed(&shape.vertices));
        }
        self.spend(shape, targets.len())?;
        let base = &shape.vertices;
        let vectors = |name: &str, base: &[[f32; 3]]| {
            moved(base, &targets, name, |index| self.reader.floats(index, &shape.owner))
        };
        let tangent = |all: &Vec<[f32; 4]>| -> Result<Vec<[f32; 4]>, SceneError> {
            let along: Vec<_> = all.iter().map(|[x, y, z, _]| [*x, *y, *z]).collect();
            let along = vectors("TANGENT", &along)?;
            Ok(along.iter().zip(all).map(|([x, y, z], old)| [*x, *y, *z, old[3]]).collect())
        };
        let uv = |slot: usize| {
            let Some(all) = &base.uv[slot] else { return Ok(None) };
            let name = format!("TEXCOORD_{}", shape.uv_sets[slot].unwrap_or_default());
            let read = |index| self.reader.floats(index, &shape.owner);
            moved(all, &targets, &name, read).map(Some)
        };
        let color = |all: &Vec<[f32; 4]>| {
            // What a target lacks it does not move.
            let read = |index| self.reader.colors(index, &shape.owner, 0.0);
            moved(all, &targets, "COLOR_0", read)
        };
        Ok(Cow::Owned(Vertices {
            position: vectors("POSITION", &base.position)?,
            normal: base.normal.as_ref().map(|all| vectors("NORMAL", all)).transpose()?,
            tangent: base.tangent.as_ref().map(tangent).transpose()?,
            uv: [uv(0)?, uv(1)?],
            color: base.color.as_ref().map(color).transpose()?,
        }))
    }

    /// The sets of joints and weights of a shape, each joint known to be there.
    fn influences(
        &self,
        shape: &Shape<'_>,
        joints: usize,
        sets: usize,
    ) -> Result<Vec<Influences>, SceneError> {
        let (owner, count) = (&shape.owner, shape.vertices.position.len());
        if (count * sets) as u64 > SKINNED_MAX {
            return Err(too_large(format!("{owner} has more than {SKINNED_MAX} sets of joints")));
        }
        let mut all = Vec::new();
        for set in 0..sets {
            let named = |name: &str| shape.primitive.attributes.get(&format!("{name}_{set}"));
            let (Some(&index), Some(&weights)) = (named("JOINTS"), named("WEIGHTS")) else {
                return Err(malformed(format!("{owner} has JOINTS_{set} without weights")));
            };
            let influences = Influences {
                joints: self.reader.integer_vectors::<4>(index, owner)?,
                weights: self.reader.floats::<4>(weights, owner)?,
            };
            if influences.joints.len() != count || influences.weights.len() != count {
                return Err(malformed(format!("{owner}: its attributes have different counts")));
            }
            if let Some(joint) = influences.missing(joints) {
                return Err(malformed(format!(
                    "{owner}: a vertex hangs on joint {joint} of {joints}"
                )));
            }
            all.push(influences);
        }
        Ok(all)
    }

    /// The matrices of a skin's joints, from where a mesh was bound to where they stand now.
    pub fn joints(
        &mut self,
        index: u32,
        worlds: &[Affine],
        owner: &str,
    ) -> Result<Vec<Affine>, SceneError> {
        let reader = &self.reader;
        let skin = item(&reader.document.skins, index, "skin", owner)?;
        let (owner, count) = (format!("skin {index}"), skin.joints.len() as u64);
        let bound = skin.inverse_bind_matrices;
        let reading = bound.map_or(Ok(0), |index| reader.window_cost(index, &owner, count))?;
        self.left = self.left.checked_sub(count.max(reading)).ok_or_else(too_much)?;
        let mut inverse = vec![Affine::IDENTITY; skin.joints.len()];
        if let Some(accessor) = bound {
            let read = reader.window::<16>(accessor, &owner, (0, count))?;
            for (joint, (map, columns)) in inverse.iter_mut().zip(read).enumerate() {
                *map = inverse_bind(columns).ok_or_else(|| {
                    malformed(format!("{owner}: the inverse bind matrix {joint} is not affine"))
                })?;
            }
        }
        let joints = skin.joints.iter().zip(&inverse);
        joints.map(|(&node, bound)| Ok(item(worlds, node, "node", &owner)?.after(bound))).collect()
    }
}

/// An attribute with what targets move it by, each as far as its weight.
fn moved<const N: usize>(
    base: &[[f32; N]],
    targets: &[(&BTreeMap<String, u32>, &f64)],
    name: &str,
    read: impl Fn(u32) -> Result<Vec<[f32; N]>, SceneError>,
) -> Result<Vec<[f32; N]>, SceneError> {
    let mut sums: Vec<[f64; N]> = base.iter().map(|all| all.map(f64::from)).collect();
    for (target, by) in targets {
        let Some(&index) = target.get(name) else { continue };
        for (sum, moves) in sums.iter_mut().zip(read(index)?) {
            for (sum, moves) in sum.iter_mut().zip(moves) {
                *sum += f64::from(moves) * **by;
            }
        }
    }
    Ok(sums.into_iter().map(|sum| sum.map(matrix::single)).collect())
}

/// Tangents by corner for vertices that have none; those of the shape itself are kept with it.
fn tangents<'s>(
    shape: &'s Shape<'_>,
    vertices: &Cow<'s, Vertices>,
) -> Result<Option<Cow<'s, [[f32; 4]]>>, SceneError> {
    if shape.bumps.is_none() || vertices.tangent.is_some() {
        return Ok(None);
    }
    if let Cow::Owned(vertices) = vertices {
        return Ok(tangent::generate(shape, vertices)?.map(Cow::Owned));
    }
    if shape.tangents.get().is_none() {
        // It was empty a line above.
        let _ = shape.tangents.set(tangent::generate(shape, vertices)?);
    }
    Ok(shape.tangents.get().and_then(|made| made.as_deref()).map(Cow::Borrowed))
}

/// Vertices moved each by its map.
fn skin(base: &Vertices, map: impl Fn(usize) -> Affine) -> Vertices {
    let mut skinned = Vertices {
        position: Vec::with_capacity(base.position.len()),
        normal: base.normal.as_ref().map(|_| Vec::new()),
        tangent: base.tangent.as_ref().map(|_| Vec::new()),
        uv: base.uv.clone(),
        color: base.color.clone(),
    };
    for (vertex, point) in base.position.iter().enumerate() {
        let map = map(vertex);
        skinned.position.push(matrix::single3(map.point(matrix::double3(*point))));
        if let (Some(from), Some(to)) = (&base.normal, &mut skinned.normal) {
            to.push(even(map.normal(matrix::double3(from[vertex]))));
        }
        if let (Some(from), Some(to)) = (&base.tangent, &mut skinned.tangent) {
            to.push(turned((&from[vertex], map)));
        }
    }
    skinned
}

fn turned(([x, y, z, w], map): (&[f32; 4], Affine)) -> [f32; 4] {
    let [x, y, z] = even(map.direction(matrix::double3([*x, *y, *z])));
    [x, y, z, *w]
}

/// One set of joints and their weights, by vertex.
struct Influences {
    joints: Vec<[u32; 4]>,
    weights: Vec<[f32; 4]>,
}

impl Influences {
    /// A joint with a weight that a skin of so many joints lacks.
    fn missing(&self, joints: usize) -> Option<u32> {
        let all = self.joints.iter().flatten().zip(self.weights.iter().flatten());
        let mut used = all.filter(|(_, weight)| counts(**weight)).map(|(joint, _)| *joint);
        used.find(|joint| *joint as usize >= joints)
    }

    fn at(&self, vertex: usize) -> impl Iterator<Item = (usize, f64)> {
        let four = self.joints[vertex].into_iter().zip(self.weights[vertex]);
        four.filter(|(_, weight)| counts(*weight))
            .map(|(joint, weight)| (joint as usize, f64::from(weight)))
    }
}

fn counts(weight: f32) -> bool {
    weight > 0.0 && weight.is_finite()
}

/// The map of a vertex: its joints' by their weights, which are made to sum to 1. Without any
/// weight it hangs on the first joint.
fn blend(sets: &[Influences], vertex: usize, joints: &[Affine]) -> Affine {
    let parts = || sets.iter().flat_map(|set| set.at(vertex));
    let sum: f64 = parts().map(|(_, weight)| weight).sum();
    if sum > 0.0 {
        Affine::blend(parts().map(|(joint, weight)| (joints[joint], weight / sum)))
    } else {
        joints.first().copied().unwrap_or(Affine::IDENTITY)
    }
}

fn too_much() -> SceneError {
    too_large(format!("its skins and morph targets move more than {DEFORMATIONS_MAX} vertices"))
}

/// A direction without its length, so that it survives being an f32.
fn even(direction: Vec3) -> [f32; 3] {
    matrix::single3(matrix::unit(direction).unwrap_or([0.0; 3]))
}

/// How many sets of joints and weights a shape has.
fn joint_sets(shape: &Shape<'_>) -> usize {
    let has = |set: &usize| shape.primitive.attributes.contains_key(&format!("JOINTS_{set}"));
    (0..).take_while(has).count()
}

/// Exporters leave rounding errors in the last row, which is always 0, 0, 0, 1.
fn inverse_bind(columns: [f32; 16]) -> Option<Affine> {
    const SLACK: f32 = 1e-3;
    let last = [columns[3], columns[7], columns[11], columns[15] - 1.0];
    let mut columns = columns.map(f64::from);
    (columns[3], columns[7], columns[11], columns[15]) = (0.0, 0.0, 0.0, 1.0);
    let sound = last.iter().all(|c| c.abs() <= SLACK) && columns.iter().all(|c| c.is_finite());
    if sound { Affine::from_columns(columns) } else { None }
}
