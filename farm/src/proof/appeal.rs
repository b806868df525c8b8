//! Appeals: a deposit opens a review that an arbiter decides; it goes back to who was right, and
//! who was refuted for saying the truth is let in again, with amends.

use super::{Books, Claim, Follows, demand};
use crate::appeal::deposit_for;
use crate::audit::{self, Verdict};
use crate::digest::Digest;
use crate::entry::Book;
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::limit;
use crate::money::Amount;
use crate::standing::Lost;
use crate::time::Time;
use std::collections::BTreeMap;

/// A deposit, and what becomes of it.
#[derive(Debug)]
struct Deposit {
    account: AccountId,
    amount: Amount,
    tile: (JobId, u64),
    appellant: Option<WorkerId>,
    /// Whether it goes back, once that is known.
    upheld: Option<bool>,
}

/// A trial that found a worker lying.
#[derive(Debug)]
struct Refutation {
    trial: LeaseId,
    claimant: WorkerId,
    tile: (JobId, u64),
    claim: Claim,
    said: Option<Digest>,
    at: Time,
    clean: Lost,
    forfeited: u64,
    /// The review that found it had told the truth, and what it got of what it had forfeited.
    cleared: Option<(LeaseId, u64)>,
}

/// Deposits and refutations so far.
#[derive(Debug, Default)]
pub(super) struct Appeals {
    /// A deposit whose review is opened by the next entry.
    opening: Option<((JobId, u64), AccountId, Amount)>,
    deposits: BTreeMap<LeaseId, Deposit>,
    refutations: BTreeMap<WorkerId, Refutation>,
}

impl Appeals {
    /// What must hold when no more entries come.
    pub(super) fn finish(&self) -> Follows {
        demand(self.opening.is_none(), "a deposit was put down and no review was opened")?;
        let settled = self.deposits.values().all(|deposit| deposit.upheld.is_none());
        demand(settled, "a deposit was not settled after its review")?;
        let cleared = self.refutations.values().any(|found| found.cleared.is_some());
        demand(!cleared, "a worker that told the truth was not reinstated")
    }

    /// Whether this trial is being held again.
    fn is_retried(&self, trial: LeaseId) -> bool {
        let mut appellants = self.deposits.values().filter_map(|deposit| deposit.appellant);
        let of = |worker: &WorkerId| self.refutations.get(worker).map(|found| found.trial);
        appellants.any(|appellant| of(&appellant) == Some(trial))
    }

    /// Whether the review under this lease is a refuted worker's trial held again.
    pub(super) fn is_retrial(&self, lease: LeaseId) -> bool {
        self.deposits.get(&lease).is_some_and(|deposit| deposit.appellant.is_some())
    }

    pub(super) fn puts_down(
        &mut self,
        tile: (JobId, u64),
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let Book::Available(account) = debit else { return Err("no account put it down") };
        demand(credit == Book::Deposit(account), "it is put with another's")?;
        let before = self.opening.replace((tile, account, amount));
        demand(before.is_none(), "two deposits, one review")
    }

    /// A deposit goes back, or is kept for audits.
    pub(super) fn settles(
        &mut self,
        tile: (JobId, u64),
        debit: Book,
        credit: Book,
        amount: Amount,
        upheld: bool,
    ) -> Follows {
        let due = |deposit: &Deposit| deposit.tile == tile && deposit.upheld == Some(upheld);
        let found = self.deposits.iter().find(|(_, deposit)| due(deposit));
        let (lease, deposit) = found.ok_or("no deposit was to be settled like this")?;
        let to = if upheld { Book::Available(deposit.account) } else { Book::Audits };
        let from = Book::Deposit(deposit.account);
        demand((debit, credit) == (from, to), "the deposit is another's")?;
        demand(amount == deposit.amount, "not what was put down")?;
        let lease = *lease;
        self.deposits.remove(&lease);
        Ok(())
    }

    /// The review under this lease ends without a verdict.
    pub(super) fn dropped(&mut self, lease: LeaseId) {
        if let Some(deposit) = self.deposits.get_mut(&lease) {
            deposit.upheld = Some(true);
        }
    }

    /// The tile about which this refuted worker lied.
    pub(super) fn lied_about(&self, worker: WorkerId) -> Option<(JobId, u64)> {
        self.refutations.get(&worker).map(|found| found.tile)
    }

    pub(super) fn forfeited(&mut self, worker: WorkerId, amount: Amount) {
        if let Some(found) = self.refutations.get_mut(&worker) {
            found.forfeited = found.forfeited.saturating_add(amount.0);
        }
    }

    fn open(&mut self, lease: LeaseId, deposit: Deposit) -> Follows {
        let Deposit { account, amount, tile, .. } = deposit;
        let opening = self.opening.take();
        demand(opening == Some((tile, account, amount)), "the deposit is not what is due")?;
        self.deposits.insert(lease, deposit);
        Ok(())
    }
}

