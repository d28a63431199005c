//! Ways to act on others that ask neither `task_kill` nor ptrace: signals that the kernel sends for a
//! file, limits and scheduling, terminals that are shared, disks and file systems as a whole.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use enforcer_tests::{
    Record,
    attack::{bystander, denied_inside_only, inside, outside, policy},
    place,
    record::lines,
};
use nix::libc::{ENOKEY, EPERM};

fn kinds(records: &[Record]) -> BTreeSet<&str> {
    records.iter().map(Record::kind).collect()
}

/// Each way to name who is signalled, in the order F_SETOWN, F_SETOWN_EX, FIOSETOWN.
const OWNERS: &str = r#"
import fcntl
r, w = socket.socketpair()
fd = r.fileno()
t("F_SETOWN", lambda: fcntl.fcntl(fd, fcntl.F_SETOWN, pid))
t("F_SETOWN_EX", lambda: fcntl.fcntl(fd, 15, struct.pack("ii", 1, pid)))
t("FIOSETOWN", lambda: fcntl.ioctl(fd, 0x8901, struct.pack("i", pid)))
# Signal 0 is none: SIGURG would be ignored, so SIGKILL, and the file says something.
def signalled():
    fcntl.fcntl(fd, 10, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    w.send(b"x"); time.sleep(0.2)
signalled()
"#;

#[test]
fn i10_nobody_outside_is_signalled_about_a_file_and_the_process_itself_may_be() {
    let mut victim = bystander();
    let attack = format!("pid = {}\n{OWNERS}", victim.id());
    let (found, records) = inside(&policy("owners"), &attack);
    assert_eq!(found.len(), 3);
    assert!(found.values().all(|errno| *errno == EPERM), "{found:?}");
    assert_eq!(
        lines(&records),
        [
            "signal-owner deny target-outside-session",
            "signal-owner deny never-allowed",
            "signal-owner deny never-allowed"
        ]
    );
    assert!(
        victim.try_wait().expect("its state").is_none(),
        "the process outside lives"
    );
    // Outside the same program ends it.
    let twin = outside(&attack);
    assert!(twin.values().all(|errno| *errno == 0), "{twin:?}");
    assert!(!victim.wait().expect("its end").success());

    let own = r#"
import fcntl
r, w = socket.socketpair()
got = []
signal.signal(signal.SIGIO, lambda *a: got.append(1))
def own():
    fcntl.fcntl(r.fileno(), fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(r.fileno(), fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    w.send(b"x")
    if not got: raise OSError(1, "")
t("own", own)
t("nobody", lambda: fcntl.fcntl(r.fileno(), fcntl.F_SETOWN, 0))
"#;
    let (found, records) = inside(&policy("own-signal"), own);
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert!(records.is_empty(), "{:?}", lines(&records));
}

#[test]
fn i10_limits_and_scheduling_of_a_process_outside_stay_and_those_of_an_own_child_change() {
    let mut victim = bystander();
    let limits = || {
        let pid = victim.id();
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
        let nice = stat
            .rsplit(')')
            .next()
            .and_then(|s| s.split(' ').nth(17).map(str::to_owned));
        (limits, nice)
    };
    let attempts = r#"
import resource
t("limit", lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (4096, 8192)))
t("scheduler", lambda: os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0)))
t("processors", lambda: os.sched_setaffinity(pid, [0]))
t("nice", lambda: os.setpriority(os.PRIO_PROCESS, pid, 5))
t("io priority", lambda: sys_(251, 1, pid, (2 << 13) | 7))
"#;
    let before = limits();
    let attack = format!("pid = {}\n{attempts}", victim.id());
    let (found, records) = inside(&policy("limits"), &attack);
    assert_eq!(found.len(), 5);
    assert!(found.values().all(|errno| *errno == EPERM), "{found:?}");
    assert_eq!(records.len(), 5, "{:?}", lines(&records));
    assert!(
        records
            .iter()
            .all(|record| record.kind() == "process-control"
                && record.reason() == "target-outside-session")
    );
    assert_eq!(limits(), before);
    let twin = outside(&attack);
    assert!(twin.values().all(|errno| *errno == 0), "{twin:?}");
    assert_ne!(limits(), before);

    let own = format!(
        r#"
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(r, 1); os._exit(0)
{attempts}
os.write(w, b"x"); os.waitpid(pid, 0)
"#
    );
    let (found, records) = inside(&policy("own-limits"), &own);
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert!(records.is_empty(), "{:?}", lines(&records));
    victim.kill().expect("ended");
    victim.wait().expect("reaped");
}

