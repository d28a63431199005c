//! The executables of each session as a tree: who started whom, up to the session's root.
//!
//! An executable is known by the sequence number of the exec event that started it. The event's
//! `exec` is the executable that made the call, so the edges come from the kernel and not from a
//! look at `/proc` that would race with exits. What is held is what the log holds: a restarted
//! daemon learns it again from its own records ([`Lineage::relearn`]).
//!
//! A parent can be missing, for its event can be lost. A gap shows as a chain that does not end at
//! the launcher's image, 0 ([`Ancestry::to_root`]), never as a guess.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use enforcer_common::{event::Kind, verdict::Verdict};
use serde_json::Value;

use super::{
    event::{self, Head},
    names::{file_uid, process_uid},
    text::escaped,
};

/// "The executable that the session's launcher was": the root of each session's tree.
pub const LAUNCHER: u64 = 0;

/// One executable that ran in a session. Texts are in the records' escaped form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// Sequence number of the executable that started it; [`LAUNCHER`] at the root.
    pub parent: u64,
    /// Session id.
    pub session: u64,
    /// Process that ran it first.
    pub pid: u32,
    /// That process's identity on this host: `boot:pid:start`.
    pub process_uid: String,
    /// Time of the exec, milliseconds since 1970.
    pub started_ms: i64,
    /// Resolved path, where the event had it.
    pub path: Option<String>,
    /// Identity of the file, where it could be read.
    pub file_uid: Option<String>,
    /// SHA-256 of the file in hexadecimal, where the daemon knew it.
    pub sha256: Option<String>,
    /// Claimed command line, where it could be read.
    pub cmd_line: Option<String>,
}

/// The executables above one, nearest first.
#[derive(Debug, PartialEq, Eq)]
pub struct Ancestry<'a> {
    /// The executables that are known, nearest first.
    pub known: Vec<&'a Executable>,
    /// Whether the chain is whole, up to the launcher's image.
    pub to_root: bool,
}

/// The trees of all sessions.
#[derive(Debug, Default)]
pub struct Lineage {
    executables: BTreeMap<u64, Executable>,
}

impl Lineage {
    /// Takes in an exec event that went on (allowed, or only reported in monitor mode). Of several
    /// interpreter levels each is taken in; the last one's number is what later events name.
    ///
    /// `started_ms` and `boot_id` are those of the record made of it; `sha256` as the daemon knows it.
    pub fn learn(
        &mut self,
        head: &Head,
        executable: &event::Executable,
        started_ms: i64,
        boot_id: &str,
        sha256: Option<String>,
    ) {
        if head.verdict == Verdict::Deny {
            return;
        }
        let known = Executable {
            parent: head.exec,
            session: head.session,
            pid: head.tgid,
            process_uid: process_uid(boot_id, head.tgid, head.start_ns),
            started_ms,
            path: executable.path.as_deref().map(escaped),
            file_uid: file_uid(executable.file),
            sha256,
            cmd_line: executable.arguments.as_deref().map(cmd_line),
        };
        self.executables.insert(head.sequence, known);
    }

    /// Takes in a record of this boot that an earlier daemon wrote: what an exec started, or that a
    /// session ended. Any other record is passed over, those of other boots too.
    pub fn relearn(&mut self, record: &Value, boot_id: &str) {
        let of_this_boot = record["metadata"]["uid"]
            .as_str()
            .and_then(|uid| uid.strip_prefix(boot_id))
            .is_some_and(|rest| rest.starts_with(':'));
        if !of_this_boot {
            return;
        }
        let code = record["metadata"]["event_code"].as_str();
        if code == Some(Kind::Exec.name()) {
            if let Some((sequence, executable)) = relearned(record) {
                self.executables.insert(sequence, executable);
            }
        } else if code == Some(Kind::SessionEnd.name())
            && let Some(session) = session_of(record)
        {
            self.forget(session);
        }
    }

    /// The executable that the exec event `sequence` started.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<&Executable> {
        self.executables.get(&sequence)
    }

    /// What is known above the executable `sequence`, which is not part of it.
    #[must_use]
    pub fn ancestry(&self, sequence: u64) -> Ancestry<'_> {
        let mut known = Vec::new();
        let mut at = sequence;
        while at != LAUNCHER {
            let Some(executable) = self.get(at) else {
                break;
            };
            // A parent started before its child. Anything else is no tree, and must not loop.
            if executable.parent >= at {
                break;
            }
            at = executable.parent;
            known.extend(self.get(at));
        }
        let to_root = at == LAUNCHER;
        Ancestry { known, to_root }
    }

    /// Forgets a session that ended.
    pub fn forget(&mut self, session: u64) {
        self.executables.retain(|_, e| e.session != session);
    }

    /// Forgets every executable that is neither live nor an ancestor of one that is. Called now and
    /// then with what the labels in the kernel name, it bounds what is held by what runs.
    ///
    /// Executables newer than `since` are kept: their labels may have been read before they ran.
    pub fn retain(&mut self, since: u64, live: impl Fn(u64) -> bool) {
        let mut kept = BTreeSet::new();
        for sequence in self.executables.keys().copied() {
            if sequence > since || live(sequence) {
                self.keep_up_from(sequence, &mut kept);
            }
        }
        self.executables
            .retain(|sequence, _| kept.contains(sequence));
    }

    fn keep_up_from(&self, sequence: u64, kept: &mut BTreeSet<u64>) {
        let mut at = sequence;
        // A kept executable's ancestors are kept already.
        while let Some(executable) = self.get(at)
            && kept.insert(at)
        {
            at = executable.parent;
        }
    }

    /// Executables held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.executables.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.executables.is_empty()
    }
}

/// The claimed arguments as one line. Where one argument ends is not told; records hold the list too.
#[must_use]
pub fn cmd_line(arguments: &[Vec<u8>]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|a| escaped(a)).collect();
    arguments.join(" ")
}

/// What [`Lineage::learn`] held of the exec that `record` tells of; `None` for a denied one, and
/// for a record that is not whole.
fn relearned(record: &Value) -> Option<(u64, Executable)> {
    if record["unmapped"]["verdict"].as_str()? == Verdict::Deny.name() {
        return None;
    }
    let process = &record["process"];
    let executable = Executable {
        parent: record["unmapped"]["exec"].as_u64()?,
        session: session_of(record)?,
        pid: process["pid"].as_u64()?.try_into().ok()?,
        process_uid: text(&process["uid"])?,
        started_ms: record["time"].as_i64()?,
        path: text(&process["file"]["path"]),
        file_uid: text(&process["file"]["uid"]),
        sha256: text(&process["file"]["hashes"][0]["value"]),
        cmd_line: text(&process["cmd_line"]),
    };
    Some((record["metadata"]["sequence"].as_u64()?, executable))
}

fn session_of(record: &Value) -> Option<u64> {
    let uid = record["actor"]["session"]["uid"].as_str()?;
    u64::from_str_radix(uid, 16).ok()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
