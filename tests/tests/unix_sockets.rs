//! Which unix sockets are reached: by the inode that the peer is bound to, or by its abstract name.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::Read,
    os::{
        fd::AsRawFd,
        unix::{fs::symlink, net::UnixStream},
    },
    path::{Path, PathBuf},
};

use enforcer_tests::{
    Agent, Live, Policy, Run, UnixDatagramServer, UnixServer,
    cli::{self, unique},
    place,
    record::{self, lines},
};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};

const CONTROL: &str = "/run/enforcer/control.sock";

fn told(run: &Run) -> Vec<String> {
    let mut records = run.records();
    records.retain(|record| record.kind() == "unix");
    lines(&records)
}

fn denied(agent: &Agent, attempts: &[String]) -> (Run, Vec<bool>) {
    let run = agent.probe(attempts);
    let denied = run.answers.iter().map(|answer| answer.denied()).collect();
    (run, denied)
}

/// Two names of this kind, for sockets on the disk, in memory, or abstract.
fn names(kind: &str) -> [String; 2] {
    ["listed", "other"].map(|name| match kind {
        "disk" => place::text(&place::directory("unix").join(name)).to_owned(),
        "memory" => format!("/run/{}", unique(name)),
        _ => format!("@{}", unique(name)),
    })
}

#[test]
fn a_listed_socket_is_reached_and_no_other() {
    for kind in ["disk", "memory", "abstract"] {
        let [listed, other] = names(kind).map(|name| UnixServer::at(&name));
        let agent = Policy::new("unix").unix("bus", &[&listed.name]).apply();
        let attempts = [&listed, &other].map(|server| format!("unix stream {}", server.name));
        let (run, denied) = denied(&agent, &attempts);
        assert_eq!(denied, [false, true], "{kind}: {:?}", run.answers);
        assert_eq!((listed.arrived(), other.arrived()), (1, 0), "{kind}");
        assert_eq!(
            told(&run),
            [
                format!("unix {} allow rule-allows bus", listed.name),
                format!("unix {} deny not-listed", other.name),
            ]
        );
    }
}

#[test]
fn datagrams_reach_a_listed_socket_and_no_other() {
    for kind in ["disk", "memory", "abstract"] {
        let [listed, other] = names(kind).map(|name| UnixDatagramServer::at(&name));
        let agent = Policy::new("datagram").unix("log", &[&listed.name]).apply();
        let attempts = [
            format!("unix-sendto {}", listed.name),
            format!("unix-sendto {}", other.name),
            format!("unix dgram {}", listed.name),
            format!("unix dgram {}", other.name),
        ];
        let (run, denied) = denied(&agent, &attempts);
        assert_eq!(denied, [false, true, false, true], "{:?}", run.answers);
        assert_eq!((listed.arrived(), other.arrived()), (1, 0), "{kind}");
        let allowed = format!("unix {} allow rule-allows log", listed.name);
        let refused = format!("unix {} deny not-listed", other.name);
        assert_eq!(
            told(&run),
            [&allowed, &refused, &allowed, &refused].map(String::as_str)
        );
    }
}

#[test]
fn sequenced_packets_reach_a_listed_socket_and_no_other() {
    let [listed, other] = names("disk");
    let servers = [&listed, &other].map(|name| {
        let kind = SockType::SeqPacket;
        let server = socket(AddressFamily::Unix, kind, SockFlag::SOCK_NONBLOCK, None).unwrap();
        let address = UnixAddr::new(Path::new(name)).unwrap();
        bind(server.as_raw_fd(), &address).unwrap();
        listen(&server, Backlog::new(8).unwrap()).unwrap();
        server
    });
    let agent = Policy::new("seqpacket").unix("bus", &[&listed]).apply();
    let attempts = [&listed, &other].map(|name| format!("unix seqpacket {name}"));
    let (_, denied) = denied(&agent, &attempts);
    assert_eq!(denied, [false, true]);
    let arrived = servers.map(|server| nix::sys::socket::accept(server.as_raw_fd()).is_ok());
    assert_eq!(arrived, [true, false]);
}