#[test]
fn i10_nobody_is_signalled_about_a_terminal_that_others_use() {
    let attack = r#"
import fcntl
controller, terminal = os.openpty()
t("F_SETFL", lambda: fcntl.fcntl(terminal, fcntl.F_SETFL, os.O_ASYNC))
t("FIOASYNC", lambda: fcntl.ioctl(terminal, 0x5452, struct.pack("i", 1)))
"#;
    let records = denied_inside_only("asynchronous", attack);
    assert_eq!(lines(&records), vec!["signal-owner deny never-allowed"; 2]);
}

#[test]
fn i05_what_procfs_lets_everybody_change_of_a_process_outside_stays() {
    let mut victim = bystander();
    let score = format!("/proc/{}/oom_score_adj", victim.id());
    let before = std::fs::read_to_string(&score).expect("its score");
    let attack = format!(
        r#"
def write(path, text):
    with open(path, "w") as file: file.write(text)
t("other", lambda: write("{score}", "900"))
"#
    );
    let (found, records) = inside(&policy("score"), &attack);
    assert_eq!(found["other"], EPERM);
    assert_eq!(lines(&records), ["write deny target-outside-session"]);
    assert_eq!(std::fs::read_to_string(&score).expect("its score"), before);
    assert_eq!(outside(&attack)["other"], 0);
    assert_ne!(std::fs::read_to_string(&score).expect("its score"), before);

    let own = r#"
def write(path, text):
    with open(path, "w") as file: file.write(text)
t("own", lambda: write("/proc/self/oom_score_adj", "900"))
t("thread", lambda: write(f"/proc/self/task/{os.getpid()}/comm", "named"))
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(r, 1); os._exit(0)
t("child", lambda: write(f"/proc/{pid}/oom_score_adj", "901"))
os.write(w, b"x"); os.waitpid(pid, 0)
"#;
    let (found, records) = inside(&policy("own-score"), own);
    assert!(
        found.values().all(|errno| *errno == 0),
        "{found:?} {:?}",
        lines(&records)
    );
    assert!(records.is_empty(), "{:?}", lines(&records));
    victim.kill().expect("ended");
    victim.wait().expect("reaped");
}

#[test]
fn x13_the_kernel_is_not_asked_for_a_key_that_it_would_run_a_helper_for() {
    let attack = r#"
t("key", lambda: sys_(248, b"user", b"enforcer-test", b"x", 1, -3))
"#;
    assert_eq!(outside(attack)["key"], 0);
    // The kernel tells of a keyring that it was not allowed to make as of a key that is not there.
    let (found, records) = inside(&policy("key"), attack);
    assert!([EPERM, ENOKEY].contains(&found["key"]), "{found:?}");
    let denied = lines(&records);
    assert!(!denied.is_empty());
    assert!(
        denied
            .iter()
            .all(|line| line == "kernel-load deny never-allowed"),
        "{denied:?}"
    );
}

/// Types into a terminal that somebody else reads from.
const TYPES: &str = r#"
import fcntl, select
controller, terminal = os.openpty()
def types():
    fcntl.ioctl(terminal, 0x5412, b"\n")
def typed():
    if not select.select([terminal], [], [], 0)[0]: raise OSError(1, "")
t("TIOCSTI", types)
t("typed", typed)
"#;

#[test]
fn i08_nothing_is_typed_into_a_terminal() {
    let records = denied_inside_only("terminal", TYPES);
    assert_eq!(lines(&records), ["ioctl deny never-allowed"]);
    let (found, records) = inside(&policy("terminal").monitor(), TYPES);
    // In monitor mode too somebody who is root types: that root may is asked of `capable`.
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert!(kinds(&records).contains("ioctl"), "{:?}", lines(&records));
}

#[test]
fn i08_a_terminal_of_its_own_works() {
    let (found, records) = inside(
        &policy("own-terminal"),
        r#"
import fcntl, termios
controller, terminal = os.openpty()
t("size", lambda: fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0)))
def controls():
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid(); fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        except OSError as e: os._exit(e.errno)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status: raise OSError(status, "")
t("controlling", controls)
"#,
    );
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert!(records.is_empty(), "{:?}", lines(&records));
}

#[test]
fn x13_file_systems_and_disks_are_told_nothing_past_their_files() {
    // Outside, what a ram disk or a descriptor of the wrong kind answers is anything but EPERM.
    let attack = r#"
import fcntl
fd = os.open("/etc/hostname", os.O_RDONLY)
def told(number, argument=bytes(512)):
    try: fcntl.ioctl(fd, number, argument)
    except OSError as e:
        if e.errno not in (22, 25, 95): raise
for name, number in [("SG_IO", 0x2285), ("BLKPG", 0x1269), ("NVMe", 0xc0484e43), ("snapshot", 0x50009401)]:
    t(name, lambda: told(number))
"#;
    let records = denied_inside_only("disk", attack);
    assert_eq!(lines(&records), vec!["ioctl deny never-allowed"; 4]);
}

