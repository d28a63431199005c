//! What is closed to every agent until its policy opens it as a whole: devices, rings, namespaces, and
//! kinds of sockets that nothing can be judged of.
#![forbid(unsafe_code)]

use std::{collections::BTreeSet, net::Ipv4Addr};

use enforcer_tests::{
    Policy, TcpServer,
    attack::{inside, inside_by_user, outside, policy},
    record::lines,
};
use nix::libc::EPERM;

/// A ring in Python: `ring(flags)` makes one, `ask(ring, sqe)` gives an operation's result.
const RING: &str = r#"
import mmap
class Ring:
    def __init__(self, flags=0):
        p = ctypes.create_string_buffer(120)
        struct.pack_into("I", p, 8, flags)
        self.fd = sys_(425, 8, p)
        self.flags = flags
        self.entries = struct.unpack_from("I", p, 0)[0]
        self.sq = struct.unpack_from("8I", p, 40)
        self.cq = struct.unpack_from("8I", p, 80)
        size = max(self.sq[6] + self.entries * 4, self.cq[5] + struct.unpack_from("I", p, 4)[0] * 16)
        self.map = mmap.mmap(self.fd, size, offset=0)
        self.sqes = mmap.mmap(self.fd, self.entries * 64, offset=0x10000000)
    def word(self, at): return struct.unpack_from("I", self.map, at)[0]
    def ask(self, sqe):
        tail = self.word(self.sq[1])
        index = tail & self.word(self.sq[2])
        self.sqes[index * 64:index * 64 + 64] = sqe
        struct.pack_into("I", self.map, self.sq[6] + index * 4, index)
        struct.pack_into("I", self.map, self.sq[1], tail + 1)
        sys_(426, self.fd, 1, 1, 3 if self.flags & 2 else 1, 0, 0)
        head = self.word(self.cq[0])
        at = self.cq[5] + (head & self.word(self.cq[2])) * 16
        result = struct.unpack_from("i", self.map, at + 8)[0]
        struct.pack_into("I", self.map, self.cq[0], head + 1)
        if result < 0: raise OSError(-result, "")
        return result
def sqe(opcode, fd, address=0, length=0, offset=0, how=0, flags=0):
    return struct.pack("BBHiQQIIQ", opcode, flags, 0, fd, offset, address, length, how, 1).ljust(64, b"\0")
"#;

/// Connects, sends and opens through rings: at once, by a worker, and by the kernel's polling thread.
fn through_rings(port: u16, listed: &str) -> String {
    format!(
        r#"{RING}
address = ctypes.create_string_buffer(struct.pack("!HH4s8x", 0, {port}, bytes([127, 0, 0, 1])), 16)
struct.pack_into("H", address, 0, 2)
path = ctypes.create_string_buffer(b"{listed}")
def connect(ring, flags):
    s = socket.socket()
    ring.ask(sqe(16, s.fileno(), ctypes.addressof(address), 0, 16, 0, flags))
def write(ring, flags):
    os.close(ring.ask(sqe(18, -100, ctypes.addressof(path), 0, 0, os.O_WRONLY, flags)))
ring = Ring()
for name, flags in [("at once", 0), ("by a worker", 16)]:
    t(f"connect {{name}}", lambda: connect(ring, flags))
    t(f"write {{name}}", lambda: write(ring, flags))
polled = Ring(2)
t("connect polled", lambda: connect(polled, 0))
t("write polled", lambda: write(polled, 0))
"#
    )
}

