//! The tree of RFC 6962: the vectors that implementations of Certificate Transparency share, the
//! definition written out, and properties.

use enforcer_evidence::{
    Hash, Tree,
    proof::{ProofError, consistency_path, inclusion_path, verify_consistency, verify_inclusion},
    tree::{leaf_hash, node_hash},
};
use proptest::prelude::*;

/// The eight leaves of the shared vectors.
const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// The roots of the trees of the first n of them.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hash(text: &str) -> Hash {
    text.parse().expect("a hash")
}

fn tree(leaves: &[Hash]) -> Tree {
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.append(*leaf));
    tree
}

/// MTH of RFC 6962, 2.1, as it is written there.
fn defined(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&defined(&leaves[..k]), &defined(&leaves[k..]))
        }
    }
}

/// PATH of RFC 6962, 2.1.1, as it is written there.
fn defined_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let mut k = 1;
    while k * 2 < leaves.len() {
        k *= 2;
    }
    let (mut path, beside) = if m < k {
        (defined_path(m, &leaves[..k]), defined(&leaves[k..]))
    } else {
        (defined_path(m - k, &leaves[k..]), defined(&leaves[..k]))
    };
    path.push(beside);
    path
}

fn numbered(count: u64) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

#[test]
fn the_shared_vectors_have_their_roots() {
    let leaves: Vec<Hash> = LEAVES.iter().map(|leaf| leaf_hash(leaf)).collect();
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(tree(&leaves[..size]).root(), hash(root), "{size}");
    }
}

#[test]
fn the_shared_vectors_have_their_proofs() {
    let leaves: Vec<Hash> = LEAVES.iter().map(|leaf| leaf_hash(leaf)).collect();
    let inclusion = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(inclusion_path(&leaves, 0), inclusion.map(hash));
    let consistency = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(consistency_path(&leaves, 6), consistency.map(hash));
}

#[test]
fn every_proof_of_small_trees_holds_and_is_the_defined_one() {
    for size in 1..=40 {
        let leaves = numbered(size);
        let root = tree(&leaves).root();
        assert_eq!(root, defined(&leaves));
        for index in 0..size {
            let path = inclusion_path(&leaves, index);
            let at = usize::try_from(index).expect("small");
            assert_eq!(path, defined_path(at, &leaves), "{index} of {size}");
            assert_eq!(
                verify_inclusion(leaves[at], index, size, &path, &root),
                Ok(())
            );
        }
        for old in 0..=size {
            let path = consistency_path(&leaves, old);
            let old_root = tree(&leaves[..usize::try_from(old).expect("small")]).root();
            assert_eq!(
                verify_consistency(old, size, &path, &old_root, &root),
                Ok(()),
                "{old} of {size}"
            );
        }
    }
}

#[test]
fn a_tree_is_taken_up_from_its_parts() {
    let leaves = numbered(77);
    for at in 0..leaves.len() {
        let before = tree(&leaves[..at]);
        let mut taken_up =
            Tree::from_parts(before.size(), before.roots().to_vec()).expect("its roots");
        leaves[at..].iter().for_each(|leaf| taken_up.append(*leaf));
        assert_eq!(taken_up, tree(&leaves));
    }
    assert!(Tree::from_parts(7, vec![leaves[0]; 2]).is_err());
    assert!(Tree::from_parts(0, vec![leaves[0]]).is_err());
}

#[test]
fn a_leaf_and_a_size_that_are_not_there_are_refused() {
    let (leaves, any) = (numbered(5), leaf_hash(b""));
    let root = tree(&leaves).root();
    let expected = Err(ProofError::OutOfRange { inner: 5, size: 5 });
    assert_eq!(verify_inclusion(any, 5, 5, &[], &root), expected);
    let expected = Err(ProofError::OutOfRange { inner: 6, size: 5 });
    assert_eq!(verify_consistency(6, 5, &[], &any, &root), expected);
    assert!(verify_consistency(0, 5, &[], &any, &root).is_err());
    assert!(inclusion_path(&leaves, 5).is_empty());
}

proptest! {
    #[test]
    fn a_proof_holds_for_its_leaf_its_place_and_its_tree_alone(
        size in 2_u64..400,
        at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let leaves = numbered(size);
        let root = tree(&leaves).root();
        let index = at.index(leaves.len());
        let (n, path) = (index as u64, inclusion_path(&leaves, index as u64));
        prop_assert_eq!(verify_inclusion(leaves[index], n, size, &path, &root), Ok(()));
        let elsewhere = other.index(leaves.len());
        if elsewhere != index {
            prop_assert!(verify_inclusion(leaves[elsewhere], n, size, &path, &root).is_err());
            prop_assert!(verify_inclusion(leaves[index], elsewhere as u64, size, &path, &root).is_err());
        }
        let mut changed = path.clone();
        let hash = other.index(path.len());
        if cut { changed.remove(hash); } else { changed[hash].0[7] ^= 1; }
        prop_assert!(verify_inclusion(leaves[index], n, size, &changed, &root).is_err());
        changed.clone_from(&path);
        changed.push(root);
        prop_assert!(verify_inclusion(leaves[index], n, size, &changed, &root).is_err());
    }

    #[test]
    fn a_tree_is_consistent_with_its_own_past_alone(
        size in 2_u64..400,
        at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let leaves = numbered(size);
        let root = tree(&leaves).root();
        let old = 1 + at.index(leaves.len() - 1);
        let path = consistency_path(&leaves, old as u64);
        let old_root = tree(&leaves[..old]).root();
        prop_assert_eq!(verify_consistency(old as u64, size, &path, &old_root, &root), Ok(()));
        let mut rewritten = leaves[..old].to_vec();
        rewritten[other.index(old)].0[0] ^= 1;
        let rewritten = tree(&rewritten).root();
        prop_assert!(verify_consistency(old as u64, size, &path, &rewritten, &root).is_err());
        prop_assert!(verify_consistency(old as u64, size, &path, &old_root, &rewritten).is_err());
        let mut changed = path.clone();
        changed[other.index(path.len())].0[3] ^= 1;
        prop_assert!(verify_consistency(old as u64, size, &changed, &old_root, &root).is_err());
        changed.clone_from(&path);
        changed.pop();
        prop_assert!(verify_consistency(old as u64, size, &changed, &old_root, &root).is_err());
    }

    #[test]
    fn hostile_proofs_are_refused_without_panicking(
        index in any::<u64>(), size in any::<u64>(), old in any::<u64>(), hashes in 0_usize..70,
    ) {
        let path = numbered(hashes as u64);
        let root = leaf_hash(b"root");
        prop_assert!(verify_inclusion(leaf_hash(b"leaf"), index, size, &path, &root).is_err());
        prop_assert!(verify_consistency(old, size, &path, &leaf_hash(b"old"), &root).is_err());
    }
}
