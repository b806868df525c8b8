//! The hierarchy as the device walks it: eight children to a node, their boxes in bytes relative to
//! the node's (H. Ylitie, T. Karras, S. Laine, "Efficient Incoherent Ray Traversal on GPUs Through
//! Compressed Wide BVHs", 2017). A box in bytes holds the box it stands for, so the nearest hit
//! does not change; `shaders/glsl/lib/bvh.glsl` says why. Knows no Vulkan.

use super::grid::Bounds;
use shaders::{Node, Triangle, WideNode};

/// Children of a node.
const WIDTH: usize = 8;
/// Cost of a node, in triangle tests, when it is decided which nodes to merge.
const NODE_COST: f32 = 3.0;
/// Finest step of a box's bytes: 2^-42, the grid of all coordinates.
const EXPONENT_MIN: u32 = 127 - 42;

/// Count of a part that is a place where a mesh stands; its `first` is the place's number.
pub const PLACE: u32 = u32::MAX;
/// Cost of a place, in triangle tests.
const PLACE_COST: f32 = 24.0;

/// Part of the binary hierarchy: an inner node, a run of triangles, or a place.
#[derive(Clone, Copy, Debug)]
struct Part {
    bounds: Bounds,
    first: u32,
    count: u32,
}

fn parts(node: &Node) -> [Part; 2] {
    [
        Part {
            bounds: Bounds { min: node.left_min, max: node.left_max },
            first: node.left_first,
            count: node.left_count,
        },
        Part {
            bounds: Bounds { min: node.right_min, max: node.right_max },
            first: node.right_first,
            count: node.right_count,
        },
    ]
}

/// What a subtree costs as a forest of at most so many trees (index 1 to 7), in expected triangle
/// tests times area, and how many of them the left side should be (0: one tree fewer is no dearer).
#[derive(Clone, Copy, Default)]
struct Plan {
    cost: [f32; WIDTH],
    left: [u8; WIDTH + 1],
}

/// A hierarchy of eight.
#[derive(Default)]
pub struct Wide {
    pub nodes: Vec<WideNode>,
    /// In a new order.
    pub triangles: Vec<Triangle>,
    /// Nodes that stand for places, and which.
    pub places: Vec<(usize, u32)>,
}

/// Merges the nodes of a binary hierarchy, whose children come after their parents and whose runs
/// have at most [`shaders::WIDE_LEAF_MAX`] triangles.
pub fn widen(nodes: &[Node], triangles: &[Triangle]) -> Wide {
    let plans = plan(nodes);
    let mut wide = Wide { nodes: vec![WideNode::default()], ..Wide::default() };
    wide.triangles.reserve(triangles.len());
    let mut waiting = vec![(0_usize, 0_u32)];
    while let Some((place, node)) = waiting.pop() {
        let mut children = Vec::with_capacity(WIDTH);
        gather(nodes, &plans, node, WIDTH, &mut children);
        let around = children.iter().fold(Bounds::NOWHERE, |all, child| all.join(child.bounds));
        let mut made = frame(&around);
        made.child_first = wide.nodes.len() as u32;
        made.triangle_first = wide.triangles.len() as u32;
        for (slot, child) in placed(&around, &children).into_iter().enumerate() {
            let Some(child) = child else { continue };
            squeeze(&mut made, slot, &child.bounds);
            if child.count == 0 || child.count == PLACE {
                made.inner |= 1 << slot;
                made.meta[slot] = (1 << 5) | (24 + slot as u8);
                match child.count {
                    0 => waiting.push((wide.nodes.len(), child.first)),
                    _ => wide.places.push((wide.nodes.len(), child.first)),
                }
                wide.nodes.push(WideNode::default());
            } else {
                let offset = wide.triangles.len() as u32 - made.triangle_first;
                made.meta[slot] = (((1 << child.count) - 1) << 5) as u8 | offset as u8;
                let run = child.first as usize..(child.first + child.count) as usize;
                wide.triangles.extend_from_slice(&triangles[run]);
            }
        }
        wide.nodes[place] = made;
    }
    wide
}

