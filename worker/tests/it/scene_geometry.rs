//! What becomes of meshes, nodes, materials, textures and lights of valid files.

use crate::scene_draft::Draft;
use serde_json::json;
use shaders::{ALPHA_MASK, LIGHT_SPOT, NONE, WRAP_CLAMP, WRAP_MIRROR};

fn close(a: [f32; 3], b: [f32; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

#[test]
fn a_quad_becomes_two_triangles() {
    let scene = Draft::quad().load().unwrap();
    let first = scene.triangles.iter().find(|t| t.primitive == 0).unwrap();
    assert_eq!(first.corner, [-1.0, -1.0, 0.0]);
    assert_eq!((first.edge1, first.edge2), ([2.0, 0.0, 0.0], [2.0, 2.0, 0.0]));
    assert_eq!(scene.surfaces[0].tangent, [[0.0; 3]; 3]);
    assert_eq!(scene.cameras[0].position, [0.0, 0.0, 3.0]);
    assert_eq!(scene.cameras[0].forward, [0.0, 0.0, -1.0]);
    let half = libm::tan(0.4) as f32;
    assert!(close(scene.cameras[0].up, [0.0, half, 0.0]));
    assert!(close(scene.cameras[0].right, [half, 0.0, 0.0]));
}

#[test]
fn hierarchies_multiply_and_mirrors_turn_winding() {
    let mut draft = Draft::quad();
    draft.json["nodes"] = json!([
        {"children": [2], "translation": [10, 0, 0], "scale": [2, 2, 2]},
        {"camera": 0, "translation": [0, 0, 3]},
        {"mesh": 0, "matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 5, 1]},
    ]);
    let scene = draft.load().unwrap();
    let first = scene.triangles.iter().find(|t| t.primitive == 0).unwrap();
    assert_eq!(first.corner, [12.0, -2.0, 10.0]);
    let facing = first.edge1[0] * first.edge2[1] - first.edge1[1] * first.edge2[0];
    assert!(facing > 0.0, "the front still faces +Z");
    assert!(close(scene.surfaces[0].normal[0], [0.0, 0.0, 1.0]));
}

#[test]
fn rotations_are_quaternions() {
    let mut draft = Draft::quad();
    let half = 0.5f64.sqrt();
    draft.json["nodes"][0]["rotation"] = json!([0, half, 0, half]);
    let scene = draft.load().unwrap();
    assert!(close(scene.surfaces[0].normal[0], [1.0, 0.0, 0.0]));
    draft.json["nodes"][0]["rotation"] = json!([0, 0, 0, 0]);
    assert!(draft.refusal().contains("the rotation of node 0 is not a quaternion"));
}

#[test]
fn strips_and_fans_give_the_same_quad() {
    for (mode, order) in [(5u32, [0u16, 1, 3, 2]), (6, [0, 1, 2, 3])] {
        let mut draft = Draft::quad();
        let bytes: Vec<u8> = order.iter().flat_map(|index| index.to_le_bytes()).collect();
        let view = draft.append(&bytes);
        draft.json["accessors"][3] =
            json!({"bufferView": view, "componentType": 5123, "count": 4, "type": "SCALAR"});
        draft.json["meshes"][0]["primitives"][0]["mode"] = json!(mode);
        let scene = draft.load().unwrap();
        assert_eq!(scene.triangles.len(), 2);
        for triangle in &scene.triangles {
            let (a, b) = (triangle.edge1, triangle.edge2);
            assert_eq!(a[0] * b[1] - a[1] * b[0], 4.0, "mode {mode} keeps the winding");
        }
    }
}

#[test]
fn points_and_lines_are_left_out_aloud() {
    let mut draft = Draft::quad();
    let mut lines = draft.json["meshes"][0]["primitives"][0].clone();
    lines["mode"] = json!(1);
    draft.json["meshes"][0]["primitives"].as_array_mut().unwrap().push(lines);
    let scene = draft.load().unwrap();
    assert_eq!(scene.triangles.len(), 2);
    assert!(scene.notes.contains(&"lines are not drawn".to_owned()));
}

#[test]
fn triangles_without_area_are_dropped_aloud() {
    let mut draft = Draft::quad();
    draft.bytes[128 + 2] = 0;
    let scene = draft.load().unwrap();
    assert_eq!(scene.triangles.len(), 1);
    assert!(scene.notes.contains(&"1 triangles without area were dropped".to_owned()));
}

#[test]
fn missing_normals_are_flat() {
    let mut draft = Draft::quad();
    draft.json["meshes"][0]["primitives"][0]["attributes"] = json!({"POSITION": 0});
    let scene = draft.load().unwrap();
    assert_eq!(scene.surfaces[0].normal, [[0.0, 0.0, 1.0]; 3]);
}

#[test]
fn sparse_accessors_replace_elements() {
    let mut draft = Draft::quad();
    let places = draft.append(&[2]);
    let value: Vec<u8> = [5.0f32, 6.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let values = draft.append(&value);
    draft.json["accessors"][0]["sparse"] = json!({"count": 1,
        "indices": {"bufferView": places, "componentType": 5121},
        "values": {"bufferView": values}});
    let scene = draft.load().unwrap();
    let first = scene.triangles.iter().find(|t| t.primitive == 0).unwrap();
    assert_eq!(first.edge2, [6.0, 7.0, 0.0]);
    draft.json["accessors"][0]["sparse"]["count"] = json!(5);
    assert!(draft.refusal().contains("the sparse part of accessor 0 has more elements"));
}

#[test]
fn strides_and_normalised_integers_are_read() {
    let mut draft = Draft::quad();
    let corners: [[i8; 4]; 4] =
        [[-127, -127, 0, 99], [127, -127, 0, 99], [127, 127, 0, 99], [-128, 127, 0, 99]];
    let bytes: Vec<u8> = corners.iter().flatten().map(|c| *c as u8).collect();
    let view = draft.append(&bytes);
    draft.json["bufferViews"][view]["byteStride"] = json!(4);
    draft.json["accessors"][0] = json!({"bufferView": view, "componentType": 5120, "count": 4,
        "type": "VEC3", "normalized": true});
    let scene = draft.load().unwrap();
    let second = scene.triangles.iter().find(|t| t.primitive == 1).unwrap();
    assert_eq!((second.corner, second.edge2), ([-1.0, -1.0, 0.0], [0.0, 2.0, 0.0]));
    draft.json["bufferViews"][view]["byteStride"] = json!(2);
    assert!(draft.refusal().contains("a stride of 2 bytes does not fit its 3-byte elements"));
}

/// A quad with a 2×2 picture in every slot.
fn painted() -> Draft {
    let mut draft = Draft::quad();
    let mut png = std::io::Cursor::new(Vec::new());
    let mut picture = image::RgbaImage::new(2, 2);
    picture.put_pixel(1, 0, image::Rgba([1, 2, 3, 4]));
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let view = draft.append(&png.into_inner());
    draft.paint(json!({"bufferView": view}));
    draft.json["textures"] = json!([{"source": 0, "sampler": 0}, {"source": 0}]);
    draft.json["samplers"] = json!([{"wrapS": 33071, "wrapT": 33648, "magFilter": 9728}]);
    draft.json["materials"][0]["normalTexture"] = json!({"index": 1, "scale": 0.5});
    draft.json["materials"][0]["pbrMetallicRoughness"]["metallicRoughnessTexture"] =
        json!({"index": 1});
    draft
}

#[test]
fn textures_share_texels_and_keep_samplers() {
    let scene = painted().load().unwrap();
    let material = scene.materials[0];
    assert_eq!(scene.texels[1], 0x0403_0201);
    assert_eq!((scene.texels.len(), scene.textures.len()), (4, 2));
    let color = scene.textures[material.base_color_texture as usize];
    assert_eq!((color.wrap_s, color.wrap_t), (WRAP_CLAMP, WRAP_MIRROR));
    assert_eq!((color.nearest, color.srgb, color.width, color.height), (1, 1, 2, 2));
    let bumps = scene.textures[material.normal_texture as usize];
    assert_eq!((bumps.nearest, bumps.srgb, bumps.first), (0, 0, 0));
    assert_eq!(material.metallic_roughness_texture, material.normal_texture);
    assert_eq!((material.emissive_texture, material.normal_scale), (NONE, 0.5));
}

#[test]
fn tangents_follow_u_where_bumps_need_them() {
    let mut draft = painted();
    let scene = draft.load().unwrap();
    assert_eq!(scene.surfaces[0].uv, [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]);
    let surface = scene.surfaces[0];
    assert_eq!((surface.tangent, surface.handed), ([[1.0, 0.0, 0.0]; 3], 1.0));
    for at in [96, 104, 112, 120] {
        let u = f32::from_le_bytes(draft.bytes[at..at + 4].try_into().unwrap());
        draft.set_float(at, 1.0 - u);
    }
    let scene = draft.load().unwrap();
    let surface = scene.surfaces[0];
    assert_eq!((surface.tangent, surface.handed), ([[-1.0, 0.0, 0.0]; 3], -1.0), "mirrored u");
}

#[test]
fn made_tangents_are_shared_by_smooth_neighbours() {
    // Texture places of the second triangle are turned by an eighth: MikkTSpace takes the mean
    // where both triangles meet, and each one's own elsewhere.
    let mut draft = painted();
    let places = [[0.0f32, 1.0], [1.0, 1.0], [1.0, 0.0], [0.5, -0.5]];
    for (at, [u, v]) in places.iter().enumerate() {
        draft.set_float(96 + at * 8, *u);
        draft.set_float(100 + at * 8, *v);
    }
    let scene = draft.load().unwrap();
    let [first, second] = [scene.surfaces[0], scene.surfaces[1]];
    assert!(close(first.tangent[1], [1.0, 0.0, 0.0]), "{first:?}");
    assert_eq!((first.tangent[0], first.tangent[2]), (second.tangent[0], second.tangent[1]));
    assert!(!close(second.tangent[2], second.tangent[1]) && first.handed == 1.0);
}

#[test]
fn tangents_of_the_file_count_before_made_ones() {
    let mut draft = painted();
    let bytes: Vec<u8> =
        [0.0f32, 1.0, 0.0, -1.0].repeat(4).iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = draft.append(&bytes);
    draft.json["accessors"]
        .as_array_mut()
        .unwrap()
        .push(json!({"bufferView": view, "componentType": 5126, "count": 4, "type": "VEC4"}));
    draft.json["meshes"][0]["primitives"][0]["attributes"]["TANGENT"] = json!(4);
    let surface = draft.load().unwrap().surfaces[0];
    assert_eq!((surface.tangent, surface.handed), ([[0.0, 1.0, 0.0]; 3], -1.0));
    draft.json["nodes"][0]["scale"] = json!([-1, 1, 1]);
    let surface = draft.load().unwrap().surfaces[0];
    assert_eq!((surface.tangent, surface.handed), ([[0.0, 1.0, 0.0]; 3], 1.0), "mirrored");
}

#[test]
fn a_fan_of_thousands_has_tangents_without_recursion() {
    let mut draft = painted();
    let order: Vec<u8> =
        [0u16, 1, 2].repeat(100_000).iter().flat_map(|i| i.to_le_bytes()).collect();
    let view = draft.append(&order);
    draft.json["accessors"][3] =
        json!({"bufferView": view, "componentType": 5123, "count": 300_000, "type": "SCALAR"});
    let scene = draft.load().unwrap();
    assert_eq!(scene.surfaces[99_999].tangent, [[1.0, 0.0, 0.0]; 3]);
}

#[test]
fn instances_stand_where_their_attributes_say() {
    let mut draft = Draft::quad();
    let mut attribute = |kind: &str, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = draft.append(&bytes);
        let accessors = draft.json["accessors"].as_array_mut().unwrap();
        accessors.push(json!({"bufferView": view, "componentType": 5126, "count": 2,
            "type": kind}));
        accessors.len() - 1
    };
    let moves = attribute("VEC3", &[0.0, 0.0, 0.0, 5.0, 0.0, 0.0]);
    let sizes = attribute("VEC3", &[1.0, 1.0, 1.0, -2.0, 2.0, 2.0]);
    draft.json["extensionsRequired"] = json!(["EXT_mesh_gpu_instancing"]);
    draft.json["nodes"][0]["translation"] = json!([0, 0, 1]);
    draft.json["nodes"][0]["extensions"] = json!({"EXT_mesh_gpu_instancing":
        {"attributes": {"TRANSLATION": moves, "SCALE": sizes}}});
    let scene = draft.load().unwrap();
    let corner =
        |at: u32| scene.triangles.iter().find(|triangle| triangle.primitive == at).unwrap().corner;
    assert_eq!((corner(0), corner(2)), ([-1.0, -1.0, 1.0], [7.0, -2.0, 1.0]));
    assert!(close(scene.surfaces[2].normal[0], [0.0, 0.0, 1.0]));
    draft.json["accessors"][sizes]["count"] = json!(1);
    assert!(draft.refusal().contains("EXT_mesh_gpu_instancing: its attributes have different"));
    let many = json!({"componentType": 5126, "count": 1 << 21, "type": "VEC3"});
    (draft.json["accessors"][sizes], draft.json["accessors"][moves]) = (many.clone(), many);
    assert!(draft.refusal().contains("more than 1048576 instances; leave some out"));
}

#[test]
fn materials_carry_their_factors() {
    let mut draft = Draft::quad();
    draft.json["materials"][0] = json!({
        "pbrMetallicRoughness":
            {"baseColorFactor": [0.5, 0.25, 2.0, 1.0], "metallicFactor": 0.0},
        "emissiveFactor": [1, 0.5, 0], "doubleSided": true, "alphaMode": "MASK",
        "extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": 8}},
    });
    let scene = draft.load().unwrap();
    let material = scene.materials[0];
    assert_eq!(material.base_color, [0.5, 0.25, 1.0, 1.0]);
    assert_eq!((material.metallic, material.roughness), (0.0, 1.0));
    assert_eq!(material.emissive, [8.0, 4.0, 0.0]);
    assert_eq!((material.alpha_mode, material.alpha_cutoff), (ALPHA_MASK, 0.5));
    assert_eq!(material.double_sided, 1);
    draft.json["materials"][0]["alphaMode"] = json!("GLASS");
    assert!(draft.refusal().contains("material 0 has the unknown alpha mode `GLASS`"));
}

#[test]
fn a_primitive_without_material_has_the_default_one() {
    let mut draft = Draft::quad();
    draft.json["meshes"][0]["primitives"][0].as_object_mut().unwrap().remove("material");
    let scene = draft.load().unwrap();
    let material = scene.materials[scene.triangles[0].material as usize];
    assert_eq!((material.base_color, material.metallic), ([1.0; 4], 1.0));
}

#[test]
fn lights_are_placed_and_blender_is_divided() {
    let mut draft = Draft::quad();
    draft.json["extensions"] = json!({"KHR_lights_punctual": {"lights": [{"type": "spot",
        "intensity": 1366, "color": [1, 0.5, 0], "range": 7, "spot": {"outerConeAngle": 1.0}}]}});
    draft.json["nodes"][1]["extensions"] = json!({"KHR_lights_punctual": {"light": 0}});
    let scene = draft.load().unwrap();
    let light = scene.lights[0];
    assert_eq!((light.kind, light.range), (LIGHT_SPOT, 7.0));
    assert_eq!((light.position, light.direction), ([0.0, 0.0, 3.0], [0.0, 0.0, -1.0]));
    assert_eq!(light.color, [1366.0, 683.0, 0.0]);
    let at = |cosine: f32| cosine * light.angle_scale + light.angle_offset;
    assert!((at(1.0) - 1.0).abs() < 1e-5 && at(libm::cosf(1.0)).abs() < 1e-5);
    draft.json["asset"]["generator"] = json!("Khronos glTF Blender I/O v4.5");
    let scene = draft.load().unwrap();
    assert!(close(scene.lights[0].color, [2.0, 1.0, 0.0]));
    assert!(scene.notes.iter().any(|note| note.contains("divided by 683")));
    draft.json["extensions"]["KHR_lights_punctual"]["lights"][0]["spot"] =
        json!({"innerConeAngle": 2.0});
    assert!(draft.refusal().contains("light 0 (spot) of node 1 is not one"));
}
