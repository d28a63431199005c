//! Suites in the test VM: one boot runs all its test programs, and its output is taken apart again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::cargo::Executable;
use crate::command::shell_quoted;
use crate::kernel::Series;
use crate::libtest::{Tally, tally};
use crate::stage::stripped;
use crate::suites::{Boot, unknown};
use crate::test::{LONG_VARIABLE, Report, logs, read};
use crate::vm::{self, End};
use crate::{cargo, records, workspace};

/// Where test programs and the helpers they start lie in the guest, on its own disk: identity by file is what is tested.
pub const PLACE: &str = "opt/enforcer-tests";
/// Lines of the guest that part one program's output from the next one's. No test prints an escape of this kind.
const MARK: &str = "\u{1b}]enforcer-test;";
/// Seconds for the boot itself and for bringing its records over, at most.
const BOOT_LIMIT: u64 = 150;
/// Where the guest leaves all records of the boot, and where it says so to tests that remove some.
const RECORDS: &str = "records";
const RECORDS_VARIABLE: &str = "ENFORCER_TEST_RECORDS";

/// The programs of the package `enforcer-tests`.
pub struct Programs {
    tests: Vec<Executable>,
    helpers: Vec<Executable>,
}

impl Programs {
    /// Builds them.
    pub fn build() -> Result<Self> {
        let mut cargo = cargo::host();
        cargo.args([
            "test",
            "--locked",
            "--package",
            "enforcer-tests",
            "--no-run",
        ]);
        let built = cargo::executables(&mut cargo)?;
        let (tests, others): (Vec<_>, Vec<_>) = built
            .into_iter()
            .partition(|program| program.kind == "test");
        let helpers = others
            .into_iter()
            .filter(|program| program.kind == "bin" && !program.is_test)
            .collect();
        let programs = Self { tests, helpers };
        let unknown = unknown(&programs.names());
        ensure!(
            unknown.is_empty(),
            "boots name test programs that are not there: {}",
            unknown.join(", ")
        );
        Ok(programs)
    }

    /// The names of the test programs.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .tests
            .iter()
            .map(|program| program.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    /// What to lay over the guest's root for `names`: these and every helper.
    pub fn files(&self, names: &[&str]) -> Result<Vec<(PathBuf, String)>> {
        let tests = self
            .tests
            .iter()
            .filter(|program| names.contains(&program.name.as_str()));
        let place = |program: &Executable| {
            Ok((
                stripped(&program.path)?,
                format!("{PLACE}/{}", program.name),
            ))
        };
        tests.chain(&self.helpers).map(place).collect()
    }
}

/// Boots once and runs the test programs `names` in it; one report for each, and one for the form of their records.
pub fn run(
    boot: &Boot,
    kernel: Series,
    enforcer: &Path,
    programs: &Programs,
    names: &[&str],
    long: bool,
) -> Result<Vec<Report>> {
    eprintln!("test: {} on {kernel}: {}", boot.name, names.join(", "));
    let mut arguments = boot.arguments(kernel);
    arguments.time_limit = Some(BOOT_LIMIT + names.len() as u64 * (boot.limit(long) + 10));
    arguments.command = vec![
        "bash".to_owned(),
        "-c".to_owned(),
        [
            records_begin(),
            script(names, boot.limit(long), long),
            records_end(),
        ]
        .concat(),
    ];
    let whole = logs().join(format!("boot-{}-{kernel}.log", boot.name));
    let outcome = vm::boot(
        &arguments,
        Some(enforcer),
        &programs.files(names)?,
        Box::new(File::create(&whole)?),
    )?;
    let end = match outcome.end {
        End::Exit(status) => format!("the VM ended with status {status}"),
        End::TimedOut => "the VM was ended on its time limit".to_owned(),
        End::Died => "the VM died".to_owned(),
    };
    let console = outcome
        .console
        .strip_prefix(workspace::root())
        .unwrap_or(&outcome.console)
        .to_path_buf();
    let results = outcome
        .results
        .strip_prefix(workspace::root())
        .unwrap_or(&outcome.results)
        .to_path_buf();
    let end = format!(
        "{end}; console: {}, results: {}\n",
        console.display(),
        results.display()
    );
    let output = read(&whole)?;
    let mut reports = names
        .iter()
        .map(|name| report(name, kernel, section(&output, name), &output, &end))
        .collect::<Result<Vec<_>>>()?;
    if boot.records {
        reports.extend(records::suite(
            boot,
            kernel,
            &outcome.results.join(RECORDS),
        )?);
    }
    Ok(reports)
}

/// The command of the guest: each program between its two marks.
fn script(names: &[&str], limit: u64, long: bool) -> String {
    let mut script = format!("export ENFORCER_TESTS=/{PLACE}\ncd /{PLACE}\n");
    if long {
        script += &format!("export {LONG_VARIABLE}=1\n");
    }
    script += "begin() { printf '\\n%sbegin;%s\\n' \"$MARK\" \"$1\"; SECONDS=0; }\n";
    script += "end() { printf '\\n%send;%s;%s;%s\\n' \"$MARK\" \"$1\" \"$2\" \"$SECONDS\"; }\n";
    script += &format!("MARK={}\n", shell_quoted(MARK));
    for name in names {
        script += &format!(
            "begin {name}; timeout --kill-after=5 {limit} ./{name} --test-threads=1; end {name} $?\n"
        );
    }
    script
}

fn records_begin() -> String {
    let folder = format!("/results/{RECORDS}");
    format!("export {RECORDS_VARIABLE}={folder}\nmkdir -p {folder}\n")
}

/// Whole lines: a daemon may be writing the last one, or was killed while it did.
fn records_end() -> String {
    format!(
        "for log in /var/log/enforcer/*.jsonl; do\n\
         [ ! -f \"$log\" ] || head -n \"$(wc -l <\"$log\")\" \"$log\" >/results/{RECORDS}/\"${{log##*/}}\"\n\
         done\n"
    )
}

/// What one program has said, and how it ended.
struct Section<'a> {
    output: &'a str,
    /// Its exit status and the seconds it took; nothing when it did not come to its end.
    end: Option<(u8, u64)>,
}

