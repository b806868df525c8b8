//! Compressed meshes and pictures: what each decoder makes of a good file, and that no bad one
//! brings it down.

use crate::scene_draft::Draft;
use draco_core::{
    DataType, EncoderBuffer, EncoderOptions, FaceIndex, GeometryAttributeType, Mesh, MeshEncoder,
    PointAttribute, PointIndex,
};
use proptest::prelude::*;
use serde_json::json;

/// A quad with a picture that needs an extension.
fn painted(extension: &str, picture: &[u8]) -> Draft {
    let mut draft = Draft::quad();
    let view = draft.append(picture);
    draft.paint(json!({"bufferView": view}));
    draft.json["textures"] = json!([{"extensions": {extension: {"source": 0}}}]);
    draft.json["extensionsRequired"] = json!([extension]);
    draft
}

fn webp() -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut file);
    let texels = [[1, 2, 3, 255], [250, 0, 128, 9]].concat();
    encoder.encode(&texels, 2, 1, image::ExtendedColorType::Rgba8).unwrap();
    file
}

/// KTX2 of one UASTC block (UASTC LDR 4x4 texture specification, mode 8: one colour).
fn ktx2([r, g, b, a]: [u8; 4]) -> Vec<u8> {
    let mut file = b"\xabKTX 20\xbb\r\n\x1a\n".to_vec();
    // Format, type size, size, depth, layers, faces, levels, no supercompression.
    let header = [0, 1, 4, 4, 0, 0, 1, 1, 0];
    let descriptor_at = 80 + 24;
    header.iter().for_each(|word: &u32| file.extend(word.to_le_bytes()));
    [descriptor_at, 44, 0, 0, 0, 0, 0, 0].iter().for_each(|word: &u32| {
        file.extend(word.to_le_bytes());
    });
    [u64::from(descriptor_at) + 44, 16, 16].iter().for_each(|word| {
        file.extend(word.to_le_bytes());
    });
    // Total size, vendor and type, version and size, model UASTC with BT.709 and sRGB, 4×4 texels,
    // 16 bytes, then one sample of RGBA.
    let sample = [127 << 16 | 3 << 24, 0, 0, u32::MAX];
    let descriptor = [44, 0, 2 | 40 << 16, 166 | 1 << 8 | 2 << 16, 3 | 3 << 8, 16, 0];
    descriptor.iter().chain(&sample).for_each(|word: &u32| file.extend(word.to_le_bytes()));
    let color = u128::from(u32::from_le_bytes([r, g, b, a]));
    file.extend((0x17 | color << 5).to_le_bytes());
    file
}

#[test]
fn webp_pictures_are_read() {
    let draft = painted("EXT_texture_webp", &webp());
    assert_eq!(draft.load().unwrap().texels, [0xff03_0201, 0x0980_00fa]);
    let mut draft = painted("EXT_texture_webp", &webp()[..20]);
    assert!(draft.refusal().contains("texture 0 is damaged"));
    draft.json["textures"] = json!([{}]);
    assert!(draft.refusal().contains("texture 0 has no image that is known; convert it to PNG"));
}

#[test]
fn ktx2_pictures_are_read() {
    let draft = painted("KHR_texture_basisu", &ktx2([200, 100, 50, 255]));
    assert_eq!(draft.load().unwrap().texels, [0xff32_64c8; 16]);
}

#[test]
fn ktx2_files_that_are_no_picture_are_named() {
    let good = ktx2([0; 4]);
    let changed = |at: usize, value: u32| {
        let mut file = good.clone();
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        painted("KHR_texture_basisu", &file).refusal()
    };
    for (text, words) in [
        (changed(20, 1 << 20), "has 1048576×4 pixels; the limit is 16384 a side"),
        (changed(28, 4), "holds more than one picture"),
        (changed(32, 2), "holds more than one picture"),
        (changed(36, 6), "holds more than one picture"),
        (changed(40, 40), "has 40 levels of detail"),
        (changed(44, 7), "is damaged"),
        (changed(96, 1 << 30), "level 0 is larger than its picture"),
        (changed(8, 0), "is not KTX 2.0"),
        (painted("KHR_texture_basisu", &good[..60]).refusal(), "cut off in its KTX2 header"),
    ] {
        assert!(text.contains("texture 0") && text.contains(words), "{text}");
    }
}

