//! What forging and lying come to, measured on the real farm and printed as `docs/attacks.md`.

mod accuser;
mod arena;
mod census;
mod document;
mod forger;
mod formula;
mod scorer;

pub use document::print;
