//! Which files run: by the file that the kernel opened, whatever its name and however it was asked for.
#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use enforcer_tests::{Agent, Policy, Record, Run, place, record::lines};

/// A directory with copies of `touch`, whose running leaves a file.
struct Bench {
    directory: PathBuf,
}

impl Bench {
    fn new(label: &str) -> Self {
        Self {
            directory: place::directory(label),
        }
    }

    /// Of a folder that others than root can change: what is in it is looked at when a policy is applied, and at no
    /// other time.
    fn open(label: &str) -> Self {
        let bench = Self::new(label);
        place::mode(&bench.directory, 0o777);
        bench
    }

    fn path(&self, name: &str) -> String {
        place::text(&self.directory.join(name)).to_owned()
    }

    /// A program of this name.
    fn tool(&self, name: &str) -> String {
        place::copy("/usr/bin/touch", self.path(name));
        self.path(name)
    }

    /// A script of this name, which leaves the file that its first argument names.
    fn script(&self, name: &str, interpreter: &str) -> String {
        let text = format!("#!{interpreter}\n: >\"$1\"\n");
        place::script(self.path(name), &text);
        self.path(name)
    }

    /// Where a running program leaves its file.
    fn mark(&self, name: &str) -> String {
        self.path(&format!("mark-{name}"))
    }

    /// Whether the program that was to leave this file ran.
    fn ran(&self, name: &str) -> bool {
        Path::new(&self.mark(name)).exists()
    }

    /// `ATTEMPT PROGRAM` with the file that it leaves.
    fn attempt(&self, how: &str, program: &str, name: &str) -> String {
        format!("{how} {program} {}", self.mark(name))
    }

    /// Runs a program in a session of its own and looks that it did run.
    fn runs(&self, agent: &Agent, how: &str, program: &str, name: &str) -> Run {
        let run = agent.probe(&[self.attempt(how, program, name)]);
        assert_eq!(run.answers[0].errno, 0, "{name}: {:?}", run.answers);
        assert!(self.ran(name), "{name} did not run");
        run
    }

    /// Tries to run a program in a session of its own and looks that it did not run.
    fn is_denied(&self, agent: &Agent, how: &str, program: &str, name: &str) -> Run {
        let run = agent.probe(&[self.attempt(how, program, name)]);
        assert!(run.answers[0].denied(), "{name}: {:?}", run.answers);
        assert!(!self.ran(name), "{name} ran");
        run
    }
}

/// The exec records of a run, without that of the probe itself.
fn execs(run: &Run) -> Vec<Record> {
    let records = run.records().into_iter();
    records
        .filter(|record| record.kind() == "exec")
        .skip(1)
        .collect()
}

fn told(run: &Run) -> Vec<String> {
    lines(&execs(run))
}

#[test]
fn a_listed_file_runs_and_an_unlisted_one_does_not() {
    let bench = Bench::new("listed");
    let (tool, other) = (bench.tool("tool"), bench.tool("other"));
    let agent = Policy::new("listed").exec("tools", &[&tool]).apply();
    let run = bench.runs(&agent, "exec", &tool, "tool");
    assert_eq!(told(&run), [format!("exec {tool} allow rule-allows tools")]);
    let run = bench.is_denied(&agent, "exec", &other, "other");
    assert_eq!(told(&run), [format!("exec {other} deny not-listed")]);
}

#[test]
fn a_listed_file_runs_by_its_links_too() {
    let bench = Bench::new("links");
    let tool = bench.tool("tool");
    let (soft, hard) = (bench.path("soft"), bench.path("hard"));
    symlink(&tool, &soft).unwrap();
    fs::hard_link(&tool, &hard).unwrap();
    let agent = Policy::new("links").exec("tools", &[&tool]).apply();
    bench.runs(&agent, "exec", &soft, "soft");
    bench.runs(&agent, "exec", &hard, "hard");
}

#[test]
fn a_link_to_an_unlisted_file_does_not_run_whatever_it_is_called() {
    let bench = Bench::new("false-links");
    let (tool, other) = (bench.tool("tool"), bench.tool("other"));
    fs::create_dir(bench.path("bin")).unwrap();
    let (soft, hard) = (bench.path("bin/tool"), bench.path("tool-again"));
    symlink(&other, &soft).unwrap();
    fs::hard_link(&other, &hard).unwrap();
    let agent = Policy::new("false-links").exec("tools", &[&tool]).apply();
    let run = bench.is_denied(&agent, "exec", &soft, "soft");
    // The file behind the link is what was judged and what is recorded.
    assert_eq!(told(&run), [format!("exec {other} deny not-listed")]);
    bench.is_denied(&agent, "exec", &hard, "hard");
    bench.is_denied(&agent, &format!("exec-as {tool}"), &other, "argv0");
    bench.runs(&agent, "exec", &tool, "twin");
}