/// The quad's positions and texture places as Draco has them.
fn draco() -> Vec<u8> {
    let mut mesh = Mesh::new();
    let corners: [[f32; 2]; 4] = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
    let mut add = |kind, width: u8, values: &[f32]| {
        let mut attribute = PointAttribute::new();
        attribute.init(kind, width, DataType::Float32, false, 4);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        attribute.buffer_mut().write(0, &bytes);
        mesh.add_attribute(attribute)
    };
    let flat: Vec<f32> = corners.iter().flat_map(|[x, y]| [*x, *y, 0.0]).collect();
    add(GeometryAttributeType::Position, 3, &flat);
    add(GeometryAttributeType::TexCoord, 2, corners.as_flattened());
    mesh.set_num_faces(2);
    mesh.set_face(FaceIndex(0), [0, 1, 2].map(PointIndex));
    mesh.set_face(FaceIndex(1), [0, 2, 3].map(PointIndex));
    let mut encoder = MeshEncoder::new();
    encoder.set_mesh(mesh);
    let mut out = EncoderBuffer::new();
    encoder.encode(&EncoderOptions::new(), &mut out).unwrap();
    out.data().to_vec()
}

fn compressed(bytes: &[u8]) -> Draft {
    let mut draft = Draft::quad();
    let view = draft.append(bytes);
    let primitive = &mut draft.json["meshes"][0]["primitives"][0];
    primitive["attributes"] = json!({"POSITION": 0, "TEXCOORD_0": 2});
    primitive["extensions"] = json!({"KHR_draco_mesh_compression":
        {"bufferView": view, "attributes": {"POSITION": 0, "TEXCOORD_0": 1}}});
    for accessor in [0, 2, 3] {
        draft.json["accessors"][accessor].as_object_mut().unwrap().remove("bufferView");
    }
    draft.json["extensionsRequired"] = json!(["KHR_draco_mesh_compression"]);
    draft
}

#[test]
fn draco_meshes_are_read() {
    let scene = compressed(&draco()).load().unwrap();
    assert_eq!(scene.triangles.len(), 2);
    let (a, b) = (scene.triangles[0].edge1, scene.triangles[0].edge2);
    assert!((a[0] * b[1] - a[1] * b[0] - 4.0).abs() < 0.01, "winding is kept: {a:?} {b:?}");
}

#[test]
fn draco_meshes_that_do_not_fit_their_accessors_are_named() {
    let mut draft = compressed(&draco());
    draft.json["accessors"][0]["count"] = json!(5);
    let words = "mesh 0 primitive 0: accessor 0 declares 5 elements, its Draco data has 4";
    assert!(draft.refusal().contains(words));
    let mut draft = compressed(&draco());
    let extensions = &mut draft.json["meshes"][0]["primitives"][0]["extensions"];
    extensions["KHR_draco_mesh_compression"]["attributes"]["TEXCOORD_0"] = json!(9);
    assert!(draft.refusal().contains("mesh 0 primitive 0: its Draco data has no attribute 9"));
    let text = compressed(&draco()[..20]).refusal();
    assert!(text.contains("mesh 0 primitive 0: its Draco data is damaged"), "{text}");
}

/// The quad's positions as raw meshopt deltas in blocks of 16 bytes, its indices as two codes.
fn meshopt() -> (Vec<u8>, Vec<u8>) {
    let corners: [[f32; 3]; 4] =
        [[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]];
    let elements = corners.map(|corner| {
        let words = corner.map(f32::to_le_bytes);
        std::array::from_fn::<u8, 12, _>(|at| words[at / 4][at % 4])
    });
    let mut file = vec![0xa0];
    for at in 0..12 {
        // One group of kind 3: sixteen bytes.
        file.push(3);
        let mut last = elements[0][at];
        let mut deltas = [0_u8; 16];
        for (element, delta) in elements.iter().zip(&mut deltas) {
            let change = element[at].wrapping_sub(last);
            *delta = (change << 1) ^ ((change as i8) >> 7) as u8;
            last = element[at];
        }
        file.extend(deltas);
    }
    file.extend([0; 20]);
    file.extend(elements[0]);
    // Three new vertices, then one on the newest edge.
    let triangles = [&[0xe1, 0xf0, 0x00][..], &[0; 16]].concat();
    (file, triangles)
}

