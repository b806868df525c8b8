//! What next-event estimation aims at, against the density that it states: by chi-square how often
//! each light is drawn and where on it, and the light that the draws bring against its integral.

use crate::chi_square::z_of_counts;
use crate::devices::first;
use crate::procedural::{Sketch, camera, everything, material, sky};
use shaders::{FEATURE_EMITTERS, FEATURE_ENVIRONMENT, FEATURE_LIGHTS, PathParameters};
use std::f64::consts::{PI, TAU};
use worker::render::scene::{Environment, Scene};
use worker::vulkan::{Binding, Buffer, Device, Pass, Pipeline};

/// Draws of one scene from one place.
const DRAWS: usize = 1 << 16;
/// Rows of the grid over which the environment is evaluated.
const ROWS: usize = 256;
/// Standard deviations that chance may bring.
const Z_MAX: f64 = 4.5;

/// Something aimed at.
#[derive(Clone, Copy)]
struct Aim {
    direction: [f64; 3],
    distance: f64,
    density: f64,
    green: f64,
}

/// A place, the rows of the grid, and fixed random bits for all draws.
fn given(place: [f32; 3], rows: usize) -> Vec<u32> {
    let mut words: Vec<u32> = place.map(f32::to_bits).into();
    words.push(rows as u32);
    let mut state = 9_u64;
    words.extend((0..DRAWS * 2).map(|_| {
        // Knuth's multiplier; the upper half is random enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 32) as u32
    }));
    words
}

/// Aims from `place` by fixed random bits; with `rows` the grid of the environment instead.
fn aims(device: &Device, scene: &Scene, features: u32, place: [f32; 3], rows: usize) -> Vec<Aim> {
    let decode = |byte: u32| (byte as f32 / 255.0).powf(2.2).to_bits();
    let constants: Vec<u32> = (0..256).map(decode).collect();
    let filled = |bytes: &[u8]| {
        let bytes = if bytes.is_empty() { &[0; 16][..] } else { bytes };
        Buffer::filled(device, "part of a scene", bytes).expect("a buffer")
    };
    macro_rules! buffers {
        ($($part:expr),* $(,)?) => { [$(filled(bytemuck::cast_slice(&$part))),*] };
    }
    let none = [0_u32; 4];
    let reads = buffers![
        none,
        none,
        scene.surfaces,
        scene.materials,
        scene.textures,
        scene.texels,
        scene.lights,
        scene.environment.texels,
        constants,
        scene.extras,
        scene.emission.emitters,
        scene.emission.densities,
        none,
        none,
        given(place, rows),
    ];
    let count = if rows == 0 { DRAWS } else { 2 * rows * rows };
    let mut out = Buffer::output(device, "aims", count as u64 * 32).expect("a buffer");
    let words = shaders::spirv::words(shaders::spirv::AIM);
    let bytes = size_of::<PathParameters>() as u32;
    let parameters = PathParameters {
        light_count: (scene.lights.len() / scene.cameras.len()) as u32,
        emitter_count: scene.emission.emitters.len() as u32,
        environment_width: scene.environment.width,
        environment_height: scene.environment.height,
        ..PathParameters::default()
    };
    Pass {
        name: "aims",
        pipeline: &Pipeline::new(device, &words, &[Binding::Storage; 16], bytes, &[features])
            .expect("compiles"),
        reads: &reads.iter().collect::<Vec<_>>(),
        writes: &[&out],
        parameters: bytemuck::bytes_of(&parameters),
        workgroups: (count / 64) as u32,
    }
    .run(device)
    .expect("the pass runs");
    let mut words = vec![0_f32; count * 8];
    out.read(bytemuck::cast_slice_mut(&mut words));
    let aim = |eight: &[f32]| {
        let at = |k: usize| f64::from(eight[k]);
        Aim { direction: [at(0), at(1), at(2)], distance: at(3), density: at(4), green: at(6) }
    };
    words.chunks_exact(8).map(aim).collect()
}

/// What the draws bring, as a z-score against the integral; `slack` is the integral's own error.
fn z_of_mean(values: &[f64], truth: f64, slack: f64) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
    println!("   {mean:.5} ± {:.5}, the integral is {truth:.5}", (variance / count).sqrt());
    ((mean - truth).abs() - slack).max(0.0) / (variance / count).sqrt().max(1e-9)
}

fn dark() -> Environment {
    Environment::constant([0.0; 3])
}

