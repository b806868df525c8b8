//! Each lobe of the material by itself: a white one under an even sky, and its draws against the
//! density that it states, by chi-square.

use crate::chi_square::z_of_counts;
use crate::devices::first;
use shaders::{LAYER_THIN, Layers, PathParameters};
use worker::render::albedo;
use worker::render::scene::layers::{features, plain};
use worker::vulkan::{Binding, Buffer, Device, Pass, Pipeline};

/// Draws of one material and viewer.
const DRAWS: usize = 1 << 15;
/// Rows of the grids over which values and densities are integrated.
const ROWS: usize = 256;
const FINE: usize = 512;
/// Standard deviations that chance may bring.
const Z_MAX: f64 = 4.5;
const ROUGHNESSES: [f32; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
const COSINES: [f32; 5] = [0.99, 0.8, 0.6, 0.4, 0.15];

/// A white material with one lobe that matters.
#[derive(Clone, Copy)]
struct Lobe {
    name: &'static str,
    layers: Layers,
    metallic: f32,
    back: bool,
    roughness: Option<f32>,
}

fn lobe(name: &'static str, change: impl FnOnce(&mut Layers, f32), roughness: f32) -> Lobe {
    let mut layers = plain();
    change(&mut layers, roughness);
    Lobe { name, layers, metallic: 0.0, back: false, roughness: None }
}

fn lobes(rough: f32) -> Vec<Lobe> {
    let bare = |name, metallic| Lobe { metallic, ..lobe(name, |_, _| (), rough) };
    let thick = |layers: &mut Layers| {
        layers.flags &= !LAYER_THIN;
        layers.transmission = 1.0;
    };
    let glass = lobe("glass", |layers, _| thick(layers), rough);
    vec![
        bare("plastic", 0.0),
        bare("metal", 1.0),
        Lobe {
            roughness: Some(0.6),
            ..lobe("coat", |l, rough| (l.coat, l.coat_roughness) = (1.0, rough), rough)
        },
        Lobe {
            roughness: Some(0.6),
            ..lobe("sheen", |l, rough| (l.sheen, l.sheen_roughness) = ([1.0; 3], rough), rough)
        },
        lobe("specular", |l, _| (l.specular_color, l.ior) = ([2.0; 3], 2.0), rough),
        lobe("thin glass", |l, _| l.transmission = 1.0, rough),
        glass,
        Lobe { back: true, name: "inside of glass", ..glass },
        lobe("leaf", |l, _| l.behind = 0.6, rough),
        lobe("film", |l, _| (l.film, l.film_thickness) = (1.0, 400.0), rough),
        Lobe { metallic: 1.0, ..lobe("brushed metal", |l, _| l.anisotropy = 0.8, rough) },
    ]
}

/// A direction with the density and the value found there.
#[derive(Clone, Copy)]
struct Found {
    direction: [f64; 3],
    pdf: f64,
    value: f64,
}

struct Bench {
    device: Device,
    made: std::collections::BTreeMap<u32, Pipeline>,
    constants: Buffer,
    none: Buffer,
    out: Buffer,
}

impl Bench {
    fn new(device: Device) -> Self {
        let mut constants = vec![0_u32; 256];
        constants.extend(albedo::facets().map(f32::to_bits));
        constants.extend(albedo::sheens().map(f32::to_bits));
        let filled = |what, words: &[u32]| {
            Buffer::filled(&device, what, bytemuck::cast_slice(words)).expect("a buffer")
        };
        let constants = filled("tables", &constants);
        let none = filled("nothing", &[0; 4]);
        let most = DRAWS.max(2 * FINE * FINE) * 20;
        let out = Buffer::output(&device, "directions", most as u64).expect("a buffer");
        Self { made: Default::default(), constants, none, out, device }
    }

    /// Draws directions, or evaluates the grid.
    fn run(&mut self, lobe: &Lobe, roughness: f32, cosine: f32, rows: usize) -> Vec<Found> {
        let device = &self.device;
        let layers = [lobe.layers];
        let pipeline = self.made.entry(features(&layers)).or_insert_with_key(|features| {
            let words = shaders::spirv::words(shaders::spirv::BSDF);
            let bytes = size_of::<PathParameters>() as u32;
            Pipeline::new(device, &words, &[Binding::Storage; 16], bytes, &[*features])
                .expect("the shader compiles")
        });
        let sine = (1.0 - cosine * cosine).sqrt();
        // Seen from around, not along the tangent only.
        let (x, y) = worker::render::exact::circle(cosine);
        let (x, y) = (sine * x, sine * y);
        let rough = lobe.roughness.unwrap_or(roughness);
        let mut given: Vec<u32> =
            [rough, lobe.metallic, 1.0, 1.0, 1.0, x, y, cosine].map(f32::to_bits).into();
        given.extend([u32::from(lobe.back), rows as u32]);
        let filled = |what, bytes: &[u8]| Buffer::filled(device, what, bytes).expect("a buffer");
        let given = filled("the material", bytemuck::cast_slice(&given));
        let record = if layers.is_empty() { &[0; 4][..] } else { bytemuck::cast_slice(&layers) };
        let record = filled("its layers", record);
        let mut reads = vec![&self.none; 15];
        (reads[8], reads[12], reads[14]) = (&self.constants, &record, &given);
        let count = if rows == 0 { DRAWS } else { 2 * rows * rows };
        let parameters = PathParameters { seed: 5, ..PathParameters::default() };
        Pass {
            name: "one material",
            pipeline,
            reads: &reads,
            writes: &[&self.out],
            parameters: bytemuck::bytes_of(&parameters),
            workgroups: (count / 64) as u32,
        }
        .run(device)
        .expect("the pass runs");
        let mut words = vec![0_f32; count * 5];
        self.out.read(bytemuck::cast_slice_mut(&mut words));
        let found = |five: &[f32]| Found {
            direction: [0, 1, 2].map(|axis| f64::from(five[axis])),
            pdf: f64::from(five[3]),
            value: f64::from(five[4]),
        };
        words.chunks_exact(5).map(found).collect()
    }
}

/// Solid angle of a cell of the grid.
fn solid_angle(at: usize, rows: usize) -> f64 {
    let edge = |row: usize| (std::f64::consts::PI * row as f64 / rows as f64).cos();
    let row = at / (2 * rows);
    (edge(row) - edge(row + 1)) * std::f64::consts::PI / rows as f64
}

/// Mean of what draws bring under an even sky, and its standard error.
fn brought(draws: &[Found]) -> (f64, f64) {
    let weights = draws.iter().map(|d| if d.pdf > 0.0 { d.value / d.pdf } else { 0.0 });
    let (sum, squares) = weights.fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    let count = draws.len() as f64;
    let mean = sum / count;
    (mean, ((squares / count - mean * mean).max(0.0) / count).sqrt())
}

#[test]
fn every_lobe_is_white_in_a_furnace_and_never_brighter() {
    let Some(device) = first() else { return };
    let mut bench = Bench::new(device);
    for roughness in ROUGHNESSES {
        for lobe in lobes(roughness) {
            let mut line = format!("{}, roughness {roughness}:", lobe.name);
            for cosine in COSINES {
                let (mean, error) = brought(&bench.run(&lobe, roughness, cosine, 0));
                line += &format!("  {mean:.4} ± {error:.4}");
                assert!(mean < 1.002 + Z_MAX * error, "{line}: energy is created");
                if roughness < 0.2 {
                    continue;
                }
                let cells = bench.run(&lobe, roughness, cosine, ROWS);
                let truth: f64 = (cells.iter().enumerate())
                    .map(|(at, cell)| cell.value * solid_angle(at, ROWS))
                    .sum();
                let z = ((mean - truth).abs() - 1e-3).max(0.0) / error.max(1e-6);
                assert!(z < Z_MAX, "{line}: {truth:.4} is the integral, z = {z:.1}");
            }
            println!("{line}");
        }
    }
}

/// Bins over the sphere: 16 polar by 32 azimuthal, and one for draws in vain.
fn bin(direction: [f64; 3]) -> usize {
    let [x, y, z] = direction;
    let turns = y.atan2(x) / std::f64::consts::TAU + 0.5;
    let row = ((z.clamp(-1.0, 1.0).acos() / std::f64::consts::PI * 16.0) as usize).min(15);
    row * 32 + ((turns * 32.0) as usize).min(31)
}

/// Draws against densities, as standard deviations.
fn z_of_draws(draws: &[Found], cells: &[Found]) -> f64 {
    let mut seen = [0.0; 513];
    for draw in draws {
        seen[if draw.pdf > 0.0 { bin(draw.direction) } else { 512 }] += 1.0;
    }
    let mut share = [0.0; 513];
    for (at, cell) in cells.iter().enumerate() {
        share[bin(cell.direction)] += cell.pdf * solid_angle(at, FINE);
    }
    share[512] = (1.0 - share[..512].iter().sum::<f64>()).max(0.0);
    z_of_counts(&seen, &share)
}

#[test]
fn every_lobe_is_drawn_by_the_density_it_states() {
    let Some(device) = first() else { return };
    let mut bench = Bench::new(device);
    for roughness in [0.4, 1.0] {
        for lobe in lobes(roughness) {
            let mut line = format!("{}, roughness {roughness}: z", lobe.name);
            for cosine in [0.95, 0.5, 0.2] {
                let draws = bench.run(&lobe, roughness, cosine, 0);
                let cells = bench.run(&lobe, roughness, cosine, FINE);
                let z = z_of_draws(&draws, &cells);
                line += &format!(" {z:+.1}");
                assert!(z < Z_MAX, "{line}");
            }
            println!("{line}");
        }
    }
}
