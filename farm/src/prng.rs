//! Draws that nobody can steer and anybody can replay: BLAKE3 keyed by an epoch's secret.

use arrayvec::ArrayVec;

/// Draws made of one block of the stream.
const DRAWS_PER_BLOCK: usize = 8;

/// The draw as a number below `bound`, which is not 0 (bias below 2^-32 for any 32-bit bound).
pub fn scaled(draw: u64, bound: u32) -> u32 {
    ((u128::from(draw) * u128::from(bound)) >> 64) as u32
}

/// A stream of draws from a secret about one thing.
pub struct Draws {
    stream: blake3::OutputReader,
    block: [u8; 8 * DRAWS_PER_BLOCK],
    used: usize,
}

impl Draws {
    /// Draws about `subject`; the same secret and subject give the same draws.
    pub fn new(secret: &[u8; 32], subject: &[u8]) -> Self {
        let stream = blake3::Hasher::new_keyed(secret).update(subject).finalize_xof();
        Self { stream, block: [0; 8 * DRAWS_PER_BLOCK], used: DRAWS_PER_BLOCK }
    }

    /// A number as it is drawn, to be [`scaled`] once its bound is known.
    pub fn next(&mut self) -> u64 {
        if self.used == DRAWS_PER_BLOCK {
            self.stream.fill(&mut self.block);
            self.used = 0;
        }
        let (draws, _) = self.block.as_chunks::<8>();
        self.used += 1;
        u64::from_le_bytes(draws[self.used - 1])
    }

    /// A number below `bound`, which is not 0; see [`scaled`].
    pub fn below(&mut self, bound: u32) -> u32 {
        scaled(self.next(), bound)
    }

    /// Whether an event of `parts` in a million happens.
    pub fn happens(&mut self, parts: u32) -> bool {
        self.below(1_000_000) < parts
    }

    /// So many different numbers below `bound`, at most N, ascending; all of them if `bound` is
    /// not more.
    pub fn distinct<const N: usize>(&mut self, count: u32, bound: u32) -> ArrayVec<u32, N> {
        if count >= bound {
            return (0..bound).collect();
        }
        let mut drawn = ArrayVec::new();
        while (drawn.len() as u32) < count {
            let number = self.below(bound);
            if let Err(place) = drawn.binary_search(&number) {
                drawn.insert(place, number);
            }
        }
        drawn
    }
}
