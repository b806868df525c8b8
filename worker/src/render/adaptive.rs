//! Adaptive sampling that stays exact: how many groups of samples a block gets follows from its
//! first ones alone, so that any device, and any auditor who computes these, decides alike.
//!
//! The error of a pixel is estimated from two halves of its samples (H. Dammertz, J. Hanika,
//! A. Keller, H. Lensch, "A Hierarchical Automatic Stopping Condition for Monte Carlo Global
//! Illumination", 2010) and measured as Cycles does: against the square root of the brightness,
//! above 1 against the brightness. Here it is the block's, for a pixel that a rare bright
//! sample hit looks quiet against its own. In integers, the mean square over the block falls as
//! samples grow.

use super::canvas::places;
use crate::engine::TileSpec;

/// Groups that every block gets and that decide how many more: 16 samples of each pixel.
pub const PILOT: u32 = 4;
/// Steps of a pixel's noise as an integer, and the most of them.
const STEPS: f64 = 65_536.0;
const NOISE_MAX: f64 = 1_048_576.0;
/// Keeps black pixels from dividing by zero.
const DARKEST: f64 = 1e-4;

/// Groups that decide; 0 where there is nothing to decide.
pub fn pilot(spec: &TileSpec) -> u32 {
    if spec.noise == 0 || spec.groups() <= PILOT { 0 } else { PILOT }
}

/// Groups of a block in all, given the light of its pilot groups in order: for each pixel three
/// little-endian f32 sums. Where there is nothing to decide, all.
pub fn groups(spec: &TileSpec, block: u32, pilots: &[&[u8]]) -> u32 {
    if pilot(spec) == 0 {
        return spec.groups();
    }
    let inside = places(spec, block).enumerate().filter(|(_, place)| place.is_some());
    let pixels: Vec<Pixel> = inside.map(|(pixel, _)| Pixel::of(pixel, pilots)).collect();
    let bright = pixels.iter().map(|pixel| pixel.mean).sum::<f64>() / pixels.len() as f64;
    let against = bright.max(bright.sqrt()) + DARKEST;
    let steps = |pixel: &Pixel| (pixel.error / against * STEPS).clamp(0.0, NOISE_MAX) as u64;
    let squares: u64 = pixels.iter().map(|pixel| steps(pixel).pow(2)).sum();
    // pilots * mean square of the noise / threshold², rounded up.
    let threshold = u128::from(spec.noise) * u128::from(spec.noise);
    let numerator = u128::from(PILOT) * u128::from(squares) * MILLION * MILLION;
    let denominator = pixels.len() as u128 * (STEPS as u128 * STEPS as u128) * threshold;
    let needed = numerator.div_ceil(denominator.max(1));
    u32::try_from(needed).unwrap_or(u32::MAX).clamp(PILOT, spec.groups())
}

/// A threshold is given in millionths.
const MILLION: u128 = 1_000_000;

/// What the pilot says of a pixel: its brightness, and the standard error of that, estimated by how
/// far the mean of every other group lies from that of all.
struct Pixel {
    mean: f64,
    error: f64,
}

impl Pixel {
    fn of(pixel: usize, pilots: &[&[u8]]) -> Self {
        let samples = f64::from(PILOT * shaders::GROUP);
        let (mut apart, mut sum) = (0.0, 0.0);
        for channel in 0..3 {
            let mut halves = [0.0; 2];
            for (group, light) in pilots.iter().enumerate() {
                let word = light.as_chunks::<4>().0.get(pixel * 3 + channel).copied();
                halves[group % 2] += f64::from(f32::from_le_bytes(word.unwrap_or_default()));
            }
            apart += (halves[0] - halves[1]).abs();
            sum += halves[0] + halves[1];
        }
        Self { mean: sum / (3.0 * samples), error: apart / (3.0 * samples) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(noise: u32, samples: u32) -> TileSpec {
        TileSpec {
            scene: farm::digest::Digest::default(),
            environment: None,
            frame: 0,
            fps: 24,
            frame_width: 12,
            frame_height: 8,
            x: 0,
            y: 0,
            width: 12,
            height: 8,
            samples,
            depth: 2,
            seed: 0,
            aovs: 0,
            noise,
            work_per_pixel: 0,
            feed: None,
        }
    }

    /// Four groups whose means are `mean` and, every other one, `apart` above and below.
    fn pilots(mean: f32, apart: f32) -> Vec<Vec<u8>> {
        let light = |value: f32| (value * 4.0).to_le_bytes().repeat(64 * 3);
        (0..4).map(|at| light(if at % 2 == 0 { mean + apart } else { mean - apart })).collect()
    }

    fn asked(spec: &TileSpec, block: u32, mean: f32, apart: f32) -> u32 {
        let pilots = pilots(mean, apart);
        groups(spec, block, &pilots.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn groups_grow_with_the_square_of_noise_over_threshold() {
        // The mean of a half lies `apart` off: that is the standard error after the pilot.
        for (mean, apart, due) in
            [(1.0, 0.04, 64), (1.0, 0.02, 16), (0.25, 0.02, 64), (4.0, 0.16, 64)]
        {
            let found = asked(&spec(10_000, 4096), 0, mean, apart);
            assert!(found.abs_diff(due) <= due / 50 + 1, "{mean} {apart}: {found}, not {due}");
        }
        assert_eq!(asked(&spec(10_000, 4096), 0, 1.0, 0.0), PILOT);
        assert_eq!(asked(&spec(10_000, 64), 0, 1.0, 0.5), 16);
        assert_eq!(asked(&spec(1, 1 << 16), 0, 1e9, 1e9), 1 << 14);
        assert_eq!(asked(&spec(10_000, 64), 0, f32::NAN, f32::INFINITY), PILOT);
        // No threshold, or fewer samples than the pilot's: all of them.
        assert_eq!((asked(&spec(0, 64), 0, 1.0, 0.0), pilot(&spec(0, 64))), (16, 0));
        assert_eq!((asked(&spec(10_000, 8), 0, 1.0, 0.0), pilot(&spec(10_000, 8))), (2, 0));
    }

    #[test]
    fn pixels_outside_of_the_frame_do_not_count() {
        // The second block has four columns inside.
        let mut pilots = pilots(1.0, 0.04);
        for light in &mut pilots {
            for pixel in light.chunks_exact_mut(12).skip(4).step_by(8) {
                pixel.fill(0);
            }
        }
        let pilots: Vec<&[u8]> = pilots.iter().map(Vec::as_slice).collect();
        assert!(groups(&spec(10_000, 4096), 1, &pilots).abs_diff(64) <= 2);
    }
}
