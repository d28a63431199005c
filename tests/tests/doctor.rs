//! What `enforcer doctor` says: of a host that enforces, and of one on which somebody has taken a kernel program
//! away. What it does not call enforcing starts no agent.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use enforcer_tests::{
    Agent, Live, Policy, TcpServer,
    cli::{ENFORCER, enforcer, json, told},
    fault::{Daemon, Small, ended, stderr},
    place, record,
    server::LOOPBACK,
    session::start,
    wait::eventually,
};

const LINKS: &str = "/sys/fs/bpf/enforcer/links";
const CANARY: &str = "enforcer-canary";
/// What the canary tries.
const ATTEMPTS: [&str; 5] = [
    "exec of an unlisted file",
    "TCP connect",
    "UDP send",
    "unix connect",
    "netlink socket",
];

/// What doctor has said.
struct Said {
    text: String,
    status: Option<i32>,
}

impl Said {
    fn by(arguments: &[&str]) -> Self {
        let output = enforcer([&["doctor"], arguments].concat());
        Self {
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            status: output.status.code(),
        }
    }

    /// Checks by name, each with its state and its detail.
    fn checks(&self) -> BTreeMap<&str, (&str, &str)> {
        let rows = self
            .text
            .lines()
            .skip(1)
            .take_while(|line| !line.is_empty());
        rows.map(|row| {
            let (name, rest) = row.split_once(' ').expect("a name");
            let (state, detail) = rest.trim_start().split_once(' ').expect("a state");
            (name, (state, detail.trim_start()))
        })
        .collect()
    }

    fn check(&self, name: &str) -> (&str, &str) {
        let checks = self.checks();
        *checks
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {}", self.text))
    }

    /// What it says is to be done about this check.
    fn fix(&self, name: &str) -> Option<&str> {
        let fix = format!("fix {name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&fix))
    }

    fn is_enforcing(&self) -> bool {
        let last = self.text.lines().last();
        assert!(
            matches!(last, Some("enforcing" | "not enforcing")),
            "{}",
            self.text
        );
        let enforcing = last == Some("enforcing");
        let status = if enforcing { 0 } else { 5 };
        assert_eq!(self.status, Some(status), "{}", self.text);
        enforcing
    }
}

/// An agent with an open and a closed door, and the file that its command makes when it is started.
struct Scene {
    agent: Agent,
    open: TcpServer,
    closed: TcpServer,
    mark: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let (open, closed) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
        let agent = Policy::new("patient")
            .exec("touch", &["/usr/bin/touch"])
            .connect("open", &[&open.destination()])
            .apply();
        let mark = place::directory("doctor").join("mark");
        Self {
            agent,
            open,
            closed,
            mark,
        }
    }

    fn run(&self) -> Output {
        let _ = fs::remove_file(&self.mark); // of the run before
        let mut command = start(&self.agent.name, "doctor");
        command.arg("/usr/bin/touch").arg(&self.mark);
        ended(command)
    }

    fn starts(&self) {
        let output = self.run();
        assert!(output.status.success(), "{}", told(&output));
        assert!(self.mark.exists(), "it was not started");
    }

    fn is_not_started(&self, why: &str) {
        let output = self.run();
        assert_eq!(output.status.code(), Some(5), "{}", told(&output));
        let said = stderr(&output);
        assert!(said.contains(why), "{said}");
        assert!(
            said.contains("hint: `enforcer doctor` says")
                && said.contains("hint: the command was not started"),
            "{said}"
        );
        assert!(!self.mark.exists(), "it was started without enforcement");
    }

    /// Whether this session comes through the closed door. The open one is open always.
    fn comes_through(&self, live: &mut Live) -> bool {
        let [open, closed] = [&self.open, &self.closed].map(|server| {
            let errno = live.ask(&format!("connect tcp {}", server.address)).errno;
            assert_eq!(server.arrived(), usize::from(errno == 0));
            errno
        });
        assert_eq!(open, 0);
        closed == 0
    }
}

fn denials_of_canaries() -> usize {
    record::show(&["--agent", CANARY, "--verdict", "deny"]).len()
}

/// Takes the program of a hook away, as root can outside any session.
fn detach(hook: &str) {
    fs::remove_file(Path::new(LINKS).join(hook)).expect("its pin is there");
}

#[test]
fn of_a_host_that_enforces_every_line_is_what_it_says() {
    let _daemon = Daemon::start();
    let said = Said::by(&[]);
    assert!(said.is_enforcing(), "{}", said.text);
    assert!(!said.text.contains("\nfix "), "{}", said.text);
    let checks = said.checks();
    let (open, ok): (Vec<_>, Vec<_>) = checks
        .iter()
        .partition(|(name, _)| name.starts_with("open-"));
    assert!(!open.is_empty() && open.iter().all(|(_, (state, _))| *state == "open"));
    assert!(
        ok.iter().all(|(_, (state, _))| *state == "ok"),
        "{}",
        said.text
    );

    let read = |path: &str| fs::read_to_string(path).expect("the host tells of itself");
    let release = read("/proc/sys/kernel/osrelease");
    let modules = read("/sys/kernel/security/lsm");
    let lockdown = read("/sys/kernel/security/lockdown");
    let log = json(["status"])["log"]["path"].clone();
    for (name, detail) in [
        ("kernel", format!("Linux {}", release.trim())),
        ("lsm", format!("active: {}", modules.trim())),
        ("btf", "/sys/kernel/btf/vmlinux".to_owned()),
        ("lockdown", lockdown.trim().to_owned()),
        ("privileges", "this process may load programs".to_owned()),
        ("bpffs", "/sys/fs/bpf".to_owned()),
        (
            "reentry",
            "the kernel has __bpf_prog_enter_recur".to_owned(),
        ),
        ("log", log.as_str().expect("a path").to_owned()),
    ] {
        assert_eq!(said.check(name).1, detail, "{name}");
    }
    let mut pinned: Vec<_> = fs::read_dir(LINKS)
        .expect("the links are pinned")
        .map(|entry| entry.expect("a link").file_name().into_string())
        .map(|name| name.expect("a hook's name is text"))
        .collect();
    let (count, names) = said
        .check("hooks")
        .1
        .split_once(" attached: ")
        .expect("the attached");
    let mut names: Vec<_> = names.split(", ").collect();
    assert_eq!(count, pinned.len().to_string());
    pinned.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, pinned);
    let canary = said.check("canary").1;
    assert!(
        canary.starts_with(&format!(
            "the kernel denied 5 attempts of a process of the daemon's own: {} (",
            ATTEMPTS.join(", ")
        )),
        "{canary}"
    );
}

