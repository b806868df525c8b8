//! Validators that do not say what they see: what they are paid against honest ones, and how far
//! they move what holds. Real rounds, on workers some of which are unreliable for a while.

use crate::Chance;
use farm::id::{AccountId, WorkerId};
use farm::money::Amount;
use farm::scores::{Combined, PERFECT, Scores, Scoring, commitment};

/// How a dishonest validator comes to its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Lazy,
    Copier,
    Random,
    Booster,
    /// Honest until it is heard, then a booster.
    Sleeper,
    Honest,
}

/// What one manner came to.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    /// Share of the rounds in which its ballots counted.
    pub heard: f64,
    /// Pay for its bond, against that of the honest for theirs.
    pub pay: f64,
    /// Mean distance of what holds from what the honest see, in thousandths.
    pub moved: f64,
}

const WORKERS: u32 = 100;
const HONEST: u32 = 7;
const OTHERS: u32 = 3;
/// Rounds, and those in which everybody is a newcomer.
const ROUNDS: u32 = 500;
const FOUNDING: u32 = 20;
/// The fees shared in a round, micro-credits.
const PURSE: Amount = Amount(1_000_000_000);

/// Workers as they are: one in ten is unreliable, and that changes.
struct Farm {
    reliable: Vec<bool>,
    chance: Chance,
}

impl Farm {
    fn turn(&mut self) {
        for reliable in &mut self.reliable {
            if self.chance.percent(if *reliable { 1 } else { 9 }) {
                *reliable = !*reliable;
            }
        }
    }

    /// What somebody sees who looks for himself.
    fn seen(&mut self) -> Scores {
        let mut score = |reliable: bool| match reliable {
            true => 970 + self.chance.below(31) as u16,
            false => 200 + self.chance.below(101) as u16,
        };
        (0..).map(WorkerId).zip(self.reliable.iter().map(|reliable| score(*reliable))).collect()
    }
}

/// Rounds of seven honest validators and three of one manner, which have so many hundredths of all
/// bonds.
pub fn measure(manner: Manner, percent: u64) -> Scored {
    let reliable = (0..WORKERS).map(|at| at % 10 > 0).collect();
    let mut farm = Farm { reliable, chance: Chance::new(11) };
    let mut scoring = Scoring::default();
    (0..HONEST + OTHERS).for_each(|account| {
        scoring.joins(AccountId(account));
    });
    let bond = |account: u32| match account < HONEST {
        true => Amount((100 - percent) * 1_000_000 / u64::from(HONEST)),
        false => Amount(percent * 1_000_000 / u64::from(OTHERS)),
    };
    let owner = |worker: WorkerId| AccountId(1_000 + worker.0);
    let (mut outcome, mut last) = (Combined::default(), Vec::new());
    let (mut truth, mut heard, mut moved) = (Scores::new(), 0, 0);
    let mut paid = [0, 0];
    for round in 1..=ROUNDS {
        farm.turn();
        let seen = farm.seen();
        let mut ballots = Vec::new();
        for account in 0..HONEST + OTHERS {
            let scores = match manner {
                _ if account < HONEST || manner == Manner::Honest => farm.seen(),
                Manner::Sleeper if round < 2 * FOUNDING => farm.seen(),
                other => dishonest(other, &seen, &outcome.scores, &mut farm.chance),
            };
            let seal = commitment(AccountId(account), round, &[0; 32], &scores);
            let sealed = scoring.commit(AccountId(account), round, seal, bond(account));
            assert_eq!(sealed, Ok(true), "one ballot a round");
            ballots.push(scores);
        }
        for (account, scores) in (0..).map(AccountId).zip(&last) {
            let owner = |worker| Some(owner(worker));
            let shown = scoring.reveal(account, round - 1, (&[0; 32], scores), owner);
            assert_eq!(shown, Ok(true), "what was committed to");
        }
        let counts = scoring.standings().iter().skip(HONEST as usize).any(|of| of.admitted);
        outcome = scoring.turn(owner);
        if round > 2 * FOUNDING {
            heard += u32::from(counts);
            for (account, amount) in outcome.pay(PURSE) {
                paid[usize::from(account.0 >= HONEST)] += amount.0;
            }
            let off = outcome.scores.iter().zip(&truth);
            moved += off.map(|((_, now), (_, then))| u64::from(now.abs_diff(*then))).sum::<u64>();
        }
        (truth, last) = (seen, ballots);
    }
    let rounds = f64::from(ROUNDS - 2 * FOUNDING);
    let [honest, others] = paid.map(|amount| amount as f64);
    Scored {
        heard: f64::from(heard) / rounds,
        pay: others / percent as f64 * (100 - percent) as f64 / honest,
        moved: moved as f64 / rounds / f64::from(WORKERS),
    }
}

fn dishonest(manner: Manner, seen: &Scores, outcome: &Scores, chance: &mut Chance) -> Scores {
    let each = |score: &mut dyn FnMut(WorkerId) -> u16| -> Scores {
        seen.iter().map(|(worker, _)| (*worker, score(*worker))).collect()
    };
    match manner {
        Manner::Lazy => each(&mut |_| PERFECT),
        Manner::Copier => outcome.clone(),
        Manner::Random => each(&mut |_| chance.below(1_001) as u16),
        Manner::Honest | Manner::Booster | Manner::Sleeper => {
            each(&mut |worker| if worker.0 < WORKERS / 10 { PERFECT } else { 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_look_is_paid_less_and_less_than_half_of_the_bonds_moves_little() {
        let honest = measure(Manner::Honest, 30);
        assert!((honest.pay - 1.0).abs() < 0.01 && honest.heard > 0.99, "{honest:?}");
        for percent in [10, 30, 49] {
            for manner in [Manner::Lazy, Manner::Random, Manner::Booster, Manner::Sleeper] {
                let scored = measure(manner, percent);
                assert!(scored.pay < 0.01, "{manner:?} with {percent} %: {scored:?}");
                assert!(scored.moved < honest.moved + 1.0, "{manner:?} {percent} %: {scored:?}");
            }
            // It waits until it can copy, and the farm has moved on.
            let copier = measure(Manner::Copier, percent);
            assert!(copier.pay < 0.95 && copier.moved < honest.moved + 1.0, "{copier:?}");
        }
    }
}
