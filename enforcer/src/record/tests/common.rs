//! Facts, events and a directory for the tests.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use enforcer_common::{
    event::Kind,
    object::{FileId, FileStamp},
    verdict::{Reason, Verdict},
};
use serde_json::{Value, json};

use super::bytes::{bytes_of, exec, header};
use crate::record::{
    Context, Event, Host, Log, LogError, Opening, Recorder, SessionFacts, event::Object,
};

pub(super) const BOOT: &str = "5f0c1d1e-0000-4000-8000-00000000b007";
pub(super) const SESSION: u64 = 0xfeed_0000_0000_0001;

/// What a test's daemon knows.
#[derive(Default)]
pub(super) struct Facts {
    pub session: Option<SessionFacts>,
    pub agent: Option<&'static str>,
    pub rules: BTreeMap<(u32, u64), &'static str>,
    pub users: BTreeMap<u32, &'static str>,
    pub digest: Option<[u8; 32]>,
}

impl Facts {
    pub fn all() -> Self {
        Self {
            session: Some(session()),
            agent: Some("release-bot"),
            rules: BTreeMap::from([((12, 5), "tools")]),
            users: BTreeMap::from([(1000, "ci")]),
            digest: Some([0xab; 32]),
        }
    }
}

impl Context for Facts {
    fn session(&self, id: u64) -> Option<Arc<SessionFacts>> {
        self.session.clone().filter(|s| s.id == id).map(Arc::new)
    }
    fn agent(&self, _slot: u32, _generation: u32) -> Option<Arc<str>> {
        self.agent.map(Into::into)
    }
    fn rule(&self, _generation: u32, _agent: u32, cell: u32, conditions: u64) -> Option<Arc<str>> {
        self.rules
            .get(&(cell, conditions))
            .map(|rule| (*rule).into())
    }
    fn user_name(&self, uid: u32) -> Option<Arc<str>> {
        self.users.get(&uid).map(|name| (*name).into())
    }
    fn file_digest(&self, _file: FileId, _stamp: FileStamp) -> Option<[u8; 32]> {
        self.digest
    }
}

pub(super) fn session() -> SessionFacts {
    SessionFacts {
        id: SESSION,
        agent: "release-bot".to_owned(),
        owner: "platform-security@example.com".to_owned(),
        task: Some("open the release pull request".to_owned()),
        task_id: Some("REL-17".to_owned()),
        uid: 1000,
        user: Some("ci".to_owned()),
        started_ns: 59_000_000_000,
        root_pid: 4200,
    }
}

pub(super) fn host() -> Host {
    Host {
        hostname: "build-1".to_owned(),
        machine_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
        boot_id: BOOT.to_owned(),
        version: "0.1.0".to_owned(),
        boot_to_wall_ns: 1_795_500_000_000_000_000,
    }
}

/// An allowed exec with this sequence number, made by the executable `parent` in process `pid`.
pub(super) fn exec_event(sequence: u64, parent: u64, pid: u32, path: &str) -> Event {
    let mut header = header(Kind::Exec, Verdict::Allow, Reason::RuleAllows);
    header.sequence = sequence;
    header.exec = parent;
    header.tgid = pid;
    Event::decode(&bytes_of(&exec(
        header,
        path.as_bytes(),
        &[path.as_bytes(), b"-x"],
    )))
    .expect("an event")
}

/// An event of the head alone.
pub(super) fn plain_event(sequence: u64, exec: u64, kind: Kind) -> Event {
    let mut header = header(kind, Verdict::Allow, Reason::SessionEnded);
    header.sequence = sequence;
    header.exec = exec;
    let event = Event::decode(&bytes_of(&header)).expect("an event");
    assert_eq!(event.object, Object::Process);
    event
}

/// Records of an allowed exec each, with these sequence numbers.
pub(super) fn exec_records(sequences: std::ops::Range<u64>) -> Vec<Value> {
    let mut recorder = Recorder::new(host());
    let facts = Facts::all();
    sequences
        .map(|n| recorder.record(&exec_event(n, 0, 4242, "/usr/bin/git"), &facts))
        .collect()
}

/// A record with no more than the chain needs, and a number.
pub(super) fn numbered(n: u64) -> Value {
    json!({"metadata": {"event_code": "test", "uid": format!("{BOOT}:{n}")}, "n": n, "type_uid": 0})
}

/// Opens the log of this host.
pub(super) fn open(directory: &Path, segment_bytes: u64) -> Result<(Log, Opening), LogError> {
    Log::open(directory, &host(), segment_bytes)
}

/// A directory that is removed with its contents when the test ends.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("enforcer-record-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    /// The log's directory in it, which is not there yet.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
