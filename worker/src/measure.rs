//! How fast an engine is on a device: work units a second on a small scene made here, measured
//! once and written down. A hint for placement; nobody is paid by it.

use crate::asset::Asset;
use crate::engine::{Assets, Engine, EngineError, TileSpec};
use farm::digest::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Quads along a side of the measured height field.
const SIDE: u32 = 48;

/// The speed noted for this device and engine, or else measured now and noted.
pub fn units_per_second(
    device: &str,
    engine: &mut dyn Engine,
    dir: &Path,
) -> Result<u64, EngineError> {
    let file = dir.join("speeds.json");
    let mut speeds: BTreeMap<String, u64> = std::fs::read(&file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let name = format!("{device} {}", engine.digest());
    if let Some(speed) = speeds.get(&name) {
        return Ok(*speed);
    }
    let speed = measure(engine, &dir.join("measured"))?;
    tracing::info!("{device}: {speed} work units a second");
    speeds.insert(name, speed);
    let noted = serde_json::to_vec_pretty(&speeds).map_err(std::io::Error::other);
    if let Err(error) = noted.and_then(|bytes| std::fs::write(&file, bytes)) {
        tracing::warn!("{}: {error}", file.display());
    }
    Ok(speed)
}

fn measure(engine: &mut dyn Engine, dir: &Path) -> Result<u64, EngineError> {
    let scene = Scene::write(dir).map_err(|error| EngineError::Device(error.to_string()))?;
    let spec = TileSpec {
        scene: scene.manifest,
        environment: None,
        frame: 1,
        fps: 24,
        frame_width: 64,
        frame_height: 64,
        x: 0,
        y: 0,
        width: 64,
        height: 64,
        samples: 8,
        depth: 4,
        seed: 0,
        aovs: 0,
        noise: 0,
        work_per_pixel: 0,
        feed: None,
    };
    // The first run compiles and uploads; the second is measured.
    engine.run(&TileSpec { samples: 4, ..spec.clone() }, &scene, &|| false)?;
    let begun = Instant::now();
    let output = engine.run(&spec, &scene, &|| false)?;
    let units: u64 = output.leaves.iter().map(|leaf| leaf.units).sum();
    Ok((units as f64 / begun.elapsed().as_secs_f64().max(1e-6)) as u64)
}

/// The measured scene on disk.
struct Scene {
    manifest: Digest,
    files: BTreeMap<Digest, PathBuf>,
}

impl Scene {
    fn write(dir: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let model = height_field();
        let digest = Digest::of(&model);
        let manifest = format!("girih-bundle 1\n{digest} {} measured.glb\n", model.len());
        let mut files = BTreeMap::new();
        for (name, bytes) in [("measured.glb", &model[..]), ("manifest", manifest.as_bytes())] {
            std::fs::write(dir.join(name), bytes)?;
            files.insert(Digest::of(bytes), dir.join(name));
        }
        Ok(Self { manifest: Digest::of(manifest.as_bytes()), files })
    }
}

impl Assets for Scene {
    fn asset(&self, digest: &Digest) -> Result<Asset, EngineError> {
        let path = self.files.get(digest).cloned();
        path.map(Asset::from)
            .ok_or_else(|| EngineError::Device(format!("asset {digest} is not measured")))
    }
}

/// A bumpy square as a GLB (glTF 2.0 §4): positions and indices in one buffer.
fn height_field() -> Vec<u8> {
    let mut buffer = Vec::new();
    for at in 0..(SIDE + 1) * (SIDE + 1) {
        let (x, z) = (at % (SIDE + 1), at / (SIDE + 1));
        let bump = (x * 7 + z * 13 + x * z) % 11;
        for value in [x, bump, z] {
            buffer.extend_from_slice(&(value as f32 / SIDE as f32).to_le_bytes());
        }
    }
    let positions = buffer.len();
    for quad in 0..SIDE * SIDE {
        let corner = quad / SIDE * (SIDE + 1) + quad % SIDE;
        let (right, below) = (corner + 1, corner + SIDE + 1);
        for index in [corner, below, right, right, below, below + 1] {
            buffer.extend_from_slice(&index.to_le_bytes());
        }
    }
    let (points, indices) = ((SIDE + 1) * (SIDE + 1), SIDE * SIDE * 6);
    let top = 10.0 / SIDE as f32;
    let mut json = serde_json::json!({
        "asset": { "version": "2.0" },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "mesh": 0 }],
        "meshes": [{ "primitives": [{ "attributes": { "POSITION": 0 }, "indices": 1 }] }],
        "accessors": [
            { "bufferView": 0, "componentType": 5126, "count": points, "type": "VEC3",
              "min": [0.0, 0.0, 0.0], "max": [1.0, top, 1.0] },
            { "bufferView": 1, "componentType": 5125, "count": indices, "type": "SCALAR" },
        ],
        "bufferViews": [
            { "buffer": 0, "byteOffset": 0, "byteLength": positions },
            { "buffer": 0, "byteOffset": positions, "byteLength": buffer.len() - positions },
        ],
        "buffers": [{ "byteLength": buffer.len() }],
    })
    .to_string();
    while !json.len().is_multiple_of(4) {
        json.push(' ');
    }
    let total = 12 + 8 + json.len() + 8 + buffer.len();
    let mut glb = b"glTF".to_vec();
    for word in [2, total as u32, json.len() as u32] {
        glb.extend_from_slice(&word.to_le_bytes());
    }
    glb.extend_from_slice(b"JSON");
    glb.extend_from_slice(json.as_bytes());
    glb.extend_from_slice(&(buffer.len() as u32).to_le_bytes());
    glb.extend_from_slice(b"BIN\0");
    glb.extend_from_slice(&buffer);
    glb
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::null::NullEngine;
    use crate::render::scene::{self, Bundle, View};

    #[test]
    fn the_measured_scene_is_one_that_the_renderer_loads() {
        let dir = tempfile::tempdir().unwrap();
        Scene::write(dir.path()).unwrap();
        let bundle = Bundle::open(&dir.path().join("measured.glb")).unwrap();
        let view = View { frame: 1, fps: 24, width: 64, height: 64, neighbours: false };
        let loaded = scene::load(&bundle, None, view).unwrap();
        assert_eq!(loaded.triangles.len(), (SIDE * SIDE * 2) as usize);
    }

    #[test]
    fn a_speed_is_measured_once() {
        let dir = tempfile::tempdir().unwrap();
        let speed = units_per_second("null", &mut NullEngine, dir.path()).unwrap();
        assert_eq!(units_per_second("null", &mut NullEngine, dir.path()).unwrap(), speed);
        assert!(std::fs::read_to_string(dir.path().join("speeds.json")).unwrap().contains("null "));
    }
}
