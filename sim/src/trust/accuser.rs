//! Accusers: some of the auditors of honest work are malicious and all say the same false thing.
//! Whoever of them is found out is followed by another of a new owner, so that their share stays.

use super::arena::{Arena, Founded};

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accusations {
    pub audits: u64,
    /// Malicious auditors that were found out.
    pub found_out: u64,
    /// Honest workers that were found lying.
    pub wronged: u64,
}

/// Audits after which the farm is founded anew.
const AUDITS_EACH: u64 = 10_000;

impl Founded {
    /// Runs honest work until so many audits were heard, `malicious` of the auditors lying.
    pub fn accusations(&self, audits: u64, malicious: u32) -> anyhow::Result<Accusations> {
        let mut sum = Accusations::default();
        let mut seed = 0;
        while sum.audits < audits {
            seed += 1;
            let mut arena = self.arena(seed, 0, malicious)?;
            arena.accuse();
            let mut out = 0;
            while arena.counts.audits < AUDITS_EACH {
                arena.order(16)?;
                out = replace(&mut arena, out)?;
                arena.turn_epoch()?;
            }
            sum.found_out += out;
            sum.audits += arena.counts.audits;
            sum.wronged += arena.wronged();
        }
        Ok(sum)
    }
}

/// Others come for those of the ring that are out, of whom `before` had followers; says how many
/// are out by now.
fn replace(arena: &mut Arena, before: u64) -> anyhow::Result<u64> {
    let out = arena.ring.iter().filter(|id| arena.is_refuted(**id)).count() as u64;
    for _ in before..out {
        let next = arena.enrol(false)?;
        arena.ring.insert(next);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_honest_worker_is_found_lying_while_an_arbiter_is_there() {
        let founded = Founded::new(300, 1).unwrap();
        let seen = founded.accusations(2_000, 8).unwrap();
        assert!(seen.found_out > 100, "the malicious do accuse: {seen:?}");
        assert_eq!(seen.wronged, 0);
        let founded = Founded::new(300, 0).unwrap();
        let seen = founded.accusations(2_000, 8).unwrap();
        assert!(seen.wronged > 0, "without an arbiter they outvote somebody: {seen:?}");
    }
}
