//! Trials: what is asked and who is asked follow from the epoch's secret and from who was there;
//! verdicts follow from opinions; what a liar had vouched for is looked at again.

use super::{Asked, Books, Claim, Drawn, Follows, Lie, Owed, Slot, Worker, demand};
use crate::audit::{self, Fit, Lot, Opinion, Verdict};
use crate::digest::Digest;
use crate::entry::{Book, Cause, Extra, Tried};
use crate::farm::Secret;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::leaf::Indices;
use crate::limit;

impl Worker {
    fn is_kin(&self, other: &Worker) -> bool {
        let common = self.groups.iter().any(|group| other.groups.contains(group));
        self.owner == other.owner || common && !(self.arbiter || other.arbiter)
    }
}

impl Books {
    pub(super) fn online(
        &mut self,
        worker: WorkerId,
        device: Digest,
        (engines, groups): (&[Digest], &[Digest]),
    ) -> Follows {
        let found = self.worker(worker)?;
        demand(!found.refuted, "a refuted worker is not let in")?;
        found.standing.offers(device, engines);
        (found.engines, found.groups) = (engines.to_vec(), groups.to_vec());
        if !self.working.contains(&worker) {
            self.working.push(worker);
        }
        Ok(())
    }

    /// A worker takes no more leases: what it was drawn for asks somebody else.
    pub(super) fn offline(&mut self, worker: WorkerId) -> Follows {
        let queued = std::mem::take(&mut self.worker(worker)?.queued);
        self.working.retain(|other| *other != worker);
        for lease in queued {
            let claim = self.slot(lease)?.claim.as_mut().ok_or("nothing was claimed")?;
            claim.auditors.retain(|auditor| *auditor != worker);
        }
        Ok(())
    }

    /// A claim ends without a verdict.
    pub(super) fn dropped(&mut self, lease: LeaseId) -> Follows {
        let slot = self.slot(lease)?;
        let mut claim = slot.claim.take().filter(|_| !slot.judged).ok_or("there was no claim")?;
        let (place, review) = ((slot.job, slot.tile, lease.slot), slot.review);
        self.claims.remove(&place);
        let retrial = self.appeals.is_retrial(lease);
        self.appeals.dropped(lease);
        for auditor in std::mem::take(&mut claim.auditors) {
            self.worker(auditor)?.queued.remove(&lease);
        }
        if review && !retrial {
            self.not_looked_at((place.0, place.1), claim);
        }
        Ok(())
    }

    pub(super) fn audit_drawn(
        &mut self,
        lease: LeaseId,
        epoch: u32,
        (clean, count): (u64, u32),
        leaves: &Indices,
        extra: Extra,
    ) -> Follows {
        let entry = self.next;
        let slot = self.slot(lease)?;
        let claim = slot.claim.as_mut().ok_or("nothing was committed to under this lease")?;
        (claim.drawn, claim.extra) = ((epoch, clean, count), extra);
        claim.whole = leaves.is_empty();
        let (root, units, worker, job) = (claim.root, claim.units, slot.worker, slot.job);
        let found = self.job(job)?;
        let (engine, price, private) = (found.engine, found.price, found.private);
        let unsecured =
            !private && !self.ledger.secures(worker, limit::SECURED, price.of(units).after_fee());
        if let Some(claim) = self.slot(lease)?.claim.as_mut() {
            claim.unsecured = unsecured;
        }
        let clean_tiles = self.worker(worker)?.standing.clean(&engine);
        let known = if unsecured { 0 } else { clean_tiles };
        demand(clean == known, "the worker's clean tiles are counted wrongly")?;
        self.in_epoch(epoch)?;
        if epoch > 0 {
            let leaves = leaves.clone();
            self.drawn.push(Drawn { entry, lease, root, clean, count, leaves, extra });
        }
        Ok(())
    }

    fn in_epoch(&self, epoch: u32) -> Follows {
        let current = self.secret.map_or(epoch == 0, |(current, _)| current == epoch);
        demand(current, "the draw is of another epoch")
    }

