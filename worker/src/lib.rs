//! A worker: a link to the scheduler plus engines behind one small trait.

pub mod engine;
pub mod render;
pub mod vulkan;
