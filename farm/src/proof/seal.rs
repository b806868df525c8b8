//! Seals: the key to a job's assets is given with each lease of the job, to its worker, and never
//! otherwise.

use super::{Books, Follows, demand};
use crate::digest::Digest;
use crate::entry::Fact;
use crate::id::{JobId, LeaseId, WorkerId};

/// Keys that entries call for.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The job that the last entry opened: the next may say that it is sealed.
    opened: Option<JobId>,
    /// A lease whose key one of the next entries must say was given.
    owed: Option<(LeaseId, WorkerId, Digest)>,
}

impl Keys {
    /// Whether this may be the next entry. What a tile is made of is said before its key is given.
    pub(super) fn expects(&mut self, fact: &Fact) -> Follows {
        let opened = self.opened.take();
        match fact {
            Fact::KeyWrapped { lease, worker, seal } => {
                let owed = self.owed.take().ok_or("a key was given without a lease of its job")?;
                demand(owed == (*lease, *worker, *seal), "not the key that its lease calls for")
            }
            Fact::Fed { .. } => Ok(()),
            Fact::JobSealed { job, .. } => {
                demand(opened == Some(*job), "only a job just opened can be sealed")
            }
            _ => self.finish(),
        }
    }

    pub(super) fn opened(&mut self, job: JobId) {
        self.opened = Some(job);
    }

    pub(super) fn leased(&mut self, lease: LeaseId, worker: WorkerId, seal: Option<Digest>) {
        self.owed = seal.map(|seal| (lease, worker, seal));
    }

    pub(super) fn finish(&self) -> Follows {
        demand(self.owed.is_none(), "the key that a lease calls for was not given")
    }
}

impl Books {
    /// What follows of an entry that was expected.
    pub(super) fn about_keys(&mut self, fact: &Fact) -> Follows {
        if let Fact::JobSealed { job, seal } = fact {
            self.job(*job)?.seal = Some(*seal);
        }
        Ok(())
    }
}
