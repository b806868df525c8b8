//! Draws that nobody can steer and anybody can replay: BLAKE3 keyed by an epoch's secret.

/// A stream of draws from a secret about one thing.
pub struct Draws(blake3::OutputReader);

impl Draws {
    /// Draws about `subject`; the same secret and subject give the same draws.
    pub fn new(secret: &[u8; 32], subject: &[u8]) -> Self {
        Self(blake3::Hasher::new_keyed(secret).update(subject).finalize_xof())
    }

    fn next(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound`, which is not 0 (bias below 2^-32 for any 32-bit bound).
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }

    /// Whether an event of `parts` in a million happens.
    pub fn happens(&mut self, parts: u32) -> bool {
        self.below(1_000_000) < parts
    }

    /// So many different numbers below `bound`, ascending; all of them if `bound` is not more.
    pub fn distinct(&mut self, count: u32, bound: u32) -> Vec<u32> {
        if count >= bound {
            return (0..bound).collect();
        }
        let mut drawn = std::collections::BTreeSet::new();
        while (drawn.len() as u32) < count {
            drawn.insert(self.below(bound));
        }
        drawn.into_iter().collect()
    }
}
