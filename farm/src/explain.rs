//! Explanations: why a tile waits, why a worker got nothing. Sentences for people; changes nothing.

use crate::audit::{self, Claim, Question};
use crate::entry::Book;
use crate::farm::Farm;
use crate::id::{JobId, WorkerId};
use crate::job::Job;
use crate::lease::{Lease, Role};
use crate::limit;
use crate::money::Amount;
use crate::roster::Worker;
use crate::scores::PERFECT;
use crate::standing::Record;
use crate::view::JobState;

impl Farm {
    /// Why this tile is where it is, in sentences.
    pub fn explain_tile(&self, id: JobId, tile: u64) -> Vec<String> {
        let Some(job) = self.jobs.get(id.0 as usize) else {
            return vec![format!("there is no job {id}")];
        };
        if tile >= job.tiles {
            return vec![format!("job {id} has {} tiles, 0 the first", job.tiles)];
        }
        let mut lines = self.explain_state(id, job);
        let found = self.leases.iter().find(|(_, lease)| {
            let holds = matches!(lease.role, Role::Computing | Role::Claimed(_));
            lease.job == id && lease.tile == tile && holds
        });
        match found {
            Some((lease, found)) => {
                lines.push(format!("it is leased to worker {} as {lease}", found.worker));
                lines.extend(self.explain_lease(found));
            }
            None if waits(job, tile) => {
                lines.extend(self.explain_waiting(id, job, tile));
            }
            None if job.is_open() || job.state == JobState::Done => {
                lines.push("it is accepted and paid for".into());
            }
            None => lines.push("it was not computed before the job ended".into()),
        }
        lines
    }

    fn explain_state(&self, id: JobId, job: &Job) -> Vec<String> {
        let state = match job.state {
            JobState::Open => return Vec::new(),
            JobState::Done => "is done",
            JobState::Cancelled => "was cancelled",
            JobState::Failed => "failed",
            JobState::OutOfBudget => "ran out of budget",
        };
        let why = if job.failure.is_empty() { "" } else { ": " };
        vec![format!("job {id} {state}{why}{}", job.failure)]
    }

