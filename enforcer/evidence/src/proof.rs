//! Proofs about trees: that a leaf is in one (RFC 6962, 2.1.1), and that one begins with all of
//! another (2.1.2). They are checked as RFC 9162, 2.1.3.2 and 2.1.4.2, say.

use std::ops::Range;

use crate::{
    hash::Hash,
    tree::{Tree, node_hash},
};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is no such leaf, or the smaller tree is the larger one.
    #[error("leaf or size {inner} is not within a tree of {size} leaves")]
    OutOfRange {
        /// The leaf's index, or the size of the smaller tree.
        inner: u64,
        /// Size of the tree.
        size: u64,
    },
    /// Too many or too few hashes.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The subtrees whose roots are the inclusion proof of leaf `index` in a tree of `size` leaves, as
/// ranges of leaves, from the leaf's neighbour to the root's child. Empty when there is no such leaf.
///
/// Those left of the leaf are perfect, and are the perfect subtrees of the tree of `index` leaves.
#[must_use]
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let (mut start, mut end) = (0, size);
    while index < size && end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            ranges.push(middle..end);
            end = middle;
        } else {
            ranges.push(start..middle);
            start = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The inclusion proof of leaf `index` in the tree of `leaves`, given by their hashes.
#[must_use]
pub fn inclusion_path(leaves: &[Hash], index: u64) -> Vec<Hash> {
    let ranges = inclusion_ranges(index, leaves.len() as u64);
    ranges
        .into_iter()
        .map(|range| root_of(leaves, range))
        .collect()
}

/// The proof that the tree of `leaves` begins with the tree of their first `old_size`. Empty when
/// that is none, all, or more of them: nothing is to be proven then.
#[must_use]
pub fn consistency_path(leaves: &[Hash], old_size: u64) -> Vec<Hash> {
    let size = leaves.len() as u64;
    if old_size == 0 || old_size >= size {
        return Vec::new();
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end != old_size {
        let middle = start + split(end - start);
        if old_size <= middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    if start > 0 {
        path.push(start..end); // else it is the old tree, whose root the verifier has
    }
    path.into_iter()
        .rev()
        .map(|range| root_of(leaves, range))
        .collect()
}

/// Whether `leaf` (its hash) is leaf `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// When it is not, or the proof is not one.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { inner: index, size });
    }
    let mut way = Way {
        node: index,
        last: size - 1,
    };
    let mut hash = leaf;
    for sibling in path {
        hash = match way.step()? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    ends(way.is_over(), hash == *root)
}

/// Whether the tree of `size` leaves with the root `root` begins with that of `old_size` leaves
/// with the root `old_root`.
///
/// # Errors
/// When it does not, or the proof is not one.
pub fn verify_consistency(
    old_size: u64,
    size: u64,
    path: &[Hash],
    old_root: &Hash,
    root: &Hash,
) -> Result<(), ProofError> {
    if old_size > size {
        let inner = old_size;
        return Err(ProofError::OutOfRange { inner, size });
    }
    if old_size == 0 {
        return ends(path.is_empty(), *old_root == Tree::default().root());
    }
    if old_size == size {
        return ends(path.is_empty(), old_root == root);
    }
    let mut way = Way {
        node: old_size - 1,
        last: size - 1,
    };
    way.skip(way.node.trailing_ones());
    let mut path = path.iter();
    // A perfect old tree is itself the first node of the way up.
    let first = if way.node == 0 {
        old_root
    } else {
        path.next().ok_or(ProofError::Length)?
    };
    let (mut old, mut new) = (*first, *first);
    for sibling in path {
        match way.step()? {
            Side::Left => {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
            }
            Side::Right => new = node_hash(&new, sibling),
        }
    }
    ends(way.is_over(), old == *old_root && new == *root)
}

/// The way from a node up to the root, beside the last node of each level (RFC 9162, 2.1.3.2: fn and sn).
struct Way {
    node: u64,
    last: u64,
}

/// Where a sibling stands.
enum Side {
    Left,
    Right,
}

impl Way {
    /// One level up: on which side of the node the next hash of the proof stands.
    fn step(&mut self) -> Result<Side, ProofError> {
        if self.is_over() {
            return Err(ProofError::Length);
        }
        let is_right = self.node & 1 == 1;
        let side = if is_right || self.node == self.last {
            if !is_right {
                // The last node of a level has no sibling there: it goes up as it is.
                self.skip(self.node.trailing_zeros());
            }
            Side::Left
        } else {
            Side::Right
        };
        self.skip(1);
        Ok(side)
    }

    fn skip(&mut self, levels: u32) {
        self.node >>= levels;
        self.last >>= levels;
    }

    const fn is_over(&self) -> bool {
        self.last == 0
    }
}

const fn ends(length: bool, roots: bool) -> Result<(), ProofError> {
    match (length, roots) {
        (true, true) => Ok(()),
        (true, false) => Err(ProofError::Root),
        (false, _) => Err(ProofError::Length),
    }
}

/// The largest power of two below `size`, which is 2 at least: where a tree is split.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

fn root_of(leaves: &[Hash], range: Range<u64>) -> Hash {
    let mut tree = Tree::default();
    let skipped = usize::try_from(range.start).unwrap_or(usize::MAX);
    let taken = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let leaves = leaves.iter().skip(skipped).take(taken);
    leaves.for_each(|leaf| tree.append(*leaf));
    tree.root()
}
