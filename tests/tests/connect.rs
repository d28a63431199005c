//! Which internet destinations are reached: by the address that a socket leads to, however it is spelled
//! and by whichever call.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use enforcer_tests::{
    Agent, Live, Policy, Run, TcpServer, UdpServer, place,
    record::lines,
    server::{LOOPBACK, LOOPBACK6},
};
use nix::libc::{EDESTADDRREQ, ENETUNREACH};

/// Ways to send a datagram to an address. The address stands at the end.
const DATAGRAMS: [&str; 4] = ["sendto", "sendmsg", "sendmmsg", "connect-send udp"];

/// What a run's records say beside its start, its end, and the exec of the probe.
fn told(run: &Run) -> Vec<String> {
    let records = run.records();
    let of_internet = ["connect", "send", "send-connected", "socket"];
    let mut decisions = records.clone();
    decisions.retain(|record| of_internet.contains(&record.kind()));
    lines(&decisions)
}

fn all_allowed(run: &Run) {
    assert!(
        run.answers.iter().all(|a| a.errno == 0),
        "{:?}",
        run.answers
    );
}

fn all_denied(run: &Run) {
    assert!(run.answers.iter().all(|a| a.denied()), "{:?}", run.answers);
}

#[test]
fn tcp_reaches_the_listed_address_and_no_other() {
    for ip in [LOOPBACK, LOOPBACK6] {
        let (listed, other) = (TcpServer::on(ip), TcpServer::on(ip));
        let (to, elsewhere) = (listed.destination(), other.destination());
        let agent = Policy::new("tcp").connect("api", &[&to]).apply();
        let run = agent.probe(&[
            format!("connect tcp {}", listed.address),
            format!("connect tcp {}", other.address),
            format!("connect udp {}", listed.address),
        ]);
        let denied: Vec<_> = run.answers.iter().map(|a| a.denied()).collect();
        assert_eq!(denied, [false, true, true], "{:?}", run.answers);
        assert_eq!((listed.arrived(), other.arrived()), (1, 0));
        let udp = to.replace("tcp", "udp");
        assert_eq!(
            told(&run),
            [
                format!("connect {to} allow rule-allows api"),
                format!("connect {elsewhere} deny not-listed"),
                format!("connect {udp} deny not-listed"),
            ]
        );
    }
}

#[test]
fn datagrams_reach_the_listed_address_and_no_other_by_any_call() {
    for ip in [LOOPBACK, LOOPBACK6] {
        let (listed, other) = (UdpServer::on(ip), UdpServer::on(ip));
        let (to, elsewhere) = (listed.destination(), other.destination());
        let agent = Policy::new("udp").connect("dns", &[&to]).apply();
        let run = agent.probe(&DATAGRAMS.map(|how| format!("{how} {}", other.address)));
        all_denied(&run);
        assert_eq!(other.arrived(), 0);
        let kinds = ["send", "send", "send", "connect"];
        let expected = kinds.map(|kind| format!("{kind} {elsewhere} deny not-listed"));
        assert_eq!(told(&run), expected);
        let run = agent.probe(&DATAGRAMS.map(|how| format!("{how} {}", listed.address)));
        all_allowed(&run);
        assert_eq!(listed.arrived(), 4);
        let expected = kinds.map(|kind| format!("{kind} {to} allow rule-allows dns"));
        assert_eq!(told(&run), expected);
    }
}

#[test]
fn in_monitor_mode_everything_arrives_and_the_record_says_what_would_be_denied() {
    for ip in [LOOPBACK, LOOPBACK6] {
        let (tcp, udp) = (TcpServer::on(ip), UdpServer::on(ip));
        let agent = Policy::new("monitor").monitor().apply();
        let run = agent.probe(&[
            format!("connect tcp {}", tcp.address),
            format!("fastopen {}", tcp.address),
            format!("sendto {}", udp.address),
        ]);
        all_allowed(&run);
        assert_eq!((tcp.arrived(), udp.arrived()), (2, 1));
        assert_eq!(
            told(&run),
            [
                format!("connect {} would-deny not-listed", tcp.destination()),
                format!("send {} would-deny not-listed", tcp.destination()),
                format!("send {} would-deny not-listed", udp.destination()),
            ]
        );
    }
}

