//! `enforcer log verify`, `prove` and `key`: whether the log is as it was written. They read files, ask no
//! daemon, and can be run on a copy elsewhere.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use enforcer_evidence::{
    Verifier,
    epoch::transitions,
    note::VerifierKey,
    payload::Payload,
    prove::{Proof, Prover},
    verify::{ReadError, Report, Trust, Verdict, segment_since},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    args::{Check, Prove, Trusted, Verify},
    exit::{Exit, Failure},
    output::{Screen, pairs, plain},
    when,
};
use crate::record::log::{EPOCHS, HEAD, first_record, opening, read_beside, segment};

/// Bytes read of a segment at once.
const BUFFER: usize = 1 << 20;

pub(super) fn verify(asked: &Verify, screen: &mut Screen) -> Result<Exit, Failure> {
    let since = asked.since.as_deref();
    let since = since
        .map(|since| when(since, Timestamp::now()))
        .transpose()?;
    let report = verified(&asked.dir, &asked.trusted, since)?;
    screen.show(&report, text)?;
    Ok(match report.verdict {
        Verdict::Ok => Exit::Ok,
        Verdict::Tampered => Exit::Tampered,
        Verdict::Unverifiable => Exit::Unverifiable,
    })
}

/// What a verification of the log in `folder` says.
pub(super) fn verified(
    folder: &Path,
    trusted: &Trusted,
    since_ms: Option<i64>,
) -> Result<Report, Failure> {
    let mut trust = trusted.read()?;
    trust.transitions = transitions(&small(folder, EPOCHS)?.unwrap_or_default());
    trust.head = small(folder, HEAD)?;
    // Listed behind the head: the log may be written on, and what is signed must be among them.
    let segments = segments(folder)?;
    let from = since_ms.and_then(|since| {
        let openings = segments.iter().map(|(number, path)| (*number, begin(path)));
        segment_since(&openings.collect::<Vec<_>>(), since)
    });
    trust.from = from;
    let mut verifier =
        Verifier::new(trust).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    for (number, path) in segments.range(from.unwrap_or(0)..) {
        verifier
            .segment(*number, open(path)?)
            .map_err(|error: ReadError| Failure::new(Exit::Failure, error.to_string()))?;
    }
    // The daemon may have written on meanwhile: what it signed since is no loss.
    Ok(verifier.finish(small(folder, HEAD)?.as_deref()))
}

pub(super) fn prove(asked: &Prove, screen: &mut Screen) -> Result<Exit, Failure> {
    let nothing = Trusted::default();
    let report = verified(&asked.dir, &nothing, None)?;
    if report.verdict == Verdict::Tampered {
        return Err(
            Failure::new(Exit::Tampered, "the log was changed: it proves nothing")
                .hint("`enforcer log verify` says where"),
        );
    }
    let Some(newest) = report.newest else {
        return Err(Failure::new(
            Exit::Unverifiable,
            "nothing in the log is signed yet",
        ));
    };
    let notes = transitions(&small(&asked.dir, EPOCHS)?.unwrap_or_default());
    let unproven = |error: enforcer_evidence::prove::ProveError| {
        Failure::new(Exit::NotFound, error.to_string())
    };
    let mut prover =
        Prover::new(&asked.event, &newest.note, &newest.vkey, notes).map_err(unproven)?;
    for (number, path) in segments(&asked.dir)? {
        prover.segment(number, open(&path)?).map_err(unproven)?;
    }
    let proof = prover.finish().map_err(unproven)?;
    // The document is the same for people and for programs.
    let mut json = serde_json::to_string_pretty(&proof).map_err(io::Error::from)?;
    json.push('\n');
    screen.text(&json)?;
    Ok(Exit::Ok)
}

pub(super) fn check(asked: &Check, screen: &mut Screen) -> Result<Exit, Failure> {
    let text = read(&asked.proof)?;
    let proof: Proof = serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!(
                "{}: {error}; expected what `enforcer log prove` wrote",
                asked.proof.display()
            ),
        )
    })?;
    let proven = proof
        .verify(&asked.trusted.read()?)
        .map_err(|error| Failure::new(Exit::Tampered, error.to_string()))?;
    screen.show(&proven, |proven| {
        let voucher = serde_json::to_value(&proven.voucher).unwrap_or_default();
        pairs(&[
            (
                "record",
                plain(proven.record["message"].as_str().unwrap_or_default()),
            ),
            (
                "is",
                format!(
                    "leaf {} of the {} of {}",
                    proven.leaf, proven.size, proven.origin
                ),
            ),
            (
                "signed",
                format!("in epoch {}, {}", proven.epoch, time(proven.time_ms)),
            ),
            (
                "vouched by",
                voucher.as_str().unwrap_or_default().to_owned(),
            ),
        ])
    })?;
    Ok(Exit::Ok)
}

/// A key of the log.
#[derive(Serialize)]
struct Key {
    epoch: u64,
    vkey: String,
}

pub(super) fn key(folder: &Path, screen: &mut Screen) -> Result<Exit, Failure> {
    let segments = segments(folder)?;
    let Some((_, first)) = segments.first_key_value() else {
        return Err(Failure::new(Exit::NotFound, "the log has not begun"));
    };
    let opening = opening(first)
        .map_err(|error| Failure::new(Exit::Tampered, format!("{}: {error}", first.display())))?;
    let key = Key {
        epoch: opening.epoch,
        vkey: opening.vkey,
    };
    screen.show(&key, |key| format!("{}:{}", key.epoch, plain(&key.vkey)))?;
    Ok(Exit::Ok)
}

