//! Environment files: Radiance HDR and OpenEXR.
#![no_main]

use libfuzzer_sys::fuzz_target;
use worker::render::scene::Environment;
use worker::render::scene::notes::Notes;

fuzz_target!(|bytes: &[u8]| {
    let ending = if bytes.starts_with(b"#?") { "hdr" } else { "exr" };
    let name = format!("girih-fuzz-environment-{}.{ending}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("the temporary folder takes files");
    let _ = Environment::read(&path, &mut Notes::default());
});
