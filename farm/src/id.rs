//! Ids: small dense integers given out by the farm in order.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// Who owns money and keys.
    AccountId, "A");
id!(
    /// A process on an owner's machine, known by its key.
    WorkerId, "W");
id!(
    /// A render or inference order.
    JobId, "J");
id!(
    /// A network that its owner published.
    ModelId, "M");

/// A lease: its slot in the lease table and the slot's epoch, which only grows and so fences
/// every message about an earlier lease of the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeaseId {
    pub slot: u32,
    pub epoch: u32,
}

impl LeaseId {
    /// As on the wire: epoch in the high half.
    pub fn to_u64(self) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(self.slot)
    }
    pub fn from_u64(bits: u64) -> Self {
        Self { slot: bits as u32, epoch: (bits >> 32) as u32 }
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "L{}.{}", self.slot, self.epoch)
    }
}
