//! Integration tests of the worker.

mod devices;
mod exact;
mod scene_draft;
mod scene_refusals;
mod spirv;
