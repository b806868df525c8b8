//! Cheats, for tests and demonstrations only: an engine whose forged answers are consistent in
//! themselves, so that nothing but an audit can tell.
//!
//! A forger needs each leaf's payload, which `Output` does not carry; it forges payloads anew from
//! the tile's bytes: the first group holds a block's whole sum and the others hold zeros, which
//! adds up to the delivered bytes exactly. It knows nothing of AOVs: asked for them, its leaves are
//! false all the same.

use crate::engine::{Assets, Engine, EngineError, Output, TileSpec};
use farm::digest::Digest;
use farm::leaf::{self, Leaf};
use std::str::FromStr;

/// What the cheat does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
    /// Computes half of the sample groups and counts them twice.
    FewerSamples,
    /// Computes nothing and delivers noise.
    RandomBytes,
    /// Alters one block a little.
    OneBlock,
}

impl FromStr for Cheat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "fewer-samples" => Ok(Self::FewerSamples),
            "random-bytes" => Ok(Self::RandomBytes),
            "one-block" => Ok(Self::OneBlock),
            _ => Err(format!("`{name}`: fewer-samples, random-bytes or one-block is meant")),
        }
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
        match self.cheat {
            Cheat::FewerSamples => {
                let half = (spec.groups() / 2).max(1) * shaders::GROUP;
                let cheaper = TileSpec { samples: half, ..spec.clone() };
                let output = self.honest.run(&cheaper, assets, stop)?;
                Ok(fewer_samples(spec, &cheaper, &output))
            }
            Cheat::RandomBytes => Ok(random_bytes(spec)),
            Cheat::OneBlock => {
                let mut output = self.honest.run(spec, assets, stop)?;
                one_block(spec, &mut output);
                Ok(output)
            }
        }
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
