//! The command line: nouns, then verbs.
//!
//! ```text
//! args -> one file a noun -> control::client (or the host's own files) -> output
//! ```
//!
//! - stdout is data, stderr is talk: what goes to stdout can be piped, with `--output json` parsed.
//! - A verb decides nothing: it asks the daemon, or the same pure core that the daemon asks.
//! - Every way to end is one of [`exit::Exit`].
#![forbid(unsafe_code)]

pub mod args;
mod doctor;
mod evidence;
pub mod exit;
mod log;
mod output;
mod policy;
mod prove;
mod report;
mod run;
mod session;
mod ship;
mod status;
mod uninstall;
mod verify;
mod why;

use std::{future::Future, io::Write, process::ExitCode};

use clap::{CommandFactory, Parser};
use jiff::Timestamp;

use crate::{control::client::Client, daemon::End, record::read::moment};
use args::{Cli, Command};
use exit::{Exit, Failure};
use output::Screen;

/// Runs the command line of this process to its end.
#[must_use]
pub fn main() -> ExitCode {
    // Ends the process itself on `--help` (0) and on wrong usage (2).
    let cli = Cli::parse();
    let mut screen = Screen::of_terminal(cli.output);
    let exit = match perform(cli, &mut screen) {
        Ok(exit) => exit,
        Err(failure) => failure.tell(),
    };
    screen.close(exit).into()
}

fn perform(cli: Cli, screen: &mut Screen) -> Result<Exit, Failure> {
    let socket = cli.socket();
    let client = Client::new(&socket);
    match cli.command {
        Command::Daemon(ref daemon) => {
            let end = crate::daemon::run(daemon.config(cli.socket()));
            Ok(match end.map_err(Failure::of_daemon)? {
                End::Stopped => Exit::Ok,
                End::Uninstalled => Exit::Uninstalled,
            })
        }
        Command::Run(run) => Err(run::run(&client, run)),
        Command::Policy(verb) => policy::perform(verb, &client, screen),
        Command::Uninstall(removal) => uninstall::perform(removal, &client, screen),
        Command::Status => status::perform(&client, screen),
        Command::Session(verb) => session::perform(verb, &client, screen),
        Command::Log(verb) => log::perform(verb, &client, screen),
        Command::Ship(asked) => ship::perform(&asked, screen),
        Command::Why(question) => why::perform(&question, &client, screen),
        Command::Report(report) => report::perform(&report, &client, screen),
        Command::Doctor(doctor) if doctor.prove => {
            prove::perform(&doctor.only, &client, &socket, screen)
        }
        Command::Doctor(doctor) => doctor::perform(&doctor, &client, screen),
        Command::Attack(part) => {
            prove::play(&part, &client)?;
            Ok(Exit::Ok)
        }
        Command::Canary { inside } => {
            let done = match inside {
                Some(doors) => crate::daemon::canary_inside(&doors),
                None => crate::daemon::canary_outside(),
            };
            done.map_err(|error| Failure::new(Exit::Failure, format!("canary: {error}")))?;
            Ok(Exit::Ok)
        }
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "enforcer",
                screen as &mut dyn Write,
            );
            Ok(Exit::Ok)
        }
    }
}

/// A moment that was typed: milliseconds since 1970.
fn when(text: &str, now: Timestamp) -> Result<i64, Failure> {
    moment(text, now).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

/// Runs a request to its end, on this thread alone.
fn wait<T>(request: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| Failure::new(Exit::Failure, format!("no event loop: {error}")))?;
    Ok(runtime.block_on(request))
}
