//! Stakes: an owner's own money behind its own worker, free only when nothing that the worker said
//! can turn out false any more, lost when it lied.

use super::{Books, Claim, Follows, demand};
use crate::entry::Book;
use crate::id::{JobId, WorkerId};
use crate::money::Amount;

impl Books {
    /// Neither side of a stake is another owner's.
    fn staked_by_owner(&mut self, account: Book, stake: Book) -> Result<WorkerId, &'static str> {
        let Book::Stake(worker) = stake else { return Err("the money is staked for no worker") };
        let found = self.worker(worker)?;
        demand(account == Book::Available(found.owner), "the worker is another account's")?;
        demand(!found.refuted, "the worker was refuted")?;
        Ok(worker)
    }

    pub(super) fn stakes(&mut self, debit: Book, credit: Book) -> Follows {
        self.staked_by_owner(debit, credit).map(|_| ())
    }

    pub(super) fn unstakes(&mut self, debit: Book, credit: Book, amount: Amount) -> Follows {
        let worker = self.staked_by_owner(credit, debit)?;
        demand(amount == self.ledger.balance(debit), "not all of the stake")?;
        let said = |claim: &Claim| claim.opinions.iter().any(|opinion| opinion.worker == worker);
        let open = self.slots.values().filter(|slot| !slot.judged);
        let mut open = open.filter_map(|slot| Some((slot, slot.claim.as_ref()?)));
        let claimed =
            open.any(|(slot, claim)| slot.worker == worker && !slot.review || said(claim));
        demand(!claimed, "a claim that it had a part in has no verdict yet")?;
        let mut earned = self.earned.values().filter(|earned| !earned.settled);
        let held =
            earned.any(|earned| earned.worker == worker || earned.claim.as_ref().is_some_and(said));
        let settled = |place| self.earned.get(place).is_some_and(|earned| earned.settled);
        let vouched = self.vouched.iter().filter(|(place, _)| !settled(place));
        let mut vouched = vouched.flat_map(|(_, vouches)| vouches);
        let held = held || vouched.any(|(auditor, ..)| *auditor == worker);
        demand(!held, "a tile that it computed or vouched for is not final")
    }

    pub(super) fn loses_stake(
        &mut self,
        tile: (JobId, u64),
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let Book::Stake(worker) = debit else { return Err("nothing is staked there") };
        let lied = self.worker(worker)?.refuted && self.appeals.lied_about(worker) == Some(tile);
        demand(lied, "the worker was not found lying about this tile")?;
        demand(credit == Book::Audits, "a lost stake goes to the pot for audits")?;
        demand(amount == self.ledger.balance(debit), "not all of the stake")?;
        self.appeals.forfeited(worker, amount);
        Ok(())
    }

    /// In the end no liar has a stake.
    pub(super) fn stakes_finish(&self) -> Follows {
        let kept = |(at, worker): (usize, &super::Worker)| {
            worker.refuted && self.ledger.balance(Book::Stake(WorkerId(at as u32))).0 > 0
        };
        let kept = self.workers.iter().enumerate().any(kept);
        demand(!kept, "a refuted worker's stake was not lost")
    }
}
