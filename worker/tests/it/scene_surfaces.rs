//! Texture places, texture transforms and vertex colours: what the loader makes of them, and what
//! the device shows.

use crate::devices::first;
use crate::procedural::whole;
use crate::scene_draft::Draft;
use crate::tiles::Studio;
use serde_json::{Value, json};
use shaders::{NONE, Texture};
use worker::render::scene::Scene;

/// The four corners of the picture: red, green, blue, white, in reading order.
const RED: [u8; 4] = [255, 0, 0, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const BLUE: [u8; 4] = [0, 0, 255, 255];
const WHITE: [u8; 4] = [255, 255, 255, 255];
const BLACK: [u8; 4] = [0, 0, 0, 255];

/// A quad that glows with a picture of four texels, filling the view.
fn glowing(texture: Value) -> Draft {
    let mut draft = Draft::quad();
    let mut png = std::io::Cursor::new(Vec::new());
    let texels = [RED, GREEN, BLUE, WHITE].concat();
    let picture = image::RgbaImage::from_raw(2, 2, texels).unwrap();
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let view = draft.append(&png.into_inner());
    draft.json["images"] = json!([{"bufferView": view}]);
    draft.json["samplers"] = json!([{"magFilter": 9728}]);
    draft.json["textures"] = json!([{"source": 0, "sampler": 0}]);
    draft.json["materials"][0]["emissiveTexture"] = texture;
    draft
}

/// Adds an attribute of floats to the quad.
fn attribute(draft: &mut Draft, name: &str, kind: &str, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = draft.append(&bytes);
    let accessors = draft.json["accessors"].as_array_mut().unwrap();
    accessors.push(json!({"bufferView": view, "componentType": 5126, "count": 4, "type": kind}));
    let index = accessors.len() - 1;
    draft.json["meshes"][0]["primitives"][0]["attributes"][name] = json!(index);
}

/// The texture place that is the middle of the lower right texel, at each corner.
const LOWER_RIGHT: [f32; 8] = [0.75; 8];

fn emissive_texture(scene: &Scene) -> Texture {
    scene.textures[scene.materials[0].emissive_texture as usize]
}

/// The colours in the middles of the quadrants of the picture, in reading order.
fn quadrants(draft: &Draft) -> Option<[[f32; 3]; 4]> {
    let device = first()?;
    let mut studio = Studio::new(&device, &draft.load().unwrap());
    let output = studio.draw(&whole(32, 32, 4, 1));
    let pixel = |x: usize, y: usize| {
        let at = (y * 32 + x) * 12;
        [0, 4, 8].map(|c| f32::from_le_bytes(output.bytes[at + c..][..4].try_into().unwrap()) / 4.0)
    };
    Some([pixel(12, 12), pixel(20, 12), pixel(12, 20), pixel(20, 20)])
}

fn shows(draft: &Draft, expected: [[u8; 4]; 4]) {
    let Some(found) = quadrants(draft) else { return };
    let expected = expected.map(|[r, g, b, _]| [r, g, b].map(|c| f32::from(c) / 255.0));
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
    }
}

