//! Ways round the allowlists that have no hook family of their own: other processes, mounts, the
//! kernel itself, what leads packets elsewhere, sockets that came from somewhere else.
//!
//! The attacks are those of [`enforcer_tests::attack`].
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    process::{Child, Stdio},
};

use enforcer_tests::{
    Policy, Record, TcpServer, UdpServer,
    attack::{PYTHON, answers, bystander, denied_inside_only, inside, outside, policy, script},
    cli::unique,
    record::lines,
    session::start,
};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc::EPERM,
};

/// A session that does its part, says "ready" and stays until its input ends.
struct Held {
    child: Child,
    said: String,
}

impl Held {
    fn start(policy: &Policy, attack: &str) -> Self {
        let agent = policy.apply();
        let mut child = start(&agent.name, &unique("task"))
            .args([PYTHON, "-c", &script(attack)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        while !said.ends_with("ready\n") {
            let read = lines.read_line(&mut said).expect("its output");
            assert!(read > 0, "it ended after {said}");
        }
        Self { child, said }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("its end");
    }
}

#[test]
fn i05_i10_a_process_outside_is_not_read_written_traced_or_signalled_and_an_own_child_is() {
    let mut victim = bystander();
    let attack = format!(
        r#"
pid = {}
t("environ", lambda: open(f"/proc/{{pid}}/environ").read())
t("memory", lambda: open(f"/proc/{{pid}}/mem", "rb"))
t("descriptors", lambda: os.listdir(f"/proc/{{pid}}/fd") and os.readlink(f"/proc/{{pid}}/fd/1"))
buffer = ctypes.create_string_buffer(8)
class Iov(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
local = Iov(ctypes.addressof(buffer), 8)
start = int(open("/proc/self/maps").readline().split("-")[0], 16)
t("trace", lambda: (sys_(101, 16, pid, 0, 0), os.waitpid(pid, 0x40000000), sys_(101, 17, pid, 0, 0)))
fd = os.pidfd_open(pid)
t("descriptor", lambda: sys_(438, fd, 0, 0))
t("signal", lambda: os.kill(pid, signal.SIGCONT))
t("pidfd signal", lambda: signal.pidfd_send_signal(fd, signal.SIGCONT))
"#,
        victim.id()
    );
    let records = denied_inside_only("processes", &attack);
    let kinds: Vec<_> = records.iter().map(Record::kind).collect();
    for kind in ["trace", "signal"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert!(
        records
            .iter()
            .all(|record| record.reason() == "target-outside-session"),
        "{:?}",
        lines(&records)
    );
    assert!(
        victim.try_wait().expect("its state").is_none(),
        "the process outside lives"
    );

    let (own, records) = inside(
        &policy("own-processes"),
        r#"
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(r, 1); os._exit(0)
t("trace", lambda: (sys_(101, 16, pid, 0, 0), os.waitpid(pid, 0x40000000), sys_(101, 17, pid, 0, 0)))
t("environ", lambda: open(f"/proc/{pid}/environ").read())
t("signal", lambda: os.kill(pid, signal.SIGKILL))
"#,
    );
    assert!(own.values().all(|errno| *errno == 0), "{own:?}");
    assert!(records.is_empty(), "{:?}", lines(&records));
    victim.kill().expect("ended");
    victim.wait().expect("reaped");
}

#[test]
fn i10_asking_whether_a_process_exists_is_no_signal() {
    let (found, records) = inside(&policy("exists"), r#"t("exists", lambda: os.kill(1, 0))"#);
    assert_eq!(found["exists"], 0);
    assert!(records.is_empty());
}

#[test]
fn x08_mounts_and_user_namespaces_stay_as_they_are() {
    let records = denied_inside_only(
        "mounts",
        r#"
os.makedirs("/tmp/mediation", exist_ok=True)
M = lambda *a: libc("mount", *a)
def made(*a):
    M(*a); libc("umount2", b"/tmp/mediation", 2)
t("tmpfs", lambda: made(b"x", b"/tmp/mediation", b"tmpfs", 0, None))
t("bind", lambda: made(b"/etc", b"/tmp/mediation", None, 4096, None))
t("move", lambda: (lambda fd: (sys_(429, fd, b"", -100, b"/tmp/mediation", 4), libc("umount2", b"/tmp/mediation", 2)))(sys_(428, -100, b"/etc", 1)))
def userns():
    pid = os.fork()
    if pid == 0:
        try: libc("unshare", 0x10000000)
        except OSError as e: os._exit(e.errno)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status: raise OSError(status, "")
t("user namespace", userns)
"#,
    );
    let kinds: Vec<_> = records.iter().map(Record::kind).collect();
    assert!(
        kinds.contains(&"capability") && kinds.contains(&"user-namespace"),
        "{kinds:?}"
    );
    let mounts = std::fs::read_to_string("/proc/mounts").expect("mounts");
    assert!(!mounts.contains("/tmp/mediation"), "{mounts}");
}

#[test]
fn g02_x13_nothing_gets_into_the_kernel_and_no_map_is_opened_by_id() {
    // Where the host lets everybody measure their own programs, the hook alone stands before it.
    const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";
    let before = std::fs::read_to_string(PARANOID).expect("the host's choice");
    std::fs::write(PARANOID, "1").expect("another choice");
    let records = denied_inside_only(
        "kernel",
        r#"
attr = ctypes.create_string_buffer(128)
def next_map(): struct.pack_into("I", attr, 0, 0); sys_(321, 12, attr, 128)
def by_id():
    next_map(); struct.pack_into("II", attr, 0, struct.unpack_from("I", attr, 4)[0], 0); os.close(sys_(321, 14, attr, 128))
t("next map", next_map)
t("map by id", by_id)
perf = ctypes.create_string_buffer(128)
struct.pack_into("IIQ", perf, 0, 1, 128, 0)
struct.pack_into("Q", perf, 40, 0x60)
t("perf", lambda: os.close(sys_(298, perf, 0, -1, -1, 0)))
"#,
    );
    let kinds: Vec<_> = records.iter().map(Record::kind).collect();
    assert!(
        kinds.contains(&"bpf") && kinds.contains(&"perf-event"),
        "{kinds:?}"
    );

    std::fs::write(PARANOID, before).expect("the host's choice");

    // A module cannot be loaded twice nor rightly made up: outside it fails otherwise.
    let attack = r#"t("module", lambda: sys_(175, bytes(4096), 4096, b""))"#;
    assert_ne!(outside(attack)["module"], EPERM);
    assert_eq!(inside(&policy("module"), attack).0["module"], EPERM);
}

#[test]
fn g03_the_pins_stay_where_they_are_in_monitor_mode_too() {
    const PINS: &str = "/sys/fs/bpf/enforcer";
    let attack = r#"
t("link", lambda: os.unlink("/sys/fs/bpf/enforcer/links/bprm_check_security"))
t("map", lambda: os.unlink("/sys/fs/bpf/enforcer/maps/LABELS"))
t("folder", lambda: os.rename("/sys/fs/bpf/enforcer/links", "/sys/fs/bpf/enforcer/gone"))
t("aside", lambda: os.rename("/sys/fs/bpf/enforcer/maps/LABELS", "/sys/fs/bpf/enforcer/maps/gone"))
os.makedirs("/tmp/mediation-own/folder", exist_ok=True)
open("/tmp/mediation-own/file", "w").close()
t("own", lambda: (os.rename("/tmp/mediation-own/file", "/tmp/mediation-own/other"), os.unlink("/tmp/mediation-own/other"), os.rmdir("/tmp/mediation-own/folder")))
"#;
    let pins = || {
        let names = |folder: &str| {
            let entries = std::fs::read_dir(format!("{PINS}/{folder}")).expect("pins");
            entries
                .map(|entry| entry.expect("a pin").file_name())
                .collect::<BTreeSet<_>>()
        };
        (names("links"), names("maps"))
    };
    let before = pins();
    for rules in [policy("pins"), policy("pins-monitor").monitor()] {
        let (mut found, mut records) = inside(&rules, attack);
        assert_eq!(found.remove("own"), Some(0));
        assert!(
            found.len() == 4 && found.values().all(|errno| *errno == EPERM),
            "{found:?}"
        );
        records.retain(|record| record.kind() == "guard");
        assert_eq!(records.len(), 4);
        assert!(
            records
                .iter()
                .all(|record| (record.verdict(), record.reason()) == ("deny", "enforcer-guard"))
        );
    }
    assert_eq!(pins(), before);
}

#[test]
fn n19_g07_capabilities_that_change_what_a_rule_means_are_withheld() {
    let before = std::time::SystemTime::now();
    let records = denied_inside_only(
        "capabilities",
        r#"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t("mark", lambda: s.setsockopt(socket.SOL_SOCKET, 36, 7))
t("clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
t("ports", lambda: libc("iopl", 3) or libc("iopl", 0))
"#,
    );
    assert!(
        records.iter().all(|record| record.kind() == "capability"),
        "{:?}",
        lines(&records)
    );
    assert!(before.elapsed().is_ok(), "the clock went back");
}

/// A source route: loose, by way of 127.0.0.1, to where the header says.
const ROUTE: &str = "bytes([131, 7, 4, 127, 0, 0, 1, 1])";

#[test]
fn n20_packets_are_led_nowhere_by_options_of_the_socket() {
    let attack = format!(
        r#"
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t("IP_OPTIONS", lambda: u.setsockopt(0, 4, {ROUTE}))
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
t("IP_OPTIONS of a stream", lambda: s.setsockopt(0, 4, {ROUTE}))
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.connect(("::ffff:127.0.0.1", {{port}}))
t("IPV6_ADDRFORM", lambda: six.setsockopt(41, 1, struct.pack("i", socket.AF_INET)))
r = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
t("TCP_REPAIR", lambda: (r.setsockopt(6, 19, 1), r.setsockopt(6, 19, 0)))
t("SO_BINDTODEVICE", lambda: r.setsockopt(1, 25, b"lo"))
t("IP_UNICAST_IF", lambda: u.setsockopt(0, 50, struct.pack("!i", 1)))
group = lambda number: socket.inet_aton("239.1.2.%d" % number) + socket.inet_aton("127.0.0.1")
t("IP_ADD_MEMBERSHIP", lambda: u.setsockopt(0, 35, group(3)))
more = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
t("IPV6_JOIN_GROUP", lambda: more.setsockopt(41, 20, socket.inet_pton(socket.AF_INET6, "ff01::1234") + struct.pack("i", 1)))
"#
    );
    let server = UdpServer::on(Ipv4Addr::LOCALHOST.into());
    let port = server
        .destination()
        .rsplit_once(':')
        .expect("a port")
        .1
        .to_owned();
    let attack = attack.replace("{port}", &port);
    let twin = outside(&attack);
    assert!(twin.values().all(|errno| *errno == 0), "{twin:?}");
    let allowed = policy("options").connect("server", &[&server.destination()]);
    let (found, records) = inside(&allowed, &attack);
    assert!(
        found.len() == 8 && found.values().all(|errno| *errno == EPERM),
        "{found:?}"
    );
    assert_eq!(
        records
            .iter()
            .filter(|record| record.kind() == "socket-option")
            .count(),
        8
    );
}

#[test]
fn n20_packets_are_led_nowhere_by_control_data_and_harmless_control_data_passes() {
    let server = UdpServer::on(Ipv4Addr::LOCALHOST.into());
    let port = server
        .destination()
        .rsplit_once(':')
        .expect("a port")
        .1
        .to_owned();
    let attack = format!(
        r#"
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to = ("127.0.0.1", {port})
t("route", lambda: u.sendmsg([b"led"], [(0, 7, {ROUTE})], 0, to))
t("many", lambda: u.sendmsg([b"many"], [(0, 1, struct.pack("i", 0))] * 6, 0, to))
t("interface", lambda: u.sendmsg([b"led"], [(0, 8, struct.pack("i4s4s", 1, bytes(4), bytes(4)))], 0, to))
t("tos", lambda: u.sendmsg([b"plain"], [(0, 1, struct.pack("i", 16))], 0, to))
t("source", lambda: u.sendmsg([b"from"], [(0, 8, struct.pack("i4s4s", 0, socket.inet_aton("127.0.0.1"), bytes(4)))], 0, to))
"#
    );
    let allowed = policy("control").connect("server", &[&server.destination()]);
    let (found, _) = inside(&allowed, &attack);
    for (name, errno) in [
        ("route", EPERM),
        ("many", EPERM),
        ("interface", EPERM),
        ("tos", 0),
        ("source", 0),
    ] {
        assert_eq!(found[name], errno, "{name}");
    }
    assert_eq!(server.received(), [b"plain".to_vec(), b"from".to_vec()]);
    assert_eq!(outside(&attack)["interface"], 0);
}

#[test]
fn n06_addresses_that_somebody_translates_are_denied_whatever_rule_stands_behind_them() {
    let rule = [
        "tcp:127.0.0.1:*",
        "udp:127.0.0.1:*",
        "tcp:[::]/0:*",
        "udp:[::]/0:*",
    ];
    let attack = r#"
for host in ["2002:7f00:1::66", "64:ff9b::7f00:1", "2002::1", "64:ff9b::"]:
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    t(f"udp {host}", lambda: u.sendto(b"x", (host, 9)))
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.settimeout(1)
    t(f"tcp {host}", lambda: s.connect((host, 9)))
"#;
    let (found, records) = inside(&policy("translated").connect("all", &rule), attack);
    assert!(
        found.len() == 8 && found.values().all(|errno| *errno == EPERM),
        "{found:?}"
    );
    assert!(
        records
            .iter()
            .all(|record| record.reason() == "address-not-judgeable")
    );
}

#[test]
fn n11_nobody_reaches_an_agent_that_may_not_listen_and_one_that_may_answers() {
    // A port that was free a moment ago, so that the rule can name it.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let attack = format!(
        r#"
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", {port}))
t("listen", lambda: s.listen())
n = socket.socket()
t("listen on any port", lambda: n.listen())
w = socket.socket(); w.bind(("0.0.0.0", 0))
t("listen everywhere", lambda: w.listen())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t("udp", lambda: u.bind(("127.0.0.1", {port})))
v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t("udp, any port", lambda: v.bind(("127.0.0.1", 0)))
print("ready", flush=True); sys.stdin.read(1)
"#
    );
    let deaf = Held::start(&policy("deaf"), &attack);
    let found = answers(deaf.said.as_bytes());
    let denied = ["listen", "listen on any port", "listen everywhere", "udp"];
    for name in denied {
        assert_eq!(found[name], EPERM, "{name}");
    }
    assert_eq!(found["udp, any port"], 0);
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "somebody listens"
    );
    deaf.end();

    let listening = policy("listening").rule(
        "listen",
        "server",
        "allow",
        &[
            &format!("tcp:127.0.0.1:{port}"),
            &format!("udp:127.0.0.1:{port}"),
        ],
    );
    let answering = format!(
        r#"
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", {port})); s.listen()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", {port}))
print("ready", flush=True)
c, _ = s.accept(); c.sendall(b"answer"); c.close()
"#
    );
    let server = Held::start(&listening, &answering);
    let mut answer = Vec::new();
    let mut caller = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    caller.read_to_end(&mut answer).expect("an answer");
    assert_eq!(answer, b"answer");
    server.end();
}

#[test]
fn n12_a_socket_from_another_process_does_not_arrive() {
    let attack = r#"
a, b = socket.socketpair()
s = socket.socket()
socket.send_fds(a, [b"x", ], [s.fileno()])
def receive():
    data, fds, flags, _ = socket.recv_fds(b, 8, 4)
    if not fds: raise OSError(1, "")
t("socket", receive)
f = os.open("/dev/null", os.O_RDONLY)
socket.send_fds(a, [b"x"], [f])
def file():
    if not socket.recv_fds(b, 8, 4)[1]: raise OSError(1, "")
t("file", file)
"#;
    assert_eq!(outside(attack)["socket"], 0);
    let (found, records) = inside(&policy("received"), attack);
    assert_eq!((found["socket"], found["file"]), (EPERM, 0));
    assert_eq!(records[0].kind(), "receive");
}

#[test]
fn n13_splice_does_not_reach_the_peer_of_a_socket_from_outside() {
    let attack = |fd: i32| {
        format!(
            r#"
s = socket.socket(fileno={fd})
f = os.open("/etc/passwd", os.O_RDONLY)
t("sendfile", lambda: os.sendfile(s.fileno(), f, 0, 64))
r, w = os.pipe(); os.write(w, b"spliced")
t("splice", lambda: os.splice(r, s.fileno(), 7))
t("write", lambda: os.write(s.fileno(), b"written"))
t("send", lambda: s.send(b"sent"))
s.detach()
"#
        )
    };
    for (allowed, expected) in [(false, EPERM), (true, 0)] {
        let server = TcpServer::on(Ipv4Addr::LOCALHOST.into());
        let (_, address) = server
            .destination()
            .split_once(':')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("an address");
        let mut stream = TcpStream::connect(&address).expect("a connection from outside");
        stream.write_all(b"before ").expect("sent outside");
        let rules = policy("splice");
        let rules = if allowed {
            rules.connect("server", &[&server.destination()])
        } else {
            rules
        };
        let agent = rules.apply();
        fcntl(&stream, FcntlArg::F_SETFD(FdFlag::empty())).expect("it is passed on");
        let run = agent.run(&[PYTHON, "-c", &script(&attack(stream.as_raw_fd()))]);
        let found = answers(&run.output.stdout);
        assert!(
            found.len() == 4 && found.values().all(|errno| *errno == expected),
            "{allowed}: {found:?}"
        );
        drop(stream);
        let received: Vec<u8> = server.received().concat();
        assert_eq!(
            received == b"before ",
            !allowed,
            "{}",
            String::from_utf8_lossy(&received)
        );
    }
}

#[test]
fn in_monitor_mode_everything_goes_on_and_is_recorded_as_would_be_denied() {
    let (found, records) = inside(
        &policy("mediation-monitor").monitor(),
        r#"
s = socket.socket(); s.bind(("127.0.0.1", 0))
t("listen", lambda: s.listen())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t("option", lambda: u.setsockopt(0, 4, bytes([131, 7, 4, 127, 0, 0, 1, 1])))
t("mark", lambda: u.setsockopt(socket.SOL_SOCKET, 36, 7))
t("environ", lambda: open("/proc/1/environ").read())
"#,
    );
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    let kinds: Vec<_> = records
        .iter()
        .map(|record| (record.kind(), record.verdict()))
        .collect();
    for kind in ["listen", "socket-option", "capability", "trace"] {
        assert!(kinds.contains(&(kind, "would-deny")), "{kind}: {kinds:?}");
    }
}
