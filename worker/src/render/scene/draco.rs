//! Primitives compressed by Draco (KHR_draco_mesh_compression): decoded into the bytes of the
//! accessors that describe them. Knows no triangles.

use super::decoder::guarded;
use super::fault::{SceneError, malformed, too_large};
use super::gltf::{Accessor, Document, DracoPrimitive, Primitive, item};
use draco_core::mesh::Mesh;
use draco_core::{DecodeLimits, DecoderBuffer, ErrorKind, MeshDecoder};
use std::collections::BTreeMap;

/// Most points or triangles of one compressed primitive.
pub const POINTS_MAX: u64 = 1 << 24;

/// The bytes of accessors, tightly packed, by the accessor's number.
pub type Decoded = BTreeMap<u32, Vec<u8>>;

/// Decodes a primitive; `bytes_left` is what all decoded bytes may still come to.
pub fn decode(
    document: &Document,
    primitive: &Primitive,
    draco: &DracoPrimitive,
    bytes: &[u8],
    owner: &str,
    bytes_left: &mut u64,
) -> Result<Decoded, SceneError> {
    let mesh = guarded(owner, || mesh(bytes, owner, *bytes_left))?;
    let points = mesh.num_points();
    let mut decoded = Decoded::new();
    let mut keep = |index: u32, bytes: Vec<u8>| {
        *bytes_left = bytes_left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| too_large(format!("{owner}: decoded data takes too much memory")))?;
        decoded.insert(index, bytes);
        Ok::<_, SceneError>(())
    };
    if let Some(index) = primitive.indices {
        let accessor = item(&document.accessors, index, "accessor", owner)?;
        let corners = mesh.faces().iter().flatten().map(|point| point.0);
        let mut all = Vec::with_capacity(mesh.num_faces() * 12);
        for corner in corners {
            put(&mut all, accessor.component_type, f64::from(corner));
        }
        counted(accessor, index, mesh.num_faces() * 3, owner)?;
        keep(index, all)?;
    }
    for (name, &unique) in &draco.attributes {
        let Some(&index) = primitive.attributes.get(name) else { continue };
        let accessor = item(&document.accessors, index, "accessor", owner)?;
        let attribute = mesh.attribute_by_unique_id(unique).ok_or_else(|| {
            malformed(format!("{owner}: its Draco data has no attribute {unique}"))
        })?;
        counted(accessor, index, points, owner)?;
        let components = components(accessor);
        let mut all = Vec::new();
        for value in guarded(owner, || Ok(attribute.read_f32s(points, components)))? {
            put(&mut all, accessor.component_type, f64::from(value));
        }
        keep(index, all)?;
    }
    Ok(decoded)
}

fn mesh(bytes: &[u8], owner: &str, bytes_left: u64) -> Result<Mesh, SceneError> {
    let limits = DecodeLimits::default()
        .with_max_points(POINTS_MAX)
        .with_max_faces(POINTS_MAX)
        .with_max_decoded_bytes(bytes_left);
    let mut mesh = Mesh::new();
    let outcome =
        MeshDecoder::new().decode(&mut DecoderBuffer::new(bytes).with_limits(limits), &mut mesh);
    match outcome {
        Ok(()) => Ok(mesh),
        Err(error) if error.kind() == ErrorKind::LimitExceeded => {
            Err(too_large(format!("{owner}: its Draco data has more than {POINTS_MAX} points")))
        }
        Err(error) => {
            let mut why = error.to_string();
            why.truncate(why.floor_char_boundary(200));
            Err(malformed(format!("{owner}: its Draco data is damaged: {why}")))
        }
    }
}

fn counted(accessor: &Accessor, index: u32, found: usize, owner: &str) -> Result<(), SceneError> {
    if accessor.count == found as u64 {
        return Ok(());
    }
    Err(malformed(format!(
        "{owner}: accessor {index} declares {} elements, its Draco data has {found}",
        accessor.count
    )))
}

fn components(accessor: &Accessor) -> usize {
    match accessor.shape.as_str() {
        "VEC2" => 2,
        "VEC3" => 3,
        "VEC4" => 4,
        _ => 1,
    }
}

/// Writes a component as its accessor has it.
fn put(bytes: &mut Vec<u8>, component: u32, value: f64) {
    match component {
        5120 => bytes.extend((value as i8).to_le_bytes()),
        5121 => bytes.push(value as u8),
        5122 => bytes.extend((value as i16).to_le_bytes()),
        5123 => bytes.extend((value as u16).to_le_bytes()),
        5125 => bytes.extend((value as u32).to_le_bytes()),
        _ => bytes.extend((value as f32).to_le_bytes()),
    }
}
