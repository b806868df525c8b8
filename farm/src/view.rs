//! What the farm shows of itself: plain copies for shells to read. Changes nothing.

use crate::digest::Digest;
use crate::id::{AccountId, JobId, WorkerId};
use crate::job::Spec;
use crate::money::{Amount, Price};
use crate::time::Time;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum JobState {
    Open = 1,
    Done = 2,
    Cancelled = 3,
    Failed = 4,
    OutOfBudget = 5,
}

/// A job as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    pub job: JobId,
    pub account: AccountId,
    pub spec: Spec,
    pub state: JobState,
    pub failure: String,
    pub tiles_total: u64,
    pub tiles_accepted: u64,
    pub tiles_leased: u64,
    pub tiles_claimed: u64,
    pub tiles_refuted: u64,
    pub cap: Amount,
    pub price: Price,
    pub spent: Amount,
    pub units: u64,
    pub workers: u32,
    pub priority: u8,
    pub private: bool,
    pub created: Time,
    pub ended: Option<Time>,
    pub frames: Vec<FrameView>,
}

/// A stored frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameView {
    pub frame: u32,
    pub exr: Digest,
    pub png: Digest,
    pub proven: bool,
}

/// A worker as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    pub worker: WorkerId,
    pub owner: AccountId,
    pub key: [u8; 32],
    pub device: String,
    pub online: bool,
    pub tiles_clean: u64,
    pub faults: u32,
    pub refuted: bool,
    pub leases: u32,
    pub held: Amount,
    pub payable: Amount,
}

/// An account's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BalanceView {
    pub available: Amount,
    pub on_hold: Amount,
    pub held: Amount,
    pub payable: Amount,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    pub account: AccountId,
    pub key: Digest,
    pub operator: bool,
    pub name: String,
}