fn packed(vertices: &[u8], triangles: &[u8]) -> Draft {
    let mut draft = Draft::quad();
    let view = |draft: &mut Draft, bytes: &[u8], length: usize, stride: usize, mode: &str| {
        let place = draft.append(bytes);
        let offset = draft.json["bufferViews"][place]["byteOffset"].clone();
        draft.json["bufferViews"][place] = json!({"buffer": 1, "byteLength": length,
            "extensions": {"EXT_meshopt_compression": {"buffer": 0, "byteOffset": offset,
                "byteLength": bytes.len(), "byteStride": stride, "count": length / stride,
                "mode": mode}}});
        place
    };
    let positions = view(&mut draft, vertices, 48, 12, "ATTRIBUTES");
    let indices = view(&mut draft, triangles, 12, 2, "TRIANGLES");
    draft.json["accessors"][0]["bufferView"] = json!(positions);
    draft.json["accessors"][3]["bufferView"] = json!(indices);
    draft.json["buffers"].as_array_mut().unwrap().push(json!({"byteLength": 1000,
        "extensions": {"EXT_meshopt_compression": {"fallback": true}}}));
    draft.json["extensionsRequired"] = json!(["EXT_meshopt_compression"]);
    draft
}

#[test]
fn meshopt_views_are_read() {
    let (vertices, triangles) = meshopt();
    let scene = packed(&vertices, &triangles).load().unwrap();
    let plain = Draft::quad().load().unwrap();
    assert_eq!(scene.triangles, plain.triangles);
}

#[test]
fn meshopt_views_that_cannot_be_are_named() {
    let (vertices, triangles) = meshopt();
    let draft = packed(&vertices, &triangles);
    let view = draft.json["accessors"][0]["bufferView"].as_u64().unwrap() as usize;
    let changed = |member: &str, value: serde_json::Value| {
        let mut draft = Draft { json: draft.json.clone(), bytes: draft.bytes.clone() };
        draft.json["bufferViews"][view]["extensions"]["EXT_meshopt_compression"][member] = value;
        draft.refusal()
    };
    for (text, words) in [
        (changed("count", json!(1_u64 << 40)), "has far fewer bytes than its elements need"),
        (changed("count", json!(u64::MAX)), "has too many elements"),
        (changed("byteStride", json!(0)), "has an impossible stride"),
        (changed("byteStride", json!(10)), "meshopt mode `ATTRIBUTES` of 10 bytes"),
        (changed("mode", json!("MAGIC")), "meshopt mode `MAGIC`"),
        (changed("filter", json!("OCTAHEDRAL")), "meshopt filter `OCTAHEDRAL` of 12 bytes"),
        (changed("byteLength", json!(100)), "its meshopt data is damaged"),
        (changed("byteOffset", json!(1_u64 << 40)), "reaches beyond buffer 0"),
    ] {
        assert!(text.contains(&format!("buffer view {view}")) && text.contains(words), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn changed_bytes_never_bring_a_decoder_down(
        kind in 0..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let spoil = |mut bytes: Vec<u8>| {
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            bytes
        };
        let draft = match kind {
            0 => painted("EXT_texture_webp", &spoil(webp())),
            1 => painted("KHR_texture_basisu", &spoil(ktx2([1, 2, 3, 4]))),
            2 => compressed(&spoil(draco())),
            _ => {
                let (vertices, triangles) = meshopt();
                packed(&spoil(vertices), &spoil(triangles))
            }
        };
        let _ = draft.load();
    }
}
