//! A month of records as a few hosts with agents would write them; the same for the same seed.

use serde_json::{Value, json};

use super::{BOOT, Record, START};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The end of November 2026, in milliseconds.
pub const END: i64 = START + 30 * DAY;

/// SplitMix64: small, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).expect("small")]
    }
}

struct Host {
    name: &'static str,
    machine: &'static str,
    sequence: u64,
}

struct Month {
    dice: Dice,
    hosts: [Host; 2],
    records: Vec<Value>,
}

/// What agents do: kind, actor, object, rule or reason, how often of a thousand.
type Act = (&'static str, &'static str, &'static str, &'static str, u64);

const CODING: &[Act] = &[
    ("exec", "/usr/bin/python3.11", "/usr/bin/git", "git", 120),
    (
        "exec",
        "/usr/bin/bash",
        "/usr/bin/make",
        "build-drivers",
        80,
    ),
    ("exec", "/usr/bin/make", "/usr/bin/gcc", "gcc", 200),
    (
        "exec",
        "/usr/bin/gcc",
        "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
        "gcc",
        200,
    ),
    ("exec", "/usr/bin/bash", "/usr/bin/cat", "files", 90),
    ("exec", "/usr/bin/bash", "/usr/bin/grep", "text", 110),
    ("exec", "/usr/bin/python3.11", "/usr/bin/bash", "shell", 60),
    (
        "connect",
        "/usr/bin/python3.11",
        "tcp:10.77.0.3:8443",
        "model-api",
        60,
    ),
    (
        "connect",
        "/usr/lib/git-core/git-remote-http",
        "tcp:10.77.0.2:8080",
        "git-server",
        30,
    ),
    (
        "connect",
        "/usr/bin/python3.11",
        "tcp:192.0.2.10:443",
        "package-mirror",
        12,
    ),
    (
        "send",
        "/usr/bin/python3.11",
        "udp:127.0.0.53:53",
        "dns",
        20,
    ),
    (
        "unix",
        "/usr/bin/python3.11",
        "/run/systemd/journal/dev-log",
        "syslog",
        4,
    ),
    ("exec", "/usr/bin/bash", "/usr/bin/jq", "!not-listed", 3),
    (
        "exec",
        "/usr/bin/make",
        "/home/agent/project/a.out",
        "!not-listed",
        4,
    ),
    (
        "connect",
        "/usr/bin/curl",
        "tcp:203.0.113.7:443",
        "!not-listed",
        3,
    ),
    (
        "connect",
        "/usr/bin/curl",
        "tcp:10.77.0.2:8080",
        "!not-for-this-binary",
        2,
    ),
    (
        "connect",
        "/usr/bin/curl",
        "tcp:169.254.169.254:80",
        "!no-metadata",
        1,
    ),
    (
        "unix",
        "/usr/bin/python3.11",
        "/run/dbus/system_bus_socket",
        "!not-listed",
        1,
    ),
];

const CI: &[Act] = &[
    (
        "exec",
        "/usr/bin/bash",
        "/usr/bin/cargo",
        "rust-and-go",
        300,
    ),
    (
        "exec",
        "/usr/bin/cargo",
        "/usr/bin/rustc",
        "rust-and-go",
        400,
    ),
    ("exec", "/usr/bin/rustc", "/usr/bin/gcc", "gcc", 200),
    (
        "connect",
        "/usr/bin/cargo",
        "tcp:192.0.2.10:443",
        "package-mirror",
        90,
    ),
    ("exec", "/usr/bin/bash", "/usr/bin/docker", "!not-listed", 6),
    (
        "unix",
        "/usr/bin/bash",
        "/run/docker.sock",
        "!not-listed",
        4,
    ),
];

const OPS: &[Act] = &[
    (
        "exec",
        "/usr/bin/python3.11",
        "/usr/bin/journalctl",
        "look",
        500,
    ),
    ("exec", "/usr/bin/python3.11", "/usr/bin/ps", "look", 200),
    (
        "connect",
        "/usr/bin/python3.11",
        "tcp:198.51.100.50:9090",
        "metrics",
        200,
    ),
    (
        "connect",
        "/usr/bin/python3.11",
        "tcp:198.51.100.60:443",
        "model-api",
        95,
    ),
    (
        "exec",
        "/usr/bin/python3.11",
        "/usr/bin/systemctl",
        "!not-listed",
        5,
    ),
];

