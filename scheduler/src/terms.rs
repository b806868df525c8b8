//! The terms of every job: its immutable spec, for streams and frames to read without asking the
//! farm. Knows nothing of a job's life.

use farm::digest::Digest;
use farm::id::JobId;
use farm::job::Spec;
use std::sync::{Arc, PoisonError, RwLock};

/// What is fixed of a job.
type Fixed = (Arc<Spec>, Looks);

/// What commits to the key of a job's assets, if these are sealed, and whether its frames carry a
/// mark at first.
type Looks = (Option<Digest>, bool);

/// Terms by job id; ids are dense.
#[derive(Debug, Default)]
pub struct Terms {
    jobs: RwLock<Vec<Option<Fixed>>>,
}

impl Terms {
    pub fn get(&self, job: JobId) -> Option<Arc<Spec>> {
        self.fixed(job).map(|(spec, _)| spec)
    }

    /// What commits to the key of the job's assets, if these are sealed.
    pub fn seal(&self, job: JobId) -> Option<Digest> {
        self.fixed(job)?.1.0
    }

    /// Whether its frames carry a mark until their pay is final.
    pub fn is_marked(&self, job: JobId) -> bool {
        self.fixed(job).is_some_and(|(_, (_, marked))| marked)
    }

    fn fixed(&self, job: JobId) -> Option<Fixed> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.get(job.0 as usize)?.clone()
    }

    pub fn insert(&self, job: JobId, spec: Spec, looks: Looks) {
        let mut jobs = self.jobs.write().unwrap_or_else(PoisonError::into_inner);
        let at = job.0 as usize;
        if jobs.len() <= at {
            jobs.resize(at + 1, None);
        }
        jobs[at] = Some((Arc::new(spec), looks));
    }
}
