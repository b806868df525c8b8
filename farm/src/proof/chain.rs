//! Chains: a tile is leased when all that it is made of is accepted, of just these outputs; once
//! one of them gives way to another, it is accepted no longer.

use super::{Books, Follows, demand};
use crate::chain;
use crate::digest::Digest;
use crate::entry::{Book, Fact, Reason};
use crate::id::{JobId, LeaseId, WorkerId};
use crate::limit;
use crate::money::Amount;
use crate::view::JobState;
use std::collections::BTreeMap;

/// What a tile is made of: runs of the upstream's tiles, and the digest over their outputs.
#[derive(Clone, Debug)]
struct Inputs {
    tiles: Vec<(u64, u64)>,
    made_of: Digest,
}

/// An accepted tile that was made of others, and where its pay went.
#[derive(Debug)]
struct Made {
    inputs: Inputs,
    worker: WorkerId,
    to: Book,
    amount: Amount,
}

/// What is known of chains.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// By slot, the latest lease that was said to be made of something.
    fed: BTreeMap<u32, (LeaseId, Inputs)>,
    made: BTreeMap<(JobId, u64), Made>,
    /// A lease whose inputs the next entry must name.
    feeding: Option<LeaseId>,
    /// A tile that was outdated: the next entry must move its pay back, and one after it so many
    /// micro-credits of royalty.
    returning: Option<(JobId, u64, Made, u64)>,
    /// What a worker may get for a tile that was outdated.
    spoilt: BTreeMap<(JobId, u64), (WorkerId, u64)>,
}

fn places(tiles: &[(u64, u64)]) -> impl Iterator<Item = u64> {
    tiles.iter().flat_map(|(first, count)| *first..first.saturating_add(*count))
}

impl Chains {
    /// Whether this may be the next entry.
    pub(super) fn expects(&mut self, fact: &Fact) -> Follows {
        let feeds = match fact {
            Fact::Fed { lease, .. } => Some(*lease),
            _ => None,
        };
        demand(self.feeding.take() == feeds, "a lease says at once what its tile is made of")?;
        let returns = match fact {
            Fact::Transfer { reason: Reason::Outdated(job, tile), .. } => Some((*job, *tile)),
            _ => None,
        };
        let due = self.returning.as_ref().map(|(job, tile, ..)| (*job, *tile));
        demand(due == returns, "the pay of an outdated tile goes back at once")
    }

    pub(super) fn leased(&mut self, lease: LeaseId) {
        self.feeding = Some(lease);
    }

    /// Nothing can change any more about a tile.
    pub(super) fn settled(&mut self, job: JobId, tile: u64) {
        self.made.remove(&(job, tile));
    }

    /// An accepted tile: what its lease was fed with.
    pub(super) fn accepted(
        &mut self,
        lease: LeaseId,
        (job, tile): (JobId, u64),
        (worker, to, amount): (WorkerId, Book, Amount),
    ) {
        let fed = self.fed.get(&lease.slot).filter(|(of, _)| *of == lease);
        if let Some((_, inputs)) = fed {
            let made = Made { inputs: inputs.clone(), worker, to, amount };
            self.made.insert((job, tile), made);
        }
    }

    pub(super) fn finish(&self) -> Follows {
        demand(self.feeding.is_none(), "nothing says what the last lease's tile is made of")?;
        demand(self.returning.is_none(), "the pay of an outdated tile did not go back")
    }
}

impl Books {
    pub(super) fn chained(&mut self, job: JobId, upstream: JobId) -> Follows {
        let last = job.0 as usize + 1 == self.jobs.len();
        demand(last && upstream < job, "a job is made of an earlier one's frames from its start")?;
        let account = self.job(job)?.account;
        let found = self.job(upstream)?;
        let open = found.ended.is_none() && found.account == account;
        demand(open, "what it is to be made of is no open job of its account")?;
        found.feeds = true;
        let found = self.job(job)?;
        demand(found.upstream.replace(upstream).is_none(), "it is made of a job already")
    }

    pub(super) fn fed(&mut self, lease: LeaseId, tiles: &[(u64, u64)], made_of: Digest) -> Follows {
        let slot = self.slot(lease)?;
        let (job, tile) = (slot.job, slot.tile);
        let upstream = self.job(job)?.upstream.ok_or("its job is made of no other")?;
        let count = tiles.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let rising = places(tiles).take(limit::INPUTS_MAX as usize).is_sorted_by(|a, b| a < b);
        let within = (1..=limit::INPUTS_MAX).contains(&count) && rising;
        demand(within, "the tiles that it is made of are in no order, or too many")?;
        let accepted = &self.job(upstream)?.accepted;
        let all = places(tiles).all(|tile| accepted.contains(&tile));
        demand(all, "a tile that it is made of is not accepted")?;
        let inputs = Inputs { tiles: tiles.to_vec(), made_of };
        demand(self.made_of(job, &inputs) == Some(made_of), "it is made of something else")?;
        demand(!self.chains.made.contains_key(&(job, tile)), "the tile is made already")?;
        self.chains.fed.insert(lease.slot, (lease, inputs));
        Ok(())
    }