#[test]
fn the_socket_counts_and_not_the_name_that_leads_to_it() {
    let [listed, other] = names("disk").map(|name| UnixServer::at(&name));
    let directory = place::directory("unix-links");
    let [to_listed, to_other] =
        ["a", "b"].map(|name| place::text(&directory.join(name)).to_owned());
    symlink(&listed.name, &to_listed).unwrap();
    symlink(&other.name, &to_other).unwrap();
    let agent = Policy::new("unix-links")
        .unix("bus", &[&listed.name])
        .apply();
    let attempts = [&to_listed, &to_other].map(|name| format!("unix stream {name}"));
    assert_eq!(denied(&agent, &attempts).1, [false, true]);
    assert_eq!((listed.arrived(), other.arrived()), (1, 0));
}

#[test]
fn a_longer_or_shorter_abstract_name_is_another_one() {
    let name = format!("@{}", unique("name"));
    let servers = [
        &name,
        &format!("{name}x"),
        &name[..name.len() - 1].to_owned(),
    ]
    .map(|name| UnixServer::at(name));
    let agent = Policy::new("abstract").unix("bus", &[&name]).apply();
    let attempts = servers
        .each_ref()
        .map(|server| format!("unix stream {}", server.name));
    assert_eq!(denied(&agent, &attempts).1, [false, true, true]);
    assert_eq!(servers.map(|server| server.arrived()), [1, 0, 0]);
}

#[test]
fn a_deny_rule_wins() {
    let [listed, other] = names("disk").map(|name| UnixServer::at(&name));
    let agent = Policy::new("unix-deny")
        .unix("both", &[&listed.name, &other.name])
        .deny_unix("not-there", &[&other.name])
        .apply();
    let attempts = [&listed, &other].map(|server| format!("unix stream {}", server.name));
    let (run, denied) = denied(&agent, &attempts);
    assert_eq!(denied, [false, true]);
    assert_eq!((listed.arrived(), other.arrived()), (1, 0));
    let refused = format!("unix {} deny rule-denies not-there", other.name);
    assert_eq!(told(&run)[1], refused);
}

#[test]
fn another_socket_at_the_same_path_is_denied_until_the_policy_is_applied_again() {
    for kind in ["disk", "memory"] {
        // Below a folder that others than root can change, nothing is looked at again by itself.
        let folder = match kind {
            "disk" => place::directory("open"),
            _ => PathBuf::from(format!("/run/{}", unique("open"))),
        };
        fs::create_dir_all(&folder).unwrap();
        place::mode(&folder, 0o777);
        let name = place::text(&folder.join("socket")).to_owned();
        let first = UnixServer::at(&name);
        let policy = Policy::new("replaced").unix("bus", &[&name]);
        let agent = policy.apply();
        let attempt = [format!("unix stream {name}")];
        assert_eq!(denied(&agent, &attempt).1, [false]);
        assert_eq!(first.arrived(), 1);
        drop(first);
        let second = UnixServer::at(&name);
        assert_eq!(denied(&agent, &attempt).1, [true], "{kind}");
        assert_eq!(second.arrived(), 0);
        policy.apply();
        assert_eq!(denied(&agent, &attempt).1, [false], "{kind}");
        assert_eq!(second.arrived(), 1);
    }
}

#[test]
fn a_pair_of_sockets_works_in_a_session() {
    let agent = Policy::new("pair").apply();
    let run = agent.probe(&[
        "socketpair stream",
        "socketpair dgram",
        "socketpair seqpacket",
    ]);
    for answer in &run.answers {
        assert_eq!(
            (answer.errno, answer.output.as_str()),
            (0, "from the probe")
        );
    }
    assert!(told(&run).is_empty());
}

/// A session serves at this name; says whether it, a child of it and another session of the same agent are
/// denied to reach it, how often it was reached, and the records of both sessions.
fn served(policy: &Policy, kind: &str, name: &str) -> ([bool; 3], String, [Vec<String>; 2]) {
    let agent = policy.apply();
    let (mut own, mut other) = (agent.live(), agent.live());
    assert_eq!(own.ask(&format!("unix-serve s {kind} {name}")).errno, 0);
    let reach = match kind {
        "dgram" => format!("unix-sendto {name}"),
        _ => format!("unix {kind} {name}"),
    };
    let denied = [
        own.ask(&reach).denied(),
        own.ask(&format!("fork {reach}")).denied(),
        other.ask(&reach).denied(),
    ];
    let arrived = own.ask("unix-arrived s").output;
    let told = [own, other].map(|live| {
        let mut records = live.records();
        records.retain(|record| record.kind() == "unix");
        lines(&records)
    });
    (denied, arrived, told)
}

