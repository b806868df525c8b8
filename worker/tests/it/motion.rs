//! Motion blur: a picture taken while the shutter is open is the mean of those taken meanwhile.

use crate::camera::{image, pixels};
use crate::devices::first;
use crate::procedural::{Sketch, camera, everything_at, material, whole};
use crate::scene_draft::{Draft, VIEW, write};
use crate::tiles::Studio;
use proto::aov::Aov;
use serde_json::json;
use worker::engine::TileSpec;
use worker::render::scene::{Bundle, Environment, Scene, SceneError, Settings, View, load};
use worker::render::stage::{Pipelines, Stage};

/// What glows to the right of x = `place`, seen by a camera 2 m away at x = `eye`.
fn edge(place: f32, eye: f32) -> Sketch {
    let view = camera([eye, 0.0, 2.0], 0.5);
    let mut sketch = Sketch::new(Environment::constant([0.0; 3]), view);
    let mut glow = material([0.0; 3], 0.0, 1.0);
    glow.emissive = [1.0; 3];
    let glow = sketch.add_material(glow);
    sketch.quad([place, -4.0, 0.0], [4.0, 0.0, 0.0], [0.0, 8.0, 0.0], glow);
    sketch
}

#[test]
fn an_edge_that_moves_is_a_ramp_as_long_as_its_way() {
    let Some(device) = first() else { return };
    let spec = whole(64, 8, 256, 1);
    // From x = -0.25 to 0.5 as the camera sees it, and at half of the time at x = 0.
    let ways = [
        [edge(-0.25, 0.0), edge(0.0, 0.0), edge(0.5, 0.0)],
        [edge(0.0, 0.25), edge(0.0, 0.0), edge(0.0, -0.5)],
        [edge(0.75, 1.0), edge(1.0, 1.0), edge(0.25, -0.25)],
    ];
    for (way, [opening, middle, closing]) in ways.into_iter().enumerate() {
        let scene = opening.then([middle, closing]).finish();
        let image = image(&device, &scene, &spec);
        let share = |x: f64| if x < 0.0 { (x + 0.25) * 2.0 } else { 0.5 + x };
        for x in 0..64 {
            let place = |x: f64| x / 32.0 - 1.0;
            let due = (0..16).map(|part| place(f64::from(x) + (f64::from(part) + 0.5) / 16.0));
            let due = due.map(|x| share(x).clamp(0.0, 1.0)).sum::<f64>() / 16.0;
            let found = image[3 * 64 + x as usize];
            assert!((found - due).abs() < 0.02, "way {way}, pixel {x}: {found} is not {due}");
        }
    }
}

/// Everything as it is part of the way between two keys.
fn between(a: Sketch, b: Sketch, share: f32) -> Sketch {
    fn mix<T: bytemuck::Pod>(a: &[T], b: &[T], share: f32) -> Vec<T> {
        let words = |all: &[T]| bytemuck::cast_slice::<T, f32>(all).to_vec();
        let mixed: Vec<f32> = (words(a).iter().zip(words(b)))
            // Numbers that are no floats are the same in both.
            .map(|(a, b)| if a.to_bits() == b.to_bits() { *a } else { a + (b - a) * share })
            .collect();
        bytemuck::cast_slice(&mixed).to_vec()
    }
    Sketch {
        triangles: mix(&a.triangles, &b.triangles, share),
        surfaces: mix(&a.surfaces, &b.surfaces, share),
        lights: mix(&a.lights, &b.lights, share),
        cameras: mix(&a.cameras, &b.cameras, share),
        ..a
    }
}

const SIDE: u32 = 48;
const SEEDS: u32 = 8;

/// Means of blocks of 8 by 8 pixels.
fn blocks(image: &[f64]) -> Vec<f64> {
    let side = SIDE as usize;
    let block = |at: usize| {
        let (left, top) = (at % (side / 8) * 8, at / (side / 8) * 8);
        let places = (0..64).map(|at| (top + at / 8) * side + left + at % 8);
        places.map(|place| image[place]).sum::<f64>() / 64.0
    };
    (0..side * side / 64).map(block).collect()
}

/// Mean and variance of the mean of each block over pictures.
fn spread(pictures: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let count = pictures.len() as f64;
    let of = |at: usize| {
        let mean = pictures.iter().map(|picture| picture[at]).sum::<f64>() / count;
        let off = pictures.iter().map(|picture| (picture[at] - mean).powi(2)).sum::<f64>();
        (mean, off / (count - 1.0) / count)
    };
    (0..pictures[0].len()).map(of).collect()
}

