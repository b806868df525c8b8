//! Tiles: a frame cut into rectangles, lazily: a tile that waits is a number, not memory.

use crate::cut::Area;
use crate::job::Spec;
use crate::limit;
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
        if !self.cut.is_none() {
            return self.cut.tiles();
        }
        self.tiles_across() * u64::from(self.height.div_ceil(self.tile_size))
    }
    /// Tiles of the whole job.
    pub fn tiles(&self) -> u64 {
        self.tiles_per_frame() * u64::from(self.frames())
    }
    fn blocks(&self) -> Area {
        Area::of_frame(self.width, self.height)
    }

    /// Whether a frame of sizes within their limits is parted into tiles within theirs.
    pub(crate) fn is_cut_within_limits(&self) -> bool {
        let groups = u64::from(self.samples / 4);
        let block = self.block_side();
        let fits = |across: u32, down: u32| {
            let side = 1..=limit::TILE_SIDE_MAX / block;
            side.contains(&across)
                && side.contains(&down)
                && u64::from(across) * u64::from(down) * groups <= limit::LEAVES_MAX
        };
        if self.cut.is_none() {
            let side = self.tile_size / block;
            return self.tile_size.is_multiple_of(block) && fits(side, side);
        }
        // A cut lies on the blocks of rendered frames.
        self.tile_size == 0
            && self.work_per_pixel == 0
            && self.cut.is_valid(self.blocks(), |area| fits(area.width, area.height))
    }

    /// The tile at this place of the job: frames in order, in each the rows of the grid from the
    /// top, or the parts of the cut in its order.
    pub fn tile(&self, index: u64) -> Tile {
        let per_frame = self.tiles_per_frame();
        let (nth, place) = ((index / per_frame) as u32, index % per_frame);
        if !self.cut.is_none() {
            return self.part(nth, self.cut.tile(place as u32, self.blocks()));
        }
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

    fn part(&self, nth_frame: u32, area: Area) -> Tile {
        let (x, y) = (area.x * 8, area.y * 8);
        Tile {
            nth_frame,
            frame: self.frame(nth_frame),
            x,
            y,
            width: (area.width * 8).min(self.width - x),
            height: (area.height * 8).min(self.height - y),
        }
    }

    /// Side of a block in pixels: what a leaf shows.
    pub fn block_side(&self) -> u32 {
        if self.work_per_pixel == 0 { 8 } else { 16 }
    }

    /// The most work units that this tile can take: of rays, at each vertex one on and one to a
    /// light; of inference, what the job says.
    pub fn units_max(&self, tile: &Tile) -> u64 {
        let pixels = u64::from(tile.width) * u64::from(tile.height);
        if self.work_per_pixel > 0 {
            return pixels * u64::from(self.work_per_pixel);
        }
        pixels * u64::from(self.samples) * u64::from(self.depth) * 2
    }

    /// Leaves of this tile: blocks of pixels times groups of 4 samples.
    pub fn leaves(&self, tile: &Tile) -> u32 {
        let side = self.block_side();
        tile.width.div_ceil(side) * tile.height.div_ceil(side) * (self.samples / 4)
    }

    /// The most that any tile of the job can cost.
    pub fn tile_cost_max(&self, price: Price) -> Amount {
        let largest = match self.cut.is_none() {
            true => self.units_max(&self.tile(0)),
            false => {
                let parts = (0..self.cut.tiles()).map(|nth| self.units_max(&self.tile(nth)));
                parts.max().unwrap_or_default()
            }
        };
        price.of(largest)
    }
}
