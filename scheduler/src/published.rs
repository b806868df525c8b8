//! Digests of bytes that were ever published as models, so that nobody has to ask the farm about
//! all the others. Who may have those is the farm's to say.

use farm::Farm;
use farm::digest::Digest;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// The digests.
#[derive(Debug, Default)]
pub struct Published {
    digests: RwLock<BTreeSet<Digest>>,
}

impl Published {
    /// Those of a recovered farm.
    pub fn of(farm: &Farm) -> Self {
        let models = farm.models(None, usize::MAX).into_iter();
        let digests = models.map(|(_, model)| model.offer.asset).collect();
        Self { digests: RwLock::new(digests) }
    }

    pub fn has(&self, digest: &Digest) -> bool {
        self.digests.read().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    /// Before anybody hears of it.
    pub fn insert(&self, digest: Digest) {
        self.digests.write().unwrap_or_else(PoisonError::into_inner).insert(digest);
    }
}
