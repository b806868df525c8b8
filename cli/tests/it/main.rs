//! End to end: real processes, real sockets, a real Vulkan device.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod aovs;
mod chain;
mod cheat;
mod crash;
mod errors;
mod farm;
mod frames;
mod infer;
mod local;
mod models;
mod quote;
mod receipt;
mod sealed;
mod stake;
mod validate;
mod watermark;