#[test]
fn i07_no_ring_is_made_and_where_one_may_be_it_passes_no_rule_by() {
    let server = TcpServer::on(Ipv4Addr::LOCALHOST.into());
    let folder = enforcer_tests::place::directory("i07");
    let tool = enforcer_tests::place::copy("/usr/bin/touch", folder.join("tool"));
    let twin = enforcer_tests::place::copy("/usr/bin/touch", folder.join("twin"));
    let (tool, twin) = (
        enforcer_tests::place::text(&tool),
        enforcer_tests::place::text(&twin),
    );
    let port: u16 = server
        .destination()
        .rsplit(':')
        .next()
        .and_then(|p| p.parse().ok())
        .expect("a port");

    let free = outside(&through_rings(port, twin));
    assert_eq!(free.len(), 6, "{free:?}");
    assert!(free.values().all(|errno| *errno == 0), "{free:?}");
    assert_eq!(server.arrived(), 3);

    // Without leave there is no ring.
    let setup = format!("{RING}t(\"ring\", Ring)\nt(\"polled\", lambda: Ring(2))\n");
    let (found, records) = inside(&policy("i07"), &setup);
    assert!(found.values().all(|errno| *errno == EPERM), "{found:?}");
    assert_eq!(
        lines(&records),
        vec!["io-uring deny io-uring-not-allowed"; 2]
    );
    let (found, records) = inside(&policy("i07").monitor(), &setup);
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert_eq!(
        lines(&records),
        vec!["io-uring would-deny io-uring-not-allowed"; 2]
    );

    // With leave everything that is asked through it is judged (the tool is listed and nobody's to write).
    let with_ring = |label: &str| policy(label).agent("io_uring = true").exec("tool", &[tool]);
    let (found, records) = inside(&with_ring("i07-ring"), &through_rings(port, tool));
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(found.values().all(|errno| *errno == EPERM), "{found:?}");
    assert_eq!(server.arrived(), 0);
    let denied: BTreeSet<_> = records
        .iter()
        .map(|record| (record.kind(), record.reason()))
        .collect();
    let expected = [("connect", "not-listed"), ("write", "listed-code")];
    assert_eq!(denied, BTreeSet::from(expected));

    let allowed = with_ring("i07-allowed").connect("server", &[&server.destination()]);
    let (found, _) = inside(&allowed, &through_rings(port, twin));
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert_eq!(server.arrived(), 3);
}

#[test]
fn x13_devices_are_written_to_only_with_leave_and_the_harmless_ones_always() {
    let attack = r#"
harmless = ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/ptmx"]
for path in harmless:
    t(path, lambda: os.close(os.open(path, os.O_WRONLY)))
node = "/tmp/enforcer-test-device"
def opened(major, minor, how=os.O_WRONLY):
    if os.path.lexists(node): os.unlink(node)
    os.mknod(node, 0o20600, os.makedev(major, minor))
    try: os.close(os.open(node, how | os.O_NONBLOCK | os.O_NOCTTY))
    finally: os.unlink(node)
t("kmsg", lambda: opened(1, 11))
t("cpu_dma_latency", lambda: os.close(os.open("/dev/cpu_dma_latency", os.O_WRONLY)))
t("read", lambda: opened(1, 11, os.O_RDONLY))
t("serial port", lambda: opened(4, 64))
"#;
    let free = outside(attack);
    assert!(free.values().all(|errno| *errno == 0), "{free:?}");
    let (mut found, records) = inside(&policy("devices"), attack);
    for device in ["kmsg", "cpu_dma_latency", "read", "serial port"] {
        assert_eq!(found.remove(device), Some(EPERM), "{device}");
    }
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert_eq!(lines(&records), vec!["write deny device-not-allowed"; 4]);
    let (found, records) = inside(&policy("devices").agent("devices = true"), attack);
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert!(records.is_empty(), "{:?}", lines(&records));
}

/// A user namespace with a mount of its own, as an ordinary user makes it.
const NAMESPACE: &str = r#"
def namespace():
    pid = os.fork()
    if pid == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([]); os.setresgid(1000, 1000, 1000); os.setresuid(1000, 1000, 1000)
            libc("unshare", 0x10000000 | 0x00020000)
            libc("mount", b"x", b"/mnt", b"tmpfs", 0, None)
            libc("mount", b"/usr", b"/media", None, 0x5000, None)
        except OSError as e: os._exit(e.errno)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status: raise OSError(status, "")
t("namespace", namespace)
"#;

#[test]
fn x08_namespaces_of_its_own_an_agent_has_only_with_leave_and_the_hosts_mounts_never() {
    let free = outside(NAMESPACE);
    assert_eq!(free["namespace"], 0, "{free:?}");
    let (found, records) = inside(&policy("namespaces"), NAMESPACE);
    assert_eq!(found["namespace"], EPERM);
    assert_eq!(
        lines(&records),
        ["user-namespace deny namespace-not-allowed"]
    );
    let open = || policy("namespaces").agent("namespaces = true");
    let (found, records) = inside_by_user(&open(), NAMESPACE);
    assert_eq!(found["namespace"], 0, "{:?}", lines(&records));
    assert!(records.is_empty(), "{:?}", lines(&records));
    // Of a session that was root's, root could write the map of ids by which its files lie in there too.
    let (found, records) = inside(&open(), NAMESPACE);
    assert_eq!(found["namespace"], EPERM);
    assert_eq!(lines(&records), ["capability deny never-allowed"]);
    // What the host mounts stays, for root too.
    let (found, records) = inside(
        &open(),
        r#"t("mount", lambda: libc("mount", b"x", b"/mnt", b"tmpfs", 0, None))"#,
    );
    assert_eq!(found["mount"], EPERM);
    assert_eq!(lines(&records), ["capability deny never-allowed"]);
}

