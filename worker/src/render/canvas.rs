//! A tile while its leaves arrive: sums of its pixels, the channels besides, the leaves themselves.
//! Knows no device.

use super::aov::Planes;
use super::stage::LIGHT_BYTES;
use crate::engine::{Output, TileSpec};
use farm::leaf::{self, Leaf};

/// A leaf that was traced.
pub struct Traced {
    pub leaf: u32,
    pub payload: Vec<u8>,
    pub rays: u32,
}

impl Traced {
    /// Its light: 64 pixels of three little-endian f32 sums.
    pub fn light(&self) -> &[u8] {
        self.payload.split_at(LIGHT_BYTES.min(self.payload.len())).0
    }

    /// As the commitment has it.
    pub fn to_leaf(&self) -> Leaf {
        Leaf { hash: leaf::payload(&self.payload), units: u64::from(self.rays) }
    }
}

/// A tile of which some leaves were added.
pub struct Canvas<'a> {
    spec: &'a TileSpec,
    pixels: Vec<[f32; 3]>,
    planes: Planes,
    leaves: Vec<Leaf>,
}

impl<'a> Canvas<'a> {
    /// Nothing of it is there. Leaves that never come have no units and a hash of zeros.
    pub fn new(spec: &'a TileSpec) -> Self {
        Self {
            spec,
            pixels: vec![[0.0; 3]; spec.width as usize * spec.height as usize],
            planes: Planes::new(spec),
            leaves: vec![Leaf::default(); spec.leaves() as usize],
        }
    }

    /// Adds a leaf of a block of so many groups. Leaves arrive in order, for sums have theirs.
    pub fn add(&mut self, traced: &Traced, groups: u32) {
        let (light, besides) = traced.payload.split_at(LIGHT_BYTES);
        let block = traced.leaf / self.spec.groups();
        for (place, sums) in places(self.spec, block).zip(light.chunks_exact(12)) {
            let Some(place) = place else { continue };
            let pixel = &mut self.pixels[place];
            for (channel, word) in pixel.iter_mut().zip(sums.as_chunks::<4>().0) {
                *channel += f32::from_le_bytes(*word);
            }
        }
        self.planes.add(self.spec, traced.leaf, groups, besides);
        self.leaves[traced.leaf as usize] = traced.to_leaf();
    }

    /// The tile as it is delivered.
    pub fn into_output(self) -> Output {
        let light = self.pixels.iter().flatten().map(|sum| sum.to_bits());
        let bytes = light.chain(self.planes.into_words()).flat_map(u32::to_le_bytes).collect();
        Output { bytes, leaves: self.leaves }
    }
}

/// Where the 64 pixels of a block lie in the tile, row by row; `None` outside of it.
pub fn places(spec: &TileSpec, block: u32) -> impl Iterator<Item = Option<usize>> {
    let across = spec.width.div_ceil(shaders::BLOCK);
    let (left, top) = (block % across * shaders::BLOCK, block / across * shaders::BLOCK);
    let (width, height) = (spec.width, spec.height);
    (0..shaders::BLOCK * shaders::BLOCK).map(move |at| {
        let (x, y) = (left + at % shaders::BLOCK, top + at / shaders::BLOCK);
        (x < width && y < height).then_some((y * width + x) as usize)
    })
}