    /// How well a worker fits as a claim's auditor; it is the farm's rule, told again.
    fn fit(&self, id: WorkerId, slot: &Slot, claim: &Claim) -> Fit {
        let of = |id: &WorkerId| &self.workers[id.0 as usize];
        let (worker, claimant) = (of(&id), of(&slot.worker));
        let job = &self.jobs[slot.job.0 as usize];
        let heard = || claim.opinions.iter().map(|opinion| &opinion.worker);
        let mut others = heard().chain(&claim.auditors).chain(&claim.before);
        let lately = |(owner, at): &(_, crate::time::Time)| {
            *owner == worker.owner && self.now < at.after_ms(limit::AUDIT_AGAIN_MS)
        };
        let able = id != slot.worker
            && !worker.refuted
            && worker.queued.len() < limit::AUDITS_WAITING_MAX
            && worker.engines.contains(&job.engine)
            && self.may_compute(id, job)
            && (worker.arbiter || !claim.appealed)
            && !others.clone().any(|other| *other == id);
        let strange = match job.private {
            true => worker.owner == job.account,
            false => {
                !worker.is_kin(claimant)
                    && !others.any(|other| worker.is_kin(of(other)))
                    && !claim.silent.iter().any(lately)
            }
        };
        match able && strange {
            false => Fit::No,
            true => Fit::of(!claimant.auditors.contains(&id), worker.warm.contains(&job.scene)),
        }
    }

    /// The auditor is the best of those drawn, or the first that may audit at all; where opinions
    /// differ, of the arbiters.
    pub(super) fn auditor_drawn(
        &mut self,
        lease: LeaseId,
        (epoch, ask): (u32, u32),
        auditor: WorkerId,
        tried: &Tried,
    ) -> Follows {
        self.in_epoch(epoch)?;
        let entry = self.next;
        let slot = self.slots.get(&lease.slot).filter(|slot| slot.epoch == lease.epoch);
        let slot = slot.ok_or("it names a lease that is not the latest of its slot")?;
        let claim = slot.claim.as_ref().filter(|_| !slot.judged).ok_or("nothing was claimed")?;
        demand(claim.asks == ask, "the draw is not the claim's next")?;
        let count = self.working.len() as u32;
        demand(tried.iter().all(|place| *place < count), "a place that is nobody's was drawn")?;
        let fit = |place: u32| self.fit(self.working[place as usize], slot, claim);
        let is_arbiter = |place: u32| self.workers[self.working[place as usize].0 as usize].arbiter;
        let decides = self.workers.get(auditor.0 as usize).is_some_and(|worker| worker.arbiter);
        let appointed = claim.is_contested() && decides;
        let last = tried.last().copied();
        let last = last.filter(|place| !appointed || is_arbiter(*place)).map_or(Fit::No, fit);
        let whole = last == Fit::FreshWarm || tried.len() == limit::AUDITOR_DRAWS;
        demand(whole, "it was not drawn on until somebody fitted")?;
        let places = || tried.iter().copied();
        let chosen = audit::appoint(places, count, claim.is_contested(), is_arbiter, fit);
        let chosen = chosen.filter(|(_, looked)| looked == tried).map(|(place, _)| place);
        let chosen = chosen.map(|place| self.working[place as usize]);
        demand(chosen == Some(auditor), "another auditor was drawn than the one asked")?;
        let (root, claimant) = (claim.root, slot.worker);
        let lot = Some(claim.drawn).filter(|drawn| ask == 0 && drawn.0 == epoch);
        let lot = lot.map(|(_, clean, count)| (clean, count));
        if epoch > 0 {
            let tried = tried.clone();
            self.asked.push(Asked { entry, lease, root, ask, count, tried, lot });
        }
        let last = &mut self.worker(claimant)?.auditors;
        if last.len() == limit::AUDITORS_REMEMBERED {
            last.pop_front();
        }
        last.push_back(auditor);
        self.worker(auditor)?.queued.insert(lease);
        if let Some(claim) = &mut self.slot(lease)?.claim {
            claim.asks += 1;
            claim.auditors.push(auditor);
        }
        Ok(())
    }

