//! What a leaf of the public log says, in a fixed byte layout: one byte kind, eight bytes time,
//! then the fields in order, integers little-endian. No private names.

use crate::digest::Digest;
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::money::{Amount, Price};
use crate::time::Time;

/// An entry of the public log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub time: Time,
    pub fact: Fact,
}

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Book {
    Available(AccountId),
    Hold(JobId),
    Held(WorkerId),
    Payable(WorkerId),
    Fees,
    Audits,
    Outside,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    TopUp,
    Submit(JobId),
    /// An accepted tile: hold to held.
    Tile(JobId, u64),
    /// Held to payable.
    Maturity(JobId, u64),
    /// The farm's share of a matured tile.
    Fee(JobId, u64),
    /// An auditor's pay.
    Audit(JobId, u64),
    /// A liar's held tile back to its job.
    Forfeit(JobId, u64),
    /// The rest of an ended job's hold.
    Refund(JobId),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    AccountOpened {
        account: AccountId,
    },
    WorkerEnrolled {
        worker: WorkerId,
        owner: AccountId,
        key: [u8; 32],
    },
    JobOpened {
        job: JobId,
        account: AccountId,
        cap: Amount,
        price: Price,
        tiles: u64,
        spec: Digest,
    },
    JobEnded {
        job: JobId,
        state: u8,
    },
    Leased {
        lease: LeaseId,
        worker: WorkerId,
        job: JobId,
        tile: u64,
        audit: bool,
    },
    /// A report: what the worker binds itself to.
    Committed {
        lease: LeaseId,
        job: JobId,
        tile: u64,
        output: Digest,
        root: Digest,
        units: u64,
    },
    /// What is to be computed a second time: these leaves, or (none) the whole tile. The draw
    /// follows from the epoch's secret.
    AuditDrawn {
        lease: LeaseId,
        auditor: WorkerId,
        epoch: u32,
        leaves: Vec<u32>,
    },
    /// An auditor's opinion, and the claim's own answer to the same question.
    Opinion {
        lease: LeaseId,
        auditor: WorkerId,
        value: Digest,
        claim: Digest,
    },
    Verdict {
        lease: LeaseId,
        worker: WorkerId,
        job: JobId,
        tile: u64,
        accepted: bool,
        units: u64,
    },
    /// A worker gave a false opinion or claim and is out.
    Refuted {
        worker: WorkerId,
        lease: LeaseId,
    },
    Transfer {
        debit: Book,
        credit: Book,
        amount: Amount,
        reason: Reason,
    },
    SecretCommitted {
        epoch: u32,
        commitment: Digest,
    },
    SecretRevealed {
        epoch: u32,
        secret: [u8; 32],
    },
}

impl Entry {
    /// The entry's bytes, as they stand in the log.
    pub fn to_bytes(&self) -> Vec<u8> {
        Vec::new()
    }
    /// Reads an entry; `None` if the bytes are not one, to the last byte.
    pub fn from_bytes(_bytes: &[u8]) -> Option<Self> {
        None
    }
}
