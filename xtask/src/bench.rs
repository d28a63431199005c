//! `bench`: what the product costs, in guest instructions a call, in a VM that counts them.
//!
//! Time would be noise on an emulated processor; instructions are the same on every machine and in every run, but for
//! what interrupts add. What is measured stands in `tests/src/bin/bench/`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::arch::HOST;
use crate::kernel::Series;
use crate::plot;
use crate::stage::stripped;
use crate::vm::{self, End};
use crate::{build, cargo, workspace};

/// Where the guest has the program and the no-op kernel programs.
const PROGRAM: &str = "opt/enforcer-tests/bench";
const NOOP: &str = "opt/enforcer-tests/noop";
/// Far beyond what a slow machine needs.
const TIME_LIMIT: u64 = 1800;

/// Operations, in the order in which they are shown, with what a call of each is.
pub const OPERATIONS: [(&str, &str); 5] = [
    ("tcp", "TCP connect, accept, close"),
    ("udp", "UDP sendto"),
    ("exec", "fork, exec, exit, wait"),
    ("open", "open, close"),
    ("read", "read of 64 bytes"),
];
/// Modes, in the order in which they are measured.
pub const MODES: [&str; 7] = [
    "none",
    "noop",
    "outside",
    "allowed_10",
    "allowed_1000",
    "allowed_10000",
    "denied",
];

/// Instructions a call, by operation and mode.
pub type Numbers = BTreeMap<String, BTreeMap<String, u64>>;

/// Arguments of `bench`.
#[derive(Args)]
pub struct Arguments {
    /// Only on this kernel series
    #[arg(long, value_enum)]
    kernel: Option<Series>,
}

/// Measures, prints a table, and keeps `target/bench/latest.json`, `memory.json` and `latest.svg`.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let enforcer = build::product(true)?;
    let files = vec![(program()?, PROGRAM.to_owned()), (noop(), NOOP.to_owned())];
    let (mut numbers, mut memory) = (BTreeMap::new(), BTreeMap::new());
    for series in Series::ALL {
        if arguments.kernel.is_some_and(|wanted| wanted != series) {
            continue;
        }
        let arguments = vm::Arguments {
            kernel: series,
            no_daemon: true,
            icount: true,
            // Or what interrupts do for the caller would be taken from its account.
            append: vec!["tsc=noirqtime".to_owned()],
            time_limit: Some(TIME_LIMIT),
            command: vec![
                format!("/{PROGRAM}"),
                "run".to_owned(),
                "/results/bench.json".to_owned(),
                format!("/{NOOP}"),
            ],
            ..vm::Arguments::default()
        };
        let outcome = vm::boot(
            &arguments,
            Some(&enforcer),
            &files,
            Box::new(std::io::stderr()),
        )?;
        if !matches!(outcome.end, End::Exit(0)) {
            bail!(
                "nothing was measured on {series}; console: {}",
                outcome.console.display()
            );
        }
        let report = outcome.results.join("bench.json");
        let report = fs::read(&report).with_context(|| format!("no {}", report.display()))?;
        let report: Value = serde_json::from_slice(&report)?;
        let measured: Numbers = serde_json::from_value(report["instructions"].clone())?;
        print!("{}", table(series, &measured)?);
        numbers.insert(series.to_string(), measured);
        memory.insert(series.to_string(), report["memory"].clone());
    }
    keep(
        "latest.json",
        &format!("{:#}\n", serde_json::to_value(&numbers)?),
    )?;
    keep(
        "memory.json",
        &format!("{:#}\n", serde_json::to_value(&memory)?),
    )?;
    let plot = keep("latest.svg", &plot::svg(&numbers))?;
    println!("bench: {}", plot.with_file_name("latest.json").display());
    Ok(ExitCode::SUCCESS)
}

fn program() -> Result<PathBuf> {
    let mut cargo = cargo::host();
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--package",
        "enforcer-tests",
        "--bin",
        "bench",
    ]);
    let built = cargo::executables(&mut cargo)?;
    let bench = built.into_iter().find(|program| program.name == "bench");
    stripped(&bench.context("cargo built no bench")?.path)
}

fn noop() -> PathBuf {
    let build = workspace::target().join("bpf/build");
    build.join(HOST.bpf_triple).join("release/noop")
}

fn keep(name: &str, text: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

/// The numbers, and each as a percentage over nothing attached.
fn table(series: Series, numbers: &Numbers) -> Result<String> {
    let mut text = format!("\nLinux {series}, guest instructions a call\n");
    writeln!(
        text,
        "{:28}{}",
        "",
        MODES.map(|mode| format!("{mode:>18}")).concat()
    )?;
    for (operation, meaning) in OPERATIONS {
        let by_mode = numbers.get(operation).context(operation)?;
        let base = *by_mode.get("none").context("nothing attached")?;
        ensure!(base > 0, "{operation} costs nothing");
        write!(text, "{meaning:28}")?;
        for mode in MODES {
            match by_mode.get(mode) {
                None => write!(text, "{:>18}", "-")?,
                Some(number) if mode == "none" => write!(text, "{number:>18}")?,
                Some(number) => {
                    let cell = format!("{number} {:+.1} %", percent(*number, base));
                    write!(text, "{cell:>18}")?;
                }
            }
        }
        text.push('\n');
    }
    Ok(text)
}

/// How much more than `base`, in percent.
#[expect(
    clippy::cast_precision_loss,
    reason = "instructions of one call are few"
)]
pub fn percent(number: u64, base: u64) -> f64 {
    (number as f64 / base as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_each_number_over_nothing_attached() {
        let one = |none, outside| {
            BTreeMap::from([("none".to_owned(), none), ("outside".to_owned(), outside)])
        };
        let numbers = OPERATIONS
            .iter()
            .map(|(operation, _)| ((*operation).to_owned(), one(1000, 1010)))
            .collect();
        let text = table(Series::V6_12, &numbers).expect("every operation is there");
        assert!(text.contains("1010 +1.0 %"), "{text}");
        assert!(table(Series::V6_12, &Numbers::new()).is_err());
    }
}
