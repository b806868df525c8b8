//! The roster: workers, what they offer, when they are there, how far they are trusted.

use crate::digest::Digest;
use crate::id::{AccountId, LeaseId, WorkerId};
use crate::layout_struct;
use crate::limit;
use crate::standing::Standing;
use crate::time::Time;
use arrayvec::ArrayVec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A process on an owner's machine.
#[derive(Debug, Default)]
pub struct Worker {
    pub key: [u8; 32],
    pub owner: AccountId,
    /// The farm runs it itself: where opinions differ, its own decides. It computes no tiles but
    /// its own account's.
    pub arbiter: bool,
    pub engines: Vec<Digest>,
    pub device: String,
    pub slots: u32,
    pub units_per_second: u64,
    pub online: bool,
    pub draining: bool,
    /// Found lying; gets no more leases.
    pub refuted: bool,
    /// What is behind it on its device, by engine.
    pub standing: Standing,
    pub faults: u32,
    /// Leases being computed: tiles and audits.
    pub computing: u32,
    /// Tiles reported and waiting for their verdict.
    pub claims: u32,
    /// Queues it is served from.
    pub lanes: Vec<u32>,
    /// Scenes it worked on last, newest first.
    pub warm: VecDeque<Digest>,
    /// Claims whose audit was drawn for it and is not yet leased.
    pub audits: VecDeque<LeaseId>,
    /// Those last drawn to audit it, the latest last.
    pub auditors: ArrayVec<WorkerId, { limit::AUDITORS_REMEMBERED }>,
    /// What it has in common with others of its kind.
    pub groups: Vec<Digest>,
    /// Of its accepted tiles, those to be looked at again once it has more to lose.
    pub unsecured: u32,
    /// When it last reported a tile or was heard as an auditor.
    pub bound: Time,
    /// What validators scored it last.
    pub score: Option<u16>,
}

layout_struct!(Worker {
    key,
    owner,
    arbiter,
    engines,
    device,
    slots,
    units_per_second,
    online,
    draining,
    refuted,
    standing,
    faults,
    computing,
    claims,
    lanes,
    warm,
    audits,
    auditors,
    groups,
    unsecured,
    bound,
    score,
});

impl Worker {
    /// May be given leases at all.
    pub fn works(&self) -> bool {
        self.online && !self.draining && !self.refuted
    }
    /// Has no standing yet: each of its tiles is computed twice.
    pub fn is_newcomer(&self) -> bool {
        self.standing.clean_in_all() < limit::REPLICAS_FIRST
    }
    /// Validators find that too much of what is leased to it comes late or not at all.
    pub fn is_unreliable(&self) -> bool {
        self.score.is_some_and(|score| score < limit::SCORE_LOW)
    }
    /// Has room for an audit, if it works at all: audits hold others up, so each slot takes one
    /// beyond its tiles.
    pub fn has_room_for_audit(&self) -> bool {
        self.computing < self.slots * (limit::LEASES_PER_SLOT + 1)
    }
    /// It reports a tile of so many units of this engine that was leased to it at `granted`.
    pub fn reported(&mut self, engine: &Digest, units: u64, granted: Time, now: Time) {
        self.computing -= 1;
        self.claims += 1;
        self.standing.of(engine).reports(units, granted, now);
        self.bound = now;
    }
    /// Whether an owner, a machine or an address stands behind both. With the farm's own workers
    /// nobody shares more than an owner.
    pub fn is_kin(&self, other: &Worker) -> bool {
        let apart = self.arbiter || other.arbiter;
        let common = self.groups.iter().any(|group| other.groups.contains(group));
        self.owner == other.owner || common && !apart
    }
    /// Remembers who was drawn to audit it, instead of the earliest one remembered.
    pub fn audited_by(&mut self, auditor: WorkerId) {
        if self.auditors.is_full() {
            self.auditors.remove(0);
        }
        self.auditors.push(auditor);
    }
    /// Remembers the scene as the newest.
    pub fn warmed(&mut self, scene: &Digest) {
        if self.warm.front() == Some(scene) {
            return;
        }
        self.warm.retain(|known| known != scene);
        self.warm.push_front(*scene);
        self.warm.truncate(limit::WARM_SCENES);
    }
}

/// All workers.
#[derive(Debug, Default)]
pub struct Roster {
    workers: Vec<Worker>,
    by_key: BTreeMap<[u8; 32], WorkerId>,
    /// Workers that may be given leases, for drawing auditors.
    pub working: Vec<WorkerId>,
    /// Workers with room that found nothing to do.
    pub idle: BTreeSet<WorkerId>,
}

layout_struct!(Roster { workers, by_key, working, idle });

impl Roster {
    pub fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(id.0 as usize)
    }
    pub fn find(&self, key: &[u8; 32]) -> Option<WorkerId> {
        self.by_key.get(key).copied()
    }
    /// Enrols a new worker under its key.
    pub fn enrol(&mut self, worker: Worker) -> WorkerId {
        let id = WorkerId(u32::try_from(self.workers.len()).expect("fewer than 2^32 workers"));
        self.by_key.insert(worker.key, id);
        self.workers.push(worker);
        id
    }
    pub fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter().enumerate().map(|(at, worker)| (WorkerId(at as u32), worker))
    }
    pub fn count(&self) -> u32 {
        self.workers.len() as u32
    }
}

impl std::ops::Index<WorkerId> for Roster {
    type Output = Worker;
    fn index(&self, id: WorkerId) -> &Worker {
        &self.workers[id.0 as usize]
    }
}

impl std::ops::IndexMut<WorkerId> for Roster {
    fn index_mut(&mut self, id: WorkerId) -> &mut Worker {
        &mut self.workers[id.0 as usize]
    }
}