#[test]
fn a_session_reaches_the_sockets_that_it_bound_itself_and_no_other_session_does() {
    for kind in ["stream", "dgram", "seqpacket"] {
        for place in ["disk", "abstract"] {
            let [name, _] = names(place);
            let policy = Policy::new("own-socket");
            let (denied, arrived, told) = served(&policy, kind, &name);
            assert_eq!(denied, [false, false, true], "{kind} {place}");
            assert_eq!(arrived, "2", "{kind} {place}");
            let [own, other] = told;
            let allowed = format!("unix {name} allow same-session");
            assert_eq!(own, [allowed.as_str(); 2]);
            assert_eq!(other, [format!("unix {name} deny not-listed")]);
        }
    }
}

#[test]
fn a_rule_that_denies_holds_for_the_sessions_own_sockets_too() {
    let [name, _] = names("abstract");
    let policy = Policy::new("own-denied").deny_unix("never", &[&name]);
    let (denied, arrived, [own, _]) = served(&policy, "stream", &name);
    assert_eq!((denied, arrived.as_str()), ([true; 3], "0"));
    let refused = format!("unix {name} deny rule-denies never");
    assert_eq!(own, [refused.as_str(); 2]);
}

#[test]
fn a_socket_that_was_bound_outside_does_not_become_the_sessions_own() {
    let [theirs, mine] = names("disk");
    let server = UnixServer::at(&theirs);
    let agent = Policy::new("bound-outside").apply();
    let mut live = Live::inheriting(&agent.name, server.listener());
    let adopted = live.ask(&format!("adopt s {}", server.listener().as_raw_fd()));
    assert_eq!(adopted.errno, 0);
    assert_ne!(live.ask(&format!("unix-bind s {mine}")).errno, 0);
    assert!(live.ask(&format!("unix stream {theirs}")).denied());
    assert_eq!(server.arrived(), 0);
}

/// Whether a session that inherits a connection to this server is denied to send and to write on it, and
/// what the server was told.
fn speak_inherited(agent: &Agent, server: &UnixServer) -> ([bool; 2], Vec<u8>) {
    let outside = UnixStream::connect_addr(&server.listener().local_addr().unwrap()).unwrap();
    let (mut arrived, _) = server.listener().accept().unwrap();
    let mut live = Live::inheriting(&agent.name, &outside);
    assert_eq!(
        live.ask(&format!("adopt s {}", outside.as_raw_fd())).errno,
        0
    );
    let denied = ["send s", "write s"].map(|way| live.ask(way).denied());
    // Binding it makes it the session's own at this end, and not at the other.
    let bound = live.ask(&format!("unix-bind s @{}", unique("bound")));
    assert_eq!(bound.errno, 0, "{bound:?}");
    assert_eq!(live.ask("send s").denied(), denied[0]);
    live.end();
    drop(outside);
    let mut told = Vec::new();
    arrived.read_to_end(&mut told).unwrap();
    (denied, told)
}

#[test]
fn an_inherited_connection_is_written_to_only_where_the_policy_leads() {
    for kind in ["disk", "abstract"] {
        let [listed, other] = names(kind).map(|name| UnixServer::at(&name));
        let agent = Policy::new("inherited")
            .unix("bus", &[&listed.name])
            .apply();
        let (denied, told) = speak_inherited(&agent, &listed);
        assert_eq!(denied, [false, false], "{kind}");
        assert!(!told.is_empty(), "{kind}");
        let (denied, told) = speak_inherited(&agent, &other);
        assert_eq!(denied, [true, true], "{kind}");
        assert_eq!(told, b"", "{kind}");
    }
}