impl Books {
    /// The artist does not believe this tile of so many units.
    pub(super) fn disputed(&mut self, lease: LeaseId, tile: (JobId, u64), units: u64) -> Follows {
        let job = self.job(tile.0)?;
        let (account, amount) = (job.account, deposit_for(job.price, units));
        let (appellant, upheld) = (None, None);
        self.appeals.open(lease, Deposit { account, amount, tile, appellant, upheld })
    }

    /// A refuted worker's trial is held again; gives the claim as it was judged.
    pub(super) fn appealed(
        &mut self,
        lease: LeaseId,
        claimant: WorkerId,
        tile: (JobId, u64),
        appellant: WorkerId,
    ) -> Result<Claim, &'static str> {
        let account = self.worker(appellant)?.owner;
        let price = self.job(tile.0)?.price;
        let found = self.appeals.refutations.get(&appellant);
        let found = found.ok_or("who appeals was not refuted")?;
        demand((found.claimant, found.tile) == (claimant, tile), "the trial was another")?;
        let decided = found.claim.opinions.iter().any(|opinion| opinion.decides);
        demand(!decided, "an arbiter has decided this before")?;
        let late = self.now > found.at.after_ms(limit::APPEAL_MS);
        demand(!late, "the appeal is too late")?;
        let retried = self.appeals.is_retried(found.trial);
        demand(!retried, "the trial is being held again already")?;
        let mut claim = found.claim.clone();
        (claim.appealed, claim.asks, claim.drawn) = (true, 0, (u32::MAX, 0, 0));
        claim.auditors.clear();
        claim.silent.clear();
        let (amount, upheld) = (deposit_for(price, claim.asked), None);
        let appellant = Some(appellant);
        self.appeals.open(lease, Deposit { account, amount, tile, appellant, upheld })?;
        Ok(claim)
    }

    /// The trial that refuted a worker is kept, should it appeal.
    pub(super) fn remember_trial(
        &mut self,
        worker: WorkerId,
        (trial, claimant, tile): (LeaseId, WorkerId, (JobId, u64)),
        claim: Claim,
        clean: Lost,
    ) {
        let mut opinions = claim.opinions.iter();
        let said = opinions.find(|opinion| opinion.worker == worker);
        let said = said.and_then(|opinion| opinion.contrary);
        let (at, forfeited, cleared) = (self.now, 0, None);
        let found =
            Refutation { trial, claimant, tile, claim, said, at, clean, forfeited, cleared };
        self.appeals.refutations.insert(worker, found);
    }

    /// A review has its verdict: whose the deposit is follows, and who is to be reinstated.
    pub(super) fn appeal_judged(&mut self, lease: LeaseId) -> Follows {
        let claim = self.slot(lease)?.claim.clone().ok_or("nothing was claimed")?;
        let Verdict::Truth(truth) = audit::judge(&claim.opinions) else { return Ok(()) };
        let Appeals { deposits, refutations, .. } = &mut self.appeals;
        let Some(deposit) = deposits.get_mut(&lease) else { return Ok(()) };
        let Some(appellant) = deposit.appellant else {
            deposit.upheld = Some(truth.is_some());
            return Ok(());
        };
        let Some(found) = refutations.get(&appellant) else {
            deposit.upheld = Some(true);
            return Ok(());
        };
        deposit.upheld = Some(found.said == truth);
        let trial = found.trial;
        for found in refutations.values_mut().filter(|found| found.trial == trial) {
            found.claim.clone_from(&claim);
            if found.said == truth {
                found.cleared = Some((lease, 0));
            }
        }
        Ok(())
    }

    /// A worker wrongly refuted gets what it had forfeited, as far as the farm's pots go.
    pub(super) fn makes_amends(&mut self, debit: Book, credit: Book, amount: Amount) -> Follows {
        demand(matches!(debit, Book::Audits | Book::Fees), "amends are made by the farm")?;
        let rest = self.ledger.balance(Book::Audits);
        demand(debit == Book::Audits || rest.0 == 0, "fees pay only what the audits' pot cannot")?;
        let Book::Payable(worker) = credit else { return Err("amends are made to a worker") };
        let found = self.appeals.refutations.get_mut(&worker);
        let found = found.ok_or("the worker was not refuted")?;
        let (_, paid) = found.cleared.as_mut().ok_or("the worker was not cleared")?;
        let most = (found.forfeited - *paid).min(self.ledger.balance(debit).0);
        demand(amount.0 == most, "not what the worker had forfeited")?;
        *paid += amount.0;
        Ok(())
    }

    pub(super) fn reinstated(&mut self, worker: WorkerId, lease: LeaseId) -> Follows {
        let found = self.appeals.refutations.remove(&worker);
        let found = found.ok_or("the worker was not refuted")?;
        let (review, paid) = found.cleared.ok_or("the worker was not cleared")?;
        demand(review == lease, "another review cleared the worker")?;
        let empty = [Book::Audits, Book::Fees].iter().all(|pot| self.ledger.balance(*pot).0 == 0);
        demand(empty || paid == found.forfeited, "what the worker had forfeited was not paid")?;
        let worker = self.worker(worker)?;
        worker.refuted = false;
        worker.standing.regain(&found.clean);
        Ok(())
    }
}
