//! Validators of the world: they follow the public log as far as it was let out, and score workers
//! each after its own manner.

use crate::Chance;
use farm::command::Command;
use farm::entry::{Entry, Fact};
use farm::id::{AccountId, WorkerId};
use farm::money::{Amount, CREDIT};
use farm::scores::{self, PERFECT, Scores};
use farm::watcher::Watcher;
use std::collections::BTreeMap;

/// How a validator comes to its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// By what it sees in the log.
    Honest,
    /// Everybody is perfect.
    Lazy,
    /// What came out last.
    Copier,
    /// Whatever chance gives.
    Random,
    /// Some workers are perfect, all others worth nothing.
    Booster,
    /// Commits to another's commitment and shows what that one showed.
    Parrot,
    /// Shows something else than it committed to.
    Waverer,
}

const MANNERS: [Manner; 12] = [
    Manner::Honest,
    Manner::Honest,
    Manner::Honest,
    Manner::Honest,
    Manner::Honest,
    Manner::Honest,
    Manner::Lazy,
    Manner::Copier,
    Manner::Random,
    Manner::Booster,
    Manner::Parrot,
    Manner::Waverer,
];

/// An account that scores.
#[derive(Debug)]
pub struct Validator {
    account: AccountId,
    manner: Manner,
    watcher: Watcher,
    /// Entries followed.
    seen: usize,
    /// The ballots it made, by round.
    ballots: BTreeMap<u32, Scores>,
    outcome: Scores,
    /// What others committed to and showed last.
    overheard: Option<Command>,
}

impl Validator {
    pub fn draw(account: AccountId, chance: &mut Chance) -> Self {
        Self {
            account,
            manner: MANNERS[chance.below(MANNERS.len() as u64) as usize],
            watcher: Watcher::new(),
            seen: 0,
            ballots: BTreeMap::new(),
            outcome: Scores::new(),
            overheard: None,
        }
    }

    /// Follows what was published since.
    pub fn follow(&mut self, log: &[Entry]) {
        for entry in &log[self.seen.min(log.len())..] {
            self.watcher.follow(entry);
            let account = self.account;
            match &entry.fact {
                Fact::RoundEnded { scores, .. } => self.outcome = scores.clone(),
                Fact::ScoresCommitted { account: by, round, commitment } if *by != account => {
                    let (round, commitment) = (*round, *commitment);
                    self.overheard = Some(Command::CommitScores { account, round, commitment });
                }
                Fact::ScoresRevealed { account: by, round, salt, scores } if *by != account => {
                    let (round, salt, scores) = (*round, *salt, scores.clone());
                    self.overheard = Some(Command::RevealScores { account, round, salt, scores });
                }
                _ => {}
            }
        }
        self.seen = log.len();
    }

    /// What it does now, if anything.
    pub fn acts(&mut self, round: u32, workers: u32, chance: &mut Chance) -> Option<Command> {
        let account = self.account;
        if chance.percent(2) {
            return Some(match chance.percent(5) {
                true => Command::Unbond { account },
                false => {
                    let amount = Amount((1 + chance.below(40)) * CREDIT);
                    let request = u128::from(chance.bits());
                    Command::Bond { account, amount, request }
                }
            });
        }
        if round == 0 || !chance.percent(60) {
            return None;
        }
        if self.manner == Manner::Parrot && chance.percent(80) {
            return self.overheard.take();
        }
        let salt = [round as u8; 32];
        if let Some(known) = self.ballots.get(&round) {
            let last = round - 1;
            let mut scores = self.ballots.get(&last)?.clone();
            if self.manner == Manner::Waverer && known.first() != scores.first() {
                scores.clone_from(known);
            }
            return Some(Command::RevealScores {
                account,
                round: last,
                salt: [last as u8; 32],
                scores,
            });
        }
        let scores = self.ballot(workers, chance);
        let commitment = scores::commitment(account, round, &salt, &scores);
        self.ballots.insert(round, scores);
        Some(Command::CommitScores { account, round, commitment })
    }

    /// Its scores; the careless now and then score what they may not.
    fn ballot(&mut self, workers: u32, chance: &mut Chance) -> Scores {
        let seen = self.watcher.ballot(self.account);
        let of = |score: &mut dyn FnMut(WorkerId) -> u16| -> Scores {
            seen.iter().map(|(worker, _)| (*worker, score(*worker))).collect()
        };
        match self.manner {
            Manner::Honest | Manner::Parrot | Manner::Waverer => seen,
            Manner::Lazy => of(&mut |_| PERFECT),
            Manner::Copier => self.outcome.clone(),
            Manner::Booster => of(&mut |worker| if worker.0 % 3 == 0 { PERFECT } else { 0 }),
            Manner::Random => {
                let anyone = (0..workers).map(WorkerId);
                anyone.map(|worker| (worker, chance.below(1_020) as u16)).collect()
            }
        }
    }
}