const TASKS: &[&str] = &[
    "fix the flaky upload test",
    "bump the TLS library",
    "answer the review of #412",
    "write the release notes",
    "find the memory leak in the parser",
    "nightly build",
];

/// A month; some `sessions` begin on a working day, with some `acts` each.
pub fn month(seed: u64, sessions: u64, acts: u64) -> Vec<Value> {
    let mut month = Month {
        dice: Dice(seed),
        hosts: [
            Host {
                name: "build-1",
                machine: "0123456789abcdef0123456789abcdef",
                sequence: 0,
            },
            Host {
                name: "build-2",
                machine: "fedcba9876543210fedcba9876543210",
                sequence: 0,
            },
        ],
        records: Vec::new(),
    };
    for host in 0..2 {
        month.daemon(host, START + MINUTE, "daemon-start");
        for agent in ["coding-agent", "ci-runner", "readonly-ops"] {
            month.policy(host, START + 2 * MINUTE, agent, "policy-applied", "root");
        }
    }
    for day in 0..30 {
        month.day(day, sessions, acts);
    }
    month.policy(
        0,
        START + 9 * DAY + 10 * HOUR,
        "coding-agent",
        "policy-rejected",
        "alice",
    );
    month.policy(
        0,
        START + 9 * DAY + 11 * HOUR,
        "coding-agent",
        "policy-applied",
        "alice",
    );
    month.daemon(0, START + 20 * DAY, "daemon-stop");
    month.daemon(0, START + 20 * DAY + MINUTE, "daemon-start");
    month.loss(1, START + 17 * DAY + 3 * HOUR, "events-ring", 1_312);
    month.loss(1, START + 17 * DAY + 4 * HOUR, "events-ring", 25);
    month.records.sort_by_key(|record| record["time"].as_i64());
    month.records
}

