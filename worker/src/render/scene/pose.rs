//! A pose: where nodes stand in their parents and what weights morph targets have at one moment,
//! where animations move them. Knows no time.

use super::fault::{SceneError, malformed};
use super::gltf::Node;
use super::matrix::Affine;
use std::collections::BTreeMap;

/// What animations say; what they do not mention stays as the file has it.
#[derive(Debug, Default)]
pub struct Pose {
    nodes: BTreeMap<u32, Moved>,
    /// Weights of morph targets, by node.
    pub weights: BTreeMap<u32, Vec<f64>>,
}

/// The parts of a node's transform that are animated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    pub translation: Option<[f64; 3]>,
    pub rotation: Option<[f64; 4]>,
    pub scale: Option<[f64; 3]>,
}

impl Pose {
    /// The animated parts of a node.
    pub fn node(&mut self, node: u32) -> &mut Moved {
        self.nodes.entry(node).or_default()
    }

    /// Where a node stands in its parent.
    pub fn local(&self, index: u32, node: &Node) -> Result<Affine, SceneError> {
        let moved = self.nodes.get(&index).copied().unwrap_or_default();
        let still = !self.nodes.contains_key(&index);
        if let Some(matrix) = node.matrix.filter(|_| still) {
            return Affine::from_columns(matrix)
                .ok_or_else(|| malformed(format!("the matrix of node {index} is not affine")));
        }
        Affine::compose(
            moved.translation.or(node.translation).unwrap_or([0.0; 3]),
            moved.rotation.or(node.rotation).unwrap_or([0.0, 0.0, 0.0, 1.0]),
            moved.scale.or(node.scale).unwrap_or([1.0; 3]),
        )
        .ok_or_else(|| malformed(format!("the rotation of node {index} is not a quaternion")))
    }
}
