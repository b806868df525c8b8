//! Scores by many: validators, accounts that put down a bond, score workers on what is no matter of
//! bits. What holds is the median by bond, as in Bittensor's Yuma consensus with a kappa of one
//! half, so that less than half of the bonds moves nothing. A round's ballot is committed to while
//! the round lasts and revealed in the next, when nobody can copy it any more; whoever agrees with
//! what came out is paid, whoever does not is heard no longer. Knows no money but weights.

use crate::digest::Digest;
use crate::id::{AccountId, WorkerId};
use crate::layout::Layout;
use crate::layout_struct;
use crate::limit;
use crate::money::Amount;
use crate::reject::Reject;
use std::collections::{BTreeMap, BTreeSet};

/// What a perfect worker is scored; agreement and trust are counted in the same thousandths.
pub const PERFECT: u16 = 1000;

/// Scores of workers, 0 to [`PERFECT`], by rising id.
pub type Scores = Vec<(WorkerId, u16)>;

/// What a validator commits to: nobody else can reveal it, as it names the account.
pub fn commitment(account: AccountId, round: u32, salt: &[u8; 32], scores: &Scores) -> Digest {
    let mut bytes = b"girih scores 1\n".to_vec();
    account.put(&mut bytes);
    round.put(&mut bytes);
    salt.put(&mut bytes);
    scores.put(&mut bytes);
    Digest::of(&bytes)
}

/// A ballot that was committed to, and the bond behind it then.
#[derive(Clone, Copy, Debug)]
struct Sealed {
    commitment: Digest,
    weight: Amount,
}

/// An account that scores, or did.
#[derive(Debug, Default)]
struct Validator {
    bonded: bool,
    /// How far it agreed lately, in thousandths; each round counts a quarter.
    trust: u16,
    /// It agreed for long enough to be heard and paid, and has not drifted since.
    admitted: bool,
    /// Its ballot of this round; of the last; and that one, revealed.
    sealed: Option<Sealed>,
    last: Option<Sealed>,
    revealed: Option<Scores>,
}

/// What a validator is worth, for others to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub account: AccountId,
    pub trust: u16,
    pub admitted: bool,
    /// Whether its ballot of this round is committed to, and that of the last revealed.
    pub committed: bool,
    pub revealed: bool,
}

/// All validators and their round.
#[derive(Debug, Default)]
pub struct Scoring {
    /// The round that ballots are committed to in; 0 before the first bond.
    round: u32,
    validators: BTreeMap<AccountId, Validator>,
}

layout_struct!(Sealed { commitment, weight });
layout_struct!(Validator { bonded, trust, admitted, sealed, last, revealed });
layout_struct!(Scoring { round, validators });

/// What a round's validators share: a part of the fees taken in it, as far as there are any left.
pub fn purse(fees: Amount, left: Amount) -> Amount {
    Amount(fees.0 * limit::SCORING_PERMILLE / 1000).min(left)
}

/// What a round came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    pub scores: Scores,
    /// How far each revealed ballot agreed, in thousandths; none where it scored nobody that
    /// was scored.
    pub agreed: Vec<(AccountId, u16)>,
    /// Of those who are paid: the bond behind the ballot times the agreement, over all their bonds.
    pub shares: Vec<(AccountId, u128)>,
    pub weight: u128,
}

impl Combined {
    /// Each validator's pay out of a round's purse; what disagreement leaves stays there.
    pub fn pay(&self, purse: Amount) -> Vec<(AccountId, Amount)> {
        let whole = self.weight * u128::from(PERFECT);
        let due = |share: u128| (u128::from(purse.0) * share).checked_div(whole).unwrap_or(0);
        let due = self.shares.iter().map(|(account, share)| (*account, Amount(due(*share) as u64)));
        due.filter(|(_, amount)| amount.0 > 0).collect()
    }
}

