//! Image files: the size that is read first must be what the decoder gives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use worker::render::scene::picture;

/// Larger pictures are right but slow.
const PIXELS_MAX: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok((width, height)) = picture::size(bytes, "it") else { return };
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return;
    }
    if let Ok(pixels) = picture::decode(bytes, (width, height), "it") {
        assert_eq!(pixels.texels.len(), (width * height) as usize);
    }
});
