//! Watching: how prompt each worker is, as the public log shows it to whoever follows it. It is
//! what an honest validator scores; another may watch otherwise. Knows no votes.

use crate::entry::{Entry, Fact};
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::limit;
use crate::scores::{PERFECT, Scores};
use crate::time::Time;
use std::collections::BTreeMap;

/// A lease whose answer has not come.
#[derive(Debug)]
struct Open {
    worker: WorkerId,
    job: JobId,
    at: Time,
    /// The claim that it is an audit of.
    audit: Option<LeaseId>,
}

/// What became of a worker's leases lately; older ones weigh less.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    points: u64,
    weight: u64,
}

/// Weight of one lease; halved with each round, and forgotten below [`LEAST`].
const LEASE: u64 = 256;
const LEAST: u64 = 32;

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Watcher {
    /// By worker id.
    owners: Vec<AccountId>,
    records: BTreeMap<WorkerId, Record>,
    /// By slot.
    open: BTreeMap<u32, Open>,
    /// The slots of audits, by the claim and the auditor.
    audits: BTreeMap<(LeaseId, WorkerId), u32>,
}

impl Watcher {
    pub fn new() -> Self {
        Self::default()
    }

    /// Follows the next entry of the log.
    pub fn follow(&mut self, entry: &Entry) {
        let now = entry.time;
        match &entry.fact {
            Fact::WorkerEnrolled { owner, .. } => self.owners.push(*owner),
            Fact::Leased { lease, worker, job, audit, .. } => {
                self.lost(lease.slot);
                let (worker, job, audit) = (*worker, *job, *audit);
                self.open.insert(lease.slot, Open { worker, job, at: now, audit });
                if let Some(of) = audit {
                    self.audits.insert((of, worker), lease.slot);
                }
            }
            Fact::ReviewOpened { lease, .. } => self.lost(lease.slot),
            Fact::Committed { lease, .. } => self.answered(lease.slot, now),
            Fact::Opinion { lease, auditor, .. } => {
                if let Some(slot) = self.audits.get(&(*lease, *auditor)).copied() {
                    self.answered(slot, now);
                }
            }
            Fact::AuditMissed { audit } => self.lost(audit.slot),
            // What its worker, or its job, leaves behind is nobody's delay.
            Fact::Refuted { worker, .. } => {
                self.drop_if(|open| open.worker == *worker);
                self.records.remove(worker);
            }
            Fact::ClaimDropped { lease } => {
                let audits =
                    self.audits.range((*lease, WorkerId(0))..=(*lease, WorkerId(u32::MAX)));
                let slots: Vec<u32> = audits.map(|(_, slot)| *slot).collect();
                for slot in slots {
                    self.close(slot);
                }
            }
            Fact::JobEnded { job, .. } => self.drop_if(|open| open.job == *job),
            Fact::RoundEnded { .. } => self.age(),
            _ => {}
        }
    }

    fn close(&mut self, slot: u32) -> Option<Open> {
        let open = self.open.remove(&slot)?;
        if let Some(of) = open.audit {
            self.audits.remove(&(of, open.worker));
        }
        Some(open)
    }

    fn drop_if(&mut self, over: impl Fn(&Open) -> bool) {
        let slots: Vec<u32> =
            self.open.iter().filter(|(_, open)| over(open)).map(|(slot, _)| *slot).collect();
        for slot in slots {
            self.close(slot);
        }
    }

    fn answered(&mut self, slot: u32, now: Time) {
        let Some(Open { worker, at, .. }) = self.close(slot) else { return };
        let most = limit::LEASE_AGE_MS_MAX * 1_000;
        let left = most.saturating_sub(now.0.saturating_sub(at.0));
        self.ended(worker, u64::from(PERFECT) * left / most);
    }

    /// Somebody else has the slot, or is asked: there was no answer.
    fn lost(&mut self, slot: u32) {
        if let Some(open) = self.close(slot) {
            self.ended(open.worker, 0);
        }
    }

    /// A lease ended, worth so many points of [`PERFECT`].
    fn ended(&mut self, worker: WorkerId, points: u64) {
        let record = self.records.entry(worker).or_default();
        record.points += points * LEASE;
        record.weight += LEASE;
    }

    /// What was seen before this round weighs half as much as before.
    fn age(&mut self) {
        self.records.retain(|_, record| {
            *record = Record { points: record.points / 2, weight: record.weight / 2 };
            record.weight >= LEAST
        });
    }

    /// A ballot: for each worker of another owner the mean over its leases of how much of the
    /// longest time a lease may take was left when the answer came, 0 where none came.
    pub fn ballot(&self, account: AccountId) -> Scores {
        let foreign = |worker: &WorkerId| {
            self.owners.get(worker.0 as usize).is_some_and(|owner| *owner != account)
        };
        let score = |record: &Record| (record.points / record.weight) as u16;
        let scores = self.records.iter().filter(|(worker, _)| foreign(worker));
        let scores = scores.map(|(worker, record)| (*worker, score(record)));
        scores.take(limit::SCORES_MAX).collect()
    }
}