impl Scoring {
    /// The round that ballots are committed to in; 0 before the first bond.
    pub fn round(&self) -> u32 {
        self.round
    }

    pub fn is_bonded(&self, account: AccountId) -> bool {
        self.validators.get(&account).is_some_and(|validator| validator.bonded)
    }

    /// Accounts with a bond.
    pub fn bonded(&self) -> impl Iterator<Item = AccountId> {
        let all = self.validators.iter();
        all.filter(|(_, validator)| validator.bonded).map(|(account, _)| *account)
    }

    /// Validators with a bond.
    pub fn standings(&self) -> Vec<Standing> {
        let standing = |account: AccountId| {
            let Validator { trust, admitted, sealed, revealed, .. } = &self.validators[&account];
            let (committed, revealed) = (sealed.is_some(), revealed.is_some());
            Standing { account, trust: *trust, admitted: *admitted, committed, revealed }
        };
        self.bonded().map(standing).collect()
    }

    /// The account has put down a bond; whether it is the first there is.
    pub fn joins(&mut self, account: AccountId) -> bool {
        let first = self.bonded().next().is_none();
        self.validators.entry(account).or_default().bonded = true;
        self.round = self.round.max(1);
        first
    }

    /// The account took its bond back: its ballots weigh nothing. What it is trusted remains.
    pub fn leaves(&mut self, account: AccountId) {
        if let Some(found) = self.validators.get_mut(&account) {
            *found =
                Validator { trust: found.trust, admitted: found.admitted, ..Validator::default() };
        }
    }

    fn validator(&mut self, account: AccountId) -> Result<&mut Validator, Reject> {
        let found = self.validators.get_mut(&account).filter(|validator| validator.bonded);
        found.ok_or(Reject::NoValidator)
    }

    /// The account commits to its ballot of this round; whether that is news.
    pub fn commit(
        &mut self,
        account: AccountId,
        round: u32,
        commitment: Digest,
        weight: Amount,
    ) -> Result<bool, Reject> {
        let now = self.round;
        let validator = self.validator(account)?;
        if round != now {
            return Err(Reject::RoundOver);
        }
        match &validator.sealed {
            Some(before) if before.commitment == commitment => Ok(false),
            Some(_) => Err(Reject::BallotRepeated),
            None => {
                validator.sealed = Some(Sealed { commitment, weight });
                Ok(true)
            }
        }
    }

    /// The account shows what it committed to in the last round; whether that is news. `owner` says
    /// whose a worker is: nobody scores its own.
    pub fn reveal(
        &mut self,
        account: AccountId,
        round: u32,
        (salt, scores): (&[u8; 32], &Scores),
        owner: impl Fn(WorkerId) -> Option<AccountId>,
    ) -> Result<bool, Reject> {
        let now = self.round;
        let validator = self.validator(account)?;
        if round.checked_add(1) != Some(now) {
            return Err(Reject::RoundOver);
        }
        let sealed = validator.last.as_ref().ok_or(Reject::BallotUnknown)?;
        if commitment(account, round, salt, scores) != sealed.commitment {
            return Err(Reject::BallotMismatch);
        }
        let rising = scores.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let foreign = |worker| owner(worker).is_some_and(|owner| owner != account);
        let fair = scores.iter().all(|(worker, score)| *score <= PERFECT && foreign(*worker));
        if !rising || !fair || scores.len() > limit::SCORES_MAX {
            return Err(Reject::ScoresInvalid);
        }
        let news = validator.revealed.is_none();
        validator.revealed.get_or_insert_with(|| scores.clone());
        Ok(news)
    }

