//! The farm as one value. Pure: no input or output, no clock, no locks, no floats in a decision.
#![forbid(unsafe_code)]

pub mod digest;
pub mod leaf;
