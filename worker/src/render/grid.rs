//! Triangles and BVH as the exact intersection wants them: coordinates on a grid fine enough to be
//! invisible and coarse enough that no product is denormal, boxes that contain each triangle's own
//! padded box. Knows no Vulkan. The reasons are in
//! `shaders/glsl/lib/bvh.glsl`.

use super::scene::repeated::{Place, Repeated};
use super::scene::{Moving, bvh, triangle};
use super::wide::{self, PLACE, Wide};
use bytemuck::Zeroable;
use shaders::{ALPHA_OPAQUE, TRIANGLE_NOT_OPAQUE, TRIANGLE_SINGLE_SIDED};
use shaders::{INSTANCE_MARK, Instance, Material, MotionKey, Node, Triangle};
use shaders::{WIDE_LEAF_MAX, WideNode};

/// Most triangles in one frame.
pub const TRIANGLES_MAX: usize = 1 << 23;
/// 2^-19: from here on every f32 is a multiple of 2^-42 anyway.
const GRID_FROM: f32 = 1.0 / 524_288.0;
/// 1.5 * 2^-19: adding and taking it away leaves multiples of 2^-42.
const GRID_BIAS: f32 = 1.5 / 524_288.0;
const COORDINATE_MAX: f32 = 16_777_216.0;
/// Most triangles of places that are looked at for the scene's extent; then boxes must do.
const LOOKS_MAX: usize = 1 << 26;

/// What is wrong with a hierarchy or its triangles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    #[error("{0} triangles in one frame, at most {TRIANGLES_MAX} can be drawn; split the scene")]
    TooManyTriangles(usize),
    #[error("the bounding volume hierarchy is not a tree of small runs of triangles")]
    BrokenHierarchy,
}

/// Nodes and triangles ready for the device, and the padding of every box in metres.
#[derive(Clone, Debug)]
pub struct Grid {
    pub nodes: Vec<WideNode>,
    pub triangles: Vec<Triangle>,
    pub moving: Moving,
    pub padding: f32,
}

/// A box.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub min: [f32; 3],
    pub max: [f32; 3],
}

impl Bounds {
    /// Holds nothing.
    pub const NOWHERE: Bounds = Bounds { min: [f32::MAX; 3], max: [f32::MIN; 3] };

    /// Half its surface.
    pub fn half_area(&self) -> f32 {
        let [x, y, z] = [0, 1, 2].map(|axis| self.max[axis] - self.min[axis]);
        if x < 0.0 { 0.0 } else { x * y + y * z + z * x }
    }

    #[cfg(test)]
    pub fn holds(&self, other: &Bounds) -> bool {
        (0..3).all(|axis| self.min[axis] <= other.min[axis] && other.max[axis] <= self.max[axis])
    }

    /// The box around both.
    pub fn join(self, other: Bounds) -> Bounds {
        Bounds {
            min: [0, 1, 2].map(|axis| self.min[axis].min(other.min[axis])),
            max: [0, 1, 2].map(|axis| self.max[axis].max(other.max[axis])),
        }
    }
}

/// A coordinate on the grid; NaN becomes 0.
pub fn gridded(x: f32) -> f32 {
    if x.abs() >= GRID_FROM {
        x.clamp(-COORDINATE_MAX, COORDINATE_MAX)
    } else {
        super::exact::tidy((x + GRID_BIAS) - GRID_BIAS)
    }
}

/// Puts triangles and their hierarchy on the grid, the hierarchy as the device walks it.
/// `materials` decide the triangles' flags.
pub fn lay(
    nodes: &[Node],
    triangles: &[Triangle],
    materials: &[Material],
    moving: &Moving,
    repeated: &Repeated,
) -> Result<Grid, GridError> {
    let own = repeated.patterns.iter().map(|pattern| pattern.triangles.len());
    let count = triangles.len() + own.sum::<usize>();
    if count > TRIANGLES_MAX {
        return Err(GridError::TooManyTriangles(count));
    }
    let triangles: Vec<_> = triangles.iter().map(|triangle| on_grid(triangle, materials)).collect();
    let keys = moving.keys.iter().map(key_on_grid).collect();
    let moving = Moving { keys, ..*moving };
    let furthest = (triangles.iter().copied().chain(moving.keys.iter().map(at_key)))
        .flat_map(|triangle| [0, 1, 2].map(|axis| corners(&triangle, axis)))
        .flatten()
        .fold(0.0_f32, |furthest, x| furthest.max(x.abs()));
    let furthest = furthest_place(repeated, furthest);
    // A power of two, 2^-20 to 2^-19 of the scene's extent, and on the grid itself.
    let padding = f32::from_bits(furthest.to_bits() & 0x7f80_0000) / 524_288.0;
    let padding = padding.max(2.0_f32.powi(-30));
    let mut nodes = nodes.to_vec();
    refit(&mut nodes, &triangles, |triangle| along_way(triangle, &moving, padding))?;
    let boxes: Vec<_> = repeated
        .places
        .iter()
        .map(|place| {
            let around = place.around(&repeated.patterns[place.pattern as usize].bounds);
            // As the shader has it for the nodes of a mesh.
            triangle::Bounds {
                min: around.min.map(|x| x - 2.0 * padding),
                max: around.max.map(|x| x + 2.0 * padding),
            }
        })
        .collect();
    let mut wide = wide::widen(&with_places(nodes, &boxes), &triangles);
    stand(&mut wide, repeated, materials)?;
    let Wide { nodes, triangles, .. } = wide;
    Ok(Grid { nodes, triangles, moving, padding })
}

