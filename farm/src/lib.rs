//! The farm as one value. Pure: no input or output, no clock, no locks, no floats in a decision.
#![forbid(unsafe_code)]

pub mod command;
pub mod digest;
pub mod effect;
pub mod entry;
pub mod farm;
pub mod id;
pub mod job;
pub mod leaf;
pub mod limit;
pub mod log;
pub mod money;
pub mod reject;
pub mod time;
pub mod view;

pub use crate::farm::{Farm, Policy};
pub use command::Command;
pub use effect::{Effect, Reply};
pub use reject::Reject;
