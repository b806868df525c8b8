//! Bad scene files: each is refused before memory is taken, in words that name the thing.

use crate::scene_draft::{Draft, load_bytes, load_file, refusal};
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;

#[test]
fn the_draft_itself_loads_both_ways() {
    let draft = Draft::quad();
    assert_eq!(draft.load().unwrap().triangles.len(), 2);
    assert_eq!(load_bytes(&draft.gltf()).unwrap().triangles.len(), 2);
}

#[test]
fn a_missing_texture_is_named() {
    let mut draft = Draft::quad();
    draft.paint(json!({"uri": "wood.png"}));
    assert_eq!(
        refusal(load_bytes(&draft.gltf())),
        "scene.gltf: texture 0 (`wood.png`) is missing; add it beside the .gltf or pack a .glb"
    );
}

#[test]
fn a_truncated_glb_is_named() {
    let whole = Draft::quad().glb();
    for length in 0..whole.len() {
        assert!(load_bytes(&whole[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(
        refusal(load_bytes(&whole[..whole.len() - 1])),
        format!(
            "scene.glb: the GLB is cut off: it says {} bytes and has {}; copy or export it again",
            whole.len(),
            whole.len() - 1
        )
    );
}

#[test]
fn accessors_out_of_bounds_are_named() {
    let mut draft = Draft::quad();
    draft.json["accessors"][0]["count"] = json!(5);
    let text = draft.refusal();
    assert!(text.contains("accessor 0 reaches out of bounds: 5 elements"), "{text}");

    let mut draft = Draft::quad();
    draft.json["accessors"][0]["byteOffset"] = json!(u64::MAX);
    assert!(draft.refusal().contains("accessor 0 reaches out of bounds"));

    let mut draft = Draft::quad();
    draft.json["bufferViews"][1]["byteLength"] = json!(4096);
    assert!(draft.refusal().contains("buffer view 1 reaches beyond buffer 0"));

    let mut draft = Draft::quad();
    draft.bytes[128] = 77;
    let text = draft.refusal();
    assert!(
        text.contains("mesh 0 primitive 0: index 0 is out of bounds: vertex 77 of 4"),
        "{text}"
    );

    let mut draft = Draft::quad();
    draft.json["meshes"][0]["primitives"][0]["indices"] = json!(9);
    let text = draft.refusal();
    assert!(text.contains("mesh 0 primitive 0 names accessor 9, but there are 4"), "{text}");
}

#[test]
fn a_billion_vertices_take_no_memory() {
    let mut draft = Draft::quad();
    draft.json["accessors"][0] =
        json!({"componentType": 5126, "count": 1_000_000_000, "type": "VEC3"});
    let text = draft.refusal();
    assert!(text.contains("accessor 0 declares 1000000000 elements; the limit is"), "{text}");
}

#[test]
fn repeated_meshes_meet_the_triangle_limit() {
    let mut draft = Draft::quad();
    let count = 1 << 16;
    let indices = draft.append(&vec![0; 3 * 2 * count]);
    draft.json["accessors"][3] =
        json!({"bufferView": indices, "componentType": 5123, "count": 3 * count, "type": "SCALAR"});
    let nodes: Vec<_> = (0..64).map(|_| json!({"mesh": 0})).collect();
    draft.json["scenes"][0]["nodes"] = json!((0..64).collect::<Vec<_>>());
    draft.json["nodes"] = json!(nodes);
    let text = draft.refusal();
    assert!(text.contains("more than 1198372 triangles; simplify its meshes"), "{text}");
}

#[test]
fn positions_that_are_no_numbers_are_named() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut draft = Draft::quad();
        draft.set_float(16, value);
        let text = draft.refusal();
        assert!(text.contains("the position of vertex 1 is not a number"), "{text}");
    }
    let mut draft = Draft::quad();
    draft.set_float(0, 1e30);
    assert!(draft.refusal().contains("node 0 puts a vertex farther than 1e9 metres away"));
}

#[test]
fn node_cycles_and_double_parents_are_named() {
    let mut draft = Draft::quad();
    draft.json["nodes"] = json!([{"mesh": 0}, {"children": [2]}, {"children": [1]}]);
    draft.json["scenes"][0]["nodes"] = json!([0]);
    assert!(draft.refusal().contains("node 1 is in a cycle: it is its own ancestor"));

    draft.json["nodes"] = json!([{"children": [0]}]);
    assert!(draft.refusal().contains("node 0 is in a cycle"));

    draft.json["nodes"] = json!([{"children": [2]}, {"children": [2]}, {"mesh": 0}]);
    assert!(draft.refusal().contains("node 2 is the child of node 0 and of node 1"));
}

#[test]
fn a_chain_of_nodes_is_walked_without_recursion() {
    let mut draft = Draft::quad();
    let depth = 200_000;
    let mut nodes: Vec<_> = (1..depth).map(|next| json!({"children": [next]})).collect();
    nodes.push(json!({"mesh": 0}));
    draft.json["nodes"] = json!(nodes);
    draft.json["scenes"][0]["nodes"] = json!([0]);
    assert_eq!(draft.load().unwrap().triangles.len(), 2);
}

#[test]
fn cameras_that_see_no_area_are_named() {
    for yfov in [0.0, -1.0, 4.0, 1e-300] {
        let mut draft = Draft::quad();
        draft.json["cameras"][0]["perspective"]["yfov"] = json!(yfov);
        let text = draft.refusal();
        assert!(text.contains("camera 0 sees a zero or impossible area"), "{text}");
    }
    for scale in [json!([1, 1, 0]), json!([0, 0, 0]), json!([0, 1, 1])] {
        let mut draft = Draft::quad();
        draft.json["nodes"][1]["scale"] = scale;
        let text = draft.refusal();
        assert!(text.contains("camera 0 sees a zero area: the matrix of node 1 is"), "{text}");
    }
    let mut draft = Draft::quad();
    for (xmag, ymag) in [(0, 1), (1, 0)] {
        draft.json["cameras"][0] =
            json!({"type": "orthographic", "orthographic": {"xmag": xmag, "ymag": ymag}});
        assert!(draft.refusal().contains("camera 0 sees a zero or impossible area: its xmag is"));
    }
    draft.json["cameras"][0] = json!({"type": "orthographic"});
    assert!(draft.refusal().contains("camera 0 is of no known kind"));
}

#[test]
fn without_a_camera_a_view_is_chosen_aloud() {
    let mut draft = Draft::quad();
    draft.json["scenes"][0]["nodes"] = json!([0]);
    let scene = draft.load().unwrap();
    assert!(scene.notes.iter().any(|note| note.contains("no camera: a view of everything")));
    let toward: f32 =
        (0..3).map(|i| -scene.cameras[0].position[i] * scene.cameras[0].forward[i]).sum();
    assert!(toward > 1.0, "it looks at the quad around the origin");
}

#[test]
fn without_any_light_a_grey_sky_is_chosen_aloud() {
    let mut draft = Draft::quad();
    draft.json["materials"][0] = json!({});
    let scene = draft.load().unwrap();
    assert!(scene.notes.iter().any(|note| note.contains("even grey sky")));
    assert_eq!(scene.environment.texels[0].radiance, [0.5; 3]);
}

#[test]
fn uris_out_of_the_folder_are_refused() {
    for (uri, words) in [
        ("../secret.png", "points outside the scene's folder; move it beside the .gltf"),
        ("%2e%2e/secret.png", "points outside the scene's folder"),
        ("/etc/hostname", "points outside the scene's folder"),
        ("http://example.com/a.png", "is at `http:…`; only files beside the .gltf are read"),
        ("file:///etc/hostname", "is at `file:…`"),
    ] {
        let mut draft = Draft::quad();
        draft.paint(json!({"uri": uri}));
        let text = draft.refusal();
        assert!(text.starts_with("scene.glb: texture 0") && text.contains(words), "{text}");
    }
}

#[test]
fn json_that_never_ends_is_refused() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let text = format!(r#"{{"asset":{{"version":"2.0"}},"extras":{deep}}}"#);
    assert!(refusal(load_bytes(text.as_bytes())).contains("no triangles to draw"));
    let text = format!(r#"{{"asset":{{"version":"2.0"}},"nodes":{deep}}}"#);
    assert!(refusal(load_bytes(text.as_bytes())).contains("invalid type: sequence"));
    let wide = "{},".repeat(1 << 18);
    let text = format!(r#"{{"asset":{{"version":"2.0"}},"nodes":[{wide}{{}}]}}"#);
    assert!(refusal(load_bytes(text.as_bytes())).contains("a list has more than 262144 items"));
}

#[test]
fn pictures_that_swell_are_refused_before_decoding() {
    let mut header = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    header.extend([0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30, 8, 6, 0, 0, 0]);
    let sum = crc32(&header[12..]);
    header.extend(sum.to_be_bytes());
    header.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    let mut draft = Draft::quad();
    let view = draft.append(&header);
    draft.paint(json!({"bufferView": view}));
    let text = draft.refusal();
    assert!(text.contains("texture 0 has 30000×30000 pixels; the limit is 16384"), "{text}");
}

#[test]
fn pictures_that_are_none_are_named() {
    for (bytes, words) in [
        (&b"\x89PNG\r\n\x1a\nxxxx"[..], "texture 0 is damaged"),
        (b"\xff\xd8\xff\xe0\0\x10", "texture 0 is damaged"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "texture 0 is damaged"),
        (b"hello", "texture 0 is of an unknown format; save it as PNG, JPEG, WebP or KTX2"),
    ] {
        let mut draft = Draft::quad();
        let view = draft.append(bytes);
        draft.paint(json!({"bufferView": view}));
        let text = draft.refusal();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn required_extensions_are_named() {
    let mut draft = Draft::quad();
    draft.json["extensionsRequired"] = json!(["ACME_voxels"]);
    let text = draft.refusal();
    assert!(text.contains("requires the extension ACME_voxels, which is not supported"), "{text}");
    draft.json["extensionsRequired"] = json!([]);
    draft.json["extensionsUsed"] = json!(["ACME_voxels"]);
    let notes = draft.load().unwrap().notes;
    assert!(notes.contains(&"extension ACME_voxels is not supported: ignored".to_owned()));
}

#[test]
fn the_known_malformed_files_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/malformed");
    for (file, words) in [
        ("Compatibility_05.gltf", "requires the extension FAKE_materials_quantumRendering"),
        ("chunk_too_big.glb", "cut off in the header of chunk 0"),
        ("empty_file.glb", "the file is empty"),
        ("index_buffer_oob.gltf", "index 5 is out of bounds: vertex 5 of 4"),
        ("integer-out-of-bounds.gltf", "1e+300"),
        ("invalid-primitive-indices.gltf", "names accessor 1, but there are 1 of them"),
        ("invalid_elements_float.gltf", "no triangles to draw"),
        ("invalid_json_chunk.glb", "its JSON is not a glTF document"),
        ("node_loop.gltf", "node 0 is in a cycle"),
        ("non_relative_uri.gltf", "buffer 0 is at `http:…`"),
        ("truncated_chunk_data.glb", "the GLB is cut off"),
    ] {
        let text = refusal(load_file(&folder.join(file)));
        assert!(text.starts_with(file) && text.contains(words), "{text}");
    }
}

/// CRC-32 of a PNG chunk (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 }
        })
    })
}

