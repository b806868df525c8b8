//! The wire and the journal: generated types, and the one door between them and the farm's.
#![forbid(unsafe_code)]

/// The public API, `girih.v1`.
pub mod v1 {
    #![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::too_many_lines)]
    tonic::include_proto!("girih.v1");
}

/// What the journal holds.
pub mod journal {
    #![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::too_many_lines)]
    tonic::include_proto!("journal.v1");
}

pub mod aov;
pub mod convert;
pub mod cryptomatte;
mod frequent;
pub mod record;
pub mod seal;
pub mod signing;

/// The file descriptor set, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
