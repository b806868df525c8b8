//! Probation: what a worker has to lose. A tile is final for its job by number or by time; its pay
//! is the worker's own only while it leaves enough to lose behind, and of who had too little as it
//! reported a tile, once that was looked at again. Knows nothing of what a tile is.

use crate::effect::Effects;
use crate::entry::{Book, Cause, Reason};
use crate::farm::Farm;
use crate::id::{JobId, WorkerId};
use crate::ledger::Ledger;
use crate::limit;
use crate::money::Amount;
use crate::settle::{Doubt, HeldTile};

impl Ledger {
    /// What a worker loses if it is found lying.
    pub(crate) fn at_risk(&self, worker: WorkerId) -> Amount {
        let books = [Book::Held(worker), Book::Probation(worker), Book::Stake(worker)];
        Amount(books.map(|book| self.balance(book).0).iter().sum())
    }

    /// Whether it would lose so many times this amount.
    pub(crate) fn secures(&self, worker: WorkerId, times: u64, amount: Amount) -> bool {
        self.at_risk(worker).0 >= amount.0.saturating_mul(times)
    }
}

impl HeldTile {
    /// What its worker gets for it in the end.
    fn pay(&self) -> Amount {
        if self.settled { self.amount } else { self.amount.after_fee() }
    }
}

impl Farm {
    /// Whether the worker has too little to lose for its word about so many units to be believed as
    /// its standing says. Nobody but its own account looks at what is private.
    pub(crate) fn is_unsecured(&self, worker: WorkerId, job: JobId, units: u64) -> bool {
        let job = &self.jobs[job.0 as usize];
        !job.private
            && !self.ledger.secures(worker, limit::SECURED, job.price.of(units).after_fee())
    }

    /// Puts what was reported with little to lose before other auditors, once there is more.
    pub(crate) fn look_again(&mut self, worker: WorkerId, effects: &mut impl Effects) {
        let mut at = 0;
        while self.roster[worker].unsecured > 0 {
            let Some(held) = self.held[worker.0 as usize].get_mut(at) else { break };
            let due = held.unsecured && held.again.is_none();
            if due && self.ledger.secures(worker, limit::BEHIND, held.pay()) {
                let mut claim = held.as_claim();
                claim.before.extend(&held.auditors);
                let (cause, claim, place) = (Cause::Unsecured, Some(claim), (held.job, held.tile));
                held.again = Some(Box::new(Doubt { cause, claim, review: None }));
                self.review(worker, place, effects);
            }
            at += 1;
        }
    }

    /// Pays what is on probation, as far as that leaves enough to lose. Who has left is paid all of
    /// it, but nothing for what nobody looked at again.
    pub(crate) fn release(&mut self, worker: WorkerId, effects: &mut impl Effects) {
        let settled = |held: &&HeldTile| held.settled;
        if self.held[worker.0 as usize].front().filter(settled).is_none() {
            return;
        }
        let left = self.roster[worker].bound.after_ms(limit::LEFT_MS) <= self.now;
        let mut at = 0;
        while let Some(held) = self.held[worker.0 as usize].get(at).filter(settled) {
            let pays =
                !held.unsecured && self.ledger.secures(worker, limit::BEHIND + 1, held.pay());
            let due = left || pays;
            if !due || held.again.is_some() {
                at += 1;
                continue;
            }
            let Some(held) = self.held[worker.0 as usize].remove(at) else { break };
            if held.unsecured {
                self.lapse(worker, &held, effects);
                continue;
            }
            let (from, to) = (Book::Probation(worker), Book::Payable(worker));
            let reason = Reason::Released(held.job, held.tile);
            self.transfer(from, to, held.amount, reason, effects);
        }
    }

    /// The pay of a tile that is final for its job goes to the pot for audits, and with it what is
    /// held back for those who vouched for it, if nobody looked at it again.
    pub(crate) fn lapse(&mut self, worker: WorkerId, held: &HeldTile, effects: &mut impl Effects) {
        let HeldTile { job, tile, amount, .. } = *held;
        self.roster[worker].unsecured -= u32::from(held.unsecured);
        let reason = Reason::Lapsed(job, tile);
        self.transfer(Book::Probation(worker), Book::Audits, amount, reason, effects);
        self.settle_vouches((job, tile), None, effects);
    }
}
