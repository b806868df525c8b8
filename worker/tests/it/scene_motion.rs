//! Animations, skins and morph targets: where things stand at a frame.

use crate::scene_draft::{Draft, VIEW, write};
use serde_json::{Value, json};
use worker::render::scene::{Bundle, Scene, SceneError, View, load};

fn at_frame(draft: &Draft, frame: u32) -> Result<Scene, SceneError> {
    let (_folder, path) = write(&draft.glb());
    load(&Bundle::open(&path)?, None, View { frame, fps: 10, ..VIEW })
}

/// Appends an accessor of floats; gives its number.
fn floats(draft: &mut Draft, kind: &str, width: usize, values: &[f32]) -> usize {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = draft.append(&bytes);
    let count = values.len() / width;
    accessor(
        draft,
        json!({"bufferView": view, "componentType": 5126, "count": count,
        "type": kind}),
    )
}

fn accessor(draft: &mut Draft, value: Value) -> usize {
    let accessors = draft.json["accessors"].as_array_mut().unwrap();
    accessors.push(value);
    accessors.len() - 1
}

/// Moves a node's `path` through `values` at seconds 1, 2 and so on.
fn animate(draft: &mut Draft, node: usize, path: &str, interpolation: &str, values: &[f32]) {
    let width = match path {
        "rotation" => 4,
        "weights" => 1,
        _ => 3,
    };
    let keys = if interpolation == "CUBICSPLINE" { 3 } else { 1 };
    let count = values.len() / width / keys;
    let times: Vec<f32> = (1..=count).map(|second| second as f32).collect();
    let input = floats(draft, "SCALAR", 1, &times);
    let kind = ["", "SCALAR", "", "VEC3", "VEC4"][width];
    let output = floats(draft, kind, width, values);
    let animations = draft.json.as_object_mut().unwrap();
    let animations = animations.entry("animations").or_insert(json!([]));
    animations.as_array_mut().unwrap().push(json!({
        "name": format!("clip of {path}"),
        "channels": [{"sampler": 0, "target": {"node": node, "path": path}}],
        "samplers": [{"input": input, "output": output, "interpolation": interpolation}],
    }));
}

/// The corner of the first triangle of the file.
fn corner(scene: &Scene) -> [f32; 3] {
    scene.triangles.iter().find(|triangle| triangle.primitive == 0).unwrap().corner
}

fn close(a: [f32; 3], b: [f32; 3]) {
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} for {b:?}");
}

#[test]
fn frames_are_moments_and_ends_hold() {
    for (interpolation, middle) in [("LINEAR", 2.5), ("STEP", 0.0)] {
        let mut draft = Draft::quad();
        let values = [0.0, 0.0, 0.0, 10.0, 0.0, 0.0];
        animate(&mut draft, 0, "translation", interpolation, &values);
        for (frame, x) in [(0, 0.0), (10, 0.0), (12, middle * 0.8), (20, 10.0), (99, 10.0)] {
            close(corner(&at_frame(&draft, frame).unwrap()), [x - 1.0, -1.0, 0.0]);
        }
    }
}

#[test]
fn cubic_splines_follow_their_tangents() {
    let mut draft = Draft::quad();
    // In-tangent, value, out-tangent for two moments.
    let values = [[9.0; 3], [0.0; 3], [4.0, 0.0, 0.0], [0.0, 8.0, 0.0], [1.0, 0.0, 0.0], [9.0; 3]];
    animate(&mut draft, 0, "translation", "CUBICSPLINE", values.as_flattened());
    // Hermite at 1/2: half of both ends, an eighth of the difference of the tangents.
    close(corner(&at_frame(&draft, 15).unwrap()), [0.5 + 0.5 - 1.0, -1.0 - 1.0, 0.0]);
    close(corner(&at_frame(&draft, 20).unwrap()), [0.0, -1.0, 0.0]);
}

