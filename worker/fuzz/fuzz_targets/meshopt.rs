//! meshopt data: the first bytes choose mode, filter, stride and count.
#![no_main]

use libfuzzer_sys::fuzz_target;
use worker::render::scene::gltf::MeshoptView;
use worker::render::scene::meshopt;

const MODES: [&str; 3] = ["ATTRIBUTES", "TRIANGLES", "INDICES"];
const FILTERS: [&str; 4] = ["NONE", "OCTAHEDRAL", "QUATERNION", "EXPONENTIAL"];

fuzz_target!(|bytes: &[u8]| {
    let [mode, filter, stride, low, high, data @ ..] = bytes else { return };
    let view = MeshoptView {
        buffer: 0,
        byte_offset: 0,
        byte_length: data.len() as u64,
        byte_stride: u64::from(*stride),
        count: u64::from(*low) | u64::from(*high) << 8,
        mode: MODES[usize::from(*mode) % 3].into(),
        filter: Some(FILTERS[usize::from(*filter) % 4].into()),
    };
    let Ok(size) = meshopt::decoded_bytes(&view, data.len() as u64, "it") else { return };
    if let Ok(decoded) = meshopt::decode(&view, data, "it") {
        assert_eq!(decoded.len() as u64, size);
    }
});