    /// An auditor gave no answer.
    pub(super) fn missed(&mut self, audit: LeaseId) -> Follows {
        let slot = self.slot(audit)?;
        let (worker, of) = (slot.worker, slot.audit.ok_or("the lease is no audit")?);
        let (owner, now) = (self.worker(worker)?.owner, self.now);
        if let Some(claim) = &mut self.slot(of)?.claim {
            claim.auditors.retain(|auditor| *auditor != worker);
            claim.silent.retain(|(silent, _)| *silent != owner);
            claim.silent.push((owner, now));
        }
        Ok(())
    }

    /// A tile is looked at again.
    pub(super) fn review_opened(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        (job, tile): (JobId, u64),
        cause: Cause,
    ) -> Follows {
        if let Cause::Appealed(appellant) = cause {
            let claim = self.appealed(lease, worker, (job, tile), appellant)?;
            return self.review(lease, worker, (job, tile), claim);
        }
        let earned = self.earned.get_mut(&(job, tile)).ok_or("the tile earned nothing")?;
        demand(earned.worker == worker && !earned.matured, "the tile is not this worker's")?;
        let settled = earned.settled;
        let mut claim = earned.claim.take().ok_or("the tile is being looked at already")?;
        let due = earned.due.take();
        if cause == Cause::Unsecured {
            demand(due.is_none(), "the tile was to be looked at for another reason")?;
            self.looks_again((job, tile), &mut claim)?;
        } else if cause == Cause::Disputed {
            let open = due.is_none() && !settled;
            demand(open, "the tile is final, or was to be looked at for another reason")?;
            self.disputed(lease, (job, tile), claim.units)?;
            claim.appealed = true;
        } else {
            demand(due == Some(cause), "the tile was not to be looked at again")?;
        }
        if cause != Cause::Ringer {
            claim.answer = Some(claim.to_whole());
            (claim.whole, claim.asked) = (true, claim.units);
            (claim.asks, claim.drawn) = (0, (Lot::NONE.epoch, 0, 0));
            claim.opinions.clear();
            claim.paid.clear();
            claim.silent.clear();
        }
        self.review(lease, worker, (job, tile), claim)
    }

    fn review(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        (job, tile): (JobId, u64),
        claim: Claim,
    ) -> Follows {
        let (audit, claim, judged, review) = (None, Some(claim), false, true);
        let slot = Slot { epoch: lease.epoch, worker, job, tile, audit, claim, judged, review };
        self.occupy(lease, slot)?;
        self.claims.insert((job, tile, lease.slot));
        Ok(())
    }

    pub(super) fn opinion(
        &mut self,
        lease: LeaseId,
        (worker, decides): (WorkerId, bool),
        value: Digest,
        answer: Digest,
        units: u64,
    ) -> Follows {
        let now = self.now;
        self.worker(worker)?.spoke = now;
        let (owner, arbiter) = (self.worker(worker)?.owner, self.worker(worker)?.arbiter);
        demand(decides == arbiter, "an arbiter's word decides, and nobody else's")?;
        let (claimant, job) = {
            let slot = self.slot(lease)?;
            (slot.worker, slot.job)
        };
        let (other, account) = (self.worker(claimant)?.owner, self.job(job)?.account);
        demand(worker != claimant, "a worker audits itself")?;
        let kin = self.workers[worker.0 as usize].is_kin(&self.workers[claimant.0 as usize]);
        demand(!kin || owner == account, "the auditor has something in common with the worker")?;
        demand(owner != other || owner == account, "the auditor is of the same owner")?;
        let claim = self.slot(lease)?.claim.as_mut().ok_or("nothing was claimed")?;
        demand(claim.answer.is_none_or(|known| known == answer), "the claim's answer changed")?;
        let again = claim.opinions.iter().any(|opinion| opinion.worker == worker);
        demand(!again, "the auditor was heard before")?;
        let asked = claim.auditors.iter().position(|auditor| *auditor == worker);
        claim.auditors.remove(asked.ok_or("the auditor was not asked")?);
        demand(units <= claim.units, "the question is dearer than the tile")?;
        demand(claim.opinions.is_empty() || claim.asked == units, "the question's price changed")?;
        let own = claim.answer.is_some() || !claim.whole || answer == claim.to_whole();
        demand(own, "the claim's answer is not what was committed to")?;
        claim.answer = Some(answer);
        claim.asked = units;
        let contrary = (value != answer).then_some(value);
        claim.opinions.push(Opinion { worker, owner, contrary, decides, paid: false });
        Ok(())
    }

