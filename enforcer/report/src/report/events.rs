//! What the daemon told of itself, of policies and of losses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;
use serde_json::Value;

use super::capped::Moment;
use crate::record::Other;

/// Versions, boots and the like of one host that are named.
const MOST_NAMES: usize = 16;
/// Hosts that are named.
const MOST_HOSTS: usize = 64;

/// The latest of a kind of events; `earlier` were more than are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Latest<T> {
    /// The latest, in the order in which they were recorded.
    pub latest: VecDeque<T>,
    /// How many came before these.
    pub earlier: u64,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self {
            latest: VecDeque::new(),
            earlier: 0,
        }
    }
}

impl<T> Latest<T> {
    pub(super) fn push(&mut self, event: T, limit: usize) {
        self.latest.push_back(event);
        if self.latest.len() > limit {
            self.latest.pop_front();
            self.earlier += 1;
        }
    }
}

/// A policy that was applied, removed or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyChange {
    /// When.
    pub time: Moment,
    /// On which host.
    pub host: String,
    /// Of which agent.
    pub agent: String,
    /// `applied`, `removed` or `rejected`.
    pub change: &'static str,
    /// The generation that it made.
    pub generation: Option<String>,
    /// SHA-256 of the policy's text, in hexadecimal.
    pub sha256: Option<String>,
    /// Who did it.
    pub by: String,
    /// Of a refused one: why.
    pub why: Option<String>,
}

/// A start, stop or removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DaemonChange {
    /// When.
    pub time: Moment,
    /// On which host.
    pub host: String,
    /// `start`, `stop` or `remove`.
    pub change: &'static str,
    /// Whether the kernel was seen to deny then.
    pub enforcing: bool,
    /// Kernel programs that were attached.
    pub programs: usize,
    /// Version of the product.
    pub version: Option<String>,
    /// Who removed enforcement.
    pub by: Option<String>,
    /// Why it was removed, in words.
    pub reason: Option<String>,
}

/// Events of which there is no record, or a torn line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// When it was found.
    pub time: Moment,
    /// On which host.
    pub host: String,
    /// `events-lost` or `log-torn`.
    pub loss: &'static str,
    /// Where: `denials-ring`, `events-ring`, `decoding`, `daemon`, `log`.
    pub place: String,
    /// How many events; of a torn line, how many bytes.
    pub count: u64,
    /// Earliest moment of it.
    pub from: Option<Moment>,
    /// Latest moment of it.
    pub until: Option<Moment>,
}

/// A host whose records were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostSeen {
    /// Its name.
    pub host: String,
    /// Its `/etc/machine-id`.
    pub machine_id: Option<String>,
    /// Versions of the product that wrote them.
    pub versions: BTreeSet<String>,
    /// Boots that they are of: at least so many.
    pub boots: usize,
    /// How many records.
    pub records: u64,
}

/// What a host's latest daemon start said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Posture {
    /// The host.
    pub host: String,
    /// When that was.
    pub time: Moment,
    /// Whether the kernel was seen to deny.
    pub enforcing: bool,
    /// Kernel programs that are attached.
    pub programs: usize,
    /// Other facts, by name.
    pub facts: BTreeMap<String, String>,
}

