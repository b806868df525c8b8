//! A cut: a frame parted into tiles that need not be alike. A tree of splits covers the frame
//! exactly once, whatever its numbers. Why the splits lie where they do it does not know.

use crate::layout::Layout;
use crate::limit;
use std::sync::Arc;

/// Pixels on a side of a block: splits lie between blocks.
const BLOCK: u32 = 8;

/// A rectangle in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Area {
    /// A frame of so many pixels, its last blocks perhaps partly outside.
    pub fn of_frame(width: u32, height: u32) -> Self {
        Self { x: 0, y: 0, width: width.div_ceil(BLOCK), height: height.div_ceil(BLOCK) }
    }

    /// The near part, left or above, and the far one.
    pub fn split(self, split: Split) -> (Self, Self) {
        let Split { down, at, .. } = split;
        match down {
            true => (
                Self { height: at, ..self },
                Self { y: self.y + at, height: self.height - at, ..self },
            ),
            false => (
                Self { width: at, ..self },
                Self { x: self.x + at, width: self.width - at, ..self },
            ),
        }
    }
}

/// A rectangle parted in two. As a word: `down` is bit 31, `at` bits 30 to 16, `near` the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// One above the other rather than side by side.
    pub down: bool,
    /// Blocks of the near part along that way.
    pub at: u32,
    /// Tiles of the near part.
    pub near: u32,
}

impl Split {
    fn to_word(self) -> u32 {
        u32::from(self.down) << 31 | (self.at & 0x7fff) << 16 | self.near & 0xffff
    }
    fn of_word(word: u32) -> Self {
        Self { down: word >> 31 == 1, at: word >> 16 & 0x7fff, near: word & 0xffff }
    }
}

/// How a frame is parted: a split, then those of its near part, then those of its far part, and so
/// on; a part of one tile has none. Each says how many tiles its near part has, so that a tile is
/// found by its number along one way down the tree, and nothing is kept beside the words. Without
/// splits there is no cut, and the frame's tiles lie in a grid.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Cut(Option<Arc<[u32]>>);

impl Cut {
    pub fn of(splits: impl IntoIterator<Item = Split>) -> Self {
        Self::of_words(splits.into_iter().map(Split::to_word).collect())
    }

    /// Any words; [`Self::is_valid`] says whether they part a frame.
    pub fn of_words(words: Vec<u32>) -> Self {
        Self(if words.is_empty() { None } else { Some(words.into()) })
    }

    pub fn words(&self) -> &[u32] {
        self.0.as_deref().unwrap_or_default()
    }

    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Tiles of a frame.
    pub fn tiles(&self) -> u64 {
        self.words().len() as u64 + 1
    }

    /// Whether the splits part a frame into tiles that all `fit`, no deeper than the limit.
    pub fn is_valid(&self, frame: Area, mut fits: impl FnMut(Area) -> bool) -> bool {
        let within = self.tiles() <= limit::CUT_TILES_MAX;
        within && self.parts(0, self.tiles() as u32, frame, 0, &mut fits)
    }

    fn parts(
        &self,
        from: usize,
        tiles: u32,
        area: Area,
        depth: u32,
        fits: &mut impl FnMut(Area) -> bool,
    ) -> bool {
        if tiles == 1 {
            return fits(area);
        }
        let split = Split::of_word(self.words()[from]);
        let whole = if split.down { area.height } else { area.width };
        if depth == limit::CUT_DEPTH_MAX
            || !(1..whole).contains(&split.at)
            || !(1..tiles).contains(&split.near)
        {
            return false;
        }
        let (near, far) = area.split(split);
        let after = from + split.near as usize;
        self.parts(from + 1, split.near, near, depth + 1, fits)
            && self.parts(after, tiles - split.near, far, depth + 1, fits)
    }

    /// The tile with this number, of a cut that is valid for the frame.
    pub fn tile(&self, nth: u32, frame: Area) -> Area {
        let words = self.words();
        let (mut from, mut nth, mut area) = (0, nth, frame);
        let mut tiles = words.len() as u32 + 1;
        while tiles > 1 {
            let split = Split::of_word(words[from]);
            let (near, far) = area.split(split);
            if nth < split.near {
                (from, tiles, area) = (from + 1, split.near, near);
            } else {
                from += split.near as usize;
                (nth, tiles, area) = (nth - split.near, tiles - split.near, far);
            }
        }
        area
    }
}

