//! The audit log, read by `enforcer log show` and awaited within bounds.

use std::{
    fmt, fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::cli::{must, told};

/// Longest that records are waited for. The daemon writes them within a second; emulation is slow.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// A record of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(pub Value);

impl Record {
    /// `exec`, `connect`, `send`, `send-connected`, `unix`, `socket`, `fork`, `session-start`, `session-end`...
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/metadata/event_code")
    }

    /// `allow`, `deny`, `would-deny`.
    #[must_use]
    pub fn verdict(&self) -> &str {
        self.text("/unmapped/verdict")
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.text("/unmapped/reason")
    }

    /// Id of the rule that decided; empty when none did.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.text("/firewall_rule/uid")
    }

    /// Id of the session.
    #[must_use]
    pub fn session(&self) -> &str {
        self.text("/actor/session/uid")
    }

    /// Sequence number of the kernel's event; 0 for a record that no event is behind.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.0["metadata"]["sequence"].as_u64().unwrap_or(0)
    }

    /// Generation of the policy that decided; 0 when none did.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.text("/policy/version").parse().unwrap_or(0)
    }

    /// Id of the acting process.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.0["actor"]["process"]["pid"].as_u64().unwrap_or(0)
    }

    /// What was acted on: the path of a file to be run, `tcp:127.0.0.1:80` or `udp:[::1]:53`, a unix
    /// socket's path or `@name`, `family 16 type 3 protocol 0` of a socket.
    #[must_use]
    pub fn target(&self) -> String {
        match self.kind() {
            "exec" => self.text("/process/file/path").to_owned(),
            "unix" => self.text("/dst_endpoint/name").to_owned(),
            "socket" => self.text("/connection_info/protocol_name").to_owned(),
            "connect" | "send" | "send-connected" => self.destination(),
            _ => String::new(),
        }
    }

    fn destination(&self) -> String {
        let ip = self.text("/dst_endpoint/ip");
        let ip = if ip.contains(':') {
            format!("[{ip}]")
        } else {
            ip.to_owned()
        };
        let protocol = self.text("/connection_info/protocol_name");
        format!("{protocol}:{ip}:{}", self.0["dst_endpoint"]["port"])
    }

    /// A text by its JSON pointer; empty when it is not there.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("")
    }
}

impl fmt::Display for Record {
    /// `kind target verdict reason rule`, without what is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target();
        let words = [
            self.kind(),
            &target,
            self.verdict(),
            self.reason(),
            self.rule(),
        ];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        f.write_str(&words.join(" "))
    }
}

/// Records as lines, as [`Record`] displays them.
#[must_use]
pub fn lines(records: &[Record]) -> Vec<String> {
    records.iter().map(Record::to_string).collect()
}

/// The records that these filter options of `enforcer log show` leave, as they are now.
///
/// # Panics
/// When the log cannot be read.
#[must_use]
pub fn show(filter: &[&str]) -> Vec<Record> {
    let mut words = vec!["log", "show", "--output", "json"];
    words.extend(filter);
    must(words)
        .lines()
        .map(|line| Record(serde_json::from_str(line).expect("a record is JSON")))
        .collect()
}

/// The records of a task once they satisfy `enough`, in the order of the decisions.
///
/// # Panics
/// When they do not in time; with those that are there.
pub fn until(task: &str, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut records = show(&["--task", task]);
        records.sort_by_key(Record::sequence);
        if enough(&records) {
            return records;
        }
        assert!(
            Instant::now() < deadline,
            "the records of {task} did not come: {:#?}",
            lines(&records)
        );
        sleep(PAUSE);
    }
}

/// All records of the one session of a task, up to its end.
///
/// # Panics
/// When its end is not recorded in time.
#[must_use]
pub fn of_ended_task(task: &str) -> Vec<Record> {
    until(task, |records| {
        records.iter().any(|record| record.kind() == "session-end")
    })
}

/// Checks every line of the log with the independent checker of OCSF records, where that is at hand
/// (`shared/tools/ocsf_check.py` beside the workspace; the guest sees the build machine at `/host`).
///
/// # Panics
/// With the faults, when there are any.
pub fn assert_ocsf() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tools/ocsf_check.py");
    let beside = beside.strip_prefix("/").unwrap_or(&beside).to_owned();
    let places = ["/host", "/"].map(|root| Path::new(root).join(&beside));
    let Some(checker) = places.iter().find(|path| path.exists()) else {
        eprintln!("no checker of records at {places:?}: they were not checked");
        return;
    };
    let logs = fs::read_dir("/var/log/enforcer").expect("the log is there");
    let logs = logs.map(|entry| entry.expect("it is read").path());
    let logs: Vec<_> = logs
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    let output = Command::new("/usr/bin/python3")
        .arg(checker)
        .args(logs)
        .output()
        .expect("python3 starts");
    assert!(output.status.success(), "{}", told(&output));
}
