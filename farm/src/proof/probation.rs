//! Probation: what is final for its job is its worker's own only while that has enough to lose, and
//! what it reported with little to lose only once others have looked at it again.

use super::{Books, Claim, Earned, Follows, demand};
use crate::entry::Book;
use crate::id::{JobId, WorkerId};
use crate::limit;
use crate::money::Amount;

impl Books {
    /// What a tile earned is its worker's, or on probation, but for the farm's share.
    pub(super) fn matures(
        &mut self,
        (job, tile): (JobId, u64),
        (debit, credit): (Book, Book),
        amount: Amount,
        to: fn(WorkerId) -> Book,
    ) -> Follows {
        let open = self.may_change(job, tile);
        let earned = self.earned.get(&(job, tile)).ok_or("the tile earned nothing")?;
        let books = (Book::Held(earned.worker), to(earned.worker));
        let rest = earned.amount.after_fee();
        demand((debit, credit) == books, "the tile is another worker's")?;
        let first = !earned.matured && !earned.settled;
        demand(first && amount == rest, "not what is left of its pay")?;
        let stands = earned.claim.is_some() || earned.looked;
        demand(stands, "the tile is being looked at again")?;
        demand(earned.due.is_none(), "the tile was to be looked at again")?;
        demand(!open, "what the tile is made of may still change")?;
        let vouched = !earned.unsecured && self.vouched.contains_key(&(job, tile));
        demand(!vouched, "who had vouched for the tile was not paid before")?;
        let probation = matches!(credit, Book::Probation(_));
        let risks = self.ledger.secures(earned.worker, limit::BEHIND + 1, rest);
        demand(probation || !earned.unsecured, "nobody has looked at the tile again")?;
        demand(probation || risks, "it leaves the worker too little to lose")?;
        demand(
            !probation || earned.unsecured || !risks,
            "the worker has enough to lose without it",
        )?;
        self.chains.settled(job, tile);
        let none = earned.amount.fee().0 == 0;
        if let Some(earned) = self.earned.get_mut(&(job, tile)) {
            (earned.matured, earned.settled) = (true, probation);
        }
        if none { self.fee_taken((job, tile)) } else { Ok(()) }
    }

    pub(super) fn takes_fee(
        &mut self,
        (job, tile): (JobId, u64),
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let earned = self.earned.get(&(job, tile)).ok_or("the tile earned nothing")?;
        let books = (Book::Held(earned.worker), Book::Fees);
        demand((debit, credit) == books, "a fee is taken from what was held back")?;
        demand(earned.matured && amount == earned.amount.fee(), "not the farm's share")?;
        self.rounds.fees.0 += amount.0;
        self.fee_taken((job, tile))
    }

    /// All is said of a tile that is final for its job, unless its pay is on probation.
    fn fee_taken(&mut self, (job, tile): (JobId, u64)) -> Follows {
        let earned = self.earned.get_mut(&(job, tile)).ok_or("the tile earned nothing")?;
        let royalty = std::mem::take(&mut earned.royalty);
        earned.matured = false;
        earned.amount = earned.amount.after_fee();
        if !earned.settled {
            self.earned.remove(&(job, tile));
        }
        self.royalty_final((job, tile), royalty);
        Ok(())
    }

    /// What is on probation for a tile, and is no one's yet.
    fn on_probation(
        &mut self,
        tile: (JobId, u64),
        debit: Book,
        amount: Amount,
    ) -> Result<Earned, &'static str> {
        let earned = self.earned.remove(&tile).ok_or("the tile earned nothing")?;
        let books = debit == Book::Probation(earned.worker);
        let whole = earned.settled && !earned.matured && amount == earned.amount;
        demand(books && whole, "not what is on probation for the tile")?;
        Ok(earned)
    }

    /// Whether a worker has said nothing for so long that it has left.
    fn has_left(&self, worker: WorkerId) -> bool {
        self.workers[worker.0 as usize].spoke.after_ms(limit::LEFT_MS) <= self.now
    }

    pub(super) fn releases(
        &mut self,
        tile: (JobId, u64),
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let earned = self.on_probation(tile, debit, amount)?;
        demand(credit == Book::Payable(earned.worker), "the tile is another worker's")?;
        demand(!earned.unsecured, "nobody has looked at the tile again")?;
        let still = earned.claim.is_some() && earned.due.is_none();
        demand(still, "the tile is being looked at again")?;
        let risks = self.ledger.secures(earned.worker, limit::BEHIND + 1, amount);
        let enough = risks || self.has_left(earned.worker);
        demand(enough, "it leaves the worker too little to lose")?;
        let vouched = self.vouched.contains_key(&tile);
        demand(!vouched, "who had vouched for the tile was not paid before")
    }

    pub(super) fn lapses(
        &mut self,
        tile: (JobId, u64),
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let earned = self.on_probation(tile, debit, amount)?;
        demand(credit == Book::Audits, "what lapses goes to the pot for audits")?;
        let still = earned.claim.is_some() && earned.due.is_none();
        let left = earned.unsecured && still && self.has_left(earned.worker);
        let refuted = self.worker(earned.worker)?.refuted;
        demand(left || refuted, "the worker has neither lied nor left")?;
        if refuted {
            self.appeals.forfeited(earned.worker, amount);
        }
        Ok(())
    }

    /// An accepted tile is looked at once more, for its worker has enough to lose by now: by others
    /// than had vouched for it.
    pub(super) fn looks_again(&mut self, tile: (JobId, u64), claim: &mut Claim) -> Follows {
        let earned = self.earned.get_mut(&tile).ok_or("the tile earned nothing")?;
        demand(earned.unsecured, "its worker had enough to lose as it committed to it")?;
        let pay = if earned.settled { earned.amount } else { earned.amount.after_fee() };
        let risks = self.ledger.secures(earned.worker, limit::BEHIND, pay);
        demand(risks, "it is looked at while its worker has little to lose")?;
        earned.looked = true;
        let agreed = claim.opinions.iter().filter(|opinion| opinion.contrary.is_none());
        claim.before = agreed.map(|opinion| opinion.worker).collect();
        Ok(())
    }

    /// A review's verdict: the claim stands as it was judged.
    pub(super) fn looked_at(
        &mut self,
        tile: (JobId, u64),
        mut claim: Claim,
        accepted: bool,
    ) -> Follows {
        let earned = self.earned.get_mut(&tile).ok_or("the tile earned nothing")?;
        if accepted && (earned.looked || claim.is_decided()) {
            earned.unsecured = false;
        }
        claim.before.clear();
        (earned.looked, earned.claim) = (false, Some(claim));
        Ok(())
    }

    /// A review ended without a verdict: nobody vouches for the tile any more.
    pub(super) fn not_looked_at(&mut self, tile: (JobId, u64), mut claim: Claim) {
        claim.opinions.clear();
        claim.before.clear();
        if let Some(earned) = self.earned.get_mut(&tile) {
            (earned.looked, earned.claim) = (false, Some(claim));
        }
    }
}
