//! Transfers: each moves what a verdict, a maturity or an order owes, no more and no less.

use super::{Books, Claim, Earned, Follows, Owed, Slot, Vouch, demand};
use crate::entry::{Book, Cause, Extra, Reason};
use crate::id::JobId;
use crate::money::Amount;
use crate::view::JobState;

impl Books {
    pub(super) fn transfer(
        &mut self,
        debit: Book,
        credit: Book,
        amount: Amount,
        reason: Reason,
    ) -> Follows {
        let has = self.ledger.balance(debit) >= amount;
        demand(debit == Book::Outside || has, "the debited book has less than that")?;
        demand(amount.0 > 0 && amount.0 <= crate::money::AMOUNT_MAX, "the amount is no amount")?;
        match reason {
            Reason::TopUp => tops_up(debit, credit)?,
            Reason::Submit(job) => self.submits(job, debit, credit, amount)?,
            Reason::Tile(job, tile) => self.pays_tile(job, tile, debit, credit, amount)?,
            Reason::Maturity(job, tile) => {
                self.matures((job, tile), (debit, credit), amount, Book::Payable)?;
            }
            Reason::Probation(job, tile) => {
                self.matures((job, tile), (debit, credit), amount, Book::Probation)?;
            }
            Reason::Released(job, tile) => self.releases((job, tile), debit, credit, amount)?,
            Reason::Lapsed(job, tile) => self.lapses((job, tile), debit, credit, amount)?,
            Reason::Outdated(job, _) => self.takes_back(job, debit, credit, amount)?,
            Reason::Spoilt(job, tile) => self.spoilt((job, tile), debit, credit, amount)?,
            Reason::Fee(job, tile) => self.takes_fee((job, tile), debit, credit, amount)?,
            Reason::Audit(job, tile) => self.pays_auditor(job, tile, debit, credit, amount)?,
            Reason::Vouched(job, tile) => {
                self.settles_vouch((job, tile), debit, credit, amount, true)?;
            }
            Reason::Unvouched(job, tile) => {
                self.settles_vouch((job, tile), debit, credit, amount, false)?;
            }
            Reason::Forfeit(job, tile) => self.forfeits(job, tile, debit, credit, amount)?,
            Reason::Refund(job) => self.refunds(job, debit, credit, amount)?,
            Reason::Reopen(job) => self.holds_again(job, debit, credit, amount)?,
            Reason::Deposit(job, tile) => {
                self.appeals.puts_down((job, tile), debit, credit, amount)?;
            }
            Reason::Returned(job, tile) => {
                self.appeals.settles((job, tile), debit, credit, amount, true)?;
            }
            Reason::Kept(job, tile) => {
                self.appeals.settles((job, tile), debit, credit, amount, false)?;
            }
            Reason::Staked => self.stakes(debit, credit)?,
            Reason::Unstaked => self.unstakes(debit, credit, amount)?,
            Reason::StakeLost(job, tile) => self.loses_stake((job, tile), debit, credit, amount)?,
            Reason::Bonded => self.bonds(debit, credit, amount)?,
            Reason::Unbonded => self.unbonds(debit, credit, amount)?,
            Reason::Scored(round) => self.pays_validator(round, debit, credit, amount)?,
            Reason::Amends(..) => self.makes_amends(debit, credit, amount)?,
            // Due to the last micro-credit since the entry before.
            Reason::Royalty(..) | Reason::RoyaltyFinal(..) | Reason::RoyaltyReturned(..) => {}
        }
        self.books.extend([debit, credit]);
        self.ledger.post(debit, credit, amount);
        Ok(())
    }

    fn submits(&mut self, job: JobId, debit: Book, credit: Book, amount: Amount) -> Follows {
        demand(job.0 as usize == self.jobs.len(), "jobs are numbered in order")?;
        demand(credit == Book::Hold(job), "the cap is not held for the job")?;
        let Book::Available(account) = debit else { return Err("the cap comes from no account") };
        demand(self.opening.replace((job, account, amount)).is_none(), "two holds, one job")
    }

    fn pays_tile(
        &mut self,
        job: JobId,
        tile: u64,
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let owed = self.owed.remove(&(job, tile)).ok_or("no verdict owes this")?;
        let Owed { to, worker, amount: price, royalty, lease } = owed;
        demand(debit == Book::Hold(job), "a tile is paid from its job's hold")?;
        demand(credit == to, "the tile is another worker's")?;
        demand(amount == price, "not price times work units")?;
        let found = self.job(job)?;
        found.spent += amount.0;
        demand(found.spent <= found.cap.0, "more than the job's cap")?;
        if to == Book::Held(worker) {
            let claim = self.slot(lease)?.claim.clone();
            let rings = |claim: &Claim| claim.extra == Extra::Ringer && !claim.unsecured;
            let rung = claim.as_ref().is_some_and(rings);
            let due = rung.then_some(Cause::Ringer);
            let answer = claim.as_ref().map(Claim::to_whole);
            let (matured, looked, settled) = (false, false, false);
            let secured = |claim: &Claim| !claim.unsecured || claim.is_decided();
            let unsecured = !claim.as_ref().is_none_or(secured);
            let earned = Earned {
                worker,
                amount,
                royalty,
                answer,
                matured,
                claim,
                due,
                unsecured,
                looked,
                settled,
            };
            self.earned.insert((job, tile), earned);
        }
        self.royalty_earned((job, tile), royalty)
    }

