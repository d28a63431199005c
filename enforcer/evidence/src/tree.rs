//! The Merkle tree of RFC 6962, section 2.1, over the lines of the log, without the lines.
//!
//! A tree of n leaves is a row of perfect subtrees, one for each bit that is set in n, the largest
//! first. Their roots (the *compact range* from 0 to n) are all that is needed to append and to give
//! the root, so that a tree of any size fits into 64 hashes and can be taken up where it was left.

use sha2::{Digest, Sha256};

use crate::hash::Hash;

/// The hash of a leaf: SHA-256(0x00 || line).
#[must_use]
pub fn leaf_hash(line: &[u8]) -> Hash {
    let mut sha256 = Sha256::new();
    sha256.update([0]);
    sha256.update(line);
    Hash(sha256.finalize().into())
}

/// The hash of an inner node: SHA-256(0x01 || left || right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 65];
    bytes[0] = 1;
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash::of(&bytes)
}

/// A tree, as the roots of its perfect subtrees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// From the left, which is from the largest.
    roots: Vec<Hash>,
}

/// Roots that cannot be those of a tree of this size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {} perfect subtrees, not {found}", size.count_ones())]
pub struct WrongRoots {
    /// Leaves of the tree.
    pub size: u64,
    /// Roots that were given.
    pub found: usize,
}

impl Tree {
    /// The tree of `size` leaves whose perfect subtrees have these roots, largest first.
    ///
    /// # Errors
    /// When their number is not that of the bits set in `size`. That they are the right ones is not
    /// known before [`Tree::root`] was compared with a signed one.
    pub fn from_parts(size: u64, roots: Vec<Hash>) -> Result<Self, WrongRoots> {
        if u32::try_from(roots.len()).ok() == Some(size.count_ones()) {
            Ok(Self { size, roots })
        } else {
            let found = roots.len();
            Err(WrongRoots { size, found })
        }
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees, largest first.
    #[must_use]
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a leaf by its [`leaf_hash`].
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each trailing one of the old size is a subtree as large as what is being appended.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.roots.pop() else { break };
            node = node_hash(&left, &node);
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The root: that of the empty tree is the SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let folded = self.roots.iter().rev().copied();
        folded
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(|| Hash::of(&[]))
    }
}
