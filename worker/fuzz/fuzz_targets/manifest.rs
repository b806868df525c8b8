//! A bundle's manifest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use worker::render::scene::Bundle;

fuzz_target!(|bytes: &[u8]| {
    let _ = Bundle::read(bytes, |_| Ok("somewhere".into()));
});
