//! A job: what was ordered, what it may cost, how far it is.

use crate::digest::Digest;
use crate::limit;
use crate::money::{Amount, Price};

/// What is to be rendered. Immutable; together with a tile's place it decides every byte.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Spec {
    pub engine: Digest,
    pub scene: Digest,
    pub environment: Option<Digest>,
    /// Frames `first, first + step, ...` up to `last`, inclusive.
    pub frame_first: u32,
    pub frame_last: u32,
    pub frame_step: u32,
    pub fps: u32,
    pub width: u32,
    pub height: u32,
    /// Side of a tile in pixels, a multiple of 8.
    pub tile_size: u32,
    /// Samples per pixel, a multiple of 4.
    pub samples: u32,
    /// Longest path in segments.
    pub depth: u32,
    pub seed: u32,
}

impl Spec {
    /// Whether every size is within its limit.
    pub fn is_valid(&self) -> bool {
        let side = 1..=limit::SIDE_MAX;
        let tile = self.tile_size;
        self.frame_step > 0
            && self.frame_first <= self.frame_last
            && (self.frame_last - self.frame_first) / self.frame_step < limit::FRAMES_MAX
            && (1..=1000).contains(&self.fps)
            && side.contains(&self.width)
            && side.contains(&self.height)
            && tile > 0
            && tile.is_multiple_of(8)
            && tile <= limit::TILE_SIDE_MAX
            && (4..=limit::SAMPLES_MAX).contains(&self.samples)
            && self.samples.is_multiple_of(4)
            && (1..=limit::DEPTH_MAX).contains(&self.depth)
            && self.leaves_per_tile_max() <= limit::LEAVES_MAX
    }

    /// Frames of the job.
    pub fn frames(&self) -> u32 {
        (self.frame_last - self.frame_first) / self.frame_step + 1
    }
    /// Frame number of the n-th frame.
    pub fn frame(&self, n: u32) -> u32 {
        self.frame_first + n * self.frame_step
    }
    fn tiles_across(&self) -> u64 {
        u64::from(self.width.div_ceil(self.tile_size))
    }
    /// Tiles of one frame.
    pub fn tiles_per_frame(&self) -> u64 {
        self.tiles_across() * u64::from(self.height.div_ceil(self.tile_size))
    }
    /// Tiles of the whole job.
    pub fn tiles(&self) -> u64 {
        self.tiles_per_frame() * u64::from(self.frames())
    }
    fn leaves_per_tile_max(&self) -> u64 {
        let blocks = u64::from(self.tile_size / 8);
        blocks * blocks * u64::from(self.samples / 4)
    }

    /// The tile at this place of the job: frames in order, in each the rows from the top.
    pub fn tile(&self, index: u64) -> Tile {
        let per_frame = self.tiles_per_frame();
        let (nth, place) = ((index / per_frame) as u32, index % per_frame);
        let x = (place % self.tiles_across()) as u32 * self.tile_size;
        let y = (place / self.tiles_across()) as u32 * self.tile_size;
        Tile {
            nth_frame: nth,
            frame: self.frame(nth),
            x,
            y,
            width: self.tile_size.min(self.width - x),
            height: self.tile_size.min(self.height - y),
        }
    }

    /// The most work units that this tile can take: at each vertex one ray on and one to a light.
    pub fn units_max(&self, tile: &Tile) -> u64 {
        let pixels = u64::from(tile.width) * u64::from(tile.height);
        pixels * u64::from(self.samples) * u64::from(self.depth) * 2
    }

    /// Leaves of this tile: blocks of 8×8 pixels times groups of 4 samples.
    pub fn leaves(&self, tile: &Tile) -> u32 {
        tile.width.div_ceil(8) * tile.height.div_ceil(8) * (self.samples / 4)
    }

    /// The most that any tile of the job can cost.
    pub fn tile_cost_max(&self, price: Price) -> Amount {
        price.of(self.units_max(&self.tile(0)))
    }
}

/// A rectangle of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Place of its frame in the job, from 0.
    pub nth_frame: u32,
    /// The frame's number.
    pub frame: u32,
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}
