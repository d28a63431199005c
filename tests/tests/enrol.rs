//! Processes that become sessions without asking: by the slice that they are in, and by the file that they execute.
#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use enforcer_tests::{
    Answer, Policy, TcpServer,
    attack::PYTHON,
    cli::{enforcer, json, must, probe, told, unique},
    place,
    server::LOOPBACK,
    wait::eventually,
};

/// A control group of a slice, as systemd lays it out, with a unit's below.
struct Slice {
    name: String,
    unit: PathBuf,
}

impl Slice {
    /// `parts` names, each below the one before: `a.slice`, `a-b.slice`...
    fn new(parts: usize) -> Self {
        let stem = unique("e").replace('-', "x");
        let mut folder = PathBuf::from("/sys/fs/cgroup");
        let mut name = String::new();
        for part in 0..parts {
            if part > 0 {
                name.push('-');
            }
            name += &format!("{stem}p{part}");
            folder.push(format!("{name}.slice"));
        }
        let unit = folder.join("agent.service");
        fs::create_dir_all(&unit).expect("a control group");
        Self {
            name: format!("{name}.slice"),
            unit,
        }
    }

    /// A shell in the unit that becomes this program.
    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        let procs = self.unit.join("cgroup.procs");
        command
            .args(["-c", "echo $$ >\"$1\"; shift; exec \"$@\"", "sh"])
            .arg(procs)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        self.command(program, arguments).output().expect("a shell")
    }
}

fn answers(output: &Output) -> Vec<Answer> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(Answer::from_line).collect()
}

/// Two servers, and a policy of the probe that allows the first.
fn scene(label: &str) -> ([TcpServer; 2], Policy) {
    let servers = [TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK)];
    let policy = Policy::new(label).connect("one", &[&servers[0].destination()]);
    (servers, policy)
}

fn attempts(servers: &[TcpServer; 2]) -> [String; 2] {
    servers
        .each_ref()
        .map(|server| format!("connect tcp {}", server.address))
}

fn came(servers: &[TcpServer; 2]) -> [usize; 2] {
    servers.each_ref().map(TcpServer::arrived)
}

/// Only the listed server was reached, by a session of this agent.
fn was_held(agent: &str, servers: &[TcpServer; 2], output: &Output) {
    let denied: Vec<bool> = answers(output).iter().map(Answer::denied).collect();
    assert_eq!(denied, [false, true], "{}", told(output));
    assert_eq!(came(servers), [1, 0]);
    eventually("its records", || {
        let log = must(["log", "show", "--agent", agent, "--output", "json"]);
        ["session-start", "exec", "connect", "session-end"]
            .iter()
            .all(|kind| log.contains(&format!("\"event_code\":\"{kind}\"")))
    });
}

#[test]
fn what_a_process_of_the_slice_executes_first_begins_a_session() {
    for parts in [1, 3] {
        let (servers, policy) = scene("slice");
        let (slice, other) = (Slice::new(parts), Slice::new(parts));
        let [one, two] = attempts(&servers);
        let agent = policy
            .agent(&format!("[agent.enrol]\nslice = \"{}\"", slice.name))
            .apply();
        was_held(&agent.name, &servers, &slice.run(&probe(), &[&one, &two]));
        // A slice that nobody named is not touched.
        let output = other.run(&probe(), &[&one, &two]);
        assert!(answers(&output).iter().all(|answer| answer.errno == 0));
        assert_eq!(came(&servers), [1, 1]);
    }
}

#[test]
fn a_group_that_has_a_slices_name_and_depth_elsewhere_enrols_nobody() {
    let (servers, policy) = scene("forged");
    let slice = Slice::new(3);
    policy
        .agent(&format!("[agent.enrol]\nslice = \"{}\"", slice.name))
        .apply();
    // As whoever has control groups of his own can lay it out.
    let own = Path::new("/sys/fs/cgroup").join(unique("own"));
    let unit = own.join("below").join(&slice.name).join("agent.service");
    fs::create_dir_all(&unit).expect("a control group");
    let forged = Slice {
        name: slice.name.clone(),
        unit,
    };
    let [one, two] = attempts(&servers);
    let output = forged.run(&probe(), &[&one, &two]);
    assert!(answers(&output).iter().all(|answer| answer.errno == 0));
    assert_eq!(came(&servers), [1, 1]);
    let output = slice.run(&probe(), &[&one, &two]);
    let denied: Vec<bool> = answers(&output).iter().map(Answer::denied).collect();
    assert_eq!(denied, [false, true], "{}", told(&output));
}

