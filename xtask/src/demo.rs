//! `demo`: a real agent held to its allowlists, attempt by attempt.
//!
//! It makes network namespaces, a service and a group, and puts a policy in force. So it runs in a test VM, unless it
//! is told to run here and this host really enforces.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::command::command;
use crate::kernel::Series;
use crate::libtest::Tally;
use crate::records::Checker;
use crate::stamp::remove;
use crate::test::{DEMO, Report, logs};
use crate::vm::{self, End, Outcome};
use crate::{build, workspace};

/// The program that plays the servers, starts the agent and checks what came of every attempt; under the workspace.
const PROGRAM: &str = "tests/demo/run.py";
/// Where the VM has the workspace, and where the product's policies are installed.
const GUEST_WORKSPACE: &str = "/src";
const GUEST_POLICY: &str = "/usr/share/enforcer/policies/coding-agent.toml";
/// Where the guest leaves things for the host.
const GUEST_RESULTS: &str = "/results";
const RECORDS: &str = "records.jsonl";
const SUMMARY: &str = "summary";
/// The newer of those that are tested.
pub const KERNEL: Series = Series::V6_12;
/// Far beyond what a slow machine needs.
const TIME_LIMIT: u64 = 900;

/// Arguments of `demo`.
#[derive(Args)]
pub struct Arguments {
    /// Run on this host, where an enforcer daemon must be enforcing, instead of in a test VM
    #[arg(long)]
    here: bool,
}

/// Runs the demonstration and keeps its audit records in `target/demo/records.jsonl`.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let enforcer = build::product(false)?;
    prepare()?;
    let (ended, results) = if arguments.here {
        here(&enforcer)?
    } else {
        in_a_vm(&enforcer)?
    };
    conclude(ended, &results)
}

/// Why it is not run here, then the VM; gives how the program ended and where it left what.
fn in_a_vm(enforcer: &Path) -> Result<(ExitCode, PathBuf)> {
    if is_enforcing(enforcer) {
        eprintln!("demo: in a test VM, though this host enforces (--here runs it on this host)");
    } else {
        eprintln!("demo: in a test VM, as `enforcer doctor` says that this host does not enforce");
    }
    let outcome = boot(enforcer, Box::new(std::io::stdout()))?;
    Ok((vm::exit_code(&outcome), outcome.results))
}

fn boot(enforcer: &Path, sink: Box<dyn Write + Send>) -> Result<Outcome> {
    let program = Path::new(GUEST_WORKSPACE).join(PROGRAM);
    let arguments = vm::Arguments {
        kernel: KERNEL,
        systemd: true,
        time_limit: Some(TIME_LIMIT),
        command: words(&program, GUEST_POLICY, Path::new(GUEST_RESULTS)),
        ..vm::Arguments::default()
    };
    let outcome = vm::boot(&arguments, Some(enforcer), &[], sink)?;
    if !matches!(outcome.end, End::Exit(_)) {
        eprintln!("demo: did not come to its end");
    }
    Ok(outcome)
}

/// Runs it as a suite of `test`: each of its lines counts.
pub fn suite(enforcer: &Path) -> Result<Report> {
    eprintln!("test: demo on {KERNEL}");
    prepare()?;
    let began = Instant::now();
    let log = logs().join(format!("demo-{KERNEL}.log"));
    let outcome = boot(enforcer, Box::new(fs::File::create(&log)?))?;
    let ended = conclude(vm::exit_code(&outcome), &outcome.results)?;
    let summary = fs::read_to_string(outcome.results.join(SUMMARY)).unwrap_or_default();
    Ok(Report {
        suite: DEMO.to_owned(),
        place: KERNEL.to_string(),
        tally: counted(&summary, ended == ExitCode::SUCCESS),
        seconds: began.elapsed().as_secs(),
        log,
    })
}

