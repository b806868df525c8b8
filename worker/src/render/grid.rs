//! Triangles and BVH as the exact intersection wants them: coordinates on a grid fine enough to be
//! invisible and coarse enough that no product is denormal, boxes that contain each triangle's own
//! padded box, child references packed. Knows no Vulkan. The reasons are in
//! `shaders/glsl/lib/bvh.glsl`.

use shaders::{ALPHA_OPAQUE, TRIANGLE_NOT_OPAQUE, TRIANGLE_SINGLE_SIDED};
use shaders::{LEAF_REFERENCE, Material, Node, Triangle};

/// Deepest BVH that the shader's stack of 64 entries can walk.
pub const DEPTH_MAX: u32 = 62;
/// Most triangles: an index has 23 bits.
pub const TRIANGLES_MAX: usize = 1 << 23;
const LEAF_TRIANGLES_MAX: u32 = 255;
/// 2^-19: from here on every f32 is a multiple of 2^-42 anyway.
const GRID_FROM: f32 = 1.0 / 524_288.0;
/// 1.5 * 2^-19: adding and taking it away leaves multiples of 2^-42.
const GRID_BIAS: f32 = 1.5 / 524_288.0;
const COORDINATE_MAX: f32 = 16_777_216.0;

/// What is wrong with a hierarchy or its triangles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    #[error("{0} triangles in one frame, at most {TRIANGLES_MAX} can be drawn; split the scene")]
    TooManyTriangles(usize),
    #[error("the bounding volume hierarchy is deeper than {DEPTH_MAX} or not a tree")]
    BrokenHierarchy,
}

/// Nodes and triangles ready for the device, and the padding of every box in metres.
#[derive(Clone, Debug)]
pub struct Grid {
    pub nodes: Vec<Node>,
    pub triangles: Vec<Triangle>,
    pub padding: f32,
}

#[derive(Clone, Copy)]
struct Bounds {
    min: [f32; 3],
    max: [f32; 3],
}

const NOWHERE: Bounds = Bounds { min: [f32::MAX; 3], max: [f32::MIN; 3] };

impl Bounds {
    fn join(self, other: Bounds) -> Bounds {
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

/// Puts triangles and their hierarchy on the grid. `materials` decide the triangles' flags.
pub fn lay(
    nodes: &[Node],
    triangles: &[Triangle],
    materials: &[Material],
) -> Result<Grid, GridError> {
    if triangles.len() > TRIANGLES_MAX {
        return Err(GridError::TooManyTriangles(triangles.len()));
    }
    let triangles: Vec<_> = triangles.iter().map(|triangle| on_grid(triangle, materials)).collect();
    let furthest = (triangles.iter())
        .flat_map(|triangle| (0..3).map(|axis| corners(triangle, axis)))
        .flatten()
        .fold(0.0_f32, |furthest, x| furthest.max(x.abs()));
    // A power of two, 2^-20 to 2^-19 of the scene's extent, and on the grid itself.
    let padding = f32::from_bits(furthest.to_bits() & 0x7f80_0000) / 524_288.0;
    let padding = padding.max(2.0_f32.powi(-30));
    let mut nodes = nodes.to_vec();
    refit(&mut nodes, &triangles, padding)?;
    Ok(Grid { nodes, triangles, padding })
}

fn on_grid(triangle: &Triangle, materials: &[Material]) -> Triangle {
    let material = materials.get(triangle.material as usize);
    let single_sided = material.is_some_and(|material| material.double_sided == 0);
    let not_opaque = material.is_some_and(|material| material.alpha_mode != ALPHA_OPAQUE);
    Triangle {
        corner: triangle.corner.map(gridded),
        edge1: triangle.edge1.map(gridded),
        edge2: triangle.edge2.map(gridded),
        pad: if single_sided { TRIANGLE_SINGLE_SIDED } else { 0 }
            | if not_opaque { TRIANGLE_NOT_OPAQUE } else { 0 },
        ..*triangle
    }
}

fn corners(triangle: &Triangle, axis: usize) -> [f32; 3] {
    let corner = triangle.corner[axis];
    [corner, corner + triangle.edge1[axis], corner + triangle.edge2[axis]]
}

/// The padded box that the shader computes for a hit triangle, by the same operations.
fn bounds(triangle: &Triangle, padding: f32) -> Bounds {
    let axes = [0, 1, 2].map(|axis| corners(triangle, axis));
    Bounds {
        min: axes.map(|[a, b, c]| a.min(b.min(c)) - padding),
        max: axes.map(|[a, b, c]| a.max(b.max(c)) + padding),
    }
}

enum Step {
    Enter { node: u32, depth: u32 },
    Leave { node: u32 },
}

/// Gives every node boxes that contain the padded boxes of its triangles, children first.
fn refit(nodes: &mut [Node], triangles: &[Triangle], padding: f32) -> Result<(), GridError> {
    let mut whole = vec![NOWHERE; nodes.len()];
    let mut entered = vec![false; nodes.len()];
    let mut steps = vec![Step::Enter { node: 0, depth: 1 }];
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter { node, depth } => {
                let at = node as usize;
                if depth > DEPTH_MAX || at >= nodes.len() || entered[at] {
                    return Err(GridError::BrokenHierarchy);
                }
                entered[at] = true;
                steps.push(Step::Leave { node });
                let children = nodes[at];
                for (first, count) in [
                    (children.left_first, children.left_count),
                    (children.right_first, children.right_count),
                ] {
                    if count == 0 {
                        steps.push(Step::Enter { node: first, depth: depth + 1 });
                    }
                }
            }
            Step::Leave { node } => {
                let at = node as usize;
                let old = nodes[at];
                let (left, left_first) =
                    child(old.left_first, old.left_count, triangles, padding, &whole)?;
                let (right, right_first) =
                    child(old.right_first, old.right_count, triangles, padding, &whole)?;
                whole[at] = left.join(right);
                nodes[at] = Node {
                    left_min: left.min,
                    left_first,
                    left_max: left.max,
                    left_count: 0,
                    right_min: right.min,
                    right_first,
                    right_max: right.max,
                    right_count: 0,
                };
            }
        }
    }
    Ok(())
}

/// A child's box and its packed reference.
fn child(
    first: u32,
    count: u32,
    triangles: &[Triangle],
    padding: f32,
    whole: &[Bounds],
) -> Result<(Bounds, u32), GridError> {
    if count == 0 {
        return Ok((whole[first as usize], first));
    }
    let end = (first as usize).checked_add(count as usize);
    let run = end.and_then(|end| triangles.get(first as usize..end));
    let run = run.filter(|_| count <= LEAF_TRIANGLES_MAX).ok_or(GridError::BrokenHierarchy)?;
    let around = run.iter().map(|triangle| bounds(triangle, padding)).fold(NOWHERE, Bounds::join);
    Ok((around, LEAF_REFERENCE | (count << 23) | first))
}
