//! Appeals: whoever does not believe a verdict puts down a deposit, and an arbiter decides; the
//! loser pays. An artist appeals against an accepted tile whose pay is still held back, an owner
//! against the refutation of a worker about which no arbiter was heard.

use crate::audit::{Answer, Claim, Lot};
use crate::effect::{Effects, Reply};
use crate::entry::{Book, Cause, Fact, Reason};
use crate::farm::Farm;
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::layout_struct;
use crate::lease::{Lease, Role};
use crate::limit;
use crate::money::{Amount, Price};
use crate::reject::Reject;
use crate::settle::Doubt;
use crate::standing::Lost;
use crate::time::Time;

/// What somebody appeals against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// The acceptance of a tile.
    Tile(JobId, u64),
    /// The refutation of a worker.
    Refutation(WorkerId),
}

/// What an arbiter is to look at: a claim, and whose it is to which tile.
struct Subject {
    claimant: WorkerId,
    job: JobId,
    tile: u64,
    claim: Box<Claim>,
}

/// Money put down for the review of a tile under some lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    pub account: AccountId,
    pub amount: Amount,
    pub job: JobId,
    pub tile: u64,
    /// Whose refutation is appealed against; nobody's where a tile is.
    pub appellant: Option<WorkerId>,
}

layout_struct!(Deposit { account, amount, job, tile, appellant });

/// What is put down for an arbiter's work of so many units: its price, and never nothing, since
/// leaves that were not traced have no units.
pub(crate) fn deposit_for(price: Price, units: u64) -> Amount {
    price.of(units).max(Amount(1))
}

/// A trial as it was judged, so that it can be held again.
#[derive(Clone, Debug)]
pub struct Trial {
    pub lease: LeaseId,
    /// Whose claim to which tile it was, and what was said of it.
    pub claimant: WorkerId,
    pub job: JobId,
    pub tile: u64,
    pub claim: Box<Claim>,
}

layout_struct!(Trial { lease, claimant, job, tile, claim });

impl Trial {
    /// What this worker said; `None`: what was claimed.
    pub(crate) fn said_by(&self, worker: WorkerId) -> Option<&Answer> {
        let mut opinions = self.claim.opinions.iter();
        opinions.find(|opinion| opinion.worker == worker)?.contrary.as_ref()
    }
}

/// That a worker was found lying.
#[derive(Debug)]
pub struct Refutation {
    pub trial: Trial,
    pub at: Time,
    /// What the worker lost: its clean tiles, and what was held back for it.
    pub clean: Lost,
    pub forfeited: Amount,
}

layout_struct!(Refutation { trial, at, clean, forfeited });

impl Farm {
    pub(crate) fn appeal(
        &mut self,
        account: AccountId,
        matter: Matter,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        let Subject { claimant, job, tile, claim } = match matter {
            Matter::Tile(job, tile) => self.disputed(account, job, tile)?,
            Matter::Refutation(worker) => self.retried(account, worker)?,
        };
        let amount = deposit_for(self.jobs[job.0 as usize].price, claim.units_asked);
        if !self.has_arbiter(claimant, job, &claim) {
            return Err(Reject::NoArbiter);
        }
        if amount > self.ledger.balance(Book::Available(account)) {
            return Err(Reject::DepositTooSmall);
        }
        let (from, to) = (Book::Available(account), Book::Deposit(account));
        self.transfer(from, to, amount, Reason::Deposit(job, tile), effects);
        let (worker, granted) = (claimant, self.now);
        let lease = Lease { worker, job, tile, granted, role: Role::Reviewed(claim) };
        let lease = self.leases.grant(lease, None);
        let (cause, appellant) = match matter {
            Matter::Tile(..) => (Cause::Disputed, None),
            Matter::Refutation(worker) => (Cause::Appealed(worker), Some(worker)),
        };
        self.deposits.insert(lease, Deposit { account, amount, job, tile, appellant });
        let mut held = self.held[claimant.0 as usize].iter_mut();
        let held = held.find(|held| appellant.is_none() && (held.job, held.tile) == (job, tile));
        if let Some(held) = held {
            held.again = Some(Box::new(Doubt { cause, claim: None, review: Some(lease) }));
        }
        self.log(Fact::ReviewOpened { lease, worker, job, tile, cause }, effects);
        self.seek(lease, effects);
        Ok(Reply::Appealed { deposit: amount })
    }

    /// An accepted tile as a claim for arbiters, and whose it is.
    fn disputed(&self, account: AccountId, job: JobId, tile: u64) -> Result<Subject, Reject> {
        let found = self.jobs.get(job.0 as usize).filter(|found| found.account == account);
        found.ok_or(Reject::UnknownJob)?;
        let held = self.held.iter().enumerate().find_map(|(at, held)| {
            let mut held = held.iter().rev().filter(|held| !held.settled);
            let held = held.find(|held| (held.job, held.tile) == (job, tile))?;
            Some((WorkerId(at as u32), held))
        });
        let (worker, held) = held.ok_or(Reject::PayFinal)?;
        if held.again.is_some() {
            return Err(Reject::BeingReviewed);
        }
        if held.auditors.iter().any(|auditor| self.roster[*auditor].arbiter) {
            return Err(Reject::ArbiterHeard);
        }
        let mut claim = held.as_claim();
        claim.appealed = true;
        Ok(Subject { claimant: worker, job, tile, claim })
    }

