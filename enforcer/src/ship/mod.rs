//! The shipper: a process of its own, without privileges, that sends the log's records elsewhere.
//!
//! ```text
//! ship.toml -> enforcer-sinks -> one worker a receiver, each with its cursor
//!                  ^      ^
//!   spool.rs: the log     forms.rs: records in other forms
//! ```
#![forbid(unsafe_code)]

mod forms;
mod spool;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use enforcer_sinks::{Config, Diagnostics, Event, Shipper, StartError, config::Surroundings};
use tokio::signal::unix::{SignalKind, signal};

pub use spool::LogSpool;

/// How long what is under way may take when the shipper is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Where the shipper finds what.
#[derive(Clone, Debug)]
pub struct Places {
    /// Its configuration.
    pub config: PathBuf,
    /// Folder of the log.
    pub log_dir: PathBuf,
    /// Folder of its cursors.
    pub state_dir: PathBuf,
}

/// Why the shipper does not start.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The configuration cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration is wrong.
    #[error("{} has errors", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: Diagnostics,
    },
    /// The log cannot be read.
    #[error("{path}: {source}; the shipper's user must be in the group that the log belongs to")]
    Log {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No signal can be awaited.
    #[error("signals: {0}")]
    Signals(#[source] io::Error),
}

/// Reads a configuration.
///
/// # Errors
/// When it cannot be read, or is wrong.
pub fn configuration(path: &Path) -> Result<Config, ShipError> {
    let text = fs::read_to_string(path).map_err(|source| ShipError::Read {
        path: path.to_owned(),
        source,
    })?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let surroundings = Surroundings {
        formats: &forms::names(),
        credentials: credentials.as_deref(),
    };
    Config::parse(&path.display().to_string(), &text, surroundings).map_err(|found| {
        ShipError::Config {
            path: path.to_owned(),
            found,
        }
    })
}

/// Ships until the process is told to stop (SIGTERM, SIGINT). Gives the sinks that did not finish; what
/// they had under way is sent again.
///
/// # Errors
/// When it cannot start.
pub async fn run(places: &Places) -> Result<Vec<String>, ShipError> {
    let config = configuration(&places.config)?;
    fs::read_dir(&places.log_dir).map_err(|source| ShipError::Log {
        path: places.log_dir.clone(),
        source,
    })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ShipError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ShipError::Signals)?;
    let log_dir = places.log_dir.clone();
    let shipper = Shipper::start(
        &config,
        &places.state_dir,
        |_| Box::new(LogSpool::new(&log_dir)),
        forms::render,
        tell,
    )?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]); // nobody may be listening
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(tokio::task::block_in_place(|| shipper.stop(GRACE)))
}

fn tell(event: &Event) {
    match event {
        Event::Recovered { .. } => tracing::info!("{event}"),
        Event::Failing {
            needs_attention: false,
            ..
        } => tracing::warn!("{event}"),
        Event::Refused { .. } | Event::Fault { .. } | Event::Failing { .. } | _ => {
            tracing::error!("{event}");
        }
    }
}
