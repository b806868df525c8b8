//! Trials: a claim is put before auditors of other owners, they are heard, it is judged. Knows no
//! money; what a verdict costs or pays is `settle.rs`.

use crate::appeal::{Refutation, Trial};
use crate::audit::{self, Answer, Claim, Opinion, Verdict};
use crate::effect::{Effect, Effects};
use crate::entry::{Entry, Extra, Fact};
use crate::farm::Farm;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::job::Again;
use crate::lease::Role;
use crate::limit;
use crate::money::Amount;
use crate::settle::HeldTile;
use crate::view::JobState;

/// What a liar had said about others.
#[derive(Debug, Default)]
pub(crate) struct Struck {
    /// Claims and reviews that want another opinion.
    pub claims: Vec<LeaseId>,
    /// Accepted tiles whose pay is held back.
    pub held: Vec<(WorkerId, JobId, u64)>,
}

impl Farm {
    /// An auditor's answer.
    pub(crate) fn hear(
        &mut self,
        audit: LeaseId,
        of: LeaseId,
        heard: Answer,
        effects: &mut impl Effects,
    ) {
        let Some(lease) = self.leases.end(audit) else { return };
        let worker = lease.worker;
        let (owner, decides) = (self.roster[worker].owner, self.roster[worker].arbiter);
        self.roster[worker].computing -= 1;
        self.roster[worker].bound = self.now;
        let Some(claim) = self.leases.claim_mut(of) else { return };
        claim.asked.retain(|asked| *asked != worker);
        let Some(answer) = &claim.answer else { return };
        let contrary = Some(heard).filter(|heard| heard != answer);
        let fact = || {
            let (own, units) = (answer.digest(), claim.units_asked);
            let value = contrary.as_ref().map_or(own, Answer::digest);
            Fact::Opinion { lease: of, auditor: worker, value, claim: own, units, decides }
        };
        effects.log(self.entries, || Entry { time: self.now, fact: fact() });
        self.entries += 1;
        claim.opinions.push(Opinion { worker, owner, contrary, decides, paid: false });
        if claim.asked.is_empty() {
            self.weigh(of, effects);
        }
    }

    /// All who were asked have answered. Where they differ an arbiter is asked, if there is one.
    pub(crate) fn weigh(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(lease) = self.leases.get(id) else { return };
        let Some(claim) = self.leases.claim(id) else { return };
        if claim.is_undecided() && self.has_arbiter(lease.worker, lease.job, claim) {
            if let Some(claim) = self.leases.claim_mut(id) {
                claim.wanted = 1;
            }
            return self.seek(id, effects);
        }
        match audit::judge(&claim.opinions) {
            Verdict::Truth(truth) => self.decide(id, truth, effects),
            Verdict::Escalate if claim.wanted > 0 => self.seek(id, effects),
            Verdict::Escalate => {
                if let Some(claim) = self.leases.claim_mut(id) {
                    claim.wanted = limit::ESCALATION as u32;
                }
                self.seek(id, effects);
            }
            Verdict::Undecided => self.leave_undecided(id, effects),
        }
    }

    /// The truth is known, `None` being what was claimed: the claim is accepted or refuted, who
    /// spoke the truth is paid, who did not is out.
    fn decide(&mut self, id: LeaseId, truth: Option<Answer>, effects: &mut impl Effects) {
        self.forget_waiting(id);
        let Some(lease) = self.leases.end(id) else { return };
        let (worker, job, tile) = (lease.worker, lease.job, lease.tile);
        let (mut claim, reviewed) = match lease.role {
            Role::Claimed(claim) => (claim, false),
            Role::Reviewed(claim) => (claim, true),
            Role::Computing | Role::Audit(_) => return,
        };
        let units = claim.commitment.units;
        self.pay_auditors(&mut claim, (job, tile), (truth.as_ref(), reviewed), effects);
        let lied = |opinion: &&Opinion<_>| opinion.contrary != truth;
        let liars = claim.opinions.iter().filter(lied).map(|opinion| opinion.worker);
        let mut liars: Vec<WorkerId> = liars.collect();
        let accepted = truth.is_none();
        if !accepted {
            liars.push(worker);
        }
        let rung = claim.extra == Extra::Ringer && !claim.unsecured && accepted && !reviewed;
        let trial = |claim| Trial { lease: id, claimant: worker, job, tile, claim };
        let trial = (!liars.is_empty()).then(|| trial(claim.clone()));
        if reviewed {
            self.log(Fact::Verdict { lease: id, worker, job, tile, accepted, units }, effects);
            self.end_review(id, worker, (&claim, accepted), effects);
            self.end_appeal(id, Some((&claim, &truth)), effects);
        } else if accepted {
            effects.push(Effect::Settle { worker, lease: id });
            self.accept(id, worker, job, tile, (units, Some(claim)), effects);
        } else {
            effects.push(Effect::Settle { worker, lease: id });
            self.unclaim(worker, job, units);
            self.log(Fact::Verdict { lease: id, worker, job, tile, accepted, units }, effects);
            self.jobs[job.0 as usize].refuted += 1;
            self.withdraw(job, tile, effects);
        }
        if let Some(trial) = trial {
            self.convict(liars, &trial, effects);
        }
        if reviewed {
            self.mature(worker, effects);
        }
        if rung {
            self.review(worker, (job, tile), effects);
        }
        self.look_again(worker, effects);
        self.fill(worker, effects);
    }

