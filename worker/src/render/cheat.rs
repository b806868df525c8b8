//! Cheats, for tests and demonstrations only: an engine whose forged answers are consistent in
//! themselves, so that nothing but an audit can tell.
//!
//! A forger needs each leaf's payload, which `Output` does not carry; it forges payloads anew from
//! the tile's bytes: the first group holds a block's whole sum and the others hold zeros, which
//! adds up to the delivered bytes exactly. It knows nothing of AOVs: asked for them, its leaves are
//! false all the same.

use crate::engine::{Assets, Engine, EngineError, Forecast, Output, TileSpec};
use farm::digest::Digest;
use farm::leaf::{self, Leaf};
use std::str::FromStr;

/// What the cheat does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
    /// Computes half of the sample groups and counts them twice.
    FewerSamples,
    /// Computes half of them and blurs what they show.
    Denoised,
    /// Delivers every other pixel of every other row four times.
    Upscaled,
    /// Leaves out every other block and fills it from its neighbours.
    SkippedBlocks,
    /// Delivers the frame before.
    PreviousFrame,
    /// Draws its samples by another seed.
    WrongSeed,
    /// Delivers another tile of the frame.
    OtherTile,
    /// Computes nothing and delivers noise.
    RandomBytes,
    /// Alters one block a little.
    OneBlock,
    /// Takes twice the noise for little enough.
    EarlyStop,
}

impl Cheat {
    /// All of them, as they are called.
    pub const ALL: [(&str, Cheat); 10] = [
        ("fewer-samples", Self::FewerSamples),
        ("denoised", Self::Denoised),
        ("upscaled", Self::Upscaled),
        ("skipped-blocks", Self::SkippedBlocks),
        ("previous-frame", Self::PreviousFrame),
        ("wrong-seed", Self::WrongSeed),
        ("other-tile", Self::OtherTile),
        ("random-bytes", Self::RandomBytes),
        ("one-block", Self::OneBlock),
        ("early-stop", Self::EarlyStop),
    ];
}

impl FromStr for Cheat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(own, _)| *own == name);
        found.map(|(_, cheat)| *cheat).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            format!("`{name}` is no way to cheat; there are {names}")
        })
    }
}

/// An engine that cheats about the answers of another one. It answers honestly about leaves; a tile
/// that it is given to compute a second time looks like any other, so there it cheats too.
pub struct Cheater<E> {
    honest: E,
    cheat: Cheat,
}

impl<E: Engine> Cheater<E> {
    pub fn new(honest: E, cheat: Cheat) -> Self {
        Self { honest, cheat }
    }
}

