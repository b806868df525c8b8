//! The probe: what the frames of a job will take, from few of their leaves computed here. Knows no
//! prices.

use crate::cost::Costs;
use crate::engine::{Assets, Engine, EngineError};
use crate::link::tile_spec;
use farm::cut::Cut;
use farm::job::Spec;
use farm::limit;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Frames that are looked at, at most.
const FRAMES_MAX: u32 = 4;
/// Leaves that are computed, at least, shared by the frames that are looked at; and of one frame,
/// at most.
const LEAVES_MIN: u64 = 2048;
const LEAVES_MAX: u64 = 1 << 16;
/// Relative standard error with which a frame is known well enough.
const ERROR_ENOUGH: f64 = 0.01;
/// After so long no frame is begun, and the one at hand is finished with what is known.
const TIME_MAX: Duration = Duration::from_secs(6);
/// How long one batch of leaves should take: enough to keep a device busy.
const BATCH_TIME: Duration = Duration::from_millis(200);

/// What is known of a job before it is ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Work units of the whole job.
    pub units: f64,
    /// Their standard error.
    pub error: f64,
    /// Work units a second of this device on these frames.
    pub units_per_second: f64,
    /// What the frames' parts take.
    pub costs: Costs,
}

/// Computes leaves from all over the frame of some frames of the job.
pub fn probe(
    engine: &mut dyn Engine,
    assets: &dyn Assets,
    spec: &Spec,
) -> Result<Probe, EngineError> {
    let begun = Instant::now();
    // No leaf depends on the cut, and the largest tiles hold leaves from all over the frame.
    let whole = Spec { tile_size: limit::TILE_SIDE_MAX, cut: Cut::default(), ..spec.clone() };
    let (spec, frames) = (&whole, spec.frames());
    let (mut looks, mut costs) = (Vec::new(), Costs::of_frame(spec.width, spec.height));
    let watched = frames.min(FRAMES_MAX);
    for nth in 0..watched {
        if nth > 0 && begun.elapsed() > TIME_MAX {
            break;
        }
        let place = (middle_first(nth) * f64::from(frames)) as u32;
        let mut look = Look { least: LEAVES_MIN.div_ceil(watched.into()), ..Look::default() };
        look.run(place.min(frames - 1), engine, assets, spec, begun, &mut costs)?;
        looks.push(look);
    }
    Ok(sum_up(&looks, spec, costs))
}

/// Van der Corput's sequence without its first number: 1/2, 1/4, 3/4, 1/8.
fn middle_first(nth: u32) -> f64 {
    f64::from((nth + 1).reverse_bits()) / (f64::from(u32::MAX) + 1.0)
}

fn sum_up(looks: &[Look], spec: &Spec, costs: Costs) -> Probe {
    let (seen, frames) = (looks.len() as f64, f64::from(spec.frames()));
    let mean = looks.iter().map(Look::mean).sum::<f64>() / seen;
    let within = looks.iter().map(|look| look.error().powi(2)).sum::<f64>() / (seen * seen);
    let apart = looks.iter().map(|look| (look.mean() - mean).powi(2)).sum::<f64>();
    // Frames that were not looked at differ as those do that were.
    let unseen = (1.0 - seen / frames).max(0.0);
    let between = if seen > 1.0 { apart / (seen - 1.0) / seen * unseen } else { 0.0 };
    let (across, down) = blocks(spec);
    let blocks = f64::from(across) * f64::from(down) * frames;
    let seconds: f64 = looks.iter().map(|look| look.seconds).sum();
    let timed: f64 = looks.iter().map(|look| look.timed).sum();
    Probe {
        units: mean * blocks,
        error: (within + between).sqrt() * blocks,
        units_per_second: timed / seconds.max(1e-9),
        costs,
    }
}

fn blocks(spec: &Spec) -> (u32, u32) {
    (spec.width.div_ceil(shaders::BLOCK), spec.height.div_ceil(shaders::BLOCK))
}

/// What blocks of one frame take, as their leaves showed.
#[derive(Default)]
struct Look {
    least: u64,
    count: f64,
    sum: f64,
    squares: f64,
    /// Units of the batches that were timed, and their time.
    timed: f64,
    seconds: f64,
}

