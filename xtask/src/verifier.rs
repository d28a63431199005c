//! `verifier`: how much of each kernel program the verifier has to look at, held to a budget.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::kernel::Series;
use crate::test_guest::Programs;
use crate::vm::{self, End};
use crate::{build, workspace};

/// The test that counts, which `cargo xtask test` runs too.
const TEST: &str = "verifier";
/// Where it leaves what it counted.
const COUNTED: &str = "verifier.json";
const TIME_LIMIT: u64 = 300;

/// Instructions by kernel series and program.
type Budgets = BTreeMap<String, BTreeMap<String, u32>>;

/// Arguments of `verifier`.
#[derive(Args)]
pub struct Arguments {
    /// Make what is counted now the budget
    #[arg(long)]
    update: bool,
}

/// Counts on both kernels, prints what was counted beside the budget, and fails when it is more.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let enforcer = build::product(false)?;
    let programs = Programs::build()?;
    let budgets: Budgets = serde_json::from_slice(&fs::read(budgets_path())?)?;
    let (mut counted, mut is_within) = (Budgets::new(), true);
    for series in Series::ALL {
        let command = vm::Arguments {
            kernel: series,
            time_limit: Some(TIME_LIMIT),
            command: vec![format!("/{}/{TEST}", crate::test_guest::PLACE)],
            ..vm::Arguments::default()
        };
        let outcome = vm::boot(
            &command,
            Some(&enforcer),
            &programs.files(&[TEST])?,
            Box::new(std::io::sink()),
        )?;
        is_within &= matches!(outcome.end, End::Exit(0));
        let text = fs::read(outcome.results.join(COUNTED)).with_context(|| {
            format!(
                "nothing was counted; console: {}",
                outcome.console.display()
            )
        })?;
        counted.insert(series.to_string(), serde_json::from_slice(&text)?);
    }
    print!("{}", table(&counted, &budgets));
    if arguments.update {
        fs::write(
            budgets_path(),
            format!("{:#}\n", serde_json::to_value(&counted)?),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(if is_within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn budgets_path() -> PathBuf {
    workspace::root().join("tests/verifier.json")
}

fn table(counted: &Budgets, budgets: &Budgets) -> String {
    let mut text = format!(
        "{:24}{:>8}{:>10}{:>10}\n",
        "program", "kernel", "counted", "budget"
    );
    for (series, programs) in counted {
        for (program, count) in programs {
            let budget = budgets.get(series).and_then(|budget| budget.get(program));
            let budget = budget.map_or_else(|| "-".to_owned(), u32::to_string);
            text += &format!("{program:24}{series:>8}{count:>10}{budget:>10}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stands_beside_its_budget() {
        let one = |count| BTreeMap::from([("bpf".to_owned(), count)]);
        let counted = Budgets::from([("6.1".to_owned(), one(7)), ("6.12".to_owned(), one(8))]);
        let budgets = Budgets::from([("6.1".to_owned(), one(9))]);
        let text = table(&counted, &budgets);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows, [["bpf", "6.1", "7", "9"], ["bpf", "6.12", "8", "-"]]);
    }
}
