//! Every input of the farm. Time and entropy arrive here and nowhere else.

use crate::appeal::Matter;
use crate::digest::Digest;
use crate::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use crate::job::Spec;
use crate::leaf::{Commitment, Leaf, Opening};
use crate::model::Offer;
use crate::money::{Amount, Price};
use crate::scores::Scores;

/// A client's own name for a request (a UUID): the same name gives the same answer.
pub type RequestId = u128;

/// What can be asked of the farm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A new account, known by the BLAKE3 digest of its API key.
    OpenAccount {
        key: Digest,
        operator: bool,
        name: String,
    },
    /// Credits from outside, to an account or (`None`) to the pot that pays audits.
    TopUp {
        account: Option<AccountId>,
        amount: Amount,
        request: RequestId,
    },
    Submit(Box<Submit>),
    Cancel {
        job: JobId,
    },
    /// A worker's key proved itself: enrol it, or welcome it back.
    Connect(Box<Connect>),
    /// Its stream ended; its leases live on until they expire.
    Disconnect {
        worker: WorkerId,
    },
    Report {
        worker: WorkerId,
        lease: LeaseId,
        outcome: Outcome,
    },
    /// The answer to a challenge: the drawn leaves, in the order drawn.
    Open {
        worker: WorkerId,
        lease: LeaseId,
        openings: Vec<Opening>,
    },
    Renew {
        worker: WorkerId,
        leases: Vec<LeaseId>,
    },
    /// No new leases for this worker until it connects again.
    Drain {
        worker: WorkerId,
    },
    /// Commits to the secret of the next audit epoch and reveals that of the last.
    Secret {
        next: [u8; 32],
    },
    /// The shell has stored a frame's images, made of outputs with this digest.
    Stored {
        job: JobId,
        frame: u32,
        exr: Digest,
        png: Digest,
        made_of: Digest,
    },
    /// A deposit is put down, and an arbiter decides.
    Appeal {
        account: AccountId,
        matter: Matter,
    },
    /// The owner puts money behind its worker.
    Stake {
        account: AccountId,
        worker: WorkerId,
        amount: Amount,
        request: RequestId,
    },
    /// The owner takes all of it back.
    Unstake {
        account: AccountId,
        worker: WorkerId,
    },
    /// A model is offered to others.
    Publish {
        account: AccountId,
        offer: Box<Offer>,
    },
    /// Its owner withdraws a model from new jobs.
    Withdraw {
        account: AccountId,
        model: ModelId,
    },
    /// The account has sent all of a published model's bytes, so that it has them already.
    Show {
        account: AccountId,
        asset: Digest,
    },
    /// The account puts down a bond, or adds to it: it is a validator.
    Bond {
        account: AccountId,
        amount: Amount,
        request: RequestId,
    },
    /// It takes all of it back and is none any more.
    Unbond {
        account: AccountId,
    },
    /// A validator commits to its ballot of this round.
    CommitScores {
        account: AccountId,
        round: u32,
        commitment: Digest,
    },
    /// It shows the ballot that it committed to in the last.
    RevealScores {
        account: AccountId,
        round: u32,
        salt: [u8; 32],
        scores: Scores,
    },
    /// Nothing but the passing of time: expiry, maturity, audits that found no auditor.
    Tick,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    pub account: AccountId,
    pub request: RequestId,
    pub spec: Spec,
    /// The most it may cost; held at once.
    pub cap: Amount,
    pub price: Price,
    pub priority: u8,
    /// Only workers of the same account.
    pub private: bool,
    /// Audit workers of the same account as well; so are they wherever a royalty is owed.
    pub audit_own: bool,
    /// The published model that it uses.
    pub model: Option<ModelId>,
    /// Its assets are sealed: what commits to the key that opens them. Every lease brings the key.
    pub seal: Option<Digest>,
    /// The shell shows frames with a mark until their pay is final.
    pub watermark: bool,
}

/// What a worker offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Ed25519 public key.
    pub key: [u8; 32],
    pub owner: AccountId,
    pub engines: Vec<Digest>,
    pub device: String,
    pub slots: u32,
    pub units_per_second: u64,
    /// Leases it still works on or holds results for.
    pub leases: Vec<LeaseId>,
    /// What the shell knows it to have in common with others, as opaque digests: its machine, the
    /// block of its address. Workers that share one count as one owner's.
    pub groups: Vec<Digest>,
}

/// What became of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole tile: digest of its bytes, and the commitment to its leaves.
    Done {
        output: Digest,
        commitment: Commitment,
    },
    /// The leaves an audit asked for, in its order.
    Leaves(Vec<Leaf>),
    Failed {
        scene: bool,
        why: String,
    },
}
