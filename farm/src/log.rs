//! The public log as arithmetic: RFC 6962 Merkle trees over opaque bytes, SHA-256. Knows no entry.

/// A SHA-256 hash of a node.
pub type Hash = [u8; 32];