    fn explain_waiting(&self, id: JobId, job: &Job, tile: u64) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(failures) = job.failures.get(&tile) {
            lines.push(format!(
                "it failed {} times, on {} owners; {} stop the job",
                failures.count,
                failures.owners.len(),
                limit::FAILED_OWNERS_MAX
            ));
        }
        if let Some((upstream, missing)) = self.unfed(id, tile) {
            let frame = self.jobs[upstream.0 as usize].spec.tile(missing).frame;
            lines.push(format!(
                "it waits for frame {frame} of job {upstream}: tile {missing} there is not proven"
            ));
            return lines;
        }
        let hold = self.ledger.balance(Book::Hold(id));
        if job.is_open() && !job.affords_tile(hold) {
            lines.push(format!(
                "it waits for money: of {hold} credits on hold, {} are spoken for and a tile may \
                 cost {}",
                job.reserved(),
                job.tile_cost_max
            ));
        }
        let offering = self.roster.working.iter().copied().filter(|id| {
            let worker = &self.roster[*id];
            let open = if job.private { worker.owner == job.account } else { !worker.arbiter };
            worker.engines.contains(&job.spec.engine) && open
        });
        let (trusted, others): (Vec<_>, Vec<_>) =
            offering.partition(|worker| self.may_compute(*worker, id));
        if !others.is_empty() {
            lines.extend(self.explain_trust(job, others.len()));
        }
        let offering = trusted.into_iter();
        let (count, room) =
            offering.fold((0, 0), |(all, room), id| (all + 1, room + u32::from(self.has_room(id))));
        lines.push(match (count, room) {
            (0, _) if job.private => {
                "no worker of the job's own account is online with its engine".into()
            }
            (0, _) if !others.is_empty() => {
                "none that the model's owner trusts is online with its engine".into()
            }
            (0, _) => "no worker is online with its engine".into(),
            (_, 0) => format!("all {count} workers with its engine are busy"),
            _ => format!("{room} of {count} workers with its engine have room; it is next"),
        });
        let ahead = tile.saturating_sub(job.next);
        if ahead > 0 && job.ready.is_none() {
            lines.push(format!("{ahead} tiles of its job come before it"));
        }
        lines
    }

    /// So many workers that are there may not compute a job.
    fn explain_trust(&self, job: &Job, passed_over: usize) -> Option<String> {
        let model = self.models.get(job.licence?.model)?;
        Some(format!(
            "{passed_over} workers are passed over: the owner of the model `{}`, account {}, lets \
             only workers it trusts compute it",
            model.offer.name, model.owner
        ))
    }

    fn explain_lease(&self, lease: &Lease) -> Vec<String> {
        let age = (self.now.0 - lease.granted.0) / 1_000_000;
        match &lease.role {
            Role::Computing | Role::Audit(_) => {
                vec![format!("it has been computed for {age} s")]
            }
            Role::Claimed(claim) | Role::Reviewed(claim) => {
                let mut lines = explain_claim(claim);
                let (others, job) = (self.roster.working.iter(), &self.jobs[lease.job.0 as usize]);
                let others = others.filter(|id| !self.may_compute(**id, lease.job)).count();
                if claim.wanted > 0 && others > 0 {
                    lines.extend(self.explain_trust(job, others));
                }
                lines
            }
        }
    }

    /// Why this worker has what it has, in sentences.
    pub fn explain_worker(&self, id: WorkerId) -> Vec<String> {
        let Some(worker) = self.roster.get(id) else {
            return vec![format!("there is no worker {id}")];
        };
        let mut lines = vec![format!(
            "{} clean tiles since its last fault, {} faults; {} tiles and audits computing, {} \
             tiles waiting for a verdict",
            worker.standing.clean_in_all(),
            worker.faults,
            worker.computing,
            worker.claims
        )];
        lines.extend(explain_records(worker));
        lines.extend(worker.score.map(explain_score));
        lines.extend(self.explain_money(id));
        lines.push(if worker.refuted {
            self.explain_refutation(id)
        } else if !worker.online {
            "it is not connected".into()
        } else if worker.draining {
            "it asked for no more leases".into()
        } else if worker.claims >= limit::CLAIMS_WAITING_MAX {
            "too many of its tiles wait for an auditor of another owner".into()
        } else if !self.has_room(id) {
            self.explain_room(id)
        } else {
            self.explain_idle(id)
        });
        lines
    }

    fn explain_room(&self, id: WorkerId) -> String {
        let (slots, most) = (self.roster[id].slots, self.leases_max(id));
        if self.roster[id].is_unreliable() {
            return format!(
                "it holds as many leases as a worker may that validators find unreliable, {most}; \
                 answered leases raise its score"
            );
        }
        if most == slots * limit::LEASES_PER_SLOT {
            return format!("it has all the leases its {slots} slots allow");
        }
        format!(
            "it has the {most} leases that a newcomer with its stake may hold; {} clean tiles end \
             that, and each {} credits that its owner stakes (`girih stake {} CREDITS`) give one \
             more",
            limit::REPLICAS_FIRST,
            Amount(limit::STAKE_PER_LEASE),
            id.0
        )
    }

    /// What its owner has put behind it, and what it waits for as an auditor.
    fn explain_money(&self, id: WorkerId) -> Vec<String> {
        let mut lines = Vec::new();
        let stake = self.ledger.balance(Book::Stake(id));
        if stake.0 > 0 {
            let when = match self.is_bound(id) {
                true => "bound until nothing that it said can turn out false any more",
                false => "free to be withdrawn",
            };
            lines.push(format!("{stake} credits are staked for it, {when}"));
        }
        lines.extend(self.explain_probation(id));
        let vouches = self.vouched.values().flatten();
        let own = vouches.filter(|vouch| vouch.auditor == id).map(|vouch| vouch.amount.0);
        let waiting = Amount(own.sum());
        if waiting.0 > 0 {
            lines.push(format!(
                "{waiting} credits for tiles that it vouched for are held back until these tiles' \
                 pay is final"
            ));
        }
        lines
    }

    /// What is on probation, and what ends that.
    fn explain_probation(&self, id: WorkerId) -> Vec<String> {
        let (mut lines, days) = (Vec::new(), limit::LEFT_MS / (24 * 3_600_000));
        let probation = self.ledger.balance(Book::Probation(id));
        if probation.0 > 0 {
            lines.push(format!(
                "{probation} credits are on probation: final for their jobs, lost if it is found \
                 lying; they are paid as far as {} tiles' pay stays behind it, for which a stake \
                 counts (`girih stake {} CREDITS`), or once it says nothing for {days} days",
                limit::BEHIND,
                id.0
            ));
        }
        let unsecured = self.roster[id].unsecured;
        if unsecured > 0 {
            lines.push(format!(
                "{unsecured} of its tiles, which it reported when it had less than {} tiles' pay \
                 to lose, are looked at by another auditor once that is {} tiles' pay; until then \
                 they are not paid, and not at all if it leaves before",
                limit::SECURED,
                limit::BEHIND
            ));
        }
        lines
    }

    fn explain_refutation(&self, id: WorkerId) -> String {
        let out = "it was found lying and gets no more leases; what was held back and staked is \
                   forfeit";
        let Some(found) = self.refutations.get(&id) else { return out.into() };
        let trial = &found.trial;
        let until = found.at.after_ms(limit::APPEAL_MS);
        let appeal = if self.is_retried(trial) {
            "an appeal about that is before an arbiter".to_string()
        } else if trial.claim.opinions.iter().any(|opinion| opinion.decides) {
            "an arbiter of the farm has decided it, which is final".to_string()
        } else if self.now > until {
            "it was not appealed against in time".to_string()
        } else {
            let days = (until.0 - self.now.0).div_ceil(24 * 3_600_000_000);
            format!("its owner may appeal for {days} days (`girih appeal worker {}`)", id.0)
        };
        format!("{out}; that was about tile {} of job {}; {appeal}", trial.tile, trial.job)
    }

    fn explain_idle(&self, id: WorkerId) -> String {
        let worker = &self.roster[id];
        let open = || self.jobs.iter().filter(|job| job.is_open() && job.has_work());
        let engine = || open().filter(|job| worker.engines.contains(&job.spec.engine));
        if worker.arbiter {
            "it is an arbiter: it computes nothing but audits and its own account's private jobs"
                .into()
        } else if open().next().is_none() {
            "no job has a tile to lease".into()
        } else if engine().next().is_none() {
            "no job with tiles to lease uses an engine it offers; update the worker".into()
        } else if engine().all(|job| job.private && job.account != worker.owner) {
            "the jobs with tiles to lease are private to other accounts".into()
        } else if !self.is_trusted_anywhere(id) {
            "the jobs with tiles to lease use models whose owners do not let it compute them".into()
        } else if !engine().any(|job| job.queued) {
            "the jobs with tiles to lease wait for money on hold".into()
        } else {
            "it is next to be served".into()
        }
    }

    /// Whether any job with tiles to lease may be computed by this worker, as far as models go.
    fn is_trusted_anywhere(&self, id: WorkerId) -> bool {
        let mut jobs = self.jobs.iter().zip(0..);
        jobs.any(|(job, at)| job.is_open() && job.has_work() && self.may_compute(id, JobId(at)))
    }
}

