//! Integration tests of the worker.

mod devices;
mod exact;
mod spirv;
