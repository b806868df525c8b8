//! A bounding volume hierarchy over triangles: binary, binned surface-area heuristic (I. Wald,
//! "On fast Construction of SAH-based Bounding Volume Hierarchies", 2007), built in parallel and
//! the same whatever the number of threads. Knows no rays.

use super::motion::Moving;
use super::triangle::Bounds;
use shaders::{MotionKey, Node, Triangle};

/// Deepest node below the root; a traversal stack of 64 entries is enough.
pub const DEPTH_MAX: u32 = 60;
/// Most triangles in a leaf.
pub const LEAF_MAX: usize = shaders::WIDE_LEAF_MAX as usize;
/// From this depth on ranges are cut in equal halves, which ends within 32 more levels.
const MEDIAN_DEPTH: u32 = 28;
const BINS: usize = 16;
/// Cost of visiting a node, in triangle tests.
const VISIT_COST: f64 = 1.2;
/// Smallest range that is worth a task of its own.
const TASK_MIN: usize = 4096;
/// Boxes grow by this share of their largest coordinate: a few units in the last place.
const MARGIN: f32 = 4.0 / (1 << 23) as f32;

/// A triangle while the tree is built.
#[derive(Clone, Copy)]
struct Item {
    bounds: Bounds,
    middle: [f32; 3],
    index: u32,
}

enum Tree {
    Leaf { first: u32, count: u32 },
    Inner(Box<[(Bounds, Tree); 2]>),
}

/// Nodes (0 is the root) and the triangles in their order. A lone leaf is both
/// children. Without triangles both children of the root hold one triangle of zero area in a box
/// whose `min` is above its `max`: no ray hits it.
pub fn build(triangles: &[Triangle], moving: &Moving) -> (Vec<Node>, Vec<Triangle>) {
    if triangles.is_empty() {
        return (vec![empty_root()], vec![bytemuck::Zeroable::zeroed()]);
    }
    let items = triangles.iter().zip(0..);
    let mut items: Vec<Item> = items.map(|(t, index)| item(t, moving.way(t), index)).collect();
    let bounds = around(&items);
    let tree = grow(&mut items, &bounds, [0, 0], LEAF_MAX);
    let ordered: Vec<_> = items.iter().map(|item| triangles[item.index as usize]).collect();
    let children = match tree {
        Tree::Inner(children) => children,
        leaf @ Tree::Leaf { .. } => {
            let child = (bounds, leaf);
            return (vec![pair([&child, &child])], ordered);
        }
    };
    (flatten(*children), ordered)
}

/// Nodes over boxes, one in each leaf: there `*_first` is its number. There is a box.
pub fn build_over(boxes: &[Bounds]) -> Vec<Node> {
    let middle = |b: &Bounds| [0, 1, 2].map(|axis| b.min[axis] / 2.0 + b.max[axis] / 2.0);
    let items = boxes.iter().zip(0..);
    let items =
        items.map(|(bounds, index)| Item { bounds: *bounds, middle: middle(bounds), index });
    let mut items: Vec<Item> = items.collect();
    let bounds = around(&items);
    let mut nodes = match grow(&mut items, &bounds, [0, 0], 1) {
        Tree::Inner(children) => flatten(*children),
        leaf @ Tree::Leaf { .. } => {
            let child = (bounds, leaf);
            vec![pair([&child, &child])]
        }
    };
    let number = |first: &mut u32, count: u32| {
        if count > 0 {
            *first = items[*first as usize].index;
        }
    };
    for node in &mut nodes {
        number(&mut node.left_first, node.left_count);
        number(&mut node.right_first, node.right_count);
    }
    nodes
}

fn empty_root() -> Node {
    let nothing = Bounds { min: [1.0; 3], max: [-1.0; 3] };
    let child = (nothing, Tree::Leaf { first: 0, count: 1 });
    pair([&child, &child])
}

/// The box of a triangle as a shader sees it: corner, corner + edges, all along its way, and a
/// margin.
fn item(triangle: &Triangle, way: &[MotionKey], index: u32) -> Item {
    let mut bounds = Bounds::default();
    let own = [(triangle.corner, triangle.edge1, triangle.edge2)];
    let later = way.iter().map(|key| (key.corner, key.edge1, key.edge2));
    for (corner, edge1, edge2) in own.into_iter().chain(later) {
        bounds.include(corner);
        for edge in [edge1, edge2] {
            bounds.include([0, 1, 2].map(|axis| corner[axis] + edge[axis]));
        }
    }
    let middle = [0, 1, 2].map(|axis| bounds.min[axis] / 2.0 + bounds.max[axis] / 2.0);
    for axis in 0..3 {
        let margin = bounds.min[axis].abs().max(bounds.max[axis].abs()) * MARGIN;
        bounds.min[axis] -= margin + f32::MIN_POSITIVE;
        bounds.max[axis] += margin + f32::MIN_POSITIVE;
    }
    Item { bounds, middle, index }
}

fn around(items: &[Item]) -> Bounds {
    let mut bounds = Bounds::default();
    items.iter().for_each(|item| bounds.join(&item.bounds));
    bounds
}

fn half_area(bounds: &Bounds) -> f64 {
    let side = |axis: usize| f64::from(bounds.max[axis]) - f64::from(bounds.min[axis]);
    let [x, y, z] = [side(0), side(1), side(2)];
    if x < 0.0 { 0.0 } else { x * y + y * z + z * x }
}

