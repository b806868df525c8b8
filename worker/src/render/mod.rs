//! The render engine: an exact path tracer.

pub mod exact;
pub mod scene;
