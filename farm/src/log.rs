//! The public log as arithmetic: RFC 6962 Merkle trees over opaque bytes, SHA-256. Knows no entry.

use sha2::{Digest as _, Sha256};
use std::ops::Range;

/// A SHA-256 hash of a node.
pub type Hash = [u8; 32];

/// Hash of a leaf (RFC 6962 §2.1): SHA-256 of 0x00 and the entry.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// Hash of an inner node (RFC 6962 §2.1): SHA-256 of 0x01, left and right.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Root over the leaf hashes (RFC 6962 §2.1, MTH).
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// The right edge of a growing tree: the roots of its complete subtrees, largest first. Enough to
/// append and to give the root; logarithmic in the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each one bit of the size");
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Root of the tree so far.
    pub fn root(&self) -> Hash {
        root_of_peaks(&self.peaks)
    }
}

/// Root over the roots of complete subtrees that lie side by side, largest first.
pub fn root_of_peaks(peaks: &[Hash]) -> Hash {
    let mut peaks = peaks.iter().rev();
    let Some(last) = peaks.next() else { return empty_root() };
    peaks.fold(*last, |right, left| node_hash(left, &right))
}

/// The complete subtrees, largest first, that make up the subtree over these leaves: of each its
/// level, and its place among those of 2^level leaves.
pub fn peaks(leaves: Range<u64>) -> Vec<(u32, u64)> {
    let (mut at, mut found) = (leaves.start, Vec::new());
    while at < leaves.end {
        let level = (leaves.end - at).ilog2();
        found.push((level, at >> level));
        at += 1 << level;
    }
    found
}

/// Size of the left subtree of a tree of `size` leaves: the largest power of two below it.
pub(crate) fn split(size: u64) -> u64 {
    debug_assert!(size > 1);
    1 << (63 - (size - 1).leading_zeros())
}

/// Proof that leaf `index` is in the tree over `leaves` (RFC 6962 §2.1.1); `None` if it is not.
pub fn inclusion(leaves: &[Hash], index: u64) -> Option<Vec<Hash>> {
    if index >= leaves.len() as u64 {
        return None;
    }
    let (mut range, mut at, mut path) = (leaves, index as usize, Vec::new());
    while range.len() > 1 {
        let (left, right) = range.split_at(split(range.len() as u64) as usize);
        if at < left.len() {
            path.push(root_of(right));
            range = left;
        } else {
            path.push(root_of(left));
            at -= left.len();
            range = right;
        }
    }
    path.reverse();
    Some(path)
}

/// Whether the path leads from `leaf` at `index` to the root of a tree of `size` leaves
/// (RFC 9162 §2.1.3.2).
pub fn is_included(root: &Hash, size: u64, index: u64, leaf: &Hash, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// The subtrees whose roots prove that the first `old` leaves of a tree of `size` are a tree that
/// was there before (RFC 6962 §2.1.2), in the proof's order. None if there is nothing to prove.
pub fn consistency(old: u64, size: u64) -> Vec<Range<u64>> {
    let mut path = Vec::new();
    if old == 0 || old >= size {
        return path;
    }
    let mut leaves = 0..size;
    while old < leaves.end {
        let middle = leaves.start + split(leaves.end - leaves.start);
        if old <= middle {
            path.push(middle..leaves.end);
            leaves.end = middle;
        } else {
            path.push(leaves.start..middle);
            leaves.start = middle;
        }
    }
    if leaves.start > 0 {
        path.push(leaves);
    }
    path.reverse();
    path
}

/// Whether the proof shows the old tree to be a prefix of the new one (RFC 9162 §2.1.4.2).
pub fn is_consistent(old: (u64, &Hash), new: (u64, &Hash), path: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == new_size {
        return path.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    if old_size > new_size {
        return false;
    }
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let mut path = path.iter();
    let first = if at == 0 { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    #[test]
    fn an_independent_implementation_gives_the_same_roots() {
        let mut theirs = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut ours = Frontier::default();
        assert_eq!(ours.root()[..], theirs.root().as_bytes()[..]);
        for n in 0..70u64 {
            theirs.push(n.to_be_bytes().to_vec());
            ours.push(leaf_hash(&n.to_be_bytes()));
            assert_eq!(ours.root()[..], theirs.root().as_bytes()[..], "size {}", n + 1);
        }
    }

    #[test]
    fn every_leaf_is_included_and_no_other_is() {
        for size in 1..34 {
            let leaves = leaves(size);
            let root = root_of(&leaves);
            for index in 0..size {
                let path = inclusion(&leaves, index).unwrap();
                let leaf = &leaves[index as usize];
                assert!(is_included(&root, size, index, leaf, &path));
                assert!(!is_included(&root, size, index, &leaf_hash(b"other"), &path));
                assert!(!is_included(&root, size, (index + 1) % size, leaf, &path) || size == 1);
            }
            assert_eq!(inclusion(&leaves, size), None);
        }
    }

    #[test]
    fn every_prefix_is_consistent_and_a_fork_is_not() {
        for size in 1..34 {
            let leaves = leaves(size);
            let root = root_of(&leaves);
            for old in 0..=size {
                let subtrees = consistency(old, size);
                let root_over = |subtree: Range<u64>| {
                    let peaks = peaks(subtree).into_iter().map(|(level, at)| {
                        let first = (at << level) as usize;
                        root_of(&leaves[first..first + (1 << level)])
                    });
                    root_of_peaks(&peaks.collect::<Vec<_>>())
                };
                let path: Vec<Hash> = subtrees.into_iter().map(root_over).collect();
                let old_root = root_of(&leaves[..old as usize]);
                assert!(is_consistent((old, &old_root), (size, &root), &path), "{old} of {size}");
                if old > 0 {
                    let mut fork = leaves[..old as usize].to_vec();
                    fork[0] = leaf_hash(b"fork");
                    let fork = root_of(&fork);
                    assert!(!is_consistent((old, &fork), (size, &root), &path));
                }
            }
        }
    }
}
