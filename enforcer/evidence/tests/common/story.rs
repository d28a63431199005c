//! The log that the tests are about.

use enforcer_evidence::{Hash, note::VerifierKey, payload::TornLine};

use super::{Disk, Writer, root_key};

/// A log with everything: several segments and epochs, a removed segment, a torn tail, adopted
/// lines, and checkpoints that were kept off the host.
pub struct Story {
    pub disk: Disk,
    pub root: VerifierKey,
    pub off_host: Vec<String>,
}

pub fn story(origin: &str, seed: u8) -> Story {
    let mut off_host = Vec::new();
    let mut writer = Writer::start(origin, Disk::default(), 16_000, seed);
    for _ in 0..4 {
        writer.events(5);
        off_host.push(writer.checkpoint());
    }
    // A crash: what was written last was not signed, and a line was torn.
    writer.events(3);
    let disk = writer.disk;
    let (number, bytes) = disk
        .segments
        .iter()
        .next_back()
        .map(|(n, b)| (*n, b.len() as u64))
        .expect("one");
    let torn = TornLine {
        segment: format!("/var/log/enforcer/enforcer-20261124T090300Z-{number:08}.jsonl"),
        set_aside: format!("/var/log/enforcer/enforcer-20261124T090300Z-{number:08}.jsonl.torn"),
        offset: bytes,
        bytes: 17,
        sha256: Hash::of(b"a torn last line."),
    };
    let mut writer = Writer::start_with(origin, disk, 16_000, seed + 1, Some(torn));
    writer.events(4);
    off_host.push(writer.checkpoint());
    writer.remove_oldest();
    writer.events(6);
    writer.next_epoch();
    for _ in 0..3 {
        writer.events(4);
        off_host.push(writer.checkpoint());
    }
    let disk = writer.stop();
    let mut writer = Writer::start(origin, disk, 16_000, seed + 2);
    writer.events(5);
    off_host.push(writer.checkpoint());
    writer.events(5);
    let disk = writer.stop();
    Story {
        disk,
        root: root_key(origin, seed),
        off_host,
    }
}