    /// A tile's verdict is in its favour.
    pub(crate) fn accept(
        &mut self,
        id: LeaseId,
        worker: WorkerId,
        job_id: JobId,
        tile: u64,
        (units, claim): (u64, Option<Box<Claim>>),
        effects: &mut impl Effects,
    ) {
        let cost = self.unclaim(worker, job_id, units);
        let accepted = true;
        self.log(Fact::Verdict { lease: id, worker, job: job_id, tile, accepted, units }, effects);
        let job = &mut self.jobs[job_id.0 as usize];
        self.roster[worker].standing.of(&job.spec.engine).clean += 1;
        job.accepted += 1;
        job.units += units;
        job.spent.0 += cost.0;
        let (amount, royalty) = (job.price.of(units), job.royalty_of(units));
        job.royalties.0 += cost.0 - amount.0;
        job.failures.remove(&tile);
        let (nth, _) = job.place(tile);
        if let Some(frame) = job.frames.get_mut(&nth) {
            frame.proven += 1;
        }
        effects.push(Effect::JobChanged { job: job_id });
        let feeds = !job.dependents.is_empty();
        let before = feeds.then(|| self.note_feed(job_id, tile)).flatten();
        let pay = (units, amount, royalty);
        self.earn(worker, HeldTile::new((job_id, tile), pay, self.now, claim), effects);
        self.end_if_done(job_id, effects);
        self.refund(job_id, effects);
        self.refresh(job_id, effects);
        if feeds {
            self.feed(job_id, tile, before, effects);
        }
    }

    /// Ends a claim without a verdict; its tile is computed afresh and its auditors are let go. Of
    /// a review only the auditors are.
    pub(crate) fn drop_claim(&mut self, id: LeaseId, effects: &mut impl Effects) {
        if let Some((_, job, tile)) = self.end_claim(id, effects) {
            self.withdraw(job, tile, effects);
        }
    }

    /// A worker did not open in time what it had committed to: the tile fails on it.
    pub(crate) fn withhold(&mut self, id: LeaseId, effects: &mut impl Effects) {
        if let Some((worker, job, tile)) = self.end_claim(id, effects) {
            self.take_out(job, tile);
            let why = "no worker opened in time what it had committed to";
            self.fail_tile(worker, job, tile, why, effects);
        }
    }

    /// Ends a claim or a review without a verdict; says whose claim it was and to which tile.
    fn end_claim(
        &mut self,
        id: LeaseId,
        effects: &mut impl Effects,
    ) -> Option<(WorkerId, JobId, u64)> {
        self.forget_waiting(id);
        let lease = self.leases.end(id)?;
        let (claim, reviewed) = match lease.role {
            Role::Claimed(claim) => (claim, false),
            Role::Reviewed(claim) => (claim, true),
            Role::Computing | Role::Audit(_) => return None,
        };
        self.log(Fact::ClaimDropped { lease: id }, effects);
        for auditor in &claim.asked {
            self.roster[*auditor].audits.retain(|of| *of != id);
        }
        let audits = self
            .leases
            .iter()
            .filter(|(_, lease)| matches!(lease.role, Role::Audit(of) if of == id));
        let audits: Vec<LeaseId> = audits.map(|(at, _)| at).collect();
        for audit in audits {
            let Some(lease) = self.leases.end(audit) else { continue };
            self.roster[lease.worker].computing -= 1;
            effects.push(Effect::Revoke { worker: lease.worker, lease: audit });
        }
        if reviewed {
            self.forget_review(id, lease.worker);
            self.end_appeal(id, None, effects);
            return None;
        }
        effects.push(Effect::Revoke { worker: lease.worker, lease: id });
        self.unclaim(lease.worker, lease.job, claim.commitment.units);
        Some((lease.worker, lease.job, lease.tile))
    }