    pub(super) fn verdict(
        &mut self,
        lease: LeaseId,
        (worker, job, tile, units): (WorkerId, JobId, u64, u64),
        accepted: bool,
    ) -> Follows {
        self.arbiter_heard(lease)?;
        let slot = self.slot(lease)?;
        let same = slot.worker == worker && slot.job == job && slot.tile == tile && !slot.judged;
        demand(same, "the verdict is about another claim")?;
        let claim = slot.claim.as_ref().ok_or("the verdict is about nothing")?;
        demand(claim.units == units, "the work units are not those committed to")?;
        demand(claim.auditors.is_empty(), "somebody who was asked was not waited for")?;
        let judged = claim.answer.map(|_| audit::judge(&claim.opinions));
        slot.judged = true;
        let (review, output) = (slot.review, claim.output);
        let owner = self.worker(worker)?.owner;
        let own = owner == self.job(job)?.account;
        match judged {
            None => demand(own && accepted, "nobody was asked about the claim")?,
            Some(Verdict::Truth(truth)) => {
                demand(accepted == truth.is_none(), "the opinions say the opposite")?;
            }
            Some(Verdict::Escalate | Verdict::Undecided) => {
                return Err("the opinions have no majority");
            }
        }
        self.claims.remove(&(job, tile, lease.slot));
        self.auditors_paid(lease, job)?;
        if review {
            self.appeal_judged(lease)?;
            if !self.appeals.is_retrial(lease) {
                let claim = self.slot(lease)?.claim.clone().ok_or("nothing was claimed")?;
                self.looked_at((job, tile), claim, accepted)?;
            }
        } else if accepted {
            demand(!self.worker(worker)?.refuted, "a refuted worker's claim counts for nothing")?;
            let engine = self.job(job)?.engine;
            self.worker(worker)?.standing.of(&engine).clean += 1;
            let found = self.job(job)?;
            demand(found.accepted.insert(tile), "the tile was accepted before")?;
            let (amount, royalty) = (found.price.of(units), found.royalty_of(units));
            let direct = own && judged.is_none();
            demand(!direct || royalty == 0, "nobody counted the work that a royalty is owed for")?;
            let to = if direct { Book::Payable(worker) } else { Book::Held(worker) };
            if found.feeds || found.ended.is_none() {
                found.outputs.insert(tile, output);
            }
            self.chains.accepted(lease, (job, tile), (worker, to, amount));
            if amount.0 > 0 {
                let owed = Owed { to, worker, amount, royalty, lease };
                self.owed.insert((job, tile), owed);
            }
        }
        Ok(())
    }

    /// An arbiter is heard about appeals, and where opinions differ if one was there.
    fn arbiter_heard(&self, lease: LeaseId) -> Follows {
        let slot = self.slots.get(&lease.slot);
        let Some((slot, claim)) = slot.and_then(|slot| Some((slot, slot.claim.as_ref()?))) else {
            return Ok(());
        };
        if !claim.is_contested() || claim.opinions.iter().any(|opinion| opinion.decides) {
            return Ok(());
        }
        demand(!claim.appealed, "no arbiter was heard about an appeal")?;
        let mut arbiters = self.working.iter().filter(|id| self.workers[id.0 as usize].arbiter);
        let passed_over = arbiters.any(|arbiter| self.fit(*arbiter, slot, claim) > Fit::No);
        demand(!passed_over, "opinions differed, and an arbiter who was there was not asked")
    }

