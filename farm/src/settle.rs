//! Settlement: verdicts become transfers. The one file where trials and money meet.

use crate::audit::{Answer, Claim};
use crate::chain::OwnPaid;
use crate::digest::Digest;
use crate::effect::{Effect, Effects};
use crate::entry::{Book, Cause, Extra, Reason};
use crate::farm::Farm;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::layout_struct;
use crate::lease::Role;
use crate::limit;
use crate::model::Royalty;
use crate::money::Amount;
use crate::time::Time;
use arrayvec::ArrayVec;
use std::collections::BTreeSet;

/// An accepted tile whose pay is held back until it is mature.
#[derive(Debug)]
pub struct HeldTile {
    pub job: JobId,
    pub tile: u64,
    pub units: u64,
    pub amount: Amount,
    pub royalty: Option<Royalty>,
    pub at: Time,
    pub output: Digest,
    pub root: Digest,
    /// The outputs that it was made of where an upstream feeds its job.
    pub inputs: Vec<Digest>,
    /// Those who vouched for it.
    pub auditors: ArrayVec<WorkerId, { limit::OPINIONS_MAX }>,
    /// It must be looked at again before its pay is final, or is being looked at.
    pub again: Option<Box<Doubt>>,
    /// Its worker had little to lose as it reported it: it is looked at again when there is more.
    pub unsecured: bool,
    /// It is final for its job; the amount is what is on probation.
    pub settled: bool,
}

/// Why and how far an accepted tile is looked at again.
#[derive(Debug)]
pub struct Doubt {
    pub cause: Cause,
    /// The claim as it was judged, where its question is asked again.
    pub claim: Option<Box<Claim>>,
    pub review: Option<LeaseId>,
}

/// An auditor's word about a whole tile, and what is held back for it.
#[derive(Debug)]
pub struct Vouch {
    pub auditor: WorkerId,
    /// What it said that the tile is.
    pub answer: Answer,
    pub amount: Amount,
}

layout_struct!(Vouch { auditor, answer, amount });
layout_struct!(HeldTile {
    job,
    tile,
    units,
    amount,
    royalty,
    at,
    output,
    root,
    inputs,
    auditors,
    again,
    unsecured,
    settled,
});
layout_struct!(Doubt { cause, claim, review });

impl HeldTile {
    pub fn new(
        (job, tile): (JobId, u64),
        (units, amount, royalty): (u64, Amount, Option<Royalty>),
        at: Time,
        claim: Option<Box<Claim>>,
    ) -> Self {
        let bound = claim.as_ref().map(|claim| (claim.output, claim.commitment.root));
        let (output, root) = bound.unwrap_or_default();
        let inputs = claim.as_ref().map_or_else(Vec::new, |claim| claim.inputs.clone());
        let auditors = claim.iter().flat_map(|claim| claim.vouched()).collect();
        let secured = |claim: &Claim| !claim.unsecured || claim.is_decided();
        let unsecured = !claim.as_deref().is_none_or(secured);
        let rings = |claim: &Claim| claim.extra == Extra::Ringer && !claim.unsecured;
        let rung = claim.filter(|claim| rings(claim)).map(|mut claim| {
            // Whoever said otherwise is out.
            claim.opinions.retain(|opinion| opinion.contrary.is_none());
            claim
        });
        let doubt = |claim| Doubt { cause: Cause::Ringer, claim: Some(claim), review: None };
        let again = rung.map(|claim| Box::new(doubt(claim)));
        let settled = false;
        Self {
            job,
            tile,
            units,
            amount,
            royalty,
            at,
            output,
            root,
            inputs,
            auditors,
            again,
            unsecured,
            settled,
        }
    }
}

impl Farm {
    /// Pays for an accepted tile: to a job's own worker at once and without a fee, to others into
    /// what is held back for them, and beside it the royalty of the model that it was made with.
    pub(crate) fn earn(&mut self, worker: WorkerId, held: HeldTile, effects: &mut impl Effects) {
        let HeldTile { job, tile, amount, royalty, .. } = held;
        let found = &self.jobs[job.0 as usize];
        let reason = Reason::Tile(job, tile);
        if self.roster[worker].owner == found.account && !found.audit_own {
            self.transfer(Book::Hold(job), Book::Payable(worker), amount, reason, effects);
            // What others had said of it nobody has compared.
            self.settle_vouches((job, tile), None, effects);
            if self.is_fed_for_good(job, tile) {
                return self.settle_tile(job, tile);
            }
            let paid = OwnPaid { worker, units: held.units, amount };
            self.jobs[job.0 as usize].own_paid.insert(tile, paid);
            return;
        }
        self.transfer(Book::Hold(job), Book::Held(worker), amount, reason, effects);
        if let Some(Royalty { owner, amount }) = royalty {
            let (from, to) = (Book::Hold(job), Book::RoyaltyHeld(owner));
            self.transfer(from, to, amount, Reason::Royalty(job, tile), effects);
        }
        self.roster[worker].unsecured += u32::from(held.unsecured);
        self.held[worker.0 as usize].push_back(held);
        self.mature(worker, effects);
    }

