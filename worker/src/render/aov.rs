//! AOVs of a tile: which of the words that the shader writes a leaf's payload has, and the channels
//! of the delivered tile that leaves add up to. Knows no device.

use super::canvas::places;
use crate::engine::TileSpec;
use proto::aov::{self, Aov};
use shaders::{AOV_LEAF_WORDS, AOV_PIXEL_WORDS};
use std::collections::BTreeMap;

const PIXEL_WORDS: usize = AOV_PIXEL_WORDS as usize;
const BLOCK_PIXELS: usize = (shaders::BLOCK * shaders::BLOCK) as usize;
/// The id of a sample that sees nothing.
const NOTHING: u32 = 0;

/// Where a pixel's words of this kind lie among all that the shader writes, and how many they are.
fn written(aov: Aov) -> (usize, usize) {
    match aov {
        Aov::Albedo => (0, 3),
        Aov::Normal => (3, 3),
        Aov::Depth => (6, 1),
        Aov::ObjectId => (7, 4),
        Aov::MaterialId => (11, 4),
        Aov::Motion => (15, 4),
        Aov::Samples => (0, 0),
    }
}

/// Those of the AOVs that a shader finds out.
pub fn traced(aovs: u32) -> u32 {
    aovs & !Aov::Samples.bit()
}

/// Of what the shader wrote for a leaf, the words asked for: for each AOV 64 pixels. And its rays.
pub fn chosen(aovs: u32, leaf: &[u32]) -> (Vec<u32>, u32) {
    let (pixels, rays) = leaf.split_at(AOV_LEAF_WORDS as usize - 1);
    let mut words = Vec::new();
    for (first, count) in aov::asked(aovs).map(written) {
        let pixels = pixels.chunks_exact(PIXEL_WORDS);
        words.extend(pixels.flat_map(|pixel| &pixel[first..first + count]));
    }
    (words, rays[0])
}

/// The channels of a tile besides its light.
pub struct Planes {
    planes: Vec<Plane>,
}

/// The words of one AOV: one after the other, each of all pixels.
struct Plane {
    aov: Aov,
    words: Vec<u32>,
    /// How many samples saw which id, for each pixel of the block whose leaves are arriving.
    tallies: Vec<BTreeMap<u32, u32>>,
}

impl Planes {
    /// Nothing seen yet.
    pub fn new(spec: &TileSpec) -> Self {
        let pixels = spec.width as usize * spec.height as usize;
        let plane = |aov: Aov| {
            let empty = match aov {
                Aov::Albedo | Aov::Normal | Aov::Motion => 0.0_f32.to_bits(),
                // No depth is more, so the first sample takes its place.
                Aov::Depth => f32::MAX.to_bits(),
                Aov::ObjectId | Aov::MaterialId | Aov::Samples => 0,
            };
            let words = vec![empty; pixels * aov.words() as usize];
            Plane { aov, words, tallies: vec![BTreeMap::new(); BLOCK_PIXELS] }
        };
        Self { planes: aov::asked(spec.aovs).map(plane).collect() }
    }

    /// Adds what a leaf's payload has besides light. Leaves arrive in order: sums have theirs, and
    /// the ids of a block of so many groups are ranked when its last group was counted.
    pub fn add(&mut self, spec: &TileSpec, leaf: u32, groups: u32, mut payload: &[u8]) {
        let pixels = spec.width as usize * spec.height as usize;
        let (block, group) = (leaf / spec.groups(), leaf % spec.groups());
        let last = group + 1 == groups;
        for plane in &mut self.planes {
            let (_, count) = written(plane.aov);
            let (own, rest) = payload.split_at(BLOCK_PIXELS * count * 4);
            payload = rest;
            let own = own.as_chunks::<4>().0;
            if plane.aov == Aov::Samples {
                let samples = ((group + 1) * shaders::GROUP) as f32;
                places(spec, block).flatten().for_each(|at| plane.words[at] = samples.to_bits());
                continue;
            }
            let own = own.chunks_exact(count);
            for ((at, place), words) in places(spec, block).enumerate().zip(own) {
                let Some(place) = place else { continue };
                match plane.aov {
                    Aov::Albedo | Aov::Normal | Aov::Motion => {
                        plane.merge(place, pixels, words, |a, b| a + b);
                    }
                    Aov::Depth => plane.merge(place, pixels, words, f32::min),
                    Aov::ObjectId | Aov::MaterialId => {
                        plane.count(at, words);
                        if last {
                            plane.rank(at, place, pixels);
                        }
                    }
                    Aov::Samples => {}
                }
            }
        }
    }

    /// All words, as a tile has them after its light.
    pub fn into_words(self) -> impl Iterator<Item = u32> {
        self.planes.into_iter().flat_map(|plane| plane.words)
    }
}

impl Plane {
    /// Merges a pixel's words, taken as f32, into those of earlier groups.
    fn merge(
        &mut self,
        place: usize,
        pixels: usize,
        words: &[[u8; 4]],
        merged: impl Fn(f32, f32) -> f32,
    ) {
        for (channel, word) in self.words.chunks_exact_mut(pixels).zip(words) {
            let held = f32::from_bits(channel[place]);
            channel[place] = merged(held, f32::from_le_bytes(*word)).to_bits();
        }
    }

    /// Counts the ids that a pixel's samples saw.
    fn count(&mut self, at: usize, ids: &[[u8; 4]]) {
        for id in ids.iter().map(|id| u32::from_le_bytes(*id)).filter(|id| *id != NOTHING) {
            *self.tallies[at].entry(id).or_default() += 1;
        }
    }

    /// Writes a pixel's ids, those that most samples saw first, among equals the lower; what has no
    /// rank left is lost. Another block may begin.
    fn rank(&mut self, at: usize, place: usize, pixels: usize) {
        let mut ids: Vec<(u32, u32)> = std::mem::take(&mut self.tallies[at]).into_iter().collect();
        ids.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
        let words = ids.iter().flat_map(|(id, count)| [*id, *count]);
        for (channel, word) in self.words.chunks_exact_mut(pixels).zip(words) {
            channel[place] = word;
        }
    }
}
