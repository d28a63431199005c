//! Who is inside a session: everything that descends from its first process, and nobody else.
#![forbid(unsafe_code)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use enforcer_tests::{
    Live, Policy, Run, TcpServer, UdpServer,
    cli::{self, ENFORCER, unique},
    place,
    record::{self, lines},
    server::LOOPBACK,
    session::as_user,
    wait::eventually,
};
use nix::{
    libc::pid_t,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const CONTROL: &str = "/run/enforcer/control.sock";
/// As the daemon has it (daemon/launch.rs).
const MAX_PENDING_OF_USER: usize = 64;
/// How a process can have others act for it. What they do stands after it.
const DESCENDANTS: [&str; 8] = [
    "fork",
    "fork fork fork",
    "vfork",
    "thread",
    "fork thread",
    "orphan",
    "new-session",
    "fork sibling",
];

#[test]
fn every_kind_of_descendant_is_in_the_session() {
    let (listed, other) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
    let agent = Policy::new("descendants")
        .connect("api", &[&listed.destination()])
        .apply();
    for how in DESCENDANTS {
        let run = agent.probe(&[
            format!("{how} connect tcp {}", other.address),
            format!("{how} connect tcp {}", listed.address),
            format!("{how} socket 16 3 0"),
        ]);
        let denied: Vec<_> = run.answers.iter().map(|answer| answer.denied()).collect();
        assert_eq!(denied, [true, false, true], "{how}: {:?}", run.answers);
        assert_eq!((listed.arrived(), other.arrived()), (1, 0), "{how}");
        let mut records = run.records();
        let sessions: Vec<_> = records.iter().map(|record| record.session()).collect();
        assert!(sessions.iter().all(|id| *id == sessions[0]), "{how}");
        records.retain(|record| record.kind() == "connect");
        let expected = [
            format!("connect {} deny not-listed", other.destination()),
            format!("connect {} allow rule-allows api", listed.destination()),
        ];
        assert_eq!(lines(&records), expected, "{how}");
    }
}

#[test]
fn in_monitor_mode_every_kind_of_descendant_is_watched() {
    let other = TcpServer::on(LOOPBACK);
    let agent = Policy::new("watched").monitor().apply();
    let run = agent.probe(&DESCENDANTS.map(|how| format!("{how} connect tcp {}", other.address)));
    assert!(
        run.answers.iter().all(|answer| answer.errno == 0),
        "{:?}",
        run.answers
    );
    assert_eq!(other.arrived(), DESCENDANTS.len());
    let mut records = run.records();
    records.retain(|record| record.kind() == "connect");
    let would = format!("connect {} would-deny not-listed", other.destination());
    assert_eq!(lines(&records), vec![would; DESCENDANTS.len()]);
}

#[test]
fn outside_a_session_nothing_is_denied_and_nothing_is_recorded() {
    let (tcp, udp) = (TcpServer::on(LOOPBACK), UdpServer::on(LOOPBACK));
    let tool = place::copy("/usr/bin/true", place::directory("outside").join("tool"));
    let tool = place::text(&tool);
    // A session beside it, so that the programs have something to do.
    let session = Policy::new("beside").apply().live();
    let mut outside = Live::outside();
    for how in [&[""], &DESCENDANTS[..]].concat() {
        for attempt in [
            &format!("connect tcp {}", tcp.address),
            &format!("sendto {}", udp.address),
            &format!("exec {tool}"),
            &format!("memfd {tool}"),
            "socket 16 3 0",
            "socket 2 3 1",
        ] {
            let answer = outside.ask(&format!("{how} {attempt}"));
            assert_eq!(answer.errno, 0, "{answer:?}");
        }
    }
    let times = DESCENDANTS.len() + 1;
    assert_eq!((tcp.arrived(), udp.arrived()), (times, times));
    let pid = u64::from(outside.pid());
    outside.end();
    session.end();
    let records = record::show(&["--since", "10m"]);
    assert!(!records.iter().any(|record| record.pid() == pid));
    let destination = tcp.destination();
    assert!(!records.iter().any(|record| record.target() == destination));
}

#[test]
fn a_session_ends_with_its_last_process_and_not_with_its_first() {
    let mut live = Policy::new("last").apply().live();
    let left: pid_t = live.ask("leave-behind 600").output.parse().unwrap();
    let (task, session) = (live.task.clone(), live.session());
    live.end();
    let there = |id: &str| {
        let sessions = cli::json(["session", "list"]);
        let mut sessions = sessions.as_array().unwrap().iter();
        sessions.any(|session| session["id"] == id)
    };
    assert!(there(&session));
    let records = record::until(&task, |_| true);
    assert!(!records.iter().any(|record| record.kind() == "session-end"));
    kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
    let records = record::of_ended_task(&task);
    assert_eq!(records.last().unwrap().kind(), "session-end");
    assert!(!there(&session));
}

#[test]
fn a_session_of_an_unknown_agent_is_not_started() {
    let mark = place::directory("unknown").join("mark");
    let output = Command::new(ENFORCER)
        .args(["run", "--agent", "nobody-knows-it", "--", "/usr/bin/touch"])
        .arg(&mark)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", cli::told(&output));
    assert!(!mark.exists());
}

/// `enforcer run` of `touch MARK` as the user `agent` with this group.
fn launched_by(group: &str, agent: &str, mark: &Path) -> Output {
    as_user(group)
        .args([ENFORCER, "run", "--agent", agent, "--", "/usr/bin/touch"])
        .arg(mark)
        .output()
        .unwrap()
}

#[test]
fn a_session_is_started_for_a_member_of_the_launch_group_only() {
    let directory = place::directory("launch");
    place::mode(&directory, 0o777);
    let mark = |name: &str| directory.join(name);
    let launching = |launch: &str| {
        let policy = Policy::bare("launch").exec("touch", &["/usr/bin/touch"]);
        policy
            .agent(&format!("[agent.enrol]\nlaunch = {launch}"))
            .apply()
            .name
    };
    let (by_games, by_root) = (launching("{ group = \"games\" }"), launching("{}"));
    let refused = [
        launched_by("users", &by_games, &mark("not-a-member")),
        launched_by("games", &by_root, &mark("root-alone")),
    ];
    for output in refused {
        assert_eq!(output.status.code(), Some(6), "{}", cli::told(&output));
    }
    assert!(!mark("not-a-member").exists() && !mark("root-alone").exists());
    let output = launched_by("games", &by_games, &mark("member"));
    assert!(output.status.success(), "{}", cli::told(&output));
    assert!(mark("member").exists());
}

/// Has so many processes ask for a session each that execute nothing, and says of each what it was answered;
/// they live until its input ends.
const ASK_AND_STAY: &str = r#"
import http.client, os, socket, sys
for _ in range(int(sys.argv[3])):
    said, says = os.pipe()
    if os.fork() == 0:
        connection = http.client.HTTPConnection("enforcer")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(sys.argv[1])
        body = '{"agent":"%s"}' % sys.argv[2]
        connection.request("POST", "/v1/sessions", body, {"content-type": "application/json"})
        answer = connection.getresponse().read()
        connection.close()
        os.write(says, answer)
        sys.stdin.read()
        os._exit(0)
    os.close(says)
    print(os.read(said, 65536).decode(), flush=True)
    os.close(said)
"#;

#[test]
fn a_user_who_asks_for_sessions_and_begins_none_takes_no_more_than_his_share() {
    let directory = place::directory("asks");
    place::mode(&directory, 0o777);
    let agent = Policy::bare("asks")
        .exec("touch", &["/usr/bin/touch"])
        .agent("[agent.enrol]\nlaunch = { group = \"games\" }")
        .apply();
    let asking = |count: usize| {
        as_user("games")
            .args(["/usr/bin/python3", "-c", ASK_AND_STAY])
            .args([CONTROL, &agent.name])
            .arg(count.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv starts")
    };
    let mut greedy = asking(MAX_PENDING_OF_USER + 1);
    let said = BufReader::new(greedy.stdout.take().expect("a pipe")).lines();
    let said: Vec<String> = said
        .take(MAX_PENDING_OF_USER + 1)
        .map(Result::unwrap)
        .collect();
    let (last, given) = said.split_last().expect("many answers");
    assert!(
        given.iter().all(|answer| answer.contains("\"session\"")),
        "{given:?}"
    );
    assert!(last.contains("limit-reached"), "{last}");
    let output = launched_by("games", &agent.name, &directory.join("same-user"));
    assert!(!output.status.success(), "{}", cli::told(&output));
    assert!(!directory.join("same-user").exists());
    // Others are not kept out by it, and when it ends nor is its user.
    let other = agent.run(&["/usr/bin/touch", place::text(&directory.join("root"))]);
    assert!(other.output.status.success() && directory.join("root").exists());
    drop(greedy.stdin.take());
    greedy.wait().expect("its end");
    eventually("its places are free", || {
        let output = launched_by("games", &agent.name, &directory.join("again"));
        output.status.success()
    });
    assert!(directory.join("again").exists());
}

#[test]
fn nobody_but_the_process_that_asked_enters_its_session() {
    let server = TcpServer::on(LOOPBACK);
    let agent = Policy::new("pending").apply();
    let task = unique("task");
    let mut asking = Live::outside();
    let answer = asking.ask(&format!(
        "http {CONTROL} POST /v1/sessions {{\"agent\":\"{}\",\"task\":{{\"id\":\"{task}\"}}}}",
        agent.name
    ));
    assert!(answer.output.starts_with("HTTP/1.1 200"), "{answer:?}");
    // Its children and any other process execute programs; only its own exec would take the label.
    let attempt = format!("connect tcp {}", server.address);
    let probe = cli::probe();
    let probe = place::text(&probe);
    for how in [
        "exec",
        "fork exec",
        "vfork exec",
        "orphan exec",
        "thread exec",
    ] {
        let answer = asking.ask(&format!("{how} {probe} pid"));
        assert_eq!((answer.errno, answer.status), (0, Some(0)), "{how}");
        assert_eq!(asking.ask(&attempt).errno, 0);
    }
    assert_eq!(Run::outside(&[&attempt]).answers[0].errno, 0);
    assert_eq!(server.arrived(), 6);
    asking.end();
    assert!(record::show(&["--task", &task]).is_empty());
}

#[test]
fn a_session_that_was_asked_for_is_entered_by_the_next_exec_of_that_process() {
    let server = TcpServer::on(LOOPBACK);
    let agent = Policy::new("entering").apply();
    let mut asking = Live::outside();
    let answer = asking.ask(&format!(
        "http {CONTROL} POST /v1/sessions {{\"agent\":\"{}\"}}",
        agent.name
    ));
    assert!(answer.output.starts_with("HTTP/1.1 200"), "{answer:?}");
    let attempt = format!("connect tcp {}", server.address);
    assert_eq!(asking.ask(&attempt).errno, 0);
    assert_eq!(server.arrived(), 1);
    let probe = cli::probe();
    // The first thing that the new program says, before anything more is asked.
    let become_probe = format!("become {} pid -", place::text(&probe));
    assert_eq!(asking.ask(&become_probe).attempt, "pid");
    assert!(asking.ask(&attempt).denied());
    assert_eq!(server.arrived(), 0);
}