fn grow(items: &mut [Item], bounds: &Bounds, [first, depth]: [u32; 2], leaf_max: usize) -> Tree {
    let Some(cut) = cut(items, bounds, depth, leaf_max) else {
        return Tree::Leaf { first, count: items.len() as u32 };
    };
    let (left, right) = items.split_at_mut(cut);
    let child = |items: &mut [Item], first: u32| {
        let bounds = around(items);
        let tree = grow(items, &bounds, [first, depth + 1], leaf_max);
        (bounds, tree)
    };
    let middle = first + cut as u32;
    let (left, right) = if left.len().min(right.len()) >= TASK_MIN {
        rayon::join(|| child(left, first), || child(right, middle))
    } else {
        (child(left, first), child(right, middle))
    };
    Tree::Inner(Box::new([left, right]))
}

/// Reorders the items and says where to cut them; `None` makes a leaf.
fn cut(items: &mut [Item], bounds: &Bounds, depth: u32, leaf_max: usize) -> Option<usize> {
    if items.len() == 1 {
        return None;
    }
    let mut middles = Bounds::default();
    items.iter().for_each(|item| middles.include(item.middle));
    let best = if depth < MEDIAN_DEPTH { best_split(items, bounds, &middles) } else { None };
    let leaf_cost = items.len() as f64 * half_area(bounds);
    match best {
        Some(split) if items.len() > leaf_max || split.cost < leaf_cost => {
            Some(partition(items, |item| split.bins.of(item) < split.bin))
        }
        _ if items.len() <= leaf_max => None,
        _ => Some(halve(items, &middles)),
    }
}

/// Cuts at the median along the longest side; equal middles fall by index.
fn halve(items: &mut [Item], middles: &Bounds) -> usize {
    let side = |axis: usize| middles.max[axis] - middles.min[axis];
    let mut axis = 0;
    for other in 1..3 {
        if side(other) > side(axis) {
            axis = other;
        }
    }
    let half = items.len() / 2;
    items.select_nth_unstable_by(half, |a, b| {
        a.middle[axis].total_cmp(&b.middle[axis]).then(a.index.cmp(&b.index))
    });
    half
}

fn partition(items: &mut [Item], left: impl Fn(&Item) -> bool) -> usize {
    let mut next = 0;
    for at in 0..items.len() {
        if left(&items[at]) {
            items.swap(next, at);
            next += 1;
        }
    }
    next
}

/// Equal slices of the middles' range along an axis.
#[derive(Clone, Copy)]
struct Bins {
    axis: usize,
    from: f32,
    scale: f32,
}

impl Bins {
    fn of(&self, item: &Item) -> usize {
        (((item.middle[self.axis] - self.from) * self.scale) as usize).min(BINS - 1)
    }
}

struct Split {
    cost: f64,
    bins: Bins,
    /// First bin of the right side.
    bin: usize,
}

/// The cheapest cut between bins; the first of equals.
fn best_split(items: &[Item], bounds: &Bounds, middles: &Bounds) -> Option<Split> {
    let mut best: Option<Split> = None;
    let whole = half_area(bounds);
    for axis in 0..3 {
        let side = middles.max[axis] - middles.min[axis];
        let scale = BINS as f32 / side;
        if !(side > 0.0 && scale.is_finite()) {
            continue;
        }
        let bins = Bins { axis, from: middles.min[axis], scale };
        let mut counts = [0u32; BINS];
        let mut boxes = [Bounds::default(); BINS];
        for item in items {
            let bin = bins.of(item);
            counts[bin] += 1;
            boxes[bin].join(&item.bounds);
        }
        let mut right_cost = [0.0; BINS];
        let (mut count, mut bounds) = (0, Bounds::default());
        for bin in (1..BINS).rev() {
            count += counts[bin];
            bounds.join(&boxes[bin]);
            right_cost[bin] = half_area(&bounds) * f64::from(count);
        }
        let (mut count, mut bounds) = (0, Bounds::default());
        for bin in 1..BINS {
            count += counts[bin - 1];
            bounds.join(&boxes[bin - 1]);
            if count == 0 || count as usize == items.len() {
                continue;
            }
            let cost = VISIT_COST * whole + half_area(&bounds) * f64::from(count) + right_cost[bin];
            if best.as_ref().is_none_or(|best| cost < best.cost) {
                best = Some(Split { cost, bins, bin });
            }
        }
    }
    best
}

/// Numbers the nodes: a node before its children, the left side first.
fn flatten(root: [(Bounds, Tree); 2]) -> Vec<Node> {
    let mut nodes: Vec<Node> = vec![bytemuck::Zeroable::zeroed()];
    let mut waiting = vec![(0, root)];
    while let Some((place, children)) = waiting.pop() {
        let mut node = pair([&children[0], &children[1]]);
        let firsts = [&mut node.left_first, &mut node.right_first];
        for (first, (_, tree)) in firsts.into_iter().zip(children) {
            if let Tree::Inner(grandchildren) = tree {
                *first = nodes.len() as u32;
                waiting.push((nodes.len(), *grandchildren));
                nodes.push(bytemuck::Zeroable::zeroed());
            }
        }
        nodes[place] = node;
    }
    nodes
}

/// A node over two children; of inner ones the place is not known yet.
fn pair([left, right]: [&(Bounds, Tree); 2]) -> Node {
    let range = |tree: &Tree| match tree {
        Tree::Leaf { first, count } => (*first, *count),
        Tree::Inner(_) => (0, 0),
    };
    let (left_first, left_count) = range(&left.1);
    let (right_first, right_count) = range(&right.1);
    Node {
        left_min: left.0.min,
        left_first,
        left_max: left.0.max,
        left_count,
        right_min: right.0.min,
        right_first,
        right_max: right.0.max,
        right_count,
    }
}
