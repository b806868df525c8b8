//! The path tracer judged by another renderer: whole scenes against reference images, block by
//! block, by z-test. `tests/data/reference/README.md` says how the references were made.

use crate::chi_square::z_of_chi_square;
use crate::devices::first;
use crate::procedural::whole;
use std::path::{Path, PathBuf};
use worker::asset::Asset;
use worker::engine::TileSpec;
use worker::render::canvas::Traced;
use worker::render::scene::{Bundle, View, load};
use worker::render::stage::{Pipelines, Stage};

/// Side of the images in pixels, and blocks in an image.
const SIZE: u32 = 64;
const BLOCKS: usize = 64;
/// Images of ours.
const SEEDS: u32 = 32;
const CHANNELS: [&str; 3] = ["red", "green", "blue"];
/// Standard deviations that chance may bring to one block: it goes beyond in one of 80 runs of the
/// 1,728 comparisons.
const Z_BLOCK: f64 = 4.5;
/// The same for what is found once for each image and channel: one of 40 runs of 54 comparisons.
const Z_IMAGE: f64 = 3.5;
/// Relative error of sums and of numbers as they are written.
const ROUNDING: f64 = 1e-5;
/// Where the other renderer's glass is another model: how far the mean of a channel and the median
/// block may lie from the reference.
const NEAR: f64 = 0.01;

/// Estimates of a block's mean radiance, and the variance of those estimates, by channel.
#[derive(Clone, Copy, Default)]
struct Block {
    mean: [f64; 3],
    variance: [f64; 3],
}

/// One scene and how its reference was rendered.
struct Case {
    name: &'static str,
    environment: Option<&'static str>,
    depth: u32,
    samples: u32,
}

const COURTYARD: Option<&str> = Some("../../../../scenes/courtyard.hdr");
const DUSK: Option<&str> = Some("dusk.hdr");
const SUN: Option<&str> = Some("sun.hdr");

fn case(name: &'static str, environment: Option<&'static str>, depth: u32, samples: u32) -> Case {
    Case { name, environment, depth, samples }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reference")
}

impl Case {
    fn file(&self, extension: &str) -> PathBuf {
        folder().join(self.name).with_extension(extension)
    }

    fn reference(&self) -> Vec<Block> {
        let text = std::fs::read_to_string(self.file("csv")).expect("the reference is there");
        let blocks: Vec<Block> = (text.lines().filter(|line| !line.starts_with('#')).skip(1))
            .map(|line| {
                let cells = line.split(',').map(|cell| cell.parse().expect("a number"));
                let cells: Vec<f64> = cells.collect();
                let three = |at: usize| [cells[at], cells[at + 1], cells[at + 2]];
                Block { mean: three(2), variance: three(5) }
            })
            .collect();
        assert_eq!(blocks.len(), BLOCKS);
        blocks
    }

    /// Our blocks. Samples of one seed complement each other, so the spread between images of
    /// different seeds tells the variance.
    fn ours(&self) -> Option<Vec<Block>> {
        let device = first()?;
        let bundle = Bundle::open(&self.file("glb")).expect("the scene opens");
        let environment = self.environment.map(|name| Asset::from(folder().join(name)));
        let view = View { frame: 0, fps: 24, width: SIZE, height: SIZE, neighbours: false };
        let scene = load(&bundle, environment.as_ref(), view).expect("the scene loads");
        let mut pipelines = Pipelines::new(&device);
        let mut stage = Stage::new(&device, &scene).expect("the scene fits");
        let mut blocks = vec![Block::default(); BLOCKS];
        for seed in 0..SEEDS {
            let frame = whole(SIZE, SIZE, self.samples / SEEDS, self.depth);
            let spec = TileSpec { frame: 0, seed, ..frame };
            let leaves: Vec<u32> = (0..spec.leaves()).collect();
            let mut image = vec![[0.0; 3]; BLOCKS];
            let add = |traced: Traced| {
                sum(&mut image[(traced.leaf / spec.groups()) as usize], &traced.payload);
            };
            stage.trace(&mut pipelines, &spec, &leaves, &|| false, add).expect("drawn");
            let samples = f64::from(shaders::BLOCK * shaders::BLOCK * spec.samples);
            for (block, sums) in blocks.iter_mut().zip(image) {
                block.add(sums.map(|sum| sum / samples));
            }
        }
        blocks.iter_mut().for_each(|block| block.finish(f64::from(SEEDS)));
        Some(blocks)
    }
}

