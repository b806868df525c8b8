//! AOVs of a tile: which of the words that the shader writes a leaf's payload has, and the channels
//! of the delivered tile that leaves add up to. Knows no device.

use super::places;
use crate::engine::TileSpec;
use proto::aov::{self, Aov};
use shaders::{AOV_LEAF_WORDS, AOV_PIXEL_WORDS};

const PIXEL_WORDS: usize = AOV_PIXEL_WORDS as usize;

/// Where a pixel's words of this kind lie among all that the shader writes, and how many they are.
fn written(aov: Aov) -> (usize, usize) {
    match aov {
        Aov::Albedo => (0, 3),
        Aov::Normal => (3, 3),
        Aov::Depth => (6, 1),
    }
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
    /// By AOV asked for: one word after the other, each of all pixels.
    planes: Vec<(Aov, Vec<u32>)>,
}

impl Planes {
    /// Nothing seen yet.
    pub fn new(spec: &TileSpec) -> Self {
        let pixels = spec.width as usize * spec.height as usize;
        let empty = |aov: Aov| match aov {
            Aov::Albedo | Aov::Normal => 0.0_f32.to_bits(),
            // No depth is more, so the first sample takes its place.
            Aov::Depth => f32::MAX.to_bits(),
        };
        let planes = aov::asked(spec.aovs)
            .map(|aov| (aov, vec![empty(aov); pixels * aov.words() as usize]))
            .collect();
        Self { planes }
    }

    /// Adds what a leaf's payload has besides light. Leaves of a block arrive in order, so that
    /// sums have theirs.
    pub fn add(&mut self, spec: &TileSpec, leaf: u32, mut payload: &[u8]) {
        let pixels = spec.width as usize * spec.height as usize;
        for (aov, planes) in &mut self.planes {
            let (_, count) = written(*aov);
            let (own, rest) = payload.split_at(64 * count * 4);
            payload = rest;
            let own = own.as_chunks::<4>().0.chunks_exact(count);
            for (place, words) in places(spec, leaf / spec.groups()).zip(own) {
                let Some(place) = place else { continue };
                for (plane, word) in planes.chunks_exact_mut(pixels).zip(words) {
                    let (held, more) = (f32::from_bits(plane[place]), f32::from_le_bytes(*word));
                    plane[place] = match aov {
                        Aov::Albedo | Aov::Normal => held + more,
                        Aov::Depth => held.min(more),
                    }
                    .to_bits();
                }
            }
        }
    }

    /// All words, as a tile has them after its light.
    pub fn into_words(self) -> impl Iterator<Item = u32> {
        self.planes.into_iter().flat_map(|(_, words)| words)
    }
}