/// Its lines, from its last one. One that was not written, or an end that it does not explain, is a failure.
fn counted(summary: &str, succeeded: bool) -> Tally {
    let count = |what: &str| {
        let mut parts = summary.split([':', ',', ';']);
        let number = parts.find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
        number.unwrap_or(0_u32)
    };
    let mut tally = Tally {
        passed: count("allowed as expected") + count("denied as expected"),
        failed: count("surprises"),
        ignored: 0,
    };
    if !succeeded || tally.passed == 0 {
        tally.failed = tally.failed.max(1);
    }
    tally
}

fn here(enforcer: &Path) -> Result<(ExitCode, PathBuf)> {
    if !is_enforcing(enforcer) {
        bail!(
            "this host does not enforce; `enforcer doctor` tells why. Without --here, a test VM is used:\n  \
             cargo xtask demo"
        );
    }
    let root = workspace::root();
    let policy = root.join("policies/coding-agent.toml");
    let words = words(&root.join(PROGRAM), &policy.display().to_string(), &kept());
    let status = command(&words[0])
        .args(&words[1..])
        .status()
        .context("cannot run python3")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok((code.map_or(ExitCode::FAILURE, ExitCode::from), kept()))
}

fn words(program: &Path, policy: &str, results: &Path) -> Vec<String> {
    let path = |path: PathBuf| path.display().to_string();
    let mut words = vec![
        "/usr/bin/python3".to_owned(),
        "-B".to_owned(),
        path(program.to_path_buf()),
        "--policy".to_owned(),
        policy.to_owned(),
        "--records".to_owned(),
        path(results.join(RECORDS)),
        "--summary".to_owned(),
        path(results.join(SUMMARY)),
    ];
    if std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
    {
        words.push("--colour".to_owned());
    }
    words
}

/// Whether a daemon enforces on this host: the kernel denied its canary.
fn is_enforcing(enforcer: &Path) -> bool {
    let doctor = Command::new(enforcer)
        .arg("doctor")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    doctor.is_ok_and(|status| status.success())
}

/// Keeps the records, checks their form and says the last line.
fn conclude(ended: ExitCode, results: &Path) -> Result<ExitCode> {
    let records = kept().join(RECORDS);
    let left = results.join(RECORDS);
    if !left.exists() {
        if ended == ExitCode::SUCCESS {
            eprintln!("demo: it ended with status 0 and left no records: nothing is shown by that");
            return Ok(ExitCode::FAILURE);
        }
        // It has said itself why it could not go on.
        return Ok(ended);
    }
    if left != records {
        fs::copy(&left, &records).context("the records cannot be kept")?;
    }
    let well_formed = check_form(&records);
    let root = workspace::root();
    let shown = records.strip_prefix(&root).unwrap_or(&records);
    let summary = fs::read_to_string(results.join(SUMMARY)).unwrap_or_default();
    println!("\n{summary} in {}", shown.display());
    Ok(if well_formed {
        ended
    } else {
        ExitCode::FAILURE
    })
}

/// Has the records checked against the schema, where the checker is at hand.
fn check_form(records: &Path) -> bool {
    let Some(checker) = Checker::find() else {
        return true;
    };
    let checked = checker.check(&[records.to_path_buf()]);
    match &checked {
        Ok(()) => println!("Every record follows the schema of OCSF."),
        Err(faults) => eprintln!("demo: the records do not follow OCSF: {faults:#}"),
    }
    checked.is_ok()
}

/// What an earlier run left must not pass for this one's.
fn prepare() -> Result<()> {
    fs::create_dir_all(kept())?;
    remove(&kept().join(RECORDS))
}

fn kept() -> PathBuf {
    workspace::target().join("demo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_came_out_as_expected_have_passed_and_surprises_have_not() {
        let summary = |surprises: u32| {
            format!(
                "demo: 8 allowed as expected, 20 denied as expected, {surprises} surprises; 69 records"
            )
        };
        let tally = |summary: &str, succeeded| {
            let tally = counted(summary, succeeded);
            (tally.passed, tally.failed)
        };
        assert_eq!(tally(&summary(0), true), (28, 0));
        assert_eq!(tally(&summary(3), false), (28, 3));
        assert_eq!(tally(&summary(0), false), (28, 1), "the records' form");
        assert_eq!(tally("", true), (0, 1), "it did not say");
    }
}
