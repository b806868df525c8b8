//! The commitment to a tile: a Merkle sum tree over its leaves. Each node carries the work units
//! below it, so the root binds every block of every sample group and the total that is paid for.
//! Knows neither pixels nor money.

use crate::digest::Digest;
use crate::{layout_struct, limit};
use arrayvec::ArrayVec;

/// Which leaves of a tile are asked about, by index, ascending.
pub type Indices = ArrayVec<u32, { limit::LEAVES_DRAWN_MAX as usize }>;

/// One block for one group of samples: the hash of its partial sums, and its work units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Leaf {
    pub hash: Digest,
    pub units: u64,
}

layout_struct!(Leaf { hash, units });

impl Leaf {
    /// Bytes of a leaf: its hash, then its units in little-endian.
    pub const BYTES: usize = 40;

    /// The leaf as it is hashed.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.hash.0);
        bytes[32..].copy_from_slice(&self.units.to_le_bytes());
        bytes
    }
}

/// The root of a tile's sum tree: what a report commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Commitment {
    pub root: Digest,
    pub units: u64,
}

/// A leaf with the sibling nodes that lead to the root, from the bottom up.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Opening {
    pub leaf: Leaf,
    pub path: Vec<Leaf>,
}

/// Hash of a leaf's payload: for a render block 64 × 3 little-endian f32 sums, then the words of
/// what else the job asks for.
pub fn payload(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

fn node(left: &Leaf, right: &Leaf) -> Option<Leaf> {
    let mut bytes = [0; 81];
    bytes[0] = 1;
    bytes[1..41].copy_from_slice(&left.to_bytes());
    bytes[41..].copy_from_slice(&right.to_bytes());
    Some(Leaf { hash: Digest::of(&bytes), units: left.units.checked_add(right.units)? })
}

/// The leaf as the tree's lowest node: domain-separated from inner nodes, units bound to the hash.
fn floor(leaf: &Leaf) -> Leaf {
    let mut bytes = [0; 41];
    bytes[1..].copy_from_slice(&leaf.to_bytes());
    Leaf { hash: Digest::of(&bytes), units: leaf.units }
}

/// The tree from the bottom up. `None` if there are no leaves or their units overflow.
fn levels(leaves: &[Leaf]) -> Option<Vec<Vec<Leaf>>> {
    if leaves.is_empty() {
        return None;
    }
    let mut levels = vec![leaves.iter().map(floor).collect::<Vec<_>>()];
    while levels[levels.len() - 1].len() > 1 {
        let below = &levels[levels.len() - 1];
        let above = below
            .chunks(2)
            .map(|pair| if let [left, right] = pair { node(left, right) } else { Some(pair[0]) })
            .collect::<Option<Vec<_>>>()?;
        levels.push(above);
    }
    Some(levels)
}

/// Commits to the leaves; a node without a sibling rises unchanged. `None` if there are no leaves
/// or their units overflow.
pub fn commit(leaves: &[Leaf]) -> Option<Commitment> {
    let levels = levels(leaves)?;
    let top = levels[levels.len() - 1][0];
    Some(Commitment { root: top.hash, units: top.units })
}

/// Opens the leaves at these places. `None` if one of them is not there.
pub fn open(leaves: &[Leaf], indices: &[u32]) -> Option<Vec<Opening>> {
    let levels = levels(leaves)?;
    let open = |index: &u32| {
        let mut at = *index as usize;
        let leaf = *leaves.get(at)?;
        let mut path = Vec::new();
        for level in &levels[..levels.len() - 1] {
            if let Some(sibling) = level.get(at ^ 1) {
                path.push(*sibling);
            }
            at /= 2;
        }
        Some(Opening { leaf, path })
    };
    indices.iter().map(open).collect()
}

/// Whether the opening leads from leaf `index` of `count` to the commitment.
pub fn verify(commitment: &Commitment, count: u32, index: u32, opening: &Opening) -> bool {
    if index >= count {
        return false;
    }
    let (mut at, mut width) = (index, count);
    let mut here = floor(&opening.leaf);
    let mut path = opening.path.iter();
    while width > 1 {
        if at ^ 1 < width {
            let Some(sibling) = path.next() else { return false };
            let above = if at & 1 == 0 { node(&here, sibling) } else { node(sibling, &here) };
            let Some(above) = above else { return false };
            here = above;
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    path.next().is_none() && here.hash == commitment.root && here.units == commitment.units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u32) -> Vec<Leaf> {
        (0..count)
            .map(|n| Leaf { hash: Digest::of(&n.to_le_bytes()), units: u64::from(n) + 7 })
            .collect()
    }

    #[test]
    fn every_leaf_opens_and_no_other_leaf_does() {
        for count in 1..40 {
            let leaves = leaves(count);
            let root = commit(&leaves).unwrap();
            for index in 0..count {
                let opening = open(&leaves, &[index]).unwrap().remove(0);
                assert!(verify(&root, count, index, &opening));
                let mut inflated = opening.clone();
                inflated.leaf.units += 1;
                assert!(!verify(&root, count, index, &inflated));
                for other in (0..count).filter(|other| *other != index) {
                    assert!(!verify(&root, count, other, &opening));
                }
            }
        }
    }

    #[test]
    fn overflowing_units_have_no_commitment() {
        let leaf = Leaf { hash: Digest::default(), units: u64::MAX };
        assert_eq!(commit(&[leaf, leaf]), None);
        assert_eq!(commit(&[]), None);
        assert_eq!(open(&[], &[]), None);
        assert_eq!(open(&leaves(3), &[1, 3]), None);
        assert_eq!(open(&leaves(3), &[1, 2]).unwrap().len(), 2);
    }
}