impl<E: Engine> Engine for Cheater<E> {
    fn name(&self) -> &'static str {
        self.honest.name()
    }

    fn digest(&self) -> Digest {
        self.honest.digest()
    }

    fn run(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        stop: &dyn Fn() -> bool,
    ) -> Result<Output, EngineError> {
        let mut other = spec.clone();
        match self.cheat {
            Cheat::FewerSamples | Cheat::Denoised => {
                other.samples = (spec.groups() / 2).max(1) * shaders::GROUP;
            }
            Cheat::PreviousFrame => other.frame = spec.frame.wrapping_sub(1),
            Cheat::WrongSeed => other.seed = !spec.seed,
            Cheat::OtherTile => (other.x, other.y) = elsewhere(spec),
            Cheat::EarlyStop => other.noise = spec.noise * 2,
            Cheat::RandomBytes => return Ok(random_bytes(spec)),
            Cheat::Upscaled | Cheat::SkippedBlocks | Cheat::OneBlock => {}
        }
        let mut output = self.honest.run(&other, assets, stop)?;
        match self.cheat {
            Cheat::FewerSamples => output = fewer_samples(spec, &other, &output),
            Cheat::Denoised => {
                output = fewer_samples(spec, &other, &output);
                repaint(spec, &mut output, blurred);
            }
            Cheat::Upscaled => repaint(spec, &mut output, upscaled),
            Cheat::SkippedBlocks => repaint(spec, &mut output, bridged),
            Cheat::OneBlock => one_block(spec, &mut output),
            _ => {}
        }
        Ok(output)
    }

    fn forecast(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Forecast, EngineError> {
        self.honest.forecast(spec, leaves, assets)
    }

    fn audit(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Vec<Leaf>, EngineError> {
        self.honest.audit(spec, leaves, assets)
    }
}

/// The groups that were computed stay; the next one is claimed to hold the missing rest, which is a
/// copy of their sum, and the others nothing.
fn fewer_samples(spec: &TileSpec, cheaper: &TileSpec, output: &Output) -> Output {
    let done = cheaper.groups();
    let missing = (spec.groups() - done) as f32 / done as f32;
    let number = |word: &[u8]| f32::from_le_bytes([word[0], word[1], word[2], word[3]]);
    let (mut bytes, mut rest) = (Vec::new(), Vec::new());
    for word in output.bytes.chunks_exact(4) {
        let extra = number(word) * missing;
        rest.extend(extra.to_le_bytes());
        bytes.extend((number(word) + extra).to_le_bytes());
    }
    let mut leaves = Vec::with_capacity(spec.leaves() as usize);
    for block in 0..spec.blocks() {
        let honest = &output.leaves[(block * done) as usize..((block + 1) * done) as usize];
        leaves.extend(honest);
        let claimed = payload_of(spec, &rest, block);
        let zeros = vec![0; claimed.len()];
        for group in done..spec.groups() {
            let hash = leaf::payload(if group == done { &claimed } else { &zeros });
            leaves.push(Leaf { hash, units: honest[0].units });
        }
    }
    Output { bytes, leaves }
}

/// Noise that depends on the tile, so that it looks like work.
fn random_bytes(spec: &TileSpec) -> Output {
    let place = [spec.frame, spec.x, spec.y, spec.seed].map(u32::to_le_bytes).concat();
    let mut noise = blake3::Hasher::new().update(&place).finalize_xof();
    let samples = spec.samples as f32 / 256.0;
    let mut raw = vec![0; spec.width as usize * spec.height as usize * 3];
    noise.fill(&mut raw);
    let bytes = raw.iter().flat_map(|byte| (f32::from(*byte) * samples).to_le_bytes()).collect();
    let mut output = Output { bytes, leaves: vec![Leaf::default(); spec.leaves() as usize] };
    for block in 0..spec.blocks() {
        forge(spec, &mut output, block);
    }
    output
}

/// The middle block becomes a tenth brighter.
fn one_block(spec: &TileSpec, output: &mut Output) {
    let block = spec.blocks() / 2;
    for at in places(spec, block).flatten() {
        let word = &mut output.bytes[at..at + 4];
        let value = f32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        word.copy_from_slice(&(value * 1.1 + 0.01).to_le_bytes());
    }
    forge(spec, output, block);
}

/// Another tile of the same size, or, if the frame has none, the place of this one.
fn elsewhere(spec: &TileSpec) -> (u32, u32) {
    let (x, y, width, height) = (spec.x, spec.y, spec.width, spec.height);
    let right = x + 2 * width <= spec.frame_width;
    let below = y + 2 * height <= spec.frame_height;
    match () {
        () if x >= width => (x - width, y),
        () if right => (x + width, y),
        () if y >= height => (x, y - height),
        () if below => (x, y + height),
        () => (x, y),
    }
}

/// A tile's light by place, and the tile's width and height.
struct Light {
    values: Vec<[f32; 3]>,
    width: usize,
    height: usize,
}

impl Light {
    /// The nearest pixel of the tile.
    fn at(&self, x: isize, y: isize) -> [f32; 3] {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        self.values[y * self.width + x]
    }
}

/// Delivers other light than was computed: what `shown` says of each place.
fn repaint(spec: &TileSpec, output: &mut Output, shown: impl Fn(&Light, isize, isize) -> [f32; 3]) {
    let (width, height) = (spec.width as usize, spec.height as usize);
    let words = output.bytes.as_chunks::<4>().0[..width * height * 3].as_chunks::<3>().0;
    let values = words.iter().map(|pixel| pixel.map(f32::from_le_bytes)).collect();
    let light = Light { values, width, height };
    for (at, pixel) in output.bytes.chunks_exact_mut(12).take(width * height).enumerate() {
        let value = shown(&light, (at % width) as isize, (at / width) as isize);
        pixel.copy_from_slice(value.map(f32::to_le_bytes).as_flattened());
    }
    (0..spec.blocks()).for_each(|block| forge(spec, output, block));
}

/// The mean of nine pixels.
fn blurred(light: &Light, x: isize, y: isize) -> [f32; 3] {
    let around = (-1..=1).flat_map(|down| (-1..=1).map(move |right| (right, down)));
    let sum = around.fold([0.0; 3], |sum: [f32; 3], (right, down)| {
        let value = light.at(x + right, y + down);
        [0, 1, 2].map(|channel| sum[channel] + value[channel])
    });
    sum.map(|sum| sum / 9.0)
}

fn upscaled(light: &Light, x: isize, y: isize) -> [f32; 3] {
    light.at(x & !1, y & !1)
}

/// Every other block goes from the pixel left of it to that on its right.
fn bridged(light: &Light, x: isize, y: isize) -> [f32; 3] {
    if (x / 8 + y / 8) % 2 == 0 {
        return light.at(x, y);
    }
    let first = x & !7;
    let (left, right) = (light.at(first - 1, y), light.at(first + 8, y));
    let share = (x - first + 1) as f32 / 9.0;
    [0, 1, 2].map(|channel| left[channel] + (right[channel] - left[channel]) * share)
}

/// Makes a block's leaves agree with its delivered bytes.
fn forge(spec: &TileSpec, output: &mut Output, block: u32) {
    let first = payload_of(spec, &output.bytes, block);
    let zeros = vec![0; first.len()];
    for group in 0..spec.groups() {
        let leaf = &mut output.leaves[(block * spec.groups() + group) as usize];
        leaf.hash = leaf::payload(if group == 0 { &first } else { &zeros });
        if leaf.units == 0 {
            // About what an honest leaf of a small scene counts.
            leaf.units = 64 * 4 * 6;
        }
    }
}

/// A block's 64 × 3 numbers out of a tile's bytes; zeros outside the tile.
fn payload_of(spec: &TileSpec, bytes: &[u8], block: u32) -> Vec<u8> {
    let number = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    places(spec, block).flat_map(|at| at.map_or([0; 4], number)).collect()
}

/// Where the 64 × 3 numbers of a block lie in the tile's bytes; `None` outside the tile.
fn places(spec: &TileSpec, block: u32) -> impl Iterator<Item = Option<usize>> {
    super::canvas::places(spec, block)
        .flat_map(|place| (0..3).map(move |channel| place.map(|pixel| pixel * 12 + channel * 4)))
}