#[test]
fn monitor_mode_whose_end_has_passed_enforces() {
    let server = TcpServer::on(LOOPBACK);
    let policy = Policy::new("past");
    let attempt = [format!("connect tcp {}", server.address)];
    let run = policy
        .clone()
        .monitor_until("2001-01-01")
        .apply()
        .probe(&attempt);
    all_denied(&run);
    assert_eq!(server.arrived(), 0);
    let denied = format!("connect {} deny not-listed", server.destination());
    assert_eq!(told(&run), [denied]);
    all_allowed(&policy.monitor().apply().probe(&attempt));
    assert_eq!(server.arrived(), 1);
}

/// Servers on five ports in a row.
fn five_in_a_row() -> Vec<TcpServer> {
    for first in (20_000..60_000).step_by(5) {
        let ports = first..first + 5;
        let servers: Vec<_> = ports
            .map_while(|port| TcpServer::at(SocketAddr::new(LOOPBACK, port)))
            .collect();
        if servers.len() == 5 {
            return servers;
        }
    }
    panic!("no five free ports");
}

#[test]
fn a_port_range_holds_both_its_ends_and_nothing_beyond() {
    let servers = five_in_a_row();
    let ports: Vec<u16> = servers.iter().map(|s| s.address.port()).collect();
    let range = format!("tcp:127.0.0.1:{}-{}", ports[1], ports[3]);
    let agent = Policy::new("range").connect("range", &[&range]).apply();
    let attempts: Vec<_> = servers
        .iter()
        .map(|server| format!("connect tcp {}", server.address))
        .collect();
    let run = agent.probe(&attempts);
    let denied: Vec<_> = run.answers.iter().map(|a| a.denied()).collect();
    assert_eq!(denied, [true, false, false, false, true]);
    let arrived: Vec<_> = servers.iter().map(TcpServer::arrived).collect();
    assert_eq!(arrived, [0, 1, 1, 1, 0]);
}

#[test]
fn a_prefix_holds_its_first_and_last_address_and_nothing_beyond() {
    let addresses = [3, 4, 7, 8].map(|last| Ipv4Addr::new(127, 0, 7, last));
    let servers = addresses.map(|ip| TcpServer::on(IpAddr::V4(ip)));
    let agent = Policy::new("prefix")
        .connect("prefix", &["tcp:127.0.7.4/30:*"])
        .apply();
    let attempts = servers
        .each_ref()
        .map(|server| format!("connect tcp {}", server.address));
    let run = agent.probe(&attempts);
    let denied: Vec<_> = run.answers.iter().map(|a| a.denied()).collect();
    assert_eq!(denied, [true, false, false, true]);
    assert_eq!(servers.map(|server| server.arrived()), [0, 1, 1, 0]);
}

#[test]
fn a_deny_rule_wins_over_a_broader_allowance() {
    let (open, closed) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
    let agent = Policy::new("deny-wins")
        .connect("loopback", &["tcp:127.0.0.0/8:*"])
        .deny_connect("not-there", &[&closed.destination()])
        .apply();
    let run = agent.probe(&[
        format!("connect tcp {}", open.address),
        format!("connect tcp {}", closed.address),
    ]);
    let denied: Vec<_> = run.answers.iter().map(|a| a.denied()).collect();
    assert_eq!(denied, [false, true]);
    assert_eq!((open.arrived(), closed.arrived()), (1, 0));
    assert_eq!(
        told(&run),
        [
            format!("connect {} allow rule-allows loopback", open.destination()),
            format!(
                "connect {} deny rule-denies not-there",
                closed.destination()
            ),
        ]
    );
}