    fn pays_auditor(
        &mut self,
        job: JobId,
        tile: u64,
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        demand(matches!(debit, Book::Audits | Book::Fees), "audits are paid by the farm")?;
        let rest = self.ledger.balance(Book::Audits);
        demand(debit == Book::Audits || rest.0 == 0, "fees pay only what the audits' pot cannot")?;
        let found = self.job(job)?;
        let (price, open) = (found.price, found.ended.is_none());
        let (Book::Payable(auditor) | Book::Held(auditor)) = credit else {
            return Err("an audit is paid to its auditor");
        };
        let claims = self.claims.range((job, tile, 0)..=(job, tile, u32::MAX));
        // All are waited for: no verdict follows before that.
        let due = |claim: &Claim| claim.auditors.is_empty() && claim.owes(auditor);
        let owes = |slot: &Slot| slot.claim.as_ref().is_some_and(due);
        let slot =
            claims.map(|(_, _, slot)| *slot).find(|slot| self.slots.get(slot).is_some_and(owes));
        let slot = slot.and_then(|slot| self.slots.get_mut(&slot));
        let afresh = slot.as_ref().is_some_and(|slot| open && !slot.review);
        let claim = slot.and_then(|slot| slot.claim.as_mut());
        let claim = claim.ok_or("the paid worker did not say the truth about it")?;
        let paid = claim.paid.entry(auditor).or_default();
        let due = price.of(claim.asked).0.saturating_sub(*paid);
        let most = due.min(self.ledger.balance(debit).0);
        demand(amount.0 == most, "not price times the question's work units")?;
        *paid += amount.0;
        let vouches = claim.is_vouched_for(afresh);
        let to = if vouches { Book::Held(auditor) } else { Book::Payable(auditor) };
        demand(credit == to, "who vouches for a whole tile is paid once that is final")?;
        let mut opinions = claim.opinions.iter();
        let said = opinions.find(|opinion| opinion.worker == auditor);
        let said = said.and_then(|opinion| opinion.contrary).or(claim.answer);
        if let Some(answer) = said.filter(|_| vouches) {
            let by = self.vouched.entry((job, tile)).or_default();
            let same = |(worker, said, _): &&mut Vouch| (*worker, *said) == (auditor, answer);
            match by.iter_mut().find(same) {
                Some((.., before)) => *before += amount.0,
                None => by.push((auditor, answer, amount.0)),
            }
        }
        Ok(())
    }

    /// What a tile is is final: who had vouched for that is paid, what others said is not.
    fn settles_vouch(
        &mut self,
        place: (JobId, u64),
        debit: Book,
        credit: Book,
        amount: Amount,
        true_: bool,
    ) -> Follows {
        let Book::Held(auditor) = debit else { return Err("nothing is held back there") };
        let refuted = self.worker(auditor)?.refuted;
        demand(!refuted || !true_, "a refuted worker's word is paid")?;
        let to = if true_ { Book::Payable(auditor) } else { Book::Audits };
        demand(credit == to, "it goes to its auditor or back to the pot")?;
        let job = self.jobs.get(place.0.0 as usize).ok_or("it names no job")?;
        let accepted = job.accepted.contains(&place.1);
        demand(accepted || refuted || job.ended.is_some() && !true_, "the tile is not final")?;
        let earned = self.earned.get(&place);
        let looked = earned.is_none_or(|earned| !earned.unsecured);
        // An outdated tile nobody looks at any more.
        let looked = looked || refuted || self.has_changed(place);
        demand(looked, "what was vouched for it is settled, and it is to be looked at again")?;
        let stands = earned.and_then(|earned| earned.answer);
        let vouched = self.vouched.get_mut(&place).ok_or("nobody had vouched for it")?;
        let due = |(worker, said, held): &Vouch| {
            let right = refuted || (stands == Some(*said)) == true_;
            (*worker, *held) == (auditor, amount.0) && right
        };
        let found = vouched.iter().position(due);
        vouched.remove(found.ok_or("not what is held back for it")?);
        if vouched.is_empty() {
            self.vouched.remove(&place);
        }
        if refuted {
            self.appeals.forfeited(auditor, amount);
        }
        Ok(())
    }

