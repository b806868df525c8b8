//! The terms of every job: its immutable spec, for streams and frames to read without asking the
//! farm. Knows nothing of a job's life.

use farm::id::JobId;
use farm::job::Spec;
use std::sync::{Arc, PoisonError, RwLock};

/// Specs by job id; ids are dense.
#[derive(Debug, Default)]
pub struct Terms {
    specs: RwLock<Vec<Option<Arc<Spec>>>>,
}

impl Terms {
    pub fn get(&self, job: JobId) -> Option<Arc<Spec>> {
        let specs = self.specs.read().unwrap_or_else(PoisonError::into_inner);
        specs.get(job.0 as usize)?.clone()
    }

    pub fn insert(&self, job: JobId, spec: Spec) {
        let mut specs = self.specs.write().unwrap_or_else(PoisonError::into_inner);
        let at = job.0 as usize;
        if specs.len() <= at {
            specs.resize(at + 1, None);
        }
        specs[at] = Some(Arc::new(spec));
    }
}