/// Cheapest forests of every subtree, children first (the paper's §3.1).
fn plan(nodes: &[Node]) -> Vec<Plan> {
    let mut plans = vec![Plan::default(); nodes.len()];
    for at in (0..nodes.len()).rev() {
        let [left, right] = parts(&nodes[at]);
        let cost = |part: &Part, trees: usize| match part.count {
            0 => plans[part.first as usize].cost[trees],
            PLACE => part.bounds.half_area() * PLACE_COST,
            count => part.bounds.half_area() * count as f32,
        };
        let split = |trees: usize| {
            let most = trees.min(WIDTH);
            let ways = (1..most).map(|k| (cost(&left, k) + cost(&right, most - k), k as u8));
            ways.min_by(|a, b| a.0.total_cmp(&b.0)).expect("two trees or more")
        };
        let mut plan = Plan::default();
        let (below, all) = split(WIDTH);
        plan.cost[1] = below + left.bounds.join(right.bounds).half_area() * NODE_COST;
        plan.left[WIDTH] = all;
        for trees in 2..WIDTH {
            let (cost, left) = split(trees);
            let fewer = plan.cost[trees - 1];
            plan.cost[trees] = cost.min(fewer);
            plan.left[trees] = if cost < fewer { left } else { 0 };
        }
        plans[at] = plan;
    }
    plans
}

/// The parts that become this node's children, as many as `trees`.
fn gather(nodes: &[Node], plans: &[Plan], node: u32, trees: usize, into: &mut Vec<Part>) {
    let plan = &plans[node as usize];
    let share = (1..=trees).rev().map(|trees| (trees, plan.left[trees])).find(|(_, k)| *k > 0);
    let (trees, left) = share.expect("a node is cut in two or more");
    let shares = [usize::from(left), trees - usize::from(left)];
    for (part, share) in parts(&nodes[node as usize]).into_iter().zip(shares) {
        let opens =
            part.count == 0 && (2..=share).any(|trees| plans[part.first as usize].left[trees] > 0);
        if opens {
            gather(nodes, plans, part.first, share, into);
        } else {
            into.push(part);
        }
    }
}

/// Gives children the slots in which rays of each octant meet them about in order: bit 2 of a slot
/// is for x, bit 1 for y, bit 0 for z, set for what rays towards minus meet first.
fn placed(around: &Bounds, children: &[Part]) -> [Option<Part>; WIDTH] {
    let middle =
        |bounds: &Bounds| [0, 1, 2].map(|axis| bounds.min[axis] / 2.0 + bounds.max[axis] / 2.0);
    let centre = middle(around);
    let along = |child: &Part, slot: usize| {
        let away = middle(&child.bounds);
        let signs = [4, 2, 1].map(|bit| if slot & bit == 0 { 1.0 } else { -1.0 });
        (0..3).map(|axis| (away[axis] - centre[axis]) * signs[axis]).sum::<f32>()
    };
    let mut slots = [None; WIDTH];
    let mut left: Vec<usize> = (0..children.len()).collect();
    while !left.is_empty() {
        let pairs = left.iter().enumerate().flat_map(|(nth, child)| {
            let free = (0..WIDTH).filter(|slot| slots[*slot].is_none());
            free.map(move |slot| (nth, slot, *child))
        });
        let best = pairs
            .map(|(nth, slot, child)| (along(&children[child], slot), nth, slot))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, nth, slot)) = best else { break };
        slots[slot] = Some(children[left.swap_remove(nth)]);
    }
    slots
}

/// A node whose bytes reach from its lowest corner over the whole box.
fn frame(around: &Bounds) -> WideNode {
    let mut made = WideNode::default();
    for axis in 0..3 {
        let (low, high) = (around.min[axis], around.max[axis]);
        if low > high {
            continue;
        }
        let mut exponent = EXPONENT_MIN;
        while unpacked(low, exponent, 255) < high {
            exponent += 1;
        }
        made.origin[axis] = low;
        made.exponent[axis] = exponent as u8;
    }
    made
}

