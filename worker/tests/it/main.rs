//! Integration tests of the worker.
#![allow(clippy::unwrap_used)]

mod aims;
mod aov;
mod camera;
mod chi_square;
mod devices;
mod engines;
mod exact;
mod furnace;
mod infer;
mod lobes;
mod motion;
mod networks;
mod procedural;
mod reference;
mod repeated;
mod scene_bundle;
mod scene_bvh;
mod scene_decoders;
mod scene_demo;
mod scene_draft;
mod scene_environment;
mod scene_geometry;
mod scene_motion;
mod scene_names;
mod scene_refusals;
mod scene_settings;
mod scene_surfaces;
mod spirv;
mod tiles;