#[test]
fn a_picture_of_what_moves_is_the_mean_of_pictures_of_moments() {
    let Some(device) = first() else { return };
    const MOMENTS: u32 = 24;
    let keys = || [0.0, 0.5, 1.0].map(everything_at);
    let [opening, middle, closing] = keys();
    let blurred = opening.then([middle, closing]).finish();
    let spec = |seed, samples| TileSpec { seed, ..whole(SIDE, SIDE, samples, 4) };
    let mut pipelines = Pipelines::new(&device);
    let mut stage = Stage::new(&device, &blurred).expect("the scene fits");
    let blurred: Vec<_> = (0..SEEDS)
        .map(|seed| blocks(&pixels(&mut stage, &mut pipelines, &spec(seed, 128))))
        .collect();
    let mut stills = vec![vec![0.0; blurred[0].len()]; SEEDS as usize];
    for moment in 0..MOMENTS {
        let time = (moment as f32 + 0.5) / MOMENTS as f32 * 2.0;
        let [opening, middle, closing] = keys();
        let scene = match time < 1.0 {
            true => between(opening, middle, time),
            false => between(middle, closing, time - 1.0),
        };
        let mut stage = Stage::new(&device, &scene.finish()).expect("the scene fits");
        for (seed, still) in (0..).zip(&mut stills) {
            let spec = spec(100 + seed * MOMENTS + moment, 8);
            let found = blocks(&pixels(&mut stage, &mut pipelines, &spec));
            still.iter_mut().zip(found).for_each(|(sum, x)| *sum += x / f64::from(MOMENTS));
        }
    }
    let pairs: Vec<_> = spread(&blurred).into_iter().zip(spread(&stills)).collect();
    let z = pairs.iter().map(|((a, va), (b, vb))| (a - b) / (va + vb).sqrt());
    let worst = z.fold(0.0, |most: f64, z| most.max(z.abs()));
    let sum = |of: &dyn Fn(usize) -> f64| (0..pairs.len()).map(of).sum::<f64>();
    let still = sum(&|at| pairs[at].1.0);
    let ratio = sum(&|at| pairs[at].0.0) / still;
    let error = sum(&|at| pairs[at].0.1 + pairs[at].1.1).sqrt() / still;
    println!("ratio of means {ratio:.4} ± {error:.4}, worst z of a block {worst:.2}");
    // Student's t of 14 degrees of freedom, 36 blocks.
    assert!(worst < 5.5 && (ratio - 1.0).abs() < 4.0 * error);
}

fn drawn(draft: &Draft, settings: Settings) -> Result<Scene, SceneError> {
    seen(draft, settings, VIEW)
}

fn seen(draft: &Draft, settings: Settings, view: View) -> Result<Scene, SceneError> {
    let (_folder, path) = write(&draft.glb());
    load(&Bundle::open(&path)?.with(settings)?, None, view)
}

/// A quad that goes 24 m to the right in a second: 1 m in a frame of [`VIEW`].
fn sliding() -> Draft {
    let mut draft = Draft::quad();
    let floats = |values: &[f32]| -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    let times = draft.append(&floats(&[0.0, 1.0]));
    let places = draft.append(&floats(&[0.0, 0.0, 0.0, 24.0, 0.0, 0.0]));
    let accessors = draft.json["accessors"].as_array_mut().unwrap();
    accessors
        .push(json!({"bufferView": times, "componentType": 5126, "count": 2, "type": "SCALAR"}));
    accessors
        .push(json!({"bufferView": places, "componentType": 5126, "count": 2, "type": "VEC3"}));
    draft.json["animations"] = json!([{
        "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}],
        "samplers": [{"input": 4, "output": 5}],
    }]);
    draft
}

#[test]
fn the_shutter_opens_before_the_frame_and_closes_after_it() {
    let settings = Settings { shutter: Some(0.5), ..Settings::default() };
    let scene = drawn(&sliding(), settings.clone()).unwrap();
    assert_eq!((scene.moving.steps, scene.cameras.len()), (2, 3));
    let way: Vec<f32> = scene.moving.way(&scene.triangles[0]).iter().map(|k| k.corner[0]).collect();
    // Frame 1: from 3/4 m to 5/4 m beyond the corner at x = -1.
    assert_eq!(way, [-0.25, 0.0, 0.25]);
    assert_eq!(scene.triangles[0].corner[0], -0.25);
    let fine = Settings { motion_steps: Some(4), ..settings.clone() };
    assert_eq!(drawn(&sliding(), fine).unwrap().moving.keys.len(), 2 * 5);
    let still = drawn(&Draft::quad(), settings).unwrap();
    assert_eq!((still.moving.steps, still.moving.keys.len()), (0, 0));
    assert!(still.notes.iter().any(|n| n == "nothing moves while the shutter is open"));
    let sharp = drawn(&sliding(), Settings::default()).unwrap();
    assert_eq!((sharp.moving.steps, sharp.triangles[0].corner[0]), (0, 0.0));
}