#[test]
fn rotations_go_the_short_way_round() {
    let half = 0.5f32.sqrt();
    // A quarter turn about Z, its end written as the opposite quaternion.
    let values = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, -half, -half];
    let mut draft = Draft::quad();
    animate(&mut draft, 0, "rotation", "LINEAR", &values);
    let angle = 0.7 * std::f64::consts::FRAC_PI_2;
    let (sin, cos) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
    close(corner(&at_frame(&draft, 17).unwrap()), [sin - cos, -sin - cos, 0.0]);
}

#[test]
fn cameras_and_lights_follow_and_clips_play_together() {
    let mut draft = Draft::quad();
    draft.json["extensions"] =
        json!({"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": 4}]}});
    draft.json["nodes"].as_array_mut().unwrap().push(json!({
        "children": [3], "scale": [2, 2, 2]}));
    draft.json["nodes"].as_array_mut().unwrap().push(json!({
        "extensions": {"KHR_lights_punctual": {"light": 0}}}));
    draft.json["scenes"][0]["nodes"] = json!([0, 1, 2]);
    animate(&mut draft, 1, "translation", "LINEAR", &[0.0, 0.0, 3.0, 0.0, 0.0, 4.0]);
    animate(&mut draft, 3, "translation", "LINEAR", &[0.0, 1.0, 0.0, 0.0, 3.0, 0.0]);
    let scene = at_frame(&draft, 15).unwrap();
    close(scene.cameras[0].position, [0.0, 0.0, 3.5]);
    close(scene.lights[0].position, [0.0, 4.0, 0.0]);
    assert!(scene.notes.contains(&"all 2 clips play together".to_owned()), "{:?}", scene.notes);
    animate(&mut draft, 1, "translation", "STEP", &[0.0, 0.0, 9.0]);
    let scene = at_frame(&draft, 15).unwrap();
    close(scene.cameras[0].position, [0.0, 0.0, 9.0]);
    let words = "clips `clip of translation` and `clip of translation` move the same nodes";
    assert!(scene.notes.iter().any(|note| note.starts_with(words)), "{:?}", scene.notes);
}

