//! Reports: a worker says what became of a lease, and opens what it committed to.

use crate::audit::{self, Answer, Claim, Drawn, Question};
use crate::command::Outcome;
use crate::digest::Digest;
use crate::effect::{Effect, Effects, Reply};
use crate::entry::{Extra, Fact};
use crate::farm::Farm;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::job::Again;
use crate::leaf::{self, Commitment, Leaf, Opening};
use crate::lease::Role;
use crate::limit;
use crate::money::Amount;
use crate::reject::Reject;
use crate::view::JobState;

impl Farm {
    pub(crate) fn report(
        &mut self,
        worker: WorkerId,
        id: LeaseId,
        outcome: Outcome,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        self.roster.get(worker).ok_or(Reject::UnknownWorker)?;
        let lease = self.leases.own(worker, id)?;
        let (job, tile) = (lease.job, lease.tile);
        let settled = match (&lease.role, outcome) {
            (Role::Claimed(_) | Role::Reviewed(_), _) => return Err(Reject::ReportRepeated),
            (Role::Computing, Outcome::Done { output, commitment }) => {
                let spec = &self.jobs[job.0 as usize].spec;
                let tile = spec.tile(tile);
                let possible = 1..=spec.units_max(&tile);
                if !possible.contains(&commitment.units) {
                    return Err(Reject::ReportMismatch);
                }
                let leaves = spec.leaves(&tile);
                self.claim(id, output, commitment, leaves, effects)
            }
            (Role::Computing, Outcome::Failed { why, .. }) => {
                self.leases.end(id);
                self.roster[worker].computing -= 1;
                let found = &mut self.jobs[job.0 as usize];
                self.roster[worker].standing.of(&found.spec.engine).lost += 1;
                found.computing -= 1;
                self.fail_tile(worker, job, tile, &why, effects);
                true
            }
            (Role::Audit(of), Outcome::Done { output, commitment }) => {
                let of = *of;
                self.asked(of, |question| matches!(question, Question::Whole))?;
                self.hear(id, of, Answer::to_whole(&output, &commitment), effects);
                true
            }
            (Role::Audit(of), Outcome::Leaves(leaves)) => {
                let (of, count) = (*of, leaves.len());
                self.asked(
                    of,
                    |question| matches!(question, Question::Leaves(asked) if asked.len() == count),
                )?;
                self.hear(id, of, Answer::Leaves(leaves), effects);
                true
            }
            (Role::Audit(_), Outcome::Failed { .. }) => {
                self.miss_audit(id, effects);
                true
            }
            (Role::Computing, Outcome::Leaves(_)) => return Err(Reject::ReportMismatch),
        };
        self.fill(worker, effects);
        Ok(Reply::Reported { settled })
    }

    fn asked(&self, claim: LeaseId, fits: impl Fn(&Question) -> bool) -> Result<(), Reject> {
        let claim = self.leases.claim(claim).filter(|claim| fits(&claim.question));
        claim.map(|_| ()).ok_or(Reject::ReportMismatch)
    }

    /// A tile of so many leaves is reported: the worker is bound, the picture gets it, and unless
    /// it is the job owner's own worker the audit is drawn. Says whether that settles the lease.
    fn claim(
        &mut self,
        id: LeaseId,
        output: Digest,
        commitment: Commitment,
        leaves: u32,
        effects: &mut impl Effects,
    ) -> bool {
        let Some(lease) = self.leases.get(id) else { return true };
        let (worker, job_id, tile) = (lease.worker, lease.job, lease.tile);
        let (granted, job) = (lease.granted, &mut self.jobs[job_id.0 as usize]);
        let own = self.roster[worker].owner == job.account && !job.audit_own;
        job.computing -= 1;
        job.claims += 1;
        job.claims_cost.0 += job.cost_of(commitment.units).0;
        self.roster[worker].reported(&job.spec.engine, commitment.units, granted, self.now);
        let Commitment { root, units } = commitment;
        self.log(Fact::Committed { lease: id, job: job_id, tile, output, root, units }, effects);
        self.deliver(job_id, tile, output, effects);
        if own {
            self.leases.end(id);
            self.accept(id, worker, job_id, tile, (units, None), effects);
            return true;
        }
        let unsecured = self.is_unsecured(worker, job_id, units);
        let Drawn { question, lot, extra } =
            self.draw(id, &commitment, (leaves, unsecured), effects);
        if let Question::Leaves(leaves) = &question {
            let leaves = leaves.clone();
            effects.push(Effect::Challenge { worker, lease: id, leaves });
        }
        let claim = Claim::new(output, commitment, self.inputs(job_id, tile), question);
        let challenged = claim.answer.is_none();
        if let Some(lease) = self.leases.get_mut(id) {
            let wanted = if extra == Extra::Twice { 2 } else { 1 };
            let claim = Claim { leaves, lot, extra, wanted, unsecured, ..claim };
            lease.role = Role::Claimed(Box::new(claim));
        }
        let deadline = self.now.after_ms(self.policy.lease_ms);
        self.leases.set_deadline(id, Some(deadline).filter(|_| challenged));
        if !challenged {
            self.seek(id, effects);
        }
        false
    }