    /// Ends the round: combines what was revealed in it, judges those who revealed, and begins the
    /// next. Ballots of validators that are not admitted weigh nothing, unless none is.
    pub fn turn(&mut self, owner: impl Fn(WorkerId) -> AccountId) -> Combined {
        let founding = !self.validators.values().any(|found| found.bonded && found.admitted);
        let mut ballots = Vec::new();
        for (account, validator) in &mut self.validators {
            let sealed = std::mem::replace(&mut validator.last, validator.sealed.take());
            let (Some(sealed), Some(scores)) = (sealed, validator.revealed.take()) else {
                continue;
            };
            let heard = founding || validator.admitted;
            let weight = if heard { u128::from(sealed.weight.0) } else { 0 };
            ballots.push(Ballot { account: *account, weight, scores });
        }
        self.round += 1;
        let scores = medians(&ballots, &owner);
        let mut combined = Combined { scores, ..Combined::default() };
        for ballot in &ballots {
            let Some(agreed) = agreement(ballot, &combined.scores, &owner) else { continue };
            let Some(validator) = self.validators.get_mut(&ballot.account) else { continue };
            combined.agreed.push((ballot.account, agreed));
            if validator.admitted {
                combined.shares.push((ballot.account, ballot.weight * u128::from(agreed)));
                combined.weight += ballot.weight;
            }
            validator.trust = (validator.trust * 3 + agreed) / 4;
            validator.admitted = match validator.admitted {
                true => validator.trust >= limit::TRUST_HEARD,
                false => validator.trust >= limit::TRUST_ADMITTED,
            };
        }
        combined
    }
}

/// A revealed ballot and what stands behind it.
#[derive(Debug)]
struct Ballot {
    account: AccountId,
    weight: u128,
    scores: Scores,
}

impl Ballot {
    fn score(&self, worker: WorkerId) -> Option<u16> {
        let at = self.scores.binary_search_by_key(&worker, |(worker, _)| *worker).ok()?;
        Some(self.scores[at].1)
    }
}

/// For each worker the highest score that those with half of the weight gave it or exceeded, where
/// at least half of the weight that may score it does: a worker's owner may not.
fn medians(ballots: &[Ballot], owner: &impl Fn(WorkerId) -> AccountId) -> Scores {
    let named: BTreeSet<WorkerId> =
        ballots.iter().flat_map(|ballot| &ballot.scores).map(|(worker, _)| *worker).collect();
    let median = |worker: WorkerId| {
        let others = || ballots.iter().filter(|ballot| ballot.account != owner(worker));
        let all: u128 = others().map(|ballot| ballot.weight).sum();
        let given = |ballot: &Ballot| Some((ballot.score(worker)?, ballot.weight));
        let mut given: Vec<(u16, u128)> = others().filter_map(given).collect();
        let heard: u128 = given.iter().map(|(_, weight)| weight).sum();
        if heard == 0 || heard * 2 < all {
            return None;
        }
        given.sort_unstable_by(|a, b| b.cmp(a));
        let mut above = 0;
        let reaches = |(_, weight): &&(u16, u128)| {
            above += weight;
            above * 2 >= heard
        };
        given.iter().find(reaches).map(|(score, _)| (worker, *score))
    };
    named.into_iter().filter_map(median).collect()
}

/// How far a ballot agrees with what came out: what it and the medians have in common of how far
/// workers fall short, over all that either says. Scores as such would not do: where most workers
/// are good, who calls all of them perfect would agree.
fn agreement(
    ballot: &Ballot,
    scores: &Scores,
    owner: &impl Fn(WorkerId) -> AccountId,
) -> Option<u16> {
    let shortfall = |score: u16| u64::from(PERFECT - score + limit::SHORTFALL_FLOOR);
    let (mut common, mut all) = (0, 0);
    for (worker, score) in scores {
        if owner(*worker) == ballot.account {
            continue;
        }
        let said = shortfall(ballot.score(*worker).unwrap_or(0));
        let holds = shortfall(*score);
        common += said.min(holds);
        all += said.max(holds);
    }
    (common * u64::from(PERFECT)).checked_div(all).map(|agreed| agreed as u16)
}

#[cfg(test)]
mod tests;
