//! The policies that come with the product, as they are installed: each is accepted by a plain Debian, lets its agent
//! work, and holds it.
#![forbid(unsafe_code)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use enforcer_tests::{
    Agent, Run, TcpServer,
    attack::PYTHON,
    cli::{enforcer, told},
    fault::stderr,
    place,
    server::LOOPBACK,
};

const POLICIES: &str = "/usr/share/enforcer/policies";

/// Applies the ready policy of this agent.
fn agent(name: &str) -> Agent {
    let file = format!("{POLICIES}/{name}.toml");
    let output = enforcer(["policy", "apply", &file]);
    assert!(output.status.success(), "{}", told(&output));
    Agent {
        name: name.to_owned(),
    }
}

/// Runs the command outside any session: the twin that must not be held.
fn outside(command: &[&str]) -> Output {
    Command::new(command[0])
        .args(&command[1..])
        .output()
        .expect("the command starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The records of what was decided about this file.
fn verdicts(run: &Run, file: &str) -> Vec<String> {
    let records = run.records();
    let about = records.iter().filter(|record| record.target() == file);
    about.map(|record| record.verdict().to_owned()).collect()
}

#[test]
fn every_ready_policy_passes_its_own_examples() {
    for options in [&[][..], &["--on-host"]] {
        let output = enforcer([&["policy", "test", POLICIES], options].concat());
        assert!(output.status.success(), "{options:?}: {}", told(&output));
        assert!(stderr(&output).contains(" 0 failed"), "{}", told(&output));
        let agents = ["ci-runner.toml", "coding-agent.toml", "readonly-ops.toml"];
        for agent in agents {
            assert!(said(&output).contains(agent), "{agent}: {}", told(&output));
        }
    }
}

#[test]
fn a_ci_runner_works_with_its_tools_and_reaches_its_own_services_and_nothing_else() {
    let agent = agent("ci-runner");
    let folder = place::directory("ci");
    let (allowed, denied) = (folder.join("allowed"), folder.join("denied"));
    let script = format!(
        "touch {}; perl -e 'open(F, q(>), q({}))'",
        allowed.display(),
        denied.display()
    );
    let command = ["/usr/bin/bash", "-c", &script];
    outside(&command);
    for file in [&allowed, &denied] {
        fs::remove_file(file).expect("outside both have run");
    }
    let run = agent.run(&command);
    assert!(allowed.exists(), "{}", told(&run.output));
    assert!(!denied.exists(), "{}", told(&run.output));
    assert_eq!(verdicts(&run, "/usr/bin/touch"), ["allow"]);
    assert_eq!(verdicts(&run, "/usr/bin/perl"), ["deny"]);

    let own = TcpServer::on(LOOPBACK);
    let engine = TcpServer::at("127.0.0.1:2375".parse().expect("an address")).expect("it is free");
    let connect = |server: &TcpServer| {
        let script = format!(
            "import socket; socket.create_connection(('127.0.0.1', {}))",
            server.address.port()
        );
        agent.run(&[PYTHON, "-c", &script]).output.status.success()
    };
    assert_eq!((connect(&own), own.arrived()), (true, 1));
    assert_eq!((connect(&engine), engine.arrived()), (false, 0));
}

#[test]
fn a_readonly_operator_looks_and_does_not_touch() {
    let agent = agent("readonly-ops");
    let mark = place::directory("ops").join("mark");
    let script = format!(
        "import subprocess\n\
         print(subprocess.run(['/usr/bin/uname', '-r'], capture_output=True, text=True).stdout, end='')\n\
         try: subprocess.run(['/usr/bin/touch', '{}'])\n\
         except PermissionError: print('denied')\n",
        mark.display()
    );
    let command = [PYTHON, "-c", &script];
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    assert_eq!(said(&outside(&command)), release);
    fs::remove_file(&mark).expect("outside it has run");
    let run = agent.run(&command);
    assert_eq!(
        said(&run.output),
        format!("{release}denied\n"),
        "{}",
        told(&run.output)
    );
    assert!(!Path::new(&mark).exists());
    assert_eq!(verdicts(&run, "/usr/bin/uname"), ["allow"]);
    assert_eq!(verdicts(&run, "/usr/bin/touch"), ["deny"]);
}

#[test]
fn a_coding_agent_is_accepted_and_runs_its_tools() {
    let run = agent("coding-agent").run(&["/usr/bin/git", "--version"]);
    assert!(
        said(&run.output).starts_with("git version"),
        "{}",
        told(&run.output)
    );
    let run = agent("coding-agent").run(&["/usr/bin/socat", "-V"]);
    assert_eq!(run.output.status.code(), Some(126), "{}", told(&run.output));
    assert_eq!(said(&run.output), "");
    assert!(said(&outside(&["/usr/bin/socat", "-V"])).starts_with("socat"));
}