    /// The tile can no longer come back.
    pub(crate) fn settle_tile(&mut self, id: JobId, tile: u64) {
        self.settle_feed(id, tile);
        let job = &mut self.jobs[id.0 as usize];
        let (nth, _) = job.place(tile);
        if let Some(frame) = job.frames.get_mut(&nth) {
            frame.settled += 1;
            if frame.settled == job.tiles_per_frame {
                self.forget_settled(id, nth);
            }
        }
    }

    /// Makes tiles final for their jobs that enough later ones or enough time have proven, what is
    /// made of others' tiles not before these; and pays what leaves its worker enough to lose.
    pub(crate) fn mature(&mut self, worker: WorkerId, effects: &mut impl Effects) {
        while let Some(at) = self.held[worker.0 as usize].iter().position(|held| !held.settled) {
            let held = &self.held[worker.0 as usize][at];
            let late = held.at.after_ms(self.policy.maturity_ms) <= self.now;
            let later = self.held[worker.0 as usize].len() - at;
            let many = later > self.policy.maturity_tiles as usize;
            // What its worker has to lose by now is no matter of its job.
            let doubted = |doubt: &Doubt| doubt.cause != Cause::Unsecured;
            let doubted = held.again.as_deref().is_some_and(doubted);
            let stands = !doubted && self.is_fed_for_good(held.job, held.tile);
            if !(late || many) || !stands {
                break;
            }
            self.make_final(worker, at, effects);
        }
        self.release(worker, effects);
    }

    /// A tile is final for its job: the farm's fee is taken, a royalty is its owner's.
    fn make_final(&mut self, worker: WorkerId, at: usize, effects: &mut impl Effects) {
        let held = &self.held[worker.0 as usize][at];
        let HeldTile { job, tile, amount, royalty, unsecured, .. } = *held;
        if !unsecured && self.vouched.contains_key(&(job, tile)) {
            let answer = held.answer();
            self.settle_vouches((job, tile), Some(answer), effects);
        }
        let (fee, rest) = (amount.fee(), amount.after_fee());
        let pays = !unsecured && self.ledger.secures(worker, limit::BEHIND + 1, rest);
        let (to, reason) = match pays {
            true => (Book::Payable(worker), Reason::Maturity(job, tile)),
            false => (Book::Probation(worker), Reason::Probation(job, tile)),
        };
        self.transfer(Book::Held(worker), to, rest, reason, effects);
        self.transfer(Book::Held(worker), Book::Fees, fee, Reason::Fee(job, tile), effects);
        if let Some(Royalty { owner, amount }) = royalty {
            let (from, to) = (Book::RoyaltyHeld(owner), Book::Royalty(owner));
            self.transfer(from, to, amount, Reason::RoyaltyFinal(job, tile), effects);
        }
        self.round_fees.0 += fee.0;
        if pays {
            self.held[worker.0 as usize].remove(at);
        } else {
            let held = &mut self.held[worker.0 as usize][at];
            (held.settled, held.amount, held.royalty) = (true, rest, None);
        }
        self.settle_tile(job, tile);
    }

    /// A liar's tiles that are not final go back: the money to their jobs, the tiles to others. The
    /// pay of those that are is the farm's.
    pub(crate) fn forfeit(&mut self, worker: WorkerId, effects: &mut impl Effects) {
        let mut lost = 0;
        // One by one: as a tile goes back its job may end, and then the others are looked for.
        while let Some(held) = self.held[worker.0 as usize].pop_front() {
            lost += held.amount.0;
            match held.settled {
                true => self.lapse(worker, &held, effects),
                false => self.take_tile_back(worker, &held, effects),
            }
        }
        if let Some(refutation) = self.refutations.get_mut(&worker) {
            refutation.forfeited.0 += lost;
        }
    }

    fn take_tile_back(&mut self, worker: WorkerId, held: &HeldTile, effects: &mut impl Effects) {
        let HeldTile { job, tile, units, amount, royalty, .. } = *held;
        self.roster[worker].unsecured -= u32::from(held.unsecured);
        let reason = Reason::Forfeit(job, tile);
        self.transfer(Book::Held(worker), Book::Hold(job), amount, reason, effects);
        self.return_royalty((job, tile), royalty, effects);
        let found = &mut self.jobs[job.0 as usize];
        found.accepted -= 1;
        found.refuted += 1;
        found.units -= units;
        found.spent.0 -= amount.0;
        let (nth, _) = found.place(tile);
        if let Some(frame) = found.frames.get_mut(&nth) {
            frame.proven -= 1;
        }
        self.reopen(job, effects);
        self.withdraw(job, tile, effects);
        self.starve(job, tile, effects);
        effects.push(Effect::JobChanged { job });
    }

    /// The royalty of a tile that is taken back goes back to its job.
    pub(crate) fn return_royalty(
        &mut self,
        (job, tile): (JobId, u64),
        royalty: Option<Royalty>,
        effects: &mut impl Effects,
    ) {
        let Some(Royalty { owner, amount }) = royalty else { return };
        let (from, to) = (Book::RoyaltyHeld(owner), Book::Hold(job));
        self.transfer(from, to, amount, Reason::RoyaltyReturned(job, tile), effects);
        let found = &mut self.jobs[job.0 as usize];
        found.spent.0 -= amount.0;
        found.royalties.0 -= amount.0;
    }