#[test]
fn a_copy_of_a_listed_file_does_not_run() {
    let bench = Bench::new("copy");
    let (tool, copy) = (bench.tool("tool"), bench.path("copy"));
    let agent = Policy::new("copy").exec("tools", &[&tool]).apply();
    let run = agent.probe(&[
        format!("copy {tool} {copy}"),
        bench.attempt("exec", &copy, "copy"),
        bench.attempt("exec", &tool, "twin"),
    ]);
    let errnos: Vec<_> = run.answers.iter().map(|answer| answer.errno).collect();
    assert_eq!(errnos, [0, nix::libc::EPERM, 0]);
    assert!(!bench.ran("copy") && bench.ran("twin"));
}

#[test]
fn an_unlisted_file_does_not_run_under_the_name_of_a_listed_one() {
    let bench = Bench::open("rename");
    let (tool, other) = (bench.tool("tool"), bench.tool("other"));
    let agent = Policy::new("rename").exec("tools", &[&tool]).apply();
    bench.runs(&agent, "exec", &tool, "twin");
    let run = agent.probe(&[
        format!("rename {other} {tool}"),
        bench.attempt("exec", &tool, "renamed"),
    ]);
    assert_eq!(run.answers[0].errno, 0);
    assert!(run.answers[1].denied() && !bench.ran("renamed"));
    assert_eq!(told(&run), [format!("exec {tool} deny not-listed")]);
}

#[test]
fn a_file_that_changed_in_place_does_not_run_until_the_policy_is_applied_again() {
    let bench = Bench::open("changed");
    let (tool, quiet) = (bench.tool("tool"), bench.tool("quiet"));
    let policy = Policy::new("changed").exec("tools", &[&tool, &quiet]);
    let agent = policy.apply();
    bench.runs(&agent, "exec", &tool, "before");
    let mut bytes = fs::read(&tool).unwrap();
    bytes.push(0);
    fs::write(&tool, bytes).unwrap();
    let run = bench.is_denied(&agent, "exec", &tool, "after");
    assert_eq!(told(&run), [format!("exec {tool} deny file-changed")]);
    // Content of the same size, and a change of the mode alone, count too.
    let same = fs::read(&quiet).unwrap();
    fs::write(&quiet, same).unwrap();
    bench.is_denied(&agent, "exec", &quiet, "rewritten");
    let agent = policy.apply();
    bench.runs(&agent, "exec", &tool, "applied");
    bench.runs(&agent, "exec", &quiet, "applied-too");
    place::mode(Path::new(&tool), 0o4755);
    bench.is_denied(&agent, "exec", &tool, "setuid");
}

#[test]
fn a_file_without_a_name_does_not_run() {
    let bench = Bench::new("nameless");
    let tool = bench.tool("tool");
    let agent = Policy::new("nameless").exec("tools", &[&tool]).apply();
    let directory = bench.path("");
    for (how, name) in [
        ("memfd".to_owned(), "memfd"),
        (format!("tmpfile {directory}"), "tmpfile"),
        (format!("deleted {directory}"), "deleted"),
    ] {
        let run = bench.is_denied(&agent, &how, &tool, name);
        let execs = execs(&run);
        assert_eq!(execs.len(), 1, "{:?}", lines(&execs));
        assert_eq!(execs[0].reason(), "not-listed", "{name}");
        // The twins: outside the session the same goes, inside the listed file runs by descriptor.
        let outside = Run::outside(&[bench.attempt(&how, &tool, name)]);
        assert_eq!(outside.answers[0].errno, 0, "{name}: {:?}", outside.answers);
        assert!(bench.ran(name));
    }
    bench.runs(&agent, "fexec", &tool, "by-descriptor");
}

#[test]
fn a_script_is_judged_and_then_its_interpreter() {
    let bench = Bench::new("script");
    let shell = "/usr/bin/bash";
    let script = bench.script("script", shell);
    let agent = Policy::new("script")
        .exec("scripts", &[&script])
        .exec("shell", &[shell])
        .apply();
    let run = bench.runs(&agent, "exec", &script, "both");
    assert_eq!(
        told(&run),
        [
            format!("exec {script} allow rule-allows scripts"),
            format!("exec {shell} allow rule-allows shell"),
        ]
    );
}

#[test]
fn a_listed_script_whose_interpreter_is_not_listed_does_not_run() {
    let bench = Bench::new("no-shell");
    let shell = "/usr/bin/bash";
    let script = bench.script("script", shell);
    let agent = Policy::new("no-shell").exec("scripts", &[&script]).apply();
    let run = bench.is_denied(&agent, "exec", &script, "script");
    assert_eq!(
        told(&run),
        [
            format!("exec {script} allow rule-allows scripts"),
            format!("exec {shell} deny not-listed"),
        ]
    );
}