    /// In the end nothing is held back for tiles that nobody computes again, nor for liars' words.
    pub(super) fn vouches_finish(&self) -> Follows {
        let over = |(job, tile): &(JobId, u64)| {
            let found = &self.jobs[job.0 as usize];
            let ended = found.ended.is_some_and(|state| state != JobState::Done as u8);
            let mut claims = self.claims.range((*job, *tile, 0)..=(*job, *tile, u32::MAX));
            let accepted = found.accepted.contains(tile);
            let paid = accepted && !self.earned.contains_key(&(*job, *tile));
            paid || ended && !accepted && claims.next().is_none()
        };
        let liar = |(auditor, ..): &Vouch| self.workers[auditor.0 as usize].refuted;
        let trusted = !self.vouched.values().flatten().any(liar);
        demand(trusted, "what a refuted worker had vouched for is held back for it still")?;
        let kept = self.vouched.keys().any(over);
        demand(!kept, "what auditors were to get for a tile that is over is held back still")
    }

    fn refunds(&mut self, job: JobId, debit: Book, credit: Book, amount: Amount) -> Follows {
        let hold = self.ledger.balance(Book::Hold(job));
        let found = self.jobs.get(job.0 as usize).ok_or("it names a job that was not opened")?;
        demand(found.ended.is_some(), "the job has not ended")?;
        let books = (Book::Hold(job), Book::Available(found.account));
        demand((debit, credit) == books, "a refund goes to the job's account")?;
        demand(
            amount.0 >= hold.0.saturating_sub(self.claimed(job)),
            "less than what no claim needs",
        )
    }

    /// A job that goes on holds again what it may still cost.
    fn holds_again(&mut self, job: JobId, debit: Book, credit: Book, amount: Amount) -> Follows {
        let due = self.still_holds(job, self.ledger.balance(Book::Hold(job)).0)?;
        let books = (Book::Available(self.job(job)?.account), Book::Hold(job));
        demand((debit, credit) == books, "the job's account holds it")?;
        demand(amount.0 == due, "not what the job may still cost")
    }

    /// What an open job with so much on hold may cost beyond it, as far as its account goes.
    fn still_holds(&self, job: JobId, hold: u64) -> Result<u64, &'static str> {
        let found = self.jobs.get(job.0 as usize).ok_or("it names a job that was not opened")?;
        let left = found.cap.0.saturating_sub(found.spent).saturating_sub(hold);
        Ok(left.min(self.ledger.balance(Book::Available(found.account)).0))
    }

    /// The most that a job's claims without a verdict can cost.
    pub(super) fn claimed(&self, job: JobId) -> u64 {
        let found = &self.jobs[job.0 as usize];
        let claims = self.claims.range((job, 0, 0)..=(job, u64::MAX, u32::MAX));
        let slots = claims.filter_map(|(_, _, slot)| self.slots.get(slot));
        let slots = slots.filter(|slot| !slot.review);
        let claims = slots.filter_map(|slot| slot.claim.as_ref());
        claims.map(|claim| found.cost_of(claim.units)).sum()
    }

    fn forfeits(
        &mut self,
        job: JobId,
        tile: u64,
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let earned = self.earned.remove(&(job, tile)).ok_or("the tile earned nothing")?;
        let refuted = self.worker(earned.worker)?.refuted;
        demand(refuted, "only a refuted worker forfeits")?;
        let books = (Book::Held(earned.worker), Book::Hold(job));
        demand((debit, credit) == books, "a forfeit goes back to its job")?;
        let open = !earned.matured && !earned.settled;
        demand(amount == earned.amount && open, "not what the tile earned")?;
        self.appeals.forfeited(earned.worker, amount);
        self.job(job)?.accepted.remove(&tile);
        self.chains.settled(job, tile);
        self.gives_back((job, tile), amount, earned.royalty)
    }

    /// What a tile was paid, and then its royalty, is on hold again; a job that was done goes on.
    pub(super) fn gives_back(
        &mut self,
        (job, tile): (JobId, u64),
        amount: Amount,
        royalty: u64,
    ) -> Follows {
        self.royalty_returns((job, tile), royalty);
        let back = amount.0.saturating_add(royalty);
        let found = self.job(job)?;
        found.spent = found.spent.saturating_sub(back);
        let done = found.ended == Some(JobState::Done as u8);
        if done {
            found.ended = None;
            let hold = self.ledger.balance(Book::Hold(job)).0.saturating_add(back);
            self.reopening = Some(job).filter(|_| self.still_holds(job, hold) != Ok(0));
        }
        Ok(())
    }
}

fn tops_up(debit: Book, credit: Book) -> Follows {
    let into = matches!(credit, Book::Available(_) | Book::Audits);
    demand(debit == Book::Outside && into, "a top-up comes from outside")
}
