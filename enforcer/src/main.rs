//! `enforcer`: the daemon and the command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    enforcer::cli::main()
}
