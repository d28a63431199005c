//! Measures what the kernel programs cost, in guest instructions a call. Run by `cargo xtask bench` in a VM that
//! counts an instruction as a nanosecond of its clock.
//!
//! ```text
//! bench run OUT NOOP   nothing attached -> no-op programs (NOOP) -> the product, outside a session and inside
//!                      with more and more rules, and denied; the numbers as JSON to OUT
//! bench hold NOOP      holds the no-op programs attached until its input ends
//! bench measure        measures in this process; the numbers as JSON to standard output
//! ```
#![forbid(unsafe_code)]

mod measure;
mod noop;
mod product;

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, bail};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::json;

/// Instructions by operation: `tcp`, `udp`, `exec`, `open`, `read`.
type Numbers = BTreeMap<String, u64>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["measure"] => {
            println!("{}", json!(measure::all(false)?));
            Ok(())
        }
        ["measure", "denied"] => {
            println!("{}", json!(measure::all(true)?));
            Ok(())
        }
        ["hold", noop] => noop::hold(noop),
        ["run", out, noop] => run(out, noop),
        _ => bail!("bench run OUT NOOP | bench hold NOOP | bench measure [denied]"),
    }
}

/// An inotify watch on a folder.
fn watch(folder: &str) -> Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(folder, AddWatchFlags::IN_CREATE)?;
    Ok(inotify)
}

fn run(out: &str, noop: &str) -> Result<()> {
    measure::prepare()?;
    let mut modes: Vec<(String, Numbers)> = Vec::new();
    let mut note = |mode: &str, numbers: Numbers| {
        eprintln!("bench: {mode}: {numbers:?}");
        modes.push((mode.to_owned(), numbers));
    };
    note("none", measure::all(false)?);
    {
        // What the daemon's watch for changed files costs by itself, where nobody else has one.
        let _watch = watch("/usr/bin")?;
        note("watched", measure::all(false)?);
    }
    {
        let _attached = noop::Holder::start(noop).context("the no-op programs")?;
        note("noop", measure::all(false)?);
    }
    let product = product::Product::start()?;
    note("outside", measure::all(false)?);
    for rules in [10, 1_000, 10_000] {
        note(&format!("allowed_{rules}"), product.inside(rules)?);
    }
    note("denied", product.denied()?);
    let mut by_operation: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for (mode, numbers) in &modes {
        for (operation, number) in numbers {
            by_operation
                .entry(operation)
                .or_default()
                .insert(mode, *number);
        }
    }
    let report = json!({ "instructions": by_operation, "memory": product.memory()? });
    fs::write(out, format!("{report:#}\n")).with_context(|| out.to_owned())
}
