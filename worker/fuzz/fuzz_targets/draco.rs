//! Draco data of a mesh with positions and texture places.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use worker::render::scene::draco;
use worker::render::scene::gltf::Document;

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let json = serde_json::json!({
        "asset": {"version": "2.0"},
        "meshes": [{"primitives": [{
            "attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2,
            "extensions": {"KHR_draco_mesh_compression":
                {"bufferView": 0, "attributes": {"POSITION": 0, "TEXCOORD_0": 1}}},
        }]}],
        "accessors": [
            {"componentType": 5126, "count": 4, "type": "VEC3"},
            {"componentType": 5126, "count": 4, "type": "VEC2"},
            {"componentType": 5123, "count": 6, "type": "SCALAR"},
        ],
    });
    Document::parse(json.to_string().as_bytes()).expect("it is a document")
});

fuzz_target!(|bytes: &[u8]| {
    let primitive = &DOCUMENT.meshes[0].primitives[0];
    let compressed = primitive.extensions.draco.as_ref().expect("it is compressed");
    let mut left = 1 << 26;
    let _ = draco::decode(&DOCUMENT, primitive, compressed, bytes, "it", &mut left);
});