#[test]
fn what_the_policy_does_not_list_does_not_run_in_its_slice() {
    let slice = Slice::new(1);
    let mark = place::directory("slice-exec").join("mark");
    Policy::new("slice-exec")
        .agent(&format!("[agent.enrol]\nslice = \"{}\"", slice.name))
        .apply();
    let touch = Path::new("/usr/bin/touch");
    let output = slice.run(touch, &[place::text(&mark)]);
    assert!(
        !output.status.success() && !mark.exists(),
        "{}",
        told(&output)
    );
    let output = Slice::new(1).run(touch, &[place::text(&mark)]);
    assert!(output.status.success() && mark.exists());
}

/// A container runtime, as far as the kernel sees one: namespaces of its own, a root of its own, the
/// slice as its parent in the tree of control groups; then the container's program.
const RUNTIME: &str = r#"
import ctypes, os, sys
C = ctypes.CDLL(None, use_errno=True)
def libc(name, *arguments):
    if getattr(C, name)(*arguments) < 0: raise OSError(ctypes.get_errno(), name)
procs, root, program, *arguments = sys.argv[1:]
NEWNS, NEWUTS, NEWIPC, NEWPID = 0x20000, 0x4000000, 0x8000000, 0x20000000
libc("unshare", NEWNS | NEWUTS | NEWIPC | NEWPID)
libc("mount", None, b"/", None, 0x44000, None)
libc("mount", b"/", root.encode(), None, 0x5000, None)
pid = os.fork()
if pid == 0:
    with open(procs, "w") as file: file.write("0")
    os.chroot(root); os.chdir("/")
    libc("mount", b"proc", b"/proc", b"proc", 0, None)
    os.execv(program, [program, *arguments])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn i03_a_container_of_the_slice_is_a_session_wherever_its_root_is() {
    let (servers, policy) = scene("container");
    let root = place::directory("container-root");
    let mark = place::directory("container-mark").join("mark");
    let run = |slice: &Slice, program: &Path, arguments: &[&str]| {
        let procs = slice.unit.join("cgroup.procs");
        let mut runtime = Command::new(PYTHON);
        runtime
            .args(["-c", RUNTIME])
            .arg(procs)
            .arg(&root)
            .arg(program)
            .args(arguments);
        runtime.stdin(Stdio::null()).output().expect("the runtime")
    };
    let (slice, other) = (Slice::new(1), Slice::new(1));
    let agent = policy
        .agent(&format!("[agent.enrol]\nslice = \"{}\"", slice.name))
        .apply();
    let [one, two] = attempts(&servers);
    was_held(&agent.name, &servers, &run(&slice, &probe(), &[&one, &two]));
    let touch = Path::new("/usr/bin/touch");
    run(&slice, touch, &[place::text(&mark)]);
    assert!(
        !mark.exists(),
        "what is not listed has run in the container"
    );
    // The same container in a slice that nobody named is not touched.
    let output = run(&other, &probe(), &[&one, &two]);
    assert!(
        answers(&output).iter().all(|answer| answer.errno == 0),
        "{}",
        told(&output)
    );
    assert_eq!(came(&servers), [1, 1]);
    run(&other, touch, &[place::text(&mark)]);
    assert!(mark.exists());
}

/// A process in the slice that connects whenever a line comes.
fn waiting(slice: &Slice, servers: &[TcpServer; 2]) -> Child {
    let code = format!(
        "import socket, sys\nfor line in sys.stdin:\n for at in [{}, {}]:\n  try: socket.create_connection(('127.0.0.1', at)).close(); print('done', flush=True)\n  except OSError as e: print(e.errno, flush=True)",
        servers[0].address.port(),
        servers[1].address.port()
    );
    slice
        .command(Path::new(PYTHON), &["-c", &code])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell")
}

#[test]
fn a_process_that_was_in_the_slice_before_is_held_to_what_it_runs() {
    use std::io::{BufRead, BufReader, Write};
    let servers = [TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK)];
    let slice = Slice::new(1);
    let mut child = waiting(&slice, &servers);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut input = child.stdin.take().expect("a pipe");
    let mut ask = || {
        writeln!(input, "go").expect("it reads");
        [(); 2].map(|()| lines.next().expect("an answer").expect("a line"))
    };
    assert_eq!(ask(), ["done", "done"]);
    assert_eq!(came(&servers), [1, 1]);
    let enrol = format!("[agent.enrol]\nslice = \"{}\"", slice.name);
    let policy = Policy::bare("before").agent(&enrol);
    let listed = policy
        .clone()
        .exec("python", &[PYTHON])
        .connect("one", &[&servers[0].destination()]);
    let agent = listed.apply();
    assert_eq!(ask(), ["done", "1"]);
    assert_eq!(came(&servers), [1, 0]);
    eventually("its session", || {
        json(["session", "list"]).to_string().contains(&agent.name)
    });
    // What it runs is no longer listed: it reaches nothing.
    policy
        .exec("other", &["/usr/bin/true"])
        .connect("one", &[&servers[0].destination()])
        .apply();
    assert_eq!(ask(), ["1", "1"]);
    assert_eq!(came(&servers), [0, 0]);
    drop(input);
    child.wait().expect("its end");
}