#[test]
fn with_canary_the_kernel_is_asked_anew_and_without_it_is_not() {
    let _daemon = Daemon::start();
    let before = denials_of_canaries();
    assert!(Said::by(&[]).is_enforcing());
    assert_eq!(denials_of_canaries(), before);
    // Answered only once its events were read; their records follow.
    assert!(Said::by(&["--canary"]).is_enforcing());
    eventually("records of the canary's denials", || {
        denials_of_canaries() == before + ATTEMPTS.len()
    });
    // A package manager links the binary, and so changes its time of change.
    let link = Path::new(ENFORCER).with_extension("linked");
    fs::hard_link(ENFORCER, &link).expect("it is linked");
    fs::remove_file(&link).expect("it was just made");
    let said = Said::by(&["--canary"]);
    assert!(said.is_enforcing(), "{}", said.text);
    eventually("records of the canary's denials", || {
        denials_of_canaries() == before + 2 * ATTEMPTS.len()
    });

    // It acts on the host, so not everybody may have it done.
    let mut anybody = Command::new("setpriv");
    anybody.args(["--reuid=1000", "--regid=1000", "--clear-groups", ENFORCER]);
    anybody.args(["doctor", "--canary"]);
    let output = ended(anybody);
    assert_eq!(output.status.code(), Some(6), "{}", told(&output));
    assert_eq!(denials_of_canaries(), before + 2 * ATTEMPTS.len());
}

#[test]
fn a_canary_that_the_kernel_lets_through_is_told_and_nothing_is_started_until_that_is_mended() {
    let daemon = Daemon::start();
    let scene = Scene::new();
    let mut live = scene.agent.live();
    scene.starts();
    assert!(!scene.comes_through(&mut live));

    detach("socket_connect");
    eventually("the kernel lets go of the program", || {
        scene.comes_through(&mut live)
    });
    let said = Said::by(&[]);
    assert!(!said.is_enforcing(), "{}", said.text);
    assert_eq!(
        said.check("hooks"),
        ("failed", "not attached: socket_connect")
    );
    assert_eq!(said.fix("hooks"), Some("systemctl restart enforcer"));
    scene.is_not_started("kernel programs are no longer attached");

    let said = Said::by(&["--canary"]);
    assert!(!said.is_enforcing(), "{}", said.text);
    let (state, detail) = said.check("canary");
    assert_eq!(state, "failed");
    assert!(
        detail.starts_with("the kernel did not deny the canary: TCP connect worked"),
        "{detail}"
    );
    assert!(
        said.fix("canary")
            .is_some_and(|fix| fix.ends_with("`enforcer doctor --canary`")),
        "{}",
        said.text
    );
    assert_eq!(
        said.check("hooks"),
        ("failed", "not attached: socket_connect")
    );
    scene.is_not_started("the kernel did not deny the canary: TCP connect worked");
    let output = enforcer(["status"]);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));

    // What was said to be the fix.
    daemon.terminate();
    let _daemon = Daemon::start();
    assert!(Said::by(&[]).is_enforcing());
    assert!(Said::by(&["--canary"]).is_enforcing());
    assert!(
        !scene.comes_through(&mut live),
        "a session from before is not held again"
    );
    scene.starts();
    live.end();
}

#[test]
fn a_program_that_no_canary_would_miss_is_missed_all_the_same() {
    let daemon = Daemon::start();
    let scene = Scene::new();
    scene.starts();
    detach("ptrace_access_check");
    let said = Said::by(&["--canary"]);
    assert_eq!(said.check("canary").0, "ok", "{}", said.text);
    assert_eq!(
        said.check("hooks"),
        ("failed", "not attached: ptrace_access_check")
    );
    assert!(!said.is_enforcing(), "{}", said.text);
    scene.is_not_started("kernel programs are no longer attached");
    daemon.terminate();
    let _daemon = Daemon::start();
    assert!(Said::by(&["--canary"]).is_enforcing());
    scene.starts();
}

#[test]
fn a_daemon_that_has_no_proof_yet_starts_no_agent() {
    let daemon = Daemon::start();
    let scene = Scene::new();
    scene.starts();
    daemon.terminate();
    // What the canary is denied cannot be recorded, so that nobody knows of it.
    let small = Small::new(256);
    small.fill();
    let mut daemon = Daemon::spawn(&["--log-dir", small.text()]);
    daemon.await_status("No space left on device");
    scene.is_not_started("the daemon does not enforce");
    assert!(!Said::by(&[]).is_enforcing());
    small.give_room();
    daemon.await_enforcing();
    scene.starts();
    daemon.terminate();
}
