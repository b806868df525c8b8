//! What objects and materials are called, and the ids of that. Knows no geometry.

use super::gltf::Document;
use proto::cryptomatte;
use std::borrow::Cow;

/// A name, or a kind and number where a file gives none.
fn called<'a>(name: &'a str, kind: &str, number: usize) -> Cow<'a, str> {
    match name {
        "" => format!("{kind} {number}").into(),
        name => name.into(),
    }
}

/// The id of a name, or of a kind and number where a file gives none.
pub fn id(name: &str, kind: &str, number: usize) -> u32 {
    cryptomatte::id(&called(name, kind, number))
}

/// What the nodes with a mesh are called.
pub fn objects(document: &Document) -> impl Iterator<Item = Cow<'_, str>> {
    let nodes = document.nodes.iter().enumerate().filter(|(_, node)| node.mesh.is_some());
    nodes.map(|(number, node)| called(&node.name, "node", number))
}

/// What the materials are called; the last is that of whatever has none.
pub fn materials(document: &Document) -> impl Iterator<Item = Cow<'_, str>> {
    let materials = document.materials.iter().enumerate();
    let names = materials.map(|(number, material)| called(&material.name, "material", number));
    names.chain([called("", "material", document.materials.len())])
}