    /// Takes a tile's output out of its frame and puts the tile back.
    pub(crate) fn withdraw(&mut self, id: JobId, tile: u64, effects: &mut impl Effects) {
        self.take_out(id, tile);
        self.put_back(id, tile, Again::default(), effects);
    }

    /// Takes a tile's output out of its frame.
    fn take_out(&mut self, id: JobId, tile: u64) {
        let job = &mut self.jobs[id.0 as usize];
        let (nth, place) = job.place(tile);
        if let Some(frame) = job.frames.get_mut(&nth) {
            frame.withdraw(place);
        }
        if job.is_open() {
            job.images.remove(&nth);
        }
    }

    fn leave_undecided(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(lease) = self.leases.get(id) else { return };
        let (job, tile) = (lease.job, lease.tile);
        let reviewed = matches!(lease.role, Role::Reviewed(_));
        self.drop_claim(id, effects);
        if reviewed {
            return;
        }
        let found = &mut self.jobs[job.0 as usize];
        let failures = found.failures.entry(tile).or_default();
        failures.undecided += 1;
        let hopeless = failures.undecided >= limit::UNDECIDED_MAX;
        if hopeless && found.is_open() {
            let why = format!(
                "tile {tile}: its auditors found no majority {} times",
                limit::UNDECIDED_MAX
            );
            self.end_job(job, JobState::Failed, why, effects);
        }
    }

    /// These workers lied in this trial. What they have is taken from all of them first: as they
    /// leave, claims lose their words, and others may be found lying or told to be right.
    fn convict(&mut self, mut liars: Vec<WorkerId>, trial: &Trial, effects: &mut impl Effects) {
        let mut struck = Struck::default();
        liars.retain(|liar| self.refute(*liar, trial, &mut struck, effects));
        for liar in &liars {
            self.strip(*liar, effects);
        }
        for liar in liars {
            self.cast_out(liar, effects);
        }
        for claim in struck.claims {
            self.seek(claim, effects);
        }
        for (worker, job, tile) in struck.held {
            self.review(worker, (job, tile), effects);
        }
    }

    /// This worker lied in this trial; says whether that is news. What it said of others does not
    /// count any more.
    fn refute(
        &mut self,
        id: WorkerId,
        trial: &Trial,
        struck: &mut Struck,
        effects: &mut impl Effects,
    ) -> bool {
        let worker = &mut self.roster[id];
        if worker.refuted {
            return false;
        }
        worker.refuted = true;
        worker.faults += 1;
        let (trial, clean) = (trial.clone(), worker.standing.lose());
        self.log(Fact::Refuted { worker: id, lease: trial.lease }, effects);
        let stake = self.lose_stake(id, (trial.job, trial.tile), effects);
        let vouches = self.lose_vouches(id, effects);
        let (at, forfeited) = (self.now, Amount(stake.0 + vouches.0));
        self.refutations.insert(id, Refutation { trial, at, clean, forfeited });
        let spoke = |claim: &Claim| claim.opinions.iter().any(|opinion| opinion.worker == id);
        let claims = self.leases.iter().filter(|(at, _)| self.leases.claim(*at).is_some_and(spoke));
        let claims: Vec<LeaseId> = claims.map(|(at, _)| at).collect();
        for at in &claims {
            if let Some(claim) = self.leases.claim_mut(*at) {
                claim.opinions.retain(|opinion| opinion.worker != id);
                claim.wanted += 1;
            }
        }
        struck.claims.extend(claims);
        struck.held.extend(self.doubt(id));
        true
    }

    /// What is held back for a liar is forfeit, and none of its claims counts any more.
    fn strip(&mut self, id: WorkerId, effects: &mut impl Effects) {
        self.forfeit(id, effects);
        let own = self.leases.iter().filter(|(_, lease)| lease.worker == id);
        let own: Vec<LeaseId> = own.map(|(at, _)| at).collect();
        for lease in own {
            match self.leases.get(lease).map(|lease| &lease.role) {
                Some(Role::Computing) => self.take_back(lease, effects),
                Some(Role::Claimed(_) | Role::Reviewed(_)) => self.drop_claim(lease, effects),
                Some(Role::Audit(_)) | None => {}
            }
        }
    }

    /// A liar is out: others are asked in its stead.
    fn cast_out(&mut self, id: WorkerId, effects: &mut impl Effects) {
        self.rest(id, effects);
        let audits = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.worker == id && matches!(lease.role, Role::Audit(_)));
        let audits: Vec<LeaseId> = audits.map(|(at, _)| at).collect();
        for audit in audits {
            self.miss_audit(audit, effects);
        }
    }
}
