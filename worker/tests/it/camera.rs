//! What a sample is: samples complement each other, a lens blurs as optics say, and a clamp takes
//! indirect light only.

use crate::devices::first;
use crate::procedural::{Sketch, camera, material, whole};
use proto::aov::Aov;
use std::f64::consts::PI;
use worker::engine::TileSpec;
use worker::render::scene::{Environment, Scene};
use worker::render::stage::{Pipelines, Stage};
use worker::vulkan::Device;

/// A matt room without a front wall, lit by a lamp under the ceiling.
fn room() -> Scene {
    let mut sketch = Sketch::new(Environment::constant([0.0; 3]), camera([0.0, 0.0, 4.0], 0.4));
    let matt = sketch.add_material(material([0.7; 3], 0.0, 1.0));
    let mut lamp = material([0.0; 3], 0.0, 1.0);
    lamp.emissive = [8.0; 3];
    let lamp = sketch.add_material(lamp);
    let (x, y, z) = ([2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]);
    for (corner, side, other) in [
        ([-1.0, -1.0, -1.0], z, x),
        ([-1.0, -1.0, -1.0], x, y),
        ([-1.0, -1.0, -1.0], y, z),
        ([1.0, -1.0, -1.0], z, y),
        ([-1.0, 1.0, -1.0], x, z),
    ] {
        sketch.quad(corner, side, other, matt);
    }
    sketch.quad([-0.3, 0.95, -0.3], [0.6, 0.0, 0.0], [0.0, 0.0, 0.6], lamp);
    sketch.finish()
}

/// Mean green radiance of each pixel.
pub fn image(device: &Device, scene: &Scene, spec: &TileSpec) -> Vec<f64> {
    let mut stage = Stage::new(device, scene).expect("the scene fits");
    let mut pipelines = Pipelines::new(device);
    pixels(&mut stage, &mut pipelines, spec)
}

pub fn pixels(stage: &mut Stage, pipelines: &mut Pipelines, spec: &TileSpec) -> Vec<f64> {
    let output = worker::render::draw(stage, pipelines, spec, &|| false).expect("drawn");
    let value = |pixel: &[u8]| {
        let sum = f32::from_le_bytes(pixel[4..8].try_into().expect("four bytes"));
        f64::from(sum) / f64::from(spec.samples)
    };
    output.bytes.chunks_exact(12).map(value).collect()
}

/// Variance of a pixel between seeds, over all pixels.
fn noise(device: &Device, scene: &Scene, samples: u32) -> f64 {
    const SEEDS: u32 = 6;
    let mut stage = Stage::new(device, scene).expect("the scene fits");
    let mut pipelines = Pipelines::new(device);
    let images: Vec<Vec<f64>> = (0..SEEDS)
        .map(|seed| {
            let spec = TileSpec { seed, ..whole(32, 32, samples, 3) };
            pixels(&mut stage, &mut pipelines, &spec)
        })
        .collect();
    let spread = |at: usize| {
        let mean = images.iter().map(|image| image[at]).sum::<f64>() / f64::from(SEEDS);
        images.iter().map(|image| (image[at] - mean).powi(2)).sum::<f64>()
    };
    (0..images[0].len()).map(spread).sum()
}

#[test]
fn samples_of_a_pixel_complement_each_other() {
    let Some(device) = first() else { return };
    let scene = room();
    let (few, many) = (noise(&device, &scene, 4), noise(&device, &scene, 64));
    let ratio = few / many;
    println!("16 times the samples lower the variance {ratio:.1} times");
    assert!(ratio > 22.0, "independent samples would bring 16, these {ratio:.1}");
}

