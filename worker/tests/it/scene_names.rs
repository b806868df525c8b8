//! Objects and materials have the ids of their names, or of their numbers where they have none.

use crate::scene_draft::Draft;
use proto::cryptomatte::id;
use serde_json::json;

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
