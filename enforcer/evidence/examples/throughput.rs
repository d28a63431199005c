//! How many records of 1 KB a second are linked, added to the tree and written to memory, and how
//! many are verified: `cargo run --release -p enforcer-evidence --example throughput`.

use std::{error::Error, time::Instant};

use enforcer_evidence::{
    Sealer, Verifier,
    payload::Payload,
    seal::{Resume, Start},
    verify::Trust,
};
use serde_json::{Value, json};

const BATCH: u32 = 256;
const BATCHES: u32 = 1_000;
/// Batches that are verified.
const KEPT: u32 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start {
        origin: "enforcer/0123456789abcdef0123456789abcdef",
        resumed: Resume::default().finish(),
        keys: Vec::new(),
        head: None,
        random: &[7; 32],
    };
    let (mut sealer, _) = Sealer::start(start)?;
    let head = sealer.sign(0);
    sealer.published(head);
    let mut opening = record(0);
    let payload = Payload::Segment(sealer.opening()?);
    opening["metadata"]["event_code"] = payload.code().into();
    opening["unmapped"] = payload.unmapped().into();

    let records: Vec<Value> = (1..=BATCH).map(record).collect();
    let mut log = Vec::new();
    let mut batch = sealer.begin();
    batch.push(&opening)?;
    log.extend_from_slice(batch.lines());
    batch.commit();
    for _ in 0..KEPT {
        link(&mut sealer, &records, |lines| log.extend_from_slice(lines))?;
    }
    let head = Some(sealer.sign(0).note);

    let mut bytes = 0;
    let began = Instant::now();
    for _ in 0..BATCHES {
        link(&mut sealer, &records, |lines| bytes += lines.len())?;
    }
    let took = began.elapsed().as_secs_f64();
    let count = BATCH * BATCHES;
    println!(
        "linked:   {:>9.0} records/s, {} bytes each",
        f64::from(count) / took,
        bytes / count as usize
    );

    let began = Instant::now();
    for _ in 0..1_000 {
        std::hint::black_box(sealer.sign(0));
    }
    println!(
        "signed:   {:>9.1} us a note",
        began.elapsed().as_secs_f64() * 1_000.0
    );

    let mut verifier = Verifier::new(Trust {
        head,
        ..Trust::default()
    })?;
    let began = Instant::now();
    verifier.segment(1, log.as_slice())?;
    let took = began.elapsed().as_secs_f64();
    let report = verifier.finish(None);
    println!(
        "verified: {:>9.0} records/s, {:?}",
        f64::from(BATCH * KEPT) / took,
        report.verdict
    );
    Ok(())
}

fn link(
    sealer: &mut Sealer,
    records: &[Value],
    mut write: impl FnMut(&[u8]),
) -> Result<(), Box<dyn Error>> {
    let mut batch = sealer.begin();
    for record in records {
        batch.push(record)?;
    }
    write(batch.lines());
    batch.commit();
    Ok(())
}

/// An allowed exec, as the daemon records it.
fn record(number: u32) -> Value {
    json!({
        "action": "Allowed", "action_id": 1, "activity_id": 1, "activity_name": "Launch",
        "actor": {
            "process": {
                "cmd_line": "/opt/release-bot/agent -x", "name": "agent", "pid": 4242,
                "uid": "5f0c1d1e-0000-4000-8000-00000000b007:4242:60000000000"
            },
            "session": {"created_time": 1_795_500_059_000_i64, "issuer": "enforcer", "uid": "feed000000000001"},
            "user": {"name": "ci", "uid": "1000"}
        },
        "ai_agent": {"instance_uid": "feed000000000001", "name": "release-bot", "uid": "release-bot"},
        "category_uid": 1, "class_name": "Process Activity", "class_uid": 1007,
        "device": {"hostname": "host", "type_id": 0, "uid": "0123456789abcdef0123456789abcdef"},
        "message": "exec of /usr/bin/git was allowed",
        "metadata": {
            "event_code": "exec", "log_name": "enforcer", "product": {"name": "enforcer", "vendor_name": "enforcer", "version": "0.1.0"},
            "profiles": ["ai_operation", "host", "record_integrity", "security_control"],
            "sequence": number, "uid": format!("5f0c1d1e-0000-4000-8000-00000000b007:{number}"), "version": "1.9.0"
        },
        "process": {"cmd_line": "/usr/bin/git fetch origin", "name": "git", "pid": 4243},
        "severity_id": 1, "status_id": 1, "time": 1_795_500_060_000_i64, "type_uid": 100_701
    })
}