#[test]
fn an_unlisted_script_does_not_run_though_its_interpreter_is_listed() {
    let bench = Bench::new("no-script");
    let shell = "/usr/bin/bash";
    let script = bench.script("script", shell);
    let agent = Policy::new("no-script").exec("shell", &[shell]).apply();
    let run = bench.is_denied(&agent, "exec", &script, "script");
    assert_eq!(told(&run), [format!("exec {script} deny not-listed")]);
    bench.runs(&agent, "exec", &format!("{shell} {script}"), "given-to-it");
}

#[test]
fn a_listed_directory_allows_every_file_below_it_but_those_that_a_rule_denies() {
    let bench = Bench::open("directory");
    fs::create_dir_all(bench.path("bin/deep/er")).unwrap();
    let tools = ["bin/one", "bin/deep/er/two", "bin/three", "four"];
    let [one, two, three, four] = tools.map(|name| bench.tool(name));
    let agent = Policy::new("directory")
        .exec("all", &[&bench.path("bin/")])
        .deny_exec("not-three", &[&three])
        .apply();
    bench.runs(&agent, "exec", &one, "one");
    bench.runs(&agent, "exec", &two, "two");
    let run = bench.is_denied(&agent, "exec", &three, "three");
    assert_eq!(
        told(&run),
        [format!("exec {three} deny rule-denies not-three")]
    );
    bench.is_denied(&agent, "exec", &four, "four");
    // A file that came later is unknown until the policy is applied again.
    let late = bench.tool("bin/late");
    bench.is_denied(&agent, "exec", &late, "late");
}

#[test]
fn every_kind_of_descendant_is_held_to_the_executables() {
    let bench = Bench::new("descendants");
    let (tool, other) = (bench.tool("tool"), bench.tool("other"));
    let agent = Policy::new("descendants").exec("tools", &[&tool]).apply();
    for how in [
        "fork exec",
        "orphan exec",
        "thread exec",
        "vfork exec",
        "fork fork fexec",
    ] {
        let name = how.replace(' ', "-");
        bench.is_denied(&agent, how, &other, &format!("{name}-no"));
        bench.runs(&agent, how, &tool, &format!("{name}-yes"));
    }
}

#[test]
fn in_monitor_mode_everything_runs_and_the_record_says_what_would_be_denied() {
    let bench = Bench::open("monitor");
    let (tool, other) = (bench.tool("tool"), bench.tool("other"));
    let script = bench.script("script", "/usr/bin/bash");
    let agent = Policy::new("monitor")
        .exec("tools", &[&tool])
        .monitor()
        .apply();
    let run = bench.runs(&agent, "exec", &tool, "tool");
    assert_eq!(told(&run), [format!("exec {tool} allow rule-allows tools")]);
    let run = bench.runs(&agent, "exec", &other, "other");
    assert_eq!(told(&run), [format!("exec {other} would-deny not-listed")]);
    let run = bench.runs(&agent, "memfd", &tool, "memfd");
    let execs = execs(&run);
    assert_eq!(
        (execs[0].verdict(), execs[0].reason()),
        ("would-deny", "not-listed")
    );
    let run = bench.runs(&agent, "exec", &script, "script");
    assert_eq!(
        told(&run),
        [
            format!("exec {script} would-deny not-listed"),
            "exec /usr/bin/bash would-deny not-listed".to_owned(),
        ]
    );
    fs::write(&tool, fs::read(&tool).unwrap()).unwrap();
    let run = bench.runs(&agent, "exec", &tool, "changed");
    assert_eq!(told(&run), [format!("exec {tool} would-deny file-changed")]);
}

#[test]
fn a_session_whose_first_command_is_not_listed_does_not_begin_to_run() {
    let bench = Bench::new("first");
    let (tool, other) = (bench.tool("tool"), bench.tool("other"));
    let agent = Policy::bare("first").exec("tools", &[&tool]).apply();
    let run = agent.run(&[&other, &bench.mark("other")]);
    assert_eq!(run.output.status.code(), Some(126));
    assert!(!bench.ran("other"));
    let records = lines(&run.records());
    assert_eq!(
        records,
        [
            "session-start allow enrolled".to_owned(),
            format!("exec {other} deny not-listed"),
            "session-end allow session-ended".to_owned(),
        ]
    );
    let run = agent.run(&[&tool, &bench.mark("tool")]);
    assert!(run.output.status.success() && bench.ran("tool"));
}