#[test]
fn the_sky_is_drawn_by_the_density_it_states() {
    let Some(device) = first() else { return };
    let environment = sky(24, 12, |x, y| match (x, y) {
        (7, 3) => [50.0, 60.0, 40.0],
        (20, 11) => [0.0; 3],
        _ => [0.1, 0.2 + 0.05 * y as f32, 0.3 + 0.01 * x as f32],
    });
    let mut sketch = Sketch::new(environment, camera([0.0; 3], 1.0));
    let matt = sketch.add_material(material([0.5; 3], 0.0, 1.0));
    sketch.quad([0.0, -9.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], matt);
    let scene = sketch.finish();
    let draws = aims(&device, &scene, FEATURE_ENVIRONMENT, [0.0; 3], 0);
    let cells = aims(&device, &scene, FEATURE_ENVIRONMENT, [0.0; 3], ROWS);
    let edge = |row: usize| (PI * row as f64 / ROWS as f64).cos();
    let solid = |at: usize| (edge(at / (2 * ROWS)) - edge(at / (2 * ROWS) + 1)) * PI / ROWS as f64;
    // Bins finer than texels see that draws are even within one.
    let bin = |[x, y, z]: [f64; 3]| {
        let turns = z.atan2(x) / TAU + 0.5;
        let row = ((y.clamp(-1.0, 1.0).acos() / PI * 32.0) as usize).min(31);
        row * 64 + ((turns * 64.0) as usize).min(63)
    };
    let (mut counts, mut shares) = (vec![0.0; 2048], vec![0.0; 2048]);
    draws.iter().for_each(|aim| counts[bin(aim.direction)] += 1.0);
    for (at, cell) in cells.iter().enumerate() {
        shares[bin(cell.direction)] += cell.density * solid(at);
    }
    let all: f64 = shares.iter().sum();
    assert!((all - 1.0).abs() < 0.02, "the density sums to {all}");
    shares.iter_mut().for_each(|share| *share /= all);
    let z = z_of_counts(&counts, &shares);
    println!("sky: z {z:+.1}");
    assert!(z < Z_MAX);
    let exact = scene.environment.texels.iter().enumerate().map(|(at, texel)| {
        let angle = worker::render::scene::environment::solid_angle(at / 24, 24, 12);
        angle * f64::from(texel.radiance[1])
    });
    let values: Vec<f64> = draws.iter().map(|aim| aim.green / aim.density).collect();
    assert!(z_of_mean(&values, exact.sum(), 1e-4) < Z_MAX);
    counts.rotate_left(1);
    assert!(z_of_counts(&counts, &shares) > Z_MAX, "the test does not see a turned sky");
}