#[test]
fn what_has_an_area_at_some_moment_only_is_drawn() {
    let mut draft = sliding();
    // It grows from nothing after the frame's moment.
    draft.json["animations"][0]["channels"][0]["target"]["path"] = json!("scale");
    let values = [0.0_f32, 0.0, 0.0, 1.0, 1.0, 1.0];
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = draft.append(&bytes);
    draft.json["accessors"][5]["bufferView"] = json!(view);
    let times: Vec<u8> = [1.0_f32 / 24.0, 1.0].iter().flat_map(|t| t.to_le_bytes()).collect();
    let view = draft.append(&times);
    draft.json["accessors"][4]["bufferView"] = json!(view);
    let text = drawn(&draft, Settings::default()).expect_err("nothing is there").to_string();
    assert!(text.contains("no triangles to draw"), "{text}");
    let settings = Settings { shutter: Some(1.0), ..Settings::default() };
    let scene = drawn(&draft, settings).unwrap();
    assert_eq!((scene.triangles.len(), scene.surfaces.len()), (2, 2));
    assert_eq!(scene.moving.keys.len(), 2 * 3);
}

/// The vectors of a pixel of a frame of 16 by 16: to the next frame and to the last one.
fn vectors(scene: &Scene, x: usize, y: usize) -> Option<[f32; 4]> {
    let spec = TileSpec { aovs: Aov::Motion.bit(), ..whole(16, 16, 4, 1) };
    let output = Studio::new(&first()?, scene).draw(&spec);
    let words = output.bytes.as_chunks::<4>().0;
    Some([0, 1, 2, 3].map(|channel| {
        f32::from_le_bytes(words[16 * 16 * (3 + channel) + y * 16 + x]) / spec.samples as f32
    }))
}

fn near(found: [f32; 4], due: [f32; 4]) {
    assert!(found.iter().zip(due).all(|(a, b)| (a - b).abs() < 2e-4), "{found:?} is not {due:?}");
}

#[test]
fn vectors_lead_to_the_next_frame_and_to_the_last() {
    let view = View { neighbours: true, ..VIEW };
    // Half the height of what the camera sees 3 m away.
    let half = 3.0 * libm::tanf(0.4);
    for shutter in [None, Some(0.5)] {
        let settings = Settings { shutter, ..Settings::default() };
        let mut scene = seen(&sliding(), settings, view).unwrap();
        scene.environment = Environment::constant([1.0; 3]);
        // A metre to the right in each frame, whether or not it blurs.
        let Some(middle) = vectors(&scene, 10, 8) else { return };
        near(middle, [8.0 / half, 0.0, -8.0 / half, 0.0]);
        let Some(outside) = vectors(&scene, 0, 0) else { return };
        near(outside, [0.0; 4]);
    }
    // The camera goes up by a metre and everything stays: what is seen goes down, the sky does not.
    let mut draft = sliding();
    draft.json["animations"][0]["channels"][0]["target"]["node"] = json!(1);
    let places: [f32; 6] = [0.0, -1.0, 3.0, 0.0, 23.0, 3.0];
    let bytes: Vec<u8> = places.iter().flat_map(|value| value.to_le_bytes()).collect();
    let places = draft.append(&bytes);
    draft.json["accessors"][5]["bufferView"] = json!(places);
    let scene = seen(&draft, Settings::default(), view).unwrap();
    let Some(middle) = vectors(&scene, 8, 8) else { return };
    near(middle, [0.0, -8.0 / half, 0.0, 8.0 / half]);
    let Some(outside) = vectors(&scene, 0, 0) else { return };
    near(outside, [0.0; 4]);
    assert!(seen(&draft, Settings::default(), VIEW).unwrap().moving.keys.is_empty());
}

#[test]
fn the_sky_goes_as_far_as_the_camera_turns() {
    let step = 0.05_f32;
    let turned = |angle: f32| {
        let (sine, cosine) = (libm::sinf(angle), libm::cosf(angle));
        let view = camera([0.0; 3], 0.5);
        shaders::Camera {
            forward: [sine, 0.0, -cosine],
            right: [cosine / 2.0, 0.0, sine / 2.0],
            ..view
        }
    };
    let mut sketch = Sketch::new(Environment::constant([1.0; 3]), turned(0.0));
    let behind = sketch.add_material(material([0.5; 3], 0.0, 1.0));
    sketch.quad([0.0, 0.0, 9.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], behind);
    let mut scene = sketch.finish();
    scene.cameras.extend([turned(-step), turned(step)]);
    let Some(found) = vectors(&scene, 8, 8) else { return };
    // Samples lie within the pixel, so the mean is near the vector of its middle.
    let x = 0.5 / 16.0_f32;
    let at = |angle: f32| libm::tanf(libm::atanf(x) - angle) * 16.0;
    let due = [at(step) - at(0.0), 0.0, at(-step) - at(0.0), 0.0];
    assert!(found.iter().zip(due).all(|(a, b)| (a - b).abs() < 0.02), "{found:?} is not {due:?}");
}
