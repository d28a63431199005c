//! A forger: writes the log anew from a place on, as well as the keys that he has let him.

use enforcer_evidence::{
    Hash, Tree,
    chain::{Attestation, Link, append_record},
    checkpoint::Checkpoint,
    epoch::{EpochKey, SignedCheckpoint},
    note::{SignerKey, sign},
    tree::leaf_hash,
};
use serde_json::{Value, json};

use crate::{
    STORY,
    common::{Disk, ORIGIN},
};

/// Seeds of the story's epochs, from 1.
const SEEDS: [u8; 4] = [1, 2, 102, 3];

/// The key of an epoch of the story; of nobody beyond those.
pub fn key(epoch: u64) -> EpochKey {
    let seed = usize::try_from(epoch)
        .ok()
        .and_then(|epoch| SEEDS.get(epoch - 1))
        .copied();
    EpochKey::generate(ORIGIN, epoch, &[seed.unwrap_or(250); 32]).expect("an origin")
}

/// Signs a checkpoint's text, whatever it says.
pub fn signed(text: &str, keys: &[&EpochKey]) -> String {
    let keys: Vec<SignerKey> = keys
        .iter()
        .map(|key| {
            SignerKey::from_private_text(key.to_file().split_once('\n').expect("two lines").1)
                .expect("a key")
        })
        .collect();
    sign(text, &keys.iter().collect::<Vec<_>>()).expect("a text")
}

/// What the forger does with notes.
#[derive(Clone, Copy)]
pub enum Notes<'a> {
    /// He leaves them, for he has no key.
    Left,
    /// He signs them anew, as of the epoch that they are in, with the key that he has instead.
    Signed(&'a dyn Fn(u64) -> EpochKey),
}

/// The log's records, and `change` made to them, from the first that is another one on written anew:
/// linked, and as far as he can, signed.
pub fn forged(change: impl FnOnce(&mut Vec<(u64, Value)>), notes: Notes<'_>) -> Disk {
    let original: Vec<(u64, Value)> = STORY
        .disk
        .records()
        .into_iter()
        .map(|(segment, _, record)| (segment, record))
        .collect();
    let mut records = original.clone();
    change(&mut records);
    let kept = original
        .iter()
        .zip(&records)
        .take_while(|(a, b)| a == b)
        .count();
    write(&records, kept, notes)
}

fn write(records: &[(u64, Value)], kept: usize, notes: Notes<'_>) -> Disk {
    let mut disk = Disk {
        segments: Default::default(),
        ..STORY.disk.clone()
    };
    let mut tree = start();
    let mut last: Option<Link> = None;
    let mut epoch = 0;
    for (index, (segment, record)) in records.iter().enumerate() {
        let mut record = record.clone();
        let attestation = Attestation::of(&record).expect("linked");
        if index < kept {
            last = None.or(attestation_link(&record, &attestation));
        }
        let mut line = Vec::new();
        if index < kept {
            enforcer_evidence::canonical::append_line(&mut line, &record).expect("canonical");
        } else {
            record
                .as_object_mut()
                .expect("an object")
                .remove("attestation_list");
            if let Notes::Signed(key) = notes {
                resign(&mut record, &disk, *segment, &tree, &key);
            }
            let previous = last.take().or(attestation.previous);
            last = Some(
                append_record(&mut line, &record, ORIGIN, previous.as_ref()).expect("a record"),
            );
        }
        epoch = record["unmapped"]["epoch"].as_u64().unwrap_or(epoch);
        tree.append(leaf_hash(line.strip_suffix(b"\n").expect("a line")));
        disk.segments
            .entry(*segment)
            .or_default()
            .extend_from_slice(&line);
    }
    if let Notes::Signed(key) = notes {
        disk.head = Some(
            key(epoch)
                .checkpoint(&tree, 0)
                .replace("epoch 99", &format!("epoch {epoch}")),
        );
    }
    disk
}

fn start() -> Tree {
    let (_, _, first) = STORY.disk.records().swap_remove(0);
    let roots = first["unmapped"]["tree_roots"].as_array().expect("roots");
    let roots: Vec<Hash> = roots
        .iter()
        .map(|root| root.as_str().expect("text").parse().expect("a hash"))
        .collect();
    Tree::from_parts(
        first["unmapped"]["tree_size"].as_u64().expect("a size"),
        roots,
    )
    .expect("a tree")
}

fn attestation_link(record: &Value, attestation: &Attestation) -> Option<Link> {
    Some(Link {
        uid: record["metadata"]["uid"].as_str()?.to_owned(),
        type_uid: record["type_uid"].as_u64()?,
        fingerprint: attestation.fingerprint,
    })
}

/// Makes what a record says of the log true of the forged one.
fn resign(
    record: &mut Value,
    disk: &Disk,
    segment: u64,
    tree: &Tree,
    key: &dyn Fn(u64) -> EpochKey,
) {
    let payload = &mut record["unmapped"];
    let of = |note: &Value| {
        let read = SignedCheckpoint::parse(note.as_str()?).ok()?.checkpoint;
        Some(Checkpoint {
            size: tree.size(),
            root: tree.root(),
            ..read
        })
    };
    if let Some(checkpoint) = of(&payload["checkpoint"]) {
        payload["checkpoint"] = signed(&checkpoint.to_string(), &[&key(checkpoint.epoch)]).into();
    }
    if !payload["tree_roots"].is_null() {
        payload["tree_size"] = tree.size().into();
        payload["tree_roots"] = json!(tree.roots());
        if let Some(former) = disk.segments.get(&(segment - 1)) {
            payload["former"]["sha256"] = Hash::of(former).to_string().into();
            payload["former"]["bytes"] = former.len().into();
        }
    }
    if let Some(transition) = of(&payload["transition"]) {
        let keys = [&key(transition.epoch), &key(transition.epoch + 1)];
        payload["transition"] = signed(&transition.to_string(), &keys).into();
        let head = Checkpoint {
            next: None,
            ..transition
        };
        payload["former_head"] = signed(&head.to_string(), &keys[..1]).into();
        payload["adopted"] = 0.into();
    }
}
