//! `test`: every suite, a table of what came out, and `N passed, N failed` as the last line.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;

use crate::kernel::Series;
use crate::libtest::{Tally, failures, tally};
use crate::suites::{BOOTS, Boot, HOST, HostCommand, HostSuite};
use crate::test_guest::Programs;
use crate::{build, cargo, demo, test_guest, workspace};

/// What test programs find in their environment when `--long` was asked.
pub const LONG_VARIABLE: &str = "ENFORCER_TEST_LONG";

/// The demonstration, as a suite.
pub const DEMO: &str = "demo";

/// Arguments of `test`.
#[derive(Args)]
pub struct Arguments {
    /// Run stress suites at their full length
    #[arg(long)]
    pub long: bool,
    /// Only on this kernel series
    #[arg(long, value_enum)]
    pub kernel: Option<Series>,
    /// Only these suites: of the host, ways to boot, or single test programs
    #[arg(value_name = "SUITE")]
    pub suites: Vec<String>,
}

impl Arguments {
    /// A misspelt suite must not pass for one that has nothing to say.
    fn refuse_unknown(&self) -> Result<()> {
        let folder = workspace::root().join("tests/tests");
        let mut known: Vec<String> = fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
            .collect();
        known.extend(HOST.iter().map(|suite| suite.name.to_owned()));
        known.extend(BOOTS.iter().map(|boot| boot.name.to_owned()));
        known.push(DEMO.to_owned());
        known.sort_unstable();
        for suite in &self.suites {
            ensure!(
                known.contains(suite),
                "no suite is called {suite}; there are {}",
                known.join(", ")
            );
        }
        Ok(())
    }

    fn wants(&self, name: &str) -> bool {
        self.suites.is_empty() || self.suites.iter().any(|suite| suite == name)
    }
}

/// What came of one suite.
pub struct Report {
    /// Its name.
    pub suite: String,
    /// The kernel series, or `host`.
    pub place: String,
    /// The counts.
    pub tally: Tally,
    /// How long it took.
    pub seconds: u64,
    /// All that it said.
    pub log: PathBuf,
}

/// Runs the suites that are asked for; fails when a test does.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    arguments.refuse_unknown()?;
    let enforcer = build::product(false)?;
    fs::create_dir_all(logs())?;
    let mut reports = Vec::new();
    for suite in HOST.iter().filter(|suite| arguments.wants(suite.name)) {
        let report = run_on_host(suite, arguments.long);
        reports.push(told(
            report.or_else(|error| broken(suite.name, "host", &error))?,
        )?);
    }
    let programs = if wants_guest(arguments) {
        Some(Programs::build()?)
    } else {
        None
    };
    if let Some(programs) = &programs {
        reports.extend(run_in_guests(arguments, &enforcer, programs)?);
    }
    // What a reader sees first, as it is when all the rest has been tested.
    if wants_demo(arguments) {
        let report = demo::suite(&enforcer);
        reports.push(told(
            report.or_else(|error| broken(DEMO, &demo::KERNEL.to_string(), &error))?,
        )?);
    }
    Ok(summary(&reports))
}