/// A GLB with every kind of part: picture, sparse accessor, light, hierarchy.
fn rich() -> Vec<u8> {
    let mut draft = Draft::quad();
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbaImage::from_pixel(3, 2, image::Rgba([200, 100, 50, 255]))
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    let view = draft.append(&png.into_inner());
    draft.paint(json!({"bufferView": view}));
    draft.json["materials"][0]["normalTexture"] = json!({"index": 0});
    let places = draft.append(&[1, 0]);
    let values = draft.append(&[0; 12]);
    draft.json["accessors"][0]["sparse"] = json!({"count": 1,
        "indices": {"bufferView": places, "componentType": 5123},
        "values": {"bufferView": values}});
    draft.json["extensions"] =
        json!({"KHR_lights_punctual": {"lights": [{"type": "spot", "spot": {}}]}});
    draft.json["nodes"][1]["extensions"] = json!({"KHR_lights_punctual": {"light": 0}});
    draft.glb()
}

#[test]
fn the_rich_file_loads() {
    let scene = load_bytes(&rich()).unwrap();
    assert_eq!((scene.lights.len(), scene.textures.len(), scene.texels.len()), (1, 2, 6));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn changed_bytes_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut file = rich();
        for (at, value) in &changes {
            let at = at.index(file.len());
            file[at] = *value;
        }
        if let Ok(scene) = load_bytes(&file) {
            prop_assert!(scene.triangles.len() <= 2 && scene.texels.len() <= 6 * 256);
        }
    }

    #[test]
    fn changed_digits_never_panic(at in any::<prop::sample::Index>(), digit in b'0'..=b'9') {
        let mut file = rich();
        let digits: Vec<_> = (20..file.len()).filter(|&at| file[at].is_ascii_digit()).collect();
        file[digits[at.index(digits.len())]] = digit;
        let _ = load_bytes(&file);
    }
}