/// The farthest coordinate of what stands in many places, if it is farther than `so_far`: exact,
/// for it decides the padding, but looked for only where that might change.
fn furthest_place(repeated: &Repeated, so_far: f32) -> f32 {
    let exponent = |x: f32| x.to_bits() >> 23;
    let (mut furthest, mut left) = (so_far, LOOKS_MAX);
    for place in &repeated.places {
        let pattern = &repeated.patterns[place.pattern as usize];
        let around = place.around(&pattern.bounds);
        // What is put on the grid strays by rounding.
        let sides = around.min.into_iter().chain(around.max);
        let most = sides.fold(0.0_f32, |most, x| most.max(x.abs())) * 1.000_01;
        if exponent(most) <= exponent(furthest) {
            continue;
        }
        let Some(rest) = left.checked_sub(pattern.triangles.len()) else {
            furthest = most;
            continue;
        };
        left = rest;
        for own in &pattern.triangles {
            let there = on_grid(&place.triangle(own), &[]);
            let sides = [0, 1, 2].map(|axis| corners(&there, axis));
            furthest = sides.into_iter().flatten().fold(furthest, |most, x| most.max(x.abs()));
        }
    }
    furthest
}

/// A hierarchy, and one over the boxes of places, below one root.
fn with_places(nodes: Vec<Node>, boxes: &[triangle::Bounds]) -> Vec<Node> {
    if boxes.is_empty() {
        return nodes;
    }
    let mut above = bvh::build_over(boxes);
    for node in &mut above {
        for count in [&mut node.left_count, &mut node.right_count] {
            *count = if *count > 0 { PLACE } else { 0 };
        }
    }
    let whole = |node: &Node| {
        let left = Bounds { min: node.left_min, max: node.left_max };
        left.join(Bounds { min: node.right_min, max: node.right_max })
    };
    let (left, right) = (whole(&nodes[0]), whole(&above[0]));
    let right_first = nodes.len() as u32 + 1;
    let root = Node {
        left_min: left.min,
        left_first: 1,
        left_max: left.max,
        left_count: 0,
        right_min: right.min,
        right_first,
        right_max: right.max,
        right_count: 0,
    };
    let moved = |node: Node, by: u32| Node {
        left_first: if node.left_count == 0 { node.left_first + by } else { node.left_first },
        right_first: if node.right_count == 0 { node.right_first + by } else { node.right_first },
        ..node
    };
    let below = nodes.into_iter().map(|node| moved(node, 1));
    let above = above.into_iter().map(|node| moved(node, right_first));
    [root].into_iter().chain(below).chain(above).collect()
}

/// Adds the hierarchies of patterns, and says where they stand.
fn stand(wide: &mut Wide, repeated: &Repeated, materials: &[Material]) -> Result<(), GridError> {
    let mut roots = Vec::with_capacity(repeated.patterns.len());
    for pattern in &repeated.patterns {
        let mut nodes = pattern.nodes.clone();
        let flagged = pattern.triangles.iter().map(|own| flagged(*own, materials));
        let triangles: Vec<_> = flagged.collect();
        refit(&mut nodes, &triangles, |own| {
            let vertices = [own.corner, own.edge1, own.edge2].map(|p| Bounds { min: p, max: p });
            vertices.into_iter().fold(Bounds::NOWHERE, Bounds::join)
        })?;
        let own = wide::widen(&nodes, &triangles);
        let (node_first, first) = (wide.nodes.len() as u32, wide.triangles.len() as u32);
        roots.push(node_first);
        wide.nodes.extend(own.nodes.into_iter().map(|node| WideNode {
            child_first: node.child_first + node_first,
            triangle_first: node.triangle_first + first,
            ..node
        }));
        wide.triangles.extend(own.triangles);
    }
    for (node, number) in &wide.places {
        let Place { pattern, columns, mirrors, primitive_first, object } =
            repeated.places[*number as usize];
        let surface_first = repeated.patterns[pattern as usize].surface_first;
        wide.nodes[*node] = bytemuck::cast(Instance {
            root: roots[pattern as usize],
            primitive_first,
            pad: 0,
            mark: INSTANCE_MARK,
            columns,
            surface_shift: surface_first.wrapping_sub(primitive_first),
            mirrors: u32::from(mirrors),
            object,
            pad_end: 0,
        });
    }
    Ok(())
}

