//! The path tracer judged by physics: every material under an even sky against the integral of its
//! BSDF, and three ways to sample an uneven sky against each other. All by z-test, fixed seeds.

use crate::devices::first;
use crate::procedural::{Sketch, camera, material, sky, whole};
use worker::engine::TileSpec;
use worker::render::albedo;
use worker::render::scene::{Environment, Scene};
use worker::render::stage::{Pipelines, Stage};
use worker::vulkan::Device;

/// Standard deviations that chance may bring; one in 150,000 comparisons goes beyond by itself.
const Z_MAX: f64 = 4.5;

/// Mean of all pixels' green channel and the standard error of that mean.
fn measured(
    device: &Device,
    pipelines: &mut Pipelines,
    scene: &Scene,
    spec: &TileSpec,
) -> (f64, f64) {
    let mut stage = Stage::new(device, scene).expect("the scene fits");
    let output = worker::render::draw(&mut stage, pipelines, spec, &|| false).expect("drawn");
    let value = |pixel: &[u8]| {
        let sum = f32::from_le_bytes(pixel[4..8].try_into().expect("four bytes"));
        f64::from(sum) / f64::from(spec.samples)
    };
    let pixels: Vec<f64> = output.bytes.chunks_exact(12).map(value).collect();
    let count = pixels.len() as f64;
    let mean = pixels.iter().sum::<f64>() / count;
    let variance = pixels.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

/// A wall of one material that the camera sees at an angle of this cosine.
fn wall(cosine: f32, base: f32, metallic: f32, roughness: f32, environment: Environment) -> Scene {
    let mut sketch = Sketch::new(environment, camera([0.0, 0.0, 5.0], 0.002));
    let material = sketch.add_material(material([base; 3], metallic, roughness));
    let sine = (1.0 - cosine * cosine).sqrt();
    // Normal (sine, 0, cosine); the wall is large enough to fill the view at any angle.
    let (right, up) = ([cosine * 20.0, 0.0, -sine * 20.0], [0.0, 20.0, 0.0]);
    let corner = [-right[0] / 2.0, -10.0, -right[2] / 2.0];
    sketch.quad(corner, right, up, material);
    sketch.finish()
}

/// Directional albedo of the whole material, by quadrature.
fn reflected(cosine: f64, base: f64, metallic: f64, roughness: f64) -> f64 {
    let f0 = 0.04 * (1.0 - metallic) + base * metallic;
    let [x, y] = albedo::facet_albedo(cosine, roughness);
    let under = base * (1.0 - metallic) * albedo::left_by(cosine, roughness, 0.04, 1.0);
    (f0 * x + y) * albedo::given_back(cosine, roughness, f0) + under
}

#[test]
fn every_material_reflects_the_integral_of_its_bsdf_and_never_more_than_arrives() {
    let Some(device) = first() else { return };
    let mut pipelines = Pipelines::new(&device);
    let spec = whole(32, 32, 16, 2);
    for (name, metallic) in [("plastic", 0.0), ("metal", 1.0), ("half metal", 0.5)] {
        for roughness in [0.0, 0.25, 0.5, 0.8, 1.0] {
            let mut line = format!("{name}, roughness {roughness}:");
            for cosine in [0.97, 0.6, 0.2] {
                let even = Environment::constant([1.0; 3]);
                let scene = wall(cosine, 1.0, metallic, roughness, even);
                let (mean, error) = measured(&device, &mut pipelines, &scene, &spec);
                let (cosine, metallic) = (f64::from(cosine), f64::from(metallic));
                let truth = reflected(cosine, 1.0, metallic, f64::from(roughness));
                // The quadrature of 32 steps is this good.
                let slack = 1e-3;
                let z = ((mean - truth).abs() - slack).max(0.0) / error.max(1e-6);
                line += &format!("  {mean:.4} ± {error:.4} ({truth:.4})");
                assert!(z < Z_MAX, "{line}: z = {z:.1}");
                assert!(mean < 1.0 + slack + Z_MAX * error, "{line}: energy is created");
            }
            println!("{line}");
        }
    }
}

#[test]
fn a_closed_furnace_keeps_its_light() {
    let Some(device) = first() else { return };
    let mut pipelines = Pipelines::new(&device);
    // A white sphere around a grey glow of itself: radiance e / (1 - albedo) in every direction.
    let mut sketch = Sketch::new(Environment::constant([0.0; 3]), camera([0.1, 0.0, 0.2], 0.5));
    let mut glow = material([0.0; 3], 0.0, 1.0);
    glow.emissive = [0.5; 3];
    let material = sketch.add_material(glow);
    sketch.sphere([0.0; 3], 2.0, 16, material);
    let (mean, error) = measured(&device, &mut pipelines, &sketch.finish(), &whole(32, 32, 8, 16));
    // Base black: only the dielectric layer reflects, between 2 and 8 percent of the light.
    assert!(mean > 0.5 && mean < 0.55, "{mean} ± {error}");
}

/// The same sky with another table: by luminance, even, or none (then only the BSDF samples it).
fn skies() -> [(&'static str, Environment); 3] {
    let radiance = |x: u32, y: u32| {
        let lamp = if (x, y) == (9, 1) { 60.0 } else { 0.2 };
        [lamp, lamp + 0.02 * f32::from(x as u8), 0.5]
    };
    let by_luminance = sky(16, 8, radiance);
    let mut even = sky(16, 8, |_, _| [1.0; 3]);
    for (texel, bright) in even.texels.iter_mut().zip(&by_luminance.texels) {
        texel.radiance = bright.radiance;
    }
    let mut none = by_luminance.clone();
    none.texels.iter_mut().for_each(|texel| texel.pdf = 0.0);
    [("by luminance", by_luminance), ("even", even), ("none", none)]
}

#[test]
fn every_way_to_sample_the_sky_agrees() {
    let Some(device) = first() else { return };
    let mut pipelines = Pipelines::new(&device);
    let spec = whole(64, 64, 32, 3);
    for (name, metallic, roughness) in [("plastic", 0.0, 0.4), ("metal", 1.0, 0.5)] {
        let found = skies().map(|(table, environment)| {
            let scene = wall(0.6, 0.8, metallic, roughness, environment);
            let (mean, error) = measured(&device, &mut pipelines, &scene, &spec);
            println!("{name}, table {table}: {mean:.4} ± {error:.4}");
            (mean, error)
        });
        for (other, _) in found.iter().zip(1..).skip(1) {
            let z = (found[0].0 - other.0).abs() / found[0].1.hypot(other.1);
            assert!(z < Z_MAX, "{name}: z = {z:.1}");
        }
        assert!(found[0].1 < found[2].1, "importance sampling does not lower the noise");
    }
}

/// A floor under a small lamp and a large one, of which one is textured and one has one side.
fn lamps() -> Sketch {
    let mut sketch = Sketch::new(Environment::constant([0.0; 3]), camera([0.0, 0.0, 4.0], 0.01));
    let floor = sketch.add_material(material([0.8; 3], 0.0, 0.4));
    let chequer = sketch.add_texture(4, 1, shaders::WRAP_REPEAT, |x, y| {
        if (x ^ y) & 1 == 0 { 0xffff_ffff } else { 0xff40_8020 }
    });
    let mut lamp = material([0.0; 3], 0.0, 1.0);
    (lamp.emissive, lamp.emissive_texture) = ([6.0; 3], chequer);
    let large = sketch.add_material(lamp);
    (lamp.emissive, lamp.emissive_texture, lamp.double_sided) = ([40.0; 3], shaders::NONE, 0);
    let small = sketch.add_material(lamp);
    sketch.quad([-2.0, -2.0, 0.0], [4.0, 0.0, 0.0], [0.0, 4.0, 0.0], floor);
    sketch.quad([1.4, -0.5, 0.2], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], large);
    sketch.quad([-1.5, 0.4, 0.5], [0.0, 0.3, 0.0], [0.3, 0.0, 0.0], small);
    sketch
}

#[test]
fn aiming_at_lamps_changes_the_noise_and_nothing_else() {
    let Some(device) = first() else { return };
    let mut pipelines = Pipelines::new(&device);
    let spec = whole(64, 64, 32, 3);
    let aimed = lamps().finish();
    let mut even = aimed.clone();
    let mean = 1.0 / even.emission.emitters.len() as f32;
    for emitter in &mut even.emission.emitters {
        (emitter.threshold, emitter.alias) = (u32::MAX, 0);
        even.emission.densities[emitter.primitive as usize] =
            mean / (if emitter.edge1[1] > 0.5 || emitter.edge1[2] > 0.5 { 0.5 } else { 0.045 });
    }
    let mut chance = aimed.clone();
    chance.emission = worker::render::scene::Emission::default();
    let found =
        [("by power", aimed), ("even", even), ("by chance", chance)].map(|(name, scene)| {
            let (mean, error) = measured(&device, &mut pipelines, &scene, &spec);
            println!("lamps {name}: {mean:.4} ± {error:.4}");
            (mean, error)
        });
    for other in &found[1..] {
        let z = (found[0].0 - other.0).abs() / found[0].1.hypot(other.1);
        assert!(z < Z_MAX, "z = {z:.1}");
    }
    assert!(found[0].1 * 3.0 < found[2].1, "aiming does not lower the noise");
}