/// A quad with two morph targets, the second sparse, and weights on the mesh.
fn morphing() -> Draft {
    let mut draft = Draft::quad();
    let up = floats(&mut draft, "VEC3", 3, &[0.0, 2.0, 0.0].repeat(4));
    let places = draft.append(&[0]);
    let bytes: Vec<u8> = [8.0f32, 0.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let values = draft.append(&bytes);
    let aside = accessor(
        &mut draft,
        json!({"componentType": 5126, "count": 4, "type": "VEC3",
        "sparse": {"count": 1, "indices": {"bufferView": places, "componentType": 5121},
            "values": {"bufferView": values}}}),
    );
    let tilted = floats(&mut draft, "VEC3", 3, &[0.0, 1.0, 0.0].repeat(4));
    draft.json["meshes"][0]["primitives"][0]["targets"] =
        json!([{"POSITION": up, "NORMAL": tilted}, {"POSITION": aside}]);
    draft.json["meshes"][0]["weights"] = json!([0.5, 0]);
    draft
}

#[test]
fn morph_targets_add_by_weight() {
    let mut draft = morphing();
    let scene = draft.load().unwrap();
    close(corner(&scene), [-1.0, 0.0, 0.0]);
    let long = 1.25f32.sqrt();
    close(scene.surfaces[0].normal[0], [0.0, 0.5 / long, 1.0 / long]);
    draft.json["nodes"][0]["weights"] = json!([0, 0.25]);
    close(corner(&draft.load().unwrap()), [1.0, -1.0, 0.0]);
    animate(&mut draft, 0, "weights", "LINEAR", &[0.0, 0.0, 1.0, 0.5]);
    let input = draft.json["animations"][0]["samplers"][0]["input"].as_u64().unwrap() as usize;
    draft.json["accessors"][input]["count"] = json!(2);
    close(corner(&at_frame(&draft, 15).unwrap()), [1.0, 0.0, 0.0]);
    draft.json["meshes"][0]["primitives"][0]["targets"][0]["POSITION"] = json!(3);
    assert!(draft.refusal().contains("needs 3 components an element; accessor 3 is SCALAR"));
}

#[test]
fn morph_targets_move_texture_places_and_colours() {
    let mut draft = Draft::quad();
    draft.paint(json!({"uri": "data:image/png;base64,"}));
    let colors = floats(&mut draft, "VEC4", 4, &[0.5, 0.25, 0.0, 0.5].repeat(4));
    let aside = floats(&mut draft, "VEC2", 2, &[1.0, -2.0].repeat(4));
    let greener = floats(&mut draft, "VEC3", 3, &[0.0, 1.0, 0.0].repeat(4));
    let primitive = &mut draft.json["meshes"][0]["primitives"][0];
    primitive["attributes"]["COLOR_0"] = json!(colors);
    primitive["targets"] = json!([{"TEXCOORD_0": aside, "COLOR_0": greener}]);
    draft.json["meshes"][0]["weights"] = json!([0.25]);
    let picture = image::RgbaImage::new(1, 1);
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let view = draft.append(&png.into_inner());
    draft.json["images"] = json!([{"bufferView": view}]);
    let scene = draft.load().unwrap();
    // From (0, 1) by a quarter of (1, -2).
    assert_eq!(scene.surfaces[0].uv[0], [0.25, 0.5]);
    let parts = |words: [u32; 2]| words.map(|word| [word & 0xffff, word >> 16]);
    assert_eq!(parts(scene.extras[0].color[0]), [[32768, 32768], [0, 32768]]);
    assert!(scene.notes.iter().all(|note| !note.contains("morph")), "{:?}", scene.notes);
    draft.json["meshes"][0]["primitives"][0]["targets"][0]["TEXCOORD_0"] = json!(greener);
    assert!(draft.refusal().contains("needs 2 components an element"), "{}", draft.refusal());
}

/// A quad on two joints: its left corners on the first, its right ones on the second.
fn skinned() -> Draft {
    let mut draft = Draft::quad();
    let left = [0u8, 0, 0, 0];
    let right = [1u8, 0, 0, 0];
    let view = draft.append(&[left, right, right, left].concat());
    let joints = accessor(
        &mut draft,
        json!({"bufferView": view, "componentType": 5121, "count": 4,
            "type": "VEC4"}),
    );
    // Not normalised on purpose.
    let weights = floats(&mut draft, "VEC4", 4, &[0.5, 0.0, 0.0, 0.0].repeat(4));
    let attributes = &mut draft.json["meshes"][0]["primitives"][0]["attributes"];
    (attributes["JOINTS_0"], attributes["WEIGHTS_0"]) = (json!(joints), json!(weights));
    let mut bound = [0.0f32; 32];
    for joint in bound.chunks_mut(16) {
        (joint[0], joint[5], joint[10], joint[15]) = (1.0, 1.0, 1.0, 1.0);
    }
    bound[12 + 16] = -1.0;
    let inverse = floats(&mut draft, "MAT4", 16, &bound);
    draft.json["skins"] = json!([{"joints": [2, 3], "inverseBindMatrices": inverse}]);
    draft.json["nodes"] = json!([
        {"mesh": 0, "skin": 0, "translation": [100, 100, 100]},
        {"camera": 0, "translation": [0, 0, 3]},
        {"children": [3], "translation": [0, 0, 5]},
        {"translation": [1, 0, 0]},
    ]);
    draft.json["scenes"][0]["nodes"] = json!([0, 1, 2]);
    draft
}

#[test]
fn skins_follow_their_joints_and_nothing_else() {
    let mut draft = skinned();
    let scene = draft.load().unwrap();
    let first = scene.triangles.iter().find(|triangle| triangle.primitive == 0).unwrap();
    close(first.corner, [-1.0, -1.0, 5.0]);
    close(first.edge1, [2.0, 0.0, 0.0]);
    let half = 0.5f32.sqrt();
    animate(&mut draft, 3, "rotation", "STEP", &[0.0, half, 0.0, half]);
    let scene = at_frame(&draft, 10).unwrap();
    let first = scene.triangles.iter().find(|triangle| triangle.primitive == 0).unwrap();
    // The right corners lie on the second joint: the quad folds there.
    close(first.edge1, [2.0, 0.0, 0.0]);
    close(scene.surfaces[0].normal[0], [0.0, 0.0, 1.0]);
    close(scene.surfaces[0].normal[1], [1.0, 0.0, 0.0]);
}

#[test]
fn joints_that_are_not_there_are_named() {
    let mut draft = skinned();
    draft.json["skins"][0]["joints"] = json!([2]);
    assert!(draft.refusal().contains("mesh 0 primitive 0: a vertex hangs on joint 1 of 1"));
    draft.json["skins"][0]["joints"] = json!([2, 9]);
    assert!(draft.refusal().contains("skin 0 names node 9, but there are 4"));
    draft.json["nodes"][0]["skin"] = json!(3);
    assert!(draft.refusal().contains("node 0 names skin 3, but there are 1"));
    let mut draft = skinned();
    draft.json["meshes"][0]["primitives"][0]["attributes"]
        .as_object_mut()
        .unwrap()
        .remove("WEIGHTS_0");
    assert!(draft.refusal().contains("mesh 0 primitive 0 has JOINTS_0 without weights"));
}

#[test]
fn broken_clips_are_named() {
    let mut draft = Draft::quad();
    animate(&mut draft, 0, "translation", "LINEAR", &[0.0; 6]);
    let input = draft.json["animations"][0]["samplers"][0]["input"].clone();
    let sampler = |change: &dyn Fn(&mut Value)| {
        let mut json = draft.json.clone();
        change(&mut json["animations"][0]);
        Draft { json, bytes: draft.bytes.clone() }.refusal()
    };
    for (text, words) in [
        (
            sampler(&|clip| clip["samplers"][0]["interpolation"] = json!("WIGGLE")),
            "animation 0 channel 0 has the unknown interpolation `WIGGLE`",
        ),
        (
            sampler(&|clip| clip["samplers"][0]["output"] = input.clone()),
            "animation 0 channel 0 needs 3 components an element",
        ),
        (
            sampler(&|clip| clip["samplers"][0]["interpolation"] = json!("CUBICSPLINE")),
            "animation 0 channel 0 needs more than the 2 elements of accessor",
        ),
        (
            sampler(&|clip| clip["channels"][0]["target"]["node"] = json!(7)),
            "animation 0 channel 0 names node 7, but there are 2",
        ),
        (
            sampler(&|clip| clip["channels"][0]["sampler"] = json!(7)),
            "animation 0 channel 0 names sampler 7, but there are 1",
        ),
    ] {
        assert!(text.contains(words), "{text}");
    }
    let mut draft = Draft::quad();
    animate(&mut draft, 0, "translation", "LINEAR", &[0.0; 6]);
    let times = floats(&mut draft, "SCALAR", 1, &[2.0, 1.0]);
    draft.json["animations"][0]["samplers"][0]["input"] = json!(times);
    assert!(draft.refusal().contains("animation 0 channel 0: its moments do not follow"));
}

/// Animates what a pointer names by values at seconds 1, 2 and so on.
fn point(draft: &mut Draft, pointer: &str, kind: &str, width: usize, values: &[f32]) {
    let times: Vec<f32> = (1..=values.len() / width).map(|second| second as f32).collect();
    let input = floats(draft, "SCALAR", 1, &times);
    let output = floats(draft, kind, width, values);
    let target = json!({"path": "pointer",
        "extensions": {"KHR_animation_pointer": {"pointer": pointer}}});
    let animations = draft.json.as_object_mut().unwrap().entry("animations").or_insert(json!([]));
    animations.as_array_mut().unwrap().push(json!({
        "channels": [{"sampler": 0, "target": target}],
        "samplers": [{"input": input, "output": output}],
    }));
}

#[test]
fn pointers_move_materials_cameras_lights_and_nodes() {
    let mut draft = Draft::quad();
    draft.json["extensions"] =
        json!({"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": 4}]}});
    draft.json["nodes"][0]["matrix"] = json!([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 9, 9, 9, 1]);
    draft.json["nodes"][1]["extensions"] = json!({"KHR_lights_punctual": {"light": 0}});
    draft.json["extensionsRequired"] = json!(["KHR_animation_pointer"]);
    let factor = "/materials/0/pbrMetallicRoughness/roughnessFactor";
    point(&mut draft, factor, "SCALAR", 1, &[0.0, 0.5]);
    let color = "/materials/0/pbrMetallicRoughness/baseColorFactor";
    point(&mut draft, color, "VEC4", 4, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.5, 0.0, 1.0]);
    point(&mut draft, "/cameras/0/perspective/yfov", "SCALAR", 1, &[0.4, 1.2]);
    let light = "/extensions/KHR_lights_punctual/lights/0/intensity";
    point(&mut draft, light, "SCALAR", 1, &[1.0, 3.0]);
    point(&mut draft, "/nodes/0/translation", "VEC3", 3, &[0.0, 0.0, 0.0, 4.0, 0.0, 0.0]);
    let scene = at_frame(&draft, 15).unwrap();
    let material = scene.materials[0];
    assert_eq!((material.roughness, material.base_color), (0.25, [0.5, 0.25, 0.0, 1.0]));
    assert!((scene.cameras[0].up[1] - libm::tanf(0.4)).abs() < 1e-6);
    assert_eq!(scene.lights[0].color, [2.0; 3]);
    close(corner(&scene), [1.0, -1.0, 0.0]);
}

