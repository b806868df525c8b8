//! The loader on any bytes as a scene file of one file.
#![no_main]

use farm::digest::Digest;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use worker::render::scene::{Bundle, View, load};

fuzz_target!(|bytes: &[u8]| {
    let path: PathBuf =
        std::env::temp_dir().join(format!("girih-fuzz-scene-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("the temporary folder takes files");
    let manifest = format!("girih-bundle 1\n{} {} scene.glb\n", Digest::of(bytes), bytes.len());
    let bundle = Bundle::read(manifest.as_bytes(), |_| Ok(path.as_path().into()));
    let bundle = bundle.expect("it is a manifest");
    let view = View { frame: 7, fps: 24, width: 16, height: 8, neighbours: true };
    let _ = load(&bundle, None, view);
});