#[test]
fn a_connection_is_held_to_the_policy_in_force_and_not_to_that_which_it_was_made_under() {
    let [listed, _] = names("abstract").map(|name| UnixServer::at(&name));
    let policy = Policy::new("revoked").unix("bus", &[&listed.name]);
    let mut live = policy.apply().live();
    assert_eq!(live.ask(&format!("unix-keep s {}", listed.name)).errno, 0);
    let bound = live.ask(&format!("unix-bind s @{}", unique("bound")));
    assert_eq!(bound.errno, 0, "{bound:?}");
    assert_eq!(live.ask("send s").errno, 0);
    let (mut arrived, _) = listed.listener().accept().unwrap();
    let _without = policy.replaced_by(Policy::new("revoked")).apply();
    assert!(live.ask("send s").denied());
    live.end();
    let mut told = Vec::new();
    arrived.read_to_end(&mut told).unwrap();
    assert_eq!(told, b"from the probe");
}

#[test]
fn a_session_answers_whoever_came_to_it() {
    let [name, _] = names("disk");
    let agent = Policy::new("answers").apply();
    let mut live = agent.live();
    assert_eq!(live.ask(&format!("unix-serve s stream {name}")).errno, 0);
    // From outside, and with a name of its own, which no rule lists.
    let caller = std::process::Command::new("/usr/bin/python3")
        .args(["-c", ASK, &name])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python starts");
    enforcer_tests::wait::eventually("the answer", || live.ask("unix-answer s").errno == 0);
    let heard = caller.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&heard).trim(), "from the probe");
}

/// Connects from a name of its own and prints what it is told.
const ASK: &str = "
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1] + '.caller')
s.connect(sys.argv[1])
print(s.recv(99).decode())
";

#[test]
fn in_monitor_mode_everything_arrives_and_the_record_says_what_would_be_denied() {
    let [stream, other] = names("abstract");
    let (stream, datagram) = (UnixServer::at(&stream), UnixDatagramServer::at(&other));
    let agent = Policy::new("unix-monitor").monitor().apply();
    let run = agent.probe(&[
        format!("unix stream {}", stream.name),
        format!("unix-sendto {}", datagram.name),
    ]);
    assert!(run.answers.iter().all(|answer| answer.errno == 0));
    assert_eq!((stream.arrived(), datagram.arrived()), (1, 1));
    let expected =
        [&stream.name, &datagram.name].map(|name| format!("unix {name} would-deny not-listed"));
    assert_eq!(told(&run), expected);
}

#[test]
fn a_session_does_not_reach_the_control_socket() {
    let agent = Policy::new("control").apply();
    let run = agent.probe(&[
        format!("unix stream {CONTROL}"),
        format!("http {CONTROL} GET /v1/status"),
    ]);
    assert!(
        run.answers.iter().all(|answer| answer.denied()),
        "{:?}",
        run.answers
    );
    let records = run.records();
    let mut about = records.iter().filter(|record| record.target() == CONTROL);
    assert!(about.clone().count() == 2 && about.all(|record| record.verdict() == "deny"));
    let outside = Run::outside(&[format!("http {CONTROL} GET /v1/status")]);
    assert!(outside.answers[0].output.starts_with("HTTP/1.1 200"));
}

#[test]
fn no_policy_can_allow_the_control_socket() {
    let output = Policy::new("control-listed")
        .unix("control", &[CONTROL])
        .try_apply();
    assert_eq!(output.status.code(), Some(3), "{}", cli::told(&output));
}

#[test]
fn a_session_in_monitor_mode_is_refused_everything_on_the_control_socket() {
    let agent = Policy::new("control-monitor").monitor().apply();
    let requests = [
        "GET /v1/status",
        "GET /v1/sessions",
        "POST /v1/sessions",
        "GET /v1/policy",
        "POST /v1/policy/apply",
        "GET /v1/log",
        "GET /no-such-path",
    ];
    let run = agent.probe(&requests.map(|request| format!("http {CONTROL} {request}")));
    for answer in &run.answers {
        let refused = answer.denied() || answer.output.starts_with("HTTP/1.1 403");
        assert!(refused, "{}: {}", answer.attempt, answer.output);
    }
    // Through a child without the label's own process id too.
    let run = agent.probe(&[format!("orphan http {CONTROL} GET /v1/status")]);
    let answer = &run.answers[0];
    assert!(
        answer.denied() || answer.output.starts_with("HTTP/1.1 403"),
        "{answer:?}"
    );
}

#[test]
fn every_line_that_the_log_holds_by_now_is_a_valid_record() {
    record::assert_ocsf();
}
