//! The farm as one value. Pure: no input or output, no clock, no locks, no floats in a decision.
#![forbid(unsafe_code)]

pub mod agent;
pub mod appeal;
pub mod audit;
pub(crate) mod auditor;
pub mod chain;
pub mod command;
pub mod cut;
pub mod digest;
pub mod effect;
pub mod entry;
pub mod excerpt;
pub(crate) mod explain;
pub mod farm;
pub(crate) mod grant;
pub mod id;
pub mod job;
pub mod layout;
pub mod leaf;
pub(crate) mod lease;
pub(crate) mod ledger;
pub mod limit;
pub mod log;
pub mod model;
pub mod money;
pub(crate) mod order;
pub(crate) mod place;
pub(crate) mod prng;
pub mod proof;
pub(crate) mod ranges;
pub mod receipt;
pub mod reject;
pub(crate) mod report;
pub(crate) mod review;
pub(crate) mod roster;
pub(crate) mod settle;
pub(crate) mod stake;
pub mod tile;
pub mod time;
pub(crate) mod trial;
pub mod view;

pub use crate::farm::{Farm, Policy};
pub use command::Command;
pub use effect::{Effect, Effects, Reply};
pub use reject::Reject;
