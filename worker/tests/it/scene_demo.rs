//! The scene that the repository carries loads whole, with nothing left out.

use crate::scene_draft::VIEW;
use std::path::Path;
use worker::render::scene::{Bundle, View, load};

#[test]
fn the_courtyard_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenes");
    let bundle = Bundle::open(&folder.join("courtyard.glb")).unwrap();
    let view = View { width: 480, height: 270, ..VIEW };
    let sky = folder.join("courtyard.hdr").into();
    let scene = load(&bundle, Some(&sky), view).unwrap();
    assert_eq!(scene.notes, ["light units: candela and lux count as W/sr and W/m²"]);
    assert_eq!(scene.triangles.len(), 66_842);
    assert_eq!((scene.lights.len(), scene.textures.len()), (1, 3));
    assert_eq!((scene.environment.width, scene.environment.height), (512, 256));
    assert!(!scene.environment.is_black());
}