/// Whether a tile without a lease is still to get one.
fn waits(job: &Job, tile: u64) -> bool {
    let (nth, place) = job.place(tile);
    let is_kept = job.frames.get(&nth).map(|frame| frame.output(place).is_some());
    match &job.ready {
        None => tile >= job.next || job.again.contains_key(&tile),
        Some(_) if !job.is_open() => false,
        Some(_) => !is_kept.unwrap_or(job.images.contains_key(&nth)),
    }
}

/// What is behind it with each engine that it has worked with, on its present device.
fn explain_records(worker: &Worker) -> Vec<String> {
    let records = worker.standing.records();
    let mut lines = Vec::new();
    for record in records {
        let name = match records.len() {
            1 => String::new(),
            _ => format!("with engine {:?}: ", record.engine),
        };
        let standing = (!worker.refuted).then(|| explain_standing(record.clean));
        let said = explain_punctuality(record).into_iter().chain(explain_speed(worker, record));
        lines.extend(said.chain(standing).map(|line| format!("{name}{line}")));
    }
    match records.is_empty() {
        true if !worker.refuted => lines.push(explain_standing(0)),
        true => {}
        false => lines.push("on another device, or with another engine, it begins anew".into()),
    }
    lines
}

fn explain_punctuality(record: &Record) -> Option<String> {
    let Record { reported, late, lost, .. } = *record;
    let all = reported + u64::from(late) + u64::from(lost);
    let share = (reported * 100).checked_div(all)?;
    Some(format!(
        "{share} % on time: {reported} tiles reported, {late} leases ran out, {lost} were lost or \
         given up; that is its host's fault and never counts as a lie"
    ))
}

