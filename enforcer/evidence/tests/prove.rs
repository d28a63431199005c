//! Proofs of single records.

mod common;

use std::collections::BTreeMap;

use common::{ORIGIN, root_key, story};
use enforcer_evidence::{
    prove::{self, ProveError, Prover, Unproven, Voucher},
    verify::Trust,
};
use serde_json::Value;

#[test]
fn every_record_can_be_proven_without_the_log() {
    let story = story(ORIGIN, 1);
    let report = story.disk.verify(story.disk.trust(&story.root));
    let newest = report.newest.expect("a note");
    let trust = Trust {
        keys: BTreeMap::from([(1, story.root.clone())]),
        ..Trust::default()
    };
    for (leaf, (segment, _, record)) in (report.first_leaf..).zip(story.disk.records()) {
        let uid = record["metadata"]["uid"].as_str().expect("a uid");
        let mut prover = Prover::new(uid, &newest.note, &newest.vkey, story.disk.epochs.clone())
            .expect("a note");
        for (number, bytes) in story.disk.segments.range(segment..) {
            prover.segment(*number, bytes.as_slice()).expect("read");
        }
        let proof = prover.finish().expect("a proof");
        let text = serde_json::to_string(&proof).expect("JSON");
        let proof: prove::Proof = serde_json::from_str(&text).expect("a proof");
        let proven = proof.verify(&trust).expect("it holds");
        assert_eq!(
            (proven.leaf, &proven.record, proven.voucher),
            (leaf, &record, Voucher::Key)
        );
        // Nothing of it can be changed.
        let mut other = proof.clone();
        other.line = other.line.replacen("enforcer", "enforced", 1);
        assert!(matches!(
            other.verify(&trust),
            Err(Unproven::NotIncluded { .. })
        ));
        let mut other = proof.clone();
        other.leaf ^= 1;
        assert!(other.verify(&trust).is_err());
        let strange = Trust {
            keys: BTreeMap::from([(1, root_key(ORIGIN, 77))]),
            ..Trust::default()
        };
        assert!(matches!(
            proof.verify(&strange),
            Err(Unproven::Transitions(_))
        ));
        let nobody = proof.verify(&Trust::default()).expect("it holds in itself");
        assert_eq!(nobody.voucher, Voucher::Nobody);
    }
}

#[test]
fn a_record_is_proven_against_a_checkpoint_that_was_kept_off_the_host() {
    let story = story(ORIGIN, 1);
    let report = story.disk.verify(story.disk.trust(&story.root));
    let kept = story.off_host.last().expect("one");
    let vkey = &report.epochs.last().expect("one").vkey;
    let records = story.disk.records();
    let uid = |record: &Value| {
        record["metadata"]["uid"]
            .as_str()
            .expect("a uid")
            .to_owned()
    };
    let prove = |uid: &str| {
        let mut prover = Prover::new(uid, kept, vkey, Vec::new()).expect("a note");
        for (number, bytes) in &story.disk.segments {
            prover.segment(*number, bytes.as_slice()).expect("read");
        }
        prover.finish()
    };
    let proof = prove(&uid(&records[10].2)).expect("a proof");
    let trust = Trust {
        checkpoints: story.off_host.clone(),
        ..Trust::default()
    };
    assert_eq!(
        proof.verify(&trust).expect("it holds").voucher,
        Voucher::OffHost
    );
    let newer = uid(&records.last().expect("one").2);
    assert!(matches!(prove(&newer), Err(ProveError::NotFound { .. })));
}
