//! The BVH: every triangle in one leaf, boxes that hold, the same hit as by trying everything.

use proptest::prelude::*;
use shaders::{Node, Triangle};
use worker::render::scene::Moving;
use worker::render::scene::bvh::{self, DEPTH_MAX};

type Vec3 = [f32; 3];

fn minus(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Distance along the ray (T. Möller, B. Trumbore, 1997).
fn meet(triangle: &Triangle, origin: Vec3, direction: Vec3) -> Option<f32> {
    let p = cross(direction, triangle.edge2);
    let det = dot(triangle.edge1, p);
    if det.abs() < 1e-12 {
        return None;
    }
    let s = minus(origin, triangle.corner);
    let u = dot(s, p) / det;
    let q = cross(s, triangle.edge1);
    let v = dot(direction, q) / det;
    let t = dot(triangle.edge2, q) / det;
    (u >= 0.0 && v >= 0.0 && u + v <= 1.0 && t > 0.0).then_some(t)
}

type Hit = Option<(f32, u32)>;

fn nearer(best: Hit, triangle: &Triangle, origin: Vec3, direction: Vec3) -> Hit {
    let Some(t) = meet(triangle, origin, direction) else { return best };
    match best {
        Some(best) if best <= (t, triangle.primitive) => Some(best),
        _ => Some((t, triangle.primitive)),
    }
}

fn children(node: &Node) -> [(Vec3, Vec3, u32, u32); 2] {
    [
        (node.left_min, node.left_max, node.left_first, node.left_count),
        (node.right_min, node.right_max, node.right_first, node.right_count),
    ]
}

fn enters(min: Vec3, max: Vec3, origin: Vec3, direction: Vec3) -> bool {
    let (mut near, mut far) = (0.0f64, f64::INFINITY);
    for axis in 0..3 {
        let (o, d) = (f64::from(origin[axis]), f64::from(direction[axis]));
        let (a, b) = ((f64::from(min[axis]) - o) / d, (f64::from(max[axis]) - o) / d);
        near = near.max(a.min(b));
        far = far.min(a.max(b));
    }
    near <= far * (1.0 + 1e-6)
}

fn through_tree(nodes: &[Node], triangles: &[Triangle], origin: Vec3, direction: Vec3) -> Hit {
    let (mut best, mut waiting) = (None, vec![0u32]);
    while let Some(node) = waiting.pop() {
        for (min, max, first, count) in children(&nodes[node as usize]) {
            if !enters(min, max, origin, direction) {
                continue;
            }
            if count == 0 {
                waiting.push(first);
            }
            for triangle in &triangles[first as usize..][..count as usize] {
                best = nearer(best, triangle, origin, direction);
            }
        }
    }
    best
}

fn inside(min: Vec3, max: Vec3, point: Vec3) -> bool {
    (0..3).all(|axis| min[axis] <= point[axis] && point[axis] <= max[axis])
}

/// Walks the whole tree: boxes hold their triangles and child boxes; gives visits by triangle.
fn check(nodes: &[Node], triangles: &[Triangle]) -> Vec<u32> {
    let everything = ([f32::NEG_INFINITY; 3], [f32::INFINITY; 3]);
    let mut visits = vec![0; triangles.len()];
    let mut waiting = vec![(0u32, 0u32, everything)];
    while let Some((node, depth, (low, high))) = waiting.pop() {
        assert!(depth <= DEPTH_MAX);
        for (min, max, first, count) in children(&nodes[node as usize]) {
            assert!(inside(low, high, min) && inside(low, high, max));
            if count == 0 {
                assert!(first > node, "children come after their parent");
                waiting.push((first, depth + 1, (min, max)));
            }
            for at in first..first + count {
                visits[at as usize] += 1;
                let t = &triangles[at as usize];
                let add = |e: Vec3| [t.corner[0] + e[0], t.corner[1] + e[1], t.corner[2] + e[2]];
                for point in [t.corner, add(t.edge1), add(t.edge2)] {
                    assert!(inside(min, max, point));
                }
            }
        }
    }
    visits
}

fn triangle(primitive: u32, corner: Vec3, edge1: Vec3, edge2: Vec3) -> Triangle {
    Triangle { corner, primitive, edge1, material: 0, edge2, flags: 0 }
}

/// A cloud of triangles, the same for the same seed.
fn cloud(count: u32, seed: u32) -> Vec<Triangle> {
    let mut state = seed;
    let mut next = |size: f32| {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * size
    };
    let mut vector = |size: f32| [next(size), next(size), next(size)];
    (0..count).map(|at| triangle(at, vector(10.0), vector(1.0), vector(1.0))).collect()
}

#[test]
fn every_triangle_is_in_one_leaf() {
    for count in [2, 3, 5, 17, 1000, 20_000] {
        let all = cloud(count, count);
        let (nodes, ordered) = bvh::build(&all, &Moving::default());
        let visits = check(&nodes, &ordered);
        if nodes.len() > 1 {
            assert!(visits.iter().all(|&visits| visits == 1), "{count} triangles");
        }
        let mut primitives: Vec<_> = ordered.iter().map(|t| t.primitive).collect();
        primitives.sort_unstable();
        assert!(primitives.into_iter().eq(0..count));
    }
}

#[test]
fn one_place_for_all_and_lines_of_them_stay_shallow() {
    let same: Vec<_> =
        (0..5000).map(|at| triangle(at, [1.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])).collect();
    let (nodes, ordered) = bvh::build(&same, &Moving::default());
    assert!(check(&nodes, &ordered).iter().all(|&visits| visits == 1));
    let growing: Vec<_> = (0..120)
        .map(|at| {
            let x = libm::ldexpf(1.0, at - 60);
            triangle(at as u32, [x, 0.0, 0.0], [x, 0.0, 0.0], [0.0, x, 0.0])
        })
        .collect();
    let (nodes, ordered) = bvh::build(&growing, &Moving::default());
    check(&nodes, &ordered);
}

#[test]
fn nothing_hits_an_empty_tree() {
    let (nodes, triangles) = bvh::build(&[], &Moving::default());
    assert_eq!(through_tree(&nodes, &triangles, [0.0; 3], [0.1, 0.2, 0.9]), None);
}

#[test]
fn one_thread_and_many_build_the_same_tree() {
    let all = cloud(30_000, 7);
    let build = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bvh::build(&all, &Moving::default()))
    };
    assert!(build(1) == build(4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_nearest_hit_is_the_one_of_brute_force(
        count in 1u32..600,
        seed: u32,
        rays in proptest::collection::vec((-12.0..12.0f32, -12.0..12.0f32, -1.0..1.0f32), 16),
    ) {
        let all = cloud(count, seed);
        let (nodes, ordered) = bvh::build(&all, &Moving::default());
        for (x, y, tilt) in rays {
            let (origin, direction) = ([x, y, 15.0], [tilt, 0.3 - tilt, -1.0]);
            let expected = all.iter().fold(None, |best, t| nearer(best, t, origin, direction));
            prop_assert_eq!(through_tree(&nodes, &ordered, origin, direction), expected);
        }
    }
}
