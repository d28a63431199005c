//! All sinks together: started, watched, stopped.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    config::{Config, SinkConfig},
    render::Render,
    sink,
    spool::Spool,
    state::{Board, CursorFile, LastAcked, SinkStatus, Status, now_ms, write_status},
    stop::Stop,
    worker::{Event, Parts, Watch, Worker},
};

/// How often the status is written down.
const STATUS: Duration = Duration::from_secs(1);

/// Why a shipper cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder, or a file in it, cannot be used.
    #[error("the shipper's folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another shipper uses the folder.
    #[error(
        "another shipper runs with the folder {path}: two would send everything twice; stop it first"
    )]
    Running {
        /// The folder.
        path: PathBuf,
    },
    /// The configuration names a form that the caller does not have.
    #[error("sink `{sink}`: there is no format `{format}`")]
    Format {
        /// The sink.
        sink: String,
        /// The name.
        format: String,
    },
}

/// A running shipper. To drop it without [`Shipper::stop`] ends it without waiting.
#[derive(Debug)]
pub struct Shipper {
    state: PathBuf,
    stop: Stop,
    workers: Vec<(String, Board, JoinHandle<()>)>,
    /// Writes the status down, until `written` is told.
    writer: Option<JoinHandle<()>>,
    written: Stop,
    /// Held while the shipper runs.
    _lock: File,
}

impl Shipper {
    /// Starts a worker for each sink.
    ///
    /// `state` is the shipper's folder, which must be there and be its own to write. `spool` makes a
    /// reader of the log for the sink of that name, `render` knows the forms by their names, `watch`
    /// hears of what people should know; it is called from the workers' threads and should be quick.
    ///
    /// # Errors
    /// When the folder cannot be used, another shipper uses it, or a format is unknown.
    pub fn start(
        config: &Config,
        state: &Path,
        mut spool: impl FnMut(&str) -> Box<dyn Spool>,
        render: impl Fn(&str) -> Option<Arc<dyn Render>>,
        watch: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let lock = lock(state)?;
        let watch: Watch = Arc::new(watch);
        let stop = Stop::default();
        let mut ready = Vec::new();
        for sink in &config.sinks {
            let render = render(&sink.format).ok_or_else(|| StartError::Format {
                sink: sink.name.clone(),
                format: sink.format.clone(),
            })?;
            let parts = parts(sink, state, spool(&sink.name), render, &watch, &stop)?;
            ready.push((sink.name.clone(), parts.board.clone(), parts));
        }
        let boards: Vec<Board> = ready.iter().map(|(_, board, _)| board.clone()).collect();
        let written = Stop::default();
        let writer = writer(state.to_owned(), boards, written.clone());
        let workers = ready
            .into_iter()
            .map(|(name, board, parts)| {
                let worker = thread::spawn(move || Worker::new(parts).run());
                (name, board, worker)
            })
            .collect();
        Ok(Self {
            state: state.to_owned(),
            stop,
            workers,
            writer: Some(writer),
            written,
            _lock: lock,
        })
    }

    /// What the sinks are at now.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            written_ms: now_ms(),
            pid: std::process::id(),
            sinks: self.sinks(),
        }
    }

    fn sinks(&self) -> Vec<SinkStatus> {
        self.workers
            .iter()
            .map(|(_, board, _)| board.read())
            .collect()
    }

    /// Stops: no new batch is begun, and what is under way may finish within `grace`. Gives the names
    /// of the sinks that did not: what they had under way is sent again by the next shipper, for
    /// their cursors stand before it.
    ///
    /// The process should end soon after: a worker that did not finish is left to itself.
    #[must_use]
    pub fn stop(mut self, grace: Duration) -> Vec<String> {
        self.stop.tell();
        let end = Instant::now() + grace;
        let mut left = Vec::new();
        while self
            .workers
            .iter()
            .any(|(_, _, worker)| !worker.is_finished())
            && Instant::now() < end
        {
            thread::sleep(Duration::from_millis(10));
        }
        for (name, _, worker) in &self.workers {
            if !worker.is_finished() {
                left.push(name.clone());
            }
        }
        self.written.tell();
        if let Some(writer) = self.writer.take() {
            // It has nothing to say but to itself.
            let _ = writer.join();
        }
        let _ = write_status(&self.state, self.sinks());
        left
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.stop.tell();
        self.written.tell();
    }
}

fn lock(state: &Path) -> Result<File, StartError> {
    let folder = |source| StartError::Folder {
        path: state.to_owned(),
        source,
    };
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(state.join("lock"))
        .map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Running {
            path: state.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(folder(source)),
    }
}

fn parts(
    config: &SinkConfig,
    state: &Path,
    spool: Box<dyn Spool>,
    render: Arc<dyn Render>,
    watch: &Watch,
    stop: &Stop,
) -> Result<Parts, StartError> {
    let file = CursorFile::new(state, &config.name);
    let (saved, damage) = file.load().map_err(|source| StartError::Folder {
        path: state.to_owned(),
        source,
    })?;
    if let Some(what) = damage {
        watch(&Event::Fault {
            sink: config.name.clone(),
            what,
        });
    }
    let last_acked = saved.uid.clone().zip(saved.acked_ms);
    let board = Board::new(SinkStatus {
        name: config.name.clone(),
        kind: config.target.kind().to_owned(),
        endpoint: config.target.endpoint(),
        cursor: saved.cursor,
        last_acked: last_acked.map(|(uid, at_ms)| LastAcked { uid, at_ms }),
        ..SinkStatus::default()
    });
    Ok(Parts {
        config: config.clone(),
        sink: sink::open(config),
        spool,
        render,
        file,
        saved,
        board,
        watch: watch.clone(),
        stop: stop.clone(),
    })
}

/// Writes the status down now and then.
fn writer(state: PathBuf, boards: Vec<Board>, written: Stop) -> JoinHandle<()> {
    thread::spawn(move || {
        loop {
            // A full disk must not end the shipping, and `status` tells how old the file is.
            let _ = write_status(&state, boards.iter().map(Board::read).collect());
            if written.wait(STATUS) {
                return;
            }
        }
    })
}