/// How the same two servers, one listed, are called by another spelling of their address.
fn spelled(ip: IpAddr, host: &str, own: Option<&str>) {
    let (listed, other) = (TcpServer::on(ip), TcpServer::on(ip));
    let agent = Policy::new("spelled")
        .connect("api", &[&listed.destination()])
        .apply();
    let attempt = |server: &TcpServer| {
        let bound = own.map_or_else(String::new, |own| format!("bound {own}:0 "));
        format!("{bound}connect tcp {host}:{}", server.address.port())
    };
    let run = agent.probe(&[attempt(&listed), attempt(&other)]);
    let denied: Vec<_> = run.answers.iter().map(|a| a.denied()).collect();
    assert_eq!(denied, [false, true], "{:?}", run.answers);
    assert_eq!((listed.arrived(), other.arrived()), (1, 0), "{host}");
    // The record names the host that is reached, not the spelling.
    assert_eq!(
        told(&run),
        [
            format!("connect {} allow rule-allows api", listed.destination()),
            format!("connect {} deny not-listed", other.destination()),
        ]
    );
}

#[test]
fn an_ipv4_mapped_address_is_the_ipv4_address() {
    spelled(LOOPBACK, "[::ffff:127.0.0.1]", None);
}

#[test]
fn the_unspecified_address_is_the_loopback_that_it_leads_to() {
    spelled(LOOPBACK, "0.0.0.0", None);
    spelled(LOOPBACK6, "[::]", None);
    spelled(LOOPBACK, "[::ffff:0.0.0.0]", None);
}

#[test]
fn the_unspecified_address_on_a_bound_socket_is_what_it_leads_to_there() {
    let second = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    spelled(second, "0.0.0.0", Some("127.0.0.2"));
    spelled(LOOPBACK, "[::]", Some("[::ffff:127.0.0.1]"));
}