impl Trusted {
    fn read(&self) -> Result<Trust, Failure> {
        let mut trust = Trust::default();
        for text in &self.key {
            let (epoch, key) = epoch_key(text)
                .map_err(|why| Failure::new(Exit::Usage, format!("--key {text}: {why}")))?;
            trust.keys.insert(epoch, key);
        }
        for file in &self.checkpoint {
            trust.checkpoints.extend(checkpoints(&read(file)?));
        }
        Ok(trust)
    }
}

/// `[EPOCH:]VKEY`, or a file that holds that.
fn epoch_key(text: &str) -> Result<(u64, VerifierKey), String> {
    let of_file = fs::read_to_string(text).ok();
    let text = of_file.as_deref().unwrap_or(text).trim();
    let (epoch, key) = match text.split_once(':') {
        Some((epoch, key)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (
            epoch
                .parse()
                .map_err(|_| "no number of an epoch".to_owned())?,
            key,
        ),
        _ => (1, text),
    };
    let key = key.parse::<VerifierKey>().map_err(|error| {
        format!("{error}; expected what `enforcer log key` prints, or a file of it")
    })?;
    Ok((epoch, key))
}

/// Notes one behind the other, or records among which are checkpoints, as a sink has them.
fn checkpoints(text: &str) -> Vec<String> {
    if !text.trim_start().starts_with('{') {
        return transitions(text);
    }
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records
        .filter_map(|record| match Payload::of(&record) {
            Ok(Some(Payload::Checkpoint(checkpoint))) => Some(checkpoint.checkpoint),
            Ok(_) | Err(_) => None,
        })
        .collect()
}

fn segments(folder: &Path) -> Result<BTreeMap<u64, PathBuf>, Failure> {
    segment::list(folder).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound {
            Exit::NotFound
        } else {
            Exit::Failure
        };
        Failure::new(exit, format!("{}: {error}", folder.display()))
    })
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    match File::open(path) {
        Ok(file) => Ok(BufReader::with_capacity(BUFFER, file)),
        Err(error) => Err(Failure::new(
            Exit::Failure,
            format!("{}: {error}", path.display()),
        )),
    }
}

/// One of the small files beside the segments.
fn small(folder: &Path, name: &str) -> Result<Option<String>, Failure> {
    read_beside(folder, name).map_err(|error| {
        let path = folder.join(name);
        Failure::new(Exit::Failure, format!("{}: {error}", path.display()))
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::NotFound, format!("{}: {error}", path.display())))
}

/// Time of a segment's first record.
fn begin(path: &Path) -> Option<i64> {
    first_record(path).ok()?["time"].as_i64()
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

fn text(report: &Report) -> String {
    let verdict = match report.verdict {
        Verdict::Ok => "ok",
        Verdict::Tampered => "tampered",
        Verdict::Unverifiable => "unverifiable",
    };
    let span = match (report.first_time_ms, report.last_time_ms) {
        (Some(first), Some(last)) => format!(", {} to {}", time(first), time(last)),
        _ => String::new(),
    };
    let epochs = report.epochs.iter().map(|epoch| epoch.epoch);
    let (first, last) = (epochs.clone().min(), epochs.max());
    let mut rows = vec![
        ("verdict", verdict.to_owned()),
        (
            "log",
            report
                .origin
                .as_deref()
                .map_or_else(|| "-".to_owned(), plain),
        ),
        (
            "read",
            format!(
                "{} records in {} segments{span}",
                report.lines,
                report.segments.len()
            ),
        ),
        (
            "signed",
            format!(
                "up to record {} of {}; {} checkpoints among the records",
                report.newest.as_ref().map_or(0, |newest| newest.size),
                report.size,
                report.checkpoints
            ),
        ),
    ];
    if let (Some(first), Some(last)) = (first, last) {
        rows.push(("epochs", format!("{first} to {last}")));
    }
    if report.off_host_agreed + report.off_host_unread > 0 {
        rows.push((
            "kept notes",
            format!(
                "{} agree, {} are of what was not read",
                report.off_host_agreed, report.off_host_unread
            ),
        ));
    }
    for (name, count) in [
        ("adopted", report.adopted),
        ("unsigned", report.unsigned_tail),
        ("removed", report.removed.len() as u64),
        ("torn lines", report.torn.len() as u64),
    ] {
        if count > 0 {
            rows.push((name, count.to_string()));
        }
    }
    let mut text = pairs(&rows);
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            lines
                .iter()
                .for_each(|line| text.push_str(&format!("  {}\n", plain(line))));
        }
    };
    list(
        "found",
        report.findings.iter().map(ToString::to_string).collect(),
    );
    list("in the way", report.unverifiable.clone());
    list("not covered", report.limits.clone());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_of_epoch_1_unless_it_says_another() {
        let key = "enforcer/x+";
        assert!(epoch_key(key).is_err());
        for text in ["", "12", "3:", "x:y"] {
            assert!(epoch_key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn checkpoints_are_found_among_records() {
        let record = serde_json::json!({
            "metadata": {"event_code": "log-checkpoint"},
            "unmapped": {"epoch": 2, "checkpoint": "a note"},
        });
        let other = serde_json::json!({"metadata": {"event_code": "exec"}});
        assert_eq!(
            checkpoints(&format!("{record}\n{other}\nnonsense\n")),
            ["a note"]
        );
    }
}
