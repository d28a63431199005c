//! What stands in a record of the audit log.
#![forbid(unsafe_code)]

use enforcer_tests::{
    Policy, Record, Run, TcpServer, cli, place,
    record::{self, lines},
    server::LOOPBACK,
};
use serde_json::{Value, json};

fn one<'a>(records: &'a [Record], kind: &str, verdict: &str) -> &'a Record {
    let found: Vec<_> = records
        .iter()
        .filter(|record| (record.kind(), record.verdict()) == (kind, verdict))
        .collect();
    assert_eq!(found.len(), 1, "{kind} {verdict}: {:#?}", lines(records));
    found[0]
}

/// The paths of the executables above the acting process, nearest first.
fn ancestry(record: &Record) -> Vec<&str> {
    let ancestry = record.0["actor"]["process"]["ancestry"].as_array();
    let entities = ancestry.into_iter().flatten();
    entities
        .map(|entity| entity["path"].as_str().unwrap_or(""))
        .collect()
}

/// A run: bash runs bash, which runs `id`, an unlisted copy of it, and two connections.
struct Scene {
    server: TcpServer,
    other: TcpServer,
    unlisted: String,
    policy: Policy,
    probe: String,
}

impl Scene {
    fn new(label: &str) -> Self {
        let unlisted = place::copy("/usr/bin/id", place::directory(label).join("unlisted"));
        let server = TcpServer::on(LOOPBACK);
        let policy = Policy::new(label)
            .exec("shell", &["/usr/bin/bash"])
            .exec("tools", &["/usr/bin/id"])
            .connect("api", &[&server.destination()]);
        Self {
            server,
            other: TcpServer::on(LOOPBACK),
            unlisted: place::text(&unlisted).to_owned(),
            policy,
            probe: place::text(&cli::probe()).to_owned(),
        }
    }

    fn run(&self, policy: &Policy) -> Run {
        let Self {
            server,
            other,
            unlisted,
            probe,
            ..
        } = self;
        let inner = format!(
            "/usr/bin/id -u; {unlisted} -g 'a b'; {probe} 'connect tcp {}' 'connect tcp {}'; exit 3",
            server.address, other.address
        );
        let outer = "/usr/bin/bash -c \"$1\"; exit $?";
        let run = policy
            .apply()
            .run(&["/usr/bin/bash", "-c", outer, "outer", &inner]);
        assert_eq!(
            run.output.status.code(),
            Some(3),
            "{}",
            cli::told(&run.output)
        );
        run
    }
}

#[test]
fn the_records_of_a_session_tell_all_that_it_did_in_order() {
    let scene = Scene::new("order");
    let run = scene.run(&scene.policy);
    let expected = [
        "session-start allow enrolled".to_owned(),
        "exec /usr/bin/bash allow rule-allows shell".to_owned(),
        "exec /usr/bin/bash allow rule-allows shell".to_owned(),
        "exec /usr/bin/id allow rule-allows tools".to_owned(),
        format!("exec {} deny not-listed", scene.unlisted),
        format!("exec {} allow rule-allows probe", scene.probe),
        format!(
            "connect {} allow rule-allows api",
            scene.server.destination()
        ),
        format!("connect {} deny not-listed", scene.other.destination()),
        "session-end allow session-ended".to_owned(),
    ];
    assert_eq!(lines(&run.records()), expected);
}

#[test]
fn a_record_names_agent_session_task_and_policy() {
    let scene = Scene::new("names");
    let run = scene.run(&scene.policy);
    let records = run.records();
    let session = records[0].session();
    assert!(session.len() == 16 && u64::from_str_radix(session, 16).is_ok());
    let generation = records[1].generation();
    assert!(generation > 0);
    for record in &records {
        let name = &scene.policy.name;
        assert_eq!(record.text("/ai_agent/name"), name);
        assert_eq!(record.text("/ai_agent/instance_uid"), session);
        assert_eq!(record.session(), session);
        assert_eq!(record.text("/unmapped/task_id"), run.task);
        assert_eq!(record.text("/metadata/correlation_uid"), run.task);
        assert_eq!(record.text("/unmapped/owner"), "tests@example.com");
        assert!(record.sequence() > 0);
        if record.kind() != "session-end" {
            assert_eq!(record.generation(), generation);
            assert_eq!(record.text("/policy/name"), name);
            assert_eq!(record.text("/actor/user/uid"), "0");
            assert!(record.pid() > 0);
        }
    }
    let mut sequences: Vec<_> = records.iter().map(Record::sequence).collect();
    sequences.dedup();
    assert_eq!(sequences.len(), records.len());
}

#[test]
fn an_exec_record_holds_the_file_and_the_arguments_as_the_caller_claimed_them() {
    let scene = Scene::new("argv");
    let records = scene.run(&scene.policy).records();
    let denied = one(&records, "exec", "deny");
    assert_eq!(
        denied.0["unmapped"]["claimed_argv"],
        json!([scene.unlisted, "-g", "a b"])
    );
    assert_eq!(denied.0["unmapped"]["argc"], 3);
    assert_eq!(denied.0["unmapped"]["level"], 0);
    assert_eq!(
        denied.text("/process/cmd_line"),
        format!("{} -g a b", scene.unlisted)
    );
    assert_eq!(denied.text("/process/file/name"), "unlisted");
    let size = std::fs::metadata(&scene.unlisted).unwrap().len();
    assert_eq!(denied.0["process"]["file"]["size"], size);
    assert_eq!(denied.text("/actor/process/file/path"), "/usr/bin/bash");
    assert_eq!(denied.text("/status_code"), "EPERM");
    assert_eq!(denied.0["is_alert"], true);
    // The shell forks and then executes: the process that acts is its child.
    assert_eq!(
        denied.0["process"]["pid"],
        denied.0["actor"]["process"]["pid"]
    );
}

