//! The node hierarchy (glTF 2.0 §3.5): world matrices of the nodes of the scene that is drawn.
//! Walks without recursion. Knows no meshes, cameras or lights.

use super::fault::{SceneError, malformed};
use super::gltf::{Document, SceneEntry, item};
use super::matrix::Affine;
use super::notes::Notes;
use super::pose::Pose;
use super::settings;

/// A node of the drawn scene and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub node: u32,
    pub world: Affine,
}

/// World matrices of all nodes, and the nodes that are drawn.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// By the node's number.
    pub worlds: Vec<Affine>,
    /// In depth-first order, as the file lists them.
    pub placed: Vec<Placed>,
}

/// Places all nodes in a pose.
pub fn place(
    document: &Document,
    pose: &Pose,
    scene: Option<&str>,
    notes: &mut Notes,
) -> Result<Nodes, SceneError> {
    let parents = parents(document)?;
    refuse_cycles(document, &parents)?;
    let mut worlds = vec![Affine::IDENTITY; parents.len()];
    let tops = (0..parents.len() as u32).filter(|&node| parents[node as usize].is_none());
    walk(document, pose, tops.collect(), |Placed { node, world }| worlds[node as usize] = world)?;
    let mut placed = Vec::new();
    let roots = roots(document, &parents, scene, notes)?;
    walk(document, pose, roots, |place| placed.push(place))?;
    if let Some(lost) = placed.iter().find(|place| !place.world.is_finite()) {
        return Err(malformed(format!("node {} stands at no finite place", lost.node)));
    }
    Ok(Nodes { worlds, placed })
}

/// Visits everything below some roots, depth first.
fn walk(
    document: &Document,
    pose: &Pose,
    roots: Vec<u32>,
    mut visit: impl FnMut(Placed),
) -> Result<(), SceneError> {
    let mut waiting: Vec<Placed> = Vec::new();
    for root in roots.into_iter().rev() {
        waiting.push(Placed { node: root, world: Affine::IDENTITY });
    }
    while let Some(Placed { node, world }) = waiting.pop() {
        let entry = item(&document.nodes, node, "node", "the scene")?;
        let world = world.after(&pose.local(node, entry)?);
        visit(Placed { node, world });
        waiting.extend(entry.children.iter().rev().map(|&node| Placed { node, world }));
    }
    Ok(())
}

/// The parent of each node; a node with two is an error.
fn parents(document: &Document) -> Result<Vec<Option<u32>>, SceneError> {
    let mut parents = vec![None; document.nodes.len()];
    for (parent, node) in document.nodes.iter().enumerate() {
        for &child in &*node.children {
            item(&document.nodes, child, "node", format_args!("node {parent}"))?;
            let slot = &mut parents[child as usize];
            if let Some(other) = *slot {
                return Err(malformed(format!(
                    "node {child} is the child of node {other} and of node {parent}; a node may \
                     have one parent"
                )));
            }
            *slot = Some(parent as u32);
        }
    }
    Ok(parents)
}

/// With one parent each, whatever is not below a root is in or below a cycle.
fn refuse_cycles(document: &Document, parents: &[Option<u32>]) -> Result<(), SceneError> {
    let mut below_root = vec![false; parents.len()];
    let mut waiting: Vec<u32> =
        (0..parents.len() as u32).filter(|&node| parents[node as usize].is_none()).collect();
    while let Some(node) = waiting.pop() {
        below_root[node as usize] = true;
        waiting.extend(document.nodes[node as usize].children.iter());
    }
    match below_root.iter().position(|&reached| !reached) {
        Some(node) => Err(malformed(format!("node {node} is in a cycle: it is its own ancestor"))),
        None => Ok(()),
    }
}

/// The scene that is drawn and its number; `None` if the file has none.
pub fn drawn_scene<'a>(
    document: &'a Document,
    wanted: Option<&str>,
) -> Result<Option<(u32, &'a SceneEntry)>, SceneError> {
    let names = document.scenes.iter().map(|scene| scene.name.as_str());
    let wanted = wanted.map(|wanted| settings::find(wanted, "scene", names)).transpose()?;
    if document.scenes.is_empty() && document.scene.is_none() {
        return Ok(None);
    }
    let index = wanted.map(|index| index as u32).or(document.scene).unwrap_or(0);
    Ok(Some((index, item(&document.scenes, index, "scene", "the file")?)))
}

fn roots(
    document: &Document,
    parents: &[Option<u32>],
    wanted: Option<&str>,
    notes: &mut Notes,
) -> Result<Vec<u32>, SceneError> {
    let Some((index, scene)) = drawn_scene(document, wanted)? else {
        notes.say("the file has no scene: all its nodes are drawn");
        return Ok((0..parents.len() as u32).filter(|&n| parents[n as usize].is_none()).collect());
    };
    if document.scenes.len() > 1 {
        notes.say(format!("scene {index} of {} is drawn", document.scenes.len()));
    }
    let mut listed = vec![false; parents.len()];
    for &node in &*scene.nodes {
        item(&document.nodes, node, "node", format_args!("scene {index}"))?;
        if parents[node as usize].is_some() || listed[node as usize] {
            return Err(malformed(format!(
                "scene {index} lists node {node}, which is a child of another or listed twice"
            )));
        }
        listed[node as usize] = true;
    }
    Ok(scene.nodes.to_vec())
}
