//! Objects and materials have the ids of their names, or of their numbers where they have none.

use crate::scene_draft::{Draft, VIEW, write};
use farm::digest::Digest;
use proto::aov::Aov;
use proto::cryptomatte::id;
use serde_json::json;
use worker::render::scene::{Bundle, load};

#[test]
fn names_become_ids() {
    let mut draft = Draft::quad();
    draft.json["nodes"] = json!([{"mesh": 0, "name": "Wall"}, {"mesh": 0}, {"mesh": 1}]);
    draft.json["scenes"] = json!([{"nodes": [0, 1, 2]}]);
    let bare = json!({"primitives": [{"attributes": {"POSITION": 0}, "indices": 3}]});
    draft.json["meshes"].as_array_mut().unwrap().push(bare);
    draft.json["materials"] = json!([{"name": "Brick"}, {}]);
    let scene = draft.load().unwrap();
    let of = |name: &str| [id(name); 2];
    let objects: Vec<u32> = scene.surfaces.iter().map(|surface| surface.object).collect();
    assert_eq!(objects, [of("Wall"), of("node 1"), of("node 2")].concat());
    let materials: Vec<u32> = scene.materials.iter().map(|material| material.id).collect();
    assert_eq!(materials, [id("Brick"), id("material 1"), id("material 2")]);
}

#[test]
fn a_bundle_says_the_names_of_its_ids_and_draws_the_same() {
    let mut draft = Draft::quad();
    draft.json["nodes"] =
        json!([{"mesh": 0, "name": "A \"wall\"\n"}, {"mesh": 0}, {"name": "Rig"}]);
    draft.json["scenes"] = json!([{"nodes": [0, 1, 2]}]);
    draft.json["materials"] = json!([{"name": "Brick"}, {"name": "Brick"}, {}]);
    let (_folder, path) = write(&draft.gltf());
    let plain = Bundle::open(&path).unwrap();
    let asked = Aov::ObjectId.bit() | Aov::MaterialId.bit() | Aov::Depth.bit();
    assert_eq!(plain.clone().with_ids(Aov::Depth.bit()).unwrap(), (plain.clone(), None));
    let (named, note) = plain.clone().with_ids(asked).unwrap();
    assert_eq!(note, None);
    let (manifest, entries) = named.manifest().unwrap();
    let text = String::from_utf8(manifest.clone()).unwrap();
    let ids: Vec<&str> = text.lines().filter(|line| line.starts_with("id ")).collect();
    let expected = [
        r#"id CryptoMaterial "Brick""#,
        r#"id CryptoMaterial "material 2""#,
        r#"id CryptoMaterial "material 3""#,
        r#"id CryptoObject "A \"wall\"\n""#,
        r#"id CryptoObject "node 1""#,
    ];
    assert_eq!(ids, expected);
    let paths = |digest: &Digest| {
        let entry = entries.iter().find(|entry| entry.digest == *digest);
        Ok(entry.unwrap().path.clone().into())
    };
    let read = Bundle::read(&manifest, paths).unwrap();
    let (one, other) = (load(&plain, None, VIEW).unwrap(), load(&read, None, VIEW).unwrap());
    assert_eq!(format!("{one:?}"), format!("{other:?}"));

    draft.json["nodes"][0]["name"] = json!("x".repeat(1 << 20));
    std::fs::write(&path, draft.gltf()).unwrap();
    let plain = Bundle::open(&path).unwrap();
    let (without, note) = plain.clone().with_ids(asked).unwrap();
    assert_eq!(without, plain);
    assert!(note.unwrap().contains("without a manifest"));
}