#[test]
fn x08_nothing_is_mounted_by_the_interface_that_no_mount_hook_knows() {
    let attack = r#"
t("fsopen", lambda: os.close(sys_(430, b"tmpfs", 0)))
def attributes():
    fd = sys_(428, -100, b"/tmp", 1)
    try: sys_(442, fd, b"", 0x1000, struct.pack("QQQQ", 1, 0, 0, 0), 32)
    finally: os.close(fd)
t("mount_setattr", attributes)
"#;
    let records = denied_inside_only("fsopen", attack);
    assert_eq!(kinds(&records), BTreeSet::from(["capability"]));
}

#[test]
fn i12_shared_memory_of_others_is_told_as_open() {
    let attack = r#"
memory = sys_(29, 0x656e66, 4096, 0o1666)
# The answer is an address, of which the C library's syscall() would give half.
C.shmat.restype = ctypes.c_void_p
def attached():
    if C.shmat(memory, None, 0o10000) == 2**64 - 1: raise OSError(ctypes.get_errno(), "")
t("shared memory", attached)
sys_(31, memory, 0, 0)
"#;
    let (found, _) = inside(&policy("ipc"), attack);
    assert_eq!(
        found,
        outside(attack),
        "a hook closes it: say so in doctor and the catalogue"
    );
    let doctor = enforcer_tests::cli::must(["doctor"]);
    assert!(doctor.contains("open-ipc"), "{doctor}");
}

/// Files and folders that would be run, loaded or obeyed later, by somebody outside.
const STARTED: &str = r#"
def make(path, folder=False):
    def attempt():
        if folder: os.mkdir(path)
        else: open(path, "w").write("x")
    t(path, attempt)
make("/etc/cron.d/enforcer-test")
make("/etc/systemd/system/enforcer.service")
make("/etc/systemd/system/enforcer.service.d", True)
make("/etc/profile.d/enforcer-test.sh")
make("/etc/ld.so.preload-test")
make("/usr/libx32", True)
make("/etc/environment-test")
make("/boot/enforcer-test")
make("/usr/local/bin/enforcer-test")
make("/usr/sbin/enforcer-test")
make("/var/lib/dpkg/enforcer-test")
def moved():
    name = "%s/x" % folder
    open(name, "w").write("x"); os.rename(name, "/etc/enforcer-test")
t("/etc/enforcer-test", moved)
def linked():
    name = "%s/y" % folder
    open(name, "w").write("x"); os.link(name, "/etc/cron.d/enforcer-test-2")
t("/etc/cron.d/enforcer-test-2", linked)
t("/etc/profile.d/enforcer-test-3", lambda: os.symlink("/dev/null", "/etc/profile.d/enforcer-test-3"))
"#;

#[test]
fn x12_what_the_host_starts_by_itself_is_not_written() {
    let folder = place::directory("started");
    let attack = format!("folder = {:?}\n{STARTED}", place::text(&folder));
    let clean = |paths: &BTreeMap<String, i32>| {
        for path in paths.keys().map(Path::new) {
            let gone = if path.is_dir() {
                fs::remove_dir(path)
            } else {
                fs::remove_file(path)
            };
            gone.expect("it was made");
        }
    };
    let twin = outside(&attack);
    assert!(twin.values().all(|errno| *errno == 0), "{twin:?}");
    clean(&twin);
    let (found, records) = inside(&policy("started"), &attack);
    assert_eq!(found.len(), twin.len());
    for (path, errno) in &found {
        assert_eq!(*errno, EPERM, "{path}");
        assert!(Path::new(path).symlink_metadata().is_err(), "{path}");
    }
    assert_eq!(lines(&records), vec!["write deny listed-code"; found.len()]);
    // What an editor or a package manager replaced is no less guarded for being another file.
    fs::copy("/etc/profile", "/etc/profile-new").expect("a copy");
    fs::rename("/etc/profile-new", "/etc/profile").expect("it takes the place");
    let replaced = r#"t("profile", lambda: open("/etc/profile", "a").close())"#;
    assert_eq!(outside(replaced)["profile"], 0);
    let (found, records) = inside(&policy("started"), replaced);
    assert_eq!(found["profile"], EPERM);
    assert_eq!(lines(&records), ["write deny listed-code"]);
    // Below folders of which nothing is started, root writes as before.
    let free = format!(
        "open({:?}, 'w').write('x'); t('free', lambda: None)",
        place::text(&folder.join("free"))
    );
    let (found, records) = inside(&policy("started"), &free);
    assert_eq!((found["free"], records.len()), (0, 0));
    assert!(folder.join("free").exists());
}
