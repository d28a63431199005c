//! `enforcer ship`.
#![forbid(unsafe_code)]

use super::{
    args::Ship,
    exit::{Exit, Failure},
    output::Screen,
};
use crate::{
    journal,
    ship::{self, ShipError},
};

pub(super) fn perform(asked: &Ship, screen: &mut Screen) -> Result<Exit, Failure> {
    if asked.check {
        let config = ship::configuration(&asked.config).map_err(failure)?;
        let wrong = config.check_files();
        for (sink, what) in &wrong {
            screen.text(&format!("{sink}: {what}"))?;
        }
        return Ok(if wrong.is_empty() {
            Exit::Ok
        } else {
            Exit::Failure
        });
    }
    journal::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let left = runtime
        .block_on(ship::run(&asked.places()))
        .map_err(failure)?;
    if !left.is_empty() {
        tracing::warn!(
            sinks = left.join(", "),
            "not finished: sent again at the next start"
        );
    }
    Ok(Exit::Ok)
}

fn failure(error: ShipError) -> Failure {
    let message = error.to_string();
    match error {
        ShipError::Config { found, .. } => Failure {
            findings: vec![found.render(super::output::colour())],
            ..Failure::new(Exit::Usage, message)
        },
        ShipError::Read { .. } => Failure::new(Exit::NotFound, message),
        ShipError::Log { .. } | ShipError::Start(_) | ShipError::Signals(_) => {
            Failure::new(Exit::Failure, message)
        }
    }
}
