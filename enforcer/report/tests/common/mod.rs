//! Records as the daemon writes them, made without a daemon, and a month of them.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod month;
pub mod naive;

use enforcer_policy::{NoIncludes, Parsed, Source, parse};
use serde_json::{Value, json};

pub const BOOT: &str = "5f0c1d1e-0000-4000-8000-00000000b007";
/// 2026-11-01T00:00:00Z in milliseconds.
pub const START: i64 = 1_793_491_200_000;

/// The head of a policy of the agent `release-bot`.
pub const HEAD: &str = "schema = 1\n[agent]\nname = \"release-bot\"\nowner = \"platform-security@example.com\"\npurpose = \"tests\"\n[agent.enrol]\nlaunch = {}\n";

/// A policy of [`HEAD`] and rules.
pub fn policy(rules: &str) -> Parsed {
    whole(&format!("{HEAD}{rules}"))
}

/// A policy of its whole text.
pub fn whole(text: &str) -> Parsed {
    let source = Source {
        name: "release-bot.toml".into(),
        text: text.into(),
    };
    parse(source, &NoIncludes).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A record of a decision in the making. What it begins with is a denied connect's.
#[derive(Clone)]
pub struct Record(pub Value);

impl Record {
    pub fn new(kind: &str, verdict: &str, reason: &str) -> Self {
        let (action, action_id, status) = match verdict {
            "allow" => ("Allowed", 1, "Success"),
            "deny" => ("Denied", 2, "Failure"),
            _ => ("Observed", 3, "Success"),
        };
        Self(json!({
            "action": action, "action_id": action_id, "status": status,
            "actor": {
                "process": {
                    "ancestry": [{"cmd_line": "/opt/release-bot/agent -x", "name": "agent", "path": "/opt/release-bot/agent", "pid": 4200}],
                    "cmd_line": "/usr/bin/git -x",
                    "file": {"name": "git", "path": "/usr/bin/git", "uid": "253:1:1234:9", "type_id": 1},
                    "name": "git", "pid": 4242, "parent_process": {"pid": 4200}, "tid": 4243,
                },
                "session": {"issuer": "enforcer", "uid": "feed000000000001", "created_time": START},
                "user": {"name": "ci", "uid": "1000"},
            },
            "ai_agent": {"instance_uid": "feed000000000001", "name": "release-bot", "uid": "release-bot"},
            "device": {"boot_uid": BOOT, "hostname": "build-1", "name": "build-1", "type_id": 0, "uid": "0123456789abcdef0123456789abcdef"},
            "metadata": {
                "event_code": kind, "log_name": "enforcer", "sequence": 1002, "uid": format!("{BOOT}:1002"), "version": "1.9.0",
                "product": {"name": "enforcer", "vendor_name": "enforcer", "version": "0.1.0"},
            },
            "policy": {"is_applied": true, "name": "release-bot", "uid": "release-bot@7", "version": "7"},
            "status_detail": reason,
            "time": START,
            "unmapped": {
                "exec": 1001, "owner": "platform-security@example.com", "reason": reason, "verdict": verdict,
                "task": "open the release pull request", "task_id": "REL-17",
            },
        }))
    }

    /// Sets what a JSON pointer names, making objects on the way.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut at = &mut self.0;
        for part in pointer.split('/').skip(1) {
            at = &mut at[part];
        }
        *at = value.into();
        self
    }

    pub fn at(self, time: i64, sequence: u64) -> Self {
        self.set("/time", time)
            .set("/metadata/sequence", sequence)
            .set("/metadata/uid", format!("{BOOT}:{sequence}"))
    }

    pub fn agent(self, agent: &str, session: &str) -> Self {
        self.set("/ai_agent/name", agent)
            .set("/ai_agent/uid", agent)
            .set("/ai_agent/instance_uid", session)
            .set("/actor/session/uid", session)
            .set("/policy/name", agent)
    }

    pub fn rule(self, rule: &str) -> Self {
        self.set("/firewall_rule/uid", rule)
    }

    /// The executable that acts; `None` = the launcher's image.
    pub fn by(self, path: Option<&str>) -> Self {
        match path {
            Some(path) => self
                .set("/actor/process/file/path", path)
                .set("/actor/process/file/uid", uid_of(path))
                .set("/actor/process/name", path.rsplit('/').next().unwrap()),
            None => {
                let mut record = self.set("/unmapped/exec", 0);
                let process = record.0["actor"]["process"].as_object_mut().unwrap();
                for gone in ["file", "cmd_line", "name", "ancestry"] {
                    process.remove(gone);
                }
                record
            }
        }
    }

    pub fn exec(self, path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap().to_owned();
        let file = json!({"name": name, "path": path, "uid": uid_of(path), "type_id": 1});
        self.set(
            "/process",
            json!({"file": file, "name": name, "pid": 4242, "cmd_line": path}),
        )
        .set("/unmapped/level", 0)
        .set("/unmapped/claimed_argv", json!([path, "-x"]))
    }

    /// `tcp` or `udp`.
    pub fn to(self, protocol: &str, ip: &str, port: u16) -> Self {
        let number = if protocol == "tcp" { 6 } else { 17 };
        self.set(
            "/connection_info",
            json!({"protocol_name": protocol, "protocol_num": number}),
        )
        .set("/dst_endpoint", json!({"ip": ip, "port": port}))
    }

    /// A unix socket: a path, or `@` and an abstract name.
    pub fn unix(self, name: &str) -> Self {
        let (kind, uid) = match name.strip_prefix('@') {
            Some(_) => ("abstract", Value::Null),
            None => ("path", uid_of(name).into()),
        };
        self.set("/dst_endpoint", json!({"name": name, "uid": uid}))
            .set("/unmapped/unix_kind", kind)
    }

    pub fn file(self, how: &str, path: &str) -> Self {
        self.set("/unmapped/how", how)
            .set("/unmapped/target_path", path)
            .set("/unmapped/target_file", uid_of(path))
            .set("/process", json!({"pid": 4242, "uid": "x"}))
    }
}

/// An identity for a path: the same one each time.
pub fn uid_of(path: &str) -> String {
    let hash = path.bytes().fold(7_u64, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    format!("8:1:{}:5", hash % 1_000_000_007)
}

/// Compares with a file of tests/golden/, which `UPDATE_GOLDEN=1` writes anew.
pub fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("a golden file");
    }
    let expected = std::fs::read_to_string(&path).expect("a golden file");
    assert!(
        expected == found,
        "{name} differs (UPDATE_GOLDEN=1 writes it anew):\n{found}"
    );
}
