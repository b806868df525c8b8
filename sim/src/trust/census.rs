//! The census: what became of workers of every conduct in simulated worlds where messages are lost,
//! disks torn and schedulers killed besides.

use crate::{Conduct, Seen};
use std::ops::Range;

/// What became of all workers of one conduct.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub workers: u64,
    /// Of those that said something false: how often each did, ascending, until it was found out
    /// or the world ended.
    pub lies: Vec<u64>,
    /// Workers that lied and are out; that never lied and are out.
    pub found_out: u64,
    pub wronged: u64,
    pub earned: u64,
}

impl Fate {
    fn add(&mut self, seen: &Seen) {
        let lied = seen.lies > 0;
        self.workers += 1;
        self.found_out += u64::from(lied && seen.refuted);
        self.wronged += u64::from(!lied && seen.refuted);
        self.earned += seen.earned;
        if lied {
            self.lies.push(seen.lies);
        }
    }

    /// Micro-credits that one earned, the mean.
    pub fn mean_earned(&self) -> f64 {
        self.earned as f64 / self.workers.max(1) as f64
    }
}

/// Counts what became of the workers of each of these conducts in the worlds of these seeds; every
/// world is judged besides.
pub fn count(seeds: Range<u64>, conducts: &[Conduct]) -> anyhow::Result<Vec<Fate>> {
    let kind = |conduct: &Conduct| std::mem::discriminant(conduct);
    let mut fates = vec![Fate::default(); conducts.len()];
    for seed in seeds {
        for seen in crate::census(seed)? {
            let place = conducts.iter().position(|conduct| kind(conduct) == kind(&seen.conduct));
            if let Some(place) = place {
                fates[place].add(&seen);
            }
        }
    }
    for fate in &mut fates {
        fate.lies.sort_unstable();
    }
    Ok(fates)
}