    /// Before its verdict a claim's truthful auditors are paid, as far as the farm's pots go.
    fn auditors_paid(&mut self, lease: LeaseId, job: JobId) -> Follows {
        let empty = [Book::Audits, Book::Fees].iter().all(|pot| self.ledger.balance(*pot).0 == 0);
        let price = self.job(job)?.price;
        let claim = self.slot(lease)?.claim.as_mut().ok_or("there was no claim")?;
        let paid = claim.all_paid(price.of(claim.asked));
        let verdict = audit::judge(&claim.opinions);
        for opinion in &mut claim.opinions {
            opinion.paid |= verdict == Verdict::Truth(opinion.contrary);
        }
        demand(empty || paid, "an auditor who spoke the truth was not paid")
    }

    pub(super) fn refuted(&mut self, worker: WorkerId, lease: LeaseId) -> Follows {
        let entry = self.next;
        let slot = self.slot(lease)?;
        let claim = slot.claim.as_ref().ok_or("nothing was claimed under this lease")?;
        demand(claim.answer.is_some(), "nobody was asked about the claim")?;
        let claimed = slot.worker == worker;
        let mut opinions = claim.opinions.iter();
        let said = match claimed {
            true => Some(None),
            false => opinions.find(|opinion| opinion.worker == worker).map(|said| said.contrary),
        };
        let verdict = audit::judge(&claim.opinions);
        let Verdict::Truth(truth) = verdict else { return Err("the opinions have no majority") };
        demand(said.is_some_and(|said| said != truth), "the worker said nothing false about it")?;
        let said = claim.opinions.iter().map(|opinion| opinion.contrary).chain([None]);
        let against = said.filter(|contrary| *contrary == truth).count() as u32;
        let lie = Lie { entry, worker, job: slot.job, tile: slot.tile, claimed, against };
        let trial = (lease, slot.worker, (slot.job, slot.tile));
        let claim = claim.clone();
        let found = self.worker(worker)?;
        demand(!found.refuted, "the worker was refuted before")?;
        found.refuted = true;
        let clean = found.standing.lose();
        self.lies.push(lie);
        self.remember_trial(worker, trial, claim, clean);
        let undecided = self.slots.values_mut().filter(|slot| !slot.judged);
        for claim in undecided.filter_map(|slot| slot.claim.as_mut()) {
            claim.opinions.retain(|opinion| opinion.worker != worker);
        }
        for earned in self.earned.values_mut() {
            let Some(claim) = &mut earned.claim else { continue };
            let by = |opinion: &Opinion<_>| opinion.worker == worker;
            let vouched = |opinion: &Opinion<_>| by(opinion) && opinion.contrary.is_none();
            let struck = claim.opinions.iter().any(vouched);
            claim.opinions.retain(|opinion| !by(opinion));
            if struck && (earned.unsecured || !earned.settled) {
                earned.due = Some(Cause::Vouched);
            }
        }
        Ok(())
    }

    pub(super) fn revealed(&mut self, epoch: u32, secret: &[u8; 32]) -> Follows {
        let same = self.secret == Some((epoch, Digest::of(secret)));
        demand(same, "the secret is not the one committed to")?;
        let secret = Secret { epoch, secret: *secret };
        for drawn in std::mem::take(&mut self.drawn) {
            let Drawn { lease, root, clean, count, .. } = drawn;
            let due = audit::draw(&secret, lease, &root, clean, count);
            if due.question.leaves() != drawn.leaves || due.extra != drawn.extra {
                self.blame = Some(drawn.entry);
                return Err("the audit was not drawn from the epoch's secret");
            }
        }
        for asked in std::mem::take(&mut self.asked) {
            let Asked { entry, lease, root, ask, count, tried, lot } = asked;
            let lot = lot.map(|(clean, count)| {
                audit::draw(&secret, lease, &root, clean, count).lot.draw_in(epoch)
            });
            let places = audit::places(&secret, lease, &root, (ask, lot.flatten()), count);
            if !places.take(tried.len()).eq(tried) {
                self.blame = Some(entry);
                return Err("the auditor was not drawn from the epoch's secret");
            }
        }
        Ok(())
    }
}
