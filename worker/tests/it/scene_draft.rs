//! Small scene files for tests: a document to change, written as .gltf or .glb and loaded.

use base64::Engine;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use worker::render::scene::{Bundle, Scene, SceneError, View, load};

pub const VIEW: View = View { frame: 1, fps: 24, width: 64, height: 64, neighbours: false };

/// A quad of two triangles in z = 0 seen by a camera at z = 3: positions in view 0, normals in 1,
/// texture places in 2, 16-bit indices in 3.
pub struct Draft {
    pub json: Value,
    pub bytes: Vec<u8>,
}

fn view(at: usize, length: usize) -> Value {
    json!({"buffer": 0, "byteOffset": at, "byteLength": length})
}

fn floats(view: usize, kind: &str) -> Value {
    json!({"bufferView": view, "componentType": 5126, "count": 4, "type": kind})
}

impl Draft {
    pub fn quad() -> Self {
        let mut bytes = Vec::new();
        let corners = [[-1.0f32, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
        let mut put = |values: &[f32]| {
            values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        };
        corners.iter().for_each(|[x, y]| put(&[*x, *y, 0.0]));
        corners.iter().for_each(|_| put(&[0.0, 0.0, 1.0]));
        corners.iter().for_each(|[x, y]| put(&[(x + 1.0) / 2.0, (1.0 - y) / 2.0]));
        [0u16, 1, 2, 0, 2, 3].iter().for_each(|index| bytes.extend(index.to_le_bytes()));
        let json = json!({
            "asset": {"version": "2.0"},
            "scenes": [{"nodes": [0, 1]}],
            "nodes": [{"mesh": 0}, {"camera": 0, "translation": [0, 0, 3]}],
            "cameras": [{"type": "perspective", "perspective": {"yfov": 0.8, "znear": 0.1}}],
            "meshes": [{"primitives": [{
                "attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2},
                "indices": 3, "material": 0,
            }]}],
            "materials": [{"emissiveFactor": [1, 1, 1]}],
            "accessors": [
                floats(0, "VEC3"), floats(1, "VEC3"), floats(2, "VEC2"),
                {"bufferView": 3, "componentType": 5123, "count": 6, "type": "SCALAR"},
            ],
            "bufferViews": [view(0, 48), view(48, 48), view(96, 32), view(128, 12)],
            "buffers": [{"byteLength": 140}],
        });
        Self { json, bytes }
    }

    /// Puts a float into the buffer.
    pub fn set_float(&mut self, at: usize, value: f32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Appends bytes to the buffer; gives their buffer view.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let view = json!({"buffer": 0, "byteOffset": self.bytes.len(), "byteLength": bytes.len()});
        self.bytes.extend(bytes);
        self.json["buffers"][0]["byteLength"] = json!(self.bytes.len());
        let views = self.json["bufferViews"].as_array_mut().unwrap();
        views.push(view);
        views.len() - 1
    }

    /// Gives material 0 an image as its base colour, texture 0.
    pub fn paint(&mut self, image: Value) {
        self.json["images"] = json!([image]);
        self.json["textures"] = json!([{"source": 0}]);
        self.json["materials"][0]["pbrMetallicRoughness"] =
            json!({"baseColorTexture": {"index": 0}});
    }

    /// The file as text with the buffer in a data URI.
    pub fn gltf(&self) -> Vec<u8> {
        let mut json = self.json.clone();
        let body = base64::engine::general_purpose::STANDARD.encode(&self.bytes);
        json["buffers"][0]["uri"] = json!(format!("data:application/octet-stream;base64,{body}"));
        json.to_string().into_bytes()
    }

    /// The file as GLB.
    pub fn glb(&self) -> Vec<u8> {
        let mut text = self.json.to_string().into_bytes();
        text.resize(text.len().next_multiple_of(4), b' ');
        let mut body = self.bytes.clone();
        body.resize(body.len().next_multiple_of(4), 0);
        let mut file = b"glTF\x02\0\0\0".to_vec();
        file.extend((12 + 8 + text.len() as u32 + 8 + body.len() as u32).to_le_bytes());
        for (kind, chunk) in [(b"JSON", text), (b"BIN\0", body)] {
            file.extend((chunk.len() as u32).to_le_bytes());
            file.extend(kind);
            file.extend(chunk);
        }
        file
    }

    pub fn load(&self) -> Result<Scene, SceneError> {
        load_bytes(&self.glb())
    }

    /// The text of the refusal; fails if the scene loads.
    pub fn refusal(&self) -> String {
        refusal(self.load())
    }
}

pub fn refusal(outcome: Result<Scene, SceneError>) -> String {
    match outcome {
        Ok(_) => panic!("the scene was not refused"),
        Err(error) => error.to_string(),
    }
}

/// Writes `scene.gltf` or `scene.glb` into a folder of its own.
pub fn write(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let name = if bytes.starts_with(b"glTF") { "scene.glb" } else { "scene.gltf" };
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

pub fn load_file(path: &Path) -> Result<Scene, SceneError> {
    load(&Bundle::open(path)?, None, VIEW)
}

pub fn load_bytes(bytes: &[u8]) -> Result<Scene, SceneError> {
    let (_folder, path) = write(bytes);
    load_file(&path)
}