#[test]
fn a_picture_lies_as_its_texture_places_say() {
    shows(&glowing(json!({"index": 0})), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn an_orthographic_view_does_not_shrink_with_distance() {
    let mut draft = glowing(json!({"index": 0}));
    draft.json["cameras"][0] =
        json!({"type": "orthographic", "orthographic": {"xmag": 0.5, "ymag": 1}});
    let scene = draft.load().unwrap();
    assert_eq!(
        (scene.cameras[0].across, scene.cameras[0].rise),
        ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    );
    assert_eq!((scene.cameras[0].right, scene.cameras[0].up), ([0.0; 3], [0.0; 3]));
    let words = "camera 0 has the aspect 0.500, the frame 1.000: its height is kept";
    assert!(scene.notes.iter().any(|note| note == words), "{:?}", scene.notes);
    for distance in [1.0, 30.0] {
        draft.json["nodes"][1]["translation"] = json!([0.0, 0.0, distance]);
        shows(&draft, [RED, GREEN, BLUE, WHITE]);
        // Half a picture to the right: its left half shows the quad's right one.
        draft.json["nodes"][1]["translation"] = json!([1.0, 0.0, distance]);
        shows(&draft, [GREEN, BLACK, WHITE, BLACK]);
    }
}

#[test]
fn a_lone_set_of_places_takes_the_first_slot() {
    let mut draft = glowing(json!({"index": 0, "texCoord": 1}));
    attribute(&mut draft, "TEXCOORD_1", "VEC2", &LOWER_RIGHT);
    let scene = draft.load().unwrap();
    assert_eq!((scene.surfaces[0].uv, scene.surfaces[0].extra), ([[0.75; 2]; 3], NONE));
    assert_eq!((emissive_texture(&scene).uv_slot, scene.extras.len()), (0, 0));
    shows(&draft, [WHITE; 4]);
}

#[test]
fn two_sets_of_places_are_kept_apart() {
    let mut draft = glowing(json!({"index": 0, "texCoord": 3}));
    attribute(&mut draft, "TEXCOORD_3", "VEC2", &LOWER_RIGHT);
    draft.json["materials"][0]["pbrMetallicRoughness"] = json!({"baseColorTexture": {"index": 0}});
    let scene = draft.load().unwrap();
    let material = scene.materials[0];
    assert_eq!(scene.surfaces[1].uv, [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]);
    assert_eq!((scene.surfaces[1].extra, scene.extras[1].uv), (1, [[0.75; 2]; 3]));
    let slot = |texture: u32| scene.textures[texture as usize].uv_slot;
    assert_eq!((slot(material.base_color_texture), slot(material.emissive_texture)), (0, 1));
    shows(&draft, [WHITE; 4]);
}

#[test]
fn a_third_set_and_a_missing_one_are_said_aloud() {
    let mut draft = glowing(json!({"index": 0, "texCoord": 1}));
    draft.json["materials"][0]["normalTexture"] = json!({"index": 0, "texCoord": 2});
    draft.json["materials"][0]["pbrMetallicRoughness"] = json!({"baseColorTexture": {"index": 0}});
    let notes = draft.load().unwrap().notes;
    for words in [
        "material 0 uses more than two sets of texture places: TEXCOORD_1 is read from TEXCOORD_0",
        "mesh 0 primitive 0 has no TEXCOORD_2: its textures there show one texel",
    ] {
        assert!(notes.iter().any(|note| note == words), "{notes:#?}");
    }
}

#[test]
fn transforms_belong_to_uses_and_share_texels() {
    let transform = json!({"offset": [0.5, 0.25], "scale": [2, 3], "texCoord": 0});
    let texture = json!({"index": 0, "texCoord": 1,
        "extensions": {"KHR_texture_transform": transform}});
    let mut draft = glowing(texture.clone());
    draft.json["materials"][0]["pbrMetallicRoughness"] =
        json!({"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": texture});
    let scene = draft.load().unwrap();
    assert_eq!((scene.textures.len(), scene.texels.len(), scene.extras.len()), (3, 4, 0));
    let glow = emissive_texture(&scene);
    assert_eq!((glow.transform, glow.transformed), ([2.0, 0.0, 0.5, 0.0, 3.0, 0.25], 1));
    let base = scene.textures[scene.materials[0].base_color_texture as usize];
    assert_eq!((base.transform, base.transformed), ([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], 0));
    assert_eq!((base.first, glow.first), (0, 0));
}

#[test]
fn pictures_move_turn_and_grow_as_the_extension_says() {
    let turned = |transform: Value| {
        glowing(json!({"index": 0, "extensions": {"KHR_texture_transform": transform}}))
    };
    shows(&turned(json!({"offset": [0.5, 0]})), [GREEN, RED, WHITE, BLUE]);
    // The places turn counter-clockwise, the picture clockwise.
    let quarter = std::f64::consts::FRAC_PI_2;
    shows(&turned(json!({"rotation": quarter})), [BLUE, RED, WHITE, GREEN]);
    shows(&turned(json!({"scale": [0.5, 1]})), [RED, RED, BLUE, BLUE]);
    shows(&turned(json!({"scale": [1, 0.5], "rotation": quarter})), [BLUE, RED, BLUE, RED]);
}

#[test]
fn vertex_colors_are_sixteen_bits_each() {
    let mut draft = Draft::quad();
    let view = draft.append(&[255, 0, 51, 9].repeat(4));
    draft.json["bufferViews"][view]["byteStride"] = json!(4);
    draft.json["accessors"].as_array_mut().unwrap().push(json!({"bufferView": view,
        "componentType": 5121, "count": 4, "type": "VEC3", "normalized": true}));
    draft.json["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"] = json!(4);
    let scene = draft.load().unwrap();
    assert_eq!((scene.extras.len(), scene.surfaces[1].extra), (2, 1));
    assert_eq!(scene.extras[0].color, [[0x0000_ffff, 0xffff_3333]; 3]);
    draft.json["accessors"][4]["count"] = json!(3);
    assert!(draft.refusal().contains("mesh 0 primitive 0: its attributes have different counts"));
}

#[test]
fn vertex_colors_multiply_the_base_color() {
    let mut draft = Draft::quad();
    draft.json["materials"][0] = json!({"pbrMetallicRoughness":
        {"baseColorFactor": [0.2, 0.4, 0.6, 1], "metallicFactor": 0}});
    let Some(device) = first() else { return };
    let mean = |draft: &Draft| {
        let mut studio = Studio::new(&device, &draft.load().unwrap());
        let output = studio.draw(&whole(8, 8, 64, 2));
        let words = output.bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word));
        let sums = words.collect::<Vec<_>>();
        [0, 1, 2].map(|c| sums.iter().skip(c).step_by(3).sum::<f32>() / 64.0)
    };
    let plain = mean(&draft);
    draft.json["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = json!([1, 1, 1, 1]);
    attribute(&mut draft, "COLOR_0", "VEC4", &[0.2, 0.4, 0.6, 1.0].repeat(4));
    let colored = mean(&draft);
    for (colored, plain) in colored.iter().zip(plain) {
        assert!((colored / plain - 1.0).abs() < 1e-4, "{colored} for {plain}");
    }
}