    /// Draws what is asked about a tile of so many leaves: of who has little to lose for it, as if
    /// none of its tiles were clean.
    fn draw(
        &mut self,
        id: LeaseId,
        commitment: &Commitment,
        (count, unsecured): (u32, bool),
        effects: &mut impl Effects,
    ) -> Drawn {
        let lease = self.leases.get(id).filter(|_| !unsecured);
        let clean = lease.map_or(0, |lease| {
            let engine = &self.jobs[lease.job.0 as usize].spec.engine;
            self.roster[lease.worker].standing.clean(engine)
        });
        let drawn = audit::draw(&self.secret, id, &commitment.root, clean, count);
        let (leaves, extra) = (drawn.question.leaves(), drawn.extra);
        let epoch = self.secret.epoch;
        self.log(Fact::AuditDrawn { lease: id, epoch, clean, count, leaves, extra }, effects);
        drawn
    }

    /// Puts an output into its frame, and has the frame stored when it is whole.
    fn deliver(&mut self, id: JobId, tile: u64, output: Digest, effects: &mut impl Effects) {
        let job = &mut self.jobs[id.0 as usize];
        if !job.is_open() {
            return;
        }
        let (nth, place) = job.place(tile);
        let frame = job.frames.entry(nth).or_default();
        frame.deliver(place, output);
        effects.push(Effect::Deliver { job: id, tile, output });
        if frame.delivered == job.tiles_per_frame && !effects.replayed() {
            let made_of = frame.made_of();
            effects.push(Effect::Store { job: id, frame: job.spec.frame(nth), made_of });
        }
        effects.push(Effect::JobChanged { job: id });
    }

    /// The answer to a challenge. False openings are refused; the challenge stands until its
    /// deadline.
    pub(crate) fn open(
        &mut self,
        worker: WorkerId,
        id: LeaseId,
        openings: &[Opening],
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        self.roster.get(worker).ok_or(Reject::UnknownWorker)?;
        let lease = self.leases.own(worker, id)?;
        let Role::Claimed(claim) = &lease.role else { return Err(Reject::NotChallenged) };
        let (None, Question::Leaves(asked)) = (&claim.answer, &claim.question) else {
            return Err(Reject::NotChallenged);
        };
        let opens = |(index, opening): (&u32, &Opening)| {
            leaf::verify(&claim.commitment, claim.leaves, *index, opening)
        };
        let proven = effects.replayed() || asked.iter().zip(openings).all(opens);
        if openings.len() != asked.len() || !proven {
            return Err(Reject::OpeningFalse);
        }
        if let Some(claim) = self.leases.claim_mut(id) {
            let leaves: Vec<Leaf> = openings.iter().map(|opening| opening.leaf).collect();
            claim.units_asked = leaves.iter().map(|leaf| leaf.units).sum();
            claim.answer = Some(Answer::Leaves(leaves));
        }
        self.leases.set_deadline(id, None);
        self.seek(id, effects);
        Ok(Reply::Done)
    }

    /// A tile failed on this worker: it goes to another owner, or stops its job with the error.
    pub(crate) fn fail_tile(
        &mut self,
        worker: WorkerId,
        id: JobId,
        tile: u64,
        why: &str,
        effects: &mut impl Effects,
    ) {
        let owner = self.roster[worker].owner;
        let job = &mut self.jobs[id.0 as usize];
        if !job.is_open() {
            return self.put_back(id, tile, Again::default(), effects);
        }
        let failures = job.failures.entry(tile).or_default();
        failures.count += 1;
        if !failures.owners.contains(&owner) {
            failures.owners.push(owner);
        }
        let avoid = failures.owners.clone();
        let hopeless = avoid.len() >= limit::FAILED_OWNERS_MAX;
        if hopeless || failures.count >= limit::FAILURES_MAX {
            let frame = job.spec.tile(tile).frame;
            let why = format!("frame {frame}, tile {tile}: {why}");
            job.again.insert(tile, Again::default());
            return self.end_job(id, JobState::Failed, why, effects);
        }
        self.put_back(id, tile, Again { avoid }, effects);
    }

    /// Takes a claim out of its job's books; says what it costs, royalty included.
    pub(crate) fn unclaim(&mut self, worker: WorkerId, job: JobId, units: u64) -> Amount {
        let job = &mut self.jobs[job.0 as usize];
        let cost = job.cost_of(units);
        job.claims -= 1;
        job.claims_cost.0 -= cost.0;
        self.roster[worker].claims -= 1;
        cost
    }
}