impl Month {
    fn day(&mut self, day: i64, sessions: u64, acts: u64) {
        // 2026-11-01 is a Sunday.
        let weekend = matches!(day % 7, 0 | 6);
        let begun = if weekend {
            sessions / 6
        } else {
            sessions + self.dice.below(sessions.max(1))
        };
        for _ in 0..begun {
            let at = START
                + day * DAY
                + 8 * HOUR
                + i64::try_from(self.dice.below(10 * 3_600)).expect("small") * 1_000;
            match self.dice.below(10) {
                0..6 => self.session(
                    "coding-agent",
                    "platform-security@example.com",
                    "alice",
                    CODING,
                    at,
                    acts,
                    "deny",
                ),
                6..9 => self.session(
                    "ci-runner",
                    "ci@example.com",
                    "ci",
                    CI,
                    at,
                    acts,
                    if day < 14 { "would-deny" } else { "deny" },
                ),
                _ => self.session(
                    "readonly-ops",
                    "operations@example.com",
                    "bob",
                    OPS,
                    at,
                    acts / 2,
                    "deny",
                ),
            }
        }
        // A hijacked afternoon.
        if day == 18 {
            let at = START + day * DAY + 15 * HOUR;
            let attempts: &[Act] = &[
                (
                    "connect",
                    "/usr/bin/curl",
                    "tcp:203.0.113.66:4444",
                    "!not-listed",
                    700,
                ),
                ("exec", "/usr/bin/bash", "/tmp/updater", "!not-listed", 150),
                (
                    "connect",
                    "/usr/bin/curl",
                    "tcp:169.254.169.254:80",
                    "!no-metadata",
                    100,
                ),
                (
                    "unix",
                    "/usr/bin/python3.11",
                    "/run/docker.sock",
                    "!not-listed",
                    50,
                ),
            ];
            self.session(
                "coding-agent",
                "platform-security@example.com",
                "alice",
                attempts,
                at,
                4 * acts,
                "deny",
            );
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a table of words")]
    fn session(
        &mut self,
        agent: &str,
        owner: &str,
        user: &str,
        acts: &[Act],
        at: i64,
        number: u64,
        denied: &str,
    ) {
        let host = usize::try_from(self.dice.below(2)).expect("small");
        let id = format!("{:016x}", self.dice.next());
        let task = *self.dice.one(TASKS);
        let ticket = format!("T-{}", 100 + self.dice.below(900));
        let dress = |record: Record| {
            record
                .agent(agent, &id)
                .set("/unmapped/owner", owner)
                .set("/unmapped/task", task)
                .set("/unmapped/task_id", ticket.as_str())
                .set("/actor/user", json!({"name": user, "uid": "1000"}))
        };
        let start = dress(Record::new("session-start", "allow", "enrolled")).set(
            "/entity",
            json!({"user": {"name": user, "uid": "1000"}, "uid": id}),
        );
        self.push(host, at, start);
        let total: u64 = acts.iter().map(|act| act.4).sum();
        let mut time = at;
        for _ in 0..number {
            time += 200 + i64::try_from(self.dice.below(20_000)).expect("small");
            let mut roll = self.dice.below(total);
            let act = acts.iter().find(|act| {
                let hit = roll < act.4;
                roll = roll.saturating_sub(act.4);
                hit
            });
            let record = dress(decision(act.expect("one of them"), denied));
            self.push(host, time, record);
        }
        let mut end = dress(Record::new("session-end", "allow", "session-ended"));
        end.0["actor"] = json!({"session": {"uid": id}});
        self.push(host, time + 1_000, end);
    }

    fn push(&mut self, host: usize, time: i64, record: Record) {
        let host = &mut self.hosts[host];
        host.sequence += 1;
        let sequence = host.sequence;
        let record = record
            .at(time, sequence)
            .set("/device/hostname", host.name)
            .set("/device/uid", host.machine)
            .set("/metadata/uid", format!("{BOOT}:{}:{sequence}", host.name));
        self.records.push(record.0);
    }

    fn own(&self, host: usize, time: i64, code: &str) -> Record {
        let host = &self.hosts[host];
        Record(json!({
            "device": {"boot_uid": BOOT, "hostname": host.name, "uid": host.machine},
            "metadata": {"event_code": code, "uid": format!("{BOOT}:{code}:{time}"), "product": {"name": "enforcer", "version": "0.1.0"}},
            "time": time,
        }))
    }

    fn daemon(&mut self, host: usize, time: i64, code: &str) {
        let record = self
            .own(host, time, code)
            .set("/status_detail", "enforcing")
            .set("/unmapped", json!({"programs": ["socket_connect", "bprm_check_security"], "posture": {"kernel": "6.1.192", "lockdown": "none"}}));
        self.records.push(record.0);
    }

    fn policy(&mut self, host: usize, time: i64, agent: &str, code: &str, by: &str) {
        let record = self
            .own(host, time, code)
            .set(
                "/entity",
                json!({"name": agent, "version": "7", "data": {"sha256": "ab".repeat(32)}}),
            )
            .set(
                "/actor",
                json!({"user": {"name": by, "uid": "0"}, "process": {"pid": 77}}),
            );
        let record = if code == "policy-rejected" {
            record.set(
                "/status_detail",
                "coding-agent.toml:3:5: unknown key `alow`",
            )
        } else {
            record
        };
        self.records.push(record.0);
    }

    fn loss(&mut self, host: usize, time: i64, place: &str, count: u64) {
        let record = self
            .own(host, time, "events-lost")
            .set("/count", count)
            .set("/start_time", time - MINUTE)
            .set("/end_time", time)
            .set("/unmapped", json!({"place": place}));
        self.records.push(record.0);
    }
}

fn decision(act: &Act, denied: &str) -> Record {
    let (kind, actor, object, decided, _) = *act;
    let record = match decided.strip_prefix('!') {
        None => Record::new(kind, "allow", "rule-allows").rule(decided),
        Some("no-metadata") => Record::new(kind, denied, "rule-denies").rule("no-metadata"),
        Some(reason) => Record::new(kind, denied, reason),
    };
    let record = record.by(Some(actor));
    match kind {
        "exec" => record.exec(object),
        "unix" => record.unix(object),
        _ => {
            let mut parts = object.rsplitn(2, ':');
            let port = parts.next().expect("a port").parse().expect("a port");
            let (protocol, ip) = parts
                .next()
                .expect("an address")
                .split_once(':')
                .expect("a protocol");
            record.to(protocol, ip, port)
        }
    }
}
