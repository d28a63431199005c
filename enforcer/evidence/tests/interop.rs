//! Second opinions: other implementations accept our keys, notes, roots and proofs, and we theirs.

mod common;

use common::{ORIGIN, story};
use ct_merkle::{InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use enforcer_evidence::{
    Hash, Tree,
    checkpoint::Checkpoint,
    epoch::SignedCheckpoint,
    note::{Note, Signed, SignerKey, VerifierKey},
    proof::{consistency_path, inclusion_path, verify_consistency, verify_inclusion},
    prove::Prover,
    tree::leaf_hash,
};
use sha2::Sha256;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::tlog;

/// The notes of a log, each with the key that signed it.
fn notes() -> Vec<(String, String)> {
    let story = story(ORIGIN, 1);
    let report = story.disk.verify(story.disk.trust(&story.root));
    let key = |note: &str| {
        let epoch = SignedCheckpoint::parse(note)
            .expect("a note")
            .checkpoint
            .epoch;
        let of = report.epochs.iter().find(|seen| seen.epoch == epoch);
        of.expect("an epoch").vkey.clone()
    };
    let all = story
        .off_host
        .into_iter()
        .chain(story.disk.epochs)
        .chain(story.disk.head);
    all.map(|note| (key(&note), note)).collect()
}

#[test]
fn signed_note_accepts_our_keys_and_notes() {
    for (vkey, note) in notes() {
        let verifier = StandardVerifier::new(&vkey).expect("a key");
        let read = signed_note::Note::from_bytes(note.as_bytes()).expect("a note");
        let (valid, _) = read
            .verify(&VerifierList::new(vec![Box::new(verifier)]))
            .expect("signed");
        assert_eq!(valid.len(), 1);
        assert_eq!(
            read.text(),
            Note::parse(&note).expect("a note").text().as_bytes()
        );
    }
}

#[test]
fn we_accept_the_keys_and_notes_of_signed_note() {
    let ours = SignerKey::new("example.com/log", &[7; 32]).expect("a name");
    let signer = StandardSigner::new(&ours.private_text()).expect("a private key");
    let mut note =
        signed_note::Note::new("a text\n\nof two paragraphs\n".as_bytes(), &[]).expect("a text");
    note.add_sigs(&[&signer]).expect("signed");
    let note = String::from_utf8(note.to_bytes()).expect("UTF-8");
    let read = Note::parse(&note).expect("a note");
    assert_eq!(read.signed_by(ours.verifier()), Signed::Valid);
    // The example of the specification's first implementation.
    let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        .parse()
        .expect("a key");
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let note = format!(
        "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    );
    assert_eq!(
        Note::parse(&note).expect("a note").signed_by(&key),
        Signed::Valid
    );
}

#[test]
fn tlog_tiles_reads_our_checkpoints() {
    for (_, note) in notes() {
        let SignedCheckpoint { checkpoint, note } = SignedCheckpoint::parse(&note).expect("a note");
        let theirs =
            tlog_tiles::Checkpoint::from_bytes(note.text().as_bytes()).expect("a checkpoint");
        assert_eq!(theirs.origin(), checkpoint.origin);
        assert_eq!(
            (theirs.size(), theirs.hash().0),
            (checkpoint.size, checkpoint.root.0)
        );
        assert!(
            theirs
                .extension()
                .starts_with(&format!("epoch {}\n", checkpoint.epoch))
        );
        assert_eq!(theirs.to_bytes(), note.text().as_bytes());
    }
}

#[test]
fn we_read_the_checkpoints_of_tlog_tiles() {
    let root = Hash::of(b"a root");
    let theirs = tlog_tiles::Checkpoint::new(
        "enforcer/host",
        77,
        tlog::Hash(root.0),
        "epoch 3\ntime 12\n",
    );
    let text = String::from_utf8(theirs.expect("a checkpoint").to_bytes()).expect("UTF-8");
    let ours: Checkpoint = text.parse().expect("a checkpoint");
    assert_eq!(
        (ours.size, ours.root, ours.epoch, ours.time_ms),
        (77, root, 3, 12)
    );
}

/// A tree as `tlog_tiles` stores it.
#[derive(Default)]
struct Stored(Vec<tlog::Hash>);

impl tlog::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog_tiles::Error> {
        Ok(indexes
            .iter()
            .map(|index| self.0[usize::try_from(*index).expect("small")])
            .collect())
    }
}

#[test]
fn tlog_tiles_agrees_on_roots_and_proofs() {
    let (mut stored, mut ours, mut leaves) = (Stored::default(), Tree::default(), Vec::new());
    let theirs = |path: &[Hash]| {
        path.iter()
            .map(|hash| tlog::Hash(hash.0))
            .collect::<Vec<_>>()
    };
    for n in 0..70_u64 {
        let line = format!("line {n}");
        let hashes = tlog::stored_hashes(n, line.as_bytes(), &stored).expect("hashes");
        stored.0.extend(hashes);
        leaves.push(leaf_hash(line.as_bytes()));
        ours.append(leaves[leaves.len() - 1]);
        let (size, root) = (n + 1, ours.root());
        let their_root = tlog::tree_hash(size, &stored).expect("a root");
        assert_eq!(their_root.0, root.0);
        for index in 0..size {
            let leaf = leaves[usize::try_from(index).expect("small")];
            let path = inclusion_path(&leaves, index);
            tlog::check_record(&theirs(&path), size, their_root, index, tlog::Hash(leaf.0))
                .expect("ours holds");
            let path: Vec<Hash> = tlog::prove_record(size, index, &stored)
                .expect("a proof")
                .iter()
                .map(|hash| Hash(hash.0))
                .collect();
            assert_eq!(verify_inclusion(leaf, index, size, &path, &root), Ok(()));
        }
        for old in 1..size {
            let old_root = tlog::tree_hash(old, &stored).expect("a root");
            let path = consistency_path(&leaves, old);
            tlog::check_tree(&theirs(&path), size, their_root, old, old_root).expect("ours holds");
            let path: Vec<Hash> = tlog::prove_tree(size, old, &stored)
                .expect("a proof")
                .iter()
                .map(|hash| Hash(hash.0))
                .collect();
            assert_eq!(
                verify_consistency(old, size, &path, &Hash(old_root.0), &root),
                Ok(())
            );
        }
    }
}

#[test]
fn ct_merkle_agrees_on_roots_and_proofs() {
    let (mut theirs, mut ours, mut leaves) = (
        MemoryBackedTree::<Sha256, Vec<u8>>::new(),
        Tree::default(),
        Vec::new(),
    );
    for n in 0..70_usize {
        let line = format!("line {n}").into_bytes();
        theirs.push(line.clone());
        leaves.push(leaf_hash(&line));
        ours.append(leaves[n]);
        let (size, root) = (n as u64 + 1, ours.root());
        assert_eq!(theirs.root().as_bytes()[..], root.0);
        let our_root = RootHash::<Sha256>::new(root.0.into(), size);
        for index in 0..=n {
            let path = inclusion_path(&leaves, index as u64);
            let proof = InclusionProof::<Sha256>::try_from_bytes(
                path.iter().flat_map(|hash| hash.0).collect(),
            )
            .expect("a proof");
            let line = format!("line {index}").into_bytes();
            our_root
                .verify_inclusion(&line, index as u64, &proof)
                .expect("ours holds");
            let bytes = theirs.prove_inclusion(index).as_bytes().to_vec();
            let path = hashes(&bytes);
            assert_eq!(
                verify_inclusion(leaves[index], index as u64, size, &path, &root),
                Ok(())
            );
        }
        for old in 1..=n {
            let old_root = {
                let mut tree = Tree::default();
                leaves[..old].iter().for_each(|leaf| tree.append(*leaf));
                tree.root()
            };
            let path = consistency_path(&leaves, old as u64);
            let bytes = path.iter().flat_map(|hash| hash.0).collect();
            let proof =
                ct_merkle::ConsistencyProof::<Sha256>::try_from_bytes(bytes).expect("a proof");
            our_root
                .verify_consistency(&RootHash::new(old_root.0.into(), old as u64), &proof)
                .expect("ours holds");
            let path = hashes(theirs.prove_consistency(n + 1 - old).as_bytes());
            assert_eq!(
                verify_consistency(old as u64, size, &path, &old_root, &root),
                Ok(())
            );
        }
    }
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes
        .chunks(32)
        .map(|chunk| Hash(chunk.try_into().expect("32 bytes")))
        .collect()
}

#[test]
fn tlog_tiles_accepts_the_proof_of_a_record() {
    let story = story(ORIGIN, 1);
    let report = story.disk.verify(story.disk.trust(&story.root));
    let newest = report.newest.expect("a note");
    let records = story.disk.records();
    let uid = records[9].2["metadata"]["uid"].as_str().expect("a uid");
    let mut prover = Prover::new(uid, &newest.note, &newest.vkey, Vec::new()).expect("a note");
    for (number, bytes) in &story.disk.segments {
        prover.segment(*number, bytes.as_slice()).expect("read");
    }
    let proof = prover.finish().expect("a proof");
    let root = SignedCheckpoint::parse(&newest.note)
        .expect("a note")
        .checkpoint
        .root;
    let path: Vec<tlog::Hash> = proof.path.iter().map(|hash| tlog::Hash(hash.0)).collect();
    let leaf = tlog::record_hash(proof.line.as_bytes());
    tlog::check_record(&path, newest.size, tlog::Hash(root.0), proof.leaf, leaf).expect("it holds");
}