#[test]
fn x08_a_program_is_known_in_a_namespace_of_the_agents_own_too() {
    let folder = enforcer_tests::place::directory("x08-own");
    let mark = folder.join("mark");
    enforcer_tests::place::mode(&folder, 0o777);
    let mark = enforcer_tests::place::text(&mark);
    let attack = format!(
        r#"
def shadowed():
    pid = os.fork()
    if pid == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([]); os.setresgid(1000, 1000, 1000); os.setresuid(1000, 1000, 1000)
            libc("unshare", 0x10000000 | 0x00020000)
            libc("mount", b"/usr/bin/touch", b"/usr/bin/true", None, 4096, None)
            subprocess.run(["/usr/bin/true", "{mark}"], check=True)
        except OSError as e: os._exit(e.errno)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status: raise OSError(status, "")
t("shadowed", shadowed)
"#
    );
    let ran = || std::fs::remove_file(mark).is_ok();
    assert_eq!(outside(&attack)["shadowed"], 0);
    assert!(ran());
    let listed = policy("x08-own")
        .agent("namespaces = true")
        .exec("true", &["/usr/bin/true"]);
    let (found, records) = inside_by_user(&listed, &attack);
    assert_eq!(found["shadowed"], EPERM);
    assert!(!ran());
    assert_eq!(lines(&records), ["exec /usr/bin/true deny not-listed"]);
}

#[test]
fn n07_n08_kinds_of_sockets_exist_and_work_only_where_the_policy_names_them() {
    let attack = r#"
def route():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    s.bind((0, 0))
    s.send(struct.pack("=IHHIIB3x", 20, 18, 0x301, 1, 0, 0))
    if not s.recv(65536): raise OSError(1, "")
t("netlink-route", route)
def ping():
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.sendto(struct.pack("!BBHHH", 8, 0, 0xf7ff, 0, 0), ("127.0.0.1", 0))
t("raw", ping)
t("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close())
t("alg", lambda: socket.socket(38, socket.SOCK_SEQPACKET, 0).close())
"#;
    let named: &[&str] = &["netlink-route", "raw", "packet", "alg"];
    let free = outside(attack);
    assert!(free.values().all(|errno| *errno == 0), "{free:?}");
    let (found, records) = inside(&policy("kinds"), attack);
    assert!(named.iter().all(|kind| found[*kind] == EPERM), "{found:?}");
    assert!(
        records.iter().all(|record| record.kind() == "socket"),
        "{:?}",
        lines(&records)
    );
    for kind in named {
        let only = policy("kinds").agent(&format!("sockets = [\"{kind}\"]"));
        let (found, records) = inside(&only, attack);
        let open: Vec<_> = named.iter().filter(|other| found[**other] == 0).collect();
        assert_eq!(open, [kind], "{found:?} {:?}", lines(&records));
    }
}

#[test]
fn n07_a_raw_socket_from_outside_sends_nothing() {
    use std::os::fd::AsRawFd;

    let raw = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Raw,
        nix::sys::socket::SockFlag::empty(),
        nix::sys::socket::SockProtocol::Tcp,
    )
    .expect("a raw socket");
    let attack = format!(
        r#"
s = socket.socket(fileno={})
t("raw", lambda: s.sendto(bytes(20), ("127.0.0.1", 0)))
s.detach()
"#,
        raw.as_raw_fd()
    );
    let told = |policy: &Policy| {
        let run = policy.apply().run(&[
            enforcer_tests::attack::PYTHON,
            "-c",
            &enforcer_tests::attack::script(&attack),
        ]);
        enforcer_tests::attack::answers(&run.output.stdout)
    };
    assert_eq!(told(&policy("raw"))["raw"], EPERM);
    assert_eq!(told(&policy("raw").agent("sockets = [\"raw\"]"))["raw"], 0);
}
