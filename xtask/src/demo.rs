//! `demo`: a real agent held to its allowlists in the test VM, attempt by attempt.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::vm::{self, Arguments, End};
use crate::{build, workspace};

/// The program that plays the servers, starts the agent and checks what came of every attempt.
const PROGRAM: [&str; 2] = ["/usr/bin/python3", "/src/tests/demo/run.py"];

/// Runs the demonstration and keeps its audit records in `target/demo/records.jsonl`.
pub fn run() -> Result<ExitCode> {
    let enforcer = build::product(false)?;
    let arguments = Arguments {
        systemd: true,
        command: PROGRAM.map(str::to_owned).to_vec(),
        ..Arguments::default()
    };
    let outcome = vm::boot(
        &arguments,
        Some(&enforcer),
        &[],
        Box::new(std::io::stdout()),
    )?;
    match outcome.end {
        End::Exit(0) => keep_records(&outcome)?,
        // What is there is kept to look at; the exit status tells already that something went wrong.
        End::Exit(_) | End::TimedOut | End::Died => drop(keep_records(&outcome)),
    }
    Ok(vm::exit_code(&outcome))
}

fn keep_records(outcome: &vm::Outcome) -> Result<()> {
    let kept = workspace::target().join("demo/records.jsonl");
    fs::create_dir_all(kept.parent().expect("the records stand in a directory"))?;
    fs::copy(outcome.results.join("records.jsonl"), &kept)
        .context("the demonstration left no records")?;
    eprintln!("demo: audit records in {}", kept.display());
    Ok(())
}