/// Lamps of different size, glow and sides around the origin, none behind another.
fn lamps() -> Scene {
    let mut sketch = Sketch::new(dark(), camera([0.0; 3], 1.0));
    for (at, glow) in [1.0_f32, 6.0, 2.5, 30.0].into_iter().enumerate() {
        let mut lamp = material([0.0; 3], 0.0, 1.0);
        (lamp.emissive, lamp.double_sided) = ([glow; 3], u32::from(at != 2));
        let lamp = sketch.add_material(lamp);
        let (x, size) = (at as f32 * 2.0 - 3.0, 0.3 + 0.4 * at as f32);
        sketch.quad([x, -0.5, -2.0 - x], [size, 0.1, 0.3], [-0.2, size, 0.2], lamp);
    }
    sketch.finish()
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Solid angle of a triangle seen from the origin (Van Oosterom and Strackee 1983).
fn solid_angle([a, b, c]: [[f64; 3]; 3]) -> f64 {
    let [la, lb, lc] = [a, b, c].map(|v| dot(v, v).sqrt());
    let volume = dot(a, cross(b, c)).abs();
    let below = la * lb * lc + dot(a, b) * lc + dot(a, c) * lb + dot(b, c) * la;
    2.0 * volume.atan2(below)
}

/// Weights of a triangle's second and third corner at a point, and how far off its plane it lies.
fn place_on(emitter: &shaders::Emitter, point: [f64; 3]) -> ([f64; 2], f64) {
    let [corner, e1, e2] = [emitter.corner, emitter.edge1, emitter.edge2].map(|v| v.map(f64::from));
    let from = [0, 1, 2].map(|axis| point[axis] - corner[axis]);
    let normal = cross(e1, e2);
    let square = dot(normal, normal);
    let u = dot(cross(from, e2), normal) / square;
    let v = dot(cross(e1, from), normal) / square;
    ([u, v], (dot(from, normal) / square.sqrt()).abs())
}

#[test]
fn lamps_are_drawn_by_their_power_and_evenly_over_their_area() {
    let Some(device) = first() else { return };
    let scene = lamps();
    let emitters = &scene.emission.emitters;
    let draws = aims(&device, &scene, FEATURE_EMITTERS, [0.0; 3], 0);
    // Each triangle is cut into 16 of equal area: by rows along one edge, then along the other.
    let (mut counts, mut brought) = (vec![0.0; emitters.len() * 16], vec![Vec::new(); 4]);
    for aim in &draws {
        let point = aim.direction.map(|c| c * aim.distance);
        let inside = |at: &usize| {
            let ([u, v], off) = place_on(&emitters[*at], point);
            off < 1e-3 && u > -1e-3 && v > -1e-3 && u + v < 1.001
        };
        let at = (0..emitters.len()).find(inside).expect("the point lies on a lamp");
        let ([u, v], _) = place_on(&emitters[at], point);
        let row = (((1.0 - u.clamp(0.0, 1.0)).powi(2) * 4.0) as usize).min(3);
        let column = ((v / (1.0 - u).max(1e-9)).clamp(0.0, 1.0) * 4.0) as usize;
        counts[at * 16 + row * 4 + column.min(3)] += 1.0;
        for (lamp, values) in brought.iter_mut().enumerate() {
            values.push(if at / 2 == lamp { aim.green / aim.density } else { 0.0 });
        }
    }
    let area = |e: &shaders::Emitter| {
        let normal = cross(e.edge1.map(f64::from), e.edge2.map(f64::from));
        dot(normal, normal).sqrt() / 2.0
    };
    let density = |at: usize| f64::from(scene.emission.densities[at]);
    let shares: Vec<f64> =
        (0..counts.len()).map(|at| density(at / 16) * area(&emitters[at / 16]) / 16.0).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5);
    let z = z_of_counts(&counts, &shares);
    println!("lamps: z {z:+.1}");
    assert!(z < Z_MAX);
    for (lamp, values) in brought.iter().enumerate() {
        let glow = f64::from(scene.materials[lamp].emissive[1]);
        let truth: f64 = (emitters[2 * lamp..2 * lamp + 2].iter())
            .map(|e| {
                let [a, e1, e2] = [e.corner, e.edge1, e.edge2].map(|v| v.map(f64::from));
                let to = |edge: [f64; 3]| [0, 1, 2].map(|axis| a[axis] + edge[axis]);
                let faces = dot(cross(e1, e2), a) < 0.0 || scene.materials[lamp].double_sided == 1;
                if faces { solid_angle([a, to(e1), to(e2)]) * glow } else { 0.0 }
            })
            .sum();
        assert!(z_of_mean(values, truth, 1e-4) < Z_MAX, "lamp {lamp}");
    }
    counts.rotate_left(1);
    assert!(z_of_counts(&counts, &shares) > Z_MAX, "the test does not see other places");
}

#[test]
fn every_kind_of_light_gets_its_share_and_brings_its_light() {
    let Some(device) = first() else { return };
    let scene = everything().finish();
    let all = FEATURE_ENVIRONMENT | FEATURE_LIGHTS | FEATURE_EMITTERS;
    let place = [0.0, 0.5, 0.0];
    for features in [all, FEATURE_LIGHTS | FEATURE_EMITTERS, FEATURE_ENVIRONMENT | FEATURE_LIGHTS] {
        let draws = aims(&device, &scene, features, place, 0);
        let odds = 1.0 / f64::from(features.count_ones());
        // By where they lead: to a punctual light in its one direction, upwards to the panel at
        // less than two metres, beyond everything.
        let light = |aim: &Aim| {
            (0..scene.lights.len())
                .find(|at| dot(towards(&scene, *at, place), aim.direction) > 0.999999)
        };
        let mut counts = vec![0.0; 5];
        for aim in &draws {
            let kind = match light(aim) {
                Some(at) => 2 + at,
                None => usize::from(aim.distance < 100.0),
            };
            counts[kind] += 1.0;
            if kind > 1 {
                assert!((aim.density - odds / 3.0).abs() < 1e-6, "{}", aim.density);
            }
        }
        let there = |bit: u32| if features & bit != 0 { odds } else { 0.0 };
        let third = odds / 3.0;
        let shares = [there(FEATURE_ENVIRONMENT), there(FEATURE_EMITTERS), third, third, third];
        let z = z_of_counts(&counts, &shares);
        println!("kinds {features:#b}: z {z:+.1}, {counts:?}");
        assert!(z < Z_MAX);
    }
}

/// The direction of a punctual light from a place.
fn towards(scene: &Scene, at: usize, place: [f32; 3]) -> [f64; 3] {
    let light = &scene.lights[at];
    let way = match light.kind {
        shaders::LIGHT_DIRECTIONAL => light.direction.map(|c| -f64::from(c)),
        _ => [0, 1, 2].map(|axis| f64::from(light.position[axis] - place[axis])),
    };
    let length = dot(way, way).sqrt();
    way.map(|c| c / length)
}