impl Look {
    fn run(
        &mut self,
        nth_frame: u32,
        engine: &mut dyn Engine,
        assets: &dyn Assets,
        spec: &Spec,
        begun: Instant,
        costs: &mut Costs,
    ) -> Result<(), EngineError> {
        let (mut next, mut batch) = (0, 64);
        // Two batches at least: the first loads and compiles, and only others tell the pace.
        while !self.is_enough() && (self.seconds == 0.0 || begun.elapsed() < TIME_MAX) {
            let asked = asked(spec, nth_frame, next..next + batch);
            next += batch;
            let (started, mut spent) = (Instant::now(), 0);
            for (tile, leaves) in asked {
                let tile = tile_spec(spec, tile);
                let found = engine.forecast(&tile, &leaves, assets)?;
                spent += found.spent;
                for (leaf, units) in leaves.iter().zip(found.units) {
                    self.add(units as f64);
                    let (block, across) = (leaf / tile.groups(), tile.width.div_ceil(8));
                    let (x, y) = (tile.x / 8 + block % across, tile.y / 8 + block / across);
                    costs.add(x, y, units as f64);
                }
            }
            let took = started.elapsed();
            if next > batch {
                self.timed += spent as f64;
                self.seconds += took.as_secs_f64();
                if took < BATCH_TIME {
                    batch *= 2;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, units: f64) {
        self.count += 1.0;
        self.sum += units;
        self.squares += units * units;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// The mean's standard error.
    fn error(&self) -> f64 {
        let variance = (self.squares / self.count - self.mean().powi(2)).max(0.0);
        (variance / (self.count - 1.0)).sqrt()
    }

    fn is_enough(&self) -> bool {
        let known = self.error() <= ERROR_ENOUGH * self.mean() && self.seconds > 0.0;
        self.count >= self.least as f64 && known || self.count >= LEAVES_MAX as f64
    }
}

/// Which leaves of which tiles: evenly over the frame's area (the R2 sequence, Roberts 2018).
fn asked(spec: &Spec, nth_frame: u32, numbers: Range<u64>) -> BTreeMap<u64, Vec<u32>> {
    let (across, down) = blocks(spec);
    let groups = spec.samples / shaders::GROUP;
    let side = spec.tile_size / shaders::BLOCK;
    let mut asked: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for n in numbers {
        let along = |step: f64, count: u32| {
            let place = (0.5 + n as f64 * step).fract() * f64::from(count);
            (place as u32).min(count - 1)
        };
        let (x, y) = (along(0.754_877_666_246_693, across), along(0.569_840_290_998_053, down));
        let tile = u64::from(y / side) * u64::from(across.div_ceil(side)) + u64::from(x / side);
        let width = (across - x / side * side).min(side);
        let block = y % side * width + x % side;
        let group = (n % u64::from(groups)) as u32;
        asked.entry(tile).or_default().push(block * groups + group);
    }
    let first = u64::from(nth_frame) * spec.tiles_per_frame();
    asked.into_iter().map(|(tile, leaves)| (first + tile, leaves)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::Asset;
    use crate::null::NullEngine;

    struct Nothing;

    impl Assets for Nothing {
        fn asset(&self, digest: &farm::digest::Digest) -> Result<Asset, EngineError> {
            Err(EngineError::Device(format!("asset {digest} is not here")))
        }
    }

    fn spec(width: u32, height: u32, samples: u32, frames: u32) -> Spec {
        Spec {
            engine: farm::digest::Digest::default(),
            scene: farm::digest::Digest::default(),
            environment: None,
            frame_first: 1,
            frame_last: frames,
            frame_step: 1,
            fps: 24,
            width,
            height,
            tile_size: 64,
            samples,
            depth: 4,
            seed: 0,
            aovs: 0,
            noise: 0,
            cut: farm::cut::Cut::default(),
            work_per_pixel: 0,
            upstream: None,
        }
    }

    #[test]
    fn frames_are_looked_at_from_the_middle_and_never_twice() {
        for frames in 1..9_u32 {
            let places = (0..frames.min(FRAMES_MAX)).map(middle_first);
            let mut nth: Vec<u32> =
                places.map(|place| (place * f64::from(frames)) as u32).collect();
            assert_eq!(nth[0], frames / 2);
            nth.sort_unstable();
            nth.dedup();
            assert_eq!(nth.len() as u32, frames.min(FRAMES_MAX), "of {frames}");
        }
    }

    #[test]
    fn leaves_asked_for_lie_in_their_tiles_and_all_over_the_frame() {
        // The largest tiles cut this frame into four, the last of 13 by 7 blocks.
        let spec = Spec { tile_size: limit::TILE_SIDE_MAX, ..spec(1124, 1074, 8, 3) };
        let asked = asked(&spec, 2, 0..20_000);
        assert_eq!(asked.keys().copied().collect::<Vec<_>>(), [8, 9, 10, 11]);
        let mut shares = Vec::new();
        for (tile, leaves) in asked {
            let tile = spec.tile(tile);
            assert!(leaves.iter().all(|leaf| *leaf < spec.leaves(&tile)));
            let area = f64::from(spec.leaves(&tile)) / f64::from(141 * 135 * 2);
            shares.push((leaves.len() as f64 / 20_000.0, area));
        }
        assert!(shares.iter().all(|(asked, area)| (asked - area).abs() < 0.01), "{shares:?}");
    }

    #[test]
    fn what_every_leaf_takes_is_what_the_job_takes() {
        let spec = spec(1000, 500, 16, 10);
        let found = probe(&mut NullEngine, &Nothing, &spec).unwrap();
        let one = NullEngine.audit(&tile_spec(&spec, 0), &[0], &Nothing).unwrap()[0].units;
        assert_eq!(found.units, (125 * 63 * 4 * 10 * one) as f64);
        assert!(found.error < 1e-6 * found.units && found.units_per_second > 0.0);
    }
}
