//! Costs: what each part of a frame is expected to take, from blocks that were tried all over it.
//! Knows no tiles.

use farm::cut::Area;
use std::collections::VecDeque;

/// Cells of the map, at most; beyond it a cell is more than a block.
const CELLS_MAX: u64 = 1 << 18;

/// What was seen of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    sum: f64,
    count: f64,
}

impl Seen {
    fn with(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, count: self.count + other.count }
    }
}

/// A map of what blocks take, where they were tried. What is tried goes to two halves in turns, so
/// that their difference tells how far the whole is to be believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    frame: Area,
    /// Blocks on a side of a cell.
    cell: u32,
    halves: [Vec<Seen>; 2],
    turn: usize,
}

impl Costs {
    /// Nothing was tried of a frame of so many pixels.
    pub fn of_frame(width: u32, height: u32) -> Self {
        let frame = Area::of_frame(width, height);
        let cells = |side: u32| {
            u64::from(frame.width.div_ceil(side)) * u64::from(frame.height.div_ceil(side))
        };
        let mut cell = 1;
        while cells(cell) > CELLS_MAX {
            cell *= 2;
        }
        let empty = vec![Seen::default(); cells(cell) as usize];
        Self { frame, cell, halves: [empty.clone(), empty], turn: 0 }
    }

    /// Blocks on a side of a cell.
    pub fn cell(&self) -> u32 {
        self.cell
    }

    /// Cells across and down.
    pub fn size(&self) -> (u32, u32) {
        (self.frame.width.div_ceil(self.cell), self.frame.height.div_ceil(self.cell))
    }

    /// The block there takes so many units.
    pub fn add(&mut self, x: u32, y: u32, units: f64) {
        let place = (y / self.cell * self.size().0 + x / self.cell) as usize;
        let seen = &mut self.halves[self.turn % 2][place];
        *seen = seen.with(Seen { sum: units, count: 1.0 });
        self.turn += 1;
    }

    /// Units of each cell, row by row.
    pub fn whole(&self) -> Vec<f64> {
        let both = self.halves[0].iter().zip(&self.halves[1]);
        self.filled(both.map(|(one, other)| one.with(*other)).collect())
    }

    /// The same twice, each from another half of what was tried.
    pub fn halves(&self) -> [Vec<f64>; 2] {
        self.halves.each_ref().map(|half| self.filled(half.clone()))
    }

    /// A cell where nothing was tried takes after the nearest one where something was (in steps to
    /// the sides, those above and left first).
    fn filled(&self, mut cells: Vec<Seen>) -> Vec<f64> {
        let (across, down) = self.size();
        let mut border: VecDeque<u32> =
            (0..).zip(&cells).filter(|(_, seen)| seen.count > 0.0).map(|(at, _)| at).collect();
        while let Some(at) = border.pop_front() {
            let (x, y) = (at % across, at / across);
            let sides = [
                (y > 0).then(|| at - across),
                (x > 0).then(|| at - 1),
                (x + 1 < across).then(|| at + 1),
                (y + 1 < down).then(|| at + across),
            ];
            for side in sides.into_iter().flatten() {
                if cells[side as usize].count == 0.0 {
                    cells[side as usize] = cells[at as usize];
                    border.push_back(side);
                }
            }
        }
        let blocks = |at: u32, cells: u32, whole: u32| {
            f64::from(if at + 1 == cells { whole - at * self.cell } else { self.cell })
        };
        let units = (0..).zip(&cells).map(|(at, seen): (u32, &Seen)| {
            let (x, y) = (at % across, at / across);
            let blocks = blocks(x, across, self.frame.width) * blocks(y, down, self.frame.height);
            seen.sum / seen.count.max(1.0) * blocks
        });
        units.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_tried_takes_after_its_neighbours_and_edges_have_fewer_blocks() {
        let mut costs = Costs::of_frame(40, 16);
        costs.add(0, 0, 10.0);
        costs.add(4, 1, 30.0);
        assert_eq!(costs.whole(), [10.0, 10.0, 10.0, 30.0, 30.0, 10.0, 10.0, 30.0, 30.0, 30.0]);
        assert_eq!(costs.halves(), [vec![10.0; 10], vec![30.0; 10]]);

        let mut costs = Costs::of_frame(65_536, 65_528);
        assert_eq!((costs.cell(), costs.size()), (16, (512, 512)));
        costs.add(8191, 8190, 2.0);
        let whole = costs.whole();
        assert_eq!((whole[0], whole[512 * 512 - 1]), (512.0, 16.0 * 15.0 * 2.0));
    }
}
