//! Records: what an event becomes in the log, in the form of OCSF 1.9.0.
//!
//! ```text
//! Event -> Scene (who, in which session, by which rule) -> one file a class -> record
//!          scene.rs                                        process_activity.rs       1007  exec, fork, whatever else a process tries
//!                                                          network_activity.rs       4001  connect, send, unix, socket
//!                                                          event_log_activity.rs     1008  the log about itself
//!                                                          entity_management.rs      3004  session, policy
//!                                                          application_lifecycle.rs  6002  daemon
//!                                                          application_error.rs      6008  what was lost
//! ```
//!
//! A record is made from the event and from facts that [`Context`] looks up; it does no IO itself.
//! `metadata.event_code` names what happened ([`EVENT_CODES`]), `metadata.uid` is unique for ever,
//! and what OCSF has no attribute for stands in `unmapped`:
//!
//! | `unmapped` | meaning |
//! |---|---|
//! | `verdict`, `reason` | the kernel's, by name |
//! | `owner`, `task`, `task_id` | of the agent and of the session |
//! | `exec` | sequence number of the exec that started the acting executable; 0 = the launcher's image |
//! | `cell`, `conditions` | what the rule's name was found by |
//! | `ancestry_incomplete` | the ancestry does not reach the session's root |
//! | `ancestry_omitted` | ancestors left out between the nearest ones and the root |
//! | `claimed_argv`, `argc`, `argv_cut`, `argv_unreadable` | arguments as the caller's memory had them: claimed, for it can change them under way; every `cmd_line` is made of them |
//! | `level` | interpreter level |
//! | `detail` | the number that the hook was given: signal, bpf(2) or ioctl(2) command, ptrace access mode... |
//! | `file_ctime`, `file_size` | stamp of the file, where OCSF's types cannot hold it |
//! | `how`, `target_path`, `target_file` | what was to be done with a file, its path and its identity |
//! | `unix_kind` | how a unix socket is named: `path`, `abstract`, `unnamed`, `unknown` |
//! | `socket_family`, `socket_type`, `socket_protocol` | numbers of `socket(2)` |
//! | `programs`, `posture` | what the kernel enforces at the daemon's start or stop |
//! | `removed_by`, `removal_reason` | who removes enforcement, and why, in words |
//! | `place` | where events were lost |
//! | `segment`, `set_aside`, `offset`, `bytes`, `sha256` | a torn last line of the log |
//!
//! Paths, arguments and socket names are in the escaped form of [`super::text`].
#![forbid(unsafe_code)]

mod application_error;
mod application_lifecycle;
mod draft;
mod entity_management;
mod event_log_activity;
mod network_activity;
mod process_activity;
mod scene;

use std::sync::Arc;

use enforcer_common::{
    event::Kind,
    object::{FileId, FileStamp},
    verdict::Verdict,
};
use enforcer_evidence::payload;
use serde_json::Value;

pub use application_error::{Loss, Place, loss, torn};
pub use application_lifecycle::{DaemonChange, Lifecycle, daemon};
pub use entity_management::{By, PolicyChange, PolicyOutcome, policy};
pub use event_log_activity::log;

use super::{
    event::{Event, Object},
    lineage::Lineage,
    names::hex,
};
use scene::Scene;

/// Version of the schema that the records are written in.
pub const OCSF_VERSION: &str = "1.9.0";

/// What the daemon tells of itself.
const OWN_CODES: [&str; 12] = [
    PolicyOutcome::APPLIED,
    PolicyOutcome::REMOVED,
    PolicyOutcome::REJECTED,
    Lifecycle::Start.event_code(),
    Lifecycle::Stop.event_code(),
    Lifecycle::Remove.event_code(),
    application_error::LOST,
    payload::TORN,
    payload::SEGMENT,
    payload::EPOCH,
    payload::CHECKPOINT,
    payload::REMOVED,
];

/// Every `metadata.event_code`: the kinds of the kernel's events, then what the daemon tells.
pub const EVENT_CODES: [&str; Kind::ALL.len() + OWN_CODES.len()] = {
    let mut codes = [""; Kind::ALL.len() + OWN_CODES.len()];
    let mut index = 0;
    while index < codes.len() {
        codes[index] = match index.checked_sub(Kind::ALL.len()) {
            None => Kind::ALL[index].name(),
            Some(own) => OWN_CODES[own],
        };
        index += 1;
    }
    codes
};

