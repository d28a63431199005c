//! The audit log, read by `enforcer log show` and awaited within bounds.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::cli::{must, told, unique};

/// Longest that records are waited for without one more of them coming.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pauses between two looks at the log, which is read whole each time: from the first to the second,
/// twice as long each time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Records that the message of a failure shows, the latest.
const SHOWN: usize = 40;

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
/// When they do not, and no more come; with those that are there.
pub fn until(task: &str, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let (mut pause, longest) = PAUSES;
    let (mut count, mut progress) = (0, Instant::now());
    loop {
        let mut records = show(&["--task", task]);
        records.sort_by_key(Record::sequence);
        if enough(&records) {
            return records;
        }
        if records.len() > count {
            (count, progress) = (records.len(), Instant::now());
        }
        assert!(
            progress.elapsed() < PATIENCE,
            "of the records of {task}, {count} came and no more: {:#?}",
            lines(&records[count.saturating_sub(SHOWN)..])
        );
        sleep(pause);
        pause = longest.min(pause * 2);
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

/// Checks the log with the independent checker of OCSF records, where that is at hand
/// (`shared/tools/ocsf_check.py` beside the workspace; the guest sees the build machine at `/host`):
/// every line, except for those that differ from another one in numbers alone, since an emulated
/// machine takes long for each.
///
/// # Panics
/// With the faults, when there are any.
pub fn assert_ocsf() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tools/ocsf_check.py");
    let beside = beside.strip_prefix("/").unwrap_or(&beside).to_owned();
    let places = ["/host", "/"].map(|root| Path::new(root).join(&beside));
    let Some(checker) = places.iter().find(|path| path.exists()) else {
        println!("no checker of records at {places:?}: they were not checked");
        return;
    };
    let lines = PathBuf::from(format!("/run/{}.jsonl", unique("records")));
    let distinct = distinct_lines();
    fs::write(&lines, distinct.join("\n")).expect("the lines are written");
    let output = Command::new("/usr/bin/python3")
        .arg(checker)
        .arg(lines)
        .output()
        .expect("python3 starts");
    println!("{} distinct lines: {}", distinct.len(), told(&output));
    assert!(output.status.success());
}

/// The lines of the log, one of each form.
fn distinct_lines() -> Vec<String> {
    let logs = fs::read_dir("/var/log/enforcer").expect("the log is there");
    let logs = logs.map(|entry| entry.expect("it is read").path());
    let logs = logs.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "jsonl")
    });
    let mut distinct = BTreeMap::new();
    for log in logs {
        for line in fs::read_to_string(log).expect("the log is read").lines() {
            let record = serde_json::from_str(line).expect("a record is JSON");
            distinct
                .entry(form("", &record).to_string())
                .or_insert_with(|| line.to_owned());
        }
    }
    distinct.into_values().collect()
}

/// A value of the member `name` without what tells it from others of its form: numbers that are no
/// member of an enumeration, and the digits of texts.
fn form(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), form(name, value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| form(name, item)).collect(),
        Value::String(text) => without_digits(text).into(),
        Value::Number(_) if !name.ends_with("_id") && !name.ends_with("class_uid") => 0.into(),
        Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
    }
}

/// Each run of hexadecimal digits and `-` that has a decimal digit in it becomes `0`.
fn without_digits(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut form = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_digit) {
        let (before, run) = rest.split_at(start);
        let end = run.find(|c| !is_digit(c)).unwrap_or(run.len());
        let (run, after) = run.split_at(end);
        let is_number = run.contains(|c: char| c.is_ascii_digit());
        form += before;
        form += if is_number { "0" } else { run };
        rest = after;
    }
    form + rest
}