#[test]
fn executing_an_entry_begins_a_session_and_a_copy_of_it_does_not() {
    let (servers, policy) = scene("entry");
    let folder = place::directory("entry");
    let (entry, copy) = (folder.join("agent"), folder.join("copy"));
    place::copy(probe(), &entry);
    place::copy(probe(), &copy);
    let path = place::text(&entry).to_owned();
    let [one, two] = attempts(&servers);
    let agent = policy
        .agent(&format!("[agent.enrol]\nentry = {{ exec = \"{path}\" }}"))
        .exec("entry", &[&path])
        .apply();
    let run = |program: &Path| {
        let output = Command::new(program).args([&one, &two]).output();
        output.expect("it starts")
    };
    was_held(&agent.name, &servers, &run(&entry));
    let output = run(&copy);
    assert!(answers(&output).iter().all(|answer| answer.errno == 0));
    assert_eq!(came(&servers), [1, 1]);

    // Another file in its place enrols from its first execution on: until it has been looked at it does not run.
    place::copy(probe(), folder.join("next"));
    fs::rename(folder.join("next"), &entry).unwrap();
    eventually("the upgraded entry runs", || {
        let output = Command::new(&entry).arg(&two).output();
        let ran = output.map(|output| answers(&output)).unwrap_or_default();
        assert!(ran.iter().all(Answer::denied), "it ran outside: {ran:?}");
        !ran.is_empty()
    });
    assert_eq!(came(&servers), [0, 0]);
}

#[test]
fn an_entry_of_one_user_is_nobody_elses() {
    let (servers, policy) = scene("entry-user");
    let folder = place::directory("entry-user");
    place::mode(&folder, 0o755);
    let entry = place::copy(probe(), folder.join("agent"));
    let path = place::text(&entry).to_owned();
    policy
        .agent(&format!(
            "[agent.enrol]\nentry = {{ exec = \"{path}\", user = \"nobody\" }}"
        ))
        .exec("entry", &[&path])
        .apply();
    let [one, two] = attempts(&servers);
    let as_user = |uid: u32| {
        let output = Command::new(&entry).args([&one, &two]).uid(uid).output();
        let denied = answers(&output.expect("it starts"));
        denied.iter().map(Answer::denied).collect::<Vec<_>>()
    };
    assert_eq!(as_user(65_534), [false, true]);
    assert_eq!(as_user(0), [false, false]);
    assert_eq!(came(&servers), [2, 1]);
}

#[test]
fn however_many_begin_at_once_none_runs_outside() {
    let (servers, policy) = scene("burst");
    let slice = Slice::new(1);
    policy
        .agent(&format!("[agent.enrol]\nslice = \"{}\"", slice.name))
        .apply();
    let [_, two] = attempts(&servers);
    let children: Vec<Child> = (0..400)
        .map(|_| {
            let mut command = slice.command(&probe(), &[&two]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("a shell")
        })
        .collect();
    for mut child in children {
        child.wait().expect("its end");
    }
    assert_eq!(came(&servers), [0, 0]);
    // There are sessions for those who come later.
    eventually("a session", || {
        let answers = answers(&slice.run(&probe(), &[&two]));
        assert!(answers.iter().all(Answer::denied));
        !answers.is_empty()
    });
}

#[test]
fn a_slice_or_entry_of_another_agent_is_refused() {
    let slice = Slice::new(1);
    let enrol = format!("[agent.enrol]\nslice = \"{}\"", slice.name);
    Policy::new("first").agent(&enrol).apply();
    let refused = Policy::new("second").agent(&enrol).try_apply();
    assert!(!refused.status.success());
    let said = told(&refused);
    assert!(said.contains("another agent's"), "{said}");
    let unknown = Policy::new("user").agent(
        "[agent.enrol]\nentry = { exec = \"/usr/bin/true\", user = \"nobody-of-that-name\" }",
    );
    let said = told(&unknown.try_apply());
    assert!(said.contains("this host has no user"), "{said}");
    assert!(enforcer(["status"]).status.success());
}
