//! Cutting frames by what their parts take, so that every tile takes about as long. Changes no
//! pixel, and need not be right: the worse it is, the less even are the tiles.

use crate::cost::Costs;
use farm::cut::{Area, Cut, Split};
use farm::job::Spec;
use farm::limit;

/// Side of a tile in pixels, at most: beyond it the bytes of a cheap part grow large.
const SIDE_MAX: u32 = 512;
/// No tile is larger than this many times the mean one: the farm sets aside the most that the
/// largest may cost for each that is computed.
const AREA_MAX: u64 = 4;

/// A cut, and how even it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Even {
    pub cut: Cut,
    /// Standard deviation of what tiles take over their mean, as far as it can be foretold.
    pub spread: f64,
}

/// Cuts a frame into about so many tiles, more where they would be too large, fewer if that makes
/// more than a cut may have; `None`: any cut has more.
pub fn even(spec: &Spec, costs: &Costs, tiles: u64) -> Option<Even> {
    let mut tiles = tiles.min(limit::CUT_TILES_MAX);
    loop {
        match attempt(spec, costs, tiles) {
            None if tiles > 2 => tiles = tiles * 3 / 4,
            found => return found,
        }
    }
}

fn attempt(spec: &Spec, costs: &Costs, tiles: u64) -> Option<Even> {
    let (across, down) = costs.size();
    let cells = u64::from(across) * u64::from(down);
    let tiles = tiles.clamp(1, limit::CUT_TILES_MAX.min(cells)) as u32;
    let groups = u64::from(spec.samples / shaders::GROUP).max(1);
    let cell = u64::from(costs.cell());
    let blocks_max = (limit::LEAVES_MAX / groups)
        .min((cells * cell * cell * AREA_MAX).div_ceil(u64::from(tiles)));
    let mut cutter = Cutter {
        sums: Sums::of(&costs.whole(), across),
        cell: costs.cell(),
        side_max: (SIDE_MAX / shaders::BLOCK / costs.cell()).max(1),
        cells_max: (blocks_max / (cell * cell)).clamp(1, u64::from(u32::MAX)) as u32,
        splits: Vec::new(),
        parts: Vec::new(),
    };
    cutter.part(Area { x: 0, y: 0, width: across, height: down }, tiles);
    let cut = Cut::of(cutter.splits.iter().copied());
    let spec = Spec { tile_size: 0, cut: cut.clone(), ..spec.clone() };
    let spread = spread(&cutter, costs);
    (!cut.is_none() && spec.is_valid()).then_some(Even { cut, spread })
}

/// The tiles' own differences, and how little the two halves of what was tried agree on each.
fn spread(cutter: &Cutter, costs: &Costs) -> f64 {
    let across = costs.size().0;
    let halves = costs.halves().map(|half| Sums::of(&half, across));
    let count = cutter.parts.len() as f64;
    let each = || cutter.parts.iter().map(|part| cutter.sums.within(*part));
    let mean = (each().sum::<f64>() / count).max(1e-9);
    let apart = each().map(|units| (units / mean - 1.0).powi(2)).sum::<f64>() / count;
    let doubt = cutter.parts.iter().map(|part| {
        let [one, other] = halves.each_ref().map(|half| half.within(*part));
        ((one - other) / (one + other).max(1e-9)).powi(2)
    });
    (apart + doubt.sum::<f64>() / count).sqrt()
}

/// Sums of cells over all rectangles from the first cell on (Crow 1984).
struct Sums {
    stride: usize,
    sums: Vec<f64>,
}

impl Sums {
    fn of(cells: &[f64], across: u32) -> Self {
        let stride = across as usize + 1;
        let mut sums = vec![0.0; stride];
        for row in cells.chunks_exact(across as usize) {
            let above = sums.len() - stride;
            sums.push(0.0);
            let mut sum = 0.0;
            for (x, units) in row.iter().enumerate() {
                sum += units;
                sums.push(sums[above + x + 1] + sum);
            }
        }
        Self { stride, sums }
    }

    fn within(&self, area: Area) -> f64 {
        let at = |x: u32, y: u32| self.sums[y as usize * self.stride + x as usize];
        let (right, bottom) = (area.x + area.width, area.y + area.height);
        at(right, bottom) - at(area.x, bottom) - at(right, area.y) + at(area.x, area.y)
    }
}

/// Cuts an area of cells.
struct Cutter {
    sums: Sums,
    cell: u32,
    side_max: u32,
    cells_max: u32,
    splits: Vec<Split>,
    parts: Vec<Area>,
}

impl Cutter {
    /// Parts an area into so many tiles, or as many as limits ask for; says how many.
    fn part(&mut self, area: Area, tiles: u32) -> u32 {
        let cells = area.width * area.height;
        let least = area.width.div_ceil(self.side_max) * area.height.div_ceil(self.side_max);
        let tiles = tiles.max(least).max(cells.div_ceil(self.cells_max)).min(cells);
        // One more than a cut may have is enough to know that there is none.
        if tiles == 1 || self.splits.len() as u64 >= limit::CUT_TILES_MAX {
            self.parts.push(area);
            return 1;
        }
        let split = self.choose(area, tiles);
        let (near, far) = area.split(split);
        let place = self.splits.len();
        self.splits.push(Split { at: split.at * self.cell, ..split });
        let count = self.part(near, split.near);
        self.splits[place].near = count;
        count + self.part(far, tiles - split.near)
    }