/// A coordinate from its byte, by the same operations as in the shader.
fn unpacked(origin: f32, exponent: u32, byte: u8) -> f32 {
    origin + f32::from(byte) * f32::from_bits(exponent << 23)
}

/// Writes a child's box in bytes that hold it.
fn squeeze(made: &mut WideNode, slot: usize, bounds: &Bounds) {
    for axis in 0..3 {
        let (origin, exponent) = (made.origin[axis], u32::from(made.exponent[axis]));
        let step = f64::from(f32::from_bits(exponent << 23));
        let steps = |x: f32| (f64::from(x) - f64::from(origin)) / step;
        let mut low = steps(bounds.min[axis]).floor().clamp(0.0, 255.0) as u8;
        while low > 0 && unpacked(origin, exponent, low) > bounds.min[axis] {
            low -= 1;
        }
        let mut high = steps(bounds.max[axis]).ceil().clamp(0.0, 255.0) as u8;
        while high < 255 && unpacked(origin, exponent, high) < bounds.max[axis] {
            high += 1;
        }
        made.low[axis][slot] = low;
        made.high[axis][slot] = high;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{grid, scene::Moving, scene::Repeated, scene::bvh};
    use super::*;
    use proptest::prelude::*;

    /// Walks the tree: every child's box holds what is under it; gives the primitives met.
    fn walk(nodes: &[WideNode], triangles: &[Triangle], padding: f32) -> Vec<u32> {
        let mut met = Vec::new();
        let mut waiting = vec![(0, Bounds { min: [f32::MIN; 3], max: [f32::MAX; 3] })];
        while let Some((at, outer)) = waiting.pop() {
            let node: &WideNode = &nodes[at];
            let mut inner = 0;
            for slot in 0..WIDTH {
                let side = |bytes: &[[u8; 8]; 3]| {
                    [0, 1, 2].map(|axis| {
                        let exponent = u32::from(node.exponent[axis]);
                        unpacked(node.origin[axis], exponent, bytes[axis][slot])
                    })
                };
                let bounds = Bounds { min: side(&node.low), max: side(&node.high) };
                let meta = node.meta[slot];
                if meta & 24 == 24 {
                    assert_eq!(node.inner >> slot & 1, 1);
                    waiting.push((node.child_first as usize + inner, bounds));
                    inner += 1;
                } else {
                    let first = node.triangle_first as usize + usize::from(meta & 31);
                    let run = first..first + (meta >> 5).count_ones() as usize;
                    for triangle in &triangles[run] {
                        let own = grid::bounds(triangle, padding);
                        assert!(outer.holds(&own) && bounds.holds(&own));
                        met.push(triangle.primitive);
                    }
                }
            }
        }
        met.sort_unstable();
        // A lone leaf is both children of the root.
        met.dedup_by(|a, b| a == b && nodes.len() == 1);
        met
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_triangle_is_in_one_leaf_whose_boxes_hold_it(
            corners in proptest::collection::vec(prop::array::uniform3(-1.0..1.0f32), 2..300),
            edges in prop::array::uniform3(-0.5..0.5f32),
            scale in -30..20i32,
            offset in prop::array::uniform3(-1e4..1e4f32),
        ) {
            let size = libm::ldexpf(1.0, scale);
            let all: Vec<Triangle> = (0..).zip(&corners).map(|(primitive, corner)| Triangle {
                corner: [0, 1, 2].map(|axis| corner[axis] * size + offset[axis]),
                primitive,
                edge1: edges.map(|edge| edge * size),
                material: 0,
                edge2: corner.map(|edge| edge * size),
                flags: 0,
            }).collect();
            let still = Moving::default();
            let (nodes, ordered) = bvh::build(&all, &still);
            let laid = grid::lay(&nodes, &ordered, &[], &still, &Repeated::default()).unwrap();
            let met = walk(&laid.nodes, &laid.triangles, laid.padding);
            prop_assert!(met.into_iter().eq(0..all.len() as u32));
        }
    }
}