/// Adds a leaf's sums, by channel.
fn sum(total: &mut [f64; 3], payload: &[u8]) {
    for (word, channel) in payload.chunks_exact(4).zip((0..3).cycle()) {
        total[channel] += f64::from(f32::from_le_bytes(word.try_into().expect("four bytes")));
    }
}

impl Block {
    /// Adds an estimate, and its square as long as the block is not finished.
    fn add(&mut self, means: [f64; 3]) {
        for (channel, mean) in means.into_iter().enumerate() {
            self.mean[channel] += mean;
            self.variance[channel] += mean * mean;
        }
    }

    fn finish(&mut self, count: f64) {
        for (mean, variance) in self.mean.iter_mut().zip(&mut self.variance) {
            *mean /= count;
            *variance = (*variance / count - *mean * *mean).max(0.0) / (count - 1.0);
        }
    }

    fn scaled(mut self, by: f64) -> Self {
        self.mean.iter_mut().for_each(|mean| *mean *= by);
        self.variance.iter_mut().for_each(|variance| *variance *= by * by);
        self
    }
}

/// How one channel of two images compares.
struct Comparison {
    z: Vec<f64>,
    chi_square: f64,
    /// Blocks that are lit: where no light is, none may be, and nothing varies.
    lit: usize,
    /// Mean ratio of ours to the reference, and its standard error.
    ratio: f64,
    error: f64,
}

impl Comparison {
    fn of(ours: &[Block], reference: &[Block], channel: usize) -> Self {
        let mut means: Vec<f64> = reference.iter().map(|block| block.mean[channel]).collect();
        means.sort_by(f64::total_cmp);
        // Light that is seen directly must not drown what it lights. No weight depends on ours:
        // an estimate and its estimated variance are not independent.
        let weight_max = means[BLOCKS / 2];
        let mut z = Vec::with_capacity(BLOCKS);
        let (mut weights, mut ratio, mut variance, mut lit) = (0.0, 0.0, 0.0, 0);
        for (ours, reference) in ours.iter().zip(reference) {
            let truth = reference.mean[channel];
            // Where no sample differs from another, rounding is what is left.
            let rounding = (ROUNDING * truth).powi(2) + f64::MIN_POSITIVE;
            let spread = ours.variance[channel] + reference.variance[channel] + rounding;
            z.push((ours.mean[channel] - truth) / spread.sqrt());
            // A ratio says nothing of darkness.
            if truth > 0.0 {
                lit += 1;
                let weight = truth.min(weight_max);
                weights += weight;
                ratio += weight * ours.mean[channel] / truth;
                variance += (weight / truth).powi(2) * spread;
            }
        }
        let chi_square = z.iter().map(|z| z * z).sum();
        Self { z, chi_square, lit, ratio: ratio / weights, error: variance.sqrt() / weights }
    }

    fn largest(&self) -> f64 {
        self.z.iter().fold(0.0, |most, z| if z.abs() > f64::abs(most) { *z } else { most })
    }

    fn z_of_chi_square(&self) -> f64 {
        z_of_chi_square(self.chi_square, self.lit as f64)
    }

    fn z_of_ratio(&self) -> f64 {
        (self.ratio - 1.0) / self.error
    }

    /// NaN does not agree with anything.
    fn agrees(&self) -> bool {
        self.z.iter().all(|z| z.abs() < Z_BLOCK)
            && self.z_of_chi_square().abs() < Z_IMAGE
            && self.z_of_ratio().abs() < Z_IMAGE
    }

    fn describe(&self, name: &str) -> String {
        let Self { chi_square, lit, ratio, error, .. } = self;
        let mut text = format!(
            "{name}: largest z {:+.2}; chi-square {chi_square:.1} of {lit} (z {:+.2}); \
             mean ratio {ratio:.5} ± {error:.5} (z {:+.2})",
            self.largest(),
            self.z_of_chi_square(),
            self.z_of_ratio(),
        );
        if !self.agrees() {
            for row in self.z.chunks(8) {
                text += "\n   ";
                text.extend(row.iter().map(|z| format!(" {z:+6.1}")));
            }
        }
        text
    }
}

/// One comparison for each channel.
fn compared(ours: &[Block], reference: &[Block]) -> [Comparison; 3] {
    std::array::from_fn(|channel| Comparison::of(ours, reference, channel))
}