    /// The split whose two parts come closest to the same for each of their tiles. Long areas are
    /// cut across.
    fn choose(&self, area: Area, tiles: u32) -> Split {
        let ways = [(false, area.width, area.height), (true, area.height, area.width)];
        let ways = ways.into_iter().filter(|(_, along, across)| *along > 1 && along * 2 > *across);
        let nears = tiles / 2 - tiles / 6..=tiles / 2 + tiles.div_ceil(6);
        let nears = nears.filter(|near| (1..tiles).contains(near));
        let nears: Vec<u32> = nears.step_by((tiles as usize / 24).max(1)).collect();
        let candidates = ways.flat_map(|(down, along, across)| {
            nears.iter().flat_map(move |near| {
                let at = self.share(area, down, along, f64::from(*near) / f64::from(tiles));
                let ats = [at, at + 1].into_iter().filter(move |at| (1..along).contains(at));
                let holds =
                    move |at: &u32| at * across >= *near && (along - at) * across >= tiles - near;
                ats.filter(holds).map(move |at| Split { down, at, near: *near })
            })
        });
        let score = |split: &Split| {
            let (near, far) = area.split(*split);
            let near = self.sums.within(near) / f64::from(split.near);
            (near - self.sums.within(far) / f64::from(tiles - split.near)).abs()
        };
        let best = candidates.min_by(|one, other| score(one).total_cmp(&score(other)));
        best.unwrap_or_else(|| halved(area, tiles))
    }

    /// The last place before which no more than this share of the area's units lies.
    fn share(&self, area: Area, down: bool, along: u32, share: f64) -> u32 {
        let wanted = self.sums.within(area) * share;
        let units = |at: u32| self.sums.within(area.split(Split { down, at, near: 1 }).0);
        let (mut low, mut high) = (0, along);
        while high - low > 1 {
            let middle = (low + high) / 2;
            match units(middle) <= wanted {
                true => low = middle,
                false => high = middle,
            }
        }
        low
    }
}

/// An area cut in the middle of its longer side, each part with tiles for its share of the area,
/// but no more than it has cells.
fn halved(area: Area, tiles: u32) -> Split {
    let down = area.height > area.width;
    let (along, across) = match down {
        true => (area.height, area.width),
        false => (area.width, area.height),
    };
    let at = along / 2;
    let least = tiles.saturating_sub((along - at) * across).max(1);
    let near = (tiles * at / along).clamp(least, (at * across).min(tiles - 1).max(least));
    Split { down, at, near }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(width: u32, height: u32, samples: u32) -> Spec {
        let sizes = Spec { width, height, samples, ..Spec::default() };
        Spec { frame_step: 1, fps: 24, depth: 4, tile_size: 64, ..sizes }
    }

    /// What each tile of the cut takes, over the mean, if every block is as dear as this says.
    fn taken(spec: &Spec, cut: &Cut, units: impl Fn(u32, u32) -> f64) -> Vec<f64> {
        let frame = Area::of_frame(spec.width, spec.height);
        let tiles = (0..cut.tiles() as u32).map(|nth| cut.tile(nth, frame));
        let sums = tiles.map(|tile| {
            let rows = tile.y..tile.y + tile.height;
            let blocks = rows.flat_map(|y| (tile.x..tile.x + tile.width).map(move |x| (x, y)));
            blocks.map(|(x, y)| units(x, y)).sum::<f64>()
        });
        let sums: Vec<f64> = sums.collect();
        let mean = sums.iter().sum::<f64>() / sums.len() as f64;
        sums.iter().map(|sum| sum / mean).collect()
    }

    #[test]
    fn tiles_of_a_frame_that_is_known_are_even_whatever_lies_where() {
        let spec = spec(500, 400, 16);
        let hill = |x: u32, y: u32| if (20..35).contains(&x) && y > 25 { 5.0 } else { 1.0 };
        let slope = |x: u32, y: u32| 1.0 + f64::from(x * y) / 200.0;
        for units in [&hill as &dyn Fn(u32, u32) -> f64, &slope] {
            let mut costs = Costs::of_frame(spec.width, spec.height);
            for place in 0..63 * 50 {
                let (x, y) = (place % 63, place / 63);
                (0..2).for_each(|_| costs.add(x, y, units(x, y)));
            }
            for tiles in [2, 3, 17, 40] {
                let even = even(&spec, &costs, tiles).unwrap();
                let taken = taken(&spec, &even.cut, units);
                assert_eq!(even.cut.tiles(), tiles);
                let apart = taken.iter().map(|part| (part - 1.0).powi(2)).sum::<f64>();
                let spread = (apart / tiles as f64).sqrt();
                assert!(taken.iter().all(|part| (0.7..1.3).contains(part)), "{taken:?}");
                assert!((spread - even.spread).abs() < 1e-9, "{spread}, {}", even.spread);
            }
        }
    }

    #[test]
    fn tiles_stay_within_limits_and_no_frame_is_cut_into_more_than_there_may_be() {
        let spec = spec(3000, 1700, 65_536);
        let mut costs = Costs::of_frame(spec.width, spec.height);
        costs.add(0, 0, 1.0);
        costs.add(300, 200, 1000.0);
        let even_of = |spec: &Spec, tiles| even(spec, &costs, tiles);
        // At 16,384 groups a tile has at most 64 blocks.
        assert_eq!(even_of(&spec, 2), None);
        let fewer = Spec { samples: 1024, ..spec };
        for (tiles, least) in [(2, 2), (100, 100), (5000, 500)] {
            let cut = even_of(&fewer, tiles).unwrap().cut;
            assert!(cut.tiles() >= least && Spec { tile_size: 0, cut, ..fewer.clone() }.is_valid());
        }
        let tiny = self::spec(16, 16, 4);
        let costs = Costs::of_frame(16, 16);
        assert_eq!(even(&tiny, &costs, 9).unwrap().cut.tiles(), 4);
        assert_eq!(even(&tiny, &costs, 1), None);
    }
}
