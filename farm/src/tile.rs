//! Tiles: a frame cut into rectangles, lazily: a tile that waits is a number, not memory.

use crate::job::Spec;
use crate::money::{Amount, Price};

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

impl Spec {
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
    pub(crate) fn leaves_per_tile_max(&self) -> u64 {
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
