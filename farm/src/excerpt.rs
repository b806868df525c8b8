//! Excerpts of the public log: some of its entries, and the few hashes that lead from them to its
//! root: an inclusion proof (RFC 6962 §2.1.1) for many leaves at once, which share their way up.
//! Knows no entry.

use crate::log::{self, Hash, empty_root, node_hash, split};
use std::ops::Range;

/// The hashes that lead from the `wanted` leaves of a tree of `size` to its root: of each largest
/// subtree without any of them the root, from left to right. `wanted` rises strictly and lies below
/// `size`; `node(level, index)` is the root of the 2^level leaves from `index << level` on.
pub fn siblings<E>(
    size: u64,
    wanted: &[u64],
    mut node: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut found = Vec::new();
    if size > 0 {
        gather(0..size, wanted, &mut node, &mut found)?;
    }
    Ok(found)
}

fn gather<E>(
    leaves: Range<u64>,
    wanted: &[u64],
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
    found: &mut Vec<Hash>,
) -> Result<(), E> {
    let count = leaves.end - leaves.start;
    if wanted.is_empty() {
        let peaks = log::peaks(leaves).into_iter().map(|(level, index)| node(level, index));
        found.push(log::root_of_peaks(&peaks.collect::<Result<Vec<Hash>, E>>()?));
    } else if count > 1 {
        let middle = leaves.start + split(count);
        let (left, right) = wanted.split_at(wanted.partition_point(|at| *at < middle));
        gather(leaves.start..middle, left, node, found)?;
        gather(middle..leaves.end, right, node, found)?;
    }
    Ok(())
}

/// The root to which leaf hashes at their indices and the hashes beside them lead. `None` if the
/// indices do not rise strictly below `size`, or if there are not just as many hashes as it takes.
pub fn root(size: u64, leaves: &[(u64, Hash)], siblings: &[Hash]) -> Option<Hash> {
    let rising = leaves.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if !rising || leaves.last().is_some_and(|last| last.0 >= size) {
        return None;
    }
    if size == 0 {
        return siblings.is_empty().then(empty_root);
    }
    let mut siblings = siblings.iter();
    let root = climb(0..size, leaves, &mut siblings)?;
    siblings.next().is_none().then_some(root)
}

fn climb(
    span: Range<u64>,
    leaves: &[(u64, Hash)],
    siblings: &mut std::slice::Iter<'_, Hash>,
) -> Option<Hash> {
    let count = span.end - span.start;
    match leaves {
        [] => siblings.next().copied(),
        [(_, leaf)] if count == 1 => Some(*leaf),
        _ => {
            let middle = span.start + split(count);
            let (left, right) = leaves.split_at(leaves.partition_point(|(at, _)| *at < middle));
            let left = climb(span.start..middle, left, siblings)?;
            Some(node_hash(&left, &climb(middle..span.end, right, siblings)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{leaf_hash, root_of};
    use std::convert::Infallible;

    fn excerpt(leaves: &[Hash], wanted: &[u64]) -> Vec<Hash> {
        let node = |level: u32, index: u64| {
            let first = (index << level) as usize;
            Ok::<_, Infallible>(root_of(&leaves[first..first + (1 << level)]))
        };
        siblings(leaves.len() as u64, wanted, node).unwrap()
    }

    #[test]
    fn any_leaves_lead_to_the_root_and_no_others_do() {
        for size in 0..12_u64 {
            let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&[n as u8])).collect();
            for choice in 0..1_u64 << size {
                let wanted: Vec<u64> = (0..size).filter(|at| choice >> at & 1 == 1).collect();
                let beside = excerpt(&leaves, &wanted);
                let mut given: Vec<(u64, Hash)> =
                    wanted.iter().map(|at| (*at, leaves[*at as usize])).collect();
                assert_eq!(root(size, &given, &beside), Some(root_of(&leaves)));
                if let Some((_, leaf)) = given.first_mut() {
                    leaf[0] ^= 1;
                    assert_ne!(root(size, &given, &beside), Some(root_of(&leaves)));
                }
            }
        }
    }

    #[test]
    fn one_leaf_takes_as_many_hashes_as_its_inclusion_proof() {
        let leaves: Vec<Hash> = (0..77).map(|n| leaf_hash(&[n])).collect();
        for at in 0..77 {
            let path = crate::log::inclusion(&leaves, at).unwrap();
            assert_eq!(excerpt(&leaves, &[at]).len(), path.len());
        }
    }

    #[test]
    fn what_does_not_fit_has_no_root() {
        let leaves: Vec<Hash> = (0..9).map(|n| leaf_hash(&[n])).collect();
        let given = [(2, leaves[2]), (5, leaves[5])];
        let beside = excerpt(&leaves, &[2, 5]);
        assert!(root(9, &given, &beside).is_some());
        assert_eq!(root(9, &given, &beside[1..]), None);
        assert_eq!(root(9, &given, &[&beside[..], &[[0; 32]]].concat()), None);
        assert_eq!(root(9, &[given[1], given[0]], &beside), None);
        assert_eq!(root(9, &[given[0], given[0]], &beside), None);
        assert_eq!(root(5, &given, &beside), None);
        assert_eq!(root(u64::MAX, &given, &beside), None);
    }
}