#[test]
fn pointers_at_nothing_are_said_aloud() {
    for pointer in ["/materials/7/alphaCutoff", "/buffers/0/byteLength", "materials", ""] {
        let mut draft = Draft::quad();
        point(&mut draft, pointer, "SCALAR", 1, &[1.0, 1.0]);
        let notes = draft.load().unwrap().notes;
        let words = format!("an animation points at `{pointer}`, which is not there: not played");
        assert!(notes.contains(&words), "{notes:?}");
    }
    let mut draft = Draft::quad();
    point(&mut draft, "/nodes/0/mesh", "SCALAR", 1, &[0.5, 0.5]);
    assert!(draft.refusal().contains("its JSON is not a glTF document"));
}

#[test]
fn animations_have_limits() {
    let mut draft = Draft::quad();
    animate(&mut draft, 0, "translation", "LINEAR", &[0.0; 6]);
    let output = draft.json["animations"][0]["samplers"][0]["output"].as_u64().unwrap() as usize;
    let bytes = draft.append(&[0; 12]);
    let place = draft.append(&[0, 0, 0, 0]);
    draft.json["accessors"][output] = json!({"componentType": 5126, "count": 1 << 21,
        "type": "VEC3", "sparse": {"count": 1, "values": {"bufferView": bytes},
            "indices": {"bufferView": place, "componentType": 5125}}});
    let text = draft.refusal();
    assert!(text.contains("of 2097152 elements; the limit is 1048576"), "{text}");
    draft.json["accessors"][output]["count"] = json!(1 << 20);
    assert!(draft.load().is_ok());
    let channel = draft.json["animations"][0]["channels"][0].clone();
    draft.json["animations"][0]["channels"] = json!(vec![channel; 17]);
    let text = draft.refusal();
    assert!(text.contains("its animations have more than 16777216 moments and values"), "{text}");
}

#[test]
fn long_names_make_no_long_notes() {
    let mut draft = Draft::quad();
    for _ in 0..2 {
        animate(&mut draft, 0, "translation", "STEP", &[0.0; 3]);
    }
    draft.json["animations"][0]["name"] = json!("ñ".repeat(1 << 20));
    let notes = draft.load().unwrap().notes;
    assert!(notes.iter().all(|note| note.len() < 2000), "a note is long");
}
