//! The farm: one value that owns all state. `apply` is the only way to change it.

use crate::command::Command;
use crate::effect::{Effect, Reply};
use crate::id::{AccountId, JobId, WorkerId};
use crate::reject::Reject;
use crate::time::Time;
use crate::view::{AccountView, BalanceView, JobView, WorkerView};

/// Rules that a farm is founded with; they never change afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub maturity_tiles: u32,
    pub maturity_ms: u64,
    pub lease_ms: u64,
}

/// The farm.
#[derive(Debug)]
pub struct Farm {}

impl Farm {
    /// An empty farm.
    pub fn new(_policy: Policy) -> Self {
        Self {}
    }
    /// Applies one command. `at` must be later than at the last accepted command. A refusal changes
    /// nothing and leaves `effects` as it was.
    pub fn apply(
        &mut self,
        _at: Time,
        _command: Command,
        _effects: &mut Vec<Effect>,
    ) -> Result<Reply, Reject> {
        Err(Reject::TimeNotRising)
    }
    /// What a shell that has just started owes the world: deliveries and stores of unfinished
    /// frames, the end of jobs. Leases need nothing: workers reconnect and name them.
    pub fn outstanding(&self) -> Vec<Effect> {
        Vec::new()
    }
    /// Time of the last accepted command.
    pub fn now(&self) -> Time {
        Time(0)
    }
    pub fn accounts(&self) -> Vec<AccountView> {
        Vec::new()
    }
    pub fn balance(&self, _account: AccountId) -> Option<BalanceView> {
        None
    }
    pub fn job(&self, _job: JobId) -> Option<JobView> {
        None
    }
    /// Jobs of the account (`None`: all), newest first, older than `before`.
    pub fn jobs(
        &self,
        _account: Option<AccountId>,
        _before: Option<JobId>,
        _most: usize,
    ) -> Vec<JobView> {
        Vec::new()
    }
    pub fn worker(&self, _worker: WorkerId) -> Option<WorkerView> {
        None
    }
    /// Workers of the owner (`None`: all), after `after`.
    pub fn workers(
        &self,
        _owner: Option<AccountId>,
        _after: Option<WorkerId>,
        _most: usize,
    ) -> Vec<WorkerView> {
        Vec::new()
    }
    /// Why this tile is where it is, in sentences.
    pub fn explain_tile(&self, _job: JobId, _tile: u64) -> Vec<String> {
        Vec::new()
    }
    /// Why this worker has what it has, in sentences.
    pub fn explain_worker(&self, _worker: WorkerId) -> Vec<String> {
        Vec::new()
    }
    /// The whole state in a fixed layout, for snapshots and for comparing farms.
    pub fn image(&self) -> Vec<u8> {
        Vec::new()
    }
    /// The farm that gave this image; `None` if the bytes are not an image of this version.
    pub fn from_image(_image: &[u8]) -> Option<Self> {
        None
    }
}
