//! The engine trait: what in a worker turns a tile into bytes. Knows no jobs, money or network.

use crate::asset::Asset;
use farm::digest::Digest;

/// What one tile is: together with the engine digest it decides every byte of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileSpec {
    /// Digest of the scene bundle (see `assets.rs`).
    pub scene: Digest,
    /// Digest of the environment asset, if the job has one.
    pub environment: Option<Digest>,
    /// Frame number; its time in seconds is `frame / fps`.
    pub frame: u32,
    pub fps: u32,
    /// Size of the whole frame in pixels.
    pub frame_width: u32,
    pub frame_height: u32,
    /// The tile's rectangle: x and y are multiples of 8, width and height reach to the next
    /// multiple of 8 or to the frame's edge.
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    /// Samples per pixel, a multiple of 4.
    pub samples: u32,
    /// Longest path in segments (1: only what the camera sees).
    pub depth: u32,
    pub seed: u32,
    /// Bits of `proto::aov::Aov`: what is wanted besides the picture.
    pub aovs: u32,
    /// Noise, in millionths, at which a block gets no more samples; 0: all are taken.
    pub noise: u32,
    /// Inference: the most work units that a tile may take for each of its pixels; 0: a tile to be
    /// rendered.
    pub work_per_pixel: u32,
    /// Inference: what the tile is made of where it is made of another job's tiles.
    pub feed: Option<Feed>,
}

/// Tiles of another job's frame that a tile is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Size of that frame in pixels.
    pub width: u32,
    pub height: u32,
    /// Samples of each of its pixels that are added up there, unless its tiles say themselves.
    pub samples: u32,
    /// Bits of `proto::aov::Aov`: what its tiles hold besides light.
    pub aovs: u32,
    pub parts: Vec<Part>,
}

/// A tile of that frame, as it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    pub output: Digest,
}

impl TileSpec {
    /// Blocks of pixels, row by row: 8×8, of inference 16×16. Edge blocks may be partly outside the
    /// frame.
    pub fn blocks(&self) -> u32 {
        let side = if self.work_per_pixel == 0 { 8 } else { 16 };
        self.width.div_ceil(side) * self.height.div_ceil(side)
    }
    pub fn groups(&self) -> u32 {
        self.samples / 4
    }
    /// Leaves of the commitment, those included that are not traced. Leaf
    /// `block * groups + group` is that block for that group.
    pub fn leaves(&self) -> u32 {
        self.blocks() * self.groups()
    }
}

/// What computing a tile gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The delivered tile: `width * height` pixels row by row, each three little-endian f32, the
    /// sum of its samples (divide by `samples` for the mean); then the channels of its AOVs, a word
    /// for each pixel (see `proto::aov`).
    pub bytes: Vec<u8>,
    /// Every leaf of the commitment, in order.
    pub leaves: Vec<farm::leaf::Leaf>,
}

/// What blocks are expected to take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Work units of each block, all its groups together.
    pub units: Vec<u64>,
    /// Work units that were spent to know it.
    pub spent: u64,
}

/// Why an engine gave nothing. `Scene` is the job's fault (the text is shown to the artist),
/// `Device` the host's.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{0}")]
    Scene(String),
    #[error("device: {0}")]
    Device(String),
    #[error("stopped")]
    Stopped,
}

/// Where an engine finds the bytes behind a digest.
pub trait Assets: Sync {
    fn asset(&self, digest: &Digest) -> Result<Asset, EngineError>;
}

/// Turns tiles into bytes. One value drives one device from one thread.
pub trait Engine: Send {
    /// Name used in doctor and logs: `render`, `infer`.
    fn name(&self) -> &'static str;
    /// Hash of everything that decides the bits: SPIR-V and preparation versions.
    fn digest(&self) -> Digest;
    /// Computes the whole tile. `stop` is polled between dispatches.
    fn run(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        stop: &dyn Fn() -> bool,
    ) -> Result<Output, EngineError>;
    /// What the blocks of the named leaves are expected to take, in the order of the question: each
    /// from that leaf, or from those first ones that decide how many more there are.
    fn forecast(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Forecast, EngineError>;
    /// Computes the named leaves only; the answer has the order of the question.
    fn audit(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Vec<farm::leaf::Leaf>, EngineError>;
}