/// One lane a kernel, at the same time: an emulated VM keeps one core busy.
fn run_in_guests(
    arguments: &Arguments,
    enforcer: &Path,
    programs: &Programs,
) -> Result<Vec<Report>> {
    let kernels = Series::ALL
        .into_iter()
        .filter(|series| arguments.kernel.is_none_or(|wanted| wanted == *series));
    std::thread::scope(|scope| {
        let lanes: Vec<_> = kernels
            .map(|kernel| scope.spawn(move || run_lane(arguments, kernel, enforcer, programs)))
            .collect();
        let mut reports = Vec::new();
        for lane in lanes {
            match lane.join() {
                Ok(lane) => reports.extend(lane?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(reports)
    })
}

/// The report of a suite that could not be run: a failure like any other, after which the rest is run.
fn broken(suite: &str, place: &str, error: &anyhow::Error) -> Result<Report> {
    let log = logs().join(format!("{suite}-{place}.log"));
    fs::write(&log, format!("it could not be run: {error:#}\n"))?;
    Ok(Report {
        suite: suite.to_owned(),
        place: place.to_owned(),
        tally: Tally::of_check(false),
        seconds: 0,
        log,
    })
}

/// Every boot that is wanted, one after the other, on one kernel.
fn run_lane(
    arguments: &Arguments,
    kernel: Series,
    enforcer: &Path,
    programs: &Programs,
) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for boot in BOOTS {
        let names = wanted_programs(arguments, boot, programs);
        if names.is_empty() {
            continue;
        }
        let ran = test_guest::run(boot, kernel, enforcer, programs, &names, arguments.long);
        let ran = match ran {
            Ok(reports) => reports,
            Err(error) => vec![broken(boot.name, &kernel.to_string(), &error)?],
        };
        for report in ran {
            reports.push(told(report)?);
        }
    }
    Ok(reports)
}

/// Where suites leave what they say.
pub fn logs() -> PathBuf {
    workspace::target().join("test")
}

/// Whether test programs are asked for.
fn wants_guest(arguments: &Arguments) -> bool {
    let other = |name: &String| name == DEMO || HOST.iter().any(|suite| suite.name == name);
    arguments.suites.is_empty() || !arguments.suites.iter().all(other)
}

fn wants_demo(arguments: &Arguments) -> bool {
    let on_its_kernel = arguments.kernel.is_none_or(|wanted| wanted == demo::KERNEL);
    arguments.wants(DEMO) && on_its_kernel
}

fn wanted_programs<'a>(arguments: &Arguments, boot: &Boot, programs: &'a Programs) -> Vec<&'a str> {
    let mut names = boot.of(&programs.names());
    if !arguments.wants(boot.name) {
        names.retain(|name| arguments.wants(name));
    }
    names
}

fn run_on_host(suite: &HostSuite, long: bool) -> Result<Report> {
    eprintln!("test: {} on the host", suite.name);
    let began = Instant::now();
    let log = logs().join(format!("{}-host.log", suite.name));
    let mut cargo = match suite.command {
        HostCommand::Cargo(words) => {
            let mut cargo = cargo::host();
            cargo.args(words);
            cargo
        }
        HostCommand::KernelClippy => build::kernel_clippy()?,
    };
    let file = File::create(&log)?;
    cargo
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    if long {
        cargo.env(LONG_VARIABLE, "1");
    }
    let succeeded = cargo.status()?.success();
    let tally = if suite.is_check {
        Tally::of_check(succeeded)
    } else {
        tally(&read(&log)?, succeeded)
    };
    let seconds = began.elapsed().as_secs();
    Ok(Report {
        suite: suite.name.to_owned(),
        place: "host".to_owned(),
        tally,
        seconds,
        log,
    })
}

/// Tells of a report as soon as it is there, with what failed.
fn told(report: Report) -> Result<Report> {
    let Tally { passed, failed, .. } = report.tally;
    println!(
        "{} on {}: {passed} passed, {failed} failed ({} s)",
        report.suite, report.place, report.seconds
    );
    if failed > 0 {
        println!(
            "--- {}\n{}\n---",
            report.log.display(),
            failures(&read(&report.log)?)
        );
    }
    Ok(report)
}

/// A log, whatever bytes a test has put into it.
pub fn read(log: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(log)?).into_owned())
}

fn summary(reports: &[Report]) -> ExitCode {
    let mut total = Tally::default();
    println!(
        "\n{:<28} {:<6} {:>7} {:>7} {:>8} {:>8}",
        "suite", "on", "passed", "failed", "ignored", "seconds"
    );
    for Report {
        suite,
        place,
        tally,
        seconds,
        ..
    } in reports
    {
        let Tally {
            passed,
            failed,
            ignored,
        } = tally;
        println!("{suite:<28} {place:<6} {passed:>7} {failed:>7} {ignored:>8} {seconds:>8}");
        total += *tally;
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
