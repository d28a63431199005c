//! One exec and one connect, as the log has them: what a reader of the log relies on.

use enforcer_common::{
    event::{Connect, Kind},
    permit::NO_CELL,
    verdict::{Reason, Verdict},
};
use serde_json::Value;

use super::{
    bytes::{bytes_of, header},
    common::{Facts, exec_event, host},
};
use crate::record::{Event, Recorder};

/// A recorder that has seen the session's first executable, 900, in process 4200.
fn recorder() -> Recorder {
    let mut recorder = Recorder::new(host());
    recorder.record(
        &exec_event(900, 0, 4200, "/opt/release-bot/agent"),
        &Facts::all(),
    );
    recorder
}

fn assert_is(record: &Value, golden: &str) {
    let golden: Value = serde_json::from_str(golden).expect("JSON");
    assert_eq!(record, &golden, "{record:#}");
}

#[test]
fn an_allowed_exec() {
    let record = recorder().record(&exec_event(1001, 900, 4242, "/usr/bin/git"), &Facts::all());
    assert_is(&record, EXEC);
}

#[test]
fn a_denied_connect() {
    let mut recorder = recorder();
    recorder.record(&exec_event(1001, 900, 4242, "/usr/bin/git"), &Facts::all());
    let mut header = header(Kind::Connect, Verdict::Deny, Reason::NotListed);
    header.sequence = 1002;
    header.exec = 1001;
    header.cell = NO_CELL;
    let connect = Connect {
        header,
        address: [169, 254, 169, 254, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        family: 4,
        protocol: 6,
        port: 80,
        pad: 0,
    };
    let event = Event::decode(&bytes_of(&connect)).expect("an event");
    assert_is(&recorder.record(&event, &Facts::all()), CONNECT);
}

const EXEC: &str = r#"
{
  "action": "Allowed",
  "action_id": 1,
  "activity_id": 1,
  "activity_name": "Launch",
  "actor": {
    "process": {
      "ancestry": [
        {
          "cmd_line": "/opt/release-bot/agent -x",
          "created_time": 1795500061000,
          "name": "agent",
          "path": "/opt/release-bot/agent",
          "pid": 4200,
          "uid": "5f0c1d1e-0000-4000-8000-00000000b007:4200:60000000000"
        }
      ],
      "cmd_line": "/opt/release-bot/agent -x",
      "created_time": 1795500060000,
      "file": {
        "hashes": [
          {
            "algorithm": "SHA-256",
            "algorithm_id": 3,
            "value": "abababababababababababababababababababababababababababababababab"
          }
        ],
        "name": "agent",
        "path": "/opt/release-bot/agent",
        "type_id": 1,
        "uid": "253:1:1234:9"
      },
      "name": "agent",
      "parent_process": {"pid": 4200},
      "pid": 4242,
      "tid": 4243,
      "uid": "5f0c1d1e-0000-4000-8000-00000000b007:4242:60000000000"
    },
    "session": {"created_time": 1795500059000, "issuer": "enforcer", "uid": "feed000000000001"},
    "user": {"name": "ci", "uid": "1000"}
  },
  "ai_agent": {"instance_uid": "feed000000000001", "name": "release-bot", "uid": "release-bot"},
  "category_uid": 1,
  "class_name": "Process Activity",
  "class_uid": 1007,
  "device": {
    "boot_uid": "5f0c1d1e-0000-4000-8000-00000000b007",
    "hostname": "build-1",
    "name": "build-1",
    "type_id": 0,
    "uid": "0123456789abcdef0123456789abcdef"
  },
  "disposition": "Allowed",
  "disposition_id": 1,
  "firewall_rule": {"uid": "tools"},
  "launch_type": "Exec",
  "launch_type_id": 3,
  "message": "release-bot: exec /usr/bin/git allowed: rule-allows (tools)",
  "metadata": {
    "correlation_uid": "REL-17",
    "event_code": "exec",
    "log_name": "enforcer",
    "original_time": "61000000007",
    "product": {"name": "enforcer", "vendor_name": "enforcer", "version": "0.1.0"},
    "profiles": ["ai_operation", "host", "security_control"],
    "sequence": 1001,
    "uid": "5f0c1d1e-0000-4000-8000-00000000b007:1001",
    "version": "1.9.0"
  },
  "policy": {"is_applied": true, "name": "release-bot", "uid": "release-bot@7", "version": "7"},
  "process": {
    "cmd_line": "/usr/bin/git -x",
    "created_time": 1795500060000,
    "file": {
      "hashes": [
        {
          "algorithm": "SHA-256",
          "algorithm_id": 3,
          "value": "abababababababababababababababababababababababababababababababab"
        }
      ],
      "name": "git",
      "path": "/usr/bin/git",
      "size": 4096,
      "type_id": 1,
      "uid": "253:1:1234:9"
    },
    "name": "git",
    "pid": 4242,
    "uid": "5f0c1d1e-0000-4000-8000-00000000b007:4242:60000000000",
    "user": {"name": "ci", "uid": "1000"}
  },
  "severity": "Informational",
  "severity_id": 1,
  "status": "Success",
  "status_detail": "rule-allows",
  "status_id": 1,
  "time": 1795500061000,
  "type_uid": 100701,
  "unmapped": {
    "argc": 2,
    "cell": 12,
    "claimed_argv": ["/usr/bin/git", "-x"],
    "conditions": "5",
    "exec": 900,
    "file_ctime": "1700000000.000000005",
    "level": 0,
    "owner": "platform-security@example.com",
    "reason": "rule-allows",
    "task": "open the release pull request",
    "task_id": "REL-17",
    "verdict": "allow"
  }
}"#;

const CONNECT: &str = r#"
{
  "action": "Denied",
  "action_id": 2,
  "activity_id": 1,
  "activity_name": "Open",
  "actor": {
    "process": {
      "ancestry": [
        {
          "cmd_line": "/opt/release-bot/agent -x",
          "created_time": 1795500061000,
          "name": "agent",
          "path": "/opt/release-bot/agent",
          "pid": 4200,
          "uid": "5f0c1d1e-0000-4000-8000-00000000b007:4200:60000000000"
        }
      ],
      "cmd_line": "/usr/bin/git -x",
      "created_time": 1795500060000,
      "file": {
        "hashes": [
          {
            "algorithm": "SHA-256",
            "algorithm_id": 3,
            "value": "abababababababababababababababababababababababababababababababab"
          }
        ],
        "name": "git",
        "path": "/usr/bin/git",
        "type_id": 1,
        "uid": "253:1:1234:9"
      },
      "name": "git",
      "parent_process": {"pid": 4200},
      "pid": 4242,
      "tid": 4243,
      "uid": "5f0c1d1e-0000-4000-8000-00000000b007:4242:60000000000"
    },
    "session": {"created_time": 1795500059000, "issuer": "enforcer", "uid": "feed000000000001"},
    "user": {"name": "ci", "uid": "1000"}
  },
  "ai_agent": {"instance_uid": "feed000000000001", "name": "release-bot", "uid": "release-bot"},
  "category_uid": 4,
  "class_name": "Network Activity",
  "class_uid": 4001,
  "connection_info": {
    "direction": "Outbound",
    "direction_id": 2,
    "protocol_name": "tcp",
    "protocol_num": 6,
    "protocol_ver_id": 4
  },
  "device": {
    "boot_uid": "5f0c1d1e-0000-4000-8000-00000000b007",
    "hostname": "build-1",
    "name": "build-1",
    "type_id": 0,
    "uid": "0123456789abcdef0123456789abcdef"
  },
  "disposition": "Blocked",
  "disposition_id": 2,
  "dst_endpoint": {"ip": "169.254.169.254", "port": 80},
  "is_alert": true,
  "message": "release-bot: connect tcp:169.254.169.254:80 denied: not-listed",
  "metadata": {
    "correlation_uid": "REL-17",
    "event_code": "connect",
    "log_name": "enforcer",
    "original_time": "61000000007",
    "product": {"name": "enforcer", "vendor_name": "enforcer", "version": "0.1.0"},
    "profiles": ["ai_operation", "host", "security_control"],
    "sequence": 1002,
    "uid": "5f0c1d1e-0000-4000-8000-00000000b007:1002",
    "version": "1.9.0"
  },
  "policy": {"is_applied": true, "name": "release-bot", "uid": "release-bot@7", "version": "7"},
  "severity": "Medium",
  "severity_id": 3,
  "status": "Failure",
  "status_code": "EPERM",
  "status_detail": "not-listed",
  "status_id": 2,
  "time": 1795500061000,
  "type_uid": 400101,
  "unmapped": {
    "exec": 1001,
    "owner": "platform-security@example.com",
    "reason": "not-listed",
    "task": "open the release pull request",
    "task_id": "REL-17",
    "verdict": "deny"
  }
}"#;