#[test]
fn the_unspecified_address_does_not_pass_for_a_listed_one_that_it_does_not_lead_to() {
    let second = TcpServer::on(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
    let port = second.address.port();
    let agent = Policy::new("unspecified")
        .connect("first", &[&format!("tcp:127.0.0.1:{port}")])
        .apply();
    all_denied(&agent.probe(&[format!("bound 127.0.0.2:0 connect tcp 0.0.0.0:{port}")]));
    assert_eq!(second.arrived(), 0);
}

#[test]
fn a_translated_spelling_does_not_pass_a_rule_about_the_ipv4_host() {
    let agent = Policy::new("translated")
        .connect("anything", &["tcp:*:*", "udp:*:*"])
        .deny_connect("not-there", &["tcp:10.9.8.7:*", "udp:10.9.8.7:*"])
        .apply();
    let attempts =
        |host: &str| ["connect tcp", "connect udp", "sendto"].map(|how| format!("{how} {host}:80"));
    // Whoever translates decides where such a packet goes: no rule is about it.
    for host in [
        "[64:ff9b::a09:807]",
        "[64:ff9b::a09:808]",
        "[2002:a09:807::1]",
    ] {
        let run = agent.probe(&attempts(host));
        all_denied(&run);
        for (line, kind) in told(&run).iter().zip(["connect", "connect", "send"]) {
            assert!(line.starts_with(kind), "{line}");
            assert!(line.ends_with("deny address-not-judgeable"), "{line}");
        }
    }
    let run = agent.probe(&attempts("[::ffff:10.9.8.7]"));
    all_denied(&run);
    assert_eq!(
        told(&run),
        [
            "connect tcp:10.9.8.7:80 deny rule-denies not-there",
            "connect udp:10.9.8.7:80 deny rule-denies not-there",
            "send udp:10.9.8.7:80 deny rule-denies not-there",
        ]
    );
    // The twins: neighbours that no rule denies get as far as the route that is not there.
    let neighbours = [
        "[64:ff9c::a09:807]",
        "[2003:a09:807::1]",
        "[::ffff:10.9.8.8]",
    ];
    let run = agent.probe(&neighbours.map(|host| format!("connect tcp {host}:80")));
    let errnos: Vec<_> = run.answers.iter().map(|a| a.errno).collect();
    assert_eq!(errnos, [ENETUNREACH; 3], "{:?}", run.answers);
}

/// How two UDP servers, one listed, are reached by an unusual call.
fn datagram_by(how: &str) {
    let (listed, other) = (UdpServer::on(LOOPBACK), UdpServer::on(LOOPBACK));
    let agent = Policy::new("unusual")
        .connect("dns", &[&listed.destination()])
        .apply();
    let run = agent.probe(&[
        format!("{how} {}", listed.address),
        format!("{how} {}", other.address),
    ]);
    let denied: Vec<_> = run.answers.iter().map(|a| a.denied()).collect();
    assert_eq!(denied, [false, true], "{:?}", run.answers);
    assert_eq!(other.arrived(), 0);
    let kind = if how.starts_with("connect") {
        "connect"
    } else {
        assert_eq!(listed.arrived(), 1);
        "send"
    };
    assert_eq!(
        told(&run),
        [
            format!("{kind} {} allow rule-allows dns", listed.destination()),
            format!("{kind} {} deny not-listed", other.destination()),
        ]
    );
}

#[test]
fn an_address_without_family_is_judged_as_the_one_it_is_taken_for() {
    datagram_by("unspec-sendto");
}

#[test]
fn an_ipv4_address_on_an_ipv6_socket_is_judged() {
    datagram_by("sendto6");
    datagram_by("connect6 udp");
}

#[test]
fn tcp_fast_open_reaches_the_listed_address_and_no_other() {
    for (how, kind) in [("fastopen", "send"), ("fastopen-connect", "connect")] {
        for ip in [LOOPBACK, LOOPBACK6] {
            let (listed, other) = (TcpServer::on(ip), TcpServer::on(ip));
            let agent = Policy::new("fastopen")
                .connect("api", &[&listed.destination()])
                .apply();
            let run = agent.probe(&[
                format!("{how} {}", listed.address),
                format!("{how} {}", other.address),
            ]);
            let denied: Vec<_> = run.answers.iter().map(|a| a.denied()).collect();
            assert_eq!(denied, [false, true], "{how}: {:?}", run.answers);
            assert_eq!((listed.arrived(), other.arrived()), (1, 0));
            assert_eq!(
                told(&run),
                [
                    format!("{kind} {} allow rule-allows api", listed.destination()),
                    format!("{kind} {} deny not-listed", other.destination()),
                ]
            );
        }
    }
}

#[test]
fn what_was_connected_sends_nothing_once_the_policy_no_longer_lists_it() {
    let (tcp, udp) = (TcpServer::on(LOOPBACK), UdpServer::on(LOOPBACK6));
    let policy = Policy::new("withdrawn");
    let objects = [tcp.destination(), udp.destination()];
    let listing = policy.clone().connect("both", &[&objects[0], &objects[1]]);
    let mut live = listing.apply().live();
    let ways = ["send t", "write t", "send u", "write u"];
    live.ask(&format!("keep t tcp {}", tcp.address));
    live.ask(&format!("keep u udp {}", udp.address));
    for way in ways {
        assert_eq!(live.ask(way).errno, 0, "{way}");
    }
    assert_eq!((tcp.arrived(), udp.arrived()), (1, 2));
    policy.apply();
    for way in ways {
        assert!(live.ask(way).denied(), "{way}");
    }
    assert_eq!(udp.arrived(), 0);
    listing.apply();
    assert_eq!(live.ask("send u").errno, 0);
    assert_eq!(udp.arrived(), 1);
    let mut records = live.records();
    records.retain(|record| record.kind() == "send-connected");
    let denied = objects.map(|object| format!("send-connected {object} deny not-listed"));
    let [tcp, udp] = &denied;
    assert_eq!(lines(&records), [tcp, tcp, udp, udp].map(String::as_str));
}

#[test]
fn a_connection_made_outside_the_session_sends_nothing_in_it() {
    let (listed, other) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
    let datagrams = UdpServer::on(LOOPBACK);
    let agent = Policy::new("inherited")
        .connect("api", &[&listed.destination()])
        .apply();
    let mine = TcpStream::connect(listed.address).unwrap();
    let inherited = speak_inherited(&agent, &mine, mine_number(&mine));
    assert_eq!(inherited, [false, false]);
    assert_eq!(listed.received().concat(), b"from the probefrom the probe");
    let theirs = TcpStream::connect(other.address).unwrap();
    let inherited = speak_inherited(&agent, &theirs, mine_number(&theirs));
    assert_eq!(inherited, [true, true]);
    assert_eq!(other.received(), [b""]);
    let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket.connect(datagrams.address).unwrap();
    let inherited = speak_inherited(&agent, &socket, mine_number(&socket));
    assert_eq!(inherited, [true, true]);
    assert_eq!(datagrams.arrived(), 0);
}

fn mine_number(socket: &impl std::os::fd::AsRawFd) -> i32 {
    socket.as_raw_fd()
}

/// Whether a session that inherits this socket is denied to send and to write on it.
fn speak_inherited(agent: &Agent, socket: &impl std::os::fd::AsFd, number: i32) -> [bool; 2] {
    let mut live = Live::inheriting(&agent.name, socket);
    assert_eq!(live.ask(&format!("adopt s {number}")).errno, 0);
    let denied = ["send s", "write s"].map(|way| live.ask(way).denied());
    live.end();
    denied
}

#[test]
fn dissolving_an_association_is_allowed_and_reaches_nobody() {
    let server = UdpServer::on(LOOPBACK);
    let agent = Policy::new("dissolve")
        .connect("dns", &[&server.destination()])
        .apply();
    let run = agent.probe(&[
        &format!("keep u udp {}", server.address),
        "disconnect u",
        "send u",
    ]);
    let errnos: Vec<_> = run.answers.iter().map(|a| a.errno).collect();
    assert_eq!(errnos, [0, 0, EDESTADDRREQ]);
    assert_eq!(server.arrived(), 0);
    let allowed = format!("connect {} allow rule-allows dns", server.destination());
    assert_eq!(told(&run), [allowed]);
}

#[test]
fn a_rule_by_a_binary_holds_for_that_binary_only() {
    let directory = place::directory("by");
    let probe = enforcer_tests::cli::probe();
    let [one, two] = ["one", "two"].map(|name| place::copy(&probe, directory.join(name)));
    let (one, two) = (place::text(&one), place::text(&two));
    let server = TcpServer::on(LOOPBACK);
    let agent = Policy::new("by")
        .exec("both", &[one, two])
        .connect_by("api", &[&server.destination()], &[one])
        .apply();
    let attempt = format!("connect tcp {}", server.address);
    let run = agent.run(&[two, &attempt]);
    all_denied(&run);
    assert_eq!(server.arrived(), 0);
    let denied = format!("connect {} deny not-for-this-binary", server.destination());
    assert_eq!(told(&run), [denied]);
    let run = agent.run(&[one, &attempt]);
    all_allowed(&run);
    assert_eq!(server.arrived(), 1);
    let allowed = format!("connect {} allow rule-allows api", server.destination());
    assert_eq!(told(&run), [allowed]);
    // A child is what it runs, not what its parent runs; a fork is still what its parent runs.
    let run = agent.run(&[
        one,
        &format!("fork {attempt}"),
        &format!("exec {two} {attempt}"),
    ]);
    assert_eq!(run.answers[0].errno, 0);
    assert_eq!(server.arrived(), 1);
}

#[test]
fn a_denial_by_a_binary_holds_for_that_binary_only() {
    let directory = place::directory("deny-by");
    let probe = enforcer_tests::cli::probe();
    let [one, two] = ["one", "two"].map(|name| place::copy(&probe, directory.join(name)));
    let (one, two) = (place::text(&one), place::text(&two));
    let server = TcpServer::on(LOOPBACK);
    let agent = Policy::new("deny-by")
        .exec("both", &[one, two])
        .connect("api", &[&server.destination()])
        .deny_connect("not-one", &[&server.destination()])
        .rules(&format!("by = [\"{one}\"]"))
        .apply();
    let attempt = format!("connect tcp {}", server.address);
    let run = agent.run(&[one, &attempt]);
    all_denied(&run);
    let denied = format!("connect {} deny rule-denies not-one", server.destination());
    assert_eq!(told(&run), [denied]);
    all_allowed(&agent.run(&[two, &attempt]));
    assert_eq!(server.arrived(), 1);
}

/// A script whose interpreter is the probe, which takes the script's further arguments for attempts.
fn scripted(label: &str) -> (String, String, String) {
    let directory = place::directory(label);
    let interpreter = place::copy(enforcer_tests::cli::probe(), directory.join("interpreter"));
    let interpreter = place::text(&interpreter).to_owned();
    let text = format!("#!{interpreter}\n");
    let [script, other] = ["script", "other"].map(|name| {
        let script = place::script(directory.join(name), &text);
        place::text(&script).to_owned()
    });
    (interpreter, script, other)
}

#[test]
fn a_rule_by_a_script_holds_for_that_script_and_one_by_its_interpreter_for_both() {
    let (interpreter, script, other) = scripted("by-script");
    let (for_script, for_both) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
    let agent = Policy::new("by-script")
        .exec("files", &[&interpreter, &script, &other])
        .connect_by("script-only", &[&for_script.destination()], &[&script])
        .connect_by("interpreter", &[&for_both.destination()], &[&interpreter])
        .apply();
    let attempts = [&for_script, &for_both].map(|server| format!("connect tcp {}", server.address));
    let denied = |run: &Run| -> Vec<bool> {
        let answers = run
            .answers
            .iter()
            .filter(|a| a.attempt.starts_with("connect"));
        answers.map(|a| a.denied()).collect()
    };
    let run = agent.run(&[&script, &attempts[0], &attempts[1]]);
    assert_eq!(denied(&run), [false, false], "{:?}", run.answers);
    for command in [&other, &interpreter] {
        let run = agent.run(&[command, &attempts[0], &attempts[1]]);
        assert_eq!(denied(&run), [true, false], "{command}: {:?}", run.answers);
    }
    assert_eq!((for_script.arrived(), for_both.arrived()), (1, 3));
}

#[test]
fn a_running_script_is_still_that_script_after_the_policy_is_applied_again() {
    let (interpreter, script, _) = scripted("script-swap");
    let (open, closed) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
    let policy = Policy::new("script-swap")
        .exec("files", &[&interpreter, &script])
        .connect("anywhere", &[&closed.destination()])
        .connect_by("script-only", &[&open.destination()], &[&script])
        .deny_connect("not-the-script", &[&closed.destination()])
        .rules(&format!("by = [\"{script}\"]"));
    let agent = policy.apply();
    // The interpreter reads further attempts from its standard input.
    let mut live = Live::of_program(&agent.name, &script);
    let attempts = [&open, &closed].map(|server| format!("connect tcp {}", server.address));
    let mut denied = || {
        attempts
            .each_ref()
            .map(|attempt| live.ask(attempt).denied())
    };
    assert_eq!(denied(), [false, true]);
    policy.connect("another", &["tcp:192.0.2.1:1"]).apply();
    assert_eq!(denied(), [false, true], "after the swap");
    assert_eq!((open.arrived(), closed.arrived()), (2, 0));
}
