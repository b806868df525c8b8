//! Trials: a claim is put before auditors of other owners, they are heard, it is judged. Knows no
//! money; what a verdict costs or pays is `settle.rs`.

use crate::audit::{self, Answer, Claim, Opinion, Verdict};
use crate::effect::{Effect, Effects};
use crate::entry::{Entry, Fact};
use crate::farm::Farm;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::job::Again;
use crate::lease::Role;
use crate::limit;
use crate::prng::{self, Draws};
use crate::view::JobState;

/// Claims without an auditor looked at again in one command.
const SEEKS_MAX: usize = 256;

impl Farm {
    fn forget_waiting(&mut self, id: LeaseId) {
        // A set that was ever filled is searched even when it is empty.
        if !self.waiting.is_empty() {
            self.waiting.remove(&id);
        }
    }

    /// Draws the auditors that a claim still wants, as far as there are any; else it waits.
    pub(crate) fn seek(&mut self, id: LeaseId, effects: &mut impl Effects) {
        self.forget_waiting(id);
        while self.leases.claim(id).is_some_and(|claim| claim.wanted > 0) {
            let Some(auditor) = self.draw_auditor(id) else {
                return self.wait_for_auditor(id, effects);
            };
            if let Some(claim) = self.leases.claim_mut(id) {
                claim.wanted -= 1;
                claim.asked.push(auditor);
            }
            self.roster[auditor].audits.push_back(id);
            self.fill(auditor, effects);
        }
    }

    /// Nobody may audit the claim now. One that all who were heard agree with, because what liars
    /// said was struck, needs nobody else.
    fn wait_for_auditor(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(claim) = self.leases.claim_mut(id) else { return };
        let differ = claim.opinions.iter().any(|opinion| opinion.contrary.is_some());
        if differ || claim.opinions.is_empty() {
            self.waiting.insert(id);
            return;
        }
        claim.wanted = 0;
        if claim.asked.is_empty() {
            self.judge(id, effects);
        }
    }

    /// An auditor by lot: among those that hold the scene, else among all that may.
    fn draw_auditor(&self, id: LeaseId) -> Option<WorkerId> {
        let lease = self.leases.get(id)?;
        let claim = self.leases.claim(id)?;
        let scene = &self.jobs[lease.job.0 as usize].spec.scene;
        let working = &self.roster.working;
        let count = u32::try_from(working.len()).ok().filter(|count| *count > 0)?;
        let may = |worker: &WorkerId| self.may_audit(*worker, lease.worker, lease.job, claim);
        let warm = |worker: &WorkerId| self.roster[*worker].warm.contains(scene);
        let first = claim.lot.draw_in(self.secret.epoch).filter(|_| claim.is_unheard());
        let first = first.map(|draw| working[prng::scaled(draw, count) as usize]);
        if let Some(worker) = first.filter(|worker| warm(worker) && may(worker)) {
            return Some(worker);
        }
        let mut subject = [0; 41];
        subject[..8].copy_from_slice(&id.to_u64().to_le_bytes());
        subject[8..40].copy_from_slice(&claim.commitment.root.0);
        subject[40] = (claim.opinions.len() + claim.asked.len() + claim.silent.len()) as u8;
        let mut draws = Draws::new(&self.secret.secret, &subject);
        let mut lot = |fits: &dyn Fn(&WorkerId) -> bool| {
            let mut draws = (0..limit::AUDITOR_DRAWS).map(|_| draws.below(count) as usize);
            draws.find_map(|at| Some(working[at]).filter(|worker| fits(worker)))
        };
        let drawn = lot(&|worker| warm(worker) && may(worker)).or_else(|| lot(&may));
        drawn.or_else(|| working.iter().copied().find(may))
    }

    fn may_audit(&self, id: WorkerId, claimant: WorkerId, job: JobId, claim: &Claim) -> bool {
        let worker = &self.roster[id];
        let job = &self.jobs[job.0 as usize];
        if id == claimant
            || !worker.works()
            || worker.audits.len() >= limit::AUDITS_WAITING_MAX
            || !worker.engines.contains(&job.spec.engine)
            || claim.asked.contains(&id)
            || claim.opinions.iter().any(|opinion| opinion.worker == id)
        {
            return false;
        }
        if job.private {
            return worker.owner == job.account;
        }
        let owner_of = |worker: &WorkerId| self.roster[*worker].owner;
        worker.owner != owner_of(&claimant)
            && claim.opinions.iter().all(|opinion| opinion.owner != worker.owner)
            && claim.asked.iter().all(|asked| owner_of(asked) != worker.owner)
            && !claim.silent.contains(&worker.owner)
    }