/// Whether the images agree; says how they differ.
fn agree(name: &str, ours: &[Block], reference: &[Block]) -> bool {
    let found = compared(ours, reference);
    for (comparison, channel) in found.iter().zip(CHANNELS) {
        println!("{}", comparison.describe(&format!("{name}, {channel}")));
    }
    found.iter().all(Comparison::agrees)
}

/// The scene agrees with its reference. With all its light off by `bias` no channel would, even if
/// only the mean ratio were asked.
fn judge(case: &Case, bias: f64) {
    let Some(ours) = case.ours() else { return };
    let reference = case.reference();
    assert!(agree(case.name, &ours, &reference), "{} is not its reference", case.name);
    for factor in [1.0 - bias, 1.0 + bias] {
        let wrong: Vec<Block> = ours.iter().map(|block| block.scaled(factor)).collect();
        let found = compared(&wrong, &reference);
        let seen = found.map(|comparison| comparison.z_of_ratio());
        println!("{} × {factor}: z of the mean ratios {seen:+.1?}", case.name);
        assert!(seen.iter().all(|z| z.abs() > Z_IMAGE), "the test does not see {factor}");
    }
}

/// Ratio of the mean radiances, and the median block's distance from its reference.
fn distance(ours: &[Block], reference: &[Block], channel: usize) -> (f64, f64) {
    let mean = |blocks: &[Block]| blocks.iter().map(|block| block.mean[channel]).sum::<f64>();
    let off = |(a, b): (&Block, &Block)| (a.mean[channel] / b.mean[channel] - 1.0).abs();
    let mut apart: Vec<f64> = ours.iter().zip(reference).map(off).collect();
    apart.sort_by(f64::total_cmp);
    (mean(ours) / mean(reference), apart[apart.len() / 2])
}

/// The scene is near its reference, whose glass reflects by Fresnel's equations where glTF's does
/// by Schlick's approximation. A fiftieth more light would be too much.
fn judge_near(case: &Case) {
    let Some(ours) = case.ours() else { return };
    let reference = case.reference();
    for (channel, name) in CHANNELS.into_iter().enumerate() {
        let (ratio, apart) = distance(&ours, &reference, channel);
        println!("{}, {name}: ratio {ratio:.4}, median block {apart:.4} off", case.name);
        assert!((ratio - 1.0).abs() < NEAR && apart < NEAR, "{} is not near", case.name);
        let more: Vec<Block> = ours.iter().map(|block| block.scaled(1.02)).collect();
        let (ratio, _) = distance(&more, &reference, channel);
        assert!((ratio - 1.0).abs() > NEAR, "the test does not see a fiftieth more");
    }
}

#[test]
fn a_room_lit_by_its_ceiling_is_its_reference() {
    judge(&case("cornell_box", None, 8, 768), 0.01);
}

#[test]
fn a_metal_box_under_the_sky_is_its_reference() {
    judge(&case("metal_box", COURTYARD, 4, 1024), 0.005);
}

#[test]
fn metal_and_plastic_under_a_small_sun_are_their_reference() {
    judge(&case("gems", SUN, 6, 512), 0.02);
}

#[test]
fn many_lamps_of_many_colours_are_their_reference() {
    judge(&case("lattice", None, 5, 512), 0.02);
}

#[test]
fn point_spot_and_sun_are_their_reference() {
    judge(&case("lamps", None, 5, 256), 0.02);
}

#[test]
fn a_picture_with_holes_is_its_reference() {
    judge(&case("cutout", DUSK, 12, 256), 0.02);
}

#[test]
fn a_veil_is_its_reference() {
    judge(&case("veil", DUSK, 12, 256), 0.02);
}

#[test]
fn a_parallel_view_of_tinted_corners_is_its_reference() {
    judge(&case("parallel", SUN, 5, 512), 0.02);
}

#[test]
fn a_smooth_ball_is_near_its_reference() {
    judge_near(&case("sphere", DUSK, 5, 256));
}

#[test]
fn cut_glass_is_near_its_reference() {
    judge_near(&case("glass", DUSK, 12, 256));
}

#[test]
fn frosted_glass_is_near_its_reference() {
    judge_near(&case("frosted", DUSK, 12, 256));
}

#[test]
fn a_lens_is_near_its_reference() {
    judge_near(&case("lens", DUSK, 12, 256));
}

#[test]
fn glass_that_absorbs_is_near_its_reference() {
    judge_near(&case("ink", DUSK, 12, 256));
}
