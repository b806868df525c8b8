//! Every output of the farm: what a command answers, and what the shell must now do.

use crate::digest::Digest;
use crate::entry::Entry;
use crate::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use crate::leaf::Indices;
use crate::money::Amount;

/// The answer to an accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    Account(AccountId),
    Available(Amount),
    Job(JobId),
    Model(ModelId),
    /// The worker's id, and which of the leases it named are still its own.
    Connected {
        worker: WorkerId,
        live: Vec<LeaseId>,
    },
    /// An arbiter is to decide; so much was put down.
    Appealed {
        deposit: Amount,
    },
    /// What is now behind the worker, and what returned to its owner.
    Staked {
        stake: Amount,
        returned: Amount,
    },
    /// The report is kept. Settled: nothing more will be asked about this lease.
    Reported {
        settled: bool,
    },
}

/// What the shell must do; imperative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Lease a tile to the worker. No leaves: the whole tile. The inputs are the outputs that it is
    /// made of where an upstream feeds its job, in the order of [`crate::job::Spec::feeders`].
    Grant {
        worker: WorkerId,
        lease: LeaseId,
        job: JobId,
        tile: u64,
        leaves: Indices,
        inputs: Vec<Digest>,
    },
    /// Ask the worker to open these leaves of its commitment.
    Challenge { worker: WorkerId, lease: LeaseId, leaves: Indices },
    /// Tell the worker that the lease is over and its result may be forgotten.
    Settle { worker: WorkerId, lease: LeaseId },
    /// Tell the worker that the lease is no longer its own.
    Revoke { worker: WorkerId, lease: LeaseId },
    /// Put this output into the job's frame. Sent again, with another output, if a tile is redone.
    Deliver { job: JobId, tile: u64, output: Digest },
    /// Every tile of the frame is there: store its images, answer with `Stored`.
    Store { job: JobId, frame: u32, made_of: Digest },
    /// The job changed state.
    JobChanged { job: JobId },
    /// Append to the public log.
    Log(Entry),
}

/// Where effects go: a list to act on, or, when a farm is replayed, what still needs them.
pub trait Effects {
    /// Takes one effect; entries of the public log come through `log`.
    fn push(&mut self, effect: Effect);

    /// Takes the public log's entry of this number; it need not be made if nobody wants it.
    fn log(&mut self, number: u64, entry: impl FnOnce() -> Entry);

    /// Whether the commands were accepted before, so that proofs among them need no second look.
    fn replayed(&self) -> bool {
        false
    }
}

impl Effects for Vec<Effect> {
    fn push(&mut self, effect: Effect) {
        self.push(effect);
    }

    fn log(&mut self, _number: u64, entry: impl FnOnce() -> Entry) {
        self.push(Effect::Log(entry()));
    }
}

/// Everything has been acted on already.
#[derive(Clone, Copy, Debug)]
pub struct Done;

impl Effects for Done {
    fn push(&mut self, _effect: Effect) {}

    fn log(&mut self, _number: u64, _entry: impl FnOnce() -> Entry) {}

    fn replayed(&self) -> bool {
        true
    }
}