/// Facts that a record needs and that the event does not carry.
///
/// `None` is an answer: the record then leaves the fact out. Answers are shared, so that an
/// implementation can look them up under a lock and let go of it.
pub trait Context {
    /// The session with this id, also shortly after its end.
    fn session(&self, id: u64) -> Option<Arc<SessionFacts>>;
    /// Name of the agent that had this slot in this generation.
    fn agent(&self, slot: u32, generation: u32) -> Option<Arc<str>>;
    /// Id of the rule that decided in this cell of the agent's compiled policy, for a task of which
    /// these conditions were true.
    fn rule(&self, generation: u32, agent: u32, cell: u32, conditions: u64) -> Option<Arc<str>>;
    /// Name of a user of the host.
    fn user_name(&self, uid: u32) -> Option<Arc<str>>;
    /// SHA-256 of a file with this identity and stamp, where the daemon has judged it.
    fn file_digest(&self, file: FileId, stamp: FileStamp) -> Option<[u8; 32]>;
}

/// A session as records tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// Session id.
    pub id: u64,
    /// Name of its agent.
    pub agent: String,
    /// Owner of the agent, as its policy says.
    pub owner: String,
    /// What the session was started for.
    pub task: Option<String>,
    /// The task's id in the system that it came from.
    pub task_id: Option<String>,
    /// User id of who started it.
    pub uid: u32,
    /// Name of who started it.
    pub user: Option<String>,
    /// When it was started, `CLOCK_BOOTTIME` in nanoseconds.
    pub started_ns: u64,
    /// Its first process.
    pub root_pid: u32,
}

/// The host and the daemon that write the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Host name.
    pub hostname: String,
    /// `/etc/machine-id`, where there is one.
    pub machine_id: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Version of the product.
    pub version: String,
    /// What turns `CLOCK_BOOTTIME` into time since 1970: nanoseconds to add.
    pub boot_to_wall_ns: i64,
}

impl Host {
    /// Milliseconds since 1970 at a moment of `CLOCK_BOOTTIME` in nanoseconds.
    #[must_use]
    pub fn wall_ms(&self, boot_ns: u64) -> i64 {
        let wall = i128::from(boot_ns) + i128::from(self.boot_to_wall_ns);
        i64::try_from(wall.div_euclid(1_000_000)).unwrap_or(i64::MAX)
    }
}

/// Makes records of events, and remembers of them what later records need.
#[derive(Debug)]
pub struct Recorder {
    host: Host,
    lineage: Lineage,
}

impl Recorder {
    /// A recorder that knows no executable yet.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self {
            host,
            lineage: Lineage::default(),
        }
    }

    /// The host that records are written on.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Follows a step of the wall clock: nanoseconds to add to `CLOCK_BOOTTIME` from now on.
    pub const fn set_boot_to_wall_ns(&mut self, offset: i64) {
        self.host.boot_to_wall_ns = offset;
    }

    /// The executables that records name as ancestors.
    #[must_use]
    pub const fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// As [`Lineage::relearn`], for a record of an earlier daemon of this boot.
    pub fn relearn(&mut self, record: &Value) {
        self.lineage.relearn(record, &self.host.boot_id);
    }

    /// As [`Lineage::retain`].
    pub fn retain(&mut self, since: u64, live: impl Fn(u64) -> bool) {
        self.lineage.retain(since, live);
    }

    /// The record of an event. Events are to come in the order of their sequence numbers: a record
    /// names only ancestors whose exec was recorded before it.
    pub fn record(&mut self, event: &Event, context: &impl Context) -> Value {
        let head = &event.head;
        let scene = Scene::new(&self.host, head, &self.lineage, context);
        match &event.object {
            Object::Executable(executable) => {
                let digest = context.file_digest(executable.file, executable.stamp);
                let sha256 = digest.map(|digest| hex(&digest));
                let record = process_activity::exec(&scene, executable, sha256.as_deref());
                let started = self.host.wall_ms(head.time_ns);
                let boot_id = &self.host.boot_id;
                self.lineage
                    .learn(head, executable, started, boot_id, sha256);
                record
            }
            Object::Endpoint(endpoint) => network_activity::endpoint(&scene, *endpoint),
            Object::UnixSocket(peer) => network_activity::unix(&scene, peer),
            Object::Socket(socket) => network_activity::socket(&scene, *socket),
            Object::File(act) => process_activity::file_act(&scene, act),
            Object::Other(other) => process_activity::other(&scene, *other),
            Object::Process => {
                let record = of_process(&scene);
                if head.kind == Kind::SessionEnd {
                    self.lineage.forget(head.session);
                }
                record
            }
        }
    }
}

/// The record of an event that is all head.
fn of_process(scene: &Scene<'_>) -> Value {
    if scene.head.kind == Kind::Fork {
        process_activity::fork(scene)
    } else {
        entity_management::session(scene)
    }
}

/// How messages tell a verdict.
const fn past_tense(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
        Verdict::WouldDeny => "would be denied",
    }
}