    /// Claims that found no auditor are looked at again; owners that were silent once are asked
    /// again rather than nobody.
    pub(crate) fn seek_again(&mut self, effects: &mut impl Effects) {
        let waiting: Vec<LeaseId> = self.waiting.iter().take(SEEKS_MAX).copied().collect();
        for id in waiting {
            if let Some(claim) = self.leases.claim_mut(id) {
                claim.silent.clear();
            }
            self.seek(id, effects);
        }
    }

    /// Leases an audit that was drawn for this worker.
    pub(crate) fn grant_audit(
        &mut self,
        worker: WorkerId,
        of: LeaseId,
        effects: &mut impl Effects,
    ) {
        let Some(claim) = self.leases.claim(of).filter(|claim| claim.asked.contains(&worker))
        else {
            return;
        };
        let leaves = claim.question.leaves();
        let Some((job, tile)) = self.leases.get(of).map(|lease| (lease.job, lease.tile)) else {
            return;
        };
        let scene = self.jobs[job.0 as usize].spec.scene;
        self.roster[worker].warmed(&scene);
        self.grant(worker, job, tile, Role::Audit(of), leaves, effects);
    }

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
        let owner = self.roster[worker].owner;
        self.roster[worker].computing -= 1;
        let Some(claim) = self.leases.claim_mut(of) else { return };
        claim.asked.retain(|asked| *asked != worker);
        let Some(answer) = &claim.answer else { return };
        let contrary = Some(heard).filter(|heard| heard != answer);
        let fact = || {
            let (own, units) = (answer.digest(), claim.units_asked);
            let value = contrary.as_ref().map_or(own, Answer::digest);
            Fact::Opinion { lease: of, auditor: worker, value, claim: own, units }
        };
        effects.log(self.entries, || Entry { time: self.now, fact: fact() });
        self.entries += 1;
        claim.opinions.push(Opinion { worker, owner, contrary });
        if claim.asked.is_empty() {
            self.judge(of, effects);
        }
    }

    fn judge(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(claim) = self.leases.claim(id) else { return };
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
        let Role::Claimed(claim) = lease.role else { return };
        let (worker, job, tile) = (lease.worker, lease.job, lease.tile);
        let units = claim.commitment.units;
        for opinion in claim.opinions.iter().filter(|opinion| opinion.contrary == truth) {
            self.pay_auditor(opinion.worker, job, tile, claim.units_asked, effects);
        }
        effects.push(Effect::Settle { worker, lease: id });
        let mut liars: Vec<WorkerId> = claim
            .opinions
            .iter()
            .filter(|opinion| opinion.contrary != truth)
            .map(|opinion| opinion.worker)
            .collect();
        if truth.is_none() {
            self.accept(id, worker, job, tile, units, effects);
        } else {
            liars.push(worker);
            self.unclaim(worker, job, units);
            let accepted = false;
            self.log(Fact::Verdict { lease: id, worker, job, tile, accepted, units }, effects);
            self.jobs[job.0 as usize].refuted += 1;
            self.withdraw(job, tile, effects);
        }
        liars.retain(|liar| self.refute(*liar, id, effects));
        for liar in liars {
            self.cast_out(liar, effects);
        }
        self.fill(worker, effects);
    }

    /// A tile's verdict is in its favour.
    pub(crate) fn accept(
        &mut self,
        id: LeaseId,
        worker: WorkerId,
        job_id: JobId,
        tile: u64,
        units: u64,
        effects: &mut impl Effects,
    ) {
        let cost = self.unclaim(worker, job_id, units);
        let accepted = true;
        self.log(Fact::Verdict { lease: id, worker, job: job_id, tile, accepted, units }, effects);
        self.roster[worker].clean += 1;
        let job = &mut self.jobs[job_id.0 as usize];
        job.accepted += 1;
        job.units += units;
        job.spent.0 += cost.0;
        job.failures.remove(&tile);
        let (nth, _) = job.place(tile);
        if let Some(frame) = job.frames.get_mut(&nth) {
            frame.proven += 1;
        }
        effects.push(Effect::JobChanged { job: job_id });
        self.earn(worker, job_id, tile, units, cost, effects);
        self.end_if_done(job_id, effects);
        self.refund(job_id, effects);
        self.refresh(job_id, effects);
    }

    /// Ends a claim without a verdict; its tile is computed afresh and its auditors are let go.
    pub(crate) fn drop_claim(&mut self, id: LeaseId, effects: &mut impl Effects) {
        self.forget_waiting(id);
        let Some(lease) = self.leases.end(id) else { return };
        let Role::Claimed(claim) = lease.role else { return };
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
        effects.push(Effect::Revoke { worker: lease.worker, lease: id });
        self.unclaim(lease.worker, lease.job, claim.commitment.units);
        self.withdraw(lease.job, lease.tile, effects);
    }

    /// Takes a tile's output out of its frame and puts the tile back.
    pub(crate) fn withdraw(&mut self, id: JobId, tile: u64, effects: &mut impl Effects) {
        let job = &mut self.jobs[id.0 as usize];
        let (nth, place) = job.place(tile);
        if let Some(frame) = job.frames.get_mut(&nth) {
            frame.withdraw(place);
        }
        if job.is_open() {
            job.images.remove(&nth);
        }
        self.put_back(id, tile, Again::default(), effects);
    }

    fn leave_undecided(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some((job, tile)) = self.leases.get(id).map(|lease| (lease.job, lease.tile)) else {
            return;
        };
        self.drop_claim(id, effects);
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

    /// An auditor gave no answer: its lease ran out, failed or was lost. Another is drawn.
    pub(crate) fn miss_audit(&mut self, audit: LeaseId, effects: &mut impl Effects) {
        let Some(lease) = self.leases.end(audit) else { return };
        let Role::Audit(of) = lease.role else { return };
        self.roster[lease.worker].computing -= 1;
        effects.push(Effect::Revoke { worker: lease.worker, lease: audit });
        let owner = self.roster[lease.worker].owner;
        if let Some(claim) = self.leases.claim_mut(of) {
            claim.silent.push(owner);
        }
        self.unask(of, lease.worker, effects);
    }

    /// The claim asks somebody else instead.
    pub(crate) fn unask(&mut self, of: LeaseId, auditor: WorkerId, effects: &mut impl Effects) {
        let Some(claim) = self.leases.claim_mut(of) else { return };
        if !claim.asked.contains(&auditor) {
            return;
        }
        claim.asked.retain(|asked| *asked != auditor);
        claim.wanted += 1;
        self.seek(of, effects);
    }

    /// This worker lied about this claim; says whether that is news.
    fn refute(&mut self, id: WorkerId, lease: LeaseId, effects: &mut impl Effects) -> bool {
        let worker = &mut self.roster[id];
        if worker.refuted {
            return false;
        }
        worker.refuted = true;
        worker.faults += 1;
        worker.clean = 0;
        self.log(Fact::Refuted { worker: id, lease }, effects);
        true
    }

    /// A liar is out: what is held back is forfeit, nothing of it counts any more.
    fn cast_out(&mut self, id: WorkerId, effects: &mut impl Effects) {
        self.rest(id, effects);
        let own: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.worker == id).map(|(at, _)| at).collect();
        for lease in own {
            match self.leases.get(lease).map(|lease| &lease.role) {
                Some(Role::Computing) => self.take_back(lease, effects),
                Some(Role::Claimed(_)) => self.drop_claim(lease, effects),
                Some(Role::Audit(_)) => self.miss_audit(lease, effects),
                None => {}
            }
        }
        self.strike_opinions(id, effects);
        self.forfeit(id, effects);
    }

    /// What a liar said of claims that are not decided yet does not count.
    fn strike_opinions(&mut self, liar: WorkerId, effects: &mut impl Effects) {
        let spoke = |claim: &Claim| claim.opinions.iter().any(|opinion| opinion.worker == liar);
        let touched: Vec<LeaseId> = self
            .leases
            .iter()
            .filter(|(_, lease)| matches!(&lease.role, Role::Claimed(claim) if spoke(claim)))
            .map(|(at, _)| at)
            .collect();
        for id in touched {
            if let Some(claim) = self.leases.claim_mut(id) {
                claim.opinions.retain(|opinion| opinion.worker != liar);
                claim.wanted += 1;
            }
            self.seek(id, effects);
        }
    }
}
