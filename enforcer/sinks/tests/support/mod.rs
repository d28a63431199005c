//! What the tests share: records, a shipper to try, and receivers that are strict about what they
//! get and do what they are told to do wrong.
#![allow(dead_code)] // Each test binary uses its part of it.

pub mod certificates;
pub mod http;
pub mod nats;
pub mod relp;
pub mod server;
pub mod syslog;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use enforcer_sinks::{
    AsRecorded, Config, Cursor, Event, Form, MemorySpool, Record, Render, Shipper, SinkStatus,
    config::Surroundings,
};
use serde_json::{Value, json};

/// Longest that anything in a test takes.
pub const LONG: Duration = Duration::from_secs(60);

pub fn uid(number: usize) -> String {
    format!("boot-1:{number:06}")
}

/// A record as the log has them.
pub fn record(number: usize) -> Record {
    record_with(number, "")
}

/// A record with more text in it.
pub fn record_with(number: usize, more: &str) -> Record {
    let (verdict, severity) = if number.is_multiple_of(10) {
        ("deny", 3)
    } else {
        ("allow", 1)
    };
    let value = json!({
        "ai_agent": {"name": if number.is_multiple_of(2) { "coder" } else { "reviewer" }},
        "actor": {"session": {"uid": "7"}},
        "device": {"hostname": "host-1"},
        "message": format!("coder: exec \"/usr/bin/true\" {verdict} – ünï {more}"),
        "metadata": {"uid": uid(number), "event_code": "exec"},
        "severity_id": severity,
        "severity": if severity == 1 { "Informational" } else { "Medium" },
        "time": 1_790_000_000_000_i64 + i64::try_from(number).expect("small"),
        "unmapped": {"verdict": verdict},
    });
    let line = serde_json::to_vec(&value).expect("JSON");
    let after = Cursor {
        segment: (number / 1_000) as u64,
        offset: (number % 1_000 + 1) as u64 * 1_000,
    };
    Record::new(line, value, after).expect("a uid")
}

/// A spool with records from 0 on.
pub fn spool(count: usize) -> MemorySpool {
    let spool = MemorySpool::default();
    spool.append((0..count).map(record));
    spool
}

/// What a receiver must be able to find in whatever it gets: the uid of a record that came unharmed.
pub fn uid_of(body: &[u8]) -> Result<String, String> {
    let value: Value = serde_json::from_slice(body).map_err(|why| format!("no JSON: {why}"))?;
    let uid = value["metadata"]["uid"].as_str().ok_or("no uid")?;
    let number: usize = uid
        .strip_prefix("boot-1:")
        .and_then(|number| number.parse().ok())
        .ok_or("not one of our uids")?;
    let expected = record(number);
    let is_same = value["message"] == expected.value()["message"]
        || value["message"]
            .as_str()
            .is_some_and(|text| text.contains("BIG"));
    if is_same {
        Ok(uid.to_owned())
    } else {
        Err(format!("record {uid} was changed on its way"))
    }
}

/// A shipper with one sink and everything that it needs.
pub struct Rig {
    pub folder: tempfile::TempDir,
    pub spool: MemorySpool,
    pub events: Arc<Mutex<Vec<Event>>>,
    config: Config,
    render: Arc<dyn Render>,
    shipper: Option<Shipper>,
}

impl Rig {
    /// Makes ready; `sink` are the lines of the sink but for its name.
    pub fn new(spool: MemorySpool, sink: &str) -> Self {
        Self::with(spool, sink, Arc::new(AsRecorded))
    }

    pub fn with(spool: MemorySpool, sink: &str, render: Arc<dyn Render>) -> Self {
        let retry = "retry = { first = \"20ms\", most = \"100ms\", held = \"200ms\" }";
        let retry = if sink.contains("retry =") { "" } else { retry };
        let text = format!("[[sink]]\nname = \"it\"\nlinger = \"0ms\"\n{retry}\n{sink}\n");
        let surroundings = Surroundings {
            formats: &[("ocsf", Form::Object)],
            credentials: None,
        };
        let config = Config::parse("ship.toml", &text, surroundings)
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            spool,
            events: Arc::default(),
            config,
            render,
            shipper: None,
        }
    }

    /// The shipper's folder.
    pub fn state(&self) -> &Path {
        self.folder.path()
    }

    pub fn start(&mut self) {
        let events = self.events.clone();
        let spool = self.spool.clone();
        let render = self.render.clone();
        let shipper = Shipper::start(
            &self.config,
            self.folder.path(),
            |_| Box::new(spool.clone()),
            |_| Some(render.clone()),
            move |event| events.lock().expect("events").push(event.clone()),
        );
        self.shipper = Some(shipper.expect("started"));
    }

    pub fn started(mut self) -> Self {
        self.start();
        self
    }

    pub fn status(&self) -> SinkStatus {
        let shipper = self.shipper.as_ref().expect("running");
        shipper.status().sinks.remove(0)
    }

    /// Waits until the sink is as wanted.
    pub fn wait(&self, what: &str, wanted: impl Fn(&SinkStatus) -> bool) -> SinkStatus {
        let end = Instant::now() + LONG;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "not {what}: {status:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing is left to send.
    pub fn drained(&self) -> SinkStatus {
        self.wait("drained", |status| {
            status.backlog.is_some_and(|backlog| backlog.bytes == 0)
        })
    }

    pub fn stop(&mut self) {
        let shipper = self.shipper.take().expect("running");
        let left = shipper.stop(LONG);
        assert!(left.is_empty(), "not stopped: {left:?}");
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().expect("events").clone()
    }

    /// The uids of records that were told to be refused.
    pub fn refused(&self) -> Vec<String> {
        self.events()
            .into_iter()
            .filter_map(|event| {
                if let Event::Refused { first, last, .. } = event {
                    (first == last).then_some(first)
                } else {
                    None
                }
            })
            .collect()
    }
}

/// Waits until something is so.
pub fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "not {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes a file that only its owner can read.
pub fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("mode");
    path
}