fn key_on_grid(key: &MotionKey) -> MotionKey {
    MotionKey {
        corner: key.corner.map(gridded),
        edge1: key.edge1.map(gridded),
        edge2: key.edge2.map(gridded),
        ..*key
    }
}

/// Where a triangle is at a key.
fn at_key(key: &MotionKey) -> Triangle {
    let MotionKey { corner, edge1, edge2, .. } = *key;
    Triangle { corner, edge1, edge2, ..Triangle::zeroed() }
}

/// The box that holds every padded box of a triangle on its way. Between keys it strays from a
/// straight line by rounding only, for which there is as much padding again.
fn along_way(triangle: &Triangle, moving: &Moving, padding: f32) -> Bounds {
    let way = moving.way(triangle).iter().map(|key| bounds(&at_key(key), padding * 2.0));
    way.fold(bounds(triangle, padding), Bounds::join)
}

fn on_grid(triangle: &Triangle, materials: &[Material]) -> Triangle {
    let Triangle { corner, edge1, edge2, .. } = *triangle;
    Triangle {
        corner: corner.map(gridded),
        edge1: edge1.map(gridded),
        edge2: edge2.map(gridded),
        ..flagged(*triangle, materials)
    }
}

/// With the flags that its material decides.
fn flagged(triangle: Triangle, materials: &[Material]) -> Triangle {
    let material = materials.get(triangle.material as usize);
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    let single_sided = material.is_some_and(|material| material.double_sided == 0);
    let not_opaque = material.is_some_and(|material| material.alpha_mode != ALPHA_OPAQUE);
    Triangle {
        flags: triangle.flags
            | flag(single_sided, TRIANGLE_SINGLE_SIDED)
            | flag(not_opaque, TRIANGLE_NOT_OPAQUE),
        ..triangle
    }
}

fn corners(triangle: &Triangle, axis: usize) -> [f32; 3] {
    let corner = triangle.corner[axis];
    [corner, corner + triangle.edge1[axis], corner + triangle.edge2[axis]]
}

/// The padded box that the shader computes for a hit triangle, by the same operations.
pub fn bounds(triangle: &Triangle, padding: f32) -> Bounds {
    let axes = [0, 1, 2].map(|axis| corners(triangle, axis));
    Bounds {
        min: axes.map(|[a, b, c]| a.min(b.min(c)) - padding),
        max: axes.map(|[a, b, c]| a.max(b.max(c)) + padding),
    }
}

/// Gives every node boxes that contain the padded boxes of its triangles, children first.
fn refit(
    nodes: &mut [Node],
    triangles: &[Triangle],
    bounds: impl Fn(&Triangle) -> Bounds,
) -> Result<(), GridError> {
    let mut whole = vec![Bounds::NOWHERE; nodes.len()];
    for at in (0..nodes.len()).rev() {
        let node = nodes[at];
        let around = |first: u32, count: u32| match count {
            0 => whole.get(first as usize).filter(|_| first as usize > at).copied(),
            1..=WIDE_LEAF_MAX => {
                let end = first.checked_add(count)?;
                let run = triangles.get(first as usize..end as usize)?;
                let each = run.iter().map(&bounds);
                Some(each.fold(Bounds::NOWHERE, Bounds::join))
            }
            _ => None,
        };
        let left = around(node.left_first, node.left_count).ok_or(GridError::BrokenHierarchy)?;
        let right = around(node.right_first, node.right_count).ok_or(GridError::BrokenHierarchy)?;
        whole[at] = left.join(right);
        nodes[at] = Node {
            left_min: left.min,
            left_max: left.max,
            right_min: right.min,
            right_max: right.max,
            ..node
        };
    }
    Ok(())
}
