//! Auditors: who is asked about a claim, by a lot that anybody can draw again once the epoch's
//! secret is out; and what happens when somebody asked says nothing. Knows no verdicts, no money.

use crate::audit::{self, Claim, Fit};
use crate::effect::{Effect, Effects};
use crate::entry::Fact;
use crate::farm::Farm;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::lease::Role;
use crate::limit;

/// Claims without an auditor looked at again in one command.
const SEEKS_MAX: usize = 256;

impl Farm {
    pub(crate) fn forget_waiting(&mut self, id: LeaseId) {
        // A set that was ever filled is searched even when it is empty.
        if !self.waiting.is_empty() {
            self.waiting.remove(&id);
        }
    }

    /// Draws the auditors that a claim still wants, as far as there are any; else it waits.
    pub(crate) fn seek(&mut self, id: LeaseId, effects: &mut impl Effects) {
        self.forget_waiting(id);
        while self.leases.claim(id).is_some_and(|claim| claim.wanted > 0) {
            let Some(auditor) = self.draw_auditor(id, effects) else {
                return self.wait_for_auditor(id, effects);
            };
            let suffices = self.roster[auditor].arbiter;
            if let Some(claim) = self.leases.claim_mut(id) {
                claim.wanted = if suffices { 0 } else { claim.wanted - 1 };
                claim.asks += 1;
                claim.asked.push(auditor);
            }
            self.roster[auditor].audits.push_back(id);
            self.fill(auditor, effects);
        }
    }

    /// Nobody may audit the claim now. What was to be asked twice is content with one, but what
    /// calls for an arbiter with nobody else.
    fn wait_for_auditor(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(claim) = self.leases.claim_mut(id) else { return };
        if !claim.is_undecided() && claim.opinions.len() + claim.asked.len() > 0 {
            claim.wanted = 0;
            if claim.asked.is_empty() {
                self.weigh(id, effects);
            }
            return;
        }
        self.waiting.insert(id);
    }

    /// An auditor by lot: an arbiter where opinions differ; one who was not among the worker's last
    /// ones and holds the scene, if there is any.
    fn draw_auditor(&mut self, id: LeaseId, effects: &mut impl Effects) -> Option<WorkerId> {
        let lease = self.leases.get(id)?;
        let (claim, claimant) = (self.leases.claim(id)?, lease.worker);
        let working = &self.roster.working;
        let count = u32::try_from(working.len()).ok().filter(|count| *count > 0)?;
        let scene = &self.jobs[lease.job.0 as usize].spec.scene;
        let fit = |place: u32| {
            let worker = working[place as usize];
            let fresh = !self.roster[claimant].auditors.contains(&worker);
            match self.may_audit(worker, claimant, lease.job, claim) {
                false => Fit::No,
                true => Fit::of(fresh, self.roster[worker].warm.contains(scene)),
            }
        };
        let (ask, epoch) = (claim.asks, self.secret.epoch);
        let lot = claim.lot.draw_in(epoch).filter(|_| ask == 0);
        let root = &claim.commitment.root;
        let places = || audit::places(&self.secret, id, root, (ask, lot), count);
        let is_arbiter = |place: u32| self.roster[working[place as usize]].arbiter;
        let (place, tried) = audit::appoint(places, count, claim.is_contested(), is_arbiter, fit)?;
        let auditor = working[place as usize];
        self.roster[claimant].audited_by(auditor);
        self.log(Fact::AuditorDrawn { lease: id, epoch, ask, auditor, tried }, effects);
        Some(auditor)
    }

    /// Whether an arbiter is there who may be asked about this claim.
    pub(crate) fn has_arbiter(&self, claimant: WorkerId, job: JobId, claim: &Claim) -> bool {
        let mut arbiters = self.roster.working.iter().filter(|id| self.roster[**id].arbiter);
        arbiters.any(|arbiter| self.may_audit(*arbiter, claimant, job, claim))
    }

    fn may_audit(&self, id: WorkerId, claimant: WorkerId, job: JobId, claim: &Claim) -> bool {
        let worker = &self.roster[id];
        if !self.may_compute(id, job) {
            return false;
        }
        let job = &self.jobs[job.0 as usize];
        if id == claimant
            || !worker.works()
            || worker.audits.len() >= limit::AUDITS_WAITING_MAX
            || !worker.engines.contains(&job.spec.engine)
            || claim.appealed && !worker.arbiter
            || claim.asked.contains(&id)
            || claim.opinions.iter().any(|opinion| opinion.worker == id)
            || claim.before.contains(&id)
        {
            return false;
        }
        if job.private {
            return worker.owner == job.account;
        }
        let kin = |other: &WorkerId| worker.is_kin(&self.roster[*other]);
        !kin(&claimant)
            && !claim.opinions.iter().any(|opinion| kin(&opinion.worker))
            && !claim.asked.iter().any(kin)
            && !claim.before.iter().any(kin)
            && !claim.is_silent(worker.owner, self.now)
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
        let asked = (claim.question.leaves(), claim.inputs.clone());
        let Some((job, tile)) = self.leases.get(of).map(|lease| (lease.job, lease.tile)) else {
            return;
        };
        let scene = self.jobs[job.0 as usize].spec.scene;
        self.roster[worker].warmed(&scene);
        self.grant(worker, job, tile, Role::Audit(of), asked, effects);
    }

    /// Claims that found no auditor are looked at again.
    pub(crate) fn seek_again(&mut self, effects: &mut impl Effects) {
        let waiting: Vec<LeaseId> = self.waiting.iter().take(SEEKS_MAX).copied().collect();
        for id in waiting {
            self.seek(id, effects);
        }
    }

    /// No new work for this worker: audits drawn for it and not yet leased go to others.
    pub(crate) fn rest(&mut self, id: WorkerId, effects: &mut impl Effects) {
        let before = self.roster.working.len();
        self.roster.working.retain(|worker| *worker != id);
        self.roster.idle.remove(&id);
        if self.roster.working.len() < before {
            self.log(Fact::WorkerOffline { worker: id }, effects);
        }
        for claim in std::mem::take(&mut self.roster[id].audits) {
            self.unask(claim, id, effects);
        }
    }

    /// An auditor gave no answer: its lease ran out, failed or was lost. Another is drawn.
    pub(crate) fn miss_audit(&mut self, audit: LeaseId, effects: &mut impl Effects) {
        let Some(lease) = self.leases.end(audit) else { return };
        let Role::Audit(of) = lease.role else { return };
        self.roster[lease.worker].computing -= 1;
        effects.push(Effect::Revoke { worker: lease.worker, lease: audit });
        self.log(Fact::AuditMissed { audit }, effects);
        let (owner, now) = (self.roster[lease.worker].owner, self.now);
        if let Some(claim) = self.leases.claim_mut(of) {
            claim.silent.retain(|(silent, _)| *silent != owner);
            claim.silent.push((owner, now));
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
}