#[test]
fn arguments_that_do_not_fit_are_marked() {
    let agent = Policy::new("long-argv")
        .exec("echo", &["/usr/bin/echo"])
        .apply();
    let long = "x".repeat(5000);
    let records = agent.run(&["/usr/bin/echo", &long]).records();
    let exec = one(&records, "exec", "allow");
    assert_eq!(exec.0["unmapped"]["argv_cut"], true);
    assert_eq!(exec.0["metadata"]["is_truncated"], true);
    assert_eq!(exec.0["unmapped"]["argc"], 2);
    let many: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let mut command = vec!["/usr/bin/echo"];
    command.extend(many.iter().map(String::as_str));
    let records = agent.run(&command).records();
    let exec = one(&records, "exec", "allow");
    assert_eq!(exec.0["unmapped"]["argv_cut"], true);
    assert_eq!(exec.0["unmapped"]["argc"], 101);
}

#[test]
fn a_connect_record_holds_the_destination_and_the_binary_that_tried() {
    let scene = Scene::new("destination");
    let records = scene.run(&scene.policy).records();
    for (verdict, server) in [("allow", &scene.server), ("deny", &scene.other)] {
        let record = one(&records, "connect", verdict);
        assert_eq!(record.text("/dst_endpoint/ip"), "127.0.0.1");
        assert_eq!(record.0["dst_endpoint"]["port"], server.address.port());
        assert_eq!(record.text("/connection_info/protocol_name"), "tcp");
        assert_eq!(record.0["connection_info"]["protocol_num"], 6);
        assert_eq!(record.text("/actor/process/file/path"), scene.probe);
        assert!(
            record
                .text("/actor/process/cmd_line")
                .starts_with(&scene.probe)
        );
    }
}

#[test]
fn the_ancestry_goes_up_to_the_first_command_of_the_session() {
    let scene = Scene::new("ancestry");
    let records = scene.run(&scene.policy).records();
    // The launcher's image is no part of the session.
    assert!(ancestry(&records[1]).is_empty());
    let denied = one(&records, "exec", "deny");
    // bash in a fork of itself, which was started by the first one.
    assert_eq!(ancestry(denied), ["/usr/bin/bash", "/usr/bin/bash"]);
    let connect = one(&records, "connect", "deny");
    assert_eq!(ancestry(connect), ["/usr/bin/bash", "/usr/bin/bash"]);
    let root = connect.0["actor"]["process"]["ancestry"][1].clone();
    assert_eq!(root["uid"], records[1].0["process"]["uid"]);
    assert_eq!(root["pid"], records[1].0["process"]["pid"]);
    let incomplete =
        |record: &Record| record.0["unmapped"]["ancestry_incomplete"] == Value::Bool(true);
    assert!(!records.iter().any(incomplete));
}

#[test]
fn an_audit_of_denials_leaves_allowed_actions_out_and_ancestry_whole() {
    let scene = Scene::new("denials");
    let policy = scene.policy.clone().agent("audit = \"denials\"");
    let records = scene.run(&policy).records();
    let mut decisions = records.clone();
    decisions.retain(|record| !record.kind().starts_with("session"));
    let expected = [
        format!("exec {} deny not-listed", scene.unlisted),
        format!("connect {} deny not-listed", scene.other.destination()),
    ];
    assert_eq!(lines(&decisions), expected);
    for record in &decisions {
        assert_eq!(ancestry(record), ["/usr/bin/bash", "/usr/bin/bash"]);
    }
    assert_eq!(decisions[1].text("/actor/process/file/path"), scene.probe);
}

#[test]
fn filters_of_the_log_find_what_they_name() {
    let scene = Scene::new("filters");
    let run = scene.run(&scene.policy);
    let all = run.records();
    let session = all[0].session();
    let found = |filter: &[&str]| {
        let filter = [&["--task", &run.task], filter].concat();
        lines(&record::show(&filter))
    };
    let denied_connect = format!("connect {} deny not-listed", scene.other.destination());
    let denied_exec = format!("exec {} deny not-listed", scene.unlisted);
    let mut denied = found(&["--verdict", "deny"]);
    denied.sort();
    assert_eq!(denied, [denied_connect.clone(), denied_exec.clone()]);
    assert_eq!(
        found(&["--kind", "connect", "--verdict", "deny"]),
        [denied_connect]
    );
    assert_eq!(found(&["--binary", &scene.unlisted]), [denied_exec]);
    assert_eq!(found(&["--rule", "api"]).len(), 1);
    assert_eq!(found(&["--reason", "rule-allows"]).len(), 5);
    assert_eq!(found(&["--session", session]).len(), all.len());
    assert_eq!(found(&["--agent", &scene.policy.name]).len(), all.len());
    assert!(found(&["--agent", "another"]).is_empty());
}

#[test]
fn every_line_that_the_log_holds_by_now_is_a_valid_record() {
    record::assert_ocsf();
}
