//! Meshes drawn many times by one node (EXT_mesh_gpu_instancing). Knows no triangles.

use super::accessor::Reader;
use super::fault::{SceneError, malformed, too_large};
use super::gltf::Node;
use super::matrix::Affine;

/// Most instances of all nodes.
pub const INSTANCES_MAX: u64 = 1 << 20;

/// Where a node's instances stand in the world; `None` if it has no list of them.
pub fn places(
    reader: &Reader<'_>,
    node: &Node,
    world: &Affine,
    left: &mut u64,
) -> Result<Option<Vec<Affine>>, SceneError> {
    let Some(instancing) = &node.extensions.instancing else { return Ok(None) };
    let owner = "EXT_mesh_gpu_instancing";
    let named = |name: &str| instancing.attributes.get(name).copied();
    let mut counts = Vec::new();
    for index in ["TRANSLATION", "ROTATION", "SCALE"].into_iter().filter_map(named) {
        counts.push(reader.count(index, owner)?);
    }
    let count = counts.first().copied().unwrap_or(0);
    if counts.iter().any(|other| *other != count) {
        return Err(malformed(format!("{owner}: its attributes have different counts")));
    }
    *left = left.checked_sub(count).ok_or_else(|| {
        too_large(format!("it has more than {INSTANCES_MAX} instances; leave some out"))
    })?;
    let moves = named("TRANSLATION").map(|index| reader.floats::<3>(index, owner)).transpose()?;
    let turns = named("ROTATION").map(|index| reader.floats::<4>(index, owner)).transpose()?;
    let sizes = named("SCALE").map(|index| reader.floats::<3>(index, owner)).transpose()?;
    let place = |at: usize| {
        let local = Affine::compose(
            moves.as_ref().map_or([0.0; 3], |all| all[at].map(f64::from)),
            turns.as_ref().map_or([0.0, 0.0, 0.0, 1.0], |all| all[at].map(f64::from)),
            sizes.as_ref().map_or([1.0; 3], |all| all[at].map(f64::from)),
        );
        let local = local.map(|local| world.after(&local)).filter(Affine::is_finite);
        local.ok_or_else(|| malformed(format!("{owner}: instance {at} stands at no finite place")))
    };
    (0..count as usize).map(place).collect::<Result<_, _>>().map(Some)
}
