//! The tree as far as it was read, and back to the last note that held.

use crate::{Hash, Tree};

/// A tree that knows its roots at every size since its base. A note of any of these can be checked
/// without knowing beforehand that it will come.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    base: Tree,
    leaves: Vec<Hash>,
    tip: Tree,
}

impl Recent {
    /// A tree that nothing is known before.
    pub fn at(base: Tree) -> Self {
        Self {
            tip: base.clone(),
            base,
            leaves: Vec::new(),
        }
    }

    pub fn append(&mut self, leaf: Hash) {
        self.tip.append(leaf);
        self.leaves.push(leaf);
    }

    /// Leaves at the base.
    pub fn base(&self) -> u64 {
        self.base.size()
    }

    pub fn tip(&self) -> &Tree {
        &self.tip
    }

    pub fn size(&self) -> u64 {
        self.tip.size()
    }

    /// The tree at a size; `None` before the base and after the tip.
    pub fn tree_at(&self, size: u64) -> Option<Tree> {
        if size == self.size() {
            return Some(self.tip.clone());
        }
        let count = usize::try_from(size.checked_sub(self.base())?).ok()?;
        let mut tree = self.base.clone();
        for leaf in self.leaves.get(..count)? {
            tree.append(*leaf);
        }
        Some(tree)
    }

    /// Makes the tree at a size, which it was asked for, the base.
    pub fn rebase(&mut self, tree: Tree) {
        let Some(Ok(count)) = tree.size().checked_sub(self.base()).map(usize::try_from) else {
            return;
        };
        self.leaves.drain(..count.min(self.leaves.len()));
        self.base = tree;
    }
}