fn section<'a>(output: &'a str, name: &str) -> Option<Section<'a>> {
    let (_, rest) = output.split_once(&format!("{MARK}begin;{name}\n"))?;
    let Some((output, rest)) = rest.split_once(&format!("{MARK}end;{name};")) else {
        return Some(Section {
            output: rest,
            end: None,
        });
    };
    let numbers = rest.lines().next().and_then(|line| line.split_once(';'));
    let end =
        numbers.and_then(|(status, seconds)| Some((status.parse().ok()?, seconds.parse().ok()?)));
    Some(Section { output, end })
}

fn report(
    name: &str,
    kernel: Series,
    section: Option<Section<'_>>,
    whole: &str,
    vm_end: &str,
) -> Result<Report> {
    let log = logs().join(format!("{name}-{kernel}.log"));
    let (text, tally, seconds) = match section {
        // Nothing of this program: why is in what came before it, such as the daemon's refusal to start.
        None => (
            format!("{whole}\ndid not run: {vm_end}"),
            Tally {
                failed: 1,
                ..Tally::default()
            },
            0,
        ),
        Some(Section { output, end: None }) => (
            format!("{output}\ncut off: {vm_end}"),
            tally(output, false),
            0,
        ),
        Some(Section {
            output,
            end: Some((status, seconds)),
        }) => {
            let why = if status == 124 {
                "ended on its time limit; "
            } else {
                ""
            };
            (
                format!("{output}\nexit status {status}; {why}{vm_end}"),
                counted(output, status),
                seconds,
            )
        }
    };
    fs::write(&log, text)?;
    Ok(Report {
        suite: name.to_owned(),
        place: kernel.to_string(),
        tally,
        seconds,
        log,
    })
}

/// A program that tested nothing has not passed.
fn counted(output: &str, status: u8) -> Tally {
    let mut tally = tally(output, status == 0);
    if tally == Tally::default() {
        tally.failed = 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{command, output};

    #[test]
    fn the_output_of_a_boot_is_taken_apart_into_its_programs() {
        let directory = std::env::temp_dir().join(format!("xtask-guest-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in [("one", "echo first; exit 3"), ("two", "echo second")] {
            fs::write(directory.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            output(command("chmod").arg("+x").arg(directory.join(name))).unwrap();
        }
        let script = script(&["one", "two"], 9, false).replace(
            &format!("cd /{PLACE}"),
            &format!("cd {}", directory.display()),
        );
        let said = output(command("bash").args(["-c", &script])).unwrap();
        let one = section(&said, "one").unwrap();
        assert_eq!((one.output.trim(), one.end.unwrap().0), ("first", 3));
        let two = section(&said, "two").unwrap();
        assert_eq!((two.output.trim(), two.end.unwrap().0), ("second", 0));
        assert!(section(&said, "three").is_none());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_program_that_the_vm_did_not_outlive_has_no_end() {
        let said = format!("boot\n{MARK}begin;one\nrunning 2 tests\n");
        assert!(section(&said, "one").unwrap().end.is_none());
    }

    #[test]
    fn a_program_that_tested_nothing_has_not_passed() {
        let nothing = "running 0 tests\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(counted(nothing, 0).failed, 1);
        assert_eq!(counted("", 0).failed, 1);
    }
}
