//! `cargo xtask`: everything that is done to this repository, one file a verb.
//!
//! ```text
//! setup ──> build ──> vm ──> test, demo, bench  every verb first calls the ones it stands on
//! ```
//!
//! What is fetched or made is kept under `target/`, each product with a stamp of what it was made from, so a verb that
//! finds everything in place goes on within milliseconds and one that was interrupted is repaired by the next run.
#![forbid(unsafe_code)]

mod apt;
mod arch;
mod bench;
mod build;
mod cargo;
mod command;
mod demo;
mod initramfs;
mod kernel;
mod libtest;
mod machine;
mod plot;
mod qemu;
mod records;
mod rootfs;
#[cfg(test)]
mod scratch;
mod setup;
mod stage;
mod stamp;
mod suites;
mod terminal;
mod test;
mod test_guest;
mod verifier;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up, builds, tests and demonstrates enforcer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install and make what building and testing need
    Setup(setup::Arguments),
    /// Build the kernel programs and the `enforcer` binary that embeds them
    Build(build::Arguments),
    /// Boot a test VM with the product in it and run a command there
    Vm(vm::Arguments),
    /// Run every test suite, on the host and on both kernels
    Test(test::Arguments),
    /// Measure what the product costs, in instructions a call, on both kernels
    Bench(bench::Arguments),
    /// Hold what the kernel's verifier has to look at to its budget
    Verifier(verifier::Arguments),
    /// Show an agent held to its allowlists, attempt by attempt
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Setup(arguments) => setup::run(&arguments),
        Verb::Build(arguments) => build::run_verb(&arguments),
        Verb::Vm(arguments) => vm::run(arguments),
        Verb::Test(arguments) => test::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Verifier(arguments) => verifier::run(&arguments),
        Verb::Demo(arguments) => demo::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