pub(super) fn host_name(record: &Value) -> &str {
    record["device"]["hostname"].as_str().unwrap_or("unknown")
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A user as records name one: by name and number.
fn user(user: &Value) -> String {
    match (user["name"].as_str(), user["uid"].as_str()) {
        (Some(name), Some(uid)) => format!("{name} ({uid})"),
        (Some(name), None) => name.to_owned(),
        (None, Some(uid)) => format!("user {uid}"),
        (None, None) => "unknown".to_owned(),
    }
}

pub(super) fn policy_change(record: &Value, other: Other, time: Moment) -> PolicyChange {
    let entity = &record["entity"];
    PolicyChange {
        time,
        host: host_name(record).to_owned(),
        agent: text(&entity["name"]).unwrap_or_else(|| "unknown".to_owned()),
        change: other.change(),
        generation: text(&entity["version"]),
        sha256: text(&entity["data"]["sha256"]),
        by: user(&record["actor"]["user"]),
        why: text(&record["status_detail"]),
    }
}

pub(super) fn daemon_change(record: &Value, other: Other, time: Moment) -> DaemonChange {
    let unmapped = &record["unmapped"];
    let by = &unmapped["removed_by"];
    DaemonChange {
        time,
        host: host_name(record).to_owned(),
        change: other.change(),
        enforcing: record["status_detail"].as_str() == Some("enforcing"),
        programs: programs(record),
        version: text(&record["metadata"]["product"]["version"]),
        by: by.is_object().then(|| user(by)),
        reason: text(&unmapped["removal_reason"]),
    }
}

fn programs(record: &Value) -> usize {
    record["unmapped"]["programs"]
        .as_array()
        .map_or(0, Vec::len)
}

pub(super) fn loss(record: &Value, other: Other, time: Moment) -> Loss {
    let unmapped = &record["unmapped"];
    let torn = other == Other::LogTorn;
    let counted = if torn {
        &unmapped["bytes"]
    } else {
        &record["count"]
    };
    let moment = |value: &Value| value.as_i64().map(Moment);
    Loss {
        time,
        host: host_name(record).to_owned(),
        loss: if torn { "log-torn" } else { "events-lost" },
        place: text(&unmapped["place"]).unwrap_or_else(|| "unknown".to_owned()),
        count: counted.as_u64().unwrap_or_default(),
        from: moment(&record["start_time"]),
        until: moment(&record["end_time"]),
    }
}

pub(super) fn posture(record: &Value, time: Moment) -> Posture {
    let facts = record["unmapped"]["posture"].as_object();
    let fact = |(name, value): (&String, &Value)| {
        let value = text(value).unwrap_or_else(|| value.to_string());
        (name.clone(), value)
    };
    Posture {
        host: host_name(record).to_owned(),
        time,
        enforcing: record["status_detail"].as_str() == Some("enforcing"),
        programs: programs(record),
        facts: facts.into_iter().flatten().map(fact).collect(),
    }
}

/// The hosts while records come in.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    known: Vec<(HostSeen, BTreeSet<String>)>,
    latest: usize,
}

impl Hosts {
    /// Takes in whose a record is. Records of one host mostly come in a row.
    pub(super) fn add(&mut self, record: &Value) {
        let (name, machine) = (host_name(record), record["device"]["uid"].as_str());
        let is_it = |seen: &HostSeen| seen.host == name && seen.machine_id.as_deref() == machine;
        if !self
            .known
            .get(self.latest)
            .is_some_and(|(seen, _)| is_it(seen))
        {
            let at = self.known.iter().position(|(seen, _)| is_it(seen));
            self.latest = at.unwrap_or(self.known.len());
        }
        if self.latest == self.known.len() {
            if self.known.len() == MOST_HOSTS {
                return;
            }
            let seen = HostSeen {
                host: name.to_owned(),
                machine_id: machine.map(str::to_owned),
                versions: BTreeSet::new(),
                boots: 0,
                records: 0,
            };
            self.known.push((seen, BTreeSet::new()));
        }
        if let Some((seen, boots)) = self.known.get_mut(self.latest) {
            seen.records += 1;
            note(
                &mut seen.versions,
                record["metadata"]["product"]["version"].as_str(),
            );
            note(boots, record["device"]["boot_uid"].as_str());
            seen.boots = boots.len();
        }
    }

    pub(super) fn finish(self) -> Vec<HostSeen> {
        let mut hosts: Vec<HostSeen> = self.known.into_iter().map(|(seen, _)| seen).collect();
        hosts.sort_by(|a, b| (&a.host, &a.machine_id).cmp(&(&b.host, &b.machine_id)));
        hosts
    }
}

fn note(names: &mut BTreeSet<String>, name: Option<&str>) {
    if let Some(name) = name.filter(|name| names.len() < MOST_NAMES && !names.contains(*name)) {
        names.insert(name.to_owned());
    }
}