    /// Whether this trial is being held again: once, for all whom it refuted, or whoever had told
    /// the truth would be paid for it each time.
    pub(crate) fn is_retried(&self, trial: &Trial) -> bool {
        let mut appellants = self.deposits.values().filter_map(|deposit| deposit.appellant);
        let of = |id: &WorkerId| self.refutations.get(id).map(|found| found.trial.lease);
        appellants.any(|appellant| of(&appellant) == Some(trial.lease))
    }

    /// A refuted worker's trial as a claim for arbiters, and whose it is.
    fn retried(&self, account: AccountId, worker: WorkerId) -> Result<Subject, Reject> {
        let owner = self.roster.get(worker).map(|worker| worker.owner);
        owner.filter(|owner| *owner == account).ok_or(Reject::UnknownWorker)?;
        let found = self.refutations.get(&worker).ok_or(Reject::NotRefuted)?;
        if self.is_retried(&found.trial) {
            return Err(Reject::BeingReviewed);
        }
        if found.trial.claim.opinions.iter().any(|opinion| opinion.decides) {
            return Err(Reject::ArbiterHeard);
        }
        if self.now > found.at.after_ms(limit::APPEAL_MS) {
            return Err(Reject::AppealLate);
        }
        let Trial { claimant, job, tile, mut claim, .. } = found.trial.clone();
        (claim.appealed, claim.wanted, claim.asks) = (true, 1, 0);
        claim.lot = Lot::NONE;
        claim.silent.clear();
        Ok(Subject { claimant, job, tile, claim })
    }

    /// The review under this lease has ended, with the truth about the claim or without a verdict.
    /// Whoever paid for it gets the deposit back unless the truth is the other side's; who was
    /// refuted for saying the truth is let in again.
    pub(crate) fn end_appeal(
        &mut self,
        lease: LeaseId,
        heard: Option<(&Claim, &Option<Answer>)>,
        effects: &mut impl Effects,
    ) {
        let Some(deposit) = self.deposits.remove(&lease) else { return };
        let Deposit { account, amount, job, tile, appellant } = deposit;
        let refutation = appellant.map(|worker| (worker, self.refutations.get(&worker)));
        let upheld = match (heard, refutation) {
            // Another of the same trial was heard before, and both were reinstated.
            (None, _) | (_, Some((_, None))) => true,
            (Some((_, truth)), None) => truth.is_some(),
            (Some((_, truth)), Some((worker, Some(found)))) => {
                found.trial.said_by(worker) == truth.as_ref()
            }
        };
        let again = refutation.and_then(|(_, found)| Some(found?.trial.lease));
        let (to, reason) = match upheld {
            true => (Book::Available(account), Reason::Returned(job, tile)),
            false => (Book::Audits, Reason::Kept(job, tile)),
        };
        self.transfer(Book::Deposit(account), to, amount, reason, effects);
        let (Some(trial), Some((claim, truth))) = (again, heard) else { return };
        let mut truthful = Vec::new();
        for (worker, found) in &mut self.refutations {
            if found.trial.lease == trial {
                if found.trial.said_by(*worker) == truth.as_ref() {
                    truthful.push(*worker);
                }
                *found.trial.claim = claim.clone();
            }
        }
        for worker in truthful {
            self.reinstate(worker, lease, effects);
        }
    }

    /// This worker had told the truth: it may come back with the standing it had, and gets what it
    /// forfeited from the farm, as far as the pots go.
    fn reinstate(&mut self, id: WorkerId, lease: LeaseId, effects: &mut impl Effects) {
        let Some(found) = self.refutations.remove(&id) else { return };
        let mut owed = found.forfeited.0;
        for pot in [Book::Audits, Book::Fees] {
            let part = owed.min(self.ledger.balance(pot).0);
            let reason = Reason::Amends(found.trial.job, found.trial.tile);
            self.transfer(pot, Book::Payable(id), Amount(part), reason, effects);
            owed -= part;
        }
        let worker = &mut self.roster[id];
        worker.refuted = false;
        worker.faults -= 1;
        worker.standing.regain(&found.clean);
        let device = worker.standing.device();
        let (engines, groups) = (worker.engines.clone(), worker.groups.clone());
        let works = worker.works();
        self.log(Fact::Reinstated { worker: id, lease }, effects);
        if works {
            self.roster.working.push(id);
            self.log(Fact::WorkerOnline { worker: id, device, engines, groups }, effects);
            // Served once the trial's liars are named: its slot must not be another lease's yet.
            self.roster.idle.insert(id);
            self.work_arrived = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_appeal_is_free() {
        assert_eq!(deposit_for(Price(1_000_000), 640), Amount(640));
        assert_eq!(deposit_for(Price(1_000_000), 0), Amount(1));
    }
}