impl Cut {
    /// The tiles whose area is `wanted`, in order, of a cut that is valid for the frame. Of a part
    /// that is not wanted no tile is.
    pub fn tiles_that(&self, frame: Area, wanted: impl Fn(Area) -> bool) -> Vec<u32> {
        let (words, mut found) = (self.words(), Vec::new());
        let mut waiting = vec![(0, 0, self.tiles() as u32, frame)];
        while let Some((from, first, tiles, area)) = waiting.pop() {
            if !wanted(area) {
                continue;
            }
            if tiles == 1 {
                found.push(first);
                continue;
            }
            let split = Split::of_word(words[from]);
            let (near, far) = area.split(split);
            let after = (from + split.near as usize, first + split.near, tiles - split.near, far);
            waiting.extend([after, (from + 1, first, split.near, near)]);
        }
        found
    }
}

impl Layout for Cut {
    fn put(&self, out: &mut Vec<u8>) {
        (self.words().len() as u64).put(out);
        self.words().iter().for_each(|word| word.put(out));
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self::of_words(Layout::get(bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn areas(cut: &Cut, frame: Area) -> Option<Vec<Area>> {
        let mut areas = Vec::new();
        let valid = cut.is_valid(frame, |area| {
            areas.push(area);
            true
        });
        valid.then_some(areas)
    }

    /// Parts an area into so many tiles as the choices say.
    fn part(area: Area, tiles: u32, choices: &mut impl FnMut(u32) -> u32, out: &mut Vec<Split>) {
        let room = |area: Area| area.width * area.height;
        if tiles == 1 {
            return;
        }
        let down = area.width == 1 || area.height > 1 && choices(2) == 1;
        let (whole, across) = match down {
            true => (area.height, area.width),
            false => (area.width, area.height),
        };
        let at = 1 + choices(whole - 1);
        let least = tiles.saturating_sub((whole - at) * across).max(1);
        let most = (at * across).min(tiles - 1);
        let split = Split { down, at, near: least + choices(most - least + 1) };
        out.push(split);
        let (near, far) = area.split(split);
        assert!(split.near <= room(near) && tiles - split.near <= room(far));
        part(near, split.near, choices, out);
        part(far, tiles - split.near, choices, out);
    }

    proptest! {
        #[test]
        fn every_valid_cut_covers_the_frame_exactly_once(
            (width, height) in (1..24_u32, 1..24_u32),
            tiles in 1..40_u32,
            seed in any::<u64>(),
        ) {
            let frame = Area { x: 0, y: 0, width, height };
            let mut state = seed;
            let mut choose = |bound: u32| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((state >> 33) % u64::from(bound.max(1))) as u32
            };
            let mut splits = Vec::new();
            part(frame, tiles.min(width * height), &mut choose, &mut splits);
            let cut = Cut::of(splits);
            let Some(areas) = areas(&cut, frame) else {
                return Err(TestCaseError::reject("deeper than the limit"));
            };
            prop_assert_eq!(areas.len() as u64, cut.tiles());
            let mut covered = vec![0; (width * height) as usize];
            for (nth, area) in (0..).zip(&areas) {
                prop_assert_eq!(cut.tile(nth, frame), *area);
                for y in area.y..area.y + area.height {
                    for x in area.x..area.x + area.width {
                        covered[(y * width + x) as usize] += 1;
                    }
                }
            }
            prop_assert!(covered.iter().all(|count| *count == 1));
        }

        #[test]
        fn no_words_are_a_cut_that_leaves_a_gap(
            words in prop::collection::vec(any::<u32>(), 1..6),
            small in prop::collection::vec((any::<bool>(), 0..5_u32, 0..5_u32), 1..6),
        ) {
            let frame = Area { x: 0, y: 0, width: 4, height: 3 };
            let small = small.into_iter().map(|(down, at, near)| Split { down, at, near });
            for cut in [Cut::of_words(words), Cut::of(small)] {
                if let Some(areas) = areas(&cut, frame) {
                    let sum: u32 = areas.iter().map(|area| area.width * area.height).sum();
                    prop_assert_eq!(sum, 12);
                }
            }
        }
    }

    #[test]
    fn tiles_and_depth_have_limits() {
        let slices = |count: u32, near: fn(u32) -> u32| {
            let frame = Area { x: 0, y: 0, width: 1, height: 4096 };
            let mut splits = Vec::new();
            let mut left = vec![(4096, count)];
            while let Some((height, tiles)) = left.pop() {
                if tiles > 1 {
                    let near = near(tiles);
                    let at = height * near / tiles;
                    splits.push(Split { down: true, at, near });
                    left.extend([(height - at, tiles - near), (at, near)]);
                }
            }
            areas(&Cut::of(splits), frame).is_some()
        };
        let most = limit::CUT_TILES_MAX as u32;
        assert!(slices(most, |tiles| tiles / 2));
        assert!(!slices(most + 1, |tiles| tiles / 2));
        assert!(slices(limit::CUT_DEPTH_MAX + 1, |_| 1));
        assert!(!slices(limit::CUT_DEPTH_MAX + 2, |_| 1));
    }
}