/// Its blocks have as much noise as was asked for, and the quiet ones cost little.
#[test]
fn a_noise_threshold_is_met_where_samples_are_left() {
    let Some(device) = first() else { return };
    const SEEDS: u32 = 8;
    let threshold = 0.04;
    let scene = room();
    let mut stage = Stage::new(&device, &scene).expect("the scene fits");
    let mut pipelines = Pipelines::new(&device);
    let noise = (threshold * 1e6) as u32;
    let (mut images, mut samples) = (Vec::new(), Vec::new());
    for seed in 0..SEEDS {
        let bare = whole(32, 32, 512, 3);
        let spec = TileSpec { seed, noise, aovs: Aov::Samples.bit(), ..bare };
        let output = worker::render::draw(&mut stage, &mut pipelines, &spec, &|| false);
        let words = output.expect("drawn").bytes;
        let words: Vec<f64> =
            (words.as_chunks::<4>().0.iter()).map(|w| f64::from(f32::from_le_bytes(*w))).collect();
        let (light, counts) = words.split_at(3 * 32 * 32);
        let green = light.chunks_exact(3).zip(counts).map(|(rgb, count)| rgb[1] / count);
        images.push(green.collect::<Vec<f64>>());
        samples.push(counts.to_vec());
    }
    let block = |at: usize| (0..64).map(move |p| (at / 4 * 8 + p / 8) * 32 + at % 4 * 8 + p % 8);
    let (mut met, mut mean) = (Vec::new(), 0.0);
    for at in 0..16 {
        let (mut squares, mut used) = (0.0, 0.0);
        for pixel in block(at) {
            let mean = images.iter().map(|image| image[pixel]).sum::<f64>() / f64::from(SEEDS);
            let off = images.iter().map(|image| (image[pixel] - mean).powi(2)).sum::<f64>();
            let against = mean.max(mean.sqrt()) + 1e-4;
            squares += off / f64::from(SEEDS - 1) / against.powi(2) / 64.0;
            used += samples.iter().map(|all| all[pixel]).sum::<f64>() / f64::from(SEEDS) / 64.0;
        }
        mean += used / 16.0;
        println!("block {at}: noise {:.4}, {used:.0} samples", squares.sqrt());
        if used < 500.0 {
            met.push(squares.sqrt() / threshold);
        }
    }
    println!("{mean:.0} samples in the mean");
    let rms = (met.iter().map(|share| share * share).sum::<f64>() / met.len() as f64).sqrt();
    // Sobol's points beat the square root by which the pilot's noise is continued.
    assert!((0.4..1.2).contains(&rms) && met.iter().all(|share| *share < 1.6), "{rms}: {met:?}");
    assert!(met.len() > 8 && mean < 400.0);
}

#[test]
fn a_lens_blurs_what_is_out_of_focus_as_far_as_optics_say() {
    let Some(device) = first() else { return };
    let (distance, focus, radius, half) = (4.0_f32, 2.0_f32, 0.1_f32, 0.2_f32);
    let lens = |radius| {
        let view = camera([0.0, 0.0, distance], half);
        let view = shaders::Camera { lens_radius: radius, focus, ..view };
        let mut sketch = Sketch::new(Environment::constant([0.0; 3]), view);
        let mut glow = material([0.0; 3], 0.0, 1.0);
        glow.emissive = [1.0; 3];
        let glow = sketch.add_material(glow);
        // It glows to the right of x = 0.
        sketch.quad([0.0, -4.0, 0.0], [4.0, 0.0, 0.0], [0.0, 8.0, 0.0], glow);
        image(&device, &sketch.finish(), &whole(64, 8, 256, 1))
    };
    let (sharp, blurred) = (lens(0.0), lens(radius));
    // The circle of confusion, in metres on the glowing plane.
    let circle = f64::from(radius * (distance - focus) / focus);
    let share = |place: f64| {
        let s = (place / circle).clamp(-1.0, 1.0);
        0.5 + (s * (1.0 - s * s).sqrt() + s.asin()) / PI
    };
    for x in 0..64 {
        let at = 3 * 64 + x;
        let place = |x: f64| (x / 32.0 - 1.0) * f64::from(half * distance);
        let due = (0..16).map(|part| share(place(x as f64 + (f64::from(part) + 0.5) / 16.0)));
        let due = due.sum::<f64>() / 16.0;
        assert_eq!(sharp[at], f64::from(u8::from(x >= 32)), "pixel {x} of a pinhole");
        assert!((blurred[at] - due).abs() < 0.02, "pixel {x}: {} is not {due}", blurred[at]);
    }
}

#[test]
fn a_clamp_takes_indirect_light_only() {
    let Some(device) = first() else { return };
    let clamp = 1e-3;
    let scene = room();
    let direct = image(&device, &scene, &whole(16, 16, 16, 2));
    let full = image(&device, &scene, &whole(16, 16, 16, 6));
    let clamped = Scene { clamp: Some(clamp), ..scene };
    let clamped = image(&device, &clamped, &whole(16, 16, 16, 6));
    // At each of four more surfaces light can come in two ways.
    let most = 8.0 * f64::from(clamp) + 1e-5;
    for ((direct, clamped), full) in direct.iter().zip(&clamped).zip(&full) {
        assert!((-1e-5..most).contains(&(clamped - direct)), "{clamped}, {direct} directly");
        assert!(*clamped <= full + 1e-5);
    }
    let sum = |image: &[f64]| image.iter().sum::<f64>();
    assert!(sum(&full) > 1.1 * sum(&clamped), "there is indirect light to take");
}