    /// The digest over what was accepted last of a tile's inputs.
    fn made_of(&self, job: JobId, inputs: &Inputs) -> Option<Digest> {
        let upstream = self.jobs.get(job.0 as usize)?.upstream?;
        let outputs = &self.jobs.get(upstream.0 as usize)?.outputs;
        let outputs = places(&inputs.tiles).map(|tile| outputs.get(&tile).copied());
        Some(chain::made_of(&outputs.collect::<Option<Vec<Digest>>>()?))
    }

    /// Whether another output has taken the place of one that an accepted tile is made of.
    pub(super) fn has_changed(&self, (job, tile): (JobId, u64)) -> bool {
        let made = self.chains.made.get(&(job, tile));
        made.is_some_and(|made| self.made_of(job, &made.inputs) != Some(made.inputs.made_of))
    }

    /// Another output has taken the place of one that the tile was made of.
    pub(super) fn outdated(&mut self, job: JobId, tile: u64) -> Follows {
        let changed = self.has_changed((job, tile));
        let made = self.chains.made.remove(&(job, tile)).ok_or("the tile is made of no other")?;
        demand(changed, "nothing that the tile is made of has changed")?;
        demand(self.job(job)?.accepted.remove(&tile), "the tile is not accepted")?;
        let vouched = self.vouched.contains_key(&(job, tile));
        demand(!vouched, "who had vouched for the tile was not paid before")?;
        let earned = self.earned.remove(&(job, tile));
        let royalty = earned.as_ref().map_or(0, |earned| earned.royalty);
        let open = earned.is_none_or(|earned| !earned.matured && !earned.settled);
        demand(open, "the tile's pay is final")?;
        if made.to == Book::Held(made.worker) {
            let due = made.amount.after_fee().0;
            self.chains.spoilt.insert((job, tile), (made.worker, due));
        }
        if made.amount.0 > 0 {
            self.chains.returning = Some((job, tile, made, royalty));
        }
        Ok(())
    }

    /// An outdated tile's pay goes back to its job.
    pub(super) fn takes_back(
        &mut self,
        job: JobId,
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let returning = self.chains.returning.take().ok_or("no tile was outdated")?;
        let (_, tile, made, royalty) = returning;
        let books = (debit, credit) == (made.to, Book::Hold(job));
        demand(books && amount == made.amount, "not what the tile was paid")?;
        self.gives_back((job, tile), amount, royalty)
    }

    /// The farm pays what a worker lost, as far as its pots go.
    pub(super) fn spoilt(
        &mut self,
        (job, tile): (JobId, u64),
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        demand(matches!(debit, Book::Audits | Book::Fees), "what was spoilt the farm pays")?;
        let rest = self.ledger.balance(Book::Audits);
        demand(debit == Book::Audits || rest.0 == 0, "fees pay only what the audits' pot cannot")?;
        let most = self.ledger.balance(debit).0;
        let owed = self.chains.spoilt.get_mut(&(job, tile)).ok_or("nothing was spoilt")?;
        demand(credit == Book::Payable(owed.0), "it was another worker's tile")?;
        demand(amount.0 == owed.1.min(most), "not what the worker lost")?;
        owed.1 -= amount.0;
        Ok(())
    }

    /// Whether what this tile is made of can still change.
    pub(super) fn may_change(&self, job: JobId, tile: u64) -> bool {
        let Some(made) = self.chains.made.get(&(job, tile)) else { return false };
        let Some(upstream) = self.jobs[job.0 as usize].upstream else { return false };
        let found = &self.jobs[upstream.0 as usize];
        let goes_on = found.ended.is_none_or(|state| state == JobState::Done as u8);
        let open = |tile: u64| {
            let earned = self.earned.get(&(upstream, tile));
            earned.is_some_and(|earned| !earned.settled) || !found.accepted.contains(&tile)
        };
        goes_on && places(&made.inputs.tiles).any(open)
    }

    /// In the end every accepted tile of a job that ended well, or goes on, is made of what is
    /// accepted.
    pub(super) fn chains_finish(&self) -> Follows {
        self.chains.finish()?;
        let right = |((job, _), made): (&(JobId, u64), &Made)| {
            let ended = self.jobs[job.0 as usize].ended;
            let over = ended.is_some_and(|state| state != JobState::Done as u8);
            over || self.made_of(*job, &made.inputs) == Some(made.inputs.made_of)
        };
        demand(self.chains.made.iter().all(right), "an accepted tile is made of what is not")
    }
}