/// Units a second from lease to report: with one tile computing and one waiting in each slot, that
/// is about half of what a slot can do.
fn explain_speed(worker: &Worker, record: &Record) -> Option<String> {
    let per_slot = u128::from(record.units) * 1_000_000 / u128::from(record.leased_us.max(1));
    let most = per_slot * u128::from(worker.slots * limit::LEASES_PER_SLOT);
    (record.reported > 0).then(|| {
        format!(
            "it does at most {most} work units a second, as its reports show; its benchmark says \
             {}; placement asks neither",
            worker.units_per_second
        )
    })
}

fn explain_score(score: u16) -> String {
    format!(
        "validators score it {score} of {PERFECT}: the median of how prompt they find it; below \
         {} it gets few leases, and no score touches what it is paid",
        limit::SCORE_LOW
    )
}

/// What of its next tile is computed again, and what would make that less.
fn explain_standing(clean: u64) -> String {
    let first = limit::REPLICAS_FIRST;
    if clean < first {
        return format!("a newcomer: each of its first {first} tiles is computed twice");
    }
    let parts = audit::replica_parts(clean);
    let leaves = audit::leaves_drawn(clean);
    let least = (audit::replica_parts(u64::MAX), audit::leaves_drawn(u64::MAX));
    let more = match (parts, leaves) == least {
        true => "it cannot be less".to_string(),
        false => "each clean tile makes that less, one lie ends it".to_string(),
    };
    format!(
        "{parts} of a million of its tiles are computed in full again, of the others {leaves} \
         leaves; {more}"
    )
}

fn explain_claim(claim: &Claim) -> Vec<String> {
    let asked = match &claim.question {
        Question::Whole => "the whole tile".to_string(),
        Question::Leaves(leaves) => format!("{} leaves", leaves.len()),
    };
    let mut lines = vec![format!("it is reported; {asked} must be computed a second time")];
    if claim.answer.is_none() {
        lines.push("its worker has not yet opened the drawn leaves".into());
    } else if claim.wanted > 0 {
        lines.push(format!(
            "it waits for {} auditors of other owners than the {} heard or asked; connect one",
            claim.wanted,
            1 + claim.opinions.len() + claim.asked.len()
        ));
    }
    if !claim.asked.is_empty() {
        lines.push(format!("{} auditors are at it", claim.asked.len()));
    }
    lines
}