    /// Pays the auditors of a claim whose opinion was the truth and who were not paid before. Who
    /// says what a whole tile is, is paid once the tile's pay is final, or that of the one that is
    /// computed in its place: until then it may turn out false, and nobody is to earn by forging
    /// what an accomplice vouches for, or by outvoting the honest with one.
    pub(crate) fn pay_auditors(
        &mut self,
        claim: &mut Claim,
        place: (JobId, u64),
        (truth, reviewed): (Option<&Answer>, bool),
        effects: &mut impl Effects,
    ) {
        let afresh = !reviewed && self.jobs[place.0.0 as usize].is_open();
        let held_back = claim.is_vouched_for() && (truth.is_none() || afresh);
        for opinion in &mut claim.opinions {
            if opinion.paid || opinion.contrary.as_ref() != truth {
                continue;
            }
            opinion.paid = true;
            let auditor = opinion.worker;
            let to = if held_back { Book::Held(auditor) } else { Book::Payable(auditor) };
            let amount = self.pay_auditor(to, place, claim.units_asked, effects);
            let answer = opinion.contrary.as_ref().or(claim.answer.as_ref());
            if let Some(answer) = answer.cloned().filter(|_| held_back && amount.0 > 0) {
                self.vouch(place, Vouch { auditor, answer, amount });
            }
        }
    }

    fn vouch(&mut self, place: (JobId, u64), vouch: Vouch) {
        let vouches = self.vouched.entry(place).or_default();
        let same =
            |other: &&mut Vouch| (other.auditor, &other.answer) == (vouch.auditor, &vouch.answer);
        match vouches.iter_mut().find(same) {
            Some(before) => before.amount.0 += vouch.amount.0,
            None => vouches.push(vouch),
        }
    }

    /// This is what the tile is for good, or, where there is none, nobody compared it with what
    /// others said. Those who had vouched for just this are paid what was held back.
    pub(crate) fn settle_vouches(
        &mut self,
        (job, tile): (JobId, u64),
        answer: Option<Answer>,
        effects: &mut impl Effects,
    ) {
        let Some(vouches) = self.vouched.remove(&(job, tile)) else { return };
        for vouch in vouches {
            let (to, reason) = match answer.as_ref() == Some(&vouch.answer) {
                true => (Book::Payable(vouch.auditor), Reason::Vouched(job, tile)),
                false => (Book::Audits, Reason::Unvouched(job, tile)),
            };
            self.transfer(Book::Held(vouch.auditor), to, vouch.amount, reason, effects);
        }
    }

    /// A liar's words about others' tiles are worth nothing; says what they would have been.
    pub(crate) fn lose_vouches(&mut self, liar: WorkerId, effects: &mut impl Effects) -> Amount {
        let mut lost = Vec::new();
        self.vouched.retain(|(job, tile), vouches| {
            for vouch in vouches.extract_if(.., |vouch| vouch.auditor == liar) {
                lost.push((Reason::Unvouched(*job, *tile), vouch.amount));
            }
            !vouches.is_empty()
        });
        let sum = lost.iter().map(|(_, amount)| amount.0).sum();
        for (reason, amount) in lost {
            self.transfer(Book::Held(liar), Book::Audits, amount, reason, effects);
        }
        Amount(sum)
    }

    /// A job ended before it was done: nobody computes again what had been vouched for and is
    /// neither claimed nor accepted.
    pub(crate) fn forget_vouches(&mut self, job: JobId, effects: &mut impl Effects) {
        let vouched = self.vouched.range((job, 0)..=(job, u64::MAX));
        let mut tiles: Vec<u64> = vouched.map(|((_, tile), _)| *tile).collect();
        if tiles.is_empty() {
            return;
        }
        let claims = self.leases.iter().map(|(_, lease)| lease);
        let claims = claims.filter(|lease| matches!(lease.role, Role::Claimed(_)));
        let claimed = claims.filter(|lease| lease.job == job).map(|lease| lease.tile);
        let held = self.held.iter().flatten().filter(|held| held.job == job);
        let open: BTreeSet<u64> = held.map(|held| held.tile).chain(claimed).collect();
        tiles.retain(|tile| !open.contains(tile));
        for tile in tiles {
            self.settle_vouches((job, tile), None, effects);
        }
    }

    /// Pays an auditor: the pot for audits first, then the fees, as far as they go.
    fn pay_auditor(
        &mut self,
        to: Book,
        (job, tile): (JobId, u64),
        units: u64,
        effects: &mut impl Effects,
    ) -> Amount {
        let due = self.jobs[job.0 as usize].price.of(units).0;
        let mut owed = due;
        for pot in [Book::Audits, Book::Fees] {
            let part = owed.min(self.ledger.balance(pot).0);
            self.transfer(pot, to, Amount(part), Reason::Audit(job, tile), effects);
            owed -= part;
        }
        Amount(due - owed)
    }
}
