//! Shell 3: the real farm and real agents in a world of lost messages, crashes and liars, all of
//! it from one seed. Knows no sockets and no pixels: what a tile is, is a hash of its place.
#![forbid(unsafe_code)]

mod actor;
pub mod bench;
pub mod trust;
mod world;

pub use actor::Conduct;
pub use world::{Summary, run};

/// SplitMix64 (Steele, Lea, Flood 2014): all chance in the world.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// True in so many cases of a hundred.
    pub fn percent(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }
}
