//! Integration tests of the scheduler: real directories, real processes, real gRPC over loopback.
#![allow(clippy::unwrap_used)]

mod calls;
mod crowd;
mod doors;
mod hand;
mod house;
mod journal;
mod links;
mod models;
mod process;
mod story;
mod uploads;
