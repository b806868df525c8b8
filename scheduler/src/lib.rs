//! The scheduler: a thin shell around the farm. It turns gRPC into commands, journals them, applies
//! them and performs the effects. It decides nothing.
#![forbid(unsafe_code)]

mod api;
mod auth;
mod blobs;
mod bundle;
mod config;
mod driver;
mod frames;
mod handout;
mod header;
pub mod journal;
mod kin;
mod made;
mod metrics;
mod outbox;
mod picture;
mod publish;
mod published;
mod receipt;
mod recover;
mod sealed;
mod secret;
mod server;
mod terms;
mod tiles;
mod tls;
mod vault;
mod watch;
mod web;

pub use config::Config;
pub use server::{Running, serve};
